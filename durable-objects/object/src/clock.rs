//! Time and randomness of the isolate.
//!
//! `Date.now()` in Workers stands still while code runs and moves with I/O: good enough for deadlines, which are
//! measured across awaits.

use gateway_domain::ids;

/// Epoch milliseconds.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a date of this age, positive and whole"
)]
#[must_use]
pub fn now() -> u64 {
    js_sys::Date::now() as u64
}

/// Bytes from the runtime's generator; zeros if it has none, which Workers never reports inside a request.
#[must_use]
pub fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    if getrandom::fill(&mut bytes).is_err() {
        worker::console_error!("no randomness");
    }
    bytes
}

/// A number from 0 to 1.
#[must_use]
pub fn jitter() -> f64 {
    f64::from(u32::from_be_bytes(random())) / f64::from(u32::MAX)
}

/// A new event id.
#[must_use]
pub fn event_id() -> String {
    format!("evt_{}", ids::mint(now(), random()))
}
