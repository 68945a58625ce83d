//! The only place that asks for the time: everything else is decided by the seed.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Microseconds since the epoch: what tells two stanzas of a socket apart.
#[allow(clippy::disallowed_methods, reason = "a native server; the ban is for code that also runs on wasm32")]
pub fn unix_micros() -> u64 {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX)
}

/// Milliseconds since the epoch.
pub fn unix_millis() -> u64 {
    unix_micros() / 1000
}

/// Seconds since the epoch, the unit of every `t` attribute.
pub fn unix_seconds() -> u64 {
    unix_millis() / 1000
}

/// Waits until `condition` holds or `limit` has passed; used where a stage may be stalled for ever.
pub async fn within<F: Future>(limit: Duration, future: F) -> Option<F::Output> {
    tokio::time::timeout(limit, future).await.ok()
}
