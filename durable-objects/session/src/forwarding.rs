//! How far the session's log has been handed over to the organization's ledger, and whether anybody there wants it.

use gateway_sql::{Sql, SqlError, Value, whole};

/// The table, for the object's schema: one row, absent as long as nothing was ever handed over.
pub const TABLE: &str = "CREATE TABLE IF NOT EXISTS forwarding (
       id INTEGER PRIMARY KEY CHECK (id = 1), through INTEGER NOT NULL, quiet_since INTEGER, wakes INTEGER NOT NULL)";
/// A session that was there before has told nobody anything, and does not begin with what is old.
pub const BEGIN: &str = "INSERT INTO forwarding (id, through, wakes) \
       SELECT 1, COALESCE(MAX(seq), 0), 0 FROM event WHERE true ON CONFLICT DO NOTHING";

/// Where it stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// The newest `seq` the ledger has, or does not want.
    pub through: u64,
    /// Since when the session keeps quiet because nobody listens, epoch milliseconds.
    pub quiet_since: Option<u64>,
    /// How often it was told that somebody does: an answer from before such a moment says nothing any more.
    pub wakes: u64,
}

/// After so long a quiet session asks again, should it not have been told.
const ASKS_AGAIN_MS: u64 = 600_000;

impl State {
    /// Whether nothing is handed over now.
    #[must_use]
    pub fn is_quiet(&self, now: u64) -> bool {
        self.quiet_since.is_some_and(|since| now.saturating_sub(since) < ASKS_AGAIN_MS)
    }
}

/// See the module.
pub struct Forwarding<'a, S>(&'a S);

impl<'a, S: Sql> Forwarding<'a, S> {
    /// Over a database that has the [`TABLE`].
    pub const fn new(sql: &'a S) -> Self {
        Self(sql)
    }

    /// Where it stands.
    ///
    /// # Errors
    /// When the database fails or holds something else.
    pub fn state(&self) -> Result<State, SqlError> {
        let rows = self.0.query("SELECT through, quiet_since, wakes FROM forwarding WHERE id = 1", &[])?;
        let Some(row) = rows.first() else { return Ok(State::default()) };
        let unsigned = |number: i64| u64::try_from(number).unwrap_or(0);
        Ok(State {
            through: unsigned(row.integer(0)?),
            quiet_since: row.optional_integer(1)?.map(unsigned),
            wakes: unsigned(row.integer(2)?),
        })
    }

    /// Notes where it stands.
    ///
    /// # Errors
    /// When the database fails.
    pub fn set(&self, state: State) -> Result<(), SqlError> {
        self.0.query(
            "INSERT INTO forwarding (id, through, quiet_since, wakes) VALUES (1, ?1, ?2, ?3) \
             ON CONFLICT (id) DO UPDATE SET through = ?1, quiet_since = ?2, wakes = ?3",
            &[whole(state.through), state.quiet_since.map_or(Value::Null, whole), whole(state.wakes)],
        )?;
        Ok(())
    }

    /// Somebody listens since a moment: what came after it is wanted, what came before is not.
    ///
    /// # Errors
    /// When the database fails.
    pub fn wake(&self, since: u64) -> Result<(), SqlError> {
        let state = self.state()?;
        // The log is in the order of time: the search ends at the first that is older.
        let rows = self
            .0
            .query("SELECT seq FROM event WHERE timestamp < ?1 ORDER BY seq DESC LIMIT 1", &[whole(since)])?;
        let before = rows.first().map_or(Ok(0), |row| row.integer(0))?;
        let before = u64::try_from(before).unwrap_or(0);
        let through = if state.quiet_since.is_some() { before } else { state.through.max(before) };
        self.set(State { through, quiet_since: None, wakes: state.wakes + 1 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::Journal;
    use gateway_sql::native::NativeSql;

    #[test]
    fn who_begins_to_listen_gets_what_came_since_also_what_the_session_kept_quiet_about() {
        let journal = Journal::open(NativeSql::in_memory().unwrap()).unwrap();
        for number in 1..=6 {
            journal.append(&format!("evt_{number}"), "message", 1, number * 10, "{}").unwrap();
        }
        let forwarding = journal.forwarding();
        let at = |through, quiet_since, wakes| State { through, quiet_since, wakes };
        assert_eq!(forwarding.state(), Ok(State::default()));
        forwarding.set(at(6, Some(1), 0)).unwrap();
        // Heard a little late: the fifth and the sixth came after the reader had.
        forwarding.wake(50).unwrap();
        assert_eq!(forwarding.state(), Ok(at(4, None, 1)));
        // Told twice.
        forwarding.set(at(6, None, 1)).unwrap();
        forwarding.wake(50).unwrap();
        assert_eq!(forwarding.state(), Ok(at(6, None, 2)));
        forwarding.set(at(2, Some(1), 2)).unwrap();
        forwarding.wake(1_000).unwrap();
        assert_eq!(forwarding.state(), Ok(at(6, None, 3)));
    }

    #[test]
    fn a_quiet_session_asks_again_after_a_while() {
        let quiet = State { quiet_since: Some(1_000), ..State::default() };
        assert!(quiet.is_quiet(1_001) && !quiet.is_quiet(1_000 + ASKS_AGAIN_MS));
        assert!(!State::default().is_quiet(0));
    }

    #[test]
    fn a_session_that_was_there_before_does_not_begin_with_what_is_old() {
        let sql = NativeSql::in_memory().unwrap();
        let journal = Journal::open(sql).unwrap();
        journal.append("evt_1", "message", 1, 1, "{}").unwrap();
        journal.sql().query("DELETE FROM forwarding", &[]).unwrap();
        journal.sql().query(BEGIN, &[]).unwrap();
        journal.append("evt_2", "message", 1, 2, "{}").unwrap();
        journal.sql().query(BEGIN, &[]).unwrap();
        assert_eq!(journal.forwarding().state().unwrap().through, 1);
    }
}
