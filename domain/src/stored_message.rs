//! A message as it is kept, and as `GET …/messages/{mid}` shows it.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::event::MediaMeta;

/// A message of a chat.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Message)]
#[allow(clippy::struct_excessive_bools, reason = "the contract's")]
pub struct StoredMessage {
    /// Its id on WhatsApp; members of a group may choose the same, `chat` and `senderJid` tell them apart.
    pub id: String,
    /// The session.
    pub session_id: String,
    /// Its id on WhatsApp.
    pub wa_message_id: String,
    /// The chat.
    pub chat_jid: String,
    /// Who sent it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sender_jid: Option<String>,
    /// The sender's hidden id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sender_lid: Option<String>,
    /// The name the sender gave themselves.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sender_name: Option<String>,
    /// Whether this number sent it, from any of its devices.
    pub from_me: bool,
    /// `in` or `out`.
    pub direction: String,
    /// The kind of message.
    pub r#type: String,
    /// The text, or the caption.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// Whether there is media to fetch.
    pub has_media: bool,
    /// The media.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub media: Option<MediaMeta>,
    /// Who is mentioned in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub mentions: Option<Value>,
    /// The message it answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quoted_message_id: Option<String>,
    /// `pending`, `sent`, `delivered`, `read`, `played` or `failed`, for what this number sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// The same as a number: -1 failed, 0 pending, 1 sent, 2 delivered, 3 read, 4 played.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ack_level: Option<i64>,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Whether its text was changed.
    pub edited: bool,
    /// Whether it was taken back.
    pub deleted: bool,
    /// When WhatsApp's server took it, epoch milliseconds.
    pub timestamp: u64,
    /// The same: when it was first known is not kept apart.
    pub created_at: u64,
}

/// The status as a number.
#[must_use]
pub fn ack_level(status: &str) -> i64 {
    match status {
        "failed" => -1,
        "sent" => 1,
        "delivered" => 2,
        "read" => 3,
        "played" => 4,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ack_level_grows_with_the_status() {
        let levels = ["failed", "pending", "sent", "delivered", "read", "played"].map(ack_level);
        assert_eq!(levels, [-1, 0, 1, 2, 3, 4]);
    }
}
