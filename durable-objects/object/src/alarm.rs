//! One alarm, many timers: due times are rows, the one physical alarm stands at the earliest
//! (docs/decisions/heartbeat.md).

use gateway_sql::{Sql, SqlError, unsigned, whole};

/// The alarm is never set nearer than this, in milliseconds. workerd loses one that is set, while another runs, to the
/// very millisecond that one was due at.
pub const NEAREST_MS: u64 = 50;

/// How far ahead the alarm is set for what is due then, in milliseconds.
#[must_use]
pub fn ahead(due: u64, now: u64) -> u64 {
    due.saturating_sub(now).max(NEAREST_MS)
}

/// The table, for an object's schema.
pub const TABLE: &str =
    "CREATE TABLE IF NOT EXISTS timer (name TEXT PRIMARY KEY, due INTEGER NOT NULL) WITHOUT ROWID";

/// The timers of an object.
pub struct Timers<'a, S>(&'a S);

impl<'a, S: Sql> Timers<'a, S> {
    /// Over a database that has the [`TABLE`].
    pub const fn new(sql: &'a S) -> Self {
        Self(sql)
    }

    /// When a timer is due.
    ///
    /// # Errors
    /// When the database fails or holds something else.
    pub fn timer(&self, name: &str) -> Result<Option<u64>, SqlError> {
        let rows = self.0.query("SELECT due FROM timer WHERE name = ?1", &[name.into()])?;
        rows.first().map(|row| row.integer(0).map(unsigned)).transpose()
    }

    /// Sets a timer, replacing an earlier one of the same name.
    ///
    /// # Errors
    /// When the database fails.
    pub fn set(&self, name: &str, due: u64) -> Result<(), SqlError> {
        self.0.query(
            "INSERT INTO timer (name, due) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET due = ?2",
            &[name.into(), whole(due)],
        )?;
        Ok(())
    }

    /// Forgets a timer.
    ///
    /// # Errors
    /// When the database fails.
    pub fn clear(&self, name: &str) -> Result<(), SqlError> {
        self.0.query("DELETE FROM timer WHERE name = ?1", &[name.into()])?;
        Ok(())
    }

    /// When the next timer is due.
    ///
    /// # Errors
    /// When the database fails.
    pub fn next_due(&self) -> Result<Option<u64>, SqlError> {
        let rows = self.0.query("SELECT MIN(due) FROM timer", &[])?;
        let due = rows.first().map_or(Ok(None), |row| row.optional_integer(0))?;
        Ok(due.map(unsigned))
    }

    /// The names of the timers that are due.
    ///
    /// # Errors
    /// When the database fails.
    pub fn due(&self, now: u64) -> Result<Vec<String>, SqlError> {
        let rows = self.0.query("SELECT name FROM timer WHERE due <= ?1 ORDER BY due", &[whole(now)])?;
        rows.iter().map(|row| row.text(0)).collect()
    }
}

#[cfg(target_arch = "wasm32")]
pub use bell::Bell;

#[cfg(target_arch = "wasm32")]
mod bell {
    use std::cell::Cell;
    use std::rc::Rc;

    use std::time::Duration;

    use worker::{Delay, Storage};

    use super::ahead;
    use crate::clock;

    /// Between two tries to set it.
    const AGAIN: Duration = Duration::from_secs(1);

    /// The one physical alarm of an object.
    pub struct Bell {
        storage: Storage,
        armed: Cell<Option<u64>>,
    }

    impl Bell {
        /// The alarm of the object whose storage it is.
        #[must_use]
        pub fn new(storage: Storage) -> Rc<Self> {
            Rc::new(Self { storage, armed: Cell::new(None) })
        }

        /// It has rung, or was deleted: whatever was armed is no more.
        pub fn rang(&self) {
            self.armed.set(None);
        }

        /// Sees to it that it rings when the earliest timer is due.
        pub fn arm(self: &Rc<Self>, due: u64) {
            // One armed in the past has been lost, or is about to ring and will arm the next itself.
            let now = clock::now();
            let at = now + ahead(due, now);
            if self.armed.get().is_some_and(|armed| armed <= at && armed > now) {
                return;
            }
            self.armed.set(Some(at));
            let bell = Rc::clone(self);
            wasm_bindgen_futures::spawn_local(async move {
                while let Err(error) = bell.set(due).await {
                    bell.armed.set(None);
                    worker::console_error!("the alarm could not be set, trying again: {error}");
                    Delay::from(AGAIN).await;
                    if bell.armed.get().is_some() {
                        return;
                    }
                }
            });
        }

        /// Sets it and waits until that is stored.
        ///
        /// # Errors
        /// When the storage fails.
        pub async fn set(&self, due: u64) -> worker::Result<()> {
            let now = clock::now();
            let ahead = ahead(due, now);
            self.armed.set(Some(now + ahead));
            #[cfg(feature = "simulator")]
            gateway_sql::costs::alarm();
            let set = self.storage.set_alarm(i64::try_from(ahead).unwrap_or(i64::MAX)).await;
            if set.is_err() {
                self.armed.set(None);
            }
            set
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gateway_sql::native::NativeSql;

    #[test]
    fn timers_are_due_in_their_order() {
        let sql = NativeSql::in_memory().unwrap();
        sql.query(TABLE, &[]).unwrap();
        let timers = Timers::new(&sql);
        assert_eq!(timers.next_due(), Ok(None));
        timers.set("tick", 30).unwrap();
        timers.set("retry", 10).unwrap();
        timers.set("tick", 20).unwrap();
        assert_eq!(
            (timers.next_due(), timers.due(9), timers.due(20)),
            (Ok(Some(10)), Ok(vec![]), Ok(vec!["retry".into(), "tick".into()]))
        );
        timers.clear("retry").unwrap();
        assert_eq!((timers.next_due(), timers.timer("retry")), (Ok(Some(20)), Ok(None)));
    }

    #[test]
    fn the_alarm_is_never_set_to_the_moment_it_runs_in() {
        assert_eq!([ahead(5_000, 5_000), ahead(1, 5_000), ahead(5_049, 5_000)], [NEAREST_MS; 3]);
        assert_eq!(ahead(9_000, 5_000), 4_000);
    }
}
