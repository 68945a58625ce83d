//! `GET /api/v1/sessions/{session}/passkey`

use axum::extract::State;
use axum::response::Response;
use gateway_domain::error::ApiError;
use gateway_domain::linking::PasskeyChallenge;
use gateway_object::calls::session::Call;
use http::StatusCode;
use worker::Env;

use super::{find, json};
use crate::auth::Allowed;
use crate::error::Refusal;
use crate::request::SessionId;
use crate::session_object::SessionObject;

/// Shows the passkey's challenge while WhatsApp asks for one (`statusReason.code` is `passkey_required`), and after the
/// signature the code to compare with the phone. Otherwise 404.
#[utoipa::path(get, path = "/api/v1/sessions/{session}/passkey", operation_id = "getPasskeyChallenge", tag = "Sessions",
    params(("session" = String, Path, description = "The session's id.")),
    responses((status = 200, body = PasskeyChallenge), (status = 401, body = ApiError), (status = 403, body = ApiError),
              (status = 404, body = ApiError), (status = 503, body = ApiError)))]
#[worker::send]
pub async fn get_passkey(
    State(env): State<Env>,
    Allowed { principal, .. }: Allowed,
    SessionId(id): SessionId,
) -> Result<Response, Refusal> {
    let row = find(&env, &principal, &id).await?;
    if row.was_never_started() {
        return Err(ApiError::not_found().into());
    }
    let challenge: PasskeyChallenge = SessionObject::of(&env, &row).call(Call::Passkey).await?;
    json(StatusCode::OK, &challenge)
}
