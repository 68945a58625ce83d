//! One field of a request: there, of the right kind, within its limits. The error says which field it is.

use crate::error::ApiError;
use crate::jid::{ChatJid, Server, is_phone_number, parse_recipient};

use super::limits;

/// What must be there.
pub(super) fn required<T>(field: &str, value: Option<T>) -> Result<T, ApiError> {
    value.ok_or_else(|| ApiError::validation(field, "Is required."))
}

/// A text of one line or more.
pub(super) fn text(field: &str, text: String, most: usize) -> Result<String, ApiError> {
    if text.trim().is_empty() || text.chars().count() > most {
        return Err(ApiError::validation(
            field,
            format!("Must be 1 to {most} characters, not only white space."),
        ));
    }
    Ok(text)
}

/// A text of one line.
pub(super) fn line(field: &str, line: String, most: usize) -> Result<String, ApiError> {
    if line.chars().any(char::is_control) {
        return Err(ApiError::validation(field, "Must not have line breaks or control characters in it."));
    }
    text(field, line, most)
}

/// A chat: somebody, a group or a channel.
pub(super) fn chat(field: &str, text: &str) -> Result<ChatJid, ApiError> {
    parse_recipient(text).map_err(|reason| ApiError::validation(field, reason))
}

/// Somebody, by phone number or LID, in canonical form.
pub(super) fn person(field: &str, text: &str) -> Result<String, ApiError> {
    let jid = chat(field, text)?;
    if matches!(jid.server, Server::Phone | Server::Lid) {
        Ok(jid.to_string())
    } else {
        Err(ApiError::validation(
            field,
            "Must be a person: a JID of s.whatsapp.net or lid, or a phone number.",
        ))
    }
}

/// The digits of a phone number.
pub(super) fn phone(field: &str, text: &str) -> Result<String, ApiError> {
    let digits = text.strip_prefix('+').unwrap_or(text);
    if is_phone_number(digits) {
        Ok(digits.to_owned())
    } else {
        Err(ApiError::validation(
            field,
            "Must be the digits of an international phone number (7 to 15 of them).",
        ))
    }
}

/// The WhatsApp id of a message, as a body or a path names it.
///
/// # Errors
/// `validation_error` naming `field` when no message can have it.
pub fn message_id(field: &str, text: &str) -> Result<String, ApiError> {
    let has_length = (1..=limits::MAX_MESSAGE_ID_CHARS).contains(&text.len());
    if has_length && text.bytes().all(|byte| byte.is_ascii_graphic()) {
        Ok(text.to_owned())
    } else {
        Err(ApiError::validation(
            field,
            "Must be a message's WhatsApp id: 1 to 128 visible ASCII characters.",
        ))
    }
}
