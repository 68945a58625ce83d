//! `POST /api/v1/sessions/{session}/messages`

use axum::extract::State;
use axum::response::Response;
use gateway_domain::error::ApiError;
use gateway_domain::message::{SendRequest, SendResult, Task};
use worker::Env;

use super::{Sender, Sent};
use crate::auth::Allowed;
use crate::configuration::now;
use crate::error::Refusal;
use crate::idempotency::NewId;
use crate::request::{JsonWithFiles, Query, SessionId};

/// Sends a message, and answers once WhatsApp's server has acknowledged it; with `async=true` as soon as it is in the
/// outbox. No preview is made of links.
#[utoipa::path(post, path = "/api/v1/sessions/{session}/messages", operation_id = "sendMessage", tag = "Messages",
    params(("session" = String, Path, description = "The session's id."),
           ("async" = Option<bool>, Query, description = "`true` to put it into the outbox: what becomes of it is told as `message.status` and at `GET …/outbox/{outboxId}`.")),
    request_body = SendRequest,
    responses(Sent, (status = 202, body = SendResult, description = "It is in the outbox."),
              (status = 409, body = ApiError, description = "The session can't send in its state, or WhatsApp refused the message."),
              (status = 501, body = ApiError, description = "What this version does not send to channels.")))]
#[worker::send]
pub async fn send(
    State(env): State<Env>,
    Allowed { principal, .. }: Allowed,
    SessionId(id): SessionId,
    query: Query,
    entry: NewId,
    JsonWithFiles(body, files): JsonWithFiles<SendRequest>,
) -> Result<Response, Refusal> {
    let sender = Sender::find(&env, &principal, &id).await?;
    let is_async = match query.get("async") {
        None | Some("false") => false,
        Some("true") => true,
        Some(_) => return Err(ApiError::validation("async", "Must be true or false.").into()),
    };
    let outgoing = body.into_outgoing(&files.found, now())?;
    sender.send_with(entry, Task::Say(outgoing), is_async, &files).await
}
