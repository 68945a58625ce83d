//! `POST /api/v1/sessions/{session}:stop`

use axum::extract::State;
use axum::response::Response;
use gateway_domain::error::ApiError;
use gateway_domain::session::WASession;
use gateway_object::calls::session::Call;
use worker::Env;

use super::command;
use crate::auth::Allowed;
use crate::error::Refusal;
use crate::request::SessionId;

/// Disconnects and keeps the pairing. Stopped already: nothing changes.
#[utoipa::path(post, path = "/api/v1/sessions/{session}/!stop", operation_id = "stopSession", tag = "Sessions",
    params(("session" = String, Path, description = "The session's id.")),
    responses((status = 200, body = WASession), (status = 401, body = ApiError), (status = 403, body = ApiError),
              (status = 404, body = ApiError), (status = 503, body = ApiError)))]
#[worker::send]
pub async fn stop(
    State(env): State<Env>,
    Allowed { principal, .. }: Allowed,
    SessionId(id): SessionId,
) -> Result<Response, Refusal> {
    command(&env, &principal, &id, false, Call::Stop).await
}
