//! The gateway as its callers see it: HTTP in, a simulated WhatsApp behind it, nothing of its inside.
//!
//! `npm test -- e2e` starts one sandbox that all tests share; each test has its own organization and its own phone
//! numbers, so they run at the same time. Tests that break the servers start a sandbox of their own, two at a time.
//! The runner is libtest-mimic: it lets the tests that mostly wait begin first and more of them run than there
//! are cores, and it shows what a test measured also when it passes.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test that fails panics"
)]

mod harness;

mod answers;
mod api_keys;
mod attempts;
mod audit;
mod bad_files;
mod bad_input;
mod bad_operations;
mod bad_sends;
mod browser;
mod chaos;
mod contract;
mod costs;
mod events;
mod heartbeat;
mod idempotency;
mod isolation;
mod large_files;
mod ledger;
mod lifecycle;
mod linking;
mod media;
mod media_hosts;
mod messages;
mod outbox;
mod outbox_crashes;
mod outbox_limits;
mod pacing;
mod passkey;
mod polls;
mod receipts;
mod recovery;
mod repeated;
mod sends;
mod sends_about;
mod sessions;
mod storm;
mod sweep;
mod timeline;
mod timelock;
mod victim;
mod webhooks;

use std::cell::Cell;
use std::process::ExitCode;
use std::sync::Mutex;
use std::time::Duration;

use libtest_mimic::{Arguments, Trial};
use tokio::time::Instant;

/// Tests wait far more than they work.
const AT_ONCE: usize = 14;

thread_local! {
    static NAME: Cell<&'static str> = const { Cell::new("outside a test") };
}

/// How long each test took, in waiting for its turn too.
static TOOK: Mutex<Vec<(Duration, &str)>> = Mutex::new(Vec::new());

/// What to look at when all of it takes too long.
fn print_slowest() {
    let mut took = TOOK.lock().unwrap();
    took.sort_unstable();
    if took.len() > 50 {
        println!("the slowest, and those that have a sandbox of their own:");
        for (time, name) in took.iter().rev().take(15) {
            println!("  {:>6.1} s  {name}", time.as_secs_f64());
        }
        harness::print_sandboxes();
    }
}

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(AT_ONCE);
    // A test says at once where and why it failed, not only at the end.
    std::panic::set_hook(Box::new(|panic| eprintln!("\n{}: {panic}", NAME.get())));
    let runtime = tokio::runtime::Runtime::new().unwrap();
    // The longest first: five minutes of silence, then those that queue for a sandbox of their own.
    let all = [
        heartbeat::tests(),
        outbox_crashes::tests(),
        media::tests(),
        outbox::tests(),
        pacing::tests(),
        outbox_limits::tests(),
        linking::tests(),
        passkey::tests(),
        polls::tests(),
        repeated::tests(),
        recovery::tests(),
        bad_files::tests(),
        bad_sends::tests(),
        large_files::tests(),
        bad_operations::tests(),
        media_hosts::tests(),
        sends::tests(),
        sends_about::tests(),
        answers::tests(),
        storm::tests(),
        chaos::tests(),
        costs::tests(),
        idempotency::tests(),
        sweep::tests(),
        lifecycle::tests(),
        api_keys::tests(),
        attempts::tests(),
        audit::tests(),
        browser::tests(),
        sessions::tests(),
        messages::tests(),
        receipts::tests(),
        timelock::tests(),
        timeline::tests(),
        events::tests(),
        ledger::tests(),
        webhooks::tests(),
        isolation::tests(),
        bad_input::tests(),
        contract::tests(),
    ];
    let trials = all.into_iter().flatten().map(|test| {
        let runtime = runtime.handle().clone();
        let name = test.name.trim_start_matches("gateway::");
        Trial::test(name, move || {
            NAME.set(name);
            let began = Instant::now();
            runtime.block_on((test.run)());
            TOOK.lock().unwrap().push((began.elapsed(), name));
            Ok(())
        })
    });
    let conclusion = libtest_mimic::run(&arguments, trials.collect());
    harness::matrix::print();
    print_slowest();
    conclusion.exit_code()
}
