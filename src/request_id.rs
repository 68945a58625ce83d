//! `X-Request-Id`: the caller's where it is fit to be echoed and logged, else our own.

use gateway_domain::ids;
use worker::Request;

use crate::configuration::{now, random};

/// The request's id, on its extensions.
#[derive(Clone)]
pub struct RequestId(pub String);

/// The id of a request: visible ASCII, so it is a valid header value.
pub fn of(request: &Request) -> String {
    let given = request.headers().get("x-request-id").ok().flatten();
    given.filter(|id| ids::is_request_id(id)).unwrap_or_else(|| ids::mint(now(), random()))
}
