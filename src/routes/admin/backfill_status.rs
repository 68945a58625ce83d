//! `GET /api/v1/admin/sessions/{session}/backfill`

use axum::extract::State;
use axum::response::Response;
use gateway_domain::backfill::BackfillJob;
use gateway_domain::error::ApiError;
use gateway_object::calls::session::Call;
use http::StatusCode;
use worker::Env;

use super::find;
use crate::auth::Allowed;
use crate::error::Refusal;
use crate::request::SessionId;
use crate::routes::sessions::json;
use crate::session_object::SessionObject;

/// Shows how far a session's newest backfill is, or how it ended. 404 when there never was one.
#[utoipa::path(get, path = "/api/v1/admin/sessions/{session}/backfill", operation_id = "adminSessionBackfillStatus",
    tag = "Admin", params(("session" = String, Path, description = "The session's id, of any organization.")),
    responses((status = 200, body = BackfillJob), (status = 401, body = ApiError), (status = 403, body = ApiError),
              (status = 404, body = ApiError), (status = 503, body = ApiError)))]
#[worker::send]
pub async fn backfill_status(
    State(env): State<Env>,
    Allowed { principal, .. }: Allowed,
    SessionId(id): SessionId,
) -> Result<Response, Refusal> {
    // Asked every other second, and it tells no more than its start, which is in the organization's audit log.
    let row = find(&env, &principal, &id).await?;
    json(StatusCode::OK, &SessionObject::of(&env, &row).call::<BackfillJob>(Call::Backfill).await?)
}
