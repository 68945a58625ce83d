//! What only the simulator build answers: the ways to make an object fail, for the tests.

use axum::Router;
use axum::extract::State;
use axum::routing::post;
use gateway_domain::access::{Access, Capability, Operation};
use gateway_session::call::{Call, CrashPoint};
use http::{Method, StatusCode};
use serde::Deserialize;
use worker::Env;

use crate::auth::Allowed;
use crate::error::Refusal;
use crate::request::{Json, SessionId};
use crate::routes::sessions::find;
use crate::session_object::SessionObject;

const PANIC: &str = "/simulator/sessions/{session}/panic";
const CRASH_POINT: &str = "/simulator/sessions/{session}/crash-point";
const OPERATION: Operation = Operation::quiet("simulator", Access::Needs(Capability::Manage));

/// What the door asks of who calls these.
pub fn operations() -> impl Iterator<Item = (String, Vec<(Method, &'static Operation)>)> {
    [PANIC, CRASH_POINT].into_iter().map(|path| (path.to_owned(), vec![(Method::POST, &OPERATION)]))
}

/// Under `/simulator`, never under `/api`.
pub fn router() -> Router<Env> {
    Router::new().route(PANIC, post(panic_in_object)).route(CRASH_POINT, post(set_crash_point))
}

#[worker::send]
async fn panic_in_object(
    State(env): State<Env>,
    Allowed { principal, .. }: Allowed,
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
    Allowed { principal, .. }: Allowed,
    SessionId(id): SessionId,
    Json(body): Json<CrashPointBody>,
) -> Result<StatusCode, Refusal> {
    let row = find(&env, &principal, &id).await?;
    SessionObject::of(&env, &row).call::<()>(Call::Crash(body.point)).await?;
    Ok(StatusCode::NO_CONTENT)
}
