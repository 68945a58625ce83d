//! A native database that writes down what it was asked and what it answered: tests/interop runs the same
//! statements in workerd and wants the same answers there (keystore-in-workerd.test.ts). It does so only when
//! `KEYSTORE_TRACE_DIR` names a folder.
//!
//! A trace is a file of JSON lines, one for each statement: `statement`, `bindings`, and either `rows` or `error`.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::sync::Mutex;

use gateway_sql::native::NativeSql;
use gateway_sql::{Row, Sql, SqlError, Value};
use serde_json::json;

pub struct Recorded {
    sqlite: NativeSql,
    trace: Option<Mutex<BufWriter<File>>>,
}

impl Recorded {
    /// A new database in memory. Its trace has its name, which no other database may have.
    pub fn in_memory(name: &str) -> Self {
        let trace = std::env::var_os("KEYSTORE_TRACE_DIR").map(|folder| {
            let file = File::create_new(Path::new(&folder).join(format!("{name}.jsonl"))).unwrap();
            Mutex::new(BufWriter::new(file))
        });
        Self { sqlite: NativeSql::in_memory().unwrap(), trace }
    }

    pub fn unrecorded(sqlite: NativeSql) -> Self {
        Self { sqlite, trace: None }
    }

    /// For what a test itself wants to know, which is not recorded.
    pub fn aside(&self) -> &NativeSql {
        &self.sqlite
    }
}

impl Sql for Recorded {
    fn query(&self, statement: &str, bindings: &[Value]) -> Result<Vec<Row>, SqlError> {
        let answer = self.sqlite.query(statement, bindings);
        if let Some(trace) = &self.trace {
            let bindings = written_all(bindings);
            let line = match &answer {
                Ok(rows) => {
                    let rows: Vec<_> = rows.iter().map(|row| written_all(&row.0)).collect();
                    json!({ "statement": statement, "bindings": bindings, "rows": rows })
                }
                Err(error) => json!({ "statement": statement, "bindings": bindings, "error": error.0 }),
            };
            writeln!(trace.lock().unwrap(), "{line}").unwrap();
        }
        answer
    }
    fn atomically<T>(&self, work: impl FnOnce() -> Result<T, SqlError>) -> Result<T, SqlError> {
        work()
    }
}

impl Drop for Recorded {
    /// A buffer that is dropped keeps it to itself when it can't be written.
    fn drop(&mut self) {
        if let Some(trace) = &self.trace
            && !std::thread::panicking()
        {
            trace.lock().unwrap().flush().unwrap();
        }
    }
}

fn written_all(values: &[Value]) -> Vec<serde_json::Value> {
    values.iter().map(written).collect()
}

/// A value with its type. A whole number is text, as JavaScript would read another one beyond 2^53.
fn written(value: &Value) -> serde_json::Value {
    match value {
        Value::Null => serde_json::Value::Null,
        Value::Integer(number) => json!({ "integer": number.to_string() }),
        Value::Real(number) => json!({ "real": number }),
        Value::Text(text) => json!({ "text": text }),
        Value::Blob(bytes) => json!({ "blob": hex(bytes) }),
    }
}

fn hex(bytes: &[u8]) -> String {
    let digit = |nibble: u8| char::from(if nibble < 10 { b'0' + nibble } else { b'a' + nibble - 10 });
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}
