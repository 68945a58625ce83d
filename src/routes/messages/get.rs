//! `GET /api/v1/sessions/{session}/messages/{mid}`

use axum::extract::State;
use axum::response::Response;
use gateway_domain::error::ApiError;
use gateway_domain::stored_message::StoredMessage;
use gateway_object::calls::session::Call;
use http::StatusCode;
use worker::Env;

use super::{MessageId, chat};
use crate::auth::Allowed;
use crate::error::Refusal;
use crate::request::{Query, SessionId};
use crate::routes::sessions::{find, json};
use crate::session_object::SessionObject;

/// A message the session has seen or sent, with what became of it.
#[utoipa::path(get, path = "/api/v1/sessions/{session}/messages/{mid}", operation_id = "getMessage", tag = "Messages",
    params(("session" = String, Path, description = "The session's id."),
           ("mid" = String, Path, description = "The message's id on WhatsApp."),
           ("chat" = Option<String>, Query, description = "Its chat, where two messages have the same id; the newest when absent.")),
    responses((status = 200, body = StoredMessage), (status = 400, body = ApiError), (status = 401, body = ApiError),
              (status = 403, body = ApiError), (status = 404, body = ApiError), (status = 503, body = ApiError)))]
#[worker::send]
pub async fn get(
    State(env): State<Env>,
    Allowed { principal, .. }: Allowed,
    SessionId(id): SessionId,
    MessageId(mid): MessageId,
    query: Query,
) -> Result<Response, Refusal> {
    let row = find(&env, &principal, &id).await?;
    let chat = chat(query.get("chat"))?;
    if row.was_never_started() {
        return Err(ApiError::not_found().into());
    }
    let message: StoredMessage = SessionObject::of(&env, &row).call(Call::Message { id: mid, chat }).await?;
    json(StatusCode::OK, &message)
}
