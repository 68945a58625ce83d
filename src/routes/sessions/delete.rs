//! `DELETE /api/v1/sessions/{session}`

use axum::extract::State;
use gateway_domain::error::ApiError;
use gateway_object::calls::session::Call;
use http::StatusCode;
use worker::Env;

use super::find;
use crate::auth::Allowed;
use crate::directory::Directory;
use crate::error::Refusal;
use crate::request::SessionId;
use crate::routes::webhooks::delete_of_session;
use crate::session_object::SessionObject;

/// Deletes a session and everything stored for it, for good. A connected number is unlinked first.
#[utoipa::path(delete, path = "/api/v1/sessions/{session}", operation_id = "deleteSession", tag = "Sessions",
    params(("session" = String, Path, description = "The session's id.")),
    responses((status = 204, description = "It is gone."), (status = 401, body = ApiError),
              (status = 403, body = ApiError), (status = 404, body = ApiError), (status = 503, body = ApiError)))]
#[worker::send]
pub async fn delete(
    State(env): State<Env>,
    Allowed { principal, .. }: Allowed,
    SessionId(id): SessionId,
) -> Result<StatusCode, Refusal> {
    let directory = Directory::of(&env, &principal.organization)?;
    let row = find(&env, &principal, &id).await?;
    // Also one that was never started: a start may be on its way beside this, and must find that it is deleted.
    // What is cut off from here on the cron finishes.
    directory.want_deleted(&id).await?;
    // The object first: if that fails the row is still there and the caller can try again.
    match SessionObject::of(&env, &row).call::<()>(Call::Delete).await {
        // Erased already by a delete that was cut off before the row went.
        Ok(()) => {}
        Err(Refusal(error)) if error == ApiError::not_found() => {}
        Err(refusal) => return Err(refusal),
    }
    delete_of_session(&env, &principal.organization, &id).await?;
    if directory.delete_session(&id).await? {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(ApiError::not_found().into())
    }
}
