//! `POST /api/v1/api-keys/{id}:rotate`

use axum::extract::State;
use axum::response::Response;
use gateway_domain::api_key::{ApiKeyWithSecret, RotateApiKeyInputBody};
use gateway_domain::error::ApiError;
use http::StatusCode;
use worker::Env;

use super::{KeyId, find, mint, not_as_seen, permit, reveal};
use crate::auth::Allowed;
use crate::configuration::now;
use crate::directory::{Directory, Rotation};
use crate::error::Refusal;
use crate::request::OptionalJson;

/// Gives a key another secret, `key`, which is never shown again. The one it replaces works on for
/// `overlapSeconds`. While one that was replaced before still works, that is a conflict, for it may be the one in use:
/// `details.previousExpiresAt` says until when; `endPrevious` ends it. The caller must have all that the key may do.
#[utoipa::path(post, path = "/api/v1/api-keys/{id}/!rotate", operation_id = "rotateApiKey", tag = "API keys",
    params(("id" = String, Path, description = "The key's id.")),
    request_body = Option<RotateApiKeyInputBody>,
    responses((status = 200, body = ApiKeyWithSecret), (status = 400, body = ApiError), (status = 401, body = ApiError),
              (status = 403, body = ApiError), (status = 404, body = ApiError), (status = 409, body = ApiError),
              (status = 503, body = ApiError)))]
#[worker::send]
pub async fn rotate(
    State(env): State<Env>,
    Allowed { principal, .. }: Allowed,
    KeyId(id): KeyId,
    OptionalJson(body): OptionalJson<RotateApiKeyInputBody>,
) -> Result<Response, Refusal> {
    body.validate()?;
    let directory = Directory::of(&env, &principal.organization)?;
    let seen = find(&directory, &id).await?;
    permit(&principal, &seen.capabilities())?;
    if let Some(until) = seen.previous_expires_at.filter(|until| !until.is_past() && !body.end_previous) {
        let error = ApiError::conflict("The secret before the last rotation still works.");
        return Err(error.with("previousExpiresAt", until.milliseconds()).into());
    }
    let secret = mint()?;
    let overlap = u64::from(body.overlap_seconds) * 1_000;
    let rotation =
        Rotation { secret: &secret, previous_until: (overlap > 0).then(|| now().saturating_add(overlap)) };
    match directory.rotate_key(&seen, &rotation).await? {
        Some(row) => reveal(StatusCode::OK, row, secret),
        None => Err(not_as_seen(&directory, &id).await),
    }
}
