//! What an organization's object, the ledger, can be asked. Its name is the organization's id.

use gateway_domain::event::Envelope;
use gateway_domain::stream::Format;
use serde::{Deserialize, Serialize};

pub use super::reader::Filter;
use super::reader::Socket;

/// A call, with whose ledger it is for.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Request {
    /// The organization.
    pub organization: String,
    /// What to do.
    pub call: Call,
}

/// See the module.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Call {
    /// New events of one session, in its order; answers [`Appended`]. What is known already is not taken again.
    Append {
        /// The session.
        session: String,
        /// Where the session's object lives, to reach it when somebody begins to listen.
        region: Option<String>,
        /// Its events.
        events: Vec<Envelope>,
    },
    /// A page; answers [`Page`].
    Read {
        /// Where to go on after; `None` begins at the oldest that is kept.
        after: Option<u64>,
        /// How many at most.
        limit: u32,
        /// How long to wait for the first, in seconds.
        wait: u32,
        /// What to leave out.
        filter: Filter,
        /// Whether the reader counts as somebody who listens: webhooks don't, they are counted as what they are.
        listens: bool,
    },
    /// The log as a live stream.
    Stream {
        /// Where to go on after; `None` begins at the end.
        after: Option<u64>,
        /// What to leave out.
        filter: Filter,
        /// How it is written.
        format: Format,
    },
    /// The log over a WebSocket: comes in the header [`SOCKET_HEADER`](crate::calls::SOCKET_HEADER) of an upgrade.
    Open(Socket),
    /// The organization's webhooks have changed: read them again from the directory; answers [`Position`].
    RefreshWebhooks,
    /// A session is gone: nothing more of it is expected; answers `null`.
    Forget {
        /// The session.
        session: String,
    },
    /// Something the gateway has to tell of itself, such as a webhook that was disabled; answers [`Position`].
    Tell {
        /// The event.
        event: Envelope,
    },
}

/// What became of a session's events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Appended {
    /// Whether they were taken: if nobody listens they are not, and the session keeps quiet until it is told that
    /// somebody does.
    pub taken: bool,
    /// The newest `seq` of the session that is in the ledger, or was left out.
    pub through: u64,
}

/// An event and where it stands in the ledger.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// Its place: grows, and is never used twice.
    pub position: u64,
    /// The event.
    pub event: Envelope,
}

/// A page of the ledger.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Page {
    /// The events, oldest first.
    pub entries: Vec<Entry>,
    /// Where to go on after: with a filter it may lie beyond the last entry.
    pub position: u64,
    /// Whether events between the position asked for and the first of this page are not kept any more.
    pub gap: bool,
}

/// A position in the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// The newest.
    pub position: u64,
}
