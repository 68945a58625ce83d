//! The files of the outbox, which are larger than what memory there is: in parts, each a row.

use std::borrow::Cow;

use gateway_domain::message::media_type::File;
use gateway_object::calls::PART_BYTES;
use gateway_sql::{Sql, SqlError, Value, unsigned, whole};

use super::{LOT_MS, Outbox};

/// A file that lies in the database.
pub struct StoredFile<S> {
    sql: S,
    lot: String,
    file: i64,
    length: u64,
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

    /// A lot begins, or goes on; it is nobody's yet.
    ///
    /// # Errors
    /// When the database fails.
    pub fn keep_lot(&self, lot: &str, now: u64) -> Result<(), SqlError> {
        self.0.query(
            "INSERT INTO outbox_lot (id, since) VALUES (?1, ?2) ON CONFLICT DO UPDATE SET since = excluded.since",
            &[lot.into(), whole(now)],
        )?;
        Ok(())
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
        Ok(StoredFile { sql: self.0, lot: lot.to_owned(), file: index(file), length: unsigned(length) })
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
        StoredFile { sql: self.sql.clone(), lot: self.lot, file: self.file, length: self.length }
    }
}

impl<S: Sql> StoredFile<S> {
    /// How many parts it has.
    #[must_use]
    pub fn parts(&self) -> u64 {
        self.length.div_ceil(PART_BYTES as u64)
    }

    /// A part, from `skip` on and `most` of it.
    ///
    /// # Errors
    /// When it isn't there.
    pub fn part(&self, part: u64, skip: u64, most: usize) -> Result<Vec<u8>, SqlError> {
        let rows = self.sql.query(
            "SELECT substr(bytes, ?4, ?5) FROM outbox_file WHERE outbox = ?1 AND file = ?2 AND part = ?3",
            &[
                self.lot.as_str().into(),
                self.file.into(),
                whole(part),
                whole(skip.saturating_add(1)),
                index(most).into(),
            ],
        )?;
        let missing = || SqlError(format!("part {part} of a file is missing"));
        rows.first().ok_or_else(missing)?.blob(0)
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
            let at = offset.saturating_add(bytes.len() as u64);
            let (part, skip) = (at / PART_BYTES as u64, at % PART_BYTES as u64);
            // What can't be read is nothing that anybody would take it for.
            match self.part(part, skip, most.saturating_sub(bytes.len())) {
                Ok(more) if !more.is_empty() => bytes.extend(more),
                _ => break,
            }
        }
        bytes.into()
    }
}

fn index(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
