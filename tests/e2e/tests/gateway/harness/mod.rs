//! What the tests are written with: a gateway, organizations with keys, sessions, phones, and waiting.

mod answer;
pub mod desk;
pub mod files;
mod gateway;
mod lines;
pub mod matrix;
mod organization;
mod own_simulator;
pub mod place;
mod raw;
mod receiver;
mod sandbox;
mod schemas;
mod session;
mod simulator;
mod socket;
mod sse;
mod waiting;

use futures::future::LocalBoxFuture;

pub use answer::Answer;
pub use gateway::{Gateway, any_address, number, send};
pub use lines::Lines;
pub use organization::{KeyState, Organization, with_json};
pub use own_simulator::OwnSimulator;
pub use raw::{nonsense, raw};
pub use receiver::{Delivery, Receiver, Reply};
pub use sandbox::{Sandbox, print_sandboxes};
pub use schemas::Schemas;
pub use session::Session;
pub use simulator::{Phone, Simulator};
pub use socket::{Said, Socket};
pub use sse::{Frame, Sse};
pub use waiting::{Patience, eventually, now_ms};

/// A test with its name.
pub struct Test {
    pub name: &'static str,
    pub run: fn() -> LocalBoxFuture<'static, ()>,
}

/// Lists the tests of a module; one that is written and not listed is dead code, which doesn't compile.
macro_rules! tests {
    ($($name:ident),* $(,)?) => {
        pub fn tests() -> Vec<$crate::harness::Test> {
            vec![$($crate::harness::Test {
                name: concat!(module_path!(), "::", stringify!($name)),
                run: || Box::pin($name()),
            }),*]
        }
    };
}
pub(crate) use tests;
