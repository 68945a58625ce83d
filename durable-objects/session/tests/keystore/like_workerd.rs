//! SQLite with the manners of a Durable Object: its limits, its refusals, and every number a double. So a
//! statement that would only fail in production fails here.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use gateway_sql::native::NativeSql;
use gateway_sql::{Row, Sql, SqlError, Value};

use crate::recorded::Recorded;

/// Clones share the database.
#[derive(Clone)]
pub struct LikeWorkerd(Arc<Shared>);

struct Shared {
    sqlite: Recorded,
    journal: Mutex<Vec<(String, Vec<Value>)>>,
    budget: AtomicUsize,
}

impl LikeWorkerd {
    pub fn new() -> Self {
        Self::over(NativeSql::in_memory().unwrap())
    }

    pub fn over(sqlite: NativeSql) -> Self {
        Self::with(Recorded::unrecorded(sqlite))
    }

    /// One that the comparison with workerd gets to see.
    pub fn recorded(name: &str) -> Self {
        Self::with(Recorded::in_memory(name))
    }

    fn with(sqlite: Recorded) -> Self {
        Self(Arc::new(Shared { sqlite, journal: Mutex::default(), budget: AtomicUsize::new(usize::MAX) }))
    }

    /// The statements that were run since this was last asked, with their bindings.
    pub fn journal(&self) -> Vec<(String, Vec<Value>)> {
        std::mem::take(&mut self.0.journal.lock().unwrap())
    }

    /// How many these were.
    pub fn statements(&self) -> usize {
        self.journal().len()
    }

    /// Refuses everything after so many more statements.
    pub fn fail_after(&self, statements: usize) {
        self.0.budget.store(statements, Ordering::Relaxed);
    }

    /// What is in the database of this kind: (name, definition).
    pub fn schema(&self, kind: &str) -> Vec<(String, String)> {
        let statement =
            "SELECT name, sql FROM sqlite_master WHERE type = ? AND sql IS NOT NULL ORDER BY name";
        let rows = self.0.sqlite.aside().query(statement, &[kind.into()]).unwrap();
        rows.iter().map(|row| (row.text(0).unwrap(), row.text(1).unwrap())).collect()
    }

    /// How many rows each table of keys has.
    pub fn rows(&self) -> Vec<(String, i64)> {
        let tables = self.schema("table").into_iter().filter(|(name, _)| name != "keystore_schema");
        tables.map(|(name, _)| (name.clone(), self.number(&format!("SELECT count(*) FROM {name}")))).collect()
    }

    pub fn number(&self, statement: &str) -> i64 {
        self.0.sqlite.aside().query(statement, &[]).unwrap()[0].integer(0).unwrap()
    }
}

impl Sql for LikeWorkerd {
    fn query(&self, statement: &str, bindings: &[Value]) -> Result<Vec<Row>, SqlError> {
        self.0.journal.lock().unwrap().push((statement.to_owned(), bindings.to_vec()));
        let left = self.0.budget.load(Ordering::Relaxed);
        let Some(left) = left.checked_sub(1) else { return Err(SqlError("out of budget".to_owned())) };
        self.0.budget.store(left, Ordering::Relaxed);

        let first_word = statement.split_whitespace().next().unwrap_or_default().to_uppercase();
        if ["BEGIN", "COMMIT", "SAVEPOINT", "RELEASE", "ROLLBACK", "PRAGMA", "VACUUM"]
            .contains(&first_word.as_str())
        {
            return Err(SqlError(format!("{first_word} is refused")));
        }
        if bindings.len() > 100 || statement.len() > 100_000 {
            return Err(SqlError("over the limits of a statement".to_owned()));
        }
        let bindings = bindings.iter().map(carried).collect::<Result<Vec<_>, _>>()?;
        let rows = self.0.sqlite.query(statement, &bindings)?;
        rows.iter().map(|row| row.0.iter().map(carried).collect::<Result<_, _>>().map(Row)).collect()
    }
    fn atomically<T>(&self, work: impl FnOnce() -> Result<T, SqlError>) -> Result<T, SqlError> {
        work()
    }
}

/// A value on its way through JavaScript.
fn carried(value: &Value) -> Result<Value, SqlError> {
    match value {
        #[allow(clippy::cast_precision_loss, reason = "that is the point")]
        Value::Integer(number) => Ok(Value::Real(*number as f64)),
        Value::Text(text) if text.len() > 2_000_000 => Err(SqlError("too large".to_owned())),
        Value::Blob(bytes) if bytes.len() > 2_000_000 => Err(SqlError("too large".to_owned())),
        other => Ok(other.clone()),
    }
}
