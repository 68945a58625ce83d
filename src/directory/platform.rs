//! The directory across organizations: for the platform's own people, and only for reading.

use worker::{D1Database, Env};

use super::sessions::COLUMNS;
use super::{SessionRow, asking, database};
use crate::auth::Principal;
use crate::error::Refusal;
use gateway_domain::error::ApiError;

/// What all organizations have. It can't be had by anybody but a super_admin.
pub struct Platform(D1Database);

impl Platform {
    /// The platform's directory.
    ///
    /// # Errors
    /// 403 for everybody but a super_admin; 503 when there is no database.
    pub fn of(env: &Env, principal: &Principal) -> Result<Self, Refusal> {
        if !principal.is_super_admin() {
            return Err(ApiError::forbidden("super_admin").into());
        }
        database(env).map(Self)
    }

    /// Any session.
    pub async fn session(&self, id: &str) -> Result<Option<SessionRow>, Refusal> {
        let statement = format!("SELECT {COLUMNS} FROM session WHERE id = ?1");
        asking(true, || async { self.0.prepare(&statement).bind(&[id.into()])?.first(None).await }).await
    }

    /// All sessions after an id, in the order they were made.
    pub async fn sessions(&self, after: &str, limit: u32) -> Result<Vec<SessionRow>, Refusal> {
        let statement = format!("SELECT {COLUMNS} FROM session WHERE id > ?1 ORDER BY id LIMIT ?2");
        let bindings = [after.into(), limit.into()];
        asking(true, || async { self.0.prepare(&statement).bind(&bindings)?.all().await?.results() }).await
    }
}
