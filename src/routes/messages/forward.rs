//! `POST /api/v1/sessions/{session}/messages/{mid}/forward`

use axum::extract::State;
use axum::response::Response;
use gateway_domain::error::ApiError;
use gateway_domain::message::{ForwardInputBody, Task};
use worker::Env;

use super::{MessageId, Sender, Sent};
use crate::auth::Allowed;
use crate::error::Refusal;
use crate::idempotency::NewId;
use crate::request::{Json, SessionId};

/// Passes a message on as it is, marked as forwarded; media by reference, not uploaded again.
#[utoipa::path(post, path = "/api/v1/sessions/{session}/messages/{mid}/forward", operation_id = "forwardMessage", tag = "Messages",
    params(("session" = String, Path, description = "The session's id."),
           ("mid" = String, Path, description = "The message's id on WhatsApp.")),
    request_body = ForwardInputBody,
    responses(Sent, (status = 409, body = ApiError, description = "The session can't send in its state; or the message can't be forwarded: it may be viewed once, was taken back, or was too large to be kept.")))]
#[worker::send]
pub async fn forward(
    State(env): State<Env>,
    Allowed { principal, .. }: Allowed,
    SessionId(id): SessionId,
    MessageId(mid): MessageId,
    entry: NewId,
    Json(body): Json<ForwardInputBody>,
) -> Result<Response, Refusal> {
    let sender = Sender::find(&env, &principal, &id).await?;
    sender.send(entry, Task::Forward { id: mid, forward: body.into_forward()? }, false).await
}
