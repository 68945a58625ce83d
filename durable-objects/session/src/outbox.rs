//! What this number was asked to say, until WhatsApp has acknowledged it: exactly once to the person.
//!
//! The message's id on WhatsApp and its final bytes are stored before the first of them leaves. Whatever dies on the way,
//! the same bytes go again under the same id, and WhatsApp drops the second (docs/decisions/outbox.md).

use gateway_sql::{Row, Sql, SqlError, Value};

/// The tables, for the object's schema.
pub const TABLES: &[&str] = &[
    // The order of `number` is the order of sending within a chat. request is what an asynchronous caller asked for, until
    // it has become the message's bytes; begun is when it first went to the socket.
    "CREATE TABLE IF NOT EXISTS outbox (
       number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, message_id TEXT NOT NULL, chat TEXT NOT NULL,
       is_async INTEGER NOT NULL, state TEXT NOT NULL, request TEXT, message BLOB, error TEXT, attempts INTEGER NOT NULL,
       created INTEGER NOT NULL, begun INTEGER, ended INTEGER, acknowledged INTEGER, is_new_chat INTEGER NOT NULL)",
    "CREATE INDEX IF NOT EXISTS outbox_by_message ON outbox (message_id)",
    "CREATE INDEX IF NOT EXISTS outbox_by_state ON outbox (state, number)",
    "CREATE INDEX IF NOT EXISTS outbox_by_begun ON outbox (begun) WHERE begun IS NOT NULL",
    // Media of asynchronous sends, in parts: a row holds 2 MB at most.
    "CREATE TABLE IF NOT EXISTS outbox_media (
       outbox TEXT NOT NULL, medium INTEGER NOT NULL, part INTEGER NOT NULL, bytes BLOB NOT NULL,
       PRIMARY KEY (outbox, medium, part)) WITHOUT ROWID",
];

/// The most entries that wait.
pub const MOST_WAITING: u64 = 1_000;
/// How often a message goes to the socket before it is given up.
pub const MOST_ATTEMPTS: u32 = 8;
/// How long an entry is kept after its end, in milliseconds: as long as an `Idempotency-Key`, and some.
const KEPT_MS: u64 = 48 * 3_600_000;
/// As much of a medium is a row.
const PART_BYTES: usize = 1_000_000;

/// Where an entry stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It waits for its turn.
    Queued,
    /// Its bytes are fixed; it has gone, or goes, to the socket.
    Sending,
    /// WhatsApp's server has acknowledged it.
    Sent,
    /// It will not be sent.
    Failed,
}

impl State {
    /// The state as it is stored and shown.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Sending => "sending",
            Self::Sent => "sent",
            Self::Failed => "failed",
        }
    }

    fn named(name: &str) -> Result<Self, SqlError> {
        [Self::Queued, Self::Sending, Self::Sent, Self::Failed]
            .into_iter()
            .find(|state| state.name() == name)
            .ok_or_else(|| SqlError(format!("an outbox state: {name}")))
    }
}

/// An entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its id, the caller's `outboxId`.
    pub id: String,
    /// The message's id on WhatsApp.
    pub message_id: String,
    /// The chat.
    pub chat: String,
    /// Whether nobody waits for it.
    pub is_async: bool,
    /// Where it stands.
    pub state: State,
    /// Why it failed, as an `ApiError`.
    pub error: Option<String>,
    /// How often it went to the socket.
    pub attempts: u32,
    /// When it was asked for, epoch milliseconds.
    pub created: u64,
    /// When WhatsApp acknowledged it, by its clock.
    pub acknowledged: Option<u64>,
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
    /// What was asked for.
    pub request: &'a str,
}

const COLUMNS: &str = "id, message_id, chat, is_async, state, error, attempts, created, acknowledged";

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
    pub fn add(&self, new: &NewEntry<'_>, media: &[Vec<u8>], now: u64) -> Result<bool, SqlError> {
        let added = self.0.query(
            "INSERT INTO outbox (id, message_id, chat, is_async, state, request, attempts, created, is_new_chat) \
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
        for (medium, bytes) in (0_i64..).zip(media) {
            for (part, chunk) in (0_i64..).zip(bytes.chunks(PART_BYTES)) {
                self.0.query(
                    "INSERT INTO outbox_media (outbox, medium, part, bytes) VALUES (?1, ?2, ?3, ?4)",
                    &[new.id.into(), medium.into(), part.into(), Value::Blob(chunk.to_vec())],
                )?;
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

    /// The entry of a message.
    ///
    /// # Errors
    /// When the database fails or holds something else.
    pub fn of_message(&self, message_id: &str) -> Result<Option<Entry>, SqlError> {
        self.one(&format!("SELECT {COLUMNS} FROM outbox WHERE message_id = ?1"), &[message_id.into()])
    }

    /// What was asked for, as long as it has not become bytes.
    ///
    /// # Errors
    /// When the database fails or holds something else.
    pub fn request(&self, id: &str) -> Result<Option<String>, SqlError> {
        let rows = self.0.query("SELECT request FROM outbox WHERE id = ?1", &[id.into()])?;
        rows.first().map_or(Ok(None), |row| row.optional_text(0))
    }

    /// A medium of an entry.
    ///
    /// # Errors
    /// When the database fails or holds something else.
    pub fn medium(&self, id: &str, medium: usize) -> Result<Vec<u8>, SqlError> {
        let medium = i64::try_from(medium).unwrap_or(i64::MAX);
        let rows = self.0.query(
            "SELECT bytes FROM outbox_media WHERE outbox = ?1 AND medium = ?2 ORDER BY part",
            &[id.into(), medium.into()],
        )?;
        let mut bytes = Vec::new();
        for row in &rows {
            bytes.extend(row.blob(0)?);
        }
        Ok(bytes)
    }

    /// The message's bytes.
    ///
    /// # Errors
    /// When the database fails or holds something else.
    pub fn message(&self, id: &str) -> Result<Option<Vec<u8>>, SqlError> {
        let rows =
            self.0.query("SELECT message FROM outbox WHERE id = ?1 AND message IS NOT NULL", &[id.into()])?;
        rows.first().map(|row| row.blob(0)).transpose()
    }

    /// The message's bytes are fixed, before the first of them leaves. What was asked for is not needed any more.
    ///
    /// # Errors
    /// When the database fails.
    pub fn fix(&self, id: &str, message: Vec<u8>, is_new_chat: bool) -> Result<(), SqlError> {
        self.0.query(
            "UPDATE outbox SET message = ?2, request = NULL, is_new_chat = ?3 WHERE id = ?1",
            &[id.into(), Value::Blob(message), is_new_chat.into()],
        )?;
        self.0.query("DELETE FROM outbox_media WHERE outbox = ?1", &[id.into()])?;
        Ok(())
    }

    /// It goes to the socket now.
    ///
    /// # Errors
    /// When the database fails.
    pub fn begin(&self, id: &str, now: u64) -> Result<(), SqlError> {
        self.0.query(
            "UPDATE outbox SET state = 'sending', attempts = attempts + 1, begun = COALESCE(begun, ?2) WHERE id = ?1",
            &[id.into(), whole(now)],
        )?;
        Ok(())
    }

    /// WhatsApp has it.
    ///
    /// # Errors
    /// When the database fails.
    pub fn sent(&self, message_id: &str, acknowledged: u64, now: u64) -> Result<(), SqlError> {
        self.0.query(
            "UPDATE outbox SET state = 'sent', acknowledged = ?2, ended = ?3, message = NULL, request = NULL, \
             error = NULL WHERE message_id = ?1 AND state <> 'sent'",
            &[message_id.into(), whole(acknowledged), whole(now)],
        )?;
        Ok(())
    }

    /// It will not be sent.
    ///
    /// # Errors
    /// When the database fails.
    pub fn failed(&self, message_id: &str, error: &str, now: u64) -> Result<(), SqlError> {
        self.0.query(
            "UPDATE outbox SET state = 'failed', error = ?2, ended = ?3, message = NULL, request = NULL \
             WHERE message_id = ?1 AND state IN ('queued', 'sending')",
            &[message_id.into(), error.into(), whole(now)],
        )?;
        self.0.query(
            "DELETE FROM outbox_media WHERE outbox IN (SELECT id FROM outbox WHERE message_id = ?1)",
            &[message_id.into()],
        )?;
        Ok(())
    }

    /// The next that may go: the oldest that nobody waits for, or that went out without an answer, and whose chat has none
    /// before it. `busy` are those that are on their way.
    ///
    /// # Errors
    /// When the database fails or holds something else.
    pub fn next(&self, busy: &[String]) -> Result<Option<Entry>, SqlError> {
        let rows = self.0.query(
            &format!(
                "SELECT {COLUMNS} FROM outbox AS one WHERE state IN ('queued', 'sending') \
                 AND (is_async = 1 OR state = 'sending') AND NOT EXISTS (SELECT 1 FROM outbox AS earlier \
                   WHERE earlier.chat = one.chat AND earlier.number < one.number \
                   AND earlier.state IN ('queued', 'sending') AND (earlier.is_async = 1 OR earlier.state = 'sending')) \
                 ORDER BY number LIMIT 50"
            ),
            &[],
        )?;
        for row in &rows {
            let entry = entry(row)?;
            if !busy.contains(&entry.id) {
                return Ok(Some(entry));
            }
        }
        Ok(None)
    }

    /// How many wait.
    ///
    /// # Errors
    /// When the database fails.
    pub fn waiting(&self) -> Result<u64, SqlError> {
        let rows = self.0.query("SELECT COUNT(*) FROM outbox WHERE state IN ('queued', 'sending')", &[])?;
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

    /// How many sends have begun since a moment.
    ///
    /// # Errors
    /// When the database fails.
    pub fn begun_since(&self, since: u64) -> Result<u64, SqlError> {
        let rows = self.0.query("SELECT COUNT(*) FROM outbox WHERE begun > ?1", &[whole(since)])?;
        rows.first().map_or(Ok(0), |row| row.integer(0).map(unsigned))
    }

    /// How many new chats have begun since a moment.
    ///
    /// # Errors
    /// When the database fails.
    pub fn new_chats_since(&self, since: u64) -> Result<u64, SqlError> {
        let rows = self.0.query(
            "SELECT COUNT(DISTINCT chat) FROM outbox WHERE begun > ?1 AND is_new_chat = 1 AND state <> 'failed'",
            &[whole(since)],
        )?;
        rows.first().map_or(Ok(0), |row| row.integer(0).map(unsigned))
    }

    /// Forgets what has ended long ago, a little at a time.
    ///
    /// # Errors
    /// When the database fails.
    pub fn trim(&self, now: u64) -> Result<(), SqlError> {
        self.0.query(
            "DELETE FROM outbox WHERE ended < ?1 AND number IN (SELECT number FROM outbox ORDER BY number LIMIT 500)",
            &[whole(now.saturating_sub(KEPT_MS))],
        )?;
        Ok(())
    }

    fn one(&self, statement: &str, bindings: &[Value]) -> Result<Option<Entry>, SqlError> {
        let rows = self.0.query(statement, bindings)?;
        rows.first().map(entry).transpose()
    }
}

fn entry(row: &Row) -> Result<Entry, SqlError> {
    Ok(Entry {
        id: row.text(0)?,
        message_id: row.text(1)?,
        chat: row.text(2)?,
        is_async: row.integer(3)? != 0,
        state: State::named(&row.text(4)?)?,
        error: row.optional_text(5)?,
        attempts: u32::try_from(row.integer(6)?).unwrap_or(u32::MAX),
        created: unsigned(row.integer(7)?),
        acknowledged: row.optional_integer(8)?.map(unsigned),
    })
}

fn whole(number: u64) -> Value {
    Value::Integer(i64::try_from(number).unwrap_or(i64::MAX))
}

fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use gateway_sql::native::NativeSql;

    fn sql() -> NativeSql {
        let sql = NativeSql::in_memory().unwrap();
        for table in TABLES {
            sql.query(table, &[]).unwrap();
        }
        sql
    }

    fn new<'a>(id: &'a str, chat: &'a str, is_async: bool) -> NewEntry<'a> {
        NewEntry { id, message_id: id, chat, is_async, request: "{}" }
    }

    fn next(outbox: &Outbox<'_, NativeSql>, busy: &[&str]) -> Option<String> {
        let busy: Vec<String> = busy.iter().map(|id| (*id).to_owned()).collect();
        outbox.next(&busy).unwrap().map(|entry| entry.id)
    }

    #[test]
    fn a_chat_keeps_its_order_and_holds_up_no_other() {
        let sql = sql();
        let outbox = Outbox::new(&sql);
        for (id, chat) in [("a1", "a"), ("a2", "a"), ("b1", "b")] {
            assert_eq!(outbox.add(&new(id, chat, true), &[], 1), Ok(true));
        }
        assert_eq!(
            (next(&outbox, &[]).as_deref(), next(&outbox, &["a1"]).as_deref()),
            (Some("a1"), Some("b1"))
        );
        assert_eq!(next(&outbox, &["a1", "b1"]), None);
        outbox.begin("a1", 2).unwrap();
        outbox.sent("a1", 3, 3).unwrap();
        assert_eq!(next(&outbox, &["b1"]).as_deref(), Some("a2"));
        outbox.failed("a2", "{}", 4).unwrap();
        outbox.sent("b1", 4, 4).unwrap();
        assert_eq!((next(&outbox, &[]), outbox.waiting()), (None, Ok(0)));
    }

    #[test]
    fn what_somebody_waits_for_is_theirs_until_it_has_gone_out_without_an_answer() {
        let sql = sql();
        let outbox = Outbox::new(&sql);
        outbox.add(&new("sync", "a", false), &[], 1).unwrap();
        outbox.add(&new("async", "a", true), &[], 1).unwrap();
        assert_eq!(next(&outbox, &[]).as_deref(), Some("async"));
        outbox.fix("sync", vec![1, 2], false).unwrap();
        outbox.begin("sync", 2).unwrap();
        assert_eq!(
            (next(&outbox, &[]).as_deref(), outbox.message("sync")),
            (Some("sync"), Ok(Some(vec![1, 2])))
        );
        outbox.begin("sync", 9).unwrap();
        let entry = outbox.entry("sync").unwrap().unwrap();
        assert_eq!((entry.attempts, entry.state, outbox.began(1)), (2, State::Sending, Ok(Some(2))));
    }

    #[test]
    fn asked_twice_is_one_entry_and_media_come_back_whole() {
        let sql = sql();
        let outbox = Outbox::new(&sql);
        let media = vec![vec![7; PART_BYTES * 2 + 5], vec![], vec![9]];
        assert_eq!(outbox.add(&new("a", "a", true), &media, 1), Ok(true));
        assert_eq!(outbox.add(&new("a", "a", true), &media, 1), Ok(false));
        assert_eq!((outbox.medium("a", 0), outbox.medium("a", 1)), (Ok(media[0].clone()), Ok(vec![])));
        assert_eq!((outbox.medium("a", 2), outbox.request("a")), (Ok(vec![9]), Ok(Some("{}".into()))));
        outbox.fix("a", vec![1], true).unwrap();
        assert_eq!((outbox.medium("a", 0), outbox.request("a")), (Ok(vec![]), Ok(None)));
        outbox.begin("a", 5).unwrap();
        assert_eq!((outbox.new_chats_since(4), outbox.new_chats_since(5)), (Ok(1), Ok(0)));
    }

    #[test]
    fn an_end_is_final_but_an_ack_outranks_a_failure_of_ours() {
        let sql = sql();
        let outbox = Outbox::new(&sql);
        outbox.add(&new("a", "a", true), &[], 1).unwrap();
        outbox.failed("a", "why", 2).unwrap();
        assert_eq!(outbox.entry("a").unwrap().unwrap().error.as_deref(), Some("why"));
        outbox.sent("a", 3, 3).unwrap();
        outbox.failed("a", "late", 4).unwrap();
        let entry = outbox.of_message("a").unwrap().unwrap();
        assert_eq!((entry.state, entry.error, entry.acknowledged), (State::Sent, None, Some(3)));
        outbox.trim(3 + KEPT_MS).unwrap();
        assert!(outbox.entry("a").unwrap().is_some());
        outbox.trim(4 + KEPT_MS).unwrap();
        assert!(outbox.entry("a").unwrap().is_none());
    }

    #[test]
    fn the_times_of_sends_are_counted_once_a_message() {
        let sql = sql();
        let outbox = Outbox::new(&sql);
        for (id, at) in [("a", 10), ("b", 20), ("c", 30)] {
            outbox.add(&new(id, id, true), &[], 1).unwrap();
            outbox.begin(id, at).unwrap();
            outbox.begin(id, at + 100).unwrap();
        }
        assert_eq!(
            (outbox.began(1), outbox.began(3), outbox.began(4)),
            (Ok(Some(30)), Ok(Some(10)), Ok(None))
        );
        assert_eq!((outbox.begun_since(10), outbox.begun_since(9)), (Ok(2), Ok(3)));
    }
}
