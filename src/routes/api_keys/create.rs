//! `POST /api/v1/api-keys`

use axum::extract::State;
use axum::response::Response;
use gateway_domain::api_key::{ApiKeyWithSecret, CreateApiKeyInputBody};
use gateway_domain::error::ApiError;
use http::StatusCode;
use worker::Env;

use super::{mint, permit, present, reveal};
use crate::audit::About;
use crate::auth::Allowed;
use crate::configuration::now;
use crate::directory::{Directory, NewKey};
use crate::error::Refusal;
use crate::idempotency::{NewId, shown_before};
use crate::request::Json;
use crate::routes::sessions::json;

/// Makes a key, which works at once. The answer has its secret, `key`, which is never shown again. It can be
/// allowed nothing that the caller is not.
#[utoipa::path(post, path = "/api/v1/api-keys", operation_id = "createApiKey", tag = "API keys",
    request_body = CreateApiKeyInputBody,
    responses((status = 201, body = ApiKeyWithSecret), (status = 400, body = ApiError), (status = 401, body = ApiError),
              (status = 403, body = ApiError), (status = 503, body = ApiError)))]
#[worker::send]
pub async fn create(
    State(env): State<Env>,
    Allowed { principal, .. }: Allowed,
    NewId { id, may_exist }: NewId,
    Json(body): Json<CreateApiKeyInputBody>,
) -> Result<Response, Refusal> {
    body.validate(now())?;
    permit(&principal, &body.permissions)?;
    let about = About::made("api-keys", &id);
    let directory = Directory::of(&env, &principal.organization)?;
    if may_exist && let Some(row) = directory.key(&id).await? {
        return Ok(about.on(shown_before(json(StatusCode::CREATED, &present(row))?)));
    }
    let secret = mint()?;
    let key = NewKey {
        id: &id,
        name: &body.name,
        secret: &secret,
        permissions: &body.permissions,
        enabled: body.enabled.unwrap_or(true),
        expires_at: body.expires_at,
    };
    let row = directory.insert_key(&key).await?;
    Ok(about.on(reveal(StatusCode::CREATED, row, secret)?))
}
