//! What this number was asked to say, until WhatsApp has acknowledged it: exactly once to the person.
//!
//! The messages' ids on WhatsApp and their final bytes are stored before the first of them leaves. Whatever dies on the
//! way, the same bytes go again under the same id, and WhatsApp drops the second (docs/decisions/outbox.md).

use gateway_domain::message::OutboxStatus;
use gateway_domain::timeline::DAY_MS;
use gateway_object::calls::PART_BYTES;
use gateway_sql::{Row, Sql, SqlError, Value, unsigned, whole};

mod files;
#[cfg(test)]
mod tests;

pub use files::StoredFile;

/// The tables, for the object's schema.
pub const TABLES: &[&str] = &[
    // An earlier version made these, and never wrote to them.
    "DROP TABLE IF EXISTS outbox",
    "DROP TABLE IF EXISTS outbox_media",
    // The order of `number` is the order of sending within a chat. request is what was asked for, until it has become
    // messages; begun is when the first of them first went to the socket, and is_new_chat whether that began a chat; due is
    // when it is tried again.
    "CREATE TABLE IF NOT EXISTS outbox (
       number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, message_id TEXT NOT NULL, chat TEXT NOT NULL,
       is_async INTEGER NOT NULL, state TEXT NOT NULL, request TEXT, error TEXT, attempts INTEGER NOT NULL,
       created INTEGER NOT NULL, begun INTEGER, due INTEGER NOT NULL, ended INTEGER, acknowledged INTEGER,
       is_new_chat INTEGER)",
    // Named where it is used: by its order of columns SQLite would rather read the whole table.
    "CREATE INDEX IF NOT EXISTS outbox_waiting ON outbox (chat, number) WHERE state IN ('queued', 'sending')",
    "CREATE INDEX IF NOT EXISTS outbox_by_message ON outbox (message_id)",
    "CREATE INDEX IF NOT EXISTS outbox_by_begun ON outbox (begun) WHERE begun IS NOT NULL",
    // What it has become: one message, of an album one and one for each of its files.
    "CREATE TABLE IF NOT EXISTS outbox_message (
       message_id TEXT PRIMARY KEY, outbox TEXT NOT NULL, place INTEGER NOT NULL, bytes BLOB, acknowledged INTEGER)
       WITHOUT ROWID",
    "CREATE INDEX IF NOT EXISTS outbox_message_of ON outbox_message (outbox, place)",
    // Files, in parts: a row holds 2 MB at most. outbox is the entry they are of, or the lot they came in.
    "CREATE TABLE IF NOT EXISTS outbox_file (
       outbox TEXT NOT NULL, file INTEGER NOT NULL, part INTEGER NOT NULL, bytes BLOB NOT NULL,
       PRIMARY KEY (outbox, file, part))",
];

/// Large files come before the request they belong to: in a lot, which an entry takes over. since is when its last part came.
pub const LOTS: &[&str] = &["CREATE TABLE IF NOT EXISTS outbox_lot (
       id TEXT PRIMARY KEY, since INTEGER NOT NULL, entry TEXT UNIQUE) WITHOUT ROWID"];

/// The most entries that wait with nobody waiting for them.
pub const MOST_WAITING: u64 = 1_000;
/// The most that somebody waits for.
pub const MOST_AWAITED: u64 = 100;
/// The most of both: who waited and went leaves theirs to the others.
const MOST_ENTRIES: u64 = 2 * MOST_WAITING;
/// The most bytes of files that wait.
pub const MOST_FILE_BYTES: u64 = 256 * 1_024 * 1_024;
/// How often a message goes to the socket without an answer before it may be given up.
pub const LEAST_ATTEMPTS: u32 = 8;
/// How long after the first of them it is not: connections that come and go make many attempts in a short time.
pub const LEAST_TRIED_MS: u64 = 3_600_000;
/// How long one that somebody waited for, and that never left, stays for them to come back.
pub const ABANDONED_MS: u64 = 5 * 60_000;
/// How long one that nobody waits for may wait to leave, and any to be acknowledged.
pub const LONGEST_WAIT_MS: u64 = 7 * DAY_MS;
/// How long an entry is kept after its end, in milliseconds: as long as an `Idempotency-Key`, and some.
const KEPT_MS: u64 = 48 * 3_600_000;
/// How long a lot of files waits for its next part, or for its request.
const LOT_MS: u64 = 10 * 60_000;
/// How often that counts anew when it is asked for again.
const TOUCHED_MS: u64 = 3_600_000;
/// How long until the second attempt, in milliseconds; each later one waits twice as long.
const FIRST_PAUSE_MS: u64 = 5_000;
/// The longest of these pauses.
const LONGEST_PAUSE_MS: u64 = 5 * 60_000;

/// An entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its id, the caller's `outboxId`.
    pub id: String,
    /// The message's id on WhatsApp; of an album that of the album itself.
    pub message_id: String,
    /// The chat.
    pub chat: String,
    /// Whether nobody waits for it.
    pub is_async: bool,
    /// Where it stands.
    pub state: OutboxStatus,
    /// Why it failed, as an `ApiError`.
    pub error: Option<String>,
    /// How often it was tried in vain.
    pub attempts: u32,
    /// When it was asked for, epoch milliseconds.
    pub created: u64,
    /// When it first went to the socket.
    pub begun: Option<u64>,
    /// When WhatsApp acknowledged it, by its clock.
    pub acknowledged: Option<u64>,
}

impl Entry {
    /// Whether so many attempts, without an answer, are enough.
    #[must_use]
    pub fn is_hopeless(&self, attempts: u32, now: u64) -> bool {
        attempts >= LEAST_ATTEMPTS
            && self.begun.is_some_and(|begun| now.saturating_sub(begun) >= LEAST_TRIED_MS)
    }
}

/// A new entry.
#[derive(Clone, Copy, Debug)]
pub struct NewEntry<'a> {
    /// Its id.
    pub id: &'a str,
    /// The message's id on WhatsApp.
    pub message_id: &'a str,
    /// The chat.
    pub chat: &'a str,
    /// Whether nobody waits for it.
    pub is_async: bool,
    /// What was asked for, where its messages can't be made at once.
    pub request: Option<&'a str>,
}

/// A message of an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fixed {
    /// Its id on WhatsApp.
    pub message_id: String,
    /// Its bytes; none once WhatsApp has it.
    pub bytes: Option<Vec<u8>>,
}

/// What an acknowledgement is of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acknowledged {
    /// The message's bytes.
    pub bytes: Vec<u8>,
    /// The entry, where that was the last of its messages.
    pub ended: Option<Entry>,
}

const COLUMNS: &str = "id, message_id, chat, is_async, state, error, attempts, created, begun, acknowledged";

/// What the pump may take: nobody waits for it, or it has gone out without an answer.
const IS_PUMPS: &str = "state IN ('queued', 'sending') AND (is_async = 1 OR state = 'sending')";

/// Nothing of its chat is before it.
const IS_HEAD: &str = "NOT EXISTS (SELECT 1 FROM outbox AS earlier \
    WHERE earlier.chat = one.chat AND earlier.number < one.number AND earlier.state IN ('queued', 'sending') \
    AND (earlier.is_async = 1 OR earlier.state = 'sending'))";

/// When it is abandoned.
const ENDS: &str = "created + CASE WHEN begun IS NULL AND is_async = 0 THEN ?1 ELSE ?2 END + 1";

/// The outbox over the object's database.
pub struct Outbox<'a, S>(&'a S);

impl<'a, S: Sql> Outbox<'a, S> {
    /// Over a database that has the [`TABLES`].
    pub const fn new(sql: &'a S) -> Self {
        Self(sql)
    }

    /// Adds an entry; `false` when there is one with this id.
    ///
    /// # Errors
    /// When the database fails.
    pub fn add(&self, new: &NewEntry<'_>, files: &[&[u8]], now: u64) -> Result<bool, SqlError> {
        let added = self.0.query(
            "INSERT INTO outbox (id, message_id, chat, is_async, state, request, attempts, created, due) \
             VALUES (?1, ?2, ?3, ?4, 'queued', ?5, 0, ?6, 0) ON CONFLICT DO NOTHING RETURNING number",
            &[
                new.id.into(),
                new.message_id.into(),
                new.chat.into(),
                new.is_async.into(),
                new.request.into(),
                whole(now),
            ],
        )?;
        if added.is_empty() {
            return Ok(false);
        }
        for (file, bytes) in files.iter().enumerate() {
            for (part, chunk) in bytes.chunks(PART_BYTES).enumerate() {
                self.add_part(new.id, file, part, chunk.to_vec())?;
            }
        }
        Ok(true)
    }

    /// An entry.
    ///
    /// # Errors
    /// When the database fails or holds something else.
    pub fn entry(&self, id: &str) -> Result<Option<Entry>, SqlError> {
        self.one(&format!("SELECT {COLUMNS} FROM outbox WHERE id = ?1"), &[id.into()])
    }

    /// What was asked for, as long as it has not become messages.
    ///
    /// # Errors
    /// When the database fails or holds something else.
    pub fn request(&self, id: &str) -> Result<Option<String>, SqlError> {
        let rows = self.0.query("SELECT request FROM outbox WHERE id = ?1", &[id.into()])?;
        rows.first().map_or(Ok(None), |row| row.optional_text(0))
    }

    /// The messages it has become so far, in the order of sending.
    ///
    /// # Errors
    /// When the database fails or holds something else.
    pub fn messages(&self, id: &str) -> Result<Vec<Fixed>, SqlError> {
        let rows = self.0.query(
            "SELECT message_id, CASE WHEN acknowledged IS NULL THEN bytes END FROM outbox_message \
             WHERE outbox = ?1 ORDER BY place",
            &[id.into()],
        )?;
        let fixed = |row: &Row| {
            let bytes = if row.0.get(1) == Some(&Value::Null) { None } else { Some(row.blob(1)?) };
            Ok(Fixed { message_id: row.text(0)?, bytes })
        };
        rows.iter().map(fixed).collect()
    }

    /// The bytes of one of its messages are fixed, before the first of them leaves; `false` when the entry has ended, or
    /// that message was fixed before.
    ///
    /// # Errors
    /// When the database fails.
    pub fn fix(&self, id: &str, place: usize, message_id: &str, bytes: Vec<u8>) -> Result<bool, SqlError> {
        let place = i64::try_from(place).unwrap_or(i64::MAX);
        let fixed = self.0.query(
            "INSERT INTO outbox_message (message_id, outbox, place, bytes) SELECT ?1, id, ?3, ?4 FROM outbox \
             WHERE id = ?2 AND state IN ('queued', 'sending') ON CONFLICT DO NOTHING RETURNING place",
            &[message_id.into(), id.into(), place.into(), Value::Blob(bytes)],
        )?;
        Ok(!fixed.is_empty())
    }

    /// All its messages are fixed: what was asked for is not needed any more.
    ///
    /// # Errors
    /// When the database fails.
    pub fn all_fixed(&self, id: &str) -> Result<(), SqlError> {
        self.0.query(
            "UPDATE outbox SET request = NULL WHERE id = ?1 AND state IN ('queued', 'sending')",
            &[id.into()],
        )?;
        self.drop_files(id)
    }

    /// It goes to the socket now. The first time is what the limits count. `false` when it has ended meanwhile.
    ///
    /// # Errors
    /// When the database fails.
    pub fn begin(&self, id: &str, is_new_chat: bool, now: u64) -> Result<bool, SqlError> {
        let begun = self.0.query(
            "UPDATE outbox SET state = 'sending', attempts = CASE WHEN begun IS NULL THEN 0 ELSE attempts END, \
             begun = COALESCE(begun, ?2), \
             is_new_chat = COALESCE(is_new_chat, ?3) \
             WHERE id = ?1 AND state IN ('queued', 'sending') RETURNING number",
            &[id.into(), whole(now), is_new_chat.into()],
        )?;
        Ok(!begun.is_empty())
    }

    /// It waits for its turn until then; what was in vain before that counts no more.
    ///
    /// # Errors
    /// When the database fails.
    pub fn postpone(&self, id: &str, until: u64) -> Result<(), SqlError> {
        self.0.query(
            "UPDATE outbox SET due = ?2, attempts = 0 WHERE id = ?1 AND state IN ('queued', 'sending')",
            &[id.into(), whole(until)],
        )?;
        Ok(())
    }

    /// It was tried in vain, and is tried again later, whoever waits; how often that was.
    ///
    /// # Errors
    /// When the database fails or holds something else.
    pub fn try_later(&self, id: &str, now: u64) -> Result<u32, SqlError> {
        let Some(entry) = self.entry(id)? else { return Ok(0) };
        let attempts = entry.attempts.saturating_add(1);
        let pause = FIRST_PAUSE_MS.saturating_mul(1 << entry.attempts.min(16)).min(LONGEST_PAUSE_MS);
        self.0.query(
            "UPDATE outbox SET attempts = ?2, due = ?3, is_async = 1 \
             WHERE id = ?1 AND state IN ('queued', 'sending')",
            &[id.into(), attempts.into(), whole(now.saturating_add(pause))],
        )?;
        Ok(attempts)
    }

    /// There is a new connection: what was tried in vain need not wait.
    ///
    /// # Errors
    /// When the database fails.
    pub fn hurry(&self) -> Result<(), SqlError> {
        self.0.query(
            "UPDATE outbox INDEXED BY outbox_waiting SET due = 0 WHERE state IN ('queued', 'sending') AND attempts > 0 AND due > 0",
            &[],
        )?;
        Ok(())
    }

    /// The limits have changed: what waits for its turn may have it now.
    ///
    /// # Errors
    /// When the database fails.
    pub fn reconsider(&self) -> Result<(), SqlError> {
        self.0.query(
            "UPDATE outbox INDEXED BY outbox_waiting SET due = 0 WHERE state IN ('queued', 'sending') AND attempts = 0 AND due > 0",
            &[],
        )?;
        Ok(())
    }

    /// Somebody has written: what waits to begin a chat with them, by either of their names, may go.
    ///
    /// # Errors
    /// When the database fails.
    pub fn reconsider_chat(&self, chat: &str, alias: Option<&str>) -> Result<(), SqlError> {
        self.0.query(
            "UPDATE outbox INDEXED BY outbox_waiting SET due = 0 \
             WHERE state IN ('queued', 'sending') AND chat IN (?1, ?2) AND begun IS NULL AND due > 0",
            &[chat.into(), alias.into()],
        )?;
        Ok(())
    }

    /// Nobody waits for it any more: it is the pump's.
    ///
    /// # Errors
    /// When the database fails.
    pub fn let_go(&self, id: &str) -> Result<(), SqlError> {
        self.0.query(
            "UPDATE outbox SET is_async = 1 WHERE id = ?1 AND state IN ('queued', 'sending')",
            &[id.into()],
        )?;
        Ok(())
    }

    /// It is asked for again after its end: from now on it is kept as long as its key is.
    ///
    /// # Errors
    /// When the database fails.
    pub fn touch(&self, id: &str, now: u64) -> Result<(), SqlError> {
        self.0.query(
            "UPDATE outbox SET ended = ?2 WHERE id = ?1 AND ended < ?3",
            &[id.into(), whole(now), whole(now.saturating_sub(TOUCHED_MS))],
        )?;
        Ok(())
    }

    /// One that failed before anything had left is asked for again: it is as if it had not been.
    ///
    /// # Errors
    /// When the database fails.
    pub fn forget(&self, id: &str) -> Result<(), SqlError> {
        let forgotten = self.0.query(
            "DELETE FROM outbox WHERE id = ?1 AND state = 'failed' AND begun IS NULL RETURNING number",
            &[id.into()],
        )?;
        if !forgotten.is_empty() {
            self.0.query("DELETE FROM outbox_message WHERE outbox = ?1", &[id.into()])?;
        }
        Ok(())
    }

    /// WhatsApp has a message; `None` when it is no entry's, or was acknowledged before.
    ///
    /// # Errors
    /// When the database fails or holds something else.
    pub fn acknowledge(
        &self,
        message_id: &str,
        acknowledged: u64,
        now: u64,
    ) -> Result<Option<Acknowledged>, SqlError> {
        let rows = self.0.query(
            "SELECT outbox, bytes FROM outbox_message WHERE message_id = ?1 AND acknowledged IS NULL",
            &[message_id.into()],
        )?;
        let Some(row) = rows.first() else { return Ok(None) };
        let (id, bytes) = (row.text(0)?, row.blob(1)?);
        self.0.query(
            "UPDATE outbox_message SET acknowledged = ?2, bytes = NULL WHERE message_id = ?1",
            &[message_id.into(), whole(acknowledged)],
        )?;
        let missing = self.0.query(
            "SELECT 1 FROM outbox_message WHERE outbox = ?1 AND acknowledged IS NULL LIMIT 1",
            &[id.as_str().into()],
        )?;
        if !missing.is_empty() {
            return Ok(Some(Acknowledged { bytes, ended: None }));
        }
        // Also after it had been given up: an acknowledgement outranks a failure of ours.
        self.0.query(
            "UPDATE outbox SET state = 'sent', acknowledged = ?2, ended = ?3, request = NULL, error = NULL \
             WHERE id = ?1 AND request IS NULL",
            &[id.as_str().into(), whole(acknowledged), whole(now)],
        )?;
        let ended = self.entry(&id)?.filter(|entry| entry.state == OutboxStatus::Sent);
        Ok(Some(Acknowledged { bytes, ended }))
    }

    /// The entry a message belongs to.
    ///
    /// # Errors
    /// When the database fails or holds something else.
    pub fn of_message(&self, message_id: &str) -> Result<Option<Entry>, SqlError> {
        self.one(
            &format!(
                "SELECT {COLUMNS} FROM outbox WHERE id = (SELECT outbox FROM outbox_message WHERE message_id = ?1)"
            ),
            &[message_id.into()],
        )
    }

    /// It will not be sent; the ids of its messages WhatsApp doesn't have. Nothing when it had ended already.
    ///
    /// # Errors
    /// When the database fails.
    pub fn fail(&self, id: &str, error: &str, now: u64) -> Result<Option<Vec<String>>, SqlError> {
        let failed = self.0.query(
            "UPDATE outbox SET state = 'failed', error = ?2, ended = ?3, request = NULL \
             WHERE id = ?1 AND state IN ('queued', 'sending') RETURNING message_id",
            &[id.into(), error.into(), whole(now)],
        )?;
        let Some(row) = failed.first() else { return Ok(None) };
        let first = row.text(0)?;
        self.drop_files(id)?;
        let mut unsent: Vec<String> = self
            .messages(id)?
            .into_iter()
            .filter(|one| one.bytes.is_some())
            .map(|one| one.message_id)
            .collect();
        if unsent.is_empty() {
            unsent.push(first);
        }
        Ok(Some(unsent))
    }

    /// The next the pump may take now: the oldest whose chat has none before it; where the limits are reached, of those
    /// that were counted already. `busy` are those that are on their way.
    ///
    /// # Errors
    /// When the database fails or holds something else.
    pub fn next(&self, busy: &[String], is_free: bool, now: u64) -> Result<Option<Entry>, SqlError> {
        let busy = serde_json::to_string(busy).map_err(|error| SqlError(error.to_string()))?;
        let rows = self.0.query(
            &format!(
                "SELECT {COLUMNS} FROM outbox AS one INDEXED BY outbox_waiting WHERE {IS_PUMPS} AND due <= ?1 \
                 AND (?2 = 1 OR begun IS NOT NULL) AND id NOT IN (SELECT value FROM json_each(?3)) AND {IS_HEAD} \
                 ORDER BY number LIMIT 1"
            ),
            &[whole(now), is_free.into(), busy.into()],
        )?;
        rows.first().map(entry).transpose()
    }

    /// When the pump has something to do next; in the past when it has it now.
    ///
    /// # Errors
    /// When the database fails.
    pub fn next_due(&self) -> Result<Option<u64>, SqlError> {
        let rows = self.0.query(
            &format!(
                "SELECT MIN(due) FROM outbox AS one INDEXED BY outbox_waiting WHERE {IS_PUMPS} AND {IS_HEAD}"
            ),
            &[],
        )?;
        Ok(rows.first().map_or(Ok(None), |row| row.optional_integer(0))?.map(unsigned))
    }

    /// Those whose time is over, whatever the session does: somebody waited for one that never left and has not come back
    /// since, or it has waited too long to leave or to be acknowledged.
    ///
    /// # Errors
    /// When the database fails or holds something else.
    pub fn abandoned(&self, now: u64) -> Result<Vec<Entry>, SqlError> {
        let rows = self.0.query(
            &format!(
                "SELECT {COLUMNS} FROM outbox INDEXED BY outbox_waiting \
                 WHERE state IN ('queued', 'sending') AND {ENDS} <= ?3 ORDER BY number"
            ),
            &[whole(ABANDONED_MS), whole(LONGEST_WAIT_MS), whole(now)],
        )?;
        rows.iter().map(entry).collect()
    }

    /// When the first of those that wait is abandoned.
    ///
    /// # Errors
    /// When the database fails.
    pub fn next_end(&self) -> Result<Option<u64>, SqlError> {
        let rows = self.0.query(
            &format!(
                "SELECT MIN({ENDS}) FROM outbox INDEXED BY outbox_waiting WHERE state IN ('queued', 'sending')"
            ),
            &[whole(ABANDONED_MS), whole(LONGEST_WAIT_MS)],
        )?;
        Ok(rows.first().map_or(Ok(None), |row| row.optional_integer(0))?.map(unsigned))
    }

    /// Those that have not ended.
    ///
    /// # Errors
    /// When the database fails or holds something else.
    pub fn unfinished(&self) -> Result<Vec<String>, SqlError> {
        let rows = self
            .0
            .query("SELECT id FROM outbox INDEXED BY outbox_waiting WHERE state IN ('queued', 'sending') ORDER BY number", &[])?;
        rows.iter().map(|row| row.text(0)).collect()
    }

    /// Whether any that nobody waits for waits for its turn.
    ///
    /// # Errors
    /// When the database fails.
    pub fn has_queue(&self) -> Result<bool, SqlError> {
        let rows = self.0.query(
            "SELECT 1 FROM outbox INDEXED BY outbox_waiting \
             WHERE state IN ('queued', 'sending') AND is_async = 1 AND begun IS NULL LIMIT 1",
            &[],
        )?;
        Ok(!rows.is_empty())
    }

    /// Whether there is no room for another: what nobody waits for does not shut out those who wait.
    ///
    /// # Errors
    /// When the database fails.
    pub fn is_full(&self, is_async: bool) -> Result<bool, SqlError> {
        let rows = self.0.query(
            "SELECT COUNT(*), TOTAL(is_async) FROM outbox INDEXED BY outbox_waiting \
             WHERE state IN ('queued', 'sending')",
            &[],
        )?;
        let Some(row) = rows.first() else { return Ok(false) };
        let (all, queue) = (unsigned(row.integer(0)?), unsigned(row.integer(1)?));
        let is_full = if is_async { queue >= MOST_WAITING } else { all - queue.min(all) >= MOST_AWAITED };
        Ok(is_full || all >= MOST_ENTRIES)
    }

    /// How many bytes of files wait.
    ///
    /// # Errors
    /// When the database fails.
    pub fn file_bytes(&self) -> Result<u64, SqlError> {
        let rows = self.0.query("SELECT TOTAL(octet_length(bytes)) FROM outbox_file", &[])?;
        rows.first().map_or(Ok(0), |row| row.integer(0).map(unsigned))
    }

    /// When the `n`-th newest of all sends began; the newest is the first.
    ///
    /// # Errors
    /// When the database fails or holds something else.
    pub fn began(&self, n: u32) -> Result<Option<u64>, SqlError> {
        let rows = self.0.query(
            "SELECT begun FROM outbox WHERE begun IS NOT NULL ORDER BY begun DESC LIMIT 1 OFFSET ?1",
            &[n.saturating_sub(1).into()],
        )?;
        rows.first().map(|row| row.integer(0).map(unsigned)).transpose()
    }

    /// How many sends have begun at a moment or since.
    ///
    /// # Errors
    /// When the database fails.
    pub fn begun_since(&self, since: u64) -> Result<u64, SqlError> {
        let rows = self.0.query("SELECT COUNT(*) FROM outbox WHERE begun >= ?1", &[whole(since)])?;
        rows.first().map_or(Ok(0), |row| row.integer(0).map(unsigned))
    }

    /// When the `n`-th newest of the chats that were begun here was begun, a chat counting once.
    ///
    /// # Errors
    /// When the database fails or holds something else.
    pub fn chat_begun(&self, n: u32) -> Result<Option<u64>, SqlError> {
        let rows = self.0.query(
            "SELECT MIN(begun) AS first FROM outbox WHERE begun IS NOT NULL AND is_new_chat = 1 GROUP BY chat \
             ORDER BY first DESC LIMIT 1 OFFSET ?1",
            &[n.saturating_sub(1).into()],
        )?;
        rows.first().map(|row| row.integer(0).map(unsigned)).transpose()
    }

    /// Whether a chat was begun here at a moment or since.
    ///
    /// # Errors
    /// When the database fails.
    pub fn has_begun_chat(&self, chat: &str, since: u64) -> Result<bool, SqlError> {
        let rows = self.0.query(
            "SELECT 1 FROM outbox WHERE begun >= ?2 AND chat = ?1 AND is_new_chat = 1 LIMIT 1",
            &[chat.into(), whole(since)],
        )?;
        Ok(!rows.is_empty())
    }

    /// Forgets what has ended long ago, a little at a time.
    ///
    /// # Errors
    /// When the database fails.
    pub fn trim(&self, now: u64) -> Result<(), SqlError> {
        // Among the oldest: of so many at least a hundred don't wait.
        let old = self.0.query(
            "DELETE FROM outbox WHERE ended < ?1 AND number IN (SELECT number FROM outbox ORDER BY number LIMIT ?2) \
             RETURNING id",
            &[whole(now.saturating_sub(KEPT_MS)), whole(MOST_ENTRIES + 100)],
        )?;
        for row in &old {
            self.0.query("DELETE FROM outbox_message WHERE outbox = ?1", &[row.text(0)?.into()])?;
        }
        // Of none that waits and of no lot: nobody would ask for them.
        self.0.query(
            "DELETE FROM outbox_file WHERE outbox NOT IN (SELECT id FROM outbox_lot) AND outbox NOT IN \
             (SELECT id FROM outbox INDEXED BY outbox_waiting WHERE state IN ('queued', 'sending'))",
            &[],
        )?;
        Ok(())
    }

    fn drop_files(&self, id: &str) -> Result<(), SqlError> {
        self.drop_lot(&self.lot(id)?)
    }

    fn one(&self, statement: &str, bindings: &[Value]) -> Result<Option<Entry>, SqlError> {
        let rows = self.0.query(statement, bindings)?;
        rows.first().map(entry).transpose()
    }
}

fn entry(row: &Row) -> Result<Entry, SqlError> {
    let state = row.text(4)?;
    Ok(Entry {
        id: row.text(0)?,
        message_id: row.text(1)?,
        chat: row.text(2)?,
        is_async: row.integer(3)? != 0,
        state: OutboxStatus::parse(&state).ok_or_else(|| SqlError(format!("an outbox state: {state}")))?,
        error: row.optional_text(5)?,
        attempts: u32::try_from(row.integer(6)?).unwrap_or(u32::MAX),
        created: unsigned(row.integer(7)?),
        begun: row.optional_integer(8)?.map(unsigned),
        acknowledged: row.optional_integer(9)?.map(unsigned),
    })
}
