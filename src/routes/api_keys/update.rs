//! `PATCH /api/v1/api-keys/{id}`

use axum::extract::State;
use axum::response::Response;
use gateway_domain::api_key::{ApiKey, UpdateApiKeyInputBody};
use gateway_domain::error::ApiError;
use http::StatusCode;
use worker::Env;

use super::{KeyId, find, not_as_seen, permit, present};
use crate::auth::Allowed;
use crate::configuration::now;
use crate::directory::{Directory, KeyChanges};
use crate::error::Refusal;
use crate::request::Json;
use crate::routes::sessions::json;

/// Changes a key; what is absent stays. It holds from the next request on. Whoever gives a key more permissions,
/// more time, or switches it on must have all that it may do afterwards.
#[utoipa::path(patch, path = "/api/v1/api-keys/{id}", operation_id = "updateApiKey", tag = "API keys",
    params(("id" = String, Path, description = "The key's id.")),
    request_body = UpdateApiKeyInputBody,
    responses((status = 200, body = ApiKey), (status = 400, body = ApiError), (status = 401, body = ApiError),
              (status = 403, body = ApiError), (status = 404, body = ApiError), (status = 409, body = ApiError),
              (status = 503, body = ApiError)))]
#[worker::send]
pub async fn update(
    State(env): State<Env>,
    Allowed { principal, .. }: Allowed,
    KeyId(id): KeyId,
    Json(body): Json<UpdateApiKeyInputBody>,
) -> Result<Response, Refusal> {
    body.validate(now())?;
    let directory = Directory::of(&env, &principal.organization)?;
    let seen = find(&directory, &id).await?;
    if body.empowers() {
        permit(&principal, &body.permissions.clone().unwrap_or_else(|| seen.capabilities()))?;
    }
    let changes = KeyChanges {
        name: body.name.as_deref(),
        permissions: body.permissions.as_deref(),
        enabled: body.enabled,
        expires_at: body.expires_at,
    };
    match directory.update_key(&seen, &changes).await? {
        Some(row) => json(StatusCode::OK, &present(row)),
        None => Err(not_as_seen(&directory, &id).await),
    }
}
