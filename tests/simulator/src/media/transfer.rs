//! What an upload and a download are answered, apart from HTTP itself.

use std::time::Duration;

use axum::Json;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use serde_json::json;

use super::name_of;
use crate::account::DeviceAddress;
use crate::faults::{Kind, Transfer};
use crate::world::World;

/// On a response instead of which the connection is dropped.
#[derive(Clone, Copy, Debug)]
pub struct Dropped;

pub fn dropped() -> Response {
    let mut response = StatusCode::BAD_GATEWAY.into_response();
    response.extensions_mut().insert(Dropped);
    response
}

pub fn refused(status: u16, message: &str) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    (status, Json(json!({ "error": { "code": status.as_u16(), "message": message } }))).into_response()
}

/// What goes wrong before anything else is looked at.
pub async fn faults(
    world: &World,
    host: usize,
    transfer: Transfer,
    peer: Option<&DeviceAddress>,
) -> Option<Response> {
    let here = |on: &Option<Transfer>| on.is_none_or(|on| on == transfer);
    let delay = world.faults.take(peer, |kind| match kind {
        Kind::MediaDelay { ms, on } if here(on) => Some(*ms),
        _ => None,
    });
    if let Some(ms) = delay {
        tokio::time::sleep(Duration::from_millis(ms)).await;
    }
    let status = world.faults.take(peer, |kind| match kind {
        Kind::MediaError { status, host: at, on } if here(on) && at.is_none_or(|at| at == host) => {
            Some(*status)
        }
        _ => None,
    })?;
    Some(status.map_or_else(dropped, |status| refused(status, "on demand")))
}

/// A whole file, from its last part and what was there of it before.
pub fn assembled(part: &Bytes, offset: Option<usize>, rest: Bytes) -> Option<Bytes> {
    match offset {
        None | Some(0) => Some(rest),
        Some(offset) => Some([part.get(..offset)?, rest.as_ref()].concat().into()),
    }
}

/// Whether these bytes are what the token says.
pub fn matches(token: &str, bytes: &[u8]) -> bool {
    name_of_token(token).is_some_and(|name| name == name_of(bytes))
}

/// The name of the file a token is for.
pub fn name_of_token(token: &str) -> Option<String> {
    use base64::Engine as _;
    let token = token.trim_end_matches('=');
    base64::prelude::BASE64_URL_SAFE_NO_PAD.decode(token).ok().map(hex::encode)
}

/// A file, or the part of it that was asked for.
pub fn sent(bytes: &Bytes, headers: &HeaderMap) -> Response {
    let total = bytes.len();
    let wanted = headers.get(header::RANGE).and_then(|range| range.to_str().ok());
    let Some(range) = wanted.and_then(|range| range.strip_prefix("bytes=")) else {
        return file(StatusCode::OK, bytes.clone());
    };
    let (start, end) = range.split_once('-').unwrap_or((range, ""));
    let start = start.parse().unwrap_or(0usize);
    let end = end.parse().map_or(total, |end: usize| (end + 1).min(total));
    if start >= end {
        let mut response = StatusCode::RANGE_NOT_SATISFIABLE.into_response();
        described(&mut response, &format!("bytes */{total}"));
        return response;
    }
    let mut response = file(StatusCode::PARTIAL_CONTENT, bytes.slice(start..end));
    described(&mut response, &format!("bytes {start}-{}/{total}", end - 1));
    response
}

fn file(status: StatusCode, bytes: Bytes) -> Response {
    (status, [(header::CONTENT_TYPE, "application/octet-stream"), (header::ACCEPT_RANGES, "bytes")], bytes)
        .into_response()
}

fn described(response: &mut Response, range: &str) {
    if let Ok(range) = HeaderValue::from_str(range) {
        response.headers_mut().insert(header::CONTENT_RANGE, range);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(range: &'static str) -> (u16, Option<String>) {
        let mut headers = HeaderMap::new();
        headers.insert(header::RANGE, HeaderValue::from_static(range));
        let response = sent(&Bytes::from_static(b"0123456789"), &headers);
        let described = response.headers().get(header::CONTENT_RANGE);
        (response.status().as_u16(), described.map(|range| range.to_str().unwrap().to_owned()))
    }

    #[test]
    fn a_range_is_a_part_and_says_which() {
        assert_eq!(range("bytes=2-4"), (206, Some("bytes 2-4/10".into())));
        assert_eq!(range("bytes=7-"), (206, Some("bytes 7-9/10".into())));
        assert_eq!(range("bytes=7-99"), (206, Some("bytes 7-9/10".into())));
        assert_eq!(range("bytes=10-"), (416, Some("bytes */10".into())));
        assert_eq!(range("lines=1-2"), (200, None));
    }
}
