//! When a delivery that failed is tried again.

use std::time::{Duration, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::error::ApiError;

/// Nothing waits longer than this for its next attempt, whatever the receiver asks for: 12 hours, in milliseconds.
const LONGEST: u64 = 12 * 60 * 60 * 1_000;

/// How the pauses grow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Backoff {
    /// Each is twice the one before.
    Exponential,
    /// Each is one delay more than the one before.
    Linear,
    /// All are the same.
    Constant,
}

/// When a delivery that failed is tried again, and how often it is tried in all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RetryPolicy {
    /// How the pauses grow.
    pub policy: Backoff,
    /// The first pause, in seconds.
    #[schema(minimum = 1, maximum = 3600)]
    pub delay_seconds: u32,
    /// How often a delivery is tried before it is dead.
    #[schema(minimum = 1, maximum = 30)]
    pub attempts: u32,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self { policy: Backoff::Exponential, delay_seconds: 2, attempts: 15 }
    }
}

impl RetryPolicy {
    /// Checks its limits.
    ///
    /// # Errors
    /// `validation_error` naming the field that is out of them.
    pub fn checked(self) -> Result<Self, ApiError> {
        if !(1..=3_600).contains(&self.delay_seconds) {
            return Err(ApiError::validation("retryPolicy.delaySeconds", "Must be 1 to 3600."));
        }
        if !(1..=30).contains(&self.attempts) {
            return Err(ApiError::validation("retryPolicy.attempts", "Must be 1 to 30."));
        }
        Ok(self)
    }

    /// The pause after an attempt that failed, in milliseconds: a fifth more or less, by `jitter` from 0 to 1, and never
    /// less than what the receiver asked for.
    #[must_use]
    pub fn pause(&self, attempt: u32, jitter: f64, asked: Option<u64>) -> u64 {
        let delay = u64::from(self.delay_seconds) * 1_000;
        let planned = match self.policy {
            Backoff::Exponential => {
                delay.saturating_mul(1_u64.checked_shl(attempt.saturating_sub(1)).unwrap_or(u64::MAX))
            }
            Backoff::Linear => delay.saturating_mul(u64::from(attempt.max(1))),
            Backoff::Constant => delay,
        };
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "at most 12 hours, and positive"
        )]
        let spread = (planned.min(LONGEST) as f64 * (0.8 + 0.4 * jitter.clamp(0.0, 1.0))) as u64;
        spread.max(asked.unwrap_or(0)).min(LONGEST)
    }
}

/// What a `Retry-After` asks for, in milliseconds from now: seconds, or a date (RFC 9110, 10.2.3).
#[must_use]
pub fn retry_after(value: &str, now: u64) -> Option<u64> {
    let value = value.trim();
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(value.parse::<u64>().map_or(u64::MAX, |seconds| seconds.saturating_mul(1_000)));
    }
    let at = httpdate::parse_http_date(value).ok()?;
    let now = UNIX_EPOCH.checked_add(Duration::from_millis(now))?;
    let until = at.duration_since(now).unwrap_or_default();
    Some(u64::try_from(until.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pauses(policy: Backoff, delay_seconds: u32, attempts: &[u32]) -> Vec<u64> {
        let policy = RetryPolicy { policy, delay_seconds, attempts: 30 };
        attempts.iter().map(|attempt| policy.pause(*attempt, 0.5, None) / 1_000).collect()
    }

    #[test]
    fn pauses_grow_as_the_policy_says() {
        assert_eq!(pauses(Backoff::Exponential, 2, &[1, 2, 3, 4, 14]), [2, 4, 8, 16, 16_384]);
        assert_eq!(
            pauses(Backoff::Exponential, 2, &[15, 16, 29, 30, 100]),
            [32_768, 43_200, 43_200, 43_200, 43_200]
        );
        assert_eq!(pauses(Backoff::Linear, 10, &[1, 2, 3, 29]), [10, 20, 30, 290]);
        assert_eq!(pauses(Backoff::Constant, 3_600, &[1, 2, 29]), [3_600, 3_600, 3_600]);
    }

    #[test]
    fn jitter_is_a_fifth_and_nothing_exceeds_twelve_hours() {
        let policy = RetryPolicy { policy: Backoff::Constant, delay_seconds: 100, attempts: 5 };
        assert_eq!(policy.pause(1, 0.0, None), 80_000);
        assert_eq!(policy.pause(1, 1.0, None), 120_000);
        assert_eq!((policy.pause(1, -5.0, None), policy.pause(1, 9.0, None)), (80_000, 120_000));
        assert_eq!(RetryPolicy::default().pause(30, 1.0, None), LONGEST);
    }

    #[test]
    fn a_receiver_that_asks_for_time_gets_it_up_to_twelve_hours() {
        let policy = RetryPolicy { policy: Backoff::Constant, delay_seconds: 10, attempts: 5 };
        assert_eq!(policy.pause(1, 0.5, Some(90_000)), 90_000);
        assert_eq!(policy.pause(1, 0.5, Some(3_000)), 10_000, "never less than planned");
        assert_eq!(policy.pause(1, 0.5, Some(u64::MAX)), LONGEST);
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        // Sun, 06 Nov 1994 08:49:37 GMT, the example of RFC 9110, 5.6.7, in its three notations.
        let at = 784_111_777_000;
        for date in
            ["Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"]
        {
            assert_eq!(retry_after(date, at - 2_500), Some(2_500), "{date}");
            assert_eq!(retry_after(date, at + 1), Some(0), "{date}");
        }
        assert_eq!(retry_after("120", 0), Some(120_000));
        assert_eq!(retry_after(" 0 ", 0), Some(0));
        assert_eq!(retry_after("99999999999999999999999", 0), Some(u64::MAX));
        for wrong in ["", "-1", "1.5", "soon", "1 minute", "Sun, 06 Nov 1994", "１"] {
            assert_eq!(retry_after(wrong, 0), None, "{wrong}");
        }
    }
}
