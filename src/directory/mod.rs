//! The directory: D1, seen from one organization.
//!
//! Every statement on a tenant's table is a method of [`Directory`], which can't be had without an [`Organization`],
//! and nobody makes one of those from what a request says. That each statement binds it is tested
//! (`tests/statements.rs`). Across organizations see the platform's own people ([`Platform`]) and its machinery
//! ([`Operations`], [`Census`]).

mod api_keys;
mod audit_log;
mod census;
mod idempotency;
mod operations;
mod platform;
mod sessions;
mod tickets;
mod webhooks;

use std::future::Future;
use std::time::Duration;

pub use api_keys::{Flag, KeyChanges, KeyRow, Moment, NewKey, Rotation};
pub use census::Census;
pub use operations::{Operations, Overdue};
pub use platform::Platform;
pub use sessions::{Changes, NewSession, SessionRow};
use wasm_bindgen::JsValue;
pub use webhooks::{NewSecret, WebhookRow};
use worker::{D1Database, Delay, Env};

use crate::auth::Organization;
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
    pub fn of(env: &Env, organization: &Organization) -> Result<Self, Refusal> {
        Ok(Self { database: database(env)?, organization: organization.as_str().to_owned() })
    }
}

/// The database behind all of it. Only here, so that nobody asks it without saying on whose behalf.
#[allow(clippy::disallowed_methods, reason = "the directory is what the database is for")]
fn database(env: &Env) -> Result<D1Database, Refusal> {
    env.d1("DB").map_err(|error| directory_unavailable(&error))
}

/// Asks the directory, again after a short pause when it fails for a passing reason. D1 reports a lost connection
/// and a locked file as errors; a statement is repeated only if `repeatable`, or if it was certainly not run.
pub async fn asking<T, F: Future<Output = worker::Result<T>>>(
    repeatable: bool,
    mut ask: impl FnMut() -> F,
) -> Result<T, Refusal> {
    let mut pauses = [50, 200, 500].into_iter();
    loop {
        let error = match ask().await {
            Ok(answer) => return Ok(answer),
            Err(error) => error,
        };
        let text = error.to_string();
        let not_run = text.contains("SQLITE_BUSY") || text.contains("database is locked");
        match pauses.next() {
            Some(pause) if repeatable || not_run => Delay::from(Duration::from_millis(pause)).await,
            _ => return Err(directory_unavailable(&text)),
        }
    }
}

fn nullable(value: Option<impl Into<JsValue>>) -> JsValue {
    value.map_or(JsValue::NULL, Into::into)
}

fn flag(flag: bool) -> JsValue {
    JsValue::from(u8::from(flag))
}

#[allow(clippy::cast_precision_loss, reason = "milliseconds, far below 2^53")]
fn moment(milliseconds: u64) -> JsValue {
    JsValue::from_f64(milliseconds as f64)
}
