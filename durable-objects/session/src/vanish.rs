//! An object that loses its alarm, its socket and its memory in silence, for the tests of the sweep; see `vanish.js`.

use wasm_bindgen::prelude::*;
use worker::State;

#[wasm_bindgen(module = "/src/vanish.js")]
extern "C" {
    // `catch`: an exception through an import that does not catch would itself reset the wasm instance.
    #[wasm_bindgen(catch, js_name = vanish)]
    fn vanish_soon(context: &JsValue, keeps_alarm: bool) -> Result<(), JsValue>;
}

/// Makes the object vanish once its answer is out.
pub fn vanish(state: &State, keeps_alarm: bool) {
    if vanish_soon(AsRef::<JsValue>::as_ref(state.as_raw()), keeps_alarm).is_err() {
        worker::console_error!("the object did not vanish");
    }
}
