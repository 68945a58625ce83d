//! What the deployment decides, and the two things code must not reach for by itself: time and randomness.

pub use gateway_session::clock::{now, random};
use worker::Env;

/// A variable, if it is set and not empty.
pub fn variable(env: &Env, name: &str) -> Option<String> {
    env.var(name).ok().map(|value| value.to_string()).filter(|value| !value.is_empty())
}

/// The name of where a session's object lives: `GATEWAY_ID` where configured, else its location hint.
pub fn gateway_id(env: &Env, region: Option<&str>) -> String {
    variable(env, "GATEWAY_ID").unwrap_or_else(|| format!("gw-{}", region.unwrap_or("auto")))
}

/// A number of seconds, as milliseconds; `otherwise` when it is not set or not a number.
pub fn seconds(env: &Env, name: &str, otherwise: u64) -> u64 {
    let configured = variable(env, name).and_then(|text| text.parse::<u64>().ok());
    configured.unwrap_or(otherwise).saturating_mul(1_000)
}
