//! `POST /api/v1/webhooks`

use axum::extract::State;
use axum::response::Response;
use gateway_domain::error::ApiError;
use gateway_domain::webhook::{MAX_PER_ORGANIZATION, WebhookBody, WebhookWithSecret};
use http::StatusCode;
use worker::Env;

use super::{announce, check_session, mint, present, reveal, seal};
use crate::audit::About;
use crate::auth::Allowed;
use crate::configuration::webhook_reach;
use crate::directory::Directory;
use crate::error::Refusal;
use crate::idempotency::{NewId, shown_before};
use crate::request::Json;
use crate::routes::sessions::json;

/// Makes a webhook, which is sent what happens from now on. The answer has its `secret`, which is never shown again.
#[utoipa::path(post, path = "/api/v1/webhooks", operation_id = "createWebhook", tag = "Webhooks",
    request_body = WebhookBody,
    responses((status = 201, body = WebhookWithSecret), (status = 400, body = ApiError), (status = 401, body = ApiError),
              (status = 403, body = ApiError), (status = 404, body = ApiError), (status = 409, body = ApiError),
              (status = 503, body = ApiError)))]
#[worker::send]
pub async fn create(
    State(env): State<Env>,
    Allowed { principal, .. }: Allowed,
    NewId { id, may_exist }: NewId,
    Json(body): Json<WebhookBody>,
) -> Result<Response, Refusal> {
    let settings = body.read(webhook_reach(&env))?;
    let Some(url) = settings.url.as_deref() else {
        return Err(ApiError::validation("url", "Is needed.").into());
    };
    let directory = Directory::of(&env, &principal.organization)?;
    check_session(&directory, settings.session.as_ref()).await?;
    let about = About::made("webhooks", &id);
    if may_exist && let Some(row) = directory.webhook(&id).await? {
        announce(&env, &directory, &row).await;
        return Ok(about.on(shown_before(json(StatusCode::CREATED, &present(row))?)));
    }
    let secret = settings.secret.clone().map_or_else(mint, Ok)?;
    let sealed = seal(&env, &secret, &id)?;
    let Some(row) = directory.insert_webhook(&id, url, &settings, &sealed).await? else {
        let message = format!("An organization has {MAX_PER_ORGANIZATION} webhooks at most.");
        return Err(ApiError::conflict(message).into());
    };
    announce(&env, &directory, &row).await;
    Ok(about.on(reveal(StatusCode::CREATED, row, &secret)?))
}
