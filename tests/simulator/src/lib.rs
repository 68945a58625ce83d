//! A WhatsApp on loopback, faithful enough that clients nobody here wrote can't tell: its Noise handshakes, pairing,
//! queues and receipts, with simulated phones at the other end that hold real Signal sessions, and with faults on
//! demand. Started in process by native tests or as the binary `wa-simulator`.

mod accepted;
mod account;
mod address_book;
mod appstate;
mod certificate;
mod clock;
mod connection;
mod content;
mod control;
mod counters;
mod faults;
mod framing;
mod group_delivery;
mod groups;
mod iq;
mod ledger;
mod link_code;
mod mailbox;
mod media;
mod noise;
mod pairing;
mod passkey;
mod phone;
mod prekeys;
mod reachout;
mod receipts;
mod rng;
mod routing;
mod server;
mod stanza;
mod store;
mod typing;
mod usync;
mod web_page;
mod webauthn;
mod world;

pub use server::{Config, Running, Simulator};
pub use world::RefLifetime;
