//! The webhook object, the postman: one webhook of one organization.
//!
//! It is a cursor on the organization's ledger (docs/decisions/webhooks.md): what is new there is taken into a queue of
//! deliveries, and each is sent until the receiver has it or it is dead. The path of an event reads: `pulling` (a page of
//! the ledger) → [`queue`] (one write with the cursor) → `postman` (which lane goes) → `sending` (one request) →
//! [`record`] (what follows from the answer) → [`queue`].
//!
//! What needs no runtime is compiled natively too and tested there; the rest exists on wasm32 only.

pub mod queue;
pub mod record;
mod schema;

#[cfg(target_arch = "wasm32")]
mod directory;
#[cfg(target_arch = "wasm32")]
mod disabling;
#[cfg(target_arch = "wasm32")]
mod object;
#[cfg(target_arch = "wasm32")]
mod postman;
#[cfg(target_arch = "wasm32")]
mod pulling;
#[cfg(target_arch = "wasm32")]
mod sending;
#[cfg(target_arch = "wasm32")]
mod settings;

#[cfg(target_arch = "wasm32")]
pub use object::Webhook;
