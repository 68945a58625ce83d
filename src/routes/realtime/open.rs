//! `GET /api/v1/realtime`

use axum::extract::State;
use axum::response::Response;
use gateway_domain::error::ApiError;
use gateway_domain::event::position;
use gateway_domain::position;
use gateway_object::calls::reader::Socket;
use gateway_object::calls::session::Call;
use http::HeaderMap;
use worker::Env;

use crate::auth::ticket;
use crate::directory::Directory;
use crate::error::Refusal;
use crate::ledger_object::LedgerObject;
use crate::request::Query;
use crate::routes::events::wanted::{Wanted, upgrade_required};
use crate::session_object::SessionObject;

/// Opens a WebSocket with a ticket: what `GET /api/v1/events` or `GET …/sessions/{session}/events` says to an upgrade.
#[utoipa::path(get, path = "/api/v1/realtime", operation_id = "openRealtime", tag = "Events",
    params(("ticket" = String, Query, description = "From `POST /api/v1/realtime/ticket`."),
           ("after" = Option<String>, Query, description = "The position to go on after; from now on when absent.")),
    responses((status = 101, description = "One JSON object a message; acknowledge with `{\"ack\": position}`."),
              (status = 400, body = ApiError), (status = 401, body = ApiError), (status = 404, body = ApiError),
              (status = 503, body = ApiError)))]
#[worker::send]
pub async fn open(State(env): State<Env>, query: Query, headers: HeaderMap) -> Result<Response, Refusal> {
    if !matches!(Wanted::of(&headers), Wanted::Socket) {
        return Err(upgrade_required().into());
    }
    let after = query.get("after");
    let (organization, scope) = ticket::redeem(&env, &headers, query.get("ticket")).await?;
    let Some(id) = scope.filter.session.clone() else {
        let after =
            after.map(|after| position::in_ledger(organization.as_str(), "after", after)).transpose()?;
        let socket = Socket { after, filter: scope.filter, caller: scope.caller };
        return LedgerObject::of(&env, &organization).socket(socket).await;
    };
    let row = Directory::of(&env, &organization)?.session(&id).await?.ok_or_else(ApiError::not_found)?;
    let after = after.map(|after| self::position("after", Some(after))).transpose()?;
    let socket = Socket { after, filter: scope.filter, caller: scope.caller };
    SessionObject::of(&env, &row).socket(Call::Open(socket)).await
}
