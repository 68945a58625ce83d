//! `DELETE /api/v1/sessions/{session}/messages/{mid}`

use axum::extract::State;
use axum::response::Response;
use gateway_domain::error::ApiError;
use gateway_domain::message::{RevokeMessageInputBody, Task};
use worker::Env;

use super::{MessageId, Sender, Sent};
use crate::auth::Allowed;
use crate::error::Refusal;
use crate::idempotency::NewId;
use crate::request::{Json, SessionId};

/// Takes a message back for everyone: one's own, or as an admin anybody's in a group.
#[utoipa::path(delete, path = "/api/v1/sessions/{session}/messages/{mid}", operation_id = "revokeMessage", tag = "Messages",
    params(("session" = String, Path, description = "The session's id."),
           ("mid" = String, Path, description = "The message's id on WhatsApp.")),
    request_body = RevokeMessageInputBody,
    responses(Sent, (status = 409, body = ApiError, description = "The session can't send in its state; or the message is somebody else's in a chat of two; or WhatsApp refused.")))]
#[worker::send]
pub async fn revoke(
    State(env): State<Env>,
    Allowed { principal, .. }: Allowed,
    SessionId(id): SessionId,
    MessageId(mid): MessageId,
    entry: NewId,
    Json(body): Json<RevokeMessageInputBody>,
) -> Result<Response, Refusal> {
    let sender = Sender::find(&env, &principal, &id).await?;
    sender.send(entry, Task::Revoke { id: mid, revoke: body.into_revoke()? }, false).await
}
