//! `POST /api/v1/sessions/{session}/messages/{mid}/vote`

use axum::extract::State;
use axum::response::Response;
use gateway_domain::error::ApiError;
use gateway_domain::message::{Task, VoteInputBody};
use worker::Env;

use super::{MessageId, Sender, Sent};
use crate::auth::Allowed;
use crate::error::Refusal;
use crate::idempotency::NewId;
use crate::request::{Json, SessionId};

/// Votes in a poll, instead of what was voted before; no options take the vote back.
#[utoipa::path(post, path = "/api/v1/sessions/{session}/messages/{mid}/vote", operation_id = "voteMessage", tag = "Messages",
    params(("session" = String, Path, description = "The session's id."),
           ("mid" = String, Path, description = "The message's id on WhatsApp.")),
    request_body = VoteInputBody,
    responses(Sent, (status = 409, body = ApiError, description = "The session can't send in its state; or the poll is closed, or its secret is not known.")))]
#[worker::send]
pub async fn vote(
    State(env): State<Env>,
    Allowed { principal, .. }: Allowed,
    SessionId(id): SessionId,
    MessageId(mid): MessageId,
    entry: NewId,
    Json(body): Json<VoteInputBody>,
) -> Result<Response, Refusal> {
    let sender = Sender::find(&env, &principal, &id).await?;
    sender.send(entry, Task::Vote { id: mid, vote: body.into_vote()? }, false).await
}
