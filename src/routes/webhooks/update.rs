//! `PATCH /api/v1/webhooks/{id}`

use axum::extract::State;
use axum::response::Response;
use gateway_domain::error::ApiError;
use gateway_domain::webhook::{Webhook, WebhookBody};
use http::StatusCode;
use worker::Env;

use super::{WebhookId, announce, check_session, find, present, seal};
use crate::auth::Allowed;
use crate::configuration::webhook_reach;
use crate::directory::Directory;
use crate::error::Refusal;
use crate::request::Json;
use crate::routes::sessions::json;

/// Changes a webhook; what is absent stays. It holds for every attempt from then on, also of what waits already. One that
/// is switched on again goes on with what waits, and with what the organization's log has of the meantime.
#[utoipa::path(patch, path = "/api/v1/webhooks/{id}", operation_id = "updateWebhook", tag = "Webhooks",
    params(("id" = String, Path, description = "The webhook's id.")),
    request_body = WebhookBody,
    responses((status = 200, body = Webhook), (status = 400, body = ApiError), (status = 401, body = ApiError),
              (status = 403, body = ApiError), (status = 404, body = ApiError), (status = 503, body = ApiError)))]
#[worker::send]
pub async fn update(
    State(env): State<Env>,
    Allowed { principal, .. }: Allowed,
    WebhookId(id): WebhookId,
    Json(body): Json<WebhookBody>,
) -> Result<Response, Refusal> {
    let settings = body.read(webhook_reach(&env))?;
    let directory = Directory::of(&env, &principal.organization)?;
    find(&directory, &id).await?;
    check_session(&directory, settings.session.as_ref()).await?;
    let sealed = settings.secret.as_ref().map(|secret| seal(&env, secret, &id)).transpose()?;
    let row = directory.update_webhook(&id, &settings, sealed.as_deref()).await?;
    let row = row.ok_or_else(ApiError::not_found)?;
    announce(&env, &directory, &row).await;
    json(StatusCode::OK, &present(row))
}
