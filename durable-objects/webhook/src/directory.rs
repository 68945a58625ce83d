//! The webhook's own row in the directory: what its owner decided, and that the gateway switched it off.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use futures::future::{Either, select};
use serde::Deserialize;
use worker::{D1Database, Delay, Env};

use crate::record::{Config, Disabling};

/// How long the directory may take.
const PATIENCE: Duration = Duration::from_secs(5);

#[derive(Deserialize)]
struct Row {
    url: String,
    session_id: Option<String>,
    events: String,
    active: u8,
    secret: String,
    previous_secret: Option<String>,
    previous_secret_expires_at: Option<u64>,
    custom_headers: String,
    retry_policy: String,
    rev: u64,
    start_position: Option<u64>,
    disabled_at: Option<u64>,
}

impl Row {
    fn config(self) -> Result<Config, String> {
        let json = |what: &str, error: serde_json::Error| format!("{what} of the row: {error}");
        Ok(Config {
            url: self.url,
            session: self.session_id,
            events: serde_json::from_str(&self.events).map_err(|error| json("events", error))?,
            active: self.active != 0,
            secret: self.secret,
            previous_secret: self.previous_secret.zip(self.previous_secret_expires_at),
            custom_headers: serde_json::from_str(&self.custom_headers)
                .map_err(|error| json("custom_headers", error))?,
            retry_policy: serde_json::from_str(&self.retry_policy)
                .map_err(|error| json("retry_policy", error))?,
            rev: self.rev,
            start: self.start_position,
            disabled_at: self.disabled_at,
        })
    }
}

/// The webhook as the directory has it; `None` when it is deleted.
///
/// # Errors
/// When the directory can't be asked in time.
pub async fn read(env: &Env, organization: &str, webhook: &str) -> Result<Option<Config>, String> {
    let statement = "SELECT url, session_id, events, active, secret, previous_secret, previous_secret_expires_at, \
         custom_headers, retry_policy, rev, start_position, disabled_at FROM webhook \
         WHERE organization_id = ?1 AND id = ?2 AND deleted_at IS NULL";
    let asked = async {
        let statement = database(env)?.prepare(statement).bind(&[organization.into(), webhook.into()])?;
        statement.first::<Row>(None).await
    };
    in_time(asked).await?.map(Row::config).transpose()
}

/// Writes that the webhook is off, unless its owner has changed it since that was decided.
///
/// # Errors
/// When the directory can't be asked in time.
pub async fn disable(
    env: &Env,
    organization: &str,
    webhook: &str,
    disabling: &Disabling,
) -> Result<(), String> {
    let statement = "UPDATE webhook SET active = 0, disabled_reason = ?4, disabled_at = ?5, updated_at = ?5, \
         rev = rev + 1 WHERE organization_id = ?1 AND id = ?2 AND rev = ?3 AND deleted_at IS NULL";
    let bindings = [
        organization.into(),
        webhook.into(),
        number(disabling.rev),
        disabling.reason.name().into(),
        number(disabling.at),
    ];
    in_time(async { database(env)?.prepare(statement).bind(&bindings)?.run().await.map(drop) }).await
}

/// Writes that everybody has heard of this change.
///
/// # Errors
/// When the directory can't be asked in time.
pub async fn heard(env: &Env, organization: &str, webhook: &str, rev: u64) -> Result<(), String> {
    let statement =
        "UPDATE webhook SET heard_rev = ?3 WHERE organization_id = ?1 AND id = ?2 AND heard_rev < ?3";
    let bindings = [organization.into(), webhook.into(), number(rev)];
    in_time(async { database(env)?.prepare(statement).bind(&bindings)?.run().await.map(drop) }).await
}

#[allow(clippy::disallowed_methods, reason = "an object asks after its own row, with its organization")]
fn database(env: &Env) -> worker::Result<D1Database> {
    env.d1("DB")
}

async fn in_time<T>(asked: impl Future<Output = worker::Result<T>>) -> Result<T, String> {
    match select(pin!(asked), Delay::from(PATIENCE)).await {
        Either::Left((answered, _)) => answered.map_err(|error| error.to_string()),
        Either::Right(_) => Err("no answer in time".to_owned()),
    }
}

#[allow(clippy::cast_precision_loss, reason = "JavaScript numbers; all far below 2^53")]
fn number(number: u64) -> wasm_bindgen::JsValue {
    wasm_bindgen::JsValue::from_f64(number as f64)
}
