//! What only the simulator build answers: the ways to make an object fail, for the tests.

use axum::Router;
use axum::extract::State;
use axum::routing::post;
use gateway_session::call::{Call, CrashPoint};
use http::StatusCode;
use serde::Deserialize;
use worker::Env;

use crate::auth::{Allowed, Manage};
use crate::error::Refusal;
use crate::request::{Json, SessionId};
use crate::routes::sessions::find;
use crate::session_object::SessionObject;

/// Under `/simulator`, never under `/api`.
pub fn router() -> Router<Env> {
    Router::new()
        .route("/simulator/sessions/{session}/panic", post(panic_in_object))
        .route("/simulator/sessions/{session}/crash-point", post(set_crash_point))
}

#[worker::send]
async fn panic_in_object(
    State(env): State<Env>,
    Allowed { principal, .. }: Allowed<Manage>,
    SessionId(id): SessionId,
) -> Result<StatusCode, Refusal> {
    let row = find(&env, &principal, &id).await?;
    SessionObject::of(&env, &row).call::<()>(Call::Panic).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize)]
struct CrashPointBody {
    point: CrashPoint,
}

#[worker::send]
async fn set_crash_point(
    State(env): State<Env>,
    Allowed { principal, .. }: Allowed<Manage>,
    SessionId(id): SessionId,
    Json(body): Json<CrashPointBody>,
) -> Result<StatusCode, Refusal> {
    let row = find(&env, &principal, &id).await?;
    SessionObject::of(&env, &row).call::<()>(Call::Crash(body.point)).await?;
    Ok(StatusCode::NO_CONTENT)
}
