//! `GET /api/v1/sessions/{session}/messages/{mid}/media`

use axum::extract::State;
use axum::response::Response;
use gateway_domain::error::ApiError;
use gateway_object::calls::session::Call;
use worker::Env;

use super::{MessageId, chat};
use crate::auth::Allowed;
use crate::error::Refusal;
use crate::request::{Query, SessionId};
use crate::routes::sessions::find;
use crate::session_object::SessionObject;

/// A message's media, fetched from WhatsApp, verified and decrypted, 100 MiB at most. It is not kept: each call fetches it.
#[utoipa::path(get, path = "/api/v1/sessions/{session}/messages/{mid}/media", operation_id = "getMessageMedia", tag = "Messages",
    params(("session" = String, Path, description = "The session's id."),
           ("mid" = String, Path, description = "The message's id on WhatsApp."),
           ("chat" = Option<String>, Query, description = "Its chat, where two messages have the same id; the newest when absent.")),
    responses((status = 200, description = "The bytes, under the type the sender gave.", content_type = "application/octet-stream"),
              (status = 400, body = ApiError), (status = 401, body = ApiError), (status = 403, body = ApiError),
              (status = 404, body = ApiError), (status = 409, body = ApiError, description = "Too large, or the session is not connected."),
              (status = 503, body = ApiError)))]
#[worker::send]
pub async fn get_media(
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
    SessionObject::of(&env, &row).pass(Call::Media { id: mid, chat }).await
}
