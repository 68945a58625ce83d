//! The front door: answers REST, keeps no state.
//!
//! A request is authenticated (`auth`), its session looked up by organization and id together (`directory`), handed to
//! the session's object (`session_object`), and answered. One operation is one file under `routes`: its errors, its
//! documentation and its handler together.
//!
//! It exists on wasm32 only; what needs no runtime lives in `gateway-domain` and is tested there.
#![cfg(target_arch = "wasm32")]
#![allow(
    missing_docs,
    reason = "an application's inside: nobody depends on it, and the macros document nothing"
)]

mod audit;
mod auth;
mod browser;
mod configuration;
mod directory;
mod error;
mod idempotency;
mod ledger_object;
mod passed_body;
mod qr_picture;
mod request;
mod request_id;
mod routes;
mod scheduled;
mod send_body;
mod session_object;

use futures::channel::oneshot;
use gateway_domain::credential::masked;
use gateway_domain::error::ApiError;
pub use gateway_organization::Organization;
pub use gateway_session::Session;
pub use gateway_webhook::Webhook;
use http::HeaderValue;
use tower_service::Service;
use worker::{Context, Env, Request, Result, event, web_sys};

use crate::error::Refusal;
use crate::request_id::RequestId;

#[event(start)]
fn start() {
    gateway_session::install_panic_guard();
}

#[event(fetch)]
async fn fetch(request: Request, env: Env, context: Context) -> Result<web_sys::Response> {
    let is_head = request.method() == worker::Method::Head;
    // Whoever hangs up is no reason to stop half way: what was begun comes to its end, and into the audit log.
    let (hand_over, answer) = oneshot::channel();
    context.wait_until(async move {
        // Nobody takes it when the caller is gone.
        drop(hand_over.send(serve(request, env).await));
    });
    let answer =
        answer.await.map_err(|oneshot::Canceled| worker::Error::RustError("no answer".to_owned()))?;
    passed_body::to_wasm(answer, is_head)
}

async fn serve(request: Request, env: Env) -> http::Response<axum::body::Body> {
    let began = js_sys::Date::now();
    let id = request_id::of(&request);
    let (method, path) = (request.method().to_string(), request.path());
    let mut response = answer(request, env, RequestId(id.clone())).await;
    browser::secure(response.headers_mut());
    if let Ok(id) = HeaderValue::from_str(&id) {
        response.headers_mut().insert("x-request-id", id);
    }
    log(&id, &method, &path, response.status().as_u16(), js_sys::Date::now() - began);
    response
}

async fn answer(request: Request, env: Env, id: RequestId) -> http::Response<axum::body::Body> {
    let Ok(mut request) = worker::HttpRequest::try_from(request) else {
        return Refusal(ApiError::validation("url", "Not an address this API can read.")).into();
    };
    request.extensions_mut().insert(id);
    let origin = browser::Origin::of(&env, request.headers());
    let preflight = origin.as_ref().and_then(|_| browser::preflight(request.method(), request.headers()));
    let mut response = match preflight {
        Some(response) => response,
        None => route(request, env).await,
    };
    if let Some(origin) = origin {
        origin.allow(response.headers_mut());
    }
    response
}

async fn route(request: worker::HttpRequest, env: Env) -> http::Response<axum::body::Body> {
    let mut request = match routes::verbs::to_router(request) {
        Ok(request) => request,
        Err(refusal) => return refusal.into(),
    };
    // For the door, which stands outside of the router's state.
    request.extensions_mut().insert(env.clone());
    match routes::router(env).call(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    }
}

/// One line a request. The query may carry a secret and is left out; so is one that was pasted into the path.
fn log(id: &str, method: &str, path: &str, status: u16, milliseconds: f64) {
    let path = masked(path);
    let line = serde_json::json!({
        "requestId": id, "method": method, "path": path, "status": status, "milliseconds": milliseconds,
    });
    worker::console_log!("{line}");
}
