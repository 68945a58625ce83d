//! The keystore's tables and the steps that lead to them.
//!
//! A Durable Object offers neither `PRAGMA user_version` nor transactions in SQL, so the version is a row of
//! our own, written after the statements that lead to it. Each of these can run again: where a step broke off,
//! the next opening repeats it.
//!
//! Tables with small rows are WITHOUT ROWID: one b-tree, and one row written where a key in an index would
//! make it two. Those with records of some size are not, large rows make such a tree deep.

use std::fmt;

use gateway_sql::{Sql, SqlError, Value};

/// Why a keystore was not opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OpenError {
    /// A newer release has been here: its tables mean things this one doesn't know.
    Newer {
        /// The version of the tables.
        found: i64,
        /// The newest version this release knows.
        known: i64,
    },
    /// SQLite refused a statement.
    Sql(SqlError),
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Newer { found, known } => {
                write!(f, "the keystore is of version {found}, this release knows up to {known}")
            }
            Self::Sql(error) => write!(f, "the keystore can't be opened: {error}"),
        }
    }
}

impl std::error::Error for OpenError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Newer { .. } => None,
            Self::Sql(error) => Some(error),
        }
    }
}

impl From<SqlError> for OpenError {
    fn from(error: SqlError) -> Self {
        Self::Sql(error)
    }
}

/// Every table that holds a secret or a memory, the credentials first. `erase` empties them all.
pub(super) const TABLES: &[&str] = &[
    "key_device",
    "key_identity",
    "key_session",
    "key_prekey",
    "key_signed_prekey",
    "key_sender_key",
    "key_app_state_key",
    "key_app_state_version",
    "key_app_state_mac",
    "key_sender_key_device",
    "key_lid_mapping",
    "key_base_key",
    "key_device_list",
    "key_group_metadata",
    "key_tc_token",
    "key_sent_message",
    "key_pending_inbound",
    "key_message_secret",
];

/// The statements of step n lead from version n to n + 1. A released step is never edited.
const STEPS: &[&[&str]] = &[&[
    // One row: one object is one device. The record is the library's JSON.
    "CREATE TABLE IF NOT EXISTS key_device (
        id INTEGER PRIMARY KEY CHECK (id = 1), record BLOB NOT NULL
    ) STRICT",
    "CREATE TABLE IF NOT EXISTS key_identity (
        address TEXT NOT NULL PRIMARY KEY, key BLOB NOT NULL
    ) STRICT, WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS key_session (
        address TEXT NOT NULL PRIMARY KEY, record BLOB NOT NULL
    ) STRICT",
    "CREATE TABLE IF NOT EXISTS key_prekey (
        id INTEGER PRIMARY KEY, record BLOB NOT NULL, uploaded INTEGER NOT NULL
    ) STRICT",
    "CREATE TABLE IF NOT EXISTS key_signed_prekey (
        id INTEGER PRIMARY KEY, record BLOB NOT NULL
    ) STRICT",
    "CREATE TABLE IF NOT EXISTS key_sender_key (
        address TEXT NOT NULL PRIMARY KEY, record BLOB NOT NULL
    ) STRICT",
    // REPLACE gives a row a new position: it orders what was stored, the last one highest.
    "CREATE TABLE IF NOT EXISTS key_app_state_key (
        position INTEGER PRIMARY KEY, key_id BLOB NOT NULL UNIQUE,
        key_data BLOB NOT NULL, fingerprint BLOB NOT NULL, timestamp INTEGER NOT NULL
    ) STRICT",
    "CREATE TABLE IF NOT EXISTS key_app_state_version (
        name TEXT NOT NULL PRIMARY KEY, state BLOB NOT NULL
    ) STRICT",
    "CREATE TABLE IF NOT EXISTS key_app_state_mac (
        name TEXT NOT NULL, index_mac BLOB NOT NULL, value_mac BLOB NOT NULL,
        PRIMARY KEY (name, index_mac)
    ) STRICT, WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS key_sender_key_device (
        group_jid TEXT NOT NULL, device_jid TEXT NOT NULL, has_key INTEGER NOT NULL,
        PRIMARY KEY (group_jid, device_jid)
    ) STRICT, WITHOUT ROWID",
    // Position as above: of two LIDs a number got in the same second, the one stored last is its own.
    "CREATE TABLE IF NOT EXISTS key_lid_mapping (
        position INTEGER PRIMARY KEY, lid TEXT NOT NULL UNIQUE, phone_number TEXT NOT NULL,
        created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL, learning_source TEXT NOT NULL
    ) STRICT",
    "CREATE INDEX IF NOT EXISTS key_lid_mapping_by_phone ON key_lid_mapping (phone_number, updated_at)",
    "CREATE TABLE IF NOT EXISTS key_base_key (
        address TEXT NOT NULL, message_id TEXT NOT NULL, base_key BLOB NOT NULL,
        PRIMARY KEY (address, message_id)
    ) STRICT, WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS key_device_list (
        user TEXT NOT NULL PRIMARY KEY, record BLOB NOT NULL
    ) STRICT",
    "CREATE TABLE IF NOT EXISTS key_group_metadata (
        group_jid TEXT NOT NULL PRIMARY KEY, metadata BLOB NOT NULL
    ) STRICT",
    // Times in seconds, here and below.
    "CREATE TABLE IF NOT EXISTS key_tc_token (
        jid TEXT NOT NULL PRIMARY KEY, token BLOB NOT NULL,
        token_timestamp INTEGER NOT NULL, sender_timestamp INTEGER
    ) STRICT, WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS key_sent_message (
        chat_jid TEXT NOT NULL, message_id TEXT NOT NULL, payload BLOB NOT NULL, stored_at INTEGER NOT NULL,
        PRIMARY KEY (chat_jid, message_id)
    ) STRICT",
    "CREATE TABLE IF NOT EXISTS key_pending_inbound (
        chat TEXT NOT NULL, sender TEXT NOT NULL, id TEXT NOT NULL, message BLOB NOT NULL,
        stored_at INTEGER NOT NULL,
        PRIMARY KEY (chat, sender, id)
    ) STRICT",
    "CREATE TABLE IF NOT EXISTS key_message_secret (
        chat TEXT NOT NULL, sender TEXT NOT NULL, message_id TEXT NOT NULL, secret BLOB NOT NULL,
        expires_at INTEGER NOT NULL, message_ts INTEGER NOT NULL,
        PRIMARY KEY (chat, sender, message_id)
    ) STRICT, WITHOUT ROWID",
    // The one large table that is swept every few minutes. 0 is never.
    "CREATE INDEX IF NOT EXISTS key_message_secret_by_expiry
        ON key_message_secret (expires_at) WHERE expires_at <> 0",
]];

/// Brings the tables from whatever version they have to the newest.
pub(super) fn migrate<S: Sql>(sql: &S) -> Result<(), OpenError> {
    sql.query(
        "CREATE TABLE IF NOT EXISTS keystore_schema (
            id INTEGER PRIMARY KEY CHECK (id = 1), version INTEGER NOT NULL
        ) STRICT",
        &[],
    )?;
    let found = match sql.query("SELECT version FROM keystore_schema", &[])?.first() {
        Some(row) => row.integer(0)?,
        None => 0,
    };
    let known = i64::try_from(STEPS.len()).unwrap_or(i64::MAX);
    if found > known {
        return Err(OpenError::Newer { found, known });
    }
    for (version, statements) in (1_i64..).zip(STEPS).filter(|(version, _)| *version > found) {
        for statement in *statements {
            sql.query(statement, &[])?;
        }
        sql.query(
            "INSERT OR REPLACE INTO keystore_schema (id, version) VALUES (1, ?)",
            &[Value::Integer(version)],
        )?;
    }
    Ok(())
}
