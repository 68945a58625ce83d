//! The OpenAPI 3.1 document, made from the handlers.

use axum::response::{IntoResponse, Response};
use http::header;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{Components, Info, OpenApi, OpenApiBuilder, Paths};

use super::verbs;
use crate::error::internal;

/// What the document says beyond its operations.
pub fn base() -> OpenApi {
    let mut info = Info::new("WhatsApp gateway", env!("CARGO_PKG_VERSION"));
    info.description = Some("A multi-tenant WhatsApp gateway on Cloudflare Workers.".to_owned());
    let mut components = Components::new();
    let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some("An API key."));
    components.add_security_scheme("bearer", SecurityScheme::Http(bearer.build()));
    components
        .add_security_scheme("apiKey", SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::new("X-Api-Key"))));
    OpenApiBuilder::new().info(info).components(Some(components)).build()
}

/// This document.
#[utoipa::path(get, path = "/api/v1/openapi.json", operation_id = "openapi", tag = "Meta",
    responses((status = 200, description = "The OpenAPI 3.1 document.")))]
pub async fn document() -> Response {
    let (_router, mut document) = super::documented().split_for_parts();
    let paths = std::mem::replace(&mut document.paths, Paths::new());
    document.paths.paths =
        paths.paths.into_iter().map(|(path, operations)| (verbs::to_public(&path), operations)).collect();
    match document.to_json() {
        Ok(json) => ([(header::CONTENT_TYPE, "application/json")], json).into_response(),
        Err(error) => internal("openapi", &error).into(),
    }
}
