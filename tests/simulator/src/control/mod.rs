//! The control API: what a test does to the simulated world, as JSON over HTTP on the port WhatsApp itself is on.

mod certificate;
mod connections;
mod contacts;
mod devices;
mod faults;
mod groups;
mod linking;
mod media;
mod messages;
mod passkeys;
mod phones;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::rejection::QueryRejection;
use axum::extract::{DefaultBodyLimit, Query, Request, State, WebSocketUpgrade};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use axum::{Json, extract::ws::rejection::WebSocketUpgradeRejection};
use bytes::Bytes;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use crate::connection;
use crate::faults::Stage;
use crate::world::World;

/// The longest a long poll waits.
const LONGEST_WAIT: f64 = 120.0;
/// The largest body, for a file in base64.
const LARGEST_BODY: usize = 256 << 20;
/// The largest frame WhatsApp knows.
const LARGEST_MESSAGE: usize = 1 << 24;

type Shared = State<Arc<World>>;

/// All routes.
pub fn router(world: Arc<World>) -> Router {
    Router::new()
        .route("/ws/chat", get(chat))
        .route("/healthz", get(|| async { Json(json!({ "status": "ok" })) }))
        .route("/phones", get(phones::list).post(phones::create))
        .route("/phones/{number}/scan", post(linking::scan))
        .route("/phones/{number}/enter-code", post(linking::enter))
        .route("/phones/{number}/codes", get(linking::codes))
        .route("/phones/{number}/codes/expire", post(linking::expire_code))
        .route("/phones/{number}/codes/refresh", post(linking::refresh_code))
        .route("/phones/{number}/passkey", get(passkeys::show).put(passkeys::require))
        .route("/phones/{number}/passkey/assert", post(passkeys::assert))
        .route("/phones/{number}/passkey/expire", post(passkeys::expire))
        .route("/phones/{number}/passkey/confirm", post(passkeys::confirm))
        .route("/registrations/refresh", post(linking::refresh_registration))
        .route("/phones/{number}/messages", get(messages::list).post(messages::send))
        .route("/phones/{number}/receipts", get(messages::receipts))
        .route("/phones/{number}/typing", get(messages::typing))
        .route("/phones/{number}/dropped", get(messages::dropped))
        .route("/phones/{number}/read", post(messages::read))
        .route("/phones/{number}/privacy", get(phones::privacy).put(phones::set_privacy))
        .route("/phones/{number}/played", post(messages::played))
        .route("/sent/{message}", get(messages::sent))
        .route("/media", get(media::list))
        .route("/media/{hash}", get(media::show).delete(media::expire))
        .route("/phones/{number}/devices/{device}", delete(devices::unlink))
        .route("/phones/{number}/contacts", get(contacts::list).put(contacts::replace))
        .route("/groups", get(groups::list).post(groups::create))
        .route("/groups/{group}", get(groups::show).patch(groups::change))
        .route("/groups/{group}/participants", post(groups::add))
        .route("/groups/{group}/participants/{person}", delete(groups::remove))
        .route("/devices", get(devices::list))
        .route("/connections", get(connections::show))
        .route("/faults", get(faults::list).post(faults::arm).delete(faults::clear))
        .route("/faults/{id}", delete(faults::remove))
        .route("/certificate", get(certificate::show))
        .route("/certificate/rotate", post(certificate::rotate))
        .route("/reset", post(reset))
        .layer(DefaultBodyLimit::max(LARGEST_BODY))
        .merge(crate::media::http::router())
        .merge(world.web_page.router())
        .fallback(|| async { Error::not_found("no such resource") })
        .method_not_allowed_fallback(|| async {
            Error::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "no such operation here")
        })
        .layer(middleware::from_fn_with_state(world.clone(), settled))
        .with_state(world)
}

/// An answer waits until what it reports is on disk.
async fn settled(State(world): Shared, request: Request, next: Next) -> Response {
    let answer = next.run(request).await;
    if world.store.settled().await {
        return answer;
    }
    Error::new(StatusCode::SERVICE_UNAVAILABLE, "ending", "the state is closed").into_response()
}

async fn chat(
    State(world): Shared,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, Error> {
    let upgrade = upgrade.map_err(|rejection| {
        Error::new(StatusCode::BAD_REQUEST, "not_a_websocket", &rejection.body_text())
    })?;
    world.faults.unstalled(Stage::Upgrade, None).await;
    let upgrade = upgrade.max_message_size(LARGEST_MESSAGE).max_frame_size(LARGEST_MESSAGE);
    // Where this client has found us it will find the media hosts.
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).map(ToOwned::to_owned);
    Ok(upgrade.on_upgrade(move |socket| connection::serve(world, socket, host)))
}

async fn reset(State(world): Shared) -> StatusCode {
    world.reset();
    StatusCode::NO_CONTENT
}

/// An answer that isn't what was asked for.
struct Error {
    status: StatusCode,
    code: &'static str,
    message: String,
}

impl Error {
    fn new(status: StatusCode, code: &'static str, message: &str) -> Self {
        Self { status, code, message: message.to_owned() }
    }

    fn invalid(message: &str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_request", message)
    }

    fn not_found(message: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", message)
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let body = json!({ "error": { "code": self.code, "message": self.message } });
        (self.status, Json(body)).into_response()
    }
}

/// A body as JSON, whatever content type it came under.
fn parse<T: DeserializeOwned>(body: &Bytes) -> Result<T, Error> {
    serde_json::from_slice(body).map_err(|error| Error::invalid(&error.to_string()))
}

/// `?after=&wait=`: everything after that number, waiting so many seconds for the first.
#[derive(Deserialize)]
struct Poll {
    #[serde(default)]
    after: u64,
    #[serde(default)]
    wait: f64,
}

impl Poll {
    fn read(query: Result<Query<Self>, QueryRejection>) -> Result<(u64, Duration), Error> {
        let Query(poll) = query.map_err(|rejection| Error::invalid(&rejection.body_text()))?;
        let wait = if poll.wait.is_finite() { poll.wait.clamp(0.0, LONGEST_WAIT) } else { 0.0 };
        Ok((poll.after, Duration::from_secs_f64(wait)))
    }
}
