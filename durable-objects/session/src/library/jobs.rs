//! The newest backfill: one at a time, counted from what it has pulled, remembered when it is over.

use gateway_domain::backfill::{BackfillJob, BackfillStatus};
use gateway_sql::{Sql, SqlError};

use super::{Library, unsigned, whole};
use crate::journal::Record;

/// What became of the wish to start one.
#[derive(Debug, PartialEq, Eq)]
pub enum Started {
    /// It was written down.
    New(BackfillJob),
    /// This one is running.
    Already(BackfillJob),
}

impl<S: Sql> Library<S> {
    /// The newest backfill, if there ever was one.
    ///
    /// # Errors
    /// When the database fails or holds something else.
    pub fn backfill(&self, record: &Record) -> Result<Option<BackfillJob>, SqlError> {
        let found = self.0.query(
            "SELECT id, status, contacts, joined_groups, group_members, started, finished, error FROM backfill",
            &[],
        )?;
        let Some(row) = found.first() else { return Ok(None) };
        let status = row.text(1)?;
        Ok(Some(BackfillJob {
            id: row.text(0)?,
            organization_id: record.organization.clone(),
            session_id: record.session.clone(),
            status: BackfillStatus::named(&status)
                .ok_or_else(|| SqlError(format!("no status of a backfill: {status}")))?,
            contacts: unsigned(row.integer(2)?),
            groups: unsigned(row.integer(3)?),
            group_members: unsigned(row.integer(4)?),
            started_at: unsigned(row.integer(5)?),
            finished_at: row.optional_integer(6)?.map(unsigned),
            error: row.optional_text(7)?,
        }))
    }

    /// Writes down a new one, in the place of one that is over.
    ///
    /// # Errors
    /// When the database fails or holds something else.
    pub fn start_backfill(&self, record: &Record, id: &str, now: u64) -> Result<Started, SqlError> {
        if let Some(job) = self.backfill(record)?.filter(|job| job.status == BackfillStatus::Running) {
            return Ok(Started::Already(job));
        }
        self.0.query(
            "INSERT OR REPLACE INTO backfill \
             (one, id, status, attempts, contacts, joined_groups, group_members, started, finished, error) \
             VALUES (1, ?1, 'running', 0, 0, 0, 0, ?2, NULL, NULL)",
            &[id.into(), whole(now)],
        )?;
        let job = self.backfill(record)?;
        job.map(Started::New).ok_or_else(|| SqlError("a backfill that was written is not there".to_owned()))
    }

    /// Counts one more attempt at the backfill that is running: its id, and which attempt it is. An attempt that takes
    /// the object with it has been counted.
    ///
    /// # Errors
    /// When the database fails or holds something else.
    pub fn attempt_backfill(&self) -> Result<Option<(String, u64)>, SqlError> {
        let counted = self.0.query(
            "UPDATE backfill SET attempts = attempts + 1 WHERE status = 'running' RETURNING id, attempts",
            &[],
        )?;
        counted.first().map(|row| Ok((row.text(0)?, unsigned(row.integer(1)?)))).transpose()
    }

    /// Counts the people it has pulled. A row is counted once, however often an attempt came upon it.
    ///
    /// # Errors
    /// When the database fails.
    pub fn count_contacts(&self, id: &str) -> Result<(), SqlError> {
        self.0.query(
            "UPDATE backfill SET contacts = (SELECT COUNT(*) FROM contact WHERE pull = ?1) \
             WHERE id = ?1 AND status = 'running'",
            &[id.into()],
        )?;
        Ok(())
    }

    /// Counts the groups it has pulled, and who is in them.
    ///
    /// # Errors
    /// When the database fails.
    pub fn count_groups(&self, id: &str) -> Result<(), SqlError> {
        self.0.query(
            "UPDATE backfill SET joined_groups = (SELECT COUNT(*) FROM chat_group WHERE pull = ?1), \
                group_members = (SELECT COALESCE(SUM(members), 0) FROM chat_group WHERE pull = ?1) \
             WHERE id = ?1 AND status = 'running'",
            &[id.into()],
        )?;
        Ok(())
    }

    /// It is over: well, or for a reason.
    ///
    /// # Errors
    /// When the database fails.
    pub fn finish_backfill(&self, id: &str, error: Option<&str>, now: u64) -> Result<(), SqlError> {
        self.count_contacts(id)?;
        self.count_groups(id)?;
        let status = if error.is_some() { BackfillStatus::Failed } else { BackfillStatus::Succeeded };
        self.0.query(
            "UPDATE backfill SET status = ?2, finished = ?3, error = ?4 WHERE id = ?1 AND status = 'running'",
            &[id.into(), status.name().into(), whole(now), error.into()],
        )?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::library::contacts::{Person, Source};
    use crate::library::groups::{Group, Member};
    use crate::library::in_memory;

    fn record() -> Record {
        Record::new("acme", "01S")
    }

    fn people(numbers: std::ops::Range<u32>) -> Vec<Person> {
        numbers.map(|number| Person { phone: Some(number.to_string()), ..Person::default() }).collect()
    }

    #[test]
    fn there_is_one_at_a_time_and_the_newest_is_remembered() {
        let library = in_memory();
        assert_eq!(library.backfill(&record()), Ok(None));
        assert_eq!(library.attempt_backfill(), Ok(None));
        let Ok(Started::New(first)) = library.start_backfill(&record(), "a", 1) else {
            panic!("not started")
        };
        assert_eq!((first.status, first.session_id.as_str()), (BackfillStatus::Running, "01S"));
        assert_eq!(library.start_backfill(&record(), "b", 2), Ok(Started::Already(first)));
        library.finish_backfill("a", Some("no luck"), 3).unwrap();
        let job = library.backfill(&record()).unwrap().unwrap();
        assert_eq!((job.status, job.finished_at), (BackfillStatus::Failed, Some(3)));
        assert_eq!(job.error.as_deref(), Some("no luck"));
        assert_eq!(library.attempt_backfill(), Ok(None), "one that is over is not begun again");
        assert!(matches!(library.start_backfill(&record(), "b", 4), Ok(Started::New(_))));
        library.finish_backfill("b", None, 5).unwrap();
        let job = library.backfill(&record()).unwrap().unwrap();
        assert_eq!((job.status, job.error, job.started_at), (BackfillStatus::Succeeded, None, 4));
    }

    #[test]
    fn attempts_are_counted_and_what_two_of_them_pulled_counts_once() {
        let library = in_memory();
        library.start_backfill(&record(), "a", 1).unwrap();
        assert_eq!(library.attempt_backfill(), Ok(Some(("a".to_owned(), 1))));
        library.meet(&people(1..41), Source::Dm, Some("a"), 2).unwrap();
        library.count_contacts("a").unwrap();
        assert_eq!(library.backfill(&record()).unwrap().unwrap().contacts, 40);
        // It was cut off, and begins at the beginning.
        assert_eq!(library.attempt_backfill(), Ok(Some(("a".to_owned(), 2))));
        library.meet(&people(1..61), Source::Dm, Some("a"), 3).unwrap();
        let member =
            |number: u32| Member { jid: format!("{number}@lid"), phone: None, role: "member", tag: None };
        for group in ["1@g.us", "2@g.us", "1@g.us"] {
            let members: Vec<Member> = (100..110).map(member).collect();
            let group = Group { jid: group.to_owned(), participant_count: 10, members, ..Group::default() };
            library.replace_group(&group, &Person::default(), "a", 4).unwrap();
        }
        library.finish_backfill("a", None, 5).unwrap();
        let job = library.backfill(&record()).unwrap().unwrap();
        assert_eq!((job.contacts, job.groups, job.group_members), (60, 2, 20));
    }
}
