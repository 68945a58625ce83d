//! `POST /api/v1/webhooks/{id}:rotate-secret`

use axum::extract::State;
use axum::response::Response;
use gateway_domain::error::ApiError;
use gateway_domain::webhook::{RotateWebhookSecretInputBody, WebhookWithSecret};
use http::StatusCode;
use worker::Env;

use super::{WebhookId, announce, find, mint, reveal, seal};
use crate::auth::Allowed;
use crate::configuration::now;
use crate::directory::{Directory, NewSecret};
use crate::error::Refusal;
use crate::request::OptionalJson;

/// Gives a webhook another secret, `secret`, which is never shown again. For `overlapSeconds` deliveries are signed with
/// both, so that a receiver can change over without missing one; the secret before the one it replaces signs no longer.
#[utoipa::path(post, path = "/api/v1/webhooks/{id}/!rotate-secret", operation_id = "rotateWebhookSecret", tag = "Webhooks",
    params(("id" = String, Path, description = "The webhook's id.")),
    request_body = Option<RotateWebhookSecretInputBody>,
    responses((status = 200, body = WebhookWithSecret), (status = 400, body = ApiError), (status = 401, body = ApiError),
              (status = 403, body = ApiError), (status = 404, body = ApiError), (status = 503, body = ApiError)))]
#[worker::send]
pub async fn rotate_secret(
    State(env): State<Env>,
    Allowed { principal, .. }: Allowed,
    WebhookId(id): WebhookId,
    OptionalJson(body): OptionalJson<RotateWebhookSecretInputBody>,
) -> Result<Response, Refusal> {
    let (given, overlap_seconds) = body.read()?;
    let directory = Directory::of(&env, &principal.organization)?;
    find(&directory, &id).await?;
    let secret = given.map_or_else(mint, Ok)?;
    let sealed = seal(&env, &secret, &id)?;
    let overlap = u64::from(overlap_seconds) * 1_000;
    let rotation =
        NewSecret { sealed: &sealed, previous_until: (overlap > 0).then(|| now().saturating_add(overlap)) };
    let row = directory.rotate_webhook_secret(&id, &rotation).await?.ok_or_else(ApiError::not_found)?;
    announce(&env, &directory, &row).await;
    reveal(StatusCode::OK, row, &secret)
}
