//! The object's tables. Every statement can be repeated: a Durable Object has no SQL transactions.

use gateway_sql::{Sql, SqlError};

const TABLES: &[&str] = &[
    gateway_object::alarm::TABLE,
    // Whose it is, how far it is in the ledger, and the webhook as the directory last had it: one row.
    "CREATE TABLE IF NOT EXISTS record (id INTEGER PRIMARY KEY CHECK (id = 1), document TEXT NOT NULL)",
    // `place` is the order; a delivery that is replayed gets a new one. One row an event, however often the ledger is
    // read.
    "CREATE TABLE IF NOT EXISTS delivery (
       place INTEGER PRIMARY KEY, id TEXT NOT NULL, event_id TEXT NOT NULL UNIQUE, event TEXT NOT NULL,
       session TEXT NOT NULL, seq INTEGER NOT NULL, lane TEXT NOT NULL, status TEXT NOT NULL,
       attempts INTEGER NOT NULL DEFAULT 0, last_status INTEGER, last_error TEXT, latency INTEGER, response TEXT,
       created INTEGER NOT NULL, next_attempt INTEGER, settled INTEGER, body TEXT NOT NULL)",
    "CREATE INDEX IF NOT EXISTS delivery_in_lane ON delivery (lane, place) WHERE status = 'pending'",
    "CREATE INDEX IF NOT EXISTS delivery_settled ON delivery (status, place) WHERE status <> 'pending'",
    // The sessions with pending deliveries, and when the first of each is due. While one is on its way, `due` is when it
    // would be given up for lost.
    "CREATE TABLE IF NOT EXISTS lane (
       lane TEXT PRIMARY KEY, due INTEGER NOT NULL, is_test INTEGER NOT NULL, is_leased INTEGER NOT NULL DEFAULT 0)
     WITHOUT ROWID",
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
