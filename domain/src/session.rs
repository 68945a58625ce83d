//! The session resource, and what a caller may say when making or changing one.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::error::ApiError;
use crate::lifecycle::{Status, StatusReason};

/// A slot for one WhatsApp number, as the API shows it.
#[allow(clippy::struct_excessive_bools, reason = "the contract's fields")]
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct WASession {
    /// The session's ULID.
    pub id: String,
    /// The organization that owns it.
    pub organization_id: String,
    /// A name for people.
    pub label: Option<String>,
    /// What is seen.
    pub status: Status,
    /// Why; null when there is nothing to say.
    pub status_reason: Option<StatusReason>,
    /// How many connections the session has had.
    pub epoch: u64,
    /// Where the session's object was asked to live; null for "near whoever came first".
    pub region: Option<String>,
    /// Where the session's object lives.
    pub gateway_id: String,
    /// Whether this is the configured admin number's session.
    pub is_admin_session: bool,
    /// The paired number, digits only.
    pub phone_number: Option<String>,
    /// The paired device's JID.
    pub wa_jid: Option<String>,
    /// The paired account's hidden id.
    pub wa_lid: Option<String>,
    /// Sends a read receipt for each inbound message.
    pub auto_read: bool,
    /// Shows "typing" around a text, and takes a moment before everything else.
    pub presence_typing: bool,
    /// The most messages per minute; 0 for no limit.
    pub rate_per_min: u32,
    /// The most messages per hour; 0 for no limit.
    pub rate_per_hour: u32,
    /// Who made it; null when a key did.
    pub created_by_user_id: Option<String>,
    /// When it was last connected, epoch milliseconds.
    pub last_connected_at: Option<u64>,
    /// When it was made, epoch milliseconds.
    pub created_at: u64,
    /// When it last changed, epoch milliseconds.
    pub updated_at: u64,
}

/// What `POST /sessions` takes. Everything is optional.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CreateSessionInputBody {
    /// A name for people, 1 to 100 characters.
    #[schema(min_length = 1, max_length = 100)]
    pub label: Option<String>,
    /// Begin pairing at once.
    pub start: Option<bool>,
    /// Send a read receipt for each inbound message.
    pub auto_read: Option<bool>,
    /// Show "typing" around a text, and take a moment before everything else.
    pub presence_typing: Option<bool>,
    /// The most messages per minute; 0 for no limit.
    #[schema(maximum = 1000)]
    pub rate_per_min: Option<u32>,
    /// The most messages per hour; 0 for no limit.
    #[schema(maximum = 20000)]
    pub rate_per_hour: Option<u32>,
    /// Where the session's object should live: `eu` for the European Union and nowhere else, or a location hint of
    /// Cloudflare's (`wnam`, `enam`, `sam`, `weur`,
    /// `eeur`, `apac`, `oc`, `afr`, `me`).
    pub region: Option<String>,
}

/// What `PATCH /sessions/{session}` takes: the fields to change.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct UpdateSessionInputBody {
    /// A name for people, 1 to 100 characters.
    #[schema(min_length = 1, max_length = 100)]
    pub label: Option<String>,
    /// Send a read receipt for each inbound message.
    pub auto_read: Option<bool>,
    /// Show "typing" around a text, and take a moment before everything else.
    pub presence_typing: Option<bool>,
    /// The most messages per minute; 0 for no limit.
    #[schema(maximum = 1000)]
    pub rate_per_min: Option<u32>,
    /// The most messages per hour; 0 for no limit.
    #[schema(maximum = 20000)]
    pub rate_per_hour: Option<u32>,
}

/// The region that is more than a hint: the object lives in the European Union and never leaves it.
pub const JURISDICTION: &str = "eu";

/// Where an object can be asked to live: the jurisdiction, and the location hints Cloudflare knows (Durable Objects,
/// "Data location").
pub const REGIONS: [&str; 12] =
    [JURISDICTION, "wnam", "enam", "sam", "weur", "eeur", "apac", "apac-ne", "apac-se", "oc", "afr", "me"];

impl CreateSessionInputBody {
    /// Checks the limits of every field.
    ///
    /// # Errors
    /// `validation_error` naming the first field that is out of them.
    pub fn validate(&self) -> Result<(), ApiError> {
        check_label(self.label.as_deref())?;
        check_rates(self.rate_per_min, self.rate_per_hour)?;
        match self.region.as_deref() {
            Some(region) if !REGIONS.contains(&region) => {
                Err(ApiError::validation("region", format!("Must be one of {}.", REGIONS.join(", "))))
            }
            _ => Ok(()),
        }
    }
}

impl UpdateSessionInputBody {
    /// Checks the limits of every field.
    ///
    /// # Errors
    /// `validation_error` naming the first field that is out of them.
    pub fn validate(&self) -> Result<(), ApiError> {
        check_label(self.label.as_deref())?;
        check_rates(self.rate_per_min, self.rate_per_hour)
    }
}

fn check_label(label: Option<&str>) -> Result<(), ApiError> {
    match label {
        Some(label) if !(1..=100).contains(&label.chars().count()) || label.chars().any(char::is_control) => {
            Err(ApiError::validation("label", "Must be 1 to 100 characters without control characters."))
        }
        _ => Ok(()),
    }
}

fn check_rates(per_min: Option<u32>, per_hour: Option<u32>) -> Result<(), ApiError> {
    if per_min.is_some_and(|rate| rate > 1_000) {
        return Err(ApiError::validation("ratePerMin", "Must be 0 (no limit) to 1000."));
    }
    if per_hour.is_some_and(|rate| rate > 20_000) {
        return Err(ApiError::validation("ratePerHour", "Must be 0 (no limit) to 20000."));
    }
    Ok(())
}

/// What `GET …/qr` answers.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = QR)]
pub struct Qr {
    /// The raw string to encode in the picture.
    pub code: String,
    /// When it stops being valid, epoch milliseconds.
    pub expires_at: u64,
}

/// What `GET …/me` answers.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Me {
    /// The session.
    pub session_id: String,
    /// Whether the number is connected right now.
    pub connected: bool,
    /// The session's status.
    pub status: Status,
    /// The number, digits only.
    pub phone_number: Option<String>,
    /// The device's JID.
    pub wa_jid: Option<String>,
    /// The account's hidden id.
    pub wa_lid: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_name_their_field() {
        let field = |body: &str| {
            let body: CreateSessionInputBody = serde_json::from_str(body).unwrap();
            body.validate().err().map(|error| error.error.details["field"].as_str().unwrap().to_owned())
        };
        assert_eq!(field("{}"), None);
        assert_eq!(field(r#"{"label":""}"#), Some("label".to_owned()));
        assert_eq!(field(r#"{"label":"a\u0000b"}"#), Some("label".to_owned()));
        assert_eq!(field(&format!(r#"{{"label":"{}"}}"#, "ü".repeat(100))), None);
        assert_eq!(field(&format!(r#"{{"label":"{}"}}"#, "ü".repeat(101))), Some("label".to_owned()));
        assert_eq!(field(r#"{"region":"moon"}"#), Some("region".to_owned()));
        assert_eq!(field(r#"{"ratePerMin":1001}"#), Some("ratePerMin".to_owned()));
        assert_eq!(field(r#"{"ratePerHour":20001}"#), Some("ratePerHour".to_owned()));
    }

    #[test]
    fn unknown_fields_are_refused() {
        assert!(serde_json::from_str::<CreateSessionInputBody>(r#"{"lable":"x"}"#).is_err());
        assert!(serde_json::from_str::<UpdateSessionInputBody>(r#"{"start":true}"#).is_err());
    }
}
