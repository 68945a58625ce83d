//! The files of the outbox, which are larger than what memory there is: in parts, each a row.

use std::borrow::Cow;
use std::cell::RefCell;

use gateway_domain::message::media_type::File;
use gateway_object::calls::PART_BYTES;
use gateway_sql::{Sql, SqlError, Value, unsigned, whole};

use super::{Entry, LOT_MS, Outbox};

/// A file that lies in the database.
pub struct StoredFile<S> {
    sql: S,
    lot: String,
    file: i64,
    length: u64,
    /// The part that was read last: what a file is, is told by many small looks.
    last: RefCell<Option<(u64, Vec<u8>)>>,
}

impl<'a, S: Sql> Outbox<'a, S> {
    /// A part of a file: every part but a file's last has [`PART_BYTES`].
    ///
    /// # Errors
    /// When the database fails.
    pub fn add_part(&self, lot: &str, file: usize, part: usize, bytes: Vec<u8>) -> Result<(), SqlError> {
        self.0.query(
            "INSERT OR REPLACE INTO outbox_file (outbox, file, part, bytes) VALUES (?1, ?2, ?3, ?4)",
            &[lot.into(), index(file).into(), index(part).into(), Value::Blob(bytes)],
        )?;
        Ok(())
    }

    /// The same of a file that is fetched for an entry; `false` when that has ended, or is another's by now.
    ///
    /// # Errors
    /// When the database fails.
    pub fn add_fetched(
        &self,
        entry: &Entry,
        lot: &str,
        file: usize,
        part: usize,
        bytes: Vec<u8>,
    ) -> Result<bool, SqlError> {
        let added = self.0.query(
            "INSERT OR REPLACE INTO outbox_file (outbox, file, part, bytes) SELECT ?1, ?2, ?3, ?4 FROM outbox \
             WHERE id = ?5 AND message_id = ?6 AND state IN ('queued', 'sending') RETURNING part",
            &[
                lot.into(),
                index(file).into(),
                index(part).into(),
                Value::Blob(bytes),
                entry.id.as_str().into(),
                entry.message_id.as_str().into(),
            ],
        )?;
        Ok(!added.is_empty())
    }

    /// A lot begins; it is nobody's yet.
    ///
    /// # Errors
    /// When the database fails.
    pub fn begin_lot(&self, lot: &str, now: u64) -> Result<(), SqlError> {
        let begin = "INSERT INTO outbox_lot (id, since) VALUES (?1, ?2) ON CONFLICT DO NOTHING";
        self.0.query(begin, &[lot.into(), whole(now)]).map(|_rows| ())
    }

    /// A lot goes on; `false` when it is forgotten, or an entry's.
    ///
    /// # Errors
    /// When the database fails.
    pub fn keep_lot(&self, lot: &str, now: u64) -> Result<bool, SqlError> {
        let kept = self.0.query(
            "UPDATE outbox_lot SET since = ?2 WHERE id = ?1 AND entry IS NULL RETURNING id",
            &[lot.into(), whole(now)],
        )?;
        Ok(!kept.is_empty())
    }

    /// Whether there is such a lot, and nobody has taken it.
    ///
    /// # Errors
    /// When the database fails.
    pub fn has_lot(&self, lot: &str) -> Result<bool, SqlError> {
        let free =
            self.0.query("SELECT id FROM outbox_lot WHERE id = ?1 AND entry IS NULL", &[lot.into()])?;
        Ok(!free.is_empty())
    }

    /// The files of a lot are an entry's; `false` when there is no such lot any more.
    ///
    /// # Errors
    /// When the database fails.
    pub fn take_lot(&self, lot: &str, entry: &str) -> Result<bool, SqlError> {
        let taken = self.0.query(
            "UPDATE outbox_lot SET entry = ?2 WHERE id = ?1 AND entry IS NULL RETURNING id",
            &[lot.into(), entry.into()],
        )?;
        Ok(!taken.is_empty())
    }

    /// Nobody wants the files of a lot, unless an entry has taken it.
    ///
    /// # Errors
    /// When the database fails.
    pub fn refuse_lot(&self, lot: &str) -> Result<(), SqlError> {
        let free =
            self.0.query("SELECT id FROM outbox_lot WHERE id = ?1 AND entry IS NULL", &[lot.into()])?;
        if free.is_empty() { Ok(()) } else { self.drop_lot(lot) }
    }

    /// Forgets the lots whose request has not come; when the next of them is to be forgotten.
    ///
    /// # Errors
    /// When the database fails or holds something else.
    pub fn drop_stale_lots(&self, now: u64) -> Result<Option<u64>, SqlError> {
        let mut next = None;
        for row in &self.0.query("SELECT id, since FROM outbox_lot WHERE entry IS NULL", &[])? {
            let due = unsigned(row.integer(1)?).saturating_add(LOT_MS);
            if due <= now {
                self.drop_lot(&row.text(0)?)?;
            } else {
                next = Some(next.map_or(due, |next: u64| next.min(due)));
            }
        }
        Ok(next)
    }

    /// Where the files of an entry lie.
    ///
    /// # Errors
    /// When the database fails or holds something else.
    pub fn lot(&self, entry: &str) -> Result<String, SqlError> {
        let rows = self.0.query("SELECT id FROM outbox_lot WHERE entry = ?1", &[entry.into()])?;
        rows.first().map_or_else(|| Ok(entry.to_owned()), |row| row.text(0))
    }

    /// A file.
    ///
    /// # Errors
    /// When the database fails or holds something else.
    pub fn file(&self, lot: &str, file: usize) -> Result<StoredFile<&'a S>, SqlError> {
        let rows = self.0.query(
            "SELECT TOTAL(octet_length(bytes)) FROM outbox_file WHERE outbox = ?1 AND file = ?2",
            &[lot.into(), index(file).into()],
        )?;
        let length = rows.first().map_or(Ok(0), |row| row.integer(0))?;
        Ok(StoredFile {
            sql: self.0,
            lot: lot.to_owned(),
            file: index(file),
            length: unsigned(length),
            last: RefCell::default(),
        })
    }

    /// What there is of a file goes: it is fetched anew.
    ///
    /// # Errors
    /// When the database fails.
    pub fn drop_file(&self, lot: &str, file: usize) -> Result<(), SqlError> {
        self.0.query(
            "DELETE FROM outbox_file WHERE outbox = ?1 AND file = ?2",
            &[lot.into(), index(file).into()],
        )?;
        Ok(())
    }

    pub(super) fn drop_lot(&self, lot: &str) -> Result<(), SqlError> {
        self.0.query("DELETE FROM outbox_file WHERE outbox = ?1", &[lot.into()])?;
        self.0.query("DELETE FROM outbox_lot WHERE id = ?1", &[lot.into()])?;
        Ok(())
    }
}

impl<S: Sql + Clone> StoredFile<&S> {
    /// The same, to take along.
    #[must_use]
    pub fn owned(self) -> StoredFile<S> {
        StoredFile {
            sql: self.sql.clone(),
            lot: self.lot,
            file: self.file,
            length: self.length,
            last: RefCell::default(),
        }
    }
}

impl<S: Sql> StoredFile<S> {
    /// How many parts it has.
    #[must_use]
    pub fn parts(&self) -> u64 {
        self.length.div_ceil(PART_BYTES as u64)
    }

    /// A part.
    ///
    /// # Errors
    /// When it isn't there.
    pub fn part(&self, part: u64) -> Result<Vec<u8>, SqlError> {
        let rows = self.sql.query(
            "SELECT bytes FROM outbox_file WHERE outbox = ?1 AND file = ?2 AND part = ?3",
            &[self.lot.as_str().into(), self.file.into(), whole(part)],
        )?;
        let missing = || SqlError(format!("part {part} of a file is missing"));
        rows.first().ok_or_else(missing)?.blob(0)
    }

    /// Forgets what was read last.
    pub fn let_go(&self) {
        self.last.take();
    }

    /// What there is of a part from some byte on.
    fn append(&self, part: u64, skip: u64, most: usize, bytes: &mut Vec<u8>) -> Result<(), SqlError> {
        let mut last = self.last.borrow_mut();
        if last.as_ref().is_none_or(|(number, _)| *number != part) {
            *last = Some((part, self.part(part)?));
        }
        let rest = last.as_ref().and_then(|(_, bytes)| bytes.get(usize::try_from(skip).ok()?..));
        let rest = rest.unwrap_or_default();
        bytes.extend_from_slice(rest.get(..most).unwrap_or(rest));
        Ok(())
    }
}

impl<S: Sql> File for StoredFile<S> {
    fn length(&self) -> u64 {
        self.length
    }

    fn read(&self, offset: u64, most: usize) -> Cow<'_, [u8]> {
        let most = usize::try_from(self.length.saturating_sub(offset)).unwrap_or(usize::MAX).min(most);
        let mut bytes = Vec::with_capacity(most);
        while bytes.len() < most {
            let (at, before) = (offset.saturating_add(bytes.len() as u64), bytes.len());
            let (part, skip) = (at / PART_BYTES as u64, at % PART_BYTES as u64);
            let read = self.append(part, skip, most.saturating_sub(before), &mut bytes);
            // What can't be read is nothing that anybody would take it for.
            if read.is_err() || bytes.len() == before {
                break;
            }
        }
        bytes.into()
    }
}

fn index(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
