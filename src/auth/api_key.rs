//! API keys: looked up by their hash, as better-auth's api-key plugin stores them.

use gateway_domain::api_key::{MAX_KEY_BYTES, granted, hash};
use gateway_domain::error::ApiError;
use serde::Deserialize;
use serde_json::Value;
use worker::{D1Type, Env};

use super::{Caller, Principal};
use crate::configuration::now;
use crate::directory::asking;
use crate::error::Refusal;

#[derive(Deserialize)]
struct Row {
    reference_id: String,
    permissions: Option<String>,
    enabled: Option<Value>,
    expires_at: Option<Value>,
}

/// Who a key belongs to.
///
/// # Errors
/// 401 with one body for every kind of key that does not open the door; 503 when the directory can't be asked.
pub async fn authenticate(env: &Env, key: &str) -> Result<Principal, Refusal> {
    if key.len() > MAX_KEY_BYTES {
        return Err(ApiError::unauthorized().into());
    }
    let hash = hash(key);
    let statement = "SELECT reference_id, permissions, enabled, expires_at FROM apikey WHERE key = ?1";
    let row = asking(true, || async {
        env.d1("DB")?.prepare(statement).bind_refs(&D1Type::Text(&hash))?.first::<Row>(None).await
    });
    let row = row.await?;
    let Some(row) = row.filter(is_valid) else { return Err(ApiError::unauthorized().into()) };
    Ok(Principal {
        organization: row.reference_id,
        caller: Caller::Key,
        capabilities: granted(row.permissions.as_deref()),
    })
}

fn is_valid(row: &Row) -> bool {
    let enabled = match &row.enabled {
        None | Some(Value::Null) => true,
        Some(Value::Bool(enabled)) => *enabled,
        Some(Value::Number(enabled)) => enabled.as_f64() != Some(0.0),
        Some(_) => false,
    };
    enabled && !is_expired(row.expires_at.as_ref())
}

/// better-auth writes epoch milliseconds or ISO 8601, depending on its adapter; what is neither has expired.
#[allow(clippy::cast_precision_loss, reason = "milliseconds, far below 2^53")]
fn is_expired(expires_at: Option<&Value>) -> bool {
    let at = match expires_at {
        None | Some(Value::Null) => return false,
        Some(Value::Number(at)) => at.as_f64().unwrap_or(f64::NAN),
        Some(Value::String(at)) => js_sys::Date::parse(at),
        Some(_) => f64::NAN,
    };
    at.is_nan() || at <= now() as f64
}
