//! `POST /api/v1/sessions/{session}/passkey`

use axum::extract::State;
use axum::response::Response;
use gateway_domain::error::ApiError;
use gateway_domain::linking::{PasskeyChallenge, PasskeyInputBody};
use gateway_object::calls::session::Call;
use http::StatusCode;
use worker::Env;

use super::{find, json};
use crate::auth::Allowed;
use crate::error::Refusal;
use crate::request::{Json, SessionId};
use crate::session_object::SessionObject;

/// Hands in the owner's signature (`assertion`), then whether the code is the one on the phone (`confirmed`). What
/// comes next is in the answer and at `GET`; the end of it is `working`, or `statusReason.code` `passkey_failed`.
#[utoipa::path(post, path = "/api/v1/sessions/{session}/passkey", operation_id = "submitPasskey", tag = "Sessions",
    params(("session" = String, Path, description = "The session's id.")),
    request_body = PasskeyInputBody,
    responses((status = 202, body = PasskeyChallenge), (status = 400, body = ApiError), (status = 401, body = ApiError),
              (status = 403, body = ApiError), (status = 404, body = ApiError, description = "No passkey is asked for."),
              (status = 409, body = ApiError, description = "Another step is due, or WhatsApp refused."),
              (status = 503, body = ApiError)))]
#[worker::send]
pub async fn submit_passkey(
    State(env): State<Env>,
    Allowed { principal, .. }: Allowed,
    SessionId(id): SessionId,
    Json(body): Json<PasskeyInputBody>,
) -> Result<Response, Refusal> {
    let row = find(&env, &principal, &id).await?;
    let answer = body.into_answer()?;
    if row.was_never_started() {
        return Err(ApiError::not_found().into());
    }
    let next: PasskeyChallenge = SessionObject::of(&env, &row).call(Call::AnswerPasskey(answer)).await?;
    json(StatusCode::ACCEPTED, &next)
}
