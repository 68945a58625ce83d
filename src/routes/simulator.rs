//! What only the simulator build answers: the ways to make an object fail, for the tests.

use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::{get, post, put};
use gateway_domain::access::{Access, Capability, Operation};
use gateway_object::calls::session::{Call, CrashPoint, HoldPoint};
use http::{Method, StatusCode};
use serde::Deserialize;
use worker::Env;

use crate::auth::Allowed;
use crate::directory::Directory;
use crate::error::Refusal;
use crate::request::{Json, SessionId};
use crate::routes::sessions::{find, json};
use crate::session_object::SessionObject;

const PANIC: &str = "/simulator/sessions/{session}/panic";
const CRASH_POINT: &str = "/simulator/sessions/{session}/crash-point";
const HOLD: &str = "/simulator/sessions/{session}/hold";
const VANISH: &str = "/simulator/sessions/{session}/vanish";
const EVICT: &str = "/simulator/sessions/{session}/evict";
const OBSERVED_AT: &str = "/simulator/sessions/{session}/observed-at";
const COSTS: &str = "/simulator/costs";
const OPERATION: Operation = Operation::quiet("simulator", Access::Needs(Capability::Manage));

/// What the door asks of who calls these.
pub fn operations() -> impl Iterator<Item = (String, Vec<(Method, &'static Operation)>)> {
    let operations = [
        (PANIC, Method::POST),
        (CRASH_POINT, Method::POST),
        (HOLD, Method::POST),
        (VANISH, Method::POST),
        (EVICT, Method::POST),
        (OBSERVED_AT, Method::PUT),
        (COSTS, Method::GET),
    ];
    operations.into_iter().map(|(path, method)| (path.to_owned(), vec![(method, &OPERATION)]))
}

/// Under `/simulator`, never under `/api`.
pub fn router() -> Router<Env> {
    Router::new()
        .route(PANIC, post(panic_in_object))
        .route(CRASH_POINT, post(set_crash_point))
        .route(HOLD, post(hold))
        .route(VANISH, post(vanish))
        .route(EVICT, post(evict))
        .route(OBSERVED_AT, put(set_observed_at))
        .route(COSTS, get(costs))
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

/// The object loses its alarm, its socket and its memory, and nobody is told.
#[worker::send]
async fn vanish(
    State(env): State<Env>,
    Allowed { principal, .. }: Allowed,
    SessionId(id): SessionId,
) -> Result<StatusCode, Refusal> {
    let row = find(&env, &principal, &id).await?;
    SessionObject::of(&env, &row).call::<()>(Call::Vanish { keeps_alarm: false }).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// What this isolate's objects have cost so far.
async fn costs() -> Result<Response, Refusal> {
    let costs = gateway_sql::costs::so_far();
    let costs = serde_json::json!({
        "rowsRead": costs.rows_read, "rowsWritten": costs.rows_written, "requests": costs.requests,
        "alarms": costs.alarms,
    });
    json(StatusCode::OK, &costs)
}

/// The object loses its socket and its memory; its alarm stays.
#[worker::send]
async fn evict(
    State(env): State<Env>,
    Allowed { principal, .. }: Allowed,
    SessionId(id): SessionId,
) -> Result<StatusCode, Refusal> {
    let row = find(&env, &principal, &id).await?;
    SessionObject::of(&env, &row).call::<()>(Call::Vanish { keeps_alarm: true }).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize)]
struct HoldBody {
    point: Option<HoldPoint>,
}

/// Sends stop at a point; the answer says how many have.
#[worker::send]
async fn hold(
    State(env): State<Env>,
    Allowed { principal, .. }: Allowed,
    SessionId(id): SessionId,
    Json(body): Json<HoldBody>,
) -> Result<Response, Refusal> {
    let row = find(&env, &principal, &id).await?;
    let held: u32 = SessionObject::of(&env, &row).call(Call::Hold(body.point)).await?;
    json(StatusCode::OK, &serde_json::json!({ "held": held }))
}

#[derive(Deserialize)]
struct ObservedAtBody {
    at: u64,
}

/// As if the object had last been heard of then.
#[worker::send]
async fn set_observed_at(
    State(env): State<Env>,
    Allowed { principal, .. }: Allowed,
    SessionId(id): SessionId,
    Json(body): Json<ObservedAtBody>,
) -> Result<StatusCode, Refusal> {
    Directory::of(&env, &principal.organization)?.set_observed_at(&id, body.at).await?;
    Ok(StatusCode::NO_CONTENT)
}
