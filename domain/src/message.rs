//! Messages: what a caller may send, and what comes in.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::error::ApiError;
use crate::jid::{ChatJid, Server, parse_recipient};

/// The longest text WhatsApp takes, in characters.
pub const MAX_TEXT_CHARS: usize = 65_536;

/// What `POST …/messages` takes, discriminated by `type`. This version sends `text`; every other type of the
/// contract answers `not_implemented`.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SendRequest {
    /// A JID, or the digits of a phone number.
    pub to: String,
    /// The kind of message.
    pub r#type: MessageType,
    /// `text`: the text, 1 to 65536 characters.
    pub text: Option<String>,
    /// The WhatsApp id of the message this one answers.
    pub reply_to: Option<String>,
    /// JIDs mentioned in the text.
    pub mentions: Option<Vec<String>>,
    /// `poll`, `location`: the name.
    pub name: Option<String>,
    /// `poll`: the options.
    pub options: Option<Vec<String>>,
    /// `poll`: how many may be chosen.
    pub selectable_count: Option<i64>,
    /// `poll`: when it closes, epoch milliseconds.
    pub poll_end_time: Option<i64>,
    /// `poll`: hide who voted for what.
    pub poll_hide_votes: Option<bool>,
    /// `location`: degrees.
    pub latitude: Option<f64>,
    /// `location`: degrees.
    pub longitude: Option<f64>,
    /// `contact`: the card.
    #[schema(value_type = Option<Object>)]
    pub contact: Option<Map<String, Value>>,
    /// Media types: the media.
    #[schema(value_type = Option<Object>)]
    pub media: Option<Map<String, Value>>,
    /// `album`: the media.
    #[schema(value_type = Option<Vec<Object>>)]
    pub medias: Option<Vec<Map<String, Value>>>,
    /// Media types: the caption.
    pub caption: Option<String>,
}

/// The kinds of message of the contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "the names say it")]
pub enum MessageType {
    Text,
    Poll,
    Location,
    Contact,
    Image,
    Video,
    Audio,
    Document,
    Sticker,
    Album,
}

/// A text to send, checked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Text {
    /// The chat's canonical JID.
    pub to: String,
    /// The text.
    pub text: String,
}

impl SendRequest {
    /// Checks the request and takes out what is sent.
    ///
    /// # Errors
    /// `validation_error` naming the field; `not_implemented` for what this version doesn't send.
    pub fn into_text(self) -> Result<Text, ApiError> {
        let ChatJid { user, server } =
            parse_recipient(&self.to).map_err(|reason| ApiError::validation("to", reason))?;
        if self.r#type != MessageType::Text {
            return Err(ApiError::not_implemented("This version sends texts only.").with("field", "type"));
        }
        if server == Server::Newsletter {
            return Err(
                ApiError::not_implemented("This version does not send to channels.").with("field", "to")
            );
        }
        let others = [("replyTo", self.reply_to.is_some()), ("mentions", self.mentions.is_some())];
        if let Some((field, _)) = others.into_iter().find(|(_, present)| *present) {
            return Err(ApiError::not_implemented("This version sends plain texts.").with("field", field));
        }
        let foreign = [
            ("name", self.name.is_some()),
            ("options", self.options.is_some()),
            ("selectableCount", self.selectable_count.is_some()),
            ("pollEndTime", self.poll_end_time.is_some()),
            ("pollHideVotes", self.poll_hide_votes.is_some()),
            ("latitude", self.latitude.is_some()),
            ("longitude", self.longitude.is_some()),
            ("contact", self.contact.is_some()),
            ("media", self.media.is_some()),
            ("medias", self.medias.is_some()),
            ("caption", self.caption.is_some()),
        ];
        if let Some((field, _)) = foreign.into_iter().find(|(_, present)| *present) {
            return Err(ApiError::validation(field, "Does not belong to a message of type text."));
        }
        let text = self.text.ok_or_else(|| ApiError::validation("text", "Is required for type text."))?;
        if text.trim().is_empty() || text.chars().count() > MAX_TEXT_CHARS {
            return Err(ApiError::validation("text", "Must be 1 to 65536 characters, not only white space."));
        }
        Ok(Text { to: ChatJid { user, server }.to_string(), text })
    }
}

/// What a send answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SendResult {
    /// `sync` or `async`.
    pub mode: String,
    /// The outbox entry of an asynchronous send.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outbox_id: Option<String>,
    /// Whether an earlier answer to the same `Idempotency-Key` was replayed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replayed: Option<bool>,
    /// `sent` once WhatsApp's server has acknowledged it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// The server's time of acknowledgement, epoch milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<u64>,
    /// The message's id on WhatsApp.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wa_message_id: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorCode;

    fn send(body: &str) -> Result<Text, (ErrorCode, String)> {
        serde_json::from_str::<SendRequest>(body)
            .unwrap_or_else(|error| panic!("{body}: {error}"))
            .into_text()
            .map_err(|error| (error.error.code, error.error.details["field"].as_str().unwrap().to_owned()))
    }

    #[test]
    fn a_text_is_taken_with_its_canonical_recipient() {
        assert_eq!(
            send(r#"{"type":"text","to":"4915112345678","text":"hi"}"#),
            Ok(Text { to: "4915112345678@s.whatsapp.net".into(), text: "hi".into() })
        );
    }

    #[test]
    fn each_fault_names_its_field() {
        let validation = |field: &str| Err((ErrorCode::ValidationError, field.to_owned()));
        assert_eq!(send(r#"{"type":"text","to":"x","text":"hi"}"#), validation("to"));
        assert_eq!(send(r#"{"type":"text","to":"4915112345678"}"#), validation("text"));
        assert_eq!(send(r#"{"type":"text","to":"4915112345678","text":" \n"}"#), validation("text"));
        assert_eq!(
            send(r#"{"type":"text","to":"4915112345678","text":"a","caption":"b"}"#),
            validation("caption")
        );
        let long = format!(r#"{{"type":"text","to":"4915112345678","text":"{}"}}"#, "é".repeat(65_537));
        assert_eq!(send(&long), validation("text"));
        let longest = format!(r#"{{"type":"text","to":"4915112345678","text":"{}"}}"#, "é".repeat(65_536));
        assert!(send(&longest).is_ok());
    }

    #[test]
    fn what_this_version_cannot_send_is_said_so() {
        assert_eq!(
            send(r#"{"type":"poll","to":"4915112345678"}"#),
            Err((ErrorCode::NotImplemented, "type".to_owned()))
        );
        assert_eq!(
            send(r#"{"type":"text","to":"4915112345678","text":"a","replyTo":"x"}"#),
            Err((ErrorCode::NotImplemented, "replyTo".to_owned()))
        );
    }
}
