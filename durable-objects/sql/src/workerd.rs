//! [`Sql`] over a Durable Object's SQLite.
//!
//! The bindings are our own because `worker` 0.8.7 reads rows through imports that don't catch: an exception
//! there resets the wasm instance of the whole isolate (docs/decisions, rule 5). Here every call catches.

use js_sys::{Array, ArrayBuffer, Uint8Array};
use wasm_bindgen::prelude::*;

use crate::{Row, Sql, SqlError, Value};

#[wasm_bindgen]
extern "C" {
    type Storage;
    #[wasm_bindgen(method, catch, variadic)]
    fn exec(this: &Storage, statement: &str, bindings: Array) -> Result<Cursor, JsValue>;

    type ObjectStorage;
    #[wasm_bindgen(method, catch, js_name = transactionSync)]
    fn transaction_sync(
        this: &ObjectStorage,
        work: &mut dyn FnMut() -> Result<JsValue, JsValue>,
    ) -> Result<JsValue, JsValue>;

    type Cursor;
    #[wasm_bindgen(method, catch)]
    fn raw(this: &Cursor) -> Result<RawRows, JsValue>;
    #[cfg(feature = "simulator")]
    #[wasm_bindgen(method, catch, getter, js_name = rowsRead)]
    fn rows_read(this: &Cursor) -> Result<f64, JsValue>;
    #[cfg(feature = "simulator")]
    #[wasm_bindgen(method, catch, getter, js_name = rowsWritten)]
    fn rows_written(this: &Cursor) -> Result<f64, JsValue>;

    type RawRows;
    #[wasm_bindgen(method, catch, js_name = toArray)]
    fn to_array(this: &RawRows) -> Result<Array, JsValue>;
}

/// The database of the object whose storage it was made from.
#[derive(Clone)]
pub struct WorkerdSql {
    sql: worker::SqlStorage,
    object: JsValue,
}

impl WorkerdSql {
    /// Wraps `state.storage()`.
    #[must_use]
    pub fn new(storage: &worker::Storage) -> Self {
        Self { sql: storage.sql(), object: AsRef::<JsValue>::as_ref(storage.as_raw()).clone() }
    }
}

impl Sql for WorkerdSql {
    fn query(&self, statement: &str, bindings: &[Value]) -> Result<Vec<Row>, SqlError> {
        let bound: Array = bindings.iter().map(to_js).collect();
        let storage: &Storage = self.sql.as_ref().unchecked_ref();
        let failed = |error: JsValue| failed(&error);
        let cursor = storage.exec(statement, bound).map_err(failed)?;
        let rows = cursor.raw().map_err(failed)?.to_array().map_err(failed)?;
        #[cfg(feature = "simulator")]
        count(&cursor);
        rows.iter()
            .map(|row| {
                Array::from(&row).iter().map(|value| from_js(&value)).collect::<Result<_, _>>().map(Row)
            })
            .collect()
    }

    fn atomically<T>(&self, work: impl FnOnce() -> Result<T, SqlError>) -> Result<T, SqlError> {
        let (mut work, mut outcome) = (Some(work), None);
        let storage: &ObjectStorage = self.object.unchecked_ref();
        let committed = storage.transaction_sync(&mut || {
            let done = work.take().map(|work| work());
            let failed = matches!(done, Some(Err(_)));
            outcome = done;
            // Thrown, it takes everything back.
            if failed { Err(JsValue::from_str("taken back")) } else { Ok(JsValue::UNDEFINED) }
        });
        match (outcome, committed) {
            (Some(Ok(_)) | None, Err(error)) => Err(failed(&error)),
            (Some(outcome), _) => outcome,
            (None, Ok(_)) => Err(SqlError("a transaction did not run".to_owned())),
        }
    }
}

#[cfg(feature = "simulator")]
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a number of rows")]
fn count(cursor: &Cursor) {
    let number = |number: Result<f64, JsValue>| number.map_or(0, |number| number as u64);
    crate::costs::statement(number(cursor.rows_read()), number(cursor.rows_written()));
}

fn failed(error: &JsValue) -> SqlError {
    let message = error
        .dyn_ref::<js_sys::Error>()
        .map_or_else(|| format!("{error:?}"), |error| String::from(error.message()));
    SqlError(message)
}

#[allow(clippy::cast_precision_loss, reason = "JavaScript has no other number; documented on Value::Integer")]
fn to_js(value: &Value) -> JsValue {
    match value {
        Value::Null => JsValue::NULL,
        Value::Integer(number) => JsValue::from_f64(*number as f64),
        Value::Real(number) => JsValue::from_f64(*number),
        Value::Text(text) => JsValue::from_str(text),
        Value::Blob(bytes) => Uint8Array::from(bytes.as_slice()).into(),
    }
}

#[allow(clippy::cast_possible_truncation, reason = "checked: whole, and inside 2^53")]
fn from_js(value: &JsValue) -> Result<Value, SqlError> {
    if value.is_null() || value.is_undefined() {
        Ok(Value::Null)
    } else if let Some(text) = value.as_string() {
        Ok(Value::Text(text))
    } else if let Some(number) = value.as_f64() {
        let whole = number.fract() == 0.0 && number.abs() <= 9_007_199_254_740_992.0;
        Ok(if whole { Value::Integer(number as i64) } else { Value::Real(number) })
    } else if let Some(buffer) = value.dyn_ref::<ArrayBuffer>() {
        Ok(Value::Blob(Uint8Array::new(buffer).to_vec()))
    } else if let Some(bytes) = value.dyn_ref::<Uint8Array>() {
        Ok(Value::Blob(bytes.to_vec()))
    } else {
        Err(SqlError("a column of a kind SQLite does not have".to_owned()))
    }
}
