//! `GET /api/v1/api-keys/{id}`

use axum::extract::State;
use axum::response::Response;
use gateway_domain::api_key::ApiKey;
use gateway_domain::error::ApiError;
use http::StatusCode;
use worker::Env;

use super::{KeyId, find, present};
use crate::auth::Allowed;
use crate::directory::Directory;
use crate::error::Refusal;
use crate::routes::sessions::json;

/// Shows a key, without its secret.
#[utoipa::path(get, path = "/api/v1/api-keys/{id}", operation_id = "getApiKey", tag = "API keys",
    params(("id" = String, Path, description = "The key's id.")),
    responses((status = 200, body = ApiKey), (status = 401, body = ApiError), (status = 403, body = ApiError),
              (status = 404, body = ApiError), (status = 503, body = ApiError)))]
#[worker::send]
pub async fn get(
    State(env): State<Env>,
    Allowed { principal, .. }: Allowed,
    KeyId(id): KeyId,
) -> Result<Response, Refusal> {
    let row = find(&Directory::of(&env, &principal.organization)?, &id).await?;
    json(StatusCode::OK, &present(row))
}
