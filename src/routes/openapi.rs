//! The OpenAPI 3.1 document, made from the handlers and from the table of who may call what.

use std::collections::HashMap;

use axum::response::{IntoResponse, Response};
use gateway_domain::access::{self, Access, Operation};
use http::{Method, header};
use utoipa::openapi::path::Operation as PathOperation;
use utoipa::openapi::security::{
    ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme,
};
use utoipa::openapi::{Components, Info, OpenApi, OpenApiBuilder, PathItem, Paths};

use super::verbs;

const LOGIN: &str = "login";
const KEY_AS_BEARER: &str = "apiKeyAsBearer";
const KEY: &str = "apiKey";
const METRICS_TOKEN: &str = "metricsToken";
const TICKET: &str = "realtimeTicket";
/// What an operation needs, in the words of the contract.
const CAPABILITY: &str = "x-capability";

/// What the document says beyond its operations.
pub fn base() -> OpenApi {
    let mut info = Info::new("WhatsApp gateway", env!("CARGO_PKG_VERSION"));
    info.description = Some("A multi-tenant WhatsApp gateway on Cloudflare Workers.".to_owned());
    let mut components = Components::new();
    let bearer = |format: &str, description: &str| {
        let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format(format);
        SecurityScheme::Http(scheme.description(Some(description)).build())
    };
    components.add_security_scheme(LOGIN, bearer("JWT", "A person's login JWT, minted by a frontend."));
    components.add_security_scheme(KEY_AS_BEARER, bearer("API key", "An API key of an organization."));
    components
        .add_security_scheme(KEY, SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::new("X-Api-Key"))));
    components.add_security_scheme(METRICS_TOKEN, bearer("token", "The configured METRICS_TOKEN."));
    let ticket = ApiKeyValue::with_description("ticket", "From `POST /api/v1/realtime/ticket`, good once.");
    components.add_security_scheme(TICKET, SecurityScheme::ApiKey(ApiKey::Query(ticket)));
    OpenApiBuilder::new().info(info).components(Some(components)).build()
}

/// Each documented operation's place and its row in the table of who may call what. An operation without a row can't
/// be called.
pub fn operations(document: &OpenApi) -> HashMap<String, Vec<(Method, &'static Operation)>> {
    let mut found: HashMap<String, Vec<_>> = HashMap::new();
    for (path, item) in &document.paths.paths {
        for (method, operation) in by_method(&mut item.clone()) {
            if let Some(operation) = operation.operation_id.as_deref().and_then(access::operation) {
                found.entry(path.clone()).or_default().push((method, operation));
            }
        }
    }
    found
}

/// The document as callers read it: their spelling of the paths, and what each operation needs.
pub fn finish(document: &mut OpenApi) -> String {
    let paths = std::mem::replace(&mut document.paths, Paths::new());
    for (path, mut item) in paths.paths {
        for (_, operation) in by_method(&mut item) {
            let access = operation.operation_id.as_deref().and_then(access::operation).map(|row| row.access);
            operation.security = access.map(security);
            let name = access.map_or("nobody", Access::name);
            operation.extensions.get_or_insert_default().insert(CAPABILITY.to_owned(), name.into());
        }
        document.paths.paths.insert(verbs::to_public(&path), item);
    }
    document.to_json().unwrap_or_default()
}

/// Which credentials open the door, and as roles (OpenAPI 3.1, "Security Requirement Object") the capability.
fn security(access: Access) -> Vec<SecurityRequirement> {
    let with = |schemes: &[&str]| {
        schemes.iter().map(|scheme| SecurityRequirement::new(*scheme, [access.name()])).collect()
    };
    match access {
        Access::Public => vec![],
        Access::Needs(_) | Access::NeedsAcross(_) => with(&[LOGIN, KEY_AS_BEARER, KEY]),
        Access::SuperAdmin => with(&[LOGIN]),
        Access::MetricsToken => with(&[METRICS_TOKEN]),
        Access::Ticket => with(&[TICKET]),
    }
}

fn by_method(item: &mut PathItem) -> impl Iterator<Item = (Method, &mut PathOperation)> {
    [
        (Method::GET, &mut item.get),
        (Method::POST, &mut item.post),
        (Method::PUT, &mut item.put),
        (Method::PATCH, &mut item.patch),
        (Method::DELETE, &mut item.delete),
    ]
    .into_iter()
    .filter_map(|(method, operation)| operation.as_mut().map(|operation| (method, operation)))
}

/// This document.
#[utoipa::path(get, path = "/api/v1/openapi.json", operation_id = "openapi", tag = "Meta",
    responses((status = 200, description = "The OpenAPI 3.1 document.")))]
pub async fn document() -> Response {
    let document = super::House::visit(|house| house.document.clone());
    ([(header::CONTENT_TYPE, "application/json")], document).into_response()
}
