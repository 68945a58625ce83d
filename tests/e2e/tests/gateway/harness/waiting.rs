//! Waiting for what must happen, never for time to pass.

use std::time::{Duration, UNIX_EPOCH};

use tokio::time::Instant;

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(50);

/// How long something may take.
#[derive(Clone, Copy)]
pub struct Patience(pub Duration);

impl Patience {
    pub const fn seconds(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }
}

/// Looks until `look` has it; `Err` says what was seen instead.
pub async fn eventually<T>(
    what: &str,
    patience: Patience,
    mut look: impl AsyncFnMut() -> Result<T, String>,
) -> T {
    let deadline = Instant::now() + patience.0;
    loop {
        match look().await {
            Ok(found) => return found,
            Err(seen) if Instant::now() >= deadline => {
                panic!("waited {:?} for {what}; last seen: {seen}", patience.0)
            }
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}

/// Epoch milliseconds.
pub fn now_ms() -> u64 {
    u64::try_from(UNIX_EPOCH.elapsed().unwrap().as_millis()).unwrap()
}
