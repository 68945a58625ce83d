//! One small trait over an object's SQLite.
//!
//! Every statement of an object goes through [`Sql`], so that the very same text runs in workerd (`workerd.rs`)
//! and in native tests (`native.rs`). A call is synchronous: what is written between two
//! awaits is one atomic, durable write of the object (Cloudflare, "SQLite storage API").

use std::fmt;

#[cfg(all(target_arch = "wasm32", feature = "simulator"))]
pub mod costs;
#[cfg(all(feature = "native", not(target_arch = "wasm32")))]
pub mod native;
#[cfg(target_arch = "wasm32")]
pub mod workerd;

/// A value bound to a statement, or read from a column.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// SQL NULL.
    Null,
    /// A whole number. JavaScript carries it as a double: exact up to 2^53.
    Integer(i64),
    /// A double.
    Real(f64),
    /// UTF-8 text.
    Text(String),
    /// Bytes.
    Blob(Vec<u8>),
}

/// A statement that failed, or a column that was not what the code expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SqlError(pub String);

impl fmt::Display for SqlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for SqlError {}

/// An object's database.
pub trait Sql {
    /// Runs one statement with its bindings (`?1`, `?2`, …) and returns all its rows.
    ///
    /// # Errors
    /// When SQLite refuses the statement.
    fn query(&self, statement: &str, bindings: &[Value]) -> Result<Vec<Row>, SqlError>;

    /// Does all of it or nothing: when the work fails, what it has written is taken back. What is written between two
    /// awaits is one write for a crash, but not for a statement that SQLite refuses.
    ///
    /// # Errors
    /// As the work does, or when the database fails.
    fn atomically<T>(&self, work: impl FnOnce() -> Result<T, SqlError>) -> Result<T, SqlError>
    where
        Self: Sized;

    /// Runs one statement for its effect and returns how many rows it changed.
    ///
    /// # Errors
    /// When SQLite refuses the statement.
    fn execute(&self, statement: &str, bindings: &[Value]) -> Result<u64, SqlError> {
        self.query(statement, bindings)?;
        let rows = self.query("SELECT changes()", &[])?;
        match rows.first() {
            Some(row) => row.integer(0).map(|count| u64::try_from(count).unwrap_or(0)),
            None => Ok(0),
        }
    }
}

impl<S: Sql> Sql for &S {
    fn query(&self, statement: &str, bindings: &[Value]) -> Result<Vec<Row>, SqlError> {
        (**self).query(statement, bindings)
    }

    fn atomically<T>(&self, work: impl FnOnce() -> Result<T, SqlError>) -> Result<T, SqlError> {
        (**self).atomically(work)
    }
}

/// One row of an answer, read by column position.
#[derive(Clone, Debug, PartialEq)]
pub struct Row(pub Vec<Value>);

impl Row {
    fn value(&self, column: usize) -> &Value {
        self.0.get(column).unwrap_or(&Value::Null)
    }

    /// The column as text.
    ///
    /// # Errors
    /// When it holds something else.
    pub fn text(&self, column: usize) -> Result<String, SqlError> {
        match self.value(column) {
            Value::Text(text) => Ok(text.clone()),
            other => Err(mismatch(column, "text", other)),
        }
    }

    /// The column as a whole number; a double without a fraction counts, JavaScript knows no other kind.
    ///
    /// # Errors
    /// When it holds something else.
    pub fn integer(&self, column: usize) -> Result<i64, SqlError> {
        match self.value(column) {
            Value::Integer(number) => Ok(*number),
            #[allow(clippy::cast_possible_truncation, reason = "checked: whole, and inside 2^53")]
            Value::Real(number) if number.fract() == 0.0 && number.abs() <= 9_007_199_254_740_992.0 => {
                Ok(*number as i64)
            }
            other => Err(mismatch(column, "integer", other)),
        }
    }

    /// The column as bytes.
    ///
    /// # Errors
    /// When it holds something else.
    pub fn blob(&self, column: usize) -> Result<Vec<u8>, SqlError> {
        match self.value(column) {
            Value::Blob(bytes) => Ok(bytes.clone()),
            other => Err(mismatch(column, "blob", other)),
        }
    }

    /// The column as text, or `None` for NULL.
    ///
    /// # Errors
    /// When it holds something else.
    pub fn optional_text(&self, column: usize) -> Result<Option<String>, SqlError> {
        if *self.value(column) == Value::Null { Ok(None) } else { self.text(column).map(Some) }
    }

    /// The column as a whole number, or `None` for NULL.
    ///
    /// # Errors
    /// When it holds something else.
    pub fn optional_integer(&self, column: usize) -> Result<Option<i64>, SqlError> {
        if *self.value(column) == Value::Null { Ok(None) } else { self.integer(column).map(Some) }
    }
}

/// The largest whole number that JavaScript carries exactly; a binding beyond it would be another one.
const MAX_EXACT: u64 = 9_007_199_254_740_991;

/// A count or a time, for a binding.
#[must_use]
pub fn whole(number: u64) -> Value {
    Value::Integer(i64::try_from(number.min(MAX_EXACT)).unwrap_or(i64::MAX))
}

/// A count or a time that a column holds.
#[must_use]
pub fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

fn mismatch(column: usize, wanted: &str, found: &Value) -> SqlError {
    let found = match found {
        Value::Null => "null",
        Value::Integer(_) => "integer",
        Value::Real(_) => "real",
        Value::Text(_) => "text",
        Value::Blob(_) => "blob",
    };
    SqlError(format!("column {column}: expected {wanted}, found {found}"))
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<&String> for Value {
    fn from(text: &String) -> Self {
        Self::Text(text.clone())
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Integer(number)
    }
}

impl From<u32> for Value {
    fn from(number: u32) -> Self {
        Self::Integer(i64::from(number))
    }
}

impl From<bool> for Value {
    fn from(flag: bool) -> Self {
        Self::Integer(i64::from(flag))
    }
}

impl From<Vec<u8>> for Value {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Blob(bytes)
    }
}

impl From<&[u8]> for Value {
    fn from(bytes: &[u8]) -> Self {
        Self::Blob(bytes.to_vec())
    }
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}
