//! API keys: how scripts and services call.

pub mod create;
pub mod delete;
pub mod get;
pub mod list;
pub mod rotate;
pub mod update;

use std::collections::HashMap;

use axum::extract::{FromRequestParts, Path};
use axum::response::Response;
use gateway_domain::access::Capability;
use gateway_domain::api_key::{self, ApiKey, ApiKeyWithSecret};
use gateway_domain::audit::MAX_KEY_ID_BYTES;
use gateway_domain::error::ApiError;
use http::StatusCode;
use http::request::Parts;

use super::sessions::json;
use crate::auth::Principal;
use crate::directory::{Directory, Flag, KeyRow, Moment};
use crate::error::{Refusal, internal};

/// The `{id}` of a path. What can't be one names nothing: 404.
pub struct KeyId(pub String);

impl<S: Send + Sync> FromRequestParts<S> for KeyId {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        let Path(mut named) = Path::<HashMap<String, String>>::from_request_parts(parts, state)
            .await
            .map_err(|_| ApiError::not_found())?;
        let id = named.remove("id").filter(|id| id.len() <= MAX_KEY_ID_BYTES && !id.contains('\0'));
        Ok(Self(id.ok_or_else(ApiError::not_found)?))
    }
}

/// The organization's key, or 404.
async fn find(directory: &Directory, id: &str) -> Result<KeyRow, Refusal> {
    directory.key(id).await?.ok_or_else(|| ApiError::not_found().into())
}

/// Nobody hands out what they don't have.
fn permit(principal: &Principal, capabilities: &[Capability]) -> Result<(), Refusal> {
    match principal.lacks(capabilities) {
        Some(lacking) => Err(ApiError::forbidden(lacking.name()).into()),
        None => Ok(()),
    }
}

/// Why a key that was there a moment ago was not changed: it is gone, or no longer what was seen.
async fn not_as_seen(directory: &Directory, id: &str) -> Refusal {
    match find(directory, id).await {
        Ok(_) => ApiError::conflict("Somebody else changed the key meanwhile.").into(),
        Err(refusal) => refusal,
    }
}

/// A secret nobody has seen. Without randomness there is none.
fn mint() -> Result<String, Refusal> {
    let mut random = [0; 32];
    getrandom::fill(&mut random).map_err(|error| internal("randomness", &error))?;
    Ok(api_key::mint(random))
}

/// The key as the API shows it.
fn present(row: KeyRow) -> ApiKey {
    ApiKey {
        permissions: row.capabilities(),
        enabled: row.enabled.is_none_or(|Flag(enabled)| enabled),
        expires_at: row.expires_at.map(Moment::milliseconds),
        last_used_at: row.last_request.map(Moment::milliseconds),
        created_at: row.created_at.milliseconds(),
        updated_at: row.updated_at.milliseconds(),
        previous_expires_at: row
            .previous_expires_at
            .filter(|until| !until.is_past())
            .map(Moment::milliseconds),
        id: row.id,
        organization_id: row.reference_id,
        name: row.name,
        start: row.start,
        prefix: row.prefix,
    }
}

/// The key with its secret, for the caller's eyes only.
fn reveal(status: StatusCode, row: KeyRow, secret: String) -> Result<Response, Refusal> {
    json(status, &ApiKeyWithSecret { api_key: present(row), key: secret })
}
