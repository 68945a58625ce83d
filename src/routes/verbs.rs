//! Paths such as `/sessions/{session}:start`: axum's router takes a segment whole or as a parameter, not both, so
//! inside the verb is a segment of its own, `/sessions/{session}/!start`. Callers and the OpenAPI document only
//! ever see the colon.

use gateway_domain::error::ApiError;
use http::uri::PathAndQuery;
use http::{Request, Uri};

use crate::error::Refusal;

const INSIDE: &str = "/!";

/// The path as callers write it.
pub fn to_public(path: &str) -> String {
    path.replace(INSIDE, ":")
}

/// The request as the router reads it.
///
/// # Errors
/// 404 for a path that spells a verb the inside way.
pub fn to_router<B>(mut request: Request<B>) -> Result<Request<B>, Refusal> {
    let path = request.uri().path();
    if path.contains(INSIDE) {
        return Err(ApiError::not_found().into());
    }
    let Some((resource, verb)) = path.rsplit_once(':') else { return Ok(request) };
    let is_verb = !verb.is_empty() && verb.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-');
    if !is_verb || resource.ends_with('/') {
        return Ok(request);
    }
    let query = request.uri().query().map_or_else(String::new, |query| format!("?{query}"));
    let inside = format!("{resource}{INSIDE}{verb}{query}");
    let Ok(path_and_query) = inside.parse::<PathAndQuery>() else { return Err(ApiError::not_found().into()) };
    let mut parts = request.uri().clone().into_parts();
    parts.path_and_query = Some(path_and_query);
    let Ok(uri) = Uri::from_parts(parts) else { return Err(ApiError::not_found().into()) };
    *request.uri_mut() = uri;
    Ok(request)
}
