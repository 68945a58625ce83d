//! The objects' whole interfaces: one POST with a request, answered by 200 with the call's answer as JSON, or by an
//! [`ApiError`](gateway_domain::error::ApiError) with its status.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

pub mod organization;
pub mod reader;
pub mod session;
pub mod webhook;

/// Where the request stands when it is a WebSocket upgrade, which has no body.
pub const SOCKET_HEADER: &str = "x-gateway-call";

/// A request as it goes into [`SOCKET_HEADER`]: header values are ASCII.
#[must_use]
pub fn to_header(request: &impl serde::Serialize) -> String {
    URL_SAFE_NO_PAD.encode(serde_json::to_vec(request).unwrap_or_default())
}

/// The request in [`SOCKET_HEADER`].
#[must_use]
pub fn from_header<T: serde::de::DeserializeOwned>(value: &str) -> Option<T> {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(value).ok()?).ok()
}
