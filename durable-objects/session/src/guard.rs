//! Recovery from a panic, see `guard.js`. Rule 5: a panic in one session ends the wasm instance of all.

use std::panic;

use wasm_bindgen::prelude::*;
use worker::{State, web_sys};

#[wasm_bindgen(module = "/src/guard.js")]
extern "C" {
    // `catch`: an exception through an import that does not catch would itself reset the wasm instance.
    #[wasm_bindgen(catch, js_name = nextGeneration)]
    fn next_generation() -> Result<(), JsValue>;
    #[wasm_bindgen(catch)]
    fn watch(socket: &web_sys::WebSocket, context: &JsValue) -> Result<JsValue, JsValue>;
    #[wasm_bindgen(catch)]
    fn unwatch(timer: &JsValue) -> Result<(), JsValue>;
}

/// Marks the beginning of a wasm instance and, by the panic hook, its end. Call it from `#[event(start)]`.
pub fn install() {
    let _counts_only = next_generation();
    let before = panic::take_hook();
    panic::set_hook(Box::new(move |panic| {
        let _counts_only = next_generation();
        before(panic);
    }));
}

/// The object a socket belongs to.
#[derive(Clone)]
pub struct Watch(JsValue);

impl Watch {
    /// Watches over the sockets of this object.
    pub fn new(state: &State) -> Self {
        Self(AsRef::<JsValue>::as_ref(state.as_raw()).clone())
    }

    /// Watches over a socket until the answer is dropped.
    pub fn over(&self, socket: &web_sys::WebSocket) -> Watched {
        Watched(watch(socket, &self.0).unwrap_or(JsValue::NULL))
    }
}

/// A socket that is watched over.
pub struct Watched(JsValue);

impl Drop for Watched {
    fn drop(&mut self) {
        let _gone_already = unwatch(&self.0);
    }
}
