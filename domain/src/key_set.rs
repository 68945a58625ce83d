//! A frontend's public keys as an isolate keeps them: when they are good enough, and who fetches them again.
//!
//! A set is fresh for a while; then the request that finds it stale fetches it again. An unknown key name fetches too,
//! but not more often than the cooldown, counted from the last answer. When the frontend is out of reach, what was
//! fetched last serves on up to a maximum; so a key that was withdrawn stops working within that time whatever
//! happens. No request waits for another's fetch: a promise of one request must not be awaited by another on this
//! platform.

use crate::configuration::KeySetTimes;
use crate::jwt::Key;

/// How many requests of an isolate may fetch the same set at once.
const FETCHES_AT_ONCE: usize = 32;
/// After a failure with nothing known, the next try comes this soon: a cold isolate should not stay locked out.
const COLD_COOLDOWN_MS: u64 = 1_000;

/// What a look-up found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// The key.
    Key(Key),
    /// The frontend has no such key.
    Unknown,
    /// The frontend can't be asked, and what it said last is too old.
    Unreachable,
}

/// What a request that looks for a key does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// It takes this.
    Settle(Found),
    /// It fetches the set; if that fails, it takes this.
    Fetch(Found),
}

/// A fetch that has begun.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetch {
    kid: String,
    began: u64,
}

/// One frontend's keys.
#[derive(Clone, Debug, Default)]
pub struct KeySet {
    keys: Vec<Key>,
    /// When the fetch began that brought the keys: an answer to an earlier question must not replace a later one's,
    /// it could bring a withdrawn key back.
    asked_at: u64,
    fetched_at: Option<u64>,
    /// When a fetch last ended, well or not.
    answered_at: u64,
    under_way: Vec<Fetch>,
}

impl KeySet {
    /// Looks for a key by its name. A fetch that began `fetch_ms` ago or earlier is over, whatever became of it: the
    /// runtime may drop a request whose caller hung up without a word to us.
    #[must_use]
    pub fn seek(&mut self, kid: &str, times: &KeySetTimes, fetch_ms: u64, now: u64) -> Step {
        self.under_way.retain(|fetch| now.saturating_sub(fetch.began) < fetch_ms);
        let age = self.fetched_at.map(|at| now.saturating_sub(at));
        let known = named(&self.keys, kid);
        let is_usable = age.is_some_and(|age| age < times.maximum);
        let settled = match (&known, is_usable) {
            (Some(key), true) => Found::Key(key.clone()),
            (None, true) => Found::Unknown,
            (_, false) => Found::Unreachable,
        };
        if known.is_some() && age.is_some_and(|age| age < times.lifetime) {
            return Step::Settle(settled);
        }
        let may_fetch = if self.under_way.is_empty() {
            let cooldown = if is_usable { times.cooldown } else { times.cooldown.min(COLD_COOLDOWN_MS) };
            now.saturating_sub(self.answered_at) >= cooldown
        } else {
            // Somebody is asking. Who has a usable key needs no answer; who has none asks beside them, since nobody
            // may wait for another's fetch: all who come first, or with the key that was just made. Made-up names
            // don't.
            let is_same = !is_usable || self.under_way.iter().any(|fetch| fetch.kid == kid);
            !(is_usable && known.is_some()) && is_same && self.under_way.len() < FETCHES_AT_ONCE
        };
        if may_fetch { Step::Fetch(settled) } else { Step::Settle(settled) }
    }

    /// Notes that a fetch begins.
    #[must_use]
    pub fn begin(&mut self, kid: &str, now: u64) -> Fetch {
        let fetch = Fetch { kid: kid.to_owned(), began: now };
        self.under_way.push(fetch.clone());
        fetch
    }

    /// Notes that a fetch has ended, and what it brought: an empty set is an answer, which withdraws every key.
    pub fn end(&mut self, fetch: &Fetch, brought: Option<Vec<Key>>, now: u64) {
        if let Some(place) = self.under_way.iter().position(|other| other == fetch) {
            self.under_way.swap_remove(place);
        }
        self.answered_at = now;
        if let Some(keys) = brought
            && fetch.began >= self.asked_at
        {
            (self.keys, self.asked_at, self.fetched_at) = (keys, fetch.began, Some(now));
        }
    }
}

/// The key of this name.
#[must_use]
pub fn named(keys: &[Key], kid: &str) -> Option<Key> {
    keys.iter().find(|key| key.kid == kid).cloned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jwt::Algorithm;

    const TIMES: KeySetTimes = KeySetTimes { lifetime: 300_000, cooldown: 30_000, maximum: 3_600_000 };
    const FETCH_MS: u64 = 6_000;
    const NOW: u64 = 1_000_000_000;

    fn key(kid: &str) -> Key {
        Key { kid: kid.to_owned(), algorithm: Algorithm::EdDsa, jwk: serde_json::json!({}) }
    }

    fn seek(set: &mut KeySet, kid: &str, now: u64) -> Step {
        set.seek(kid, &TIMES, FETCH_MS, now)
    }

    /// A set with these keys, fetched at `NOW`.
    fn with(kids: &[&str]) -> KeySet {
        let mut set = KeySet::default();
        let fetch = set.begin("k", NOW);
        set.end(&fetch, Some(kids.iter().map(|kid| key(kid)).collect()), NOW);
        set
    }

    #[test]
    fn a_known_key_is_fresh_then_stale_then_too_old() {
        let mut set = with(&["k"]);
        let found = Found::Key(key("k"));
        assert_eq!(seek(&mut set, "k", NOW + TIMES.lifetime - 1), Step::Settle(found.clone()));
        assert_eq!(seek(&mut set, "k", NOW + TIMES.lifetime), Step::Fetch(found.clone()));
        assert_eq!(seek(&mut set, "k", NOW + TIMES.maximum - 1), Step::Fetch(found));
        assert_eq!(seek(&mut set, "k", NOW + TIMES.maximum), Step::Fetch(Found::Unreachable));
    }

    #[test]
    fn an_unknown_name_asks_no_more_often_than_the_cooldown() {
        let mut set = with(&["k"]);
        assert_eq!(seek(&mut set, "made up", NOW + TIMES.cooldown - 1), Step::Settle(Found::Unknown));
        assert_eq!(seek(&mut set, "made up", NOW + TIMES.cooldown), Step::Fetch(Found::Unknown));
        // A failure cools too, a cold isolate only for a moment.
        let fetch = set.begin("made up", NOW + TIMES.cooldown);
        set.end(&fetch, None, NOW + TIMES.cooldown);
        assert_eq!(seek(&mut set, "made up", NOW + 2 * TIMES.cooldown - 1), Step::Settle(Found::Unknown));
        let mut cold = KeySet::default();
        let fetch = cold.begin("k", NOW);
        cold.end(&fetch, None, NOW);
        assert_eq!(seek(&mut cold, "k", NOW + COLD_COOLDOWN_MS - 1), Step::Settle(Found::Unreachable));
        assert_eq!(seek(&mut cold, "k", NOW + COLD_COOLDOWN_MS), Step::Fetch(Found::Unreachable));
    }

    #[test]
    fn beside_a_fetch_ask_those_who_have_nothing_or_the_same_new_key() {
        let mut cold = KeySet::default();
        for _ in 0..FETCHES_AT_ONCE {
            assert_eq!(seek(&mut cold, "k", NOW), Step::Fetch(Found::Unreachable));
            let _under_way = cold.begin("k", NOW);
        }
        assert_eq!(seek(&mut cold, "k", NOW), Step::Settle(Found::Unreachable));
        let mut warm = with(&["k"]);
        let later = NOW + TIMES.lifetime;
        let _under_way = warm.begin("new", later);
        assert_eq!(seek(&mut warm, "k", later), Step::Settle(Found::Key(key("k"))));
        assert_eq!(seek(&mut warm, "new", later), Step::Fetch(Found::Unknown));
        assert_eq!(seek(&mut warm, "made up", later), Step::Settle(Found::Unknown));
    }

    #[test]
    fn a_fetch_that_was_given_up_in_silence_is_forgotten() {
        let mut set = with(&["k"]);
        let later = NOW + TIMES.lifetime;
        // Nobody ever ends these.
        for _ in 0..FETCHES_AT_ONCE {
            let _given_up = set.begin("k", later);
        }
        assert_eq!(seek(&mut set, "k", later + FETCH_MS - 1), Step::Settle(Found::Key(key("k"))));
        assert_eq!(seek(&mut set, "k", later + FETCH_MS), Step::Fetch(Found::Key(key("k"))));
        assert!(set.under_way.is_empty());
    }

    #[test]
    fn an_empty_set_is_an_answer() {
        let mut set = with(&["k"]);
        let fetch = set.begin("k", NOW + 1);
        set.end(&fetch, Some(vec![]), NOW + 1);
        assert_eq!(seek(&mut set, "k", NOW + 2), Step::Settle(Found::Unknown));
    }

    #[test]
    fn an_answer_to_an_earlier_question_brings_no_key_back() {
        let mut set = with(&["old"]);
        let (slow, fast) = (set.begin("old", NOW + 1), set.begin("old", NOW + 2));
        set.end(&fast, Some(vec![key("new")]), NOW + 3);
        set.end(&slow, Some(vec![key("old")]), NOW + 4);
        assert_eq!(seek(&mut set, "old", NOW + 5), Step::Settle(Found::Unknown));
        assert_eq!(seek(&mut set, "new", NOW + 5), Step::Settle(Found::Key(key("new"))));
    }
}
