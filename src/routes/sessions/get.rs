//! `GET /api/v1/sessions/{session}`

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use gateway_domain::error::ApiError;
use gateway_domain::session::WASession;
use http::StatusCode;
use worker::Env;

use super::{find_to_read, json, observe, present};
use crate::audit::About;
use crate::auth::Allowed;
use crate::error::Refusal;
use crate::request::SessionId;

/// Shows a session as it is right now: the answer comes from the session's object.
#[utoipa::path(get, path = "/api/v1/sessions/{session}", operation_id = "getSession", tag = "Sessions",
    params(("session" = String, Path, description = "The session's id.")),
    responses((status = 200, body = WASession), (status = 401, body = ApiError), (status = 403, body = ApiError),
              (status = 404, body = ApiError), (status = 503, body = ApiError)))]
#[worker::send]
pub async fn get(
    State(env): State<Env>,
    Allowed { principal, .. }: Allowed,
    SessionId(id): SessionId,
) -> Result<Response, Refusal> {
    let row = find_to_read(&env, &principal, &id).await?;
    let about = About::seen(&row);
    let answer = async {
        let observed = observe(&env, &row).await?;
        json(StatusCode::OK, &present(&env, row, observed))
    };
    // Also when it can't be shown: who reached for it is to be known.
    Ok(about.on(answer.await.into_response()))
}
