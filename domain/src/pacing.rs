//! How fast a session sends: no more than so many in any minute and in any hour, exactly, across restarts. The owner keeps
//! the times of sends; what is asked of them is one row by its place from the newest, and one count.
//!
//! Looking and writing down ([`Limits::next_free`], then the row) must be one synchronous run, and the row is written
//! before the message leaves.

#[cfg(test)]
mod tests;

use std::time::Duration;

const MINUTE_MS: u64 = 60_000;
const HOUR_MS: u64 = 3_600_000;

/// How many sends a session may do; 0 is any number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// In any 60 seconds.
    pub per_minute: u32,
    /// In any 3600 seconds.
    pub per_hour: u32,
}

/// One limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Window {
    name: &'static str,
    quota: u32,
    length_ms: u64,
}

/// One limit, and what is left of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// `permin` or `perhr`.
    pub name: &'static str,
    /// How many in a window.
    pub limit: u32,
    /// How long a window is, in seconds.
    pub window_seconds: u64,
    /// How many may go now.
    pub remaining: u32,
    /// In how many seconds there will be more; with none left, the next is let through then.
    pub reset_seconds: u64,
}

impl Window {
    /// When a send of then no longer counts. A time is cut off to its millisecond, hence the one more: a window is 60
    /// seconds with both its ends.
    const fn forgotten_at(&self, sent: u64) -> u64 {
        sent.saturating_add(self.length_ms + 1)
    }
}

impl Limits {
    fn windows(self) -> impl Iterator<Item = Window> {
        let minute = Window { name: "permin", quota: self.per_minute, length_ms: MINUTE_MS };
        let hour = Window { name: "perhr", quota: self.per_hour, length_ms: HOUR_MS };
        [minute, hour].into_iter().filter(|window| window.quota > 0)
    }

    /// When the next send may go: `now`, or the earliest time after it. `nth_newest` tells when the `n`-th newest send
    /// went, 1 being the newest: for SQL, `ORDER BY at DESC LIMIT 1 OFFSET n - 1`. It is asked once for each limit.
    ///
    /// A time that has not come yet, because the clock was turned back, counts as now.
    ///
    /// # Errors
    /// Those of `nth_newest`.
    pub fn next_free<E>(
        self,
        now: u64,
        mut nth_newest: impl FnMut(u32) -> Result<Option<u64>, E>,
    ) -> Result<u64, E> {
        let mut free = now;
        for window in self.windows() {
            if let Some(sent) = nth_newest(window.quota)? {
                free = free.max(window.forgotten_at(sent.min(now)));
            }
        }
        Ok(free)
    }

    /// What is left of each limit. `count_since` tells how many sends went at a time or after it.
    ///
    /// # Errors
    /// Those of the two.
    pub fn standing<E>(
        self,
        now: u64,
        mut nth_newest: impl FnMut(u32) -> Result<Option<u64>, E>,
        mut count_since: impl FnMut(u64) -> Result<u32, E>,
    ) -> Result<Vec<Standing>, E> {
        let mut standings = Vec::new();
        for window in self.windows() {
            // One that went before the limit was lowered may be too many.
            let used = count_since(now.saturating_sub(window.length_ms))?.min(window.quota);
            let oldest = if used == 0 { None } else { nth_newest(used)? };
            let more_at = oldest.map_or(now, |sent| window.forgotten_at(sent.min(now)));
            let full_ms = if used == 0 { window.length_ms } else { more_at.saturating_sub(now) };
            standings.push(Standing {
                name: window.name,
                limit: window.quota,
                window_seconds: window.length_ms / 1_000,
                remaining: window.quota - used,
                reset_seconds: full_ms.div_ceil(1_000),
            });
        }
        Ok(standings)
    }
}

/// `Retry-After` for a send that must wait until then: whole seconds, never too early.
#[must_use]
pub const fn retry_after_seconds(now: u64, free: u64) -> u64 {
    let seconds = free.saturating_sub(now).div_ceil(1_000);
    if seconds == 0 { 1 } else { seconds }
}

/// The field `RateLimit` (draft-ietf-httpapi-ratelimit-headers-11); `None` without limits.
#[must_use]
pub fn rate_limit(standings: &[Standing]) -> Option<String> {
    let item = |it: &Standing| format!("\"{}\";r={};t={}", it.name, it.remaining, it.reset_seconds);
    list(standings.iter().map(item))
}

/// The field `RateLimit-Policy` of the same draft; `None` without limits.
#[must_use]
pub fn rate_limit_policy(standings: &[Standing]) -> Option<String> {
    let item = |it: &Standing| format!("\"{}\";q={};w={}", it.name, it.limit, it.window_seconds);
    list(standings.iter().map(item))
}

fn list(items: impl Iterator<Item = String>) -> Option<String> {
    let items: Vec<String> = items.collect();
    (!items.is_empty()).then(|| items.join(", "))
}

/// How long somebody seems to look for what is no text, for `presenceTyping`: 0.3 to 1.5 s, by any random number.
#[must_use]
pub fn choosing_time(jitter: u32) -> Duration {
    Duration::from_millis(300 + u64::from(jitter % 256) * 1_200 / 255)
}

/// How long somebody seems to type a text, for `presenceTyping`: half a second to four, the longer the text the longer,
/// give or take a fifth by `jitter`, which is any random number.
#[must_use]
pub fn typing_time(characters: usize, jitter: u32) -> Duration {
    const LEAST_MS: u64 = 500;
    const MOST_MS: u64 = 4_000;
    const MS_A_CHARACTER: u64 = 40;
    let characters = u64::try_from(characters).unwrap_or(u64::MAX);
    let steady = characters.saturating_mul(MS_A_CHARACTER).saturating_add(LEAST_MS).min(MOST_MS);
    let percent = 80 + u64::from(jitter % 41);
    Duration::from_millis((steady * percent / 100).clamp(LEAST_MS, MOST_MS))
}
