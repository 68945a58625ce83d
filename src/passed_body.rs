//! An object's body that goes out as it came in. Through axum's it would be copied piece by piece, and lose its length.

use worker::send::SendWrapper;
use worker::{ResponseBody, Result, web_sys};

/// What an answer carries instead of a body.
#[derive(Clone)]
pub struct PassedBody(SendWrapper<Option<web_sys::ReadableStream>>);

impl PassedBody {
    /// The body of an object's answer.
    pub fn new(body: ResponseBody) -> Self {
        Self(SendWrapper::new(match body {
            ResponseBody::Stream(stream) => Some(stream),
            _ => None,
        }))
    }
}

/// The answer as the runtime takes it; to a `HEAD` without its body, which then ends where it comes from.
///
/// # Errors
/// When the runtime refuses it.
pub fn to_wasm(mut answer: http::Response<axum::body::Body>, is_head: bool) -> Result<web_sys::Response> {
    let passed = answer.extensions_mut().remove::<PassedBody>();
    let response = worker::response_to_wasm(answer)?;
    let Some(PassedBody(SendWrapper(Some(stream)))) = passed else { return Ok(response) };
    if is_head {
        drop(stream.cancel());
        return Ok(response);
    }
    let head = web_sys::ResponseInit::new();
    head.set_status(response.status());
    head.set_headers(&response.headers());
    Ok(web_sys::Response::new_with_opt_readable_stream_and_init(Some(&stream), &head)?)
}
