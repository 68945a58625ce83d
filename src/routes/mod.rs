//! The routes: a folder a resource, a file an operation. The OpenAPI document is made from the same list.

mod admin;
mod api_keys;
pub mod events;
mod health;
mod messages;
mod openapi;
mod sessions;
#[cfg(feature = "simulator")]
mod simulator;
pub mod verbs;

use axum::Router;
use gateway_domain::error::{ApiError, ErrorCode};
use http::StatusCode;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use worker::Env;

use crate::error::Refusal;

fn documented() -> OpenApiRouter<Env> {
    OpenApiRouter::with_openapi(openapi::base())
        .routes(routes!(sessions::create::create, sessions::list::list))
        .routes(routes!(sessions::get::get, sessions::update::update, sessions::delete::delete))
        .routes(routes!(sessions::qr::qr))
        .routes(routes!(sessions::me::me))
        .routes(routes!(sessions::start::start))
        .routes(routes!(sessions::stop::stop))
        .routes(routes!(sessions::restart::restart))
        .routes(routes!(sessions::logout::logout))
        .routes(routes!(messages::send::send))
        .routes(routes!(events::list_session::list_session))
        .routes(routes!(api_keys::create::create, api_keys::list::list))
        .routes(routes!(api_keys::get::get, api_keys::update::update, api_keys::delete::delete))
        .routes(routes!(api_keys::rotate::rotate))
        .routes(routes!(admin::list_sessions::list_sessions))
        .routes(routes!(openapi::document))
        .routes(routes!(health::health))
        .routes(routes!(health::ready))
}

/// Everything the Worker answers.
pub fn router(env: Env) -> Router {
    let (router, _document) = documented().split_for_parts();
    #[cfg(feature = "simulator")]
    let router = router.merge(simulator::router());
    router
        .fallback(|| async { Refusal(ApiError::not_found()) })
        .method_not_allowed_fallback(method_not_allowed)
        .with_state(env)
}

async fn method_not_allowed() -> (StatusCode, Refusal) {
    let error = ApiError::new(ErrorCode::ValidationError, "This path does not take this method.");
    (StatusCode::METHOD_NOT_ALLOWED, Refusal(error.with("field", "method")))
}
