//! `/healthz` and `/readyz`: whether the Worker answers, and whether it could serve.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use gateway_domain::error::ApiError;
use http::header;
use worker::Env;

use crate::auth::{LIMITERS, login};
use crate::error::{Refusal, directory_unavailable};
use crate::{audit, configuration};

const OK: &str = r#"{"status":"ok"}"#;

fn ok() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], OK).into_response()
}

/// Answers as long as the Worker runs.
#[utoipa::path(get, path = "/healthz", operation_id = "health", tag = "Meta",
    responses((status = 200, description = "It runs.")))]
pub async fn health() -> Response {
    ok()
}

/// Answers 200 when the configuration is sound, the directory can be read and its tables are there.
#[utoipa::path(get, path = "/readyz", operation_id = "ready", tag = "Meta",
    responses((status = 200, description = "It can serve."), (status = 503, body = ApiError)))]
#[worker::send]
pub async fn ready(State(env): State<Env>) -> Result<Response, Refusal> {
    if let Err(wrong) = login::issuers(&env).and_then(|_| configuration::check(&env)) {
        return Err(ApiError::unavailable(wrong).into());
    }
    for limiter in LIMITERS.into_iter().chain([audit::LIMITER]) {
        if let Err(error) = env.rate_limiter(limiter) {
            return Err(ApiError::unavailable(format!("The rate limiter {limiter}: {error}.")).into());
        }
    }
    #[allow(clippy::disallowed_methods, reason = "asks whether the table is there, and for no row of it")]
    let read =
        async { env.d1("DB")?.prepare("SELECT COUNT(*) AS sessions FROM session WHERE id = ''").run().await };
    read.await.map_err(|error| directory_unavailable(&error))?;
    Ok(ok())
}
