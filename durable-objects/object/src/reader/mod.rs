//! Live readers of a log, whichever log it is. A reader is a cursor: events are read from the log when it is ready for
//! more, never kept for it.

mod log;
#[cfg(target_arch = "wasm32")]
mod sockets;
#[cfg(target_arch = "wasm32")]
mod stream;

pub use log::{Batch, Bounds, Log, Opening, opening};
#[cfg(target_arch = "wasm32")]
pub use sockets::Sockets;
#[cfg(target_arch = "wasm32")]
pub use stream::stream;
