//! The object's tables. Every statement can be repeated: a Durable Object has no SQL transactions.

use gateway_sql::{Sql, SqlError};

const TABLES: &[&str] = &[
    gateway_object::alarm::TABLE,
    // The log. A position is never used twice; `number.newest` carries the count when all rows are trimmed.
    "CREATE TABLE IF NOT EXISTS entry (
       position INTEGER PRIMARY KEY, session TEXT NOT NULL, type TEXT NOT NULL, at INTEGER NOT NULL,
       event TEXT NOT NULL)",
    // newest: the newest position. floor: the lowest that can be resumed after without a gap. listened_until: while
    // it lies ahead somebody reads. listening_since: since when events are taken; absent when they are not.
    "CREATE TABLE IF NOT EXISTS number (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID",
    // The sessions that have said something, how far their logs are in this one, and whether they were told to keep
    // quiet because nobody listens; wake_at is when the next try to tell them otherwise is due, tries how many there were.
    "CREATE TABLE IF NOT EXISTS source (
       session TEXT PRIMARY KEY, region TEXT, through INTEGER NOT NULL, is_quiet INTEGER NOT NULL DEFAULT 0,
       wake_at INTEGER, tries INTEGER NOT NULL DEFAULT 0) WITHOUT ROWID",
    "CREATE INDEX IF NOT EXISTS source_by_wake ON source (wake_at) WHERE wake_at IS NOT NULL",
    // Whose ledger it is: an alarm is not told.
    "CREATE TABLE IF NOT EXISTS owner (id INTEGER PRIMARY KEY CHECK (id = 1), organization TEXT NOT NULL)",
    // The active webhooks, and up to which position each knows that there is news.
    "CREATE TABLE IF NOT EXISTS webhook (id TEXT PRIMARY KEY, told INTEGER NOT NULL) WITHOUT ROWID",
];

/// Creates the tables.
///
/// # Errors
/// When SQLite refuses.
pub fn migrate(sql: &impl Sql) -> Result<(), SqlError> {
    for statement in TABLES {
        sql.query(statement, &[])?;
    }
    Ok(())
}
