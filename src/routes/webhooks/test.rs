//! `POST /api/v1/webhooks/{id}:test`

use axum::extract::State;
use axum::response::Response;
use gateway_domain::error::ApiError;
use gateway_domain::webhook::WebhookDelivery;
use gateway_object::calls::webhook::Call;
use http::StatusCode;
use worker::Env;

use super::{WebhookId, call, find};
use crate::auth::Allowed;
use crate::directory::Directory;
use crate::error::Refusal;
use crate::routes::sessions::json;

/// Sends a `webhook.test` now, also when the webhook is off: signed as everything is, tried once, and listed among the
/// deliveries, where its outcome can be seen.
#[utoipa::path(post, path = "/api/v1/webhooks/{id}/!test", operation_id = "testWebhook", tag = "Webhooks",
    params(("id" = String, Path, description = "The webhook's id.")),
    responses((status = 202, body = WebhookDelivery), (status = 401, body = ApiError), (status = 403, body = ApiError),
              (status = 404, body = ApiError), (status = 409, body = ApiError), (status = 503, body = ApiError)))]
#[worker::send]
pub async fn test(
    State(env): State<Env>,
    Allowed { principal, .. }: Allowed,
    WebhookId(id): WebhookId,
) -> Result<Response, Refusal> {
    let row = find(&Directory::of(&env, &principal.organization)?, &id).await?;
    let delivery: WebhookDelivery = call(&env, &row, Call::Test).await?;
    json(StatusCode::ACCEPTED, &delivery)
}
