//! A session's timeline: every change of its status with its cause, and the uptime that follows from them.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::lifecycle::Status;

/// A stretch of time in which the session had one status for one reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Stretch {
    /// Counts the session's stretches.
    pub seq: u64,
    /// When it began, epoch milliseconds. After a restart of the object: when the session was last known to live.
    pub at: u64,
    /// What was seen.
    pub status: Status,
    /// Why: a `statusReason.code`; null when there was nothing to say.
    pub code: Option<String>,
    /// Why, for people.
    pub message: Option<String>,
    /// Which connection it was.
    pub epoch: u64,
    /// How long it lasted; null while it lasts.
    pub duration_ms: Option<u64>,
}

/// What a session did with a span of time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Uptime {
    /// How long it was `working`.
    pub working_ms: u64,
    /// How long it was meant to be connected: anything but `stopped` and `logged_out`.
    pub wanted_ms: u64,
    /// `workingMs` of `wantedMs`, 0 to 1; null when it was never meant to be connected.
    pub ratio: Option<f64>,
}

/// Uptime over the usual spans.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Uptimes {
    /// The last 24 hours.
    pub last24_hours: Uptime,
    /// The last 7 days.
    pub last7_days: Uptime,
}

/// A page of the timeline, the newest first.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Timeline {
    /// The stretches.
    pub data: Vec<Stretch>,
    /// Where the next page begins; null when there is none.
    pub next_cursor: Option<String>,
    /// How much of the time it worked.
    pub uptime: Uptimes,
}

/// A day, in milliseconds.
pub const DAY_MS: u64 = 86_400_000;

/// What a session did from `since` to `now`, by the moments it changed, in their order. Before the first nothing is
/// known, and nothing is counted.
#[must_use]
pub fn uptime(changes: &[(u64, Status)], since: u64, now: u64) -> Uptime {
    let ends = changes.iter().skip(1).map(|(at, _)| *at).chain([now]);
    let (mut working_ms, mut wanted_ms) = (0_u64, 0_u64);
    for ((began, status), ended) in changes.iter().zip(ends) {
        let lasted = ended.min(now).saturating_sub((*began).max(since));
        match status {
            Status::Stopped | Status::LoggedOut => {}
            Status::Working => (working_ms, wanted_ms) = (working_ms + lasted, wanted_ms + lasted),
            Status::Starting | Status::ScanQrCode | Status::Failed => wanted_ms += lasted,
        }
    }
    #[allow(clippy::cast_precision_loss, reason = "a week of milliseconds")]
    let ratio = (wanted_ms > 0).then(|| working_ms as f64 / wanted_ms as f64);
    Uptime { working_ms, wanted_ms, ratio }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uptime_is_the_share_of_the_wanted_time_and_begins_with_the_span() {
        let changes = [
            (0, Status::Starting),
            (1_000, Status::Working),
            (5_000, Status::Starting),
            (6_000, Status::Working),
            (8_000, Status::Stopped),
        ];
        let of = |since, now| uptime(&changes, since, now);
        assert_eq!(of(0, 10_000), Uptime { working_ms: 6_000, wanted_ms: 8_000, ratio: Some(0.75) });
        // A span that begins in the middle of a stretch counts the rest of it.
        assert_eq!(of(4_000, 10_000), Uptime { working_ms: 3_000, wanted_ms: 4_000, ratio: Some(0.75) });
        assert_eq!(of(9_000, 10_000), Uptime::default());
        assert_eq!(uptime(&[], 0, 10_000), Uptime::default());
        // A clock that went back makes nothing negative.
        assert_eq!(uptime(&[(5_000, Status::Working)], 0, 4_000), Uptime::default());
    }

    #[test]
    fn a_failed_session_was_meant_to_work() {
        let changes = [(0, Status::Working), (1_000, Status::Failed)];
        assert_eq!(uptime(&changes, 0, 2_000).ratio, Some(0.5));
    }
}
