//! Events: the envelope and the catalogue, exactly as the contract's "Events" has them.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::error::ApiError;
use crate::lifecycle::Status;

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

/// `session.status`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct SessionStatusPayload {
    /// The new status.
    pub status: Status,
}

/// `auth.qr`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = AuthQRPayload)]
pub struct AuthQrPayload {
    /// The raw string to encode in the picture.
    pub code: String,
    /// When it stops being valid, epoch milliseconds.
    pub expires_at: u64,
}

/// `auth.code`: a phone accepted the pairing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AuthCodePayload {
    /// The new device's JID.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jid: Option<String>,
    /// The account's hidden id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lid: Option<String>,
    /// The name of a business account.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub business_name: Option<String>,
    /// What the phone runs on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub platform: Option<String>,
}

/// What is known of a message's media.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct MediaMeta {
    /// The file's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filename: Option<String>,
    /// The media type.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mimetype: Option<String>,
    /// Bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
}

/// `message`, `message.from_me`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct MessagePayload {
    /// The message's id on WhatsApp.
    pub wa_message_id: String,
    /// The chat it belongs to.
    pub chat_jid: String,
    /// Who sent it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sender_jid: Option<String>,
    /// The sender's hidden id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sender_lid: Option<String>,
    /// Whether this number sent it, from any of its devices.
    pub from_me: bool,
    /// The name the sender gave themselves.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub push_name: Option<String>,
    /// The kind of message.
    pub r#type: String,
    /// The text, or the caption.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// Whether there is media to fetch.
    pub has_media: bool,
    /// The media; empty when there is none.
    pub media: MediaMeta,
    /// The message this one answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quoted_message_id: Option<String>,
    /// When WhatsApp's server took it, epoch milliseconds.
    pub timestamp: u64,
}

/// `message.status`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct MessageStatusPayload {
    /// The chat.
    pub chat_jid: String,
    /// The messages whose status changed.
    pub message_ids: Vec<String>,
    /// Whose device reported it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sender_jid: Option<String>,
    /// `pending`, `sent`, `delivered`, `read`, `played` or `failed`.
    pub status: String,
    /// When, epoch milliseconds.
    pub timestamp: u64,
}

/// Reads a `types` filter: names of the catalogue, separated by commas; empty for all.
///
/// # Errors
/// `validation_error` for a name that is not in the catalogue.
pub fn types(text: Option<&str>) -> Result<Vec<String>, ApiError> {
    let mut types: Vec<String> = Vec::new();
    for name in text.unwrap_or_default().split(',').map(str::trim).filter(|name| !name.is_empty()) {
        if !CATALOGUE.contains(&name) {
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
    use serde_json::json;

    #[test]
    fn a_text_event_is_pinned() {
        let payload = MessagePayload {
            wa_message_id: "3EB0".into(),
            chat_jid: "4915112345678@s.whatsapp.net".into(),
            sender_jid: Some("4915112345678@s.whatsapp.net".into()),
            sender_lid: None,
            from_me: false,
            push_name: Some("Bob".into()),
            r#type: "text".into(),
            body: Some("hi".into()),
            has_media: false,
            media: MediaMeta::default(),
            quoted_message_id: None,
            timestamp: 1_700_000_000_000,
        };
        assert_eq!(
            json!(payload),
            json!({"waMessageId":"3EB0","chatJid":"4915112345678@s.whatsapp.net","senderJid":"4915112345678@s.whatsapp.net",
                "fromMe":false,"pushName":"Bob","type":"text","body":"hi","hasMedia":false,"media":{},"timestamp":1_700_000_000_000_u64})
        );
    }

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
