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
mod control;
mod delivery;
mod faults;
mod leaving;
mod linking;
mod support;
