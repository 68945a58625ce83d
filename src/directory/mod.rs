//! The directory: D1, seen from one organization.
//!
//! Every statement on a tenant's table is a method of [`Directory`], which can't be had without an organization
//! and binds it in each of them: isolation is a matter of types, not of care.

mod sessions;

pub use sessions::{Changes, NewSession, SessionRow};
use worker::{D1Database, Env};

use crate::error::{Refusal, directory_unavailable};

/// What one organization has.
pub struct Directory {
    database: D1Database,
    organization: String,
}

impl Directory {
    /// The directory of an organization.
    ///
    /// # Errors
    /// 503 when there is no database.
    pub fn of(env: &Env, organization: &str) -> Result<Self, Refusal> {
        let database = env.d1("DB").map_err(|error| directory_unavailable(&error))?;
        Ok(Self { database, organization: organization.to_owned() })
    }
}
