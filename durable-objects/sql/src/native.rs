//! [`Sql`] over a native SQLite in memory or in a file: what the tests of an object's statements run on.

use std::sync::{Mutex, PoisonError};

use rusqlite::types::{Value as SqliteValue, ValueRef};

use crate::{Row, Sql, SqlError, Value};

/// A native SQLite database.
pub struct NativeSql(Mutex<rusqlite::Connection>);

impl NativeSql {
    /// A new, empty database in memory.
    ///
    /// # Errors
    /// When SQLite can't make one.
    pub fn in_memory() -> Result<Self, SqlError> {
        rusqlite::Connection::open_in_memory().map(Self::new).map_err(failed)
    }

    /// The database in a file, made when missing.
    ///
    /// # Errors
    /// When the file can't be opened.
    pub fn open(path: &std::path::Path) -> Result<Self, SqlError> {
        rusqlite::Connection::open(path).map(Self::new).map_err(failed)
    }

    fn new(connection: rusqlite::Connection) -> Self {
        Self(Mutex::new(connection))
    }
}

impl Sql for NativeSql {
    fn query(&self, statement: &str, bindings: &[Value]) -> Result<Vec<Row>, SqlError> {
        let connection = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut prepared = connection.prepare_cached(statement).map_err(failed)?;
        let columns = prepared.column_count();
        let bound = bindings.iter().map(to_sqlite);
        let mut found = prepared.query(rusqlite::params_from_iter(bound)).map_err(failed)?;
        let mut rows = Vec::new();
        while let Some(row) = found.next().map_err(failed)? {
            let values = (0..columns)
                .map(|column| row.get_ref(column).map(from_sqlite))
                .collect::<Result<Vec<_>, _>>()
                .map_err(failed)?;
            rows.push(Row(values));
        }
        Ok(rows)
    }

    fn atomically<T>(&self, work: impl FnOnce() -> Result<T, SqlError>) -> Result<T, SqlError> {
        self.query("SAVEPOINT work", &[])?;
        let outcome = work();
        if outcome.is_err() {
            self.query("ROLLBACK TO work", &[])?;
        }
        self.query("RELEASE work", &[])?;
        outcome
    }
}

#[allow(clippy::needless_pass_by_value, reason = "passed by name to map_err")]
fn failed(error: rusqlite::Error) -> SqlError {
    SqlError(error.to_string())
}

fn to_sqlite(value: &Value) -> SqliteValue {
    match value {
        Value::Null => SqliteValue::Null,
        Value::Integer(number) => SqliteValue::Integer(*number),
        Value::Real(number) => SqliteValue::Real(*number),
        Value::Text(text) => SqliteValue::Text(text.clone()),
        Value::Blob(bytes) => SqliteValue::Blob(bytes.clone()),
    }
}

fn from_sqlite(value: ValueRef<'_>) -> Value {
    match value {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(number) => Value::Integer(number),
        ValueRef::Real(number) => Value::Real(number),
        ValueRef::Text(text) => Value::Text(String::from_utf8_lossy(text).into_owned()),
        ValueRef::Blob(bytes) => Value::Blob(bytes.to_vec()),
    }
}
