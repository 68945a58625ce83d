//! `DELETE /api/v1/api-keys/{id}`

use axum::extract::State;
use gateway_domain::error::ApiError;
use http::StatusCode;
use worker::Env;

use super::KeyId;
use crate::auth::Allowed;
use crate::directory::Directory;
use crate::error::Refusal;

/// Deletes a key. It is refused from the next request on, and its streams end within a minute.
#[utoipa::path(delete, path = "/api/v1/api-keys/{id}", operation_id = "deleteApiKey", tag = "API keys",
    params(("id" = String, Path, description = "The key's id.")),
    responses((status = 204, description = "It is gone."), (status = 401, body = ApiError),
              (status = 403, body = ApiError), (status = 404, body = ApiError), (status = 503, body = ApiError)))]
#[worker::send]
pub async fn delete(
    State(env): State<Env>,
    Allowed { principal, .. }: Allowed,
    KeyId(id): KeyId,
) -> Result<StatusCode, Refusal> {
    if Directory::of(&env, &principal.organization)?.delete_key(&id).await? {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(ApiError::not_found().into())
    }
}
