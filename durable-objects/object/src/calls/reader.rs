//! Who reads a log, and what of it: the same for a session's log and an organization's.

use serde::{Deserialize, Serialize};

/// What a reader wants to see.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Filter {
    /// Event types; empty for all.
    #[serde(default)]
    pub types: Vec<String>,
    /// One session; `None` for all.
    #[serde(default)]
    pub session: Option<String>,
}

impl Filter {
    /// Whether an event is wanted.
    #[must_use]
    pub fn wants(&self, event: &str, session: &str) -> bool {
        (self.types.is_empty() || self.types.iter().any(|wanted| wanted == event))
            && self.session.as_deref().is_none_or(|wanted| wanted == session)
    }
}

/// Who opened a WebSocket: as long as they would be let in, it stays.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Caller {
    /// The API key; `None` for a person.
    pub key: Option<Key>,
    /// When a person's login ends, epoch milliseconds.
    pub until: Option<u64>,
}

/// An API key that opened the door.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Key {
    /// Its id.
    pub id: String,
    /// The hash of the secret that was shown: after a rotation the id has another.
    pub hash: String,
}

/// A WebSocket that is being opened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Socket {
    /// Where to go on after; `None` begins at the end.
    pub after: Option<u64>,
    /// What to leave out.
    pub filter: Filter,
    /// Whose it is.
    pub caller: Caller,
}
