//! What happens in chats: messages, and what becomes of them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::PollData;

/// `message`, `message.from_me`, `message.reaction`, `message.edited`, `message.revoked`, `poll.vote`.
///
/// Also what is kept of a message beside its text (`message_detail`): a field that is added is optional.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct MessagePayload {
    /// The id on WhatsApp: of the message, or of the reaction, edit, revocation or vote itself.
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
    /// The text, or the caption; of an edit the new one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// Whether there is media to fetch.
    pub has_media: bool,
    /// The media; empty when there is none.
    pub media: MediaMeta,
    /// A place.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub location: Option<LocationData>,
    /// A person, or several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contact: Option<ContactData>,
    /// A question to vote on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub poll: Option<PollData>,
    /// Who is mentioned, by their JIDs as the text has them after its `@`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schema(value_type = Object)]
    pub mentions: BTreeMap<String, MentionData>,
    /// The message this one answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quoted_message_id: Option<String>,
    /// Its text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quoted_body: Option<String>,
    /// Whether this number sent that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quoted_from_me: Option<bool>,
    /// Who sent that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quoted_sender_jid: Option<String>,
    /// Their hidden id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quoted_sender_lid: Option<String>,
    /// The message a reaction, edit, revocation or vote is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target_id: Option<String>,
    /// The emoji of a reaction; empty when it was taken back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reaction: Option<String>,
    /// What was voted for, none of it when the vote was taken back; missing when the vote can't be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub selected_options: Option<Vec<String>>,
    /// When WhatsApp's server took it, epoch milliseconds.
    pub timestamp: u64,
}

/// What is known of a message's media.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
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

/// A place somebody shared.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct LocationData {
    /// Degrees north.
    pub latitude: f64,
    /// Degrees east.
    pub longitude: f64,
    /// What it is called.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Where that is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
}

/// A person somebody shared.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ContactData {
    /// What they are called.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// Their vCard; of several people one after the other.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vcard: Option<String>,
}

/// What is known of somebody who is mentioned.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct MentionData {
    /// The name they gave themselves.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub push_name: Option<String>,
    /// What they are labelled in the group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
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

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn text() -> MessagePayload {
        MessagePayload {
            wa_message_id: "3EB0".into(),
            chat_jid: "4915112345678@s.whatsapp.net".into(),
            sender_jid: Some("4915112345678@s.whatsapp.net".into()),
            push_name: Some("Bob".into()),
            r#type: "text".into(),
            body: Some("hi".into()),
            timestamp: 1_700_000_000_000,
            ..MessagePayload::default()
        }
    }

    #[test]
    fn a_text_event_is_pinned() {
        assert_eq!(
            json!(text()),
            json!({"waMessageId":"3EB0","chatJid":"4915112345678@s.whatsapp.net","senderJid":"4915112345678@s.whatsapp.net",
                "fromMe":false,"pushName":"Bob","type":"text","body":"hi","hasMedia":false,"media":{},"timestamp":1_700_000_000_000_u64})
        );
    }

    /// It outlives deploys in `message_detail`: what an older gateway stored must still be read.
    #[test]
    fn what_was_stored_is_read_again() {
        let stored = serde_json::to_string(&text()).unwrap();
        assert_eq!(serde_json::from_str::<MessagePayload>(&stored).unwrap(), text());
    }
}
