//! `POST /api/v1/webhooks`

use axum::extract::State;
use axum::response::Response;
use gateway_domain::error::ApiError;
use gateway_domain::ids;
use gateway_domain::webhook::{MAX_PER_ORGANIZATION, WebhookBody, WebhookWithSecret};
use http::StatusCode;
use worker::Env;

use super::{announce, check_session, mint, reveal, seal};
use crate::audit::About;
use crate::auth::Allowed;
use crate::configuration::{now, random, webhook_reach};
use crate::directory::Directory;
use crate::error::Refusal;
use crate::request::Json;

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
    Json(body): Json<WebhookBody>,
) -> Result<Response, Refusal> {
    let settings = body.read(webhook_reach(&env))?;
    let Some(url) = settings.url.as_deref() else {
        return Err(ApiError::validation("url", "Is needed.").into());
    };
    let directory = Directory::of(&env, &principal.organization)?;
    check_session(&directory, settings.session.as_ref()).await?;
    let id = ids::mint(now(), random());
    let secret = settings.secret.clone().map_or_else(mint, Ok)?;
    let sealed = seal(&env, &secret, &id)?;
    let Some(row) = directory.insert_webhook(&id, url, &settings, &sealed).await? else {
        let message = format!("An organization has {MAX_PER_ORGANIZATION} webhooks at most.");
        return Err(ApiError::conflict(message).into());
    };
    announce(&env, &directory, &row).await;
    let mut response = reveal(StatusCode::CREATED, row, &secret)?;
    response.extensions_mut().insert(About::made("webhooks", &id));
    Ok(response)
}
