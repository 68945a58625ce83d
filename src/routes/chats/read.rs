//! `POST /api/v1/sessions/{session}/chats/{cid}/read`

use std::collections::HashMap;

use axum::extract::{Path, State};
use axum::response::Response;
use gateway_domain::chat::Chat;
use gateway_domain::error::ApiError;
use gateway_domain::jid::parse_recipient;
use gateway_object::calls::session::Call;
use http::StatusCode;
use worker::Env;

use crate::auth::Allowed;
use crate::error::Refusal;
use crate::request::SessionId;
use crate::routes::sessions::{find, json};
use crate::session_object::SessionObject;

/// Reads a chat: those who wrote get their read receipts.
#[utoipa::path(post, path = "/api/v1/sessions/{session}/chats/{cid}/read", operation_id = "readChat", tag = "Chats",
    params(("session" = String, Path, description = "The session's id."),
           ("cid" = String, Path, description = "The chat's JID, or the digits of a phone number.")),
    responses((status = 200, body = Chat), (status = 401, body = ApiError), (status = 403, body = ApiError),
              (status = 404, body = ApiError, description = "No message came or went in this chat."),
              (status = 409, body = ApiError, description = "The session can't send in its state."),
              (status = 503, body = ApiError, description = "The receipts could not be sent.")))]
#[worker::send]
pub async fn read(
    State(env): State<Env>,
    Allowed { principal, .. }: Allowed,
    SessionId(id): SessionId,
    Path(named): Path<HashMap<String, String>>,
) -> Result<Response, Refusal> {
    let row = find(&env, &principal, &id).await?;
    let chat =
        named.get("cid").and_then(|text| parse_recipient(text).ok()).ok_or_else(ApiError::not_found)?;
    if row.was_never_started() {
        return Err(ApiError::not_found().into());
    }
    let call = Call::ReadChat { chat: chat.to_string() };
    let chat: Chat = SessionObject::of(&env, &row).call(call).await?;
    json(StatusCode::OK, &chat)
}
