//! What the Durable Objects have in common: what each can be asked ([`calls`]), how they reach each other (`peer`) and
//! whom callers name (`outbound`), their clock and their alarm. Objects know each other through this crate only.

pub mod alarm;
pub mod budget;
#[cfg(target_arch = "wasm32")]
pub mod callers;
pub mod calls;
#[cfg(target_arch = "wasm32")]
pub mod clock;
#[cfg(target_arch = "wasm32")]
pub mod environment;
#[cfg(target_arch = "wasm32")]
pub mod outbound;
#[cfg(target_arch = "wasm32")]
pub mod peer;
pub mod reader;
