//! `POST /api/v1/sessions/{session}:logout`

use axum::extract::State;
use axum::response::Response;
use gateway_domain::error::ApiError;
use gateway_domain::session::WASession;
use gateway_object::calls::session::{Call, Snapshot};
use http::StatusCode;
use worker::Env;

use super::{find, json, present};
use crate::auth::Allowed;
use crate::directory::Directory;
use crate::error::Refusal;
use crate::request::SessionId;
use crate::session_object::SessionObject;

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
    let row = find(&env, &principal, &id).await?;
    let snapshot: Snapshot = SessionObject::of(&env, &row).call(Call::Logout).await?;
    // An unlink WhatsApp did not confirm is the caller's to repeat: until then the session is what it was.
    let row = Directory::of(&env, &principal.organization)?.set_desired(&id, false, false).await?;
    let row = row.ok_or_else(ApiError::not_found)?;
    json(StatusCode::OK, &present(&env, row, Some(snapshot)))
}
