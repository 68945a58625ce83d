//! A text and nothing else: what could be sent before every type could. Gone when the object takes
//! [`Outgoing`](super::Outgoing).

use serde::{Deserialize, Serialize};

use crate::error::ApiError;
use crate::jid::{ChatJid, Server};

use super::fields::{chat, required};
use super::limits::MAX_TEXT_CHARS;
use super::request::{MessageType, SendRequest};

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
    /// `validation_error` naming the field; `not_implemented` for what is no plain text.
    pub fn into_text(self) -> Result<Text, ApiError> {
        let ChatJid { user, server } = chat("to", &required("to", self.to.clone())?)?;
        let kind = required("type", self.r#type)?;
        if kind != MessageType::Text {
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
        if let Some(field) = self.foreign_field(kind) {
            return Err(ApiError::validation(field, "Does not belong to a message of type text."));
        }
        let text = self.text.ok_or_else(|| ApiError::validation("text", "Is required for type text."))?;
        if text.trim().is_empty() || text.chars().count() > MAX_TEXT_CHARS {
            return Err(ApiError::validation("text", "Must be 1 to 65536 characters, not only white space."));
        }
        Ok(Text { to: ChatJid { user, server }.to_string(), text })
    }
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
