//! `POST /api/v1/sessions/{session}/messages`

use axum::extract::State;
use axum::response::Response;
use gateway_domain::error::ApiError;
use gateway_domain::message::{SendRequest, SendResult};
use gateway_object::calls::session::Call;
use http::StatusCode;
use worker::Env;

use crate::auth::Allowed;
use crate::error::Refusal;
use crate::request::{Json, Query, SessionId};
use crate::routes::sessions::{find, json};
use crate::session_object::SessionObject;

/// Sends a text and answers once WhatsApp's server has acknowledged it.
#[utoipa::path(post, path = "/api/v1/sessions/{session}/messages", operation_id = "sendMessage", tag = "Messages",
    params(("session" = String, Path, description = "The session's id.")),
    request_body = SendRequest,
    responses((status = 200, body = SendResult), (status = 400, body = ApiError), (status = 401, body = ApiError),
              (status = 403, body = ApiError), (status = 404, body = ApiError),
              (status = 409, body = ApiError, description = "The session can't send in its state."),
              (status = 501, body = ApiError, description = "A type this version does not send."),
              (status = 503, body = ApiError, description = "WhatsApp did not answer; a late ack or a receipt is still told as an event.")))]
#[worker::send]
pub async fn send(
    State(env): State<Env>,
    Allowed { principal, .. }: Allowed,
    SessionId(id): SessionId,
    query: Query,
    Json(body): Json<SendRequest>,
) -> Result<Response, Refusal> {
    let row = find(&env, &principal, &id).await?;
    match query.get("async") {
        None | Some("false") => {}
        Some("true") => {
            let error = ApiError::not_implemented("This version sends synchronously only.");
            return Err(error.with("field", "async").into());
        }
        Some(_) => return Err(ApiError::validation("async", "Must be true or false.").into()),
    }
    let text = body.into_text()?;
    if row.was_never_started() {
        return Err(ApiError::conflict("The session is stopped: start it first.")
            .with("status", "stopped")
            .into());
    }
    let result: SendResult = SessionObject::of(&env, &row).call(Call::Send(text)).await?;
    json(StatusCode::OK, &result)
}
