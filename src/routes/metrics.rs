//! `GET /metrics`

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use gateway_domain::error::ApiError;
use gateway_domain::metrics::{CONTENT_TYPE, Metrics};
use gateway_session::whatsapp_version::pinned;
use http::header;
use worker::Env;

use crate::auth::Scraper;
use crate::configuration::now;
use crate::directory::Census;
use crate::error::Refusal;
use crate::scheduled::UNHEARD_MS;

/// What the platform measures of itself, in Prometheus' text format, across organizations and without naming any.
/// 404 where no `METRICS_TOKEN` is configured.
#[utoipa::path(get, path = "/metrics", operation_id = "metrics", tag = "Meta",
    responses((status = 200, body = String, content_type = "text/plain", description = "Text format 0.0.4."),
              (status = 401, body = ApiError), (status = 404, body = ApiError), (status = 503, body = ApiError)))]
#[worker::send]
pub async fn metrics(State(env): State<Env>, scraper: Scraper) -> Result<Response, Refusal> {
    let census = Census::of(&env, &scraper)?;
    let now = now();
    let counts = census.sessions(now.saturating_sub(UNHEARD_MS)).await?;
    let known = census.version().await?.map(|kept| kept.known);
    let metrics = Metrics { counts, pinned: pinned(&env), known, now };
    Ok(([(header::CONTENT_TYPE, CONTENT_TYPE)], metrics.text()).into_response())
}
