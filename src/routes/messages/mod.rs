//! Messages: what a session sends, and what it has seen.

pub mod get;
pub mod get_media;
pub mod send;

use std::collections::HashMap;

use axum::extract::{FromRequestParts, Path};
use gateway_domain::error::ApiError;
use gateway_domain::jid::parse_recipient;
use http::request::Parts;

use crate::error::Refusal;

/// The longest id of a message.
const MAX_ID: usize = 128;

/// The `{mid}` of a path. What can't be an id names nothing: 404.
pub struct MessageId(pub String);

impl<S: Send + Sync> FromRequestParts<S> for MessageId {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        let Path(named) = Path::<HashMap<String, String>>::from_request_parts(parts, state)
            .await
            .map_err(|_| ApiError::not_found())?;
        let is_id = |id: &&String| {
            !id.is_empty() && id.len() <= MAX_ID && id.bytes().all(|byte| byte.is_ascii_graphic())
        };
        let id = named.get("mid").filter(is_id).ok_or_else(ApiError::not_found)?;
        Ok(Self(id.clone()))
    }
}

/// The chat a caller names, if they do.
fn chat(text: Option<&str>) -> Result<Option<String>, ApiError> {
    let canonical = |text: &str| {
        parse_recipient(text)
            .map(|chat| chat.to_string())
            .map_err(|reason| ApiError::validation("chat", reason))
    };
    text.map(canonical).transpose()
}
