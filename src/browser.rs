//! What browsers are told: who may read answers from a page (CORS, for configured origins only), and that answers are
//! data, not pages (security headers).

use axum::body::Body;
use http::header::{self, HeaderName};
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};
use worker::Env;

use crate::configuration::is_allowed_origin;

const METHODS: HeaderValue = HeaderValue::from_static("GET, POST, PUT, PATCH, DELETE");
const REQUEST_HEADERS: HeaderValue = HeaderValue::from_static(
    "authorization, x-api-key, content-type, idempotency-key, last-event-id, x-request-id",
);
const EXPOSED: HeaderValue =
    HeaderValue::from_static("x-request-id, retry-after, ratelimit, ratelimit-policy, idempotency-replayed");
/// How long a browser may remember a preflight, in seconds.
const MAX_AGE: HeaderValue = HeaderValue::from_static("600");

/// On every answer. Nothing here is a page, may be framed, sniffed, or kept by a cache.
const SECURITY: [(HeaderName, HeaderValue); 5] = [
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'")),
    (header::STRICT_TRANSPORT_SECURITY, HeaderValue::from_static("max-age=31536000")),
    (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
];

/// A page's origin that may read answers: one of `CORS_ORIGINS`, separated by commas.
pub struct Origin(HeaderValue);

impl Origin {
    /// The request's origin, if it is a configured one.
    pub fn of(env: &Env, headers: &HeaderMap) -> Option<Self> {
        let origin = headers.get(header::ORIGIN)?;
        is_allowed_origin(env, origin.as_bytes()).then(|| Self(origin.clone()))
    }

    /// Lets the page read the answer.
    pub fn allow(&self, headers: &mut HeaderMap) {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, self.0.clone());
        headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
    }
}

/// The answer to a preflight (Fetch standard, "CORS-preflight request"), if this is one.
pub fn preflight(method: &Method, headers: &HeaderMap) -> Option<Response<Body>> {
    if method != Method::OPTIONS || !headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD) {
        return None;
    }
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    let headers = response.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, METHODS);
    headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, REQUEST_HEADERS);
    headers.insert(header::ACCESS_CONTROL_MAX_AGE, MAX_AGE);
    Some(response)
}

/// Adds what every answer carries; what a handler decided stays.
pub fn secure(headers: &mut HeaderMap) {
    for (name, value) in SECURITY {
        headers.entry(name).or_insert(value);
    }
    // The answer depends on the origin also when it is not a configured one.
    headers.append(header::VARY, HeaderValue::from_static("origin"));
}
