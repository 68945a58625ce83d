//! `PATCH /api/v1/sessions/{session}/messages/{mid}`

use axum::extract::State;
use axum::response::Response;
use gateway_domain::error::ApiError;
use gateway_domain::message::{EditMessageInputBody, Task};
use worker::Env;

use super::{MessageId, Sender, Sent};
use crate::auth::Allowed;
use crate::error::Refusal;
use crate::idempotency::NewId;
use crate::request::{Json, SessionId};

/// Changes the text or the caption of a message this session sent, for 15 minutes after it was sent.
#[utoipa::path(patch, path = "/api/v1/sessions/{session}/messages/{mid}", operation_id = "editMessage", tag = "Messages",
    params(("session" = String, Path, description = "The session's id."),
           ("mid" = String, Path, description = "The message's id on WhatsApp.")),
    request_body = EditMessageInputBody,
    responses(Sent, (status = 409, body = ApiError, description = "The session can't send in its state; or the message is somebody else's, has no text, is too old, or was taken back.")))]
#[worker::send]
pub async fn edit(
    State(env): State<Env>,
    Allowed { principal, .. }: Allowed,
    SessionId(id): SessionId,
    MessageId(mid): MessageId,
    entry: NewId,
    Json(body): Json<EditMessageInputBody>,
) -> Result<Response, Refusal> {
    let sender = Sender::find(&env, &principal, &id).await?;
    sender.send(entry, Task::Edit { id: mid, edit: body.into_edit()? }, false).await
}
