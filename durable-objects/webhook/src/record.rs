//! What the postman remembers of its webhook, and what it makes of an answer.

use gateway_domain::webhook::{CustomHeaders, DisabledReason, RetryPolicy};
use serde::{Deserialize, Serialize};

/// How often an attempt whose outcome nobody knows, because the object died over it, may come on top of the policy's.
pub const INTERRUPTIONS: u32 = 3;

/// The webhook, as the directory has it. Its secrets are sealed here too.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Config {
    /// Where events are sent.
    pub url: String,
    /// The one session whose events are sent.
    pub session: Option<String>,
    /// The types of events.
    pub events: Vec<String>,
    /// Whether anything is sent.
    pub active: bool,
    /// The secret, sealed.
    pub secret: String,
    /// The one before, and until when it signs.
    pub previous_secret: Option<(String, u64)>,
    /// The owner's headers.
    pub custom_headers: CustomHeaders,
    /// When a delivery that failed is tried again.
    pub retry_policy: RetryPolicy,
    /// Which change of the row this is.
    pub rev: u64,
    /// Where in the ledger it begins, if its object has not been told.
    pub start: Option<u64>,
    /// When the gateway switched it off.
    pub disabled_at: Option<u64>,
}

/// A webhook that is being switched off: what is left to do survives a restart.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disabling {
    /// Why.
    pub reason: DisabledReason,
    /// When, epoch milliseconds.
    pub at: u64,
    /// The change of the row it was decided on: the owner's later one wins.
    pub rev: u64,
    /// The id of the event that tells it, the same at every try.
    pub event_id: String,
}

/// Stored whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Who owns it.
    pub organization: String,
    /// Its ULID.
    pub webhook: String,
    /// Everything of the ledger up to here is in the queue; `None` while nobody has said where to begin.
    pub cursor: Option<u64>,
    /// As it was when the directory last answered.
    pub config: Option<Config>,
    /// Since when every attempt has failed, epoch milliseconds.
    pub failing_since: Option<u64>,
    /// It is being switched off.
    pub disabling: Option<Disabling>,
    /// It is being deleted: whatever happens, it ends with an empty storage.
    pub erasing: bool,
}

impl Record {
    /// A webhook nobody has told anything of yet.
    #[must_use]
    pub fn new(organization: &str, webhook: &str) -> Self {
        Self {
            organization: organization.to_owned(),
            webhook: webhook.to_owned(),
            cursor: None,
            config: None,
            failing_since: None,
            disabling: None,
            erasing: false,
        }
    }

    /// Whether events are sent.
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.disabling.is_none() && self.config.as_ref().is_some_and(|config| config.active)
    }

    /// Takes in what the directory says; whether the webhook is switched on by it. What it said before a change that is
    /// known already comes too late.
    pub fn configure(&mut self, config: Config) -> bool {
        if self.config.as_ref().is_some_and(|known| config.rev < known.rev) {
            return false;
        }
        let was_active = self.is_active();
        if self.disabling.as_ref().is_some_and(|disabling| disabling.is_outdated_by(&config)) {
            self.disabling = None;
        }
        self.cursor = self.cursor.or(config.start);
        self.config = Some(config);
        let is_switched_on = self.is_active() && !was_active;
        if is_switched_on {
            self.failing_since = None;
        }
        is_switched_on
    }

    /// Notes how an attempt ended; why the webhook is to be switched off, if it is. Trying it out says nothing against it
    /// but 410.
    pub fn note(
        &mut self,
        verdict: Verdict,
        is_test: bool,
        now: u64,
        failing_ms: u64,
    ) -> Option<DisabledReason> {
        match verdict {
            Verdict::Delivered => {
                self.failing_since = None;
                None
            }
            Verdict::Gone => Some(DisabledReason::Gone),
            Verdict::Again { .. } | Verdict::Dead if is_test => None,
            Verdict::Again { .. } | Verdict::Dead => {
                let since = *self.failing_since.get_or_insert(now);
                (now.saturating_sub(since) >= failing_ms).then_some(DisabledReason::Failing)
            }
        }
        .filter(|_| self.is_active())
    }
}

impl Disabling {
    /// Whether the row says that it is switched off for this reason.
    #[must_use]
    pub fn is_written_in(&self, config: &Config) -> bool {
        !config.active && config.disabled_at == Some(self.at)
    }

    /// Whether the owner has changed the webhook since: then it is theirs to say whether it is on.
    #[must_use]
    pub fn is_outdated_by(&self, config: &Config) -> bool {
        config.rev > self.rev && !self.is_written_in(config)
    }
}

/// What follows from an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The receiver has it.
    Delivered,
    /// It failed and is tried again then.
    Again {
        /// Epoch milliseconds.
        at: u64,
    },
    /// It failed as often as it may.
    Dead,
    /// The receiver wants nothing any more.
    Gone,
}

/// An attempt that is over, judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// What follows from it.
    pub verdict: Verdict,
    /// The answer's status, if there was one.
    pub status: Option<u16>,
    /// Why it failed.
    pub error: Option<String>,
    /// How long it took, in milliseconds.
    pub latency: u64,
    /// The beginning of the answer.
    pub response: Option<String>,
}

/// What a receiver answered, or why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// With a status.
    Status {
        /// The status.
        status: u16,
        /// The time it asks for, in milliseconds.
        retry_after: Option<u64>,
        /// The beginning of the body.
        response: String,
    },
    /// None.
    Failed(String),
}

/// Which attempt is judged, by which policy.
#[derive(Clone, Copy, Debug)]
pub struct Attempted {
    /// The first is 1.
    pub number: u32,
    /// Whether the owner is trying the webhook out: once, to see what happens.
    pub is_test: bool,
    /// The webhook's policy.
    pub policy: RetryPolicy,
}

impl Attempted {
    /// What follows from an answer.
    #[must_use]
    pub fn judge(self, answer: Answer, latency: u64, now: u64, jitter: f64) -> Outcome {
        let most = if self.is_test { 1 } else { self.policy.attempts };
        let after = |asked| {
            if self.number >= most {
                Verdict::Dead
            } else {
                Verdict::Again { at: now + self.policy.pause(self.number, jitter, asked) }
            }
        };
        let (verdict, status, error, response) = match answer {
            Answer::Failed(error) => (after(None), None, Some(error), None),
            Answer::Status { status, retry_after, response } => {
                let (verdict, error) = match status {
                    200..=299 => (Verdict::Delivered, None),
                    410 => {
                        (Verdict::Gone, Some("The receiver answered 410: it is gone for good.".to_owned()))
                    }
                    300..=399 => {
                        let error = format!("The receiver answered {status}; redirects are not followed.");
                        (after(retry_after), Some(error))
                    }
                    _ => (after(retry_after), Some(format!("The receiver answered {status}."))),
                };
                (verdict, Some(status), error, Some(response))
            }
        };
        Outcome { verdict, status, error, latency, response }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gateway_domain::webhook::Backoff;

    const DAY: u64 = 86_400_000;

    fn config(rev: u64, active: bool) -> Config {
        Config {
            url: "https://example.com".into(),
            session: None,
            events: vec!["*".into()],
            active,
            secret: "sealed".into(),
            previous_secret: None,
            custom_headers: CustomHeaders::default(),
            retry_policy: RetryPolicy::default(),
            rev,
            start: None,
            disabled_at: None,
        }
    }

    fn active() -> Record {
        let mut record = Record::new("org", "webhook");
        assert!(record.configure(config(1, true)));
        record
    }

    fn attempted(number: u32, is_test: bool) -> Attempted {
        let policy = RetryPolicy { policy: Backoff::Constant, delay_seconds: 10, attempts: 3 };
        Attempted { number, is_test, policy }
    }

    fn status(status: u16, retry_after: Option<u64>) -> Answer {
        Answer::Status { status, retry_after, response: "body".into() }
    }

    #[test]
    fn only_2xx_is_delivered_and_only_410_is_the_end() {
        let verdict = |code| attempted(1, false).judge(status(code, None), 5, 1_000, 0.5).verdict;
        let again = Verdict::Again { at: 11_000 };
        for (codes, expected) in [
            (&[200, 201, 202, 204, 226, 299][..], Verdict::Delivered),
            (&[410][..], Verdict::Gone),
            (
                &[
                    100, 199, 300, 301, 302, 304, 307, 308, 400, 401, 404, 408, 409, 411, 429, 500, 502, 503,
                    599,
                ][..],
                again,
            ),
        ] {
            for code in codes {
                assert_eq!(verdict(*code), expected, "{code}");
            }
        }
    }

    #[test]
    fn the_last_attempt_is_the_last() {
        let judged = |number, answer| attempted(number, false).judge(answer, 5, 1_000, 0.5).verdict;
        assert_eq!(judged(2, status(500, Some(60_000))), Verdict::Again { at: 61_000 });
        assert_eq!(judged(3, status(500, Some(60_000))), Verdict::Dead);
        assert_eq!(judged(4, Answer::Failed("no".into())), Verdict::Dead);
        assert_eq!(judged(4, status(200, None)), Verdict::Delivered);
        assert_eq!(judged(4, status(410, None)), Verdict::Gone);
        assert_eq!(attempted(1, true).judge(status(500, None), 5, 1_000, 0.5).verdict, Verdict::Dead);
    }

    #[test]
    fn an_outcome_says_what_was_seen() {
        let outcome = attempted(1, false).judge(status(302, None), 5, 1_000, 0.5);
        assert_eq!(
            (outcome.status, outcome.latency, outcome.response.as_deref()),
            (Some(302), 5, Some("body"))
        );
        assert!(outcome.error.is_some_and(|error| error.contains("redirects")));
        let outcome = attempted(1, false).judge(Answer::Failed("timed out".into()), 5, 1_000, 0.5);
        assert_eq!(
            (outcome.status, outcome.error.as_deref(), outcome.response),
            (None, Some("timed out"), None)
        );
    }

    #[test]
    fn failing_for_days_without_a_success_switches_off() {
        let mut record = active();
        let again = Verdict::Again { at: 0 };
        assert_eq!(record.note(again, false, 0, 5 * DAY), None);
        assert_eq!(record.note(Verdict::Dead, false, 5 * DAY - 1, 5 * DAY), None);
        assert_eq!(record.note(again, false, 5 * DAY, 5 * DAY), Some(DisabledReason::Failing));
        assert_eq!(record.note(Verdict::Delivered, false, 5 * DAY, 5 * DAY), None);
        assert_eq!(record.note(again, false, 5 * DAY + 1, 5 * DAY), None, "one success and it begins anew");
        assert_eq!(record.failing_since, Some(5 * DAY + 1));
    }

    #[test]
    fn trying_out_says_nothing_against_a_webhook_but_that_it_is_gone() {
        let mut record = active();
        assert_eq!(record.note(Verdict::Dead, true, 7, 1), None);
        assert_eq!(record.failing_since, None);
        assert_eq!(record.note(Verdict::Gone, true, 7, 1), Some(DisabledReason::Gone));
        record.configure(config(2, false));
        assert_eq!(record.note(Verdict::Gone, true, 7, 1), None, "it is off already");
    }

    #[test]
    fn what_the_owner_says_later_wins_over_switching_off() {
        let mut record = active();
        record.failing_since = Some(1);
        let disabling = Disabling { reason: DisabledReason::Failing, at: 50, rev: 1, event_id: "evt".into() };
        record.disabling = Some(disabling.clone());
        assert!(!record.is_active());
        // Read again before it was written.
        assert!(!record.configure(config(1, true)) && record.disabling.is_some());
        // Written: off, and still to be told.
        let written = Config { disabled_at: Some(50), ..config(2, false) };
        assert!(disabling.is_written_in(&written));
        assert!(!record.configure(written) && record.disabling.is_some() && !record.is_active());
        // The owner switches it on again.
        assert!(record.configure(config(3, true)));
        assert_eq!((record.is_active(), record.disabling, record.failing_since), (true, None, None));
    }

    #[test]
    fn what_was_read_before_a_change_and_comes_after_it_undoes_nothing() {
        let mut record = active();
        assert!(!record.configure(config(3, false)));
        assert!(!record.configure(Config { start: Some(7), ..config(2, true) }));
        assert_eq!((record.is_active(), record.cursor, record.config), (false, None, Some(config(3, false))));
        // The same change again: the cron may have sealed its secret anew.
        let mut record = active();
        let sealed_anew = Config { secret: "sealed anew".into(), ..config(1, true) };
        record.configure(sealed_anew.clone());
        assert_eq!(record.config, Some(sealed_anew));
    }

    #[test]
    fn it_begins_where_it_was_told_first() {
        let mut record = Record::new("org", "webhook");
        record.configure(Config { start: Some(7), ..config(1, true) });
        record.configure(Config { start: Some(9), ..config(2, true) });
        assert_eq!(record.cursor, Some(7));
    }

    /// What is stored outlives deploys: this fails when the layout changes without a migration.
    #[test]
    fn the_records_layout_is_pinned() {
        let mut record = active();
        record.cursor = Some(3);
        record.disabling =
            Some(Disabling { reason: DisabledReason::Gone, at: 5, rev: 1, event_id: "evt".into() });
        assert_eq!(
            serde_json::to_value(&record).unwrap(),
            serde_json::json!({
                "organization": "org", "webhook": "webhook", "cursor": 3,
                "config": {"url": "https://example.com", "session": null, "events": ["*"], "active": true,
                           "secret": "sealed", "previous_secret": null, "custom_headers": {},
                           "retry_policy": {"policy": "exponential", "delaySeconds": 2, "attempts": 15},
                           "rev": 1, "start": null, "disabled_at": null},
                "failing_since": null,
                "disabling": {"reason": "gone", "at": 5, "rev": 1, "event_id": "evt"}, "erasing": false
            })
        );
    }
}
