//! `DELETE /api/v1/webhooks/{id}`

use axum::extract::State;
use gateway_domain::error::ApiError;
use http::StatusCode;
use worker::Env;

use super::{WebhookId, bury_in_time};
use crate::auth::Allowed;
use crate::directory::Directory;
use crate::error::Refusal;

/// Deletes a webhook and its deliveries, for good. What is on its way may still arrive.
#[utoipa::path(delete, path = "/api/v1/webhooks/{id}", operation_id = "deleteWebhook", tag = "Webhooks",
    params(("id" = String, Path, description = "The webhook's id.")),
    responses((status = 204, description = "It is gone."), (status = 401, body = ApiError),
              (status = 403, body = ApiError), (status = 404, body = ApiError), (status = 503, body = ApiError)))]
#[worker::send]
pub async fn delete(
    State(env): State<Env>,
    Allowed { principal, .. }: Allowed,
    WebhookId(id): WebhookId,
) -> Result<StatusCode, Refusal> {
    let directory = Directory::of(&env, &principal.organization)?;
    directory.want_webhook_deleted(&id).await?.ok_or_else(ApiError::not_found)?;
    bury_in_time(&env, &directory, &principal.organization, &id).await;
    Ok(StatusCode::NO_CONTENT)
}
