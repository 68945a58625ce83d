//! How a caller wants a log: a page, a stream, a WebSocket.

use gateway_domain::error::ApiError;
use gateway_domain::stream::Format;
use http::{HeaderMap, header};

/// The longest a page waits for its first event, in seconds.
const MAX_WAIT: u32 = 30;

/// See the module.
pub enum Wanted {
    /// A JSON page.
    Page,
    /// A live stream.
    Stream(Format),
    /// A WebSocket.
    Socket,
}

impl Wanted {
    /// What the headers ask for.
    pub fn of(headers: &HeaderMap) -> Self {
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
        if text(header::UPGRADE).is_some_and(|protocol| protocol.eq_ignore_ascii_case("websocket")) {
            return Self::Socket;
        }
        text(header::ACCEPT).and_then(Format::accepted).map_or(Self::Page, Self::Stream)
    }
}

/// `Last-Event-ID`, if the caller sends one that can be read.
///
/// # Errors
/// `validation_error` when it is no text.
pub fn last_event_id(headers: &HeaderMap) -> Result<Option<&str>, ApiError> {
    let unreadable = |_| ApiError::validation("Last-Event-ID", "Not a position this log gave out.");
    headers.get("last-event-id").map(|value| value.to_str().map_err(unreadable)).transpose()
}

/// The `wait` of a page.
///
/// # Errors
/// `validation_error` unless it is a whole number of seconds from 0 to 30.
pub fn wait(text: Option<&str>) -> Result<u32, ApiError> {
    match text.map_or(Ok(0), str::parse::<u32>) {
        Ok(wait) if wait <= MAX_WAIT => Ok(wait),
        _ => Err(ApiError::validation("wait", "Must be a whole number of seconds from 0 to 30.")),
    }
}

/// What a WebSocket's address answers to anything else.
pub fn upgrade_required() -> ApiError {
    ApiError::validation("Upgrade", "Must be a WebSocket upgrade.")
}
