//! How far the session's log has been handed over to the organization's ledger, and whether anybody there wants it.

use gateway_sql::{Sql, SqlError, Value};

/// The table, for the object's schema: one row, absent as long as nothing was ever handed over.
pub const TABLE: &str = "CREATE TABLE IF NOT EXISTS forwarding (
       id INTEGER PRIMARY KEY CHECK (id = 1), through INTEGER NOT NULL, is_quiet INTEGER NOT NULL)";

/// Where it stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// The newest `seq` the ledger has, or does not want.
    pub through: u64,
    /// Whether nobody listens.
    pub is_quiet: bool,
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
        let rows = self.0.query("SELECT through, is_quiet FROM forwarding WHERE id = 1", &[])?;
        let Some(row) = rows.first() else { return Ok(State::default()) };
        Ok(State { through: u64::try_from(row.integer(0)?).unwrap_or(0), is_quiet: row.integer(1)? != 0 })
    }

    /// Notes where it stands.
    ///
    /// # Errors
    /// When the database fails.
    pub fn set(&self, state: State) -> Result<(), SqlError> {
        self.0.query(
            "INSERT INTO forwarding (id, through, is_quiet) VALUES (1, ?1, ?2) \
             ON CONFLICT (id) DO UPDATE SET through = ?1, is_quiet = ?2",
            &[whole(state.through), state.is_quiet.into()],
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
        let through = if state.is_quiet {
            u64::try_from(before).unwrap_or(0)
        } else {
            state.through.max(u64::try_from(before).unwrap_or(0))
        };
        self.set(State { through, is_quiet: false })
    }
}

fn whole(number: u64) -> Value {
    Value::Integer(i64::try_from(number).unwrap_or(i64::MAX))
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
        assert_eq!(forwarding.state(), Ok(State::default()));
        forwarding.set(State { through: 6, is_quiet: true }).unwrap();
        // Heard a little late: the fifth and the sixth came after the reader had.
        forwarding.wake(50).unwrap();
        assert_eq!(forwarding.state(), Ok(State { through: 4, is_quiet: false }));
        // Told twice.
        forwarding.set(State { through: 6, is_quiet: false }).unwrap();
        forwarding.wake(50).unwrap();
        assert_eq!(forwarding.state(), Ok(State { through: 6, is_quiet: false }));
        forwarding.set(State { through: 2, is_quiet: true }).unwrap();
        forwarding.wake(1_000).unwrap();
        assert_eq!(forwarding.state(), Ok(State { through: 6, is_quiet: false }));
    }
}
