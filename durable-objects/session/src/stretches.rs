//! The timeline: every change of status or reason, and when it was.

use gateway_domain::lifecycle::{Lifecycle, Status};
use gateway_domain::timeline::{DAY_MS, Stretch};
use gateway_sql::{Row, Sql, SqlError, Value, unsigned, whole};

use crate::journal::Journal;

/// The most stretches the timeline keeps.
pub const MAX_STRETCHES: u64 = 5_000;
/// How long it keeps them: what the longest uptime needs, and as much again to look back at.
pub const STRETCHES_KEPT_MS: u64 = 30 * DAY_MS;

impl<S: Sql> Journal<S> {
    /// Adds a stretch to the timeline; the one before ends with it.
    ///
    /// # Errors
    /// When the database fails.
    pub fn begin_stretch(&self, at: u64, lifecycle: &Lifecycle) -> Result<(), SqlError> {
        let why = lifecycle.reason.as_ref();
        self.sql().query(
            "INSERT INTO stretch (at, status, code, message, epoch) \
             VALUES (MAX(?1, COALESCE((SELECT MAX(at) FROM stretch), 0)), ?2, ?3, ?4, ?5)",
            &[
                whole(at),
                lifecycle.status.name().into(),
                why.map_or(Value::Null, |why| why.code.as_str().into()),
                why.map_or(Value::Null, |why| why.message.as_str().into()),
                whole(lifecycle.epoch),
            ],
        )?;
        Ok(())
    }

    /// The timeline before a stretch, the newest first; from the newest when none is named.
    ///
    /// # Errors
    /// When the database fails or holds something else.
    pub fn stretches(&self, before: Option<u64>, limit: u32) -> Result<Vec<Stretch>, SqlError> {
        let rows = self.sql().query(
            "SELECT seq, at, status, code, message, epoch, \
             (SELECT next.at FROM stretch next WHERE next.seq > stretch.seq ORDER BY next.seq LIMIT 1) \
             FROM stretch WHERE seq < ?1 ORDER BY seq DESC LIMIT ?2",
            &[whole(before.unwrap_or(u64::MAX)), whole(limit.into())],
        )?;
        let stretch = |row: &Row| {
            let at = unsigned(row.integer(1)?);
            let ended = row.optional_integer(6)?.map(unsigned);
            Ok(Stretch {
                seq: unsigned(row.integer(0)?),
                at,
                status: status(&row.text(2)?)?,
                code: row.optional_text(3)?,
                message: row.optional_text(4)?,
                epoch: unsigned(row.integer(5)?),
                duration_ms: ended.map(|ended| ended.saturating_sub(at)),
            })
        };
        rows.iter().map(stretch).collect()
    }

    /// What the session did since a moment: the changes, in their order, and the one that held then.
    ///
    /// # Errors
    /// When the database fails or holds something else.
    pub fn changes_since(&self, since: u64) -> Result<Vec<(u64, Status)>, SqlError> {
        let rows = self.sql().query(
            "SELECT at, status FROM stretch \
             WHERE seq >= COALESCE((SELECT MAX(seq) FROM stretch WHERE at <= ?1), 0) ORDER BY seq",
            &[whole(since)],
        )?;
        rows.iter().map(|row| Ok((unsigned(row.integer(0)?), status(&row.text(1)?)?))).collect()
    }

    /// Forgets stretches that are old or too many, never the newest.
    ///
    /// # Errors
    /// When the database fails.
    pub fn trim_timeline(&self, before: u64, keep: u64) -> Result<(), SqlError> {
        self.sql().query(
            "DELETE FROM stretch WHERE seq < (SELECT MAX(seq) FROM stretch) AND \
             (seq <= (SELECT MAX(seq) FROM stretch) - ?2 OR \
             seq < (SELECT MAX(seq) FROM stretch WHERE at < ?1))",
            &[whole(before), whole(keep)],
        )?;
        Ok(())
    }
}

fn status(name: &str) -> Result<Status, SqlError> {
    serde_json::from_value(name.into()).map_err(|error| SqlError(format!("status: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use gateway_sql::native::NativeSql;

    #[test]
    fn a_stretch_lasts_until_the_next_and_time_never_goes_back() {
        let journal = Journal::open(NativeSql::in_memory().unwrap()).unwrap();
        let mut lifecycle = Lifecycle::default();
        let mut begin = |at, status| {
            lifecycle.status = status;
            journal.begin_stretch(at, &lifecycle).unwrap();
        };
        begin(1_000, Status::Starting);
        begin(3_000, Status::Working);
        begin(2_500, Status::Starting);
        begin(9_000, Status::Working);
        let page = |before, limit| {
            let stretches = journal.stretches(before, limit).unwrap();
            stretches.iter().map(|one| (one.seq, one.at, one.duration_ms)).collect::<Vec<_>>()
        };
        assert_eq!(page(None, 2), [(4, 9_000, None), (3, 3_000, Some(6_000))]);
        assert_eq!(page(Some(3), 9), [(2, 3_000, Some(0)), (1, 1_000, Some(2_000))]);
        assert_eq!(
            journal.changes_since(4_000).unwrap(),
            [(3_000, Status::Starting), (9_000, Status::Working)]
        );
        assert_eq!(journal.changes_since(0).unwrap().len(), 4);
        journal.trim_timeline(4_000, 100).unwrap();
        assert_eq!(page(None, 9).len(), 2);
        journal.trim_timeline(0, 1).unwrap();
        journal.trim_timeline(99_000, 0).unwrap();
        assert_eq!(page(None, 9), [(4, 9_000, None)]);
    }
}
