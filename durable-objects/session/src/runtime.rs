//! The client library's executor inside a Durable Object: the isolate's microtask queue and `setTimeout`.
//!
//! Nothing here outlives the object: an alarm brings it back (rule 3).

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use whatsapp_rust::Runtime;
use whatsapp_rust::wacore::runtime::AbortHandle;
use worker::Delay;

/// See the module.
pub struct ObjectRuntime;

#[async_trait::async_trait(?Send)]
impl Runtime for ObjectRuntime {
    fn spawn(&self, future: Pin<Box<dyn Future<Output = ()>>>) -> AbortHandle {
        let (task, handle) = futures::future::abortable(future);
        wasm_bindgen_futures::spawn_local(async move {
            let _aborted = task.await;
        });
        AbortHandle::new(move || handle.abort())
    }

    fn spawn_detached(&self, future: Pin<Box<dyn Future<Output = ()>>>) {
        wasm_bindgen_futures::spawn_local(future);
    }

    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()>>> {
        Box::pin(Delay::from(duration))
    }

    fn spawn_blocking(&self, task: Box<dyn FnOnce()>) -> Pin<Box<dyn Future<Output = ()>>> {
        // One thread: the best that can be done is to do it now.
        task();
        Box::pin(std::future::ready(()))
    }

    fn yield_now(&self) -> Option<Pin<Box<dyn Future<Output = ()>>>> {
        Some(Box::pin(Delay::from(Duration::ZERO)))
    }

    fn yield_frequency(&self) -> u32 {
        // The other sessions of the isolate wait while this one works.
        4
    }
}
