//! `PATCH /api/v1/sessions/{session}`

use axum::extract::State;
use axum::response::Response;
use gateway_domain::error::ApiError;
use gateway_domain::session::{UpdateSessionInputBody, WASession};
use http::StatusCode;
use worker::Env;

use super::{json, observe, present};
use crate::auth::Allowed;
use crate::directory::{Changes, Directory};
use crate::error::Refusal;
use crate::request::{Json, SessionId};

/// Changes a session's settings; what is absent stays. They hold from the next message on.
#[utoipa::path(patch, path = "/api/v1/sessions/{session}", operation_id = "updateSession", tag = "Sessions",
    params(("session" = String, Path, description = "The session's id.")),
    request_body = UpdateSessionInputBody,
    responses((status = 200, body = WASession), (status = 400, body = ApiError), (status = 401, body = ApiError),
              (status = 403, body = ApiError), (status = 404, body = ApiError), (status = 503, body = ApiError)))]
#[worker::send]
pub async fn update(
    State(env): State<Env>,
    Allowed { principal, .. }: Allowed,
    SessionId(id): SessionId,
    Json(body): Json<UpdateSessionInputBody>,
) -> Result<Response, Refusal> {
    body.validate()?;
    let changes = Changes {
        label: body.label.as_deref(),
        auto_read: body.auto_read,
        presence_typing: body.presence_typing,
        rate_per_min: body.rate_per_min,
        rate_per_hour: body.rate_per_hour,
    };
    let row = Directory::of(&env, &principal.organization)?.update_session(&id, &changes).await?;
    let row = row.ok_or_else(ApiError::not_found)?;
    let observed = observe(&env, &row).await?;
    json(StatusCode::OK, &present(&env, row, observed))
}
