//! Messages, from outside.

mod about;
mod fields;
mod foreign;
mod media;
mod media_types;
mod outgoing;
mod samples;
mod send_body;

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
    send_with_files(body).map(|(outgoing, _)| outgoing)
}

/// A request and its files, read as the front door and the session do.
fn send_with_files(body: &Value) -> Result<(Outgoing, Vec<Vec<u8>>), Refusal> {
    let (rest, found, files) = apart(body.to_string().as_bytes());
    let request = read::<SendRequest>(&serde_json::from_slice(&rest).unwrap())?;
    let outgoing = request.into_outgoing(&found, NOW).map_err(|error| refusal(&error))?;
    outgoing.examine(|number| Ok(&files[number])).map_err(|error| refusal(&error))?;
    Ok((outgoing, files))
}

/// The JSON of a body without its files, what was found of them, and their bytes.
fn apart(body: &[u8]) -> (Vec<u8>, Vec<FileFound>, Vec<Vec<u8>>) {
    let mut files: Vec<Vec<u8>> = Vec::new();
    let mut reading = SendBody::default();
    reading.feed(body, &mut |number, bytes: &[u8]| {
        files.resize(files.len().max(number + 1), Vec::new());
        files[number].extend(bytes);
    });
    let (rest, found) = reading.end().expect("no longer than it may be");
    files.resize(found.len(), Vec::new());
    (rest, found, files)
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
