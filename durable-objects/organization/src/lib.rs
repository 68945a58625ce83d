//! The organization object, the ledger: one ordered log of the events of all its sessions, for those who read across
//! sessions: pages, streams, webhooks (docs/decisions/ledger.md).
//!
//! The sessions' own logs are the truth. A session hands its events over in order and goes on from its own cursor when
//! that fails; here they get a place in one order. While nobody listens nothing is taken.

pub mod ledger;
#[cfg(target_arch = "wasm32")]
mod object;
#[cfg(target_arch = "wasm32")]
mod reading;
#[cfg(target_arch = "wasm32")]
mod room;
mod schema;

#[cfg(target_arch = "wasm32")]
pub use object::Organization;
