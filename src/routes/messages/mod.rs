//! Messages: what a session sends, and what it has seen.

pub mod add_reaction;
pub mod edit;
pub mod forward;
pub mod get;
pub mod get_media;
pub mod outbox_entry;
pub mod remove_reaction;
pub mod revoke;
pub mod send;
pub mod vote;

use std::collections::HashMap;

use axum::extract::{FromRequestParts, Path};
use axum::response::Response;
use gateway_domain::error::ApiError;
use gateway_domain::jid::parse_recipient;
use gateway_domain::message::{SendResult, Task};
use gateway_object::calls::session;
use http::request::Parts;
use utoipa::IntoResponses;
use worker::Env;

use crate::auth::Principal;
use crate::directory::SessionRow;
use crate::error::Refusal;
use crate::idempotency::NewId;
use crate::routes::sessions::find;
use crate::send_body::Files;
use crate::session_object::SessionObject;

/// What everything that sends answers, beside what is its own.
#[derive(IntoResponses)]
#[allow(dead_code, reason = "for the document")]
enum Sent {
    /// WhatsApp's server has acknowledged it.
    #[response(status = 200, headers(
        ("RateLimit" = String, description = "What is left of `ratePerMin` and `ratePerHour`, where there are limits (draft-ietf-httpapi-ratelimit-headers)."),
        ("RateLimit-Policy" = String, description = "Those limits."),
    ))]
    Acknowledged(SendResult),
    /// The body is not as it should be.
    #[response(status = 400)]
    Invalid(ApiError),
    /// No credentials, or none that are valid.
    #[response(status = 401)]
    Unauthorized(ApiError),
    /// The credentials don't allow sending.
    #[response(status = 403)]
    Forbidden(ApiError),
    /// No such session; or no such message in this chat, as far as the session knows.
    #[response(status = 404)]
    NotFound(ApiError),
    /// The session's limits are reached (`details.retryAfterSeconds`), or its outbox is full.
    #[response(status = 429, headers(
        ("RateLimit" = String, description = "As of 200."),
        ("RateLimit-Policy" = String, description = "As of 200."),
    ))]
    Limited(ApiError),
    /// WhatsApp, or the session, did not answer in time. With `details.outboxId` something was sent, or may still be: what becomes
    /// of it is told as `message.status` and at `GET …/outbox/{outboxId}`. Without it nothing will be sent.
    #[response(status = 503)]
    Unavailable(ApiError),
}

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

/// A session that is to send.
struct Sender<'a> {
    env: &'a Env,
    row: SessionRow,
}

impl<'a> Sender<'a> {
    /// The organization's session, or 404.
    async fn find(env: &'a Env, principal: &Principal, id: &str) -> Result<Self, Refusal> {
        Ok(Self { env, row: find(env, principal, id).await? })
    }

    /// Hands it to the session's object, under the id of the caller's `Idempotency-Key` or a new one.
    async fn send(&self, entry: NewId, task: Task, is_async: bool) -> Result<Response, Refusal> {
        self.send_with(entry, task, is_async, &Files::default()).await
    }

    /// The same of a message with files.
    async fn send_with(
        &self,
        entry: NewId,
        task: Task,
        is_async: bool,
        files: &Files,
    ) -> Result<Response, Refusal> {
        must_have_been_started(&self.row)?;
        let send = session::Send { entry: entry.id, is_async, task, lot: files.lot.clone() };
        SessionObject::of(self.env, &self.row).send(send, &files.bytes).await
    }
}

/// A session that never was has no object to ask.
pub fn must_have_been_started(row: &SessionRow) -> Result<(), Refusal> {
    if row.was_never_started() {
        let error = ApiError::conflict("The session is stopped: start it first.");
        return Err(error.with("status", "stopped").into());
    }
    Ok(())
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
