//! `POST /api/v1/sessions/{session}:logout`

use axum::extract::State;
use axum::response::Response;
use gateway_domain::error::ApiError;
use gateway_domain::session::WASession;
use gateway_session::call::Call;
use worker::Env;

use super::command;
use crate::auth::Allowed;
use crate::error::Refusal;
use crate::request::SessionId;

/// Unlinks the device on WhatsApp, clears the number and keeps the row. 503 when WhatsApp did not confirm: then the pairing is kept.
#[utoipa::path(post, path = "/api/v1/sessions/{session}/!logout", operation_id = "logoutSession", tag = "Sessions",
    params(("session" = String, Path, description = "The session's id.")),
    responses((status = 200, body = WASession), (status = 401, body = ApiError), (status = 403, body = ApiError),
              (status = 404, body = ApiError), (status = 503, body = ApiError)))]
#[worker::send]
pub async fn logout(
    State(env): State<Env>,
    Allowed { principal, .. }: Allowed,
    SessionId(id): SessionId,
) -> Result<Response, Refusal> {
    command(&env, &principal, &id, false, Call::Logout).await
}
