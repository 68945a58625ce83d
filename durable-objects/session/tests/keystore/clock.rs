//! A clock for each test: the library's is one for the process, and the tests of a process run side by side,
//! each on its own thread.

use std::cell::Cell;
use std::sync::Once;

use whatsapp_rust::wacore::time::{TimeProvider, set_time_provider};

thread_local! {
    static NOW: Cell<i64> = const { Cell::new(1_790_000_000) };
}

struct OfThisThread;

impl TimeProvider for OfThisThread {
    fn now_millis(&self) -> i64 {
        NOW.get() * 1_000 + 999
    }
}

/// To be called before a store is used: the library takes the first clock it sees for good.
pub fn install() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| set_time_provider(OfThisThread).unwrap());
}

pub fn set(seconds: i64) {
    NOW.set(seconds);
}
