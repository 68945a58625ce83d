//! The version of WhatsApp Web that sessions claim to be: how it is written, how WhatsApp's page says it, when to ask
//! the page again, and when to worry.

use std::fmt::{self, Display, Formatter};

const HOUR_MS: u64 = 60 * 60 * 1_000;
const DAY_MS: u64 = 24 * HOUR_MS;
/// How long the page's answer is good for.
const LIFETIME_MS: u64 = DAY_MS;
/// After a failure, how long the page is left alone.
const RETRY_MS: u64 = 10 * 60 * 1_000;
/// How often the page is asked while WhatsApp refuses sessions for their version.
const OUTDATED_RETRY_MS: u64 = HOUR_MS;
/// A version the page has not confirmed for this long is stale: WhatsApp refuses versions after some weeks.
pub const STALE_AFTER_MS: u64 = 3 * DAY_MS;

/// What comes before the number on the page.
const KEY: &str = "client_revision";
/// Every revision of these years has ten digits; a smaller number is something else.
const SMALLEST_ON_PAGE: u32 = 1_000_000_000;

/// `2.3000.N`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(u32);

impl Version {
    /// Reads `2.3000.N`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix("2.3000.")?;
        let version = Self(digits.parse().ok()?);
        // No sign, no leading zeros.
        (version.to_string() == text).then_some(version)
    }

    /// Finds it on WhatsApp's page, `sw.js`: `"client_revision":N`, where the quotes may be escaped. Every place that
    /// names it must say the same.
    #[must_use]
    pub fn on_page(page: &str) -> Option<Self> {
        let mut told = page.split(KEY).skip(1).filter_map(revision);
        let first = told.next()?;
        (first >= SMALLEST_ON_PAGE && told.all(|other| other == first)).then_some(Self(first))
    }

    /// Its three numbers.
    #[must_use]
    pub const fn parts(self) -> (u32, u32, u32) {
        (2, 3_000, self.0)
    }
}

impl Display for Version {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        write!(formatter, "2.3000.{}", self.0)
    }
}

fn revision(after: &str) -> Option<u32> {
    let after = after.strip_prefix("\\\"").or_else(|| after.strip_prefix('"')).unwrap_or(after);
    let digits = after.trim_start().strip_prefix(':')?.trim_start();
    // A number at the very end may have been cut off.
    let end = digits.find(|character: char| !character.is_ascii_digit())?;
    digits.get(..end)?.parse().ok()
}

/// What is known of the version, for all sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known {
    /// What the page last said, and when, epoch milliseconds.
    pub fetched: Option<(Version, u64)>,
    /// When the page was last asked, whether it answered or not.
    pub checked_at: u64,
}

impl Known {
    /// Whether to ask the page now. `outdated_at` is when WhatsApp last refused a session for its version that still
    /// waits: that is asked about at once.
    #[must_use]
    pub fn is_due(known: Option<&Self>, outdated_at: Option<u64>, now: u64) -> bool {
        let Some(known) = known else { return true };
        let since_check = now.saturating_sub(known.checked_at);
        let expired = known.fetched.is_none_or(|(_, at)| now.saturating_sub(at) >= LIFETIME_MS);
        let refused = outdated_at.is_some_and(|at| at > known.checked_at || since_check >= OUTDATED_RETRY_MS);
        refused || (expired && since_check >= RETRY_MS)
    }
}

/// What to worry about before WhatsApp refuses anybody.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Worries {
    /// The page has not confirmed a version for days.
    pub not_refreshed: bool,
    /// The pinned version is older than the page's.
    pub pinned_behind: bool,
}

impl Worries {
    /// Looks at what is known, and at the pinned version if there is one.
    #[must_use]
    pub fn about(pinned: Option<Version>, known: Option<&Known>, now: u64) -> Self {
        let fetched = known.and_then(|known| known.fetched);
        Self {
            not_refreshed: fetched.is_none_or(|(_, at)| now.saturating_sub(at) >= STALE_AFTER_MS),
            pinned_behind: pinned.zip(fetched).is_some_and(|(pinned, (newest, _))| pinned < newest),
        }
    }

    /// Whether there are any.
    #[must_use]
    pub const fn any(self) -> bool {
        self.not_refreshed || self.pinned_behind
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const N: u32 = 1_042_742_319;

    #[test]
    fn a_version_is_written_in_one_way() {
        assert_eq!(Version::parse("2.3000.1042742319"), Some(Version(N)));
        assert_eq!(Version(N).to_string(), "2.3000.1042742319");
        assert_eq!(Version(N).parts(), (2, 3_000, N));
        for text in [
            "",
            "2.3000.",
            "2.3000.x",
            "2.3000.+1",
            "2.3000.01",
            "2.3000.1.1",
            " 2.3000.1",
            "2.2413.1",
            "2.3000.4294967296",
        ] {
            assert_eq!(Version::parse(text), None, "{text}");
        }
    }

    #[test]
    fn the_page_is_read_strictly() {
        let found = [
            // As WhatsApp serves it: JSON in a JavaScript string.
            r#"JSON.parse("{\"server_revision\":1042742318,\"client_revision\":1042742319,\"x\":1}")"#,
            r#"{"client_revision": 1042742319}"#,
            "client_revision:1042742319;",
            r#"a.client_revision;{"client_revision":1042742319,"again":{"client_revision":1042742319}}"#,
        ];
        for page in found {
            assert_eq!(Version::on_page(page), Some(Version(N)), "{page}");
        }
        let nothing = [
            "",
            "<html>Sorry</html>",
            "client_revision",
            r#"{"client_revision":}"#,
            r#"{"client_revision":"1042742319"}"#,
            r#"{"client_revision":-1042742319}"#,
            // Cut off: more digits may have followed.
            r#"{"client_revision":1042742319"#,
            // No revision of these years.
            r#"{"client_revision":123456}"#,
            r#"{"client_revision":99999999999}"#,
            // Two that contradict.
            r#"{"client_revision":1042742319,"x":{"client_revision":1042742320}}"#,
            // What the client library falls back to, with revision 0.
            "... assets-manifest-98765 ...",
        ];
        for page in nothing {
            assert_eq!(Version::on_page(page), None, "{page}");
        }
    }

    #[test]
    fn the_page_is_asked_once_a_day_and_sooner_when_whatsapp_refuses_somebody() {
        let now = 100 * DAY_MS;
        let due = |fetched_ago: Option<u64>, checked_ago: u64, outdated_ago: Option<u64>| {
            let fetched = fetched_ago.map(|ago| (Version(N), now - ago));
            let known = Known { fetched, checked_at: now - checked_ago };
            Known::is_due(Some(&known), outdated_ago.map(|ago| now - ago), now)
        };
        assert!(Known::is_due(None, None, now), "nothing is known");
        assert!(!due(Some(HOUR_MS), HOUR_MS, None));
        assert!(due(Some(DAY_MS), DAY_MS, None));
        assert!(!due(Some(DAY_MS), RETRY_MS - 1, None), "it failed a moment ago");
        assert!(due(Some(DAY_MS), RETRY_MS, None));
        assert!(!due(None, RETRY_MS - 1, None));
        assert!(due(None, RETRY_MS, None));
        assert!(due(Some(1_000), 1_000, Some(999)), "refused since the last look: at once");
        assert!(!due(Some(1_000), 1_000, Some(1_001)), "the page was asked since, and it did not help");
        assert!(due(Some(HOUR_MS), HOUR_MS, Some(2 * HOUR_MS)), "but not for ever");
    }

    #[test]
    fn a_stale_version_is_said_before_it_bites() {
        let now = 100 * DAY_MS;
        let known = |ago: u64| Known { fetched: Some((Version(N), now - ago)), checked_at: now };
        let about =
            |pinned: Option<u32>, known: Option<&Known>| Worries::about(pinned.map(Version), known, now);
        let none = Worries::default();
        assert_eq!(about(None, Some(&known(STALE_AFTER_MS - 1))), none);
        assert_eq!(
            about(None, Some(&known(STALE_AFTER_MS))),
            Worries { not_refreshed: true, pinned_behind: false }
        );
        assert_eq!(about(Some(N), Some(&known(0))), none);
        assert_eq!(about(Some(N + 1), Some(&known(0))), none);
        assert_eq!(
            about(Some(N - 1), Some(&known(0))),
            Worries { not_refreshed: false, pinned_behind: true }
        );
        assert!(about(Some(N), None).any(), "nobody knows whether the pinned one is good");
        assert!(!none.any());
    }
}
