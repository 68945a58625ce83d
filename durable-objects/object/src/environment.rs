//! The Worker's variables: what the deployment decides.

use js_sys::{JSON, Reflect};
use wasm_bindgen::JsValue;
use worker::Env;

/// A variable, if it is set and not empty. A table, a list or a number of `wrangler.toml` arrives as such, and is read
/// as its JSON.
#[must_use]
pub fn variable(env: &Env, name: &str) -> Option<String> {
    let value = Reflect::get(env, &JsValue::from_str(name)).ok()?;
    let text = match value.as_string() {
        Some(text) => text,
        None if value.is_null() || value.is_undefined() => return None,
        None => JSON::stringify(&value).ok()?.as_string()?,
    };
    Some(text).filter(|text| !text.is_empty())
}
