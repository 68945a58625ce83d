//! `POST /api/v1/realtime/ticket`

use axum::extract::State;
use axum::response::Response;
use gateway_domain::error::ApiError;
use gateway_domain::event::types;
use gateway_domain::ids;
use gateway_domain::ticket::{RealtimeTicket, RealtimeTicketInputBody};
use gateway_object::calls::reader::Filter;
use http::StatusCode;
use worker::Env;

use crate::auth::{Allowed, ticket};
use crate::error::Refusal;
use crate::request::OptionalJson;
use crate::routes::sessions::{find, json};

/// Mints a ticket with which a browser opens a WebSocket: good once, for 30 seconds, for what is named here.
#[utoipa::path(post, path = "/api/v1/realtime/ticket", operation_id = "createRealtimeTicket", tag = "Events",
    request_body = RealtimeTicketInputBody,
    responses((status = 200, body = RealtimeTicket), (status = 400, body = ApiError), (status = 401, body = ApiError),
              (status = 403, body = ApiError), (status = 404, body = ApiError), (status = 503, body = ApiError)))]
#[worker::send]
pub async fn create_ticket(
    State(env): State<Env>,
    caller: Allowed,
    OptionalJson(body): OptionalJson<RealtimeTicketInputBody>,
) -> Result<Response, Refusal> {
    let session = match body.session.as_deref() {
        None => None,
        Some(text) => {
            let id = ids::parse(text).ok_or_else(ApiError::not_found)?;
            Some(find(&env, &caller.principal, &id).await?.id)
        }
    };
    let types = types(Some(&body.types.unwrap_or_default().join(",")))?;
    json(StatusCode::OK, &ticket::issue(&env, &caller, Filter { types, session }).await?)
}
