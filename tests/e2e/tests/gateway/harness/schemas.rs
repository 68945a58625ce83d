//! The contract's schemas, to hold live answers against.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::gateway::environment;

/// See the module.
pub struct Schemas(Value);

impl Schemas {
    /// Where the contract lies, if it lies beside the repository.
    pub fn folder() -> Option<PathBuf> {
        let folder = Path::new(&environment("REPO_ROOT")).join("../shared/contract");
        folder.join("operations.json").exists().then_some(folder)
    }

    pub fn read() -> Option<Self> {
        let text = std::fs::read_to_string(Self::folder()?.join("schemas.json")).unwrap();
        let mut document: Value = serde_json::from_str(&text).unwrap();
        Some(Self(document["schemas"].take()))
    }

    /// What is wrong with a value of this schema; empty when nothing is.
    pub fn faults(&self, schema: &str, value: &Value) -> Vec<String> {
        let mut faults = Vec::new();
        self.object(schema, value, schema, &mut faults);
        faults
    }

    fn object(&self, schema: &str, value: &Value, at: &str, faults: &mut Vec<String>) {
        let Some(fields) = self.0[schema].as_object() else {
            faults.push(format!("{at}: there is no schema {schema}"));
            return;
        };
        let Some(given) = value.as_object() else {
            faults.push(format!("{at}: no object: {value}"));
            return;
        };
        for (name, field) in fields {
            let at = format!("{at}.{name}");
            let required = field["required"] == true;
            match given.get(name) {
                None if required => faults.push(format!("{at}: missing")),
                Some(Value::Null) if required && field["nullable"] != true => {
                    faults.push(format!("{at}: null"));
                }
                None | Some(Value::Null) => {}
                Some(value) => self.field(field, value, &at, faults),
            }
        }
    }

    fn field(&self, field: &Value, value: &Value, at: &str, faults: &mut Vec<String>) {
        if let Some(schema) = field["ref"].as_str() {
            return self.object(schema, value, at, faults);
        }
        let fits = match field["type"].as_str().unwrap_or_default() {
            "string" => value.is_string(),
            "integer" => value.is_i64() || value.is_u64(),
            "number" => value.is_number(),
            "boolean" => value.is_boolean(),
            "array" => value.is_array(),
            _ => value.is_object(),
        };
        if !fits {
            faults.push(format!("{at}: {value} is no {}", field["type"]));
        }
        if field["enum"].as_array().is_some_and(|names| !names.contains(value)) {
            faults.push(format!("{at}: {value} is none of {}", field["enum"]));
        }
        if let (Some(items), false) = (value.as_array(), field["items"].is_null()) {
            for (index, item) in items.iter().enumerate() {
                self.field(&field["items"], item, &format!("{at}[{index}]"), faults);
            }
        }
    }
}
