//! The OpenAPI 3.1 document, made from the handlers and from the table of who may call what.

use std::collections::HashMap;

use axum::response::{IntoResponse, Response};
use gateway_domain::access::{self, Access, Operation};
use gateway_domain::idempotency::{HEADER, MAX_KEY_BYTES, REPLAYED, shown_once};
use http::{Method, header};
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::path::{Operation as PathOperation, Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::Type;
use utoipa::openapi::security::{
    ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme,
};
use utoipa::openapi::{
    Components, ContentBuilder, Info, ObjectBuilder, OpenApi, OpenApiBuilder, PathItem, Paths, Ref, RefOr,
    Required, ResponseBuilder,
};

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
        for (method, operation) in by_method(&mut item) {
            let row = operation.operation_id.as_deref().and_then(access::operation);
            let access = row.map(|row| row.access);
            if let Some(row) = row.filter(|row| !method.is_safe() && has_caller(row.access)) {
                be_idempotent(row, operation);
            }
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

/// Whether the door lets in somebody who acts for an organization.
fn has_caller(access: Access) -> bool {
    matches!(access, Access::Needs(_) | Access::NeedsAcross(_) | Access::SuperAdmin)
}

/// What the door adds to an operation that changes something: a header, and the answers because of it.
fn be_idempotent(row: &Operation, operation: &mut PathOperation) {
    operation.parameters.get_or_insert_default().push(RefOr::T(key_header(row)));
    let replayed = HeaderBuilder::new()
        .schema(Some(ObjectBuilder::new().schema_type(Type::String).enum_values(Some(["true"])).build()))
        .description(Some("On an answer that was given before: nothing was done."))
        .build();
    let responses = &mut operation.responses.responses;
    for (status, response) in responses.iter_mut() {
        if let RefOr::T(response) = response
            && status.starts_with('2')
        {
            response.headers.insert(REPLAYED.to_owned(), RefOr::T(replayed.clone()));
        }
    }
    for (status, description) in [
        ("400", "What was sent can't be used."),
        ("409", "The key was used for another request, or a request with it is under way."),
    ] {
        let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("ApiError"))).build();
        let response =
            || ResponseBuilder::new().description(description).content("application/json", content).build();
        responses.entry(status.to_owned()).or_insert_with(|| RefOr::T(response()));
    }
}

fn key_header(row: &Operation) -> Parameter {
    let shown_once = shown_once(row.id).map(|field| format!(" An answer that is repeated has no `{field}`."));
    let description = format!(
        "Done once for a key: within 24 hours the same request is answered as it was before, and another request with \
         the key is a conflict. So is one while the first is under way: see `Retry-After`.{}",
        shown_once.unwrap_or_default()
    );
    let schema = ObjectBuilder::new()
        .schema_type(Type::String)
        .min_length(Some(1))
        .max_length(Some(MAX_KEY_BYTES))
        .pattern(Some("^[!-~]+$"))
        .build();
    ParameterBuilder::new()
        .name(HEADER)
        .parameter_in(ParameterIn::Header)
        .required(Required::False)
        .description(Some(description))
        .schema(Some(schema))
        .build()
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
