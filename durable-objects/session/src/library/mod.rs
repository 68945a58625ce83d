//! The library: what the number knows of people and groups, and the job that pulls it all again.
//!
//! Rows go in by the hundred: a statement takes its rows as one JSON array, since it may bind no more than 100
//! values (Cloudflare, "Limits"). As in the journal, what a method writes is one synchronous run.

pub mod contacts;
pub mod groups;
mod jobs;

use gateway_sql::{Sql, SqlError, Value, unsigned, whole};
use serde::Serialize;

pub use jobs::Started;

/// The library over the object's database, whose tables the journal has made.
#[derive(Clone)]
pub struct Library<S>(S);

impl<S: Sql> Library<S> {
    /// The library in this database.
    pub fn new(sql: S) -> Self {
        Self(sql)
    }
}

/// Rows as one value to bind.
fn rows<T: Serialize>(rows: &[T]) -> Result<Value, SqlError> {
    serde_json::to_string(rows).map(Value::Text).map_err(|error| SqlError(error.to_string()))
}

#[cfg(test)]
fn in_memory() -> Library<gateway_sql::native::NativeSql> {
    let sql = gateway_sql::native::NativeSql::in_memory().unwrap();
    crate::schema::migrate(&sql).unwrap();
    Library::new(sql)
}
