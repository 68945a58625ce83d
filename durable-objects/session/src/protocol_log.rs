//! Where the client library's log lines go: warnings and errors to the console, and the reason of a failed
//! connection to whoever asks right after it: the library reports that reason nowhere else.

use std::cell::RefCell;

thread_local! {
    static CONNECT_FAILURE: RefCell<Option<String>> = const { RefCell::new(None) };
}

const CONNECT_FAILURES: [&str; 2] = ["Failed to connect: ", "Transient connect failure, will retry: "];

struct ProtocolLog;

impl log::Log for ProtocolLog {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        // libsignal's warnings name peers and ratchet keys.
        if metadata.target().starts_with("wacore_libsignal") {
            return false;
        }
        metadata.level() <= log::Level::Warn || metadata.target() == "whatsapp_rust::client::lifecycle"
    }

    fn log(&self, record: &log::Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let line = record.args().to_string();
        for prefix in CONNECT_FAILURES {
            if let Some(reason) = line.strip_prefix(prefix) {
                let reason = reason.strip_suffix(". Will retry...").unwrap_or(reason).to_owned();
                CONNECT_FAILURE.with(|failure| failure.replace(Some(reason)));
                return;
            }
        }
        if record.level() <= log::Level::Warn {
            worker::console_warn!("{}: {line}", record.target());
        }
    }

    fn flush(&self) {}
}

/// Installs it. Once an isolate; again is harmless.
pub fn install() {
    if log::set_logger(&ProtocolLog).is_ok() {
        log::set_max_level(log::LevelFilter::Debug);
    }
}

/// Why the connection whose `run()` has just returned, in this very poll, could not be made.
pub fn take_connect_failure() -> Option<String> {
    CONNECT_FAILURE.with(RefCell::take)
}
