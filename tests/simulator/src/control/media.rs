//! `/media`: what is on the media hosts.

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::{Value, json};
use wacore_binary::Jid;

use super::{Error, Shared};
use crate::media::{Blob, Key};

/// What a download of an expired file is answered.
const GONE: u16 = 410;

#[derive(Deserialize)]
pub struct Expiry {
    status: Option<u16>,
}

fn shown(name: &str, blob: &Blob, key: Option<&Key>) -> Value {
    let record = &blob.record;
    let by = record.uploaded_by.as_ref();
    json!({
        "sha256": name,
        "type": record.kind,
        "bytes": blob.bytes.len(),
        "directPath": record.direct_path,
        "uploadedBy": by.map(|by| Jid::pn_device(by.number.as_str(), by.device).to_string()),
        "uploads": record.uploads,
        "downloads": record.downloads,
        "underWay": blob.under_way.count(),
        "gone": record.gone,
        "fileSha256": key.map(|key| hex::encode(&key.sha256)),
        "mimetype": key.map(|key| &key.mimetype),
    })
}

pub async fn list(State(world): Shared) -> Json<Value> {
    let all = world.media.list();
    let shown: Vec<_> = all.iter().map(|(name, blob, key)| shown(name, blob, key.as_ref())).collect();
    Json(json!({ "media": shown }))
}

/// The contents of a file, for which a phone must have had the message that is about it.
pub async fn show(State(world): Shared, Path(hash): Path<String>) -> Result<Response, Error> {
    let (_, blob, key) = world.media.find(&in_hex(&hash)).ok_or_else(no_such_file)?;
    let conflict = |code, message: &str| Error::new(StatusCode::CONFLICT, code, message);
    let key = key.ok_or_else(|| conflict("no_key", "no phone knows what it was encrypted with"))?;
    let plain = key.open(&blob).map_err(|error| conflict("not_the_file", &format!("{error:#}")))?;
    Ok(([(header::CONTENT_TYPE, key.mimetype.clone())], Body::from(plain)).into_response())
}

pub async fn expire(
    State(world): Shared,
    Path(hash): Path<String>,
    Query(expiry): Query<Expiry>,
) -> Result<StatusCode, Error> {
    let (name, ..) = world.media.find(&in_hex(&hash)).ok_or_else(no_such_file)?;
    world.media.expire(&name, expiry.status.unwrap_or(GONE));
    Ok(StatusCode::NO_CONTENT)
}

/// A hash in hex or the way it is in a URL.
fn in_hex(hash: &str) -> String {
    match BASE64_URL_SAFE_NO_PAD.decode(hash.trim_end_matches('=')) {
        Ok(bytes) if bytes.len() == 32 => hex::encode(bytes),
        _ => hash.to_lowercase(),
    }
}

fn no_such_file() -> Error {
    Error::not_found("no such file")
}
