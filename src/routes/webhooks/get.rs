//! `GET /api/v1/webhooks/{id}`

use axum::extract::State;
use axum::response::Response;
use gateway_domain::error::ApiError;
use gateway_domain::webhook::Webhook;
use http::StatusCode;
use worker::Env;

use super::{WebhookId, find, present};
use crate::auth::Allowed;
use crate::directory::Directory;
use crate::error::Refusal;
use crate::routes::sessions::json;

/// Shows a webhook, without its secret.
#[utoipa::path(get, path = "/api/v1/webhooks/{id}", operation_id = "getWebhook", tag = "Webhooks",
    params(("id" = String, Path, description = "The webhook's id.")),
    responses((status = 200, body = Webhook), (status = 401, body = ApiError), (status = 403, body = ApiError),
              (status = 404, body = ApiError), (status = 503, body = ApiError)))]
#[worker::send]
pub async fn get(
    State(env): State<Env>,
    Allowed { principal, .. }: Allowed,
    WebhookId(id): WebhookId,
) -> Result<Response, Refusal> {
    let row = find(&Directory::of(&env, &principal.organization)?, &id).await?;
    json(StatusCode::OK, &present(row))
}
