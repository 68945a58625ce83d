//! `POST /api/v1/sessions/{session}/messages/{mid}/reaction`

use axum::extract::State;
use axum::response::Response;
use gateway_domain::error::ApiError;
use gateway_domain::message::{ReactionInputBody, Task};
use worker::Env;

use super::{MessageId, Sender, Sent};
use crate::auth::Allowed;
use crate::error::Refusal;
use crate::idempotency::NewId;
use crate::request::{Json, SessionId};

/// Reacts to a message; another reaction of one's own is replaced.
#[utoipa::path(post, path = "/api/v1/sessions/{session}/messages/{mid}/reaction", operation_id = "addReaction", tag = "Messages",
    params(("session" = String, Path, description = "The session's id."),
           ("mid" = String, Path, description = "The message's id on WhatsApp.")),
    request_body = ReactionInputBody,
    responses(Sent, (status = 409, body = ApiError, description = "The session can't send in its state.")))]
#[worker::send]
pub async fn add_reaction(
    State(env): State<Env>,
    Allowed { principal, .. }: Allowed,
    SessionId(id): SessionId,
    MessageId(mid): MessageId,
    entry: NewId,
    Json(body): Json<ReactionInputBody>,
) -> Result<Response, Refusal> {
    let sender = Sender::find(&env, &principal, &id).await?;
    sender.send(entry, Task::React { id: mid, reaction: body.into_reaction()? }, false).await
}
