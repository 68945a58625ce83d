//! The routes: a folder a resource, a file an operation. The OpenAPI document is made from the same list.

mod admin;
mod api_keys;
mod audit_log;
mod chats;
pub mod events;
mod health;
pub mod messages;
mod metrics;
mod openapi;
mod realtime;
mod sessions;
#[cfg(feature = "simulator")]
mod simulator;
pub mod verbs;
pub mod webhooks;

use std::cell::OnceCell;
use std::collections::HashMap;

use axum::Router;
use axum::middleware::from_fn;
use gateway_domain::access::Operation;
use gateway_domain::error::{ApiError, ErrorCode};
use http::{Method, StatusCode};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use worker::Env;

use crate::auth::door;
use crate::error::Refusal;

fn documented() -> OpenApiRouter<Env> {
    OpenApiRouter::with_openapi(openapi::base())
        .routes(routes!(sessions::create::create, sessions::list::list))
        .routes(routes!(sessions::get::get, sessions::update::update, sessions::delete::delete))
        .routes(routes!(sessions::qr::qr))
        .routes(routes!(sessions::pairing_code::pairing_code))
        .routes(routes!(sessions::get_passkey::get_passkey, sessions::submit_passkey::submit_passkey))
        .routes(routes!(sessions::timeline::timeline))
        .routes(routes!(sessions::me::me))
        .routes(routes!(sessions::start::start))
        .routes(routes!(sessions::stop::stop))
        .routes(routes!(sessions::restart::restart))
        .routes(routes!(sessions::logout::logout))
        .routes(routes!(messages::send::send))
        .routes(routes!(messages::get::get, messages::edit::edit, messages::revoke::revoke))
        .routes(routes!(messages::add_reaction::add_reaction, messages::remove_reaction::remove_reaction))
        .routes(routes!(messages::forward::forward))
        .routes(routes!(messages::vote::vote))
        .routes(routes!(messages::outbox_entry::outbox_entry))
        .routes(routes!(messages::get_media::get_media))
        .routes(routes!(chats::read::read))
        .routes(routes!(events::list_session::list_session))
        .routes(routes!(events::list::list))
        .routes(routes!(realtime::create_ticket::create_ticket))
        .routes(routes!(realtime::open::open))
        .routes(routes!(api_keys::create::create, api_keys::list::list))
        .routes(routes!(api_keys::get::get, api_keys::update::update, api_keys::delete::delete))
        .routes(routes!(api_keys::rotate::rotate))
        .routes(routes!(webhooks::create::create, webhooks::list::list))
        .routes(routes!(webhooks::get::get, webhooks::update::update, webhooks::delete::delete))
        .routes(routes!(webhooks::rotate_secret::rotate_secret))
        .routes(routes!(webhooks::test::test))
        .routes(routes!(webhooks::deliveries::deliveries))
        .routes(routes!(webhooks::replay::replay))
        .routes(routes!(audit_log::list::list))
        .routes(routes!(admin::list_sessions::list_sessions))
        .routes(routes!(admin::start_backfill::start_backfill))
        .routes(routes!(admin::backfill_status::backfill_status))
        .routes(routes!(openapi::document))
        .routes(routes!(health::health))
        .routes(routes!(health::ready))
        .routes(routes!(metrics::metrics))
}

/// What does not change between requests, made once for an isolate.
struct House {
    router: Router<Env>,
    document: String,
    /// By path, as the router spells it, and method.
    operations: HashMap<String, Vec<(Method, &'static Operation)>>,
}

thread_local! {
    static HOUSE: OnceCell<House> = const { OnceCell::new() };
}

impl House {
    fn visit<T>(visit: impl FnOnce(&Self) -> T) -> T {
        HOUSE.with(|house| visit(house.get_or_init(Self::build)))
    }

    fn build() -> Self {
        let (router, mut document) = documented().split_for_parts();
        let mut operations = openapi::operations(&document);
        let router = admin::start_backfill::also_at(router, &mut operations);
        #[cfg(feature = "simulator")]
        let router = {
            operations.extend(simulator::operations());
            router.merge(simulator::router())
        };
        // The door is a layer of each route: what follows it, the answers to unknown paths and methods, is public.
        let router = router
            .route_layer(from_fn(door::pass))
            .fallback(|| async { Refusal(ApiError::not_found()) })
            .method_not_allowed_fallback(method_not_allowed);
        operations.shrink_to_fit();
        Self { router, document: openapi::finish(&mut document), operations }
    }
}

/// Everything the Worker answers.
pub fn router(env: Env) -> Router {
    House::visit(|house| house.router.clone()).with_state(env)
}

/// The operation of a path, as the router spells it.
pub fn operation(method: &Method, path: &str) -> Option<&'static Operation> {
    // The router answers HEAD as GET without a body.
    let method = if method == Method::HEAD { &Method::GET } else { method };
    House::visit(|house| {
        let of_path = house.operations.get(path)?;
        of_path.iter().find(|(of, _)| of == method).map(|(_, operation)| *operation)
    })
}

async fn method_not_allowed() -> (StatusCode, Refusal) {
    let error = ApiError::new(ErrorCode::ValidationError, "This path does not take this method.");
    (StatusCode::METHOD_NOT_ALLOWED, Refusal(error.with("field", "method")))
}
