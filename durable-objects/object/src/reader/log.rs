//! What a log has to be for its readers, and where a reader of it begins.

use event_listener::EventListener;
use gateway_domain::event::Envelope;
use gateway_domain::stream::Position;
use gateway_sql::SqlError;
use serde_json::Value;

use crate::calls::reader::Filter;

/// What is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// The lowest position that can be resumed after without a gap.
    pub floor: u64,
    /// The newest.
    pub newest: u64,
}

/// Some events, with their positions.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    /// The events, oldest first.
    pub events: Vec<(u64, Envelope)>,
    /// Where to go on after: with a filter it may lie beyond the last event.
    pub position: u64,
}

/// A log of events that grows.
pub trait Log {
    /// What is kept.
    ///
    /// # Errors
    /// When the database fails.
    fn bounds(&self) -> Result<Bounds, SqlError>;
    /// The events after a position.
    ///
    /// # Errors
    /// When the database fails.
    fn read(&self, after: u64, limit: u32, filter: &Filter) -> Result<Batch, SqlError>;
    /// A position, as readers are told it.
    fn told(&self, position: u64) -> Value;
    /// A position that a reader names.
    fn named(&self, position: &Position) -> Option<u64>;
    /// Wakes when the log has grown, or is gone.
    fn listen(&self) -> EventListener;
    /// Whether nobody reads it any more: it was deleted.
    fn is_gone(&self) -> bool;
}

/// Where a reader begins, and why not where it wanted to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opening {
    /// Events after this position follow.
    pub position: u64,
    /// Why it can't go on where it was.
    pub reset: Option<&'static str>,
}

/// Where a reader begins who wants to go on after a position, or with what comes from now on.
#[must_use]
pub fn opening(bounds: Bounds, after: Option<u64>) -> Opening {
    match after {
        None => Opening { position: bounds.newest, reset: None },
        Some(after) if after > bounds.newest => {
            Opening { position: bounds.newest, reset: Some("unknown_position") }
        }
        Some(after) if after < bounds.floor => {
            Opening { position: bounds.floor, reset: Some("expired_position") }
        }
        Some(after) => Opening { position: after, reset: None },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_goes_on_where_it_was_or_is_told_why_not() {
        let bounds = Bounds { floor: 5, newest: 9 };
        let begins = |after| {
            let opening = opening(bounds, after);
            (opening.position, opening.reset)
        };
        assert_eq!(begins(None), (9, None));
        assert_eq!(begins(Some(9)), (9, None));
        assert_eq!(begins(Some(5)), (5, None));
        assert_eq!(begins(Some(4)), (5, Some("expired_position")));
        assert_eq!(begins(Some(10)), (9, Some("unknown_position")));
    }
}
