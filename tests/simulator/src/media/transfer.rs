//! What an upload is answered, and what goes wrong either way, apart from HTTP itself.

use std::time::Duration;

use axum::Json;
use axum::http::StatusCode;
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
