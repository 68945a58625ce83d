//! A WhatsApp on loopback, faithful enough that clients nobody here wrote can't tell: its Noise handshakes, pairing,
//! queues and receipts, with simulated phones at the other end that hold real Signal sessions, and with faults on
//! demand. Started in process by native tests or as the binary `wa-simulator`.

mod account;
mod appstate;
mod certificate;
mod clock;
mod connection;
mod control;
mod counters;
mod faults;
mod framing;
mod iq;
mod mailbox;
mod noise;
mod pairing;
mod phone;
mod prekeys;
mod receipts;
mod rng;
mod routing;
mod server;
mod stanza;
mod usync;
mod world;

pub use server::{Config, Running, Simulator};
pub use world::RefLifetime;
