//! Webhooks: the resource, what a caller may say of one, and what a delivery is made of. Sending them is the postman's
//! (`gateway-webhook`).

mod custom_headers;
mod delivery;
mod retry;
mod secret;
mod signature;
mod vault;

use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

pub use custom_headers::CustomHeaders;
pub use delivery::{
    DeliveryStatus, MAX_RESPONSE_CHARS, Replay, ReplayInputBody, ReplayResult, ReplayStatus, WebhookDelivery,
    snippet,
};
pub use retry::{Backoff, RetryPolicy, retry_after};
pub use secret::Secret;
pub use signature::headers as signed_headers;
pub use vault::Vault;

use crate::error::ApiError;
use crate::event::CATALOGUE;
use crate::ids;
use crate::outbound_address::{OutboundAddress, Reach};

/// How many an organization has at most.
pub const MAX_PER_ORGANIZATION: u32 = 50;
/// What a webhook is sent when its owner tries it.
pub const TEST_EVENT: &str = "webhook.test";
/// What stands in a webhook's deliveries where the organization's log keeps no longer what was not sent yet. Never sent.
pub const GAP_EVENT: &str = "webhook.gap";
/// What an organization is told when the gateway gives up on one of its webhooks.
pub const DISABLED_EVENT: &str = "webhook.disabled";
/// All events.
const ALL_EVENTS: &str = "*";
/// How long the secret before a rotation signs too, at most: a week, in seconds.
const MAX_OVERLAP: u32 = 604_800;

/// A webhook, as the API shows it: never its secret.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Webhook {
    /// The webhook's ULID.
    pub id: String,
    /// The organization that owns it.
    pub organization_id: String,
    /// Where events are sent.
    pub url: String,
    /// The one session whose events are sent; null for all.
    pub session_id: Option<String>,
    /// The types of events that are sent; `*` for all.
    pub events: Vec<String>,
    /// Whether anything is sent.
    pub active: bool,
    /// Headers that go with every delivery.
    pub custom_headers: CustomHeaders,
    /// When a delivery that failed is tried again, and how often.
    pub retry_policy: RetryPolicy,
    /// Why the gateway switched it off; null when it did not.
    pub disabled_reason: Option<DisabledReason>,
    /// When the gateway switched it off, epoch milliseconds; null when it did not.
    pub disabled_at: Option<u64>,
    /// Until when deliveries are also signed with the secret before the last rotation, epoch milliseconds; null when
    /// they aren't.
    pub previous_secret_expires_at: Option<u64>,
    /// When it was made, epoch milliseconds.
    pub created_at: u64,
    /// When it last changed, epoch milliseconds.
    pub updated_at: u64,
}

/// A webhook with its secret: shown when it is made or the secret is rotated, and never again.
#[derive(Serialize, ToSchema)]
pub struct WebhookWithSecret {
    /// The webhook.
    #[serde(flatten)]
    pub webhook: Webhook,
    /// The secret, as it was given or `whsec_` and base64.
    pub secret: String,
}

/// Why the gateway switches a webhook off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DisabledReason {
    /// The receiver answered 410.
    Gone,
    /// No delivery has worked for days.
    Failing,
}

impl DisabledReason {
    /// Its name in the directory and in `webhook.disabled`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Gone => "gone",
            Self::Failing => "failing",
        }
    }
}

/// `webhook.disabled`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct WebhookDisabledPayload {
    /// The webhook.
    pub webhook_id: String,
    /// Why.
    pub reason: DisabledReason,
}

/// A field that can be put back to what it is when nothing is said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Change<T> {
    /// It is absent.
    #[default]
    Unchanged,
    /// `null`.
    Reset,
    /// A value.
    To(T),
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Change<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Option::deserialize(deserializer).map(|value| value.map_or(Self::Reset, Self::To))
    }
}

impl<T> Change<T> {
    /// The new value, where there is one.
    fn map<U>(
        self,
        reset: impl FnOnce() -> U,
        read: impl FnOnce(T) -> Result<U, ApiError>,
    ) -> Result<Option<U>, ApiError> {
        match self {
            Self::Unchanged => Ok(None),
            Self::Reset => Ok(Some(reset())),
            Self::To(value) => read(value).map(Some),
        }
    }
}

/// What `POST /webhooks` and `PATCH /webhooks/{id}` take. What is absent has its default, or stays.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WebhookBody {
    /// Where events are sent: an https address on the internet. A new webhook needs one.
    #[schema(max_length = 2048)]
    pub url: Option<String>,
    /// The types of events to send; `["*"]`, which is the default, for all.
    #[serde(default)]
    #[schema(value_type = Option<Vec<String>>, min_items = 1)]
    pub events: Change<Vec<String>>,
    /// The one session whose events to send; null, which is the default, for all.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub session_id: Change<String>,
    /// Whether anything is sent; it is when absent. Switching one on that the gateway switched off lets what waits go on.
    pub active: Option<bool>,
    /// What deliveries are signed with: `whsec_` and the base64 of 24 to 64 bytes, or 16 to 255 visible ASCII characters;
    /// made up when absent. In a `PATCH` it replaces the one before at once, `:rotate-secret` lets both sign for a while.
    #[schema(min_length = 16, max_length = 255)]
    pub secret: Option<String>,
    /// Headers that go with every delivery: at most 20, none of them the protocol's or the gateway's own.
    #[serde(default)]
    #[schema(value_type = Option<CustomHeaders>)]
    pub custom_headers: Change<CustomHeaders>,
    /// When a delivery that failed is tried again; exponential from 2 seconds, 15 attempts, when absent.
    #[serde(default)]
    #[schema(value_type = Option<RetryPolicy>)]
    pub retry_policy: Change<RetryPolicy>,
}

/// What a caller decides about a webhook, checked; what is absent stays, or has its default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WebhookSettings {
    /// Where events are sent.
    pub url: Option<String>,
    /// Which types.
    pub events: Option<Vec<String>>,
    /// Which session: `Some(None)` for all.
    pub session: Option<Option<String>>,
    /// Whether anything is sent.
    pub active: Option<bool>,
    /// What deliveries are signed with.
    pub secret: Option<Secret>,
    /// Headers that go with them.
    pub custom_headers: Option<CustomHeaders>,
    /// When they are tried again.
    pub retry_policy: Option<RetryPolicy>,
}

impl WebhookBody {
    /// Checks every field.
    ///
    /// # Errors
    /// `validation_error` naming the first field that is out of its limits; `not_found` for what can't be a session.
    pub fn read(self, reach: Reach) -> Result<WebhookSettings, ApiError> {
        if let Some(url) = &self.url {
            OutboundAddress::parse(url, reach).map_err(|refused| ApiError::validation("url", refused.0))?;
        }
        let session = |id: String| ids::parse(&id).map(Some).ok_or_else(ApiError::not_found);
        Ok(WebhookSettings {
            url: self.url,
            events: self.events.map(all_events, events)?,
            secret: self.secret.map(Secret::parse).transpose()?,
            custom_headers: self.custom_headers.map(CustomHeaders::default, CustomHeaders::checked)?,
            retry_policy: self.retry_policy.map(RetryPolicy::default, RetryPolicy::checked)?,
            active: self.active,
            // Last, for it says the least.
            session: self.session_id.map(|| None, session)?,
        })
    }
}

/// What a webhook gets that doesn't say.
#[must_use]
pub fn all_events() -> Vec<String> {
    vec![ALL_EVENTS.to_owned()]
}

/// The filter these names mean: empty for all.
#[must_use]
pub fn filter(events: &[String]) -> Vec<String> {
    if events.iter().any(|name| name == ALL_EVENTS) { Vec::new() } else { events.to_vec() }
}

fn events(names: Vec<String>) -> Result<Vec<String>, ApiError> {
    let is_known = |name: &String| CATALOGUE.contains(&name.as_str()) || name == DISABLED_EVENT;
    let is_once = |wanted: &String| names.iter().filter(|name| *name == wanted).count() == 1;
    let is_all = names == [ALL_EVENTS];
    if is_all || (!names.is_empty() && names.iter().all(|name| is_known(name) && is_once(name))) {
        Ok(names)
    } else {
        Err(ApiError::validation("events", "Must be [\"*\"], or names of the catalogue, none of them twice."))
    }
}

/// What `POST /webhooks/{id}:rotate-secret` takes. It may be missing.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct RotateWebhookSecretInputBody {
    /// The new secret, as `WebhookBody` has it; made up when absent.
    #[schema(min_length = 16, max_length = 255)]
    pub secret: Option<String>,
    /// How long the secret that is replaced goes on signing beside the new one, in seconds, up to a week; a day when
    /// absent.
    #[schema(maximum = 604_800)]
    pub overlap_seconds: u32,
}

impl Default for RotateWebhookSecretInputBody {
    fn default() -> Self {
        Self { secret: None, overlap_seconds: 86_400 }
    }
}

impl RotateWebhookSecretInputBody {
    /// The new secret, if the caller named one.
    ///
    /// # Errors
    /// `validation_error` naming the field that is out of its limits.
    pub fn read(self) -> Result<(Option<Secret>, u32), ApiError> {
        let secret = self.secret.map(Secret::parse).transpose()?;
        if self.overlap_seconds > MAX_OVERLAP {
            return Err(ApiError::validation("overlapSeconds", "Must be 0 to 604800, which is a week."));
        }
        Ok((secret, self.overlap_seconds))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &str) -> Result<WebhookSettings, ApiError> {
        serde_json::from_str::<WebhookBody>(body).unwrap().read(Reach::Public)
    }

    fn field(body: &str) -> Option<String> {
        read(body).err().map(|error| error.error.details["field"].as_str().unwrap().to_owned())
    }

    #[test]
    fn limits_name_their_field() {
        for (body, named) in [
            (r#"{"url":"http://example.com"}"#, "url"),
            (r#"{"url":"https://127.0.0.1"}"#, "url"),
            (r#"{"url":""}"#, "url"),
            (r#"{"events":[]}"#, "events"),
            (r#"{"events":["nope"]}"#, "events"),
            (r#"{"events":["message","message"]}"#, "events"),
            (r#"{"events":["*","message"]}"#, "events"),
            (r#"{"events":["*","*"]}"#, "events"),
            (r#"{"events":["webhook.test"]}"#, "events"),
            (r#"{"secret":"short"}"#, "secret"),
            (r#"{"customHeaders":{"Host":"x"}}"#, "customHeaders"),
            (
                r#"{"retryPolicy":{"policy":"linear","delaySeconds":0,"attempts":1}}"#,
                "retryPolicy.delaySeconds",
            ),
            (r#"{"retryPolicy":{"policy":"linear","delaySeconds":1,"attempts":31}}"#, "retryPolicy.attempts"),
        ] {
            assert_eq!(field(body).as_deref(), Some(named), "{body}");
        }
        assert_eq!(read(r#"{"sessionId":"x"}"#), Err(ApiError::not_found()));
    }

    #[test]
    fn what_is_absent_stays_and_null_is_the_default() {
        assert_eq!(read("{}"), Ok(WebhookSettings::default()));
        let reset = r#"{"events":null,"sessionId":null,"customHeaders":null,"retryPolicy":null,"url":null,"active":null,"secret":null}"#;
        assert_eq!(
            read(reset),
            Ok(WebhookSettings {
                events: Some(all_events()),
                session: Some(None),
                custom_headers: Some(CustomHeaders::default()),
                retry_policy: Some(RetryPolicy::default()),
                ..WebhookSettings::default()
            })
        );
        let given = r#"{"url":"https://example.com","events":["message","webhook.disabled"],"active":false,
            "sessionId":"01arz3ndektsv4rrffq69g5fav","customHeaders":{"X-A":"b"},
            "retryPolicy":{"policy":"constant","delaySeconds":3600,"attempts":30}}"#;
        let given = read(given).unwrap();
        assert_eq!(given.url.as_deref(), Some("https://example.com"), "as it was given");
        assert_eq!(given.session, Some(Some("01ARZ3NDEKTSV4RRFFQ69G5FAV".to_owned())));
        assert_eq!(given.events, Some(vec!["message".to_owned(), "webhook.disabled".to_owned()]));
    }

    #[test]
    fn unknown_fields_and_foreign_types_are_refused() {
        for wrong in [
            r#"{"uri":"https://example.com"}"#,
            r#"{"events":"message"}"#,
            r#"{"events":[1]}"#,
            r#"{"customHeaders":{"X-A":1}}"#,
            r#"{"customHeaders":[]}"#,
            r#"{"retryPolicy":{"policy":"sometimes","delaySeconds":1,"attempts":1}}"#,
            r#"{"retryPolicy":{"policy":"linear"}}"#,
            r#"{"retryPolicy":{"policy":"linear","delaySeconds":1,"attempts":1,"more":1}}"#,
            r#"{"active":"yes"}"#,
        ] {
            assert!(serde_json::from_str::<WebhookBody>(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_star_is_no_filter() {
        assert_eq!(filter(&all_events()), Vec::<String>::new());
        assert_eq!(filter(&["message".to_owned()]), ["message"]);
    }

    #[test]
    fn a_rotation_has_limits() {
        let read = |body: &str| serde_json::from_str::<RotateWebhookSecretInputBody>(body).unwrap().read();
        assert_eq!(read("{}"), Ok((None, 86_400)));
        assert_eq!(read(r#"{"overlapSeconds":0}"#), Ok((None, 0)));
        assert!(read(r#"{"overlapSeconds":604801}"#).is_err());
        assert!(read(r#"{"secret":"x"}"#).is_err());
    }

    #[test]
    fn the_resources_layout_is_the_contracts() {
        let webhook = Webhook {
            id: "id".into(),
            organization_id: "org".into(),
            url: "https://example.com".into(),
            session_id: None,
            events: all_events(),
            active: true,
            custom_headers: CustomHeaders::default(),
            retry_policy: RetryPolicy::default(),
            disabled_reason: Some(DisabledReason::Gone),
            disabled_at: Some(3),
            previous_secret_expires_at: None,
            created_at: 1,
            updated_at: 2,
        };
        let shown = WebhookWithSecret { webhook, secret: "whsec_x".into() };
        assert_eq!(
            serde_json::to_value(&shown).unwrap(),
            serde_json::json!({
                "id": "id", "organizationId": "org", "url": "https://example.com", "sessionId": null,
                "events": ["*"], "active": true, "customHeaders": {},
                "retryPolicy": {"policy": "exponential", "delaySeconds": 2, "attempts": 15},
                "disabledReason": "gone", "disabledAt": 3, "previousSecretExpiresAt": null,
                "createdAt": 1, "updatedAt": 2, "secret": "whsec_x",
            })
        );
    }
}
