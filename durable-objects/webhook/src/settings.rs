//! What the deployment decides about deliveries. What can't be used is named by `GET /readyz`; here the default holds.

use gateway_domain::configuration;
use gateway_domain::webhook::Vault;
use gateway_object::environment::variable;
use worker::Env;

/// See the module.
pub struct Settings {
    /// The keys that open secrets; `None` where none are configured that can be used.
    pub vault: Option<Vault>,
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
        Self {
            vault: vault.ok().flatten(),
            failing_ms: configuration::failing_days(text("WEBHOOK_FAILING_DAYS").as_deref()).0,
        }
    }
}
