//! The platform's own operations: across organizations, for a super_admin's login only.

pub mod backfill_status;
pub mod list_sessions;
pub mod start_backfill;

use gateway_domain::error::ApiError;
use worker::Env;

use crate::auth::Principal;
use crate::directory::{Platform, SessionRow};
use crate::error::Refusal;

/// Any organization's session, or 404.
async fn find(env: &Env, principal: &Principal, id: &str) -> Result<SessionRow, Refusal> {
    let row = Platform::of(env, principal)?.session(id).await?;
    row.ok_or_else(|| ApiError::not_found().into())
}
