//! JSON objects without nulls: a field that isn't in the message isn't in its description.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD as BASE64;
use serde::Serialize;
use serde_json::{Map, Value};
use waproto::whatsapp::{Message, MessageKey};

/// An object in the making.
#[derive(Default)]
pub struct Fields(Map<String, Value>);

impl Fields {
    pub fn put(&mut self, name: &str, value: Option<impl Serialize>) {
        // Strings, numbers and lists of them: they can't fail to be JSON.
        if let Some(value) = value.and_then(|value| serde_json::to_value(value).ok()) {
            self.0.insert(name.to_owned(), value);
        }
    }

    pub fn bytes(&mut self, name: &str, bytes: Option<&Vec<u8>>) {
        self.put(name, bytes.map(|bytes| BASE64.encode(bytes)));
    }

    /// Which message another one is about.
    pub fn target(&mut self, name: &str, key: Option<&MessageKey>) {
        let Some(key) = key else { return };
        let mut target = Self::default();
        target.put("id", key.id.as_ref());
        target.put("fromMe", key.from_me);
        target.put("remoteJid", key.remote_jid.as_ref());
        target.put("participant", key.participant.as_ref());
        self.put(name, Some(target.into_value()));
    }

    pub fn into_value(self) -> Value {
        Value::Object(self.0)
    }
}

/// The name of the part that a message nobody describes consists of, as the protocol writes it.
pub fn part(message: &Message) -> Option<String> {
    let Ok(Value::Object(parts)) = serde_json::to_value(message) else { return None };
    let filled = parts.into_iter().find(|(name, value)| {
        let filled = match value {
            Value::Null => false,
            Value::Array(items) => !items.is_empty(),
            _ => true,
        };
        filled && !name.contains("message_context_info") && !name.contains("messageContextInfo")
    })?;
    let mut words = filled.0.split('_');
    let first = words.next().unwrap_or_default().to_owned();
    Some(words.fold(first, |name, word| {
        let mut letters = word.chars();
        let initial = letters.next().map(|letter| letter.to_ascii_uppercase()).into_iter();
        name + &initial.chain(letters).collect::<String>()
    }))
}
