//! `POST /api/v1/sessions/{session}/messages/{mid}/reaction`

use axum::extract::State;
use axum::response::Response;
use gateway_domain::error::ApiError;
use gateway_domain::message::{ReactionInputBody, SendResult, Task};
use worker::Env;

use super::{MessageId, Sender};
use crate::auth::Allowed;
use crate::error::Refusal;
use crate::idempotency::NewId;
use crate::request::{Json, SessionId};

/// Reacts to a message; another reaction of one's own is replaced.
#[utoipa::path(post, path = "/api/v1/sessions/{session}/messages/{mid}/reaction", operation_id = "addReaction", tag = "Messages",
    params(("session" = String, Path, description = "The session's id."),
           ("mid" = String, Path, description = "The message's id on WhatsApp.")),
    request_body = ReactionInputBody,
    responses((status = 200, body = SendResult, description = "WhatsApp's server has acknowledged it.", headers(("RateLimit" = String, description = "What is left of `ratePerMin` and `ratePerHour`, where there are limits (draft-ietf-httpapi-ratelimit-headers)."), ("RateLimit-Policy" = String, description = "Those limits."))),
              (status = 400, body = ApiError), (status = 401, body = ApiError), (status = 403, body = ApiError),
              (status = 404, body = ApiError, description = "No such message in this chat, as far as the session knows."),
              (status = 409, body = ApiError, description = "The session can't send in its state."),
              (status = 429, body = ApiError, description = "The session's limits are reached."),
              (status = 503, body = ApiError, description = "WhatsApp did not answer in time; with `details.outboxId` the outcome is told as `message.status`.")))]
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
