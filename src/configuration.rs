//! What the deployment decides, and the two things code must not reach for by itself: time and randomness.

use std::cell::RefCell;
use std::collections::HashSet;

use gateway_domain::configuration::{self, KeySetTimes, Read};
use gateway_domain::error::ApiError;
use gateway_domain::outbound_address::Reach;
use gateway_domain::webhook::Vault;
use gateway_domain::whatsapp_version::Version;
pub use gateway_object::clock::{now, random};
pub use gateway_object::environment::variable;
use gateway_object::outbound;
use worker::Env;

thread_local! {
    /// What was said already: a broken variable is read with every request.
    static SAID: RefCell<HashSet<String>> = RefCell::default();
}

/// The name of where a session's object lives: `GATEWAY_ID` where configured, else its location hint.
pub fn gateway_id(env: &Env, region: Option<&str>) -> String {
    variable(env, "GATEWAY_ID").unwrap_or_else(|| format!("gw-{}", region.unwrap_or("auto")))
}

/// A number of seconds, as milliseconds; `otherwise` when it is not set or can't be used.
pub fn seconds(env: &Env, name: &str, otherwise: u64) -> u64 {
    usable(configuration::seconds(name, variable(env, name).as_deref(), otherwise))
}

/// How long a frontend's keys are good for.
pub fn key_set_times(env: &Env) -> KeySetTimes {
    usable(read_key_set_times(env))
}

/// Whether pages of an origin may read answers.
pub fn is_allowed_origin(env: &Env, origin: &[u8]) -> bool {
    let configured = variable(env, "CORS_ORIGINS");
    let origins = usable(configuration::origins(configured.as_deref()));
    origins.iter().any(|allowed| allowed.as_bytes() == origin)
}

/// Where webhooks may be sent.
pub fn webhook_reach(env: &Env) -> Reach {
    usable(outbound::reach(env))
}

/// What webhooks' secrets are sealed with.
///
/// # Errors
/// 503 when no key is configured that can be used.
pub fn webhook_vault(env: &Env) -> Result<Vault, ApiError> {
    let key = read_webhook_vault(env)
        .and_then(|vault| vault.ok_or_else(|| "WEBHOOK_SECRETS_KEY is not configured".to_owned()));
    key.map_err(|wrong| {
        ApiError::unavailable(format!("The gateway can't keep the secrets of webhooks: {wrong}."))
    })
}

/// What is wrong in the variables, of those whose value matters: the first of it.
///
/// # Errors
/// With the variable's name and what is wrong.
pub fn check(env: &Env) -> Result<(), String> {
    let text = |name| variable(env, name);
    let pause = "FAILED_LOGINS_PAUSE_SECONDS";
    configuration::admin_number(text("ADMIN_NUMBER").as_deref())?;
    if text("WHATSAPP_VERSION").is_some_and(|version| Version::parse(&version).is_none()) {
        return Err("WHATSAPP_VERSION is not of the form 2.3000.N".to_owned());
    }
    let said = [
        read_key_set_times(env).1,
        configuration::seconds(pause, text(pause).as_deref(), 1).1,
        configuration::origins(text("CORS_ORIGINS").as_deref()).1,
        read_webhook_vault(env).err(),
        outbound::reach(env).1,
        configuration::failing_days(text("WEBHOOK_FAILING_DAYS").as_deref()).1,
        outbound::resolver(env).1,
    ];
    let counts =
        ["SESSION_LOG_EVENTS", "SESSION_LOG_DAYS", "LEDGER_EVENTS", "LEDGER_DAYS", "NEW_CHATS_PER_DAY"];
    let counts = counts.map(|name| configuration::count(name, text(name).as_deref()));
    said.into_iter().chain(counts).flatten().next().map_or(Ok(()), Err)
}

fn read_key_set_times(env: &Env) -> Read<KeySetTimes> {
    let text = |name| variable(env, name);
    configuration::key_set_times(
        text("JWKS_LIFETIME_SECONDS").as_deref(),
        text("JWKS_COOLDOWN_SECONDS").as_deref(),
        text("JWKS_MAX_STALE_SECONDS").as_deref(),
    )
}

fn read_webhook_vault(env: &Env) -> Result<Option<Vault>, String> {
    Vault::configured(
        variable(env, "WEBHOOK_SECRETS_KEY").as_deref(),
        variable(env, "WEBHOOK_SECRETS_KEY_PREVIOUS").as_deref(),
    )
}

/// What to go on with; what is wrong with what was configured goes to the log, once.
fn usable<T>((value, wrong): Read<T>) -> T {
    if let Some(wrong) = wrong
        && SAID.with_borrow_mut(|said| said.insert(wrong.clone()))
    {
        worker::console_error!("the configuration is broken, going on without: {wrong}");
    }
    value
}
