//! Events: the envelope and the catalogue, exactly as the contract's "Events" has them.
//!
//! The payloads are in the folder, one file a subject: `session`, `message`, `poll`, `surroundings`.

#[cfg(test)]
mod contract;
mod message;
mod poll;
mod session;
mod surroundings;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::error::ApiError;

pub use message::{ContactData, LocationData, MediaMeta, MentionData, MessagePayload, MessageStatusPayload};
pub use poll::{PollData, PollRecapOption, PollRecapPayload, PollRecapVoter};
pub use session::{AuthCodePayload, AuthQrPayload, SessionStatusPayload};
pub use surroundings::{
    CallPayload, ChatUpdatePayload, ContactUpdatePayload, GroupPayload, NewsletterPayload, PresenceStatus,
};

/// Everything a session's log can say.
pub const CATALOGUE: [&str; 18] = [
    "session.status",
    "auth.qr",
    "auth.code",
    "message",
    "message.from_me",
    "message.reaction",
    "message.edited",
    "message.revoked",
    "message.status",
    "poll.vote",
    "poll.recap",
    "presence.update",
    "chat.update",
    "contact.update",
    "group.update",
    "group.participant",
    "call.incoming",
    "newsletter.update",
];

/// What the gateway tells of itself in an organization's log: no session's event, so it has no `seq`.
const WEBHOOK_DISABLED: &str = "webhook.disabled";

/// One event, as every reader gets it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Envelope {
    /// The layout's version: `v1`.
    pub schema: String,
    /// `evt_` and a ULID: the same on every transport and every retry.
    pub id: String,
    /// The event's type.
    pub event: String,
    /// The session it happened in.
    pub session: String,
    /// The organization that owns the session.
    pub organization: String,
    /// When it happened, epoch milliseconds.
    pub timestamp: u64,
    /// Its place in the session's log: 1, 2, 3 … without a gap.
    pub seq: u64,
    /// The connection it happened on.
    pub epoch: u64,
    /// What happened; its shape depends on `event`.
    #[schema(value_type = Object)]
    pub payload: Value,
}

/// Reads a `types` filter: names of the catalogue, separated by commas; empty for all.
///
/// # Errors
/// `validation_error` for a name that is not in the catalogue.
pub fn types(text: Option<&str>) -> Result<Vec<String>, ApiError> {
    let mut types: Vec<String> = Vec::new();
    for name in text.unwrap_or_default().split(',').map(str::trim).filter(|name| !name.is_empty()) {
        if !CATALOGUE.contains(&name) && name != WEBHOOK_DISABLED {
            return Err(ApiError::validation("types", "Names an event that is not in the catalogue."));
        }
        if !types.iter().any(|known| known == name) {
            types.push(name.to_owned());
        }
    }
    Ok(types)
}

/// Reads a position in a session's log: the `seq` after which to go on; 0 is the beginning.
///
/// # Errors
/// `validation_error` naming `field` when it is not a position.
pub fn position(field: &str, text: Option<&str>) -> Result<u64, ApiError> {
    let Some(text) = text else { return Ok(0) };
    let digits = !text.is_empty() && text.len() <= 16 && text.bytes().all(|byte| byte.is_ascii_digit());
    match text.parse::<u64>() {
        Ok(seq) if digits && seq <= 9_007_199_254_740_991 => Ok(seq),
        _ => Err(ApiError::validation(field, "Must be the seq of an event of this log.")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_whole_numbers() {
        assert_eq!(position("after", None), Ok(0));
        assert_eq!(position("after", Some("17")), Ok(17));
        for damaged in ["", "-1", "+1", "1.0", "x", "99999999999999999", "１"] {
            assert!(position("after", Some(damaged)).is_err(), "{damaged}");
        }
    }

    #[test]
    fn a_type_outside_the_catalogue_is_refused() {
        assert_eq!(
            types(Some("message, auth.qr,,message")),
            Ok(vec!["message".to_owned(), "auth.qr".to_owned()])
        );
        assert!(types(Some("message,nope")).is_err());
    }
}
