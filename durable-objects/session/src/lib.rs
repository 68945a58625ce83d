//! The session object: one WhatsApp number of one organization.
//!
//! It owns the number's socket, its keys, its event log and its messages, in one SQLite database. An object is
//! reachable through its binding only; [`call`] is its whole interface. The path of an inbound message reads:
//! `transport` (frame) → the client library → `connection` (handler) → `news`, by way of [`inbound`] (domain types) →
//! [`journal`] (one write) → `stream` and the pages (readers).
//!
//! What needs no runtime is compiled natively too and tested there; the rest exists on wasm32 only.

pub mod about;
pub mod chats;
pub mod composing;
mod fence;
pub mod forwarding;
pub mod inbound;
pub mod journal;
pub mod keystore;
pub mod library;
pub mod media_address;
pub mod media_verifier;
pub mod messages;
pub mod names;
pub mod outbox;
pub mod polls;
pub mod schema;
pub mod showing;
pub mod stretches;
pub mod telling;
pub mod thumbnail;
pub mod turn;

pub use gateway_object::calls::session as call;

pub use fence::{Fence, FencedSql};

#[cfg(target_arch = "wasm32")]
mod address_book;
#[cfg(target_arch = "wasm32")]
mod alarm;
#[cfg(target_arch = "wasm32")]
mod backfill;
#[cfg(target_arch = "wasm32")]
pub mod clock;
#[cfg(target_arch = "wasm32")]
mod connection;
#[cfg(target_arch = "wasm32")]
mod erasing;
#[cfg(target_arch = "wasm32")]
mod fetching;
#[cfg(target_arch = "wasm32")]
mod forward;
#[cfg(target_arch = "wasm32")]
mod guard;
#[cfg(target_arch = "wasm32")]
mod http_client;
#[cfg(target_arch = "wasm32")]
mod linking;
#[cfg(target_arch = "wasm32")]
mod media;
#[cfg(target_arch = "wasm32")]
mod media_body;
#[cfg(target_arch = "wasm32")]
mod media_host;
#[cfg(target_arch = "wasm32")]
mod media_upload;
#[cfg(target_arch = "wasm32")]
mod news;
#[cfg(target_arch = "wasm32")]
mod object;
#[cfg(target_arch = "wasm32")]
mod projection;
#[cfg(target_arch = "wasm32")]
mod protocol_log;
#[cfg(target_arch = "wasm32")]
mod reach;
#[cfg(target_arch = "wasm32")]
mod read_receipt;
#[cfg(target_arch = "wasm32")]
mod reading;
#[cfg(target_arch = "wasm32")]
mod reading_chats;
#[cfg(target_arch = "wasm32")]
mod room;
#[cfg(target_arch = "wasm32")]
mod runtime;
#[cfg(target_arch = "wasm32")]
mod sending;
#[cfg(target_arch = "wasm32")]
mod settling;
#[cfg(target_arch = "wasm32")]
mod transmitting;
#[cfg(target_arch = "wasm32")]
mod transport;
#[cfg(target_arch = "wasm32")]
mod uploading;
#[cfg(all(target_arch = "wasm32", feature = "simulator"))]
mod vanish;
#[cfg(target_arch = "wasm32")]
pub mod whatsapp_version;

#[cfg(target_arch = "wasm32")]
pub use guard::install as install_panic_guard;
#[cfg(target_arch = "wasm32")]
pub use object::Session;
