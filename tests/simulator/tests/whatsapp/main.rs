//! The simulator seen by an unmodified whatsapp-rust client, and by a Noise client of our own that checks the
//! certificate chain. One program, because every client it links costs a minute of building.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking; clippy.toml's allowance covers test functions, not what they share"
)]

mod certificate;
mod code_after_reconnect;
mod contacts;
mod control;
mod crowd;
mod delivery;
mod faults;
mod group_messages;
mod groups;
mod http;
mod kinds_received;
mod kinds_sent;
mod leaving;
mod linking;
mod media;
mod media_hosts;
mod once;
mod pairing_code;
mod passkey;
mod raw;
mod reachout;
mod refresh;
mod restart;
mod restart_content;
mod seen;
mod support;
