//! What the gateway knows without a runtime: ids, JIDs, the session's lifecycle, events, requests, errors.
//!
//! Pure Rust, no Workers types, no clock and no randomness of its own: both come in as arguments (rule 7), so
//! everything here is tested natively.

pub mod access;
pub mod api_key;
pub mod audit;
pub mod backfill;
pub mod chat;
pub mod checksum;
pub mod configuration;
pub mod credential;
pub mod deadlines;
pub mod error;
pub mod event;
pub mod fetching;
pub mod idempotency;
pub mod ids;
pub mod jid;
pub mod jwt;
pub mod key_set;
pub mod lifecycle;
pub mod linking;
pub mod message;
pub mod metrics;
pub mod outbound_address;
pub mod pacing;
pub mod page;
pub mod position;
pub mod session;
pub mod shared_secret;
pub mod stored_message;
pub mod stream;
pub mod strict_json;
pub mod ticket;
pub mod timeline;
pub mod webhook;
pub mod whatsapp_version;
