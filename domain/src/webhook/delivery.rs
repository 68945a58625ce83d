//! Deliveries, as the API shows them, and what a caller may ask to have delivered again.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::error::ApiError;
use crate::ids;

/// As much of a receiver's answer is kept.
pub const MAX_RESPONSE_CHARS: usize = 1_024;
/// The most deliveries that are named in one call.
const MAX_DELIVERIES: usize = 200;
/// The most events of a session that are replayed in one call.
const MAX_RANGE: u64 = 5_000;
/// JavaScript's largest whole number: no `seq` is larger.
const MAX_SEQ: u64 = 9_007_199_254_740_991;

/// What became of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum DeliveryStatus {
    /// It waits for its turn, or for its next attempt.
    Pending,
    /// The receiver answered 2xx.
    Delivered,
    /// It was tried as often as the policy says, in vain.
    Dead,
}

impl DeliveryStatus {
    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Delivered => "delivered",
            Self::Dead => "dead",
        }
    }

    /// The status of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        [Self::Pending, Self::Delivered, Self::Dead].into_iter().find(|status| status.name() == name)
    }
}

/// One event on its way to one webhook.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct WebhookDelivery {
    /// The delivery's ULID.
    pub id: String,
    /// The webhook.
    pub webhook_id: String,
    /// The event: the `webhook-id` of every attempt.
    pub event_id: String,
    /// The event's type.
    pub event: String,
    /// The session it happened in; empty for what the gateway says of itself.
    pub session: String,
    /// Its place in the session's log; 0 where it has none.
    pub seq: u64,
    /// What became of it.
    pub status: DeliveryStatus,
    /// How often it was tried.
    pub attempts: u32,
    /// The HTTP status of the last answer; null when there was none.
    pub last_status: Option<u16>,
    /// Why the last attempt failed; null when it did not.
    pub last_error: Option<String>,
    /// How long the last attempt took, in milliseconds.
    pub latency_ms: Option<u64>,
    /// The beginning of the last answer, at most 1024 characters.
    pub response: Option<String>,
    /// When it was taken in, epoch milliseconds.
    pub created_at: u64,
    /// When it is tried again, epoch milliseconds; null when it is not, or waits for one before it.
    pub next_attempt_at: Option<u64>,
    /// When it was delivered, epoch milliseconds; null when it was not.
    pub delivered_at: Option<u64>,
}

/// The beginning of an answer, as text.
#[must_use]
pub fn snippet(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let shown = |letter: &char| !letter.is_control() || matches!(letter, '\n' | '\t');
    text.chars().filter(shown).take(MAX_RESPONSE_CHARS).collect()
}

/// What `POST /webhooks/{id}:replay` takes: one of `status`; `deliveries`; `session`, `fromSeq` and `toSeq`.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ReplayInputBody {
    /// All deliveries that are dead.
    pub status: Option<ReplayStatus>,
    /// These deliveries.
    #[schema(min_items = 1, max_items = 200)]
    pub deliveries: Option<Vec<String>>,
    /// The session whose log is replayed.
    pub session: Option<String>,
    /// The first event.
    #[schema(minimum = 1)]
    pub from_seq: Option<u64>,
    /// The last event, at most 5000 in all.
    #[schema(minimum = 1)]
    pub to_seq: Option<u64>,
}

/// Which deliveries can be replayed by what became of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum ReplayStatus {
    /// Those that are dead.
    Dead,
}

/// What to deliver again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Replay {
    /// All that are dead.
    Dead,
    /// These.
    Deliveries(Vec<String>),
    /// A stretch of a session's log, both ends included.
    Range {
        /// The session.
        session: String,
        /// The first `seq`.
        from: u64,
        /// The last `seq`.
        to: u64,
    },
}

impl ReplayInputBody {
    /// What is asked for.
    ///
    /// # Errors
    /// `validation_error`; `not_found` for what can't be a session.
    pub fn read(self) -> Result<Replay, ApiError> {
        match self {
            Self {
                status: Some(ReplayStatus::Dead),
                deliveries: None,
                session: None,
                from_seq: None,
                to_seq: None,
            } => Ok(Replay::Dead),
            Self { status: None, deliveries: Some(ids), session: None, from_seq: None, to_seq: None } => {
                let known: Vec<String> = ids.iter().filter_map(|id| ids::parse(id)).collect();
                if !(1..=MAX_DELIVERIES).contains(&ids.len()) || known.len() != ids.len() {
                    return Err(ApiError::validation("deliveries", "Must be 1 to 200 ids of deliveries."));
                }
                Ok(Replay::Deliveries(known))
            }
            Self {
                status: None,
                deliveries: None,
                session: Some(session),
                from_seq: Some(from),
                to_seq: Some(to),
            } => {
                if from == 0 || from > MAX_SEQ {
                    return Err(ApiError::validation("fromSeq", "Must be the seq of an event."));
                }
                if to < from || to - from >= MAX_RANGE {
                    let message = "Must not be before fromSeq, nor make more than 5000 events.";
                    return Err(ApiError::validation("toSeq", message));
                }
                let session = ids::parse(&session).ok_or_else(ApiError::not_found)?;
                Ok(Replay::Range { session, from, to })
            }
            _ => Err(ApiError::validation(
                "body",
                "Must have exactly one of status; deliveries; session with fromSeq and toSeq.",
            )),
        }
    }
}

/// What `POST /webhooks/{id}:replay` answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReplayResult {
    /// How many deliveries wait for their turn now that did not before.
    pub queued: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "01ARZ3NDEKTSV4RRFFQ69G5FAV";

    fn read(body: &str) -> Result<Replay, ApiError> {
        serde_json::from_str::<ReplayInputBody>(body).unwrap().read()
    }

    #[test]
    fn a_replay_is_exactly_one_of_three() {
        assert_eq!(read(r#"{"status":"dead"}"#), Ok(Replay::Dead));
        assert_eq!(
            read(&format!(r#"{{"deliveries":["{ID}"]}}"#)),
            Ok(Replay::Deliveries(vec![ID.to_owned()]))
        );
        assert_eq!(
            read(&format!(r#"{{"session":"{ID}","fromSeq":1,"toSeq":5000}}"#)),
            Ok(Replay::Range { session: ID.to_owned(), from: 1, to: 5_000 })
        );
        for (body, field) in [
            ("{}".to_owned(), "body"),
            (format!(r#"{{"status":"dead","deliveries":["{ID}"]}}"#), "body"),
            (format!(r#"{{"session":"{ID}"}}"#), "body"),
            (format!(r#"{{"session":"{ID}","fromSeq":1}}"#), "body"),
            (r#"{"fromSeq":1,"toSeq":2}"#.to_owned(), "body"),
            (format!(r#"{{"status":"dead","session":"{ID}","fromSeq":1,"toSeq":2}}"#), "body"),
            (r#"{"deliveries":[]}"#.to_owned(), "deliveries"),
            (r#"{"deliveries":["x"]}"#.to_owned(), "deliveries"),
            (format!(r#"{{"deliveries":[{}]}}"#, vec![format!("\"{ID}\""); 201].join(",")), "deliveries"),
            (format!(r#"{{"session":"{ID}","fromSeq":0,"toSeq":2}}"#), "fromSeq"),
            (format!(r#"{{"session":"{ID}","fromSeq":3,"toSeq":2}}"#), "toSeq"),
            (format!(r#"{{"session":"{ID}","fromSeq":1,"toSeq":5001}}"#), "toSeq"),
        ] {
            assert_eq!(read(&body).unwrap_err().error.details["field"], field, "{body}");
        }
        assert_eq!(read(r#"{"session":"x","fromSeq":1,"toSeq":2}"#), Err(ApiError::not_found()));
        for wrong in [r#"{"status":"pending"}"#, r#"{"all":true}"#, r#"{"fromSeq":-1}"#, r#"{"toSeq":1.5}"#] {
            assert!(serde_json::from_str::<ReplayInputBody>(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_snippet_is_short_text_whatever_was_answered() {
        assert_eq!(snippet(b"ok\n\t\0\x1b[31m"), "ok\n\t[31m");
        assert_eq!(snippet(&[0xff, b'a']), "\u{fffd}a");
        assert_eq!(snippet("ä".repeat(5_000).as_bytes()).chars().count(), MAX_RESPONSE_CHARS);
    }

    #[test]
    fn a_status_is_known_by_its_name() {
        for status in [DeliveryStatus::Pending, DeliveryStatus::Delivered, DeliveryStatus::Dead] {
            assert_eq!(DeliveryStatus::named(status.name()), Some(status));
            assert_eq!(serde_json::to_value(status).unwrap(), status.name());
        }
        assert_eq!(DeliveryStatus::named("gone"), None);
    }
}
