//! The keystore against its promises: natively, on the library's own backend (which defines most of them), on
//! ours over plain SQLite, and on ours over SQLite with the limits and the numbers of a Durable Object.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that fails panics")]

mod clock;
mod contract;
mod differential;
mod like_workerd;
mod opening;
mod recorded;

use gateway_session::keystore::Keystore;
use like_workerd::LikeWorkerd;
use recorded::Recorded;
use whatsapp_rust::wacore::store::InMemoryBackend;

fn of_the_library(_promise: &str) -> InMemoryBackend {
    clock::install();
    InMemoryBackend::new()
}

fn over_sqlite(promise: &str) -> Keystore<Recorded> {
    clock::install();
    Keystore::open(Recorded::in_memory(promise)).unwrap()
}

fn over_durable_object(_promise: &str) -> Keystore<LikeWorkerd> {
    clock::install();
    Keystore::open(LikeWorkerd::new()).unwrap()
}

macro_rules! each_on {
    ($store:path; $( $room:ident { $($promise:ident),* $(,)? } )*) => {
        $( mod $room { $(
            #[tokio::test]
            async fn $promise() {
                let name = concat!(stringify!($room), ".", stringify!($promise));
                crate::contract::$room::$promise(&$store(name)).await;
            }
        )* } )*
    };
}

macro_rules! as_tests {
    (shared { $($shared:tt)* } ours { $($ours:tt)* }) => {
        mod the_library { each_on! { crate::of_the_library; $($shared)* } }
        mod sqlite { each_on! { crate::over_sqlite; $($shared)* } }
        mod durable_object { each_on! { crate::over_durable_object; $($shared)* } }
        mod sqlite_beyond_the_library { each_on! { crate::over_sqlite; $($ours)* } }
        mod durable_object_beyond_the_library { each_on! { crate::over_durable_object; $($ours)* } }
    };
}
contract::promises!(as_tests);
