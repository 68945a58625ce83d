//! The isolate's clock and randomness, with what only a number needs: message ids, and the client library's clock.

pub use gateway_object::clock::{event_id, jitter, now, random};
use whatsapp_rust::wacore::time::{TimeProvider, set_time_provider};

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
