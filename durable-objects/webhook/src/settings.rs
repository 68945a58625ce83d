//! What the deployment decides about deliveries. What can't be used is named by `GET /readyz`; here the default holds.

use gateway_domain::configuration;
use gateway_domain::outbound_address::Reach;
use gateway_domain::webhook::Vault;
use js_sys::{JSON, Reflect};
use wasm_bindgen::JsValue;
use worker::Env;

/// See the module.
pub struct Settings {
    /// The keys that open secrets; `None` where none are configured that can be used.
    pub vault: Option<Vault>,
    /// Where deliveries may go.
    pub reach: Reach,
    /// Whom to ask for the addresses of a host.
    pub resolver: String,
    /// How long a webhook may fail, in milliseconds.
    pub failing_ms: u64,
}

impl Settings {
    /// Reads them.
    pub fn of(env: &Env) -> Self {
        let text = |name| variable(env, name);
        let vault = Vault::configured(
            text("WEBHOOK_SECRETS_KEY").as_deref(),
            text("WEBHOOK_SECRETS_KEY_PREVIOUS").as_deref(),
        );
        let allowed = text("ALLOW_PRIVATE_WEBHOOKS");
        Self {
            vault: vault.ok().flatten(),
            reach: configuration::private_webhooks(allowed.as_deref(), cfg!(feature = "simulator")).0,
            resolver: configuration::resolver(text("DNS_OVER_HTTPS_URL").as_deref()).0.to_owned(),
            failing_ms: configuration::failing_days(text("WEBHOOK_FAILING_DAYS").as_deref()).0,
        }
    }
}

/// A variable, if it is set and not empty; one that is no text is read as its JSON.
fn variable(env: &Env, name: &str) -> Option<String> {
    let value = Reflect::get(env, &JsValue::from_str(name)).ok()?;
    let text = match value.as_string() {
        Some(text) => text,
        None if value.is_null() || value.is_undefined() => return None,
        None => JSON::stringify(&value).ok()?.as_string()?,
    };
    Some(text).filter(|text| !text.is_empty())
}
