//! The keystore: what a number must still know after a restart to be the same WhatsApp device.
//!
//! It implements the client library's storage traits over one object's SQLite: the device with its
//! credentials, Signal state, app state, and the protocol's memory of groups, devices and messages. One object
//! is one number, so no table names the device.
//!
//! A call is one synchronous run of statements. The object's output gate holds every frame back until that run
//! is durable, and a crash loses all of it or nothing. A batch over `MAX_BINDINGS` is several statements; if
//! one of them is refused, those before it stay. All of them are upserts or deletes, so the caller repeats.
//!
//! Errors never quote what is stored here, and [`Keystore`] prints as its name only: it is all key material.

mod app_sync;
mod device;
mod msg_secret;
mod protocol;
mod schema;
mod signal;

use std::fmt;

use gateway_sql::{Row, Sql, SqlError, Value};
use serde::Serialize;
use serde::de::DeserializeOwned;
use whatsapp_rust::CacheConfig;
use whatsapp_rust::wacore::store::error::{Result, StoreError};

pub use schema::OpenError;

/// What a statement may bind in a Durable Object (Cloudflare, "Limits").
const MAX_BINDINGS: usize = 100;

/// How long what was sent can be sent again: a phone that was off for a night, or on a journey, asks for what it can't
/// read when it comes back.
const SENT_MESSAGES_KEPT_SECONDS: u64 = 14 * 24 * 3_600;
/// How many of them are kept at most; the newest.
const MOST_SENT_MESSAGES: i64 = 50_000;

/// What the library keeps, where that is not as it comes.
#[must_use]
pub fn retention() -> CacheConfig {
    CacheConfig { sent_message_ttl_secs: SENT_MESSAGES_KEPT_SECONDS, ..CacheConfig::default() }
}

/// The storage of one WhatsApp number. See the module.
pub struct Keystore<S> {
    sql: S,
}

impl<S> fmt::Debug for Keystore<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keystore")
    }
}

impl<S: Sql> Keystore<S> {
    /// Opens the keystore in an object's database, and brings its tables to this version.
    ///
    /// # Errors
    /// When the tables are of a newer version, which leaves them as they are, or when SQLite refuses. What was
    /// stored is there after either.
    pub fn open(sql: S) -> std::result::Result<Self, OpenError> {
        schema::migrate(&sql)?;
        Ok(Self { sql })
    }

    /// Destroys the credentials and everything else in the keystore; the empty tables stay. Only for a logout
    /// that WhatsApp confirmed, or a delete. The client must have ended: one that still runs writes its device
    /// back.
    ///
    /// # Errors
    /// When SQLite refuses. The device goes last, so a keystore erased halfway still says that it is paired
    /// and the call can be repeated.
    pub fn erase(&self) -> std::result::Result<(), SqlError> {
        schema::TABLES
            .iter()
            .rev()
            .try_for_each(|table| self.sql.query(&format!("DELETE FROM {table}"), &[]).map(drop))
    }

    fn query(&self, statement: &str, bindings: &[Value]) -> Result<Vec<Row>> {
        self.sql.query(statement, bindings).map_err(database)
    }

    fn first(&self, statement: &str, bindings: &[Value]) -> Result<Option<Row>> {
        Ok(self.query(statement, bindings)?.into_iter().next())
    }

    fn run(&self, statement: &str, bindings: &[Value]) -> Result<()> {
        self.query(statement, bindings).map(drop)
    }

    fn first_blob(&self, statement: &str, bindings: &[Value]) -> Result<Option<Vec<u8>>> {
        self.first(statement, bindings)?.map(|row| row.blob(0)).transpose().map_err(database)
    }

    /// How many rows the statement changed.
    fn count(&self, statement: &str, bindings: &[Value]) -> Result<u32> {
        let count = self.sql.execute(statement, bindings).map_err(database)?;
        Ok(u32::try_from(count).unwrap_or(u32::MAX))
    }

    /// Runs the statement over all items, as many at a time as it may bind. `{rows}` in it becomes one
    /// `(?, …)` for each item, bound after `before`.
    fn over<T, const COLUMNS: usize>(
        &self,
        statement: &str,
        before: &[Value],
        items: &[T],
        bind: impl Fn(&T) -> [Value; COLUMNS],
    ) -> Result<Vec<Row>> {
        let row = format!("({})", vec!["?"; COLUMNS].join(", "));
        let at_a_time = MAX_BINDINGS.saturating_sub(before.len()).checked_div(COLUMNS).unwrap_or(1).max(1);
        let mut found = Vec::new();
        for chunk in items.chunks(at_a_time) {
            let rows = vec![row.as_str(); chunk.len()].join(", ");
            let bindings: Vec<Value> = before.iter().cloned().chain(chunk.iter().flat_map(&bind)).collect();
            found.extend(self.query(&statement.replace("{rows}", &rows), &bindings)?);
        }
        Ok(found)
    }
}

fn database(error: SqlError) -> StoreError {
    StoreError::Database(Box::new(error))
}

/// JavaScript carries no whole number beyond 2^53. A time out there is nonsense from outside; kept at the edge
/// it stays readable.
fn time(at: i64) -> Value {
    const EXACT: i64 = 1 << 53;
    Value::Integer(at.clamp(-EXACT, EXACT))
}

/// Records whose shape belongs to the library are kept as its own JSON, so that they survive fields it adds.
fn encode<T: Serialize>(what: &'static str, record: &T) -> Result<Vec<u8>> {
    serde_json::to_vec(record)
        .map_err(|_| StoreError::Serialization(format!("{what} can't be written as JSON").into()))
}

/// The place only: serde's own message quotes what it read.
fn decode<T: DeserializeOwned>(what: &'static str, record: &[u8]) -> Result<T> {
    serde_json::from_slice(record).map_err(|error| {
        let message = format!("stored {what} is unreadable at byte {}", error.column());
        StoreError::Serialization(message.into())
    })
}
