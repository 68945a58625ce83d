//! Messages, from outside.

mod about;
mod fields;
mod foreign;
mod media;
mod media_types;
mod outgoing;
mod samples;

use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::*;
use crate::error::{ApiError, ErrorCode};

/// When the tests are.
const NOW: u64 = 1_700_000_000_000;
const BOB: &str = "4915112345678";
const BOB_JID: &str = "4915112345678@s.whatsapp.net";
const GROUP: &str = "120363041234567890@g.us";
const CHANNEL: &str = "120363041234567890@newsletter";

/// What an error says: its code and its field. A body that can't be read has no field here: the front door adds it.
type Refusal = (ErrorCode, String);

fn refusal(error: &ApiError) -> Refusal {
    (
        error.error.code,
        error.error.details.get("field").and_then(Value::as_str).unwrap_or_default().to_owned(),
    )
}

fn invalid<T>(field: &str) -> Result<T, Refusal> {
    Err((ErrorCode::ValidationError, field.to_owned()))
}

fn missing<T>(field: &str) -> Result<T, Refusal> {
    Err((ErrorCode::NotImplemented, field.to_owned()))
}

fn read<T: DeserializeOwned>(body: &Value) -> Result<T, Refusal> {
    serde_json::from_value(body.clone()).map_err(|_| (ErrorCode::ValidationError, "unreadable".to_owned()))
}

fn send(body: &Value) -> Result<Outgoing, Refusal> {
    read::<SendRequest>(body)?.into_outgoing(NOW).map_err(|error| refusal(&error))
}

/// A body with one member more, or another, or (for `null`) one less.
fn with(body: &Value, path: &str, value: Value) -> Value {
    let mut changed = body.clone();
    let (parent, name) = path.rsplit_once('/').unwrap();
    match changed.pointer_mut(parent).unwrap() {
        Value::Object(object) if value.is_null() => drop(object.remove(name)),
        Value::Object(object) => drop(object.insert(name.to_owned(), value)),
        Value::Array(list) => list[name.parse::<usize>().unwrap()] = value,
        other => panic!("{other} has no members"),
    }
    changed
}

/// The smallest body of each type.
fn smallest(kind: &str) -> Value {
    let mut body = match kind {
        "text" => json!({"text": "hi"}),
        "poll" => json!({"name": "Tea?", "options": ["yes", "no"]}),
        "location" => json!({"latitude": 52.5, "longitude": 13.4}),
        "contact" => json!({"contact": {"name": "Jane", "phone": BOB}}),
        "album" => json!({"medias": [
            {"type": "image", "url": "https://example.com/1"}, {"type": "video", "url": "http://example.com/2"}]}),
        _ => json!({"media": {"url": "https://example.com/file"}}),
    };
    body["type"] = kind.into();
    body["to"] = BOB.into();
    body
}

const KINDS: [&str; 10] =
    ["text", "poll", "location", "contact", "image", "video", "audio", "document", "sticker", "album"];
