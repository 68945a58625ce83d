//! `GET /api/v1/sessions/{session}/me`

use axum::extract::State;
use axum::response::Response;
use gateway_domain::error::ApiError;
use gateway_domain::lifecycle::Status;
use gateway_domain::session::Me;
use http::StatusCode;
use worker::Env;

use super::{find, json, observe};
use crate::auth::Allowed;
use crate::error::Refusal;
use crate::request::SessionId;

/// Shows who the paired number is. Unpaired: 404.
#[utoipa::path(get, path = "/api/v1/sessions/{session}/me", operation_id = "sessionMe", tag = "Sessions",
    params(("session" = String, Path, description = "The session's id.")),
    responses((status = 200, body = Me), (status = 401, body = ApiError), (status = 403, body = ApiError),
              (status = 404, body = ApiError), (status = 503, body = ApiError)))]
#[worker::send]
pub async fn me(
    State(env): State<Env>,
    Allowed { principal, .. }: Allowed,
    SessionId(id): SessionId,
) -> Result<Response, Refusal> {
    let row = find(&env, &principal, &id).await?;
    let observed = observe(&env, &row).await?.filter(|observed| observed.paired);
    let observed = observed.ok_or_else(ApiError::not_found)?;
    let me = Me {
        session_id: row.id,
        connected: observed.status == Status::Working,
        status: observed.status,
        phone_number: observed.phone_number,
        wa_jid: observed.wa_jid,
        wa_lid: observed.wa_lid,
    };
    json(StatusCode::OK, &me)
}
