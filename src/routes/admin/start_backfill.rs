//! `POST /api/v1/admin/sessions/{session}:backfill`, also at `…/{session}/backfill`

use std::collections::HashMap;

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use gateway_domain::access::{self, Operation};
use gateway_domain::backfill::BackfillJob;
use gateway_domain::error::ApiError;
use gateway_object::calls::session::Call;
use http::{Method, StatusCode};
use worker::Env;

use super::find;
use crate::audit::About;
use crate::auth::Allowed;
use crate::error::Refusal;
use crate::request::SessionId;
use crate::routes::sessions::json;
use crate::session_object::SessionObject;

/// The contract's other spelling of the path, under the same operation.
const ALIAS: &str = "/api/v1/admin/sessions/{session}/backfill";

/// Adds it to the router, and to what the door knows.
pub fn also_at(
    router: Router<Env>,
    operations: &mut HashMap<String, Vec<(Method, &'static Operation)>>,
) -> Router<Env> {
    let operation = access::operation("adminStartSessionBackfill").map(|operation| (Method::POST, operation));
    operations.entry(ALIAS.to_owned()).or_default().extend(operation);
    router.route(ALIAS, post(start_backfill))
}

/// Pulls a session's contacts and groups again from WhatsApp. It goes on after the answer: its status tells how far it
/// is. One at a time; while one runs, 409 with its id in `details.jobId`.
#[utoipa::path(post, path = "/api/v1/admin/sessions/{session}/!backfill", operation_id = "adminStartSessionBackfill",
    tag = "Admin", params(("session" = String, Path, description = "The session's id, of any organization.")),
    responses((status = 202, body = BackfillJob), (status = 401, body = ApiError), (status = 403, body = ApiError),
              (status = 404, body = ApiError), (status = 409, body = ApiError), (status = 503, body = ApiError)))]
#[worker::send]
pub async fn start_backfill(
    State(env): State<Env>,
    Allowed { principal, .. }: Allowed,
    SessionId(id): SessionId,
) -> Result<Response, Refusal> {
    let row = find(&env, &principal, &id).await?;
    let started = SessionObject::of(&env, &row).call::<BackfillJob>(Call::StartBackfill).await;
    let answer = started.and_then(|job| json(StatusCode::ACCEPTED, &job));
    // Also where it was refused: it is the session's organization that reads of it.
    Ok(About::seen(&row).on(answer.unwrap_or_else(IntoResponse::into_response)))
}
