//! Time and randomness of the isolate, and the client library's clocks.
//!
//! `Date.now()` in Workers stands still while code runs and moves with I/O: good enough for deadlines, which are
//! measured across awaits.

use gateway_domain::ids;
use whatsapp_rust::wacore::time::{TimeProvider, set_time_provider};

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

/// A new WhatsApp message id: the prefix a web client uses and nine random bytes in upper-case hex.
#[must_use]
pub fn message_id() -> String {
    use std::fmt::Write;
    random::<9>().iter().fold("3EB0".to_owned(), |mut id, byte| {
        let _ = write!(id, "{byte:02X}");
        id
    })
}

struct DateNow;

impl TimeProvider for DateNow {
    fn now_millis(&self) -> i64 {
        i64::try_from(now()).unwrap_or(i64::MAX)
    }
}

/// Gives the client library its clock. Once an isolate; again is harmless.
pub fn install() {
    let _already_installed = set_time_provider(DateNow);
}
