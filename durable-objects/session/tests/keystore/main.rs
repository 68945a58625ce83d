//! The keystore against its promises: natively, on the library's own backend (which defines most of them), on
//! ours over plain SQLite, and on ours over SQLite with the limits and the numbers of a Durable Object.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that fails panics")]

mod clock;
mod contract;
mod differential;
mod like_workerd;
mod opening;

use gateway_session::keystore::Keystore;
use gateway_sql::native::NativeSql;
use like_workerd::LikeWorkerd;
use whatsapp_rust::wacore::store::InMemoryBackend;

fn of_the_library() -> InMemoryBackend {
    clock::install();
    InMemoryBackend::new()
}

fn over_sqlite() -> Keystore<NativeSql> {
    clock::install();
    Keystore::open(NativeSql::in_memory().unwrap()).unwrap()
}

fn over_durable_object() -> Keystore<LikeWorkerd> {
    clock::install();
    Keystore::open(LikeWorkerd::new()).unwrap()
}

macro_rules! each_on {
    ($store:path; $( $room:ident { $($promise:ident),* $(,)? } )*) => {
        $( mod $room { $(
            #[tokio::test]
            async fn $promise() {
                crate::contract::$room::$promise(&$store()).await;
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
