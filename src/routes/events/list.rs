//! `GET /api/v1/events`

use axum::extract::State;
use axum::response::Response;
use gateway_domain::error::ApiError;
use gateway_domain::event::types;
use gateway_domain::page;
use gateway_domain::{ids, position};
use gateway_object::calls::organization::{Call, Page};
use gateway_object::calls::reader::{Filter, Socket};
use http::{HeaderMap, StatusCode};
use worker::Env;

use super::EventList;
use super::wanted::{Wanted, last_event_id, wait};
use super::watched::watched;
use crate::auth::Allowed;
use crate::error::Refusal;
use crate::ledger_object::LedgerObject;
use crate::request::Query;
use crate::routes::sessions::{find, json};

/// Reads the log of all the organization's sessions: as a page, a stream or a WebSocket, like a session's log. Positions
/// are opaque. Events are kept from the first read (or webhook) on: who reads at least once a week misses nothing.
#[utoipa::path(get, path = "/api/v1/events", operation_id = "listEvents", tag = "Events",
    params(("after" = Option<String>, Query, description = "The position to go on after; a page begins at the oldest event when absent, a stream at the newest."),
           ("types" = Option<String>, Query, description = "Event types, separated by commas; all when absent."),
           ("session" = Option<String>, Query, description = "One session; all when absent."),
           ("wait" = Option<u32>, Query, description = "Seconds to wait for the first event, 0 to 30."),
           ("limit" = Option<u32>, Query, description = "1 to 200; 50 when absent.")),
    responses((status = 200, content((EventList = "application/json"), (String = "text/event-stream"),
                                     (String = "application/x-ndjson"))),
              (status = 101, description = "A WebSocket."),
              (status = 400, body = ApiError), (status = 401, body = ApiError), (status = 403, body = ApiError),
              (status = 404, body = ApiError), (status = 503, body = ApiError)))]
#[worker::send]
pub async fn list(
    State(env): State<Env>,
    caller: Allowed,
    query: Query,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let organization = caller.principal.organization.clone();
    let session = match query.get("session") {
        None => None,
        Some(text) => {
            let id = ids::parse(text).ok_or_else(ApiError::not_found)?;
            Some(find(&env, &caller.principal, &id).await?.id)
        }
    };
    let filter = Filter { types: types(query.get("types"))?, session };
    let at = |field: &str, text: &str| position::in_ledger(organization.as_str(), field, text);
    let resumed = || match last_event_id(&headers)? {
        Some(last) => at("Last-Event-ID", last).map(Some),
        None => query.get("after").map(|after| at("after", after)).transpose(),
    };
    let ledger = LedgerObject::of(&env, &organization);
    match Wanted::of(&headers) {
        Wanted::Page => {
            let after = query.get("after").map(|after| at("after", after)).transpose()?;
            let limit = page::limit(query.get("limit"))?;
            let wait = wait(query.get("wait"))?;
            let page: Page = ledger.call(Call::Read { after, limit, wait, filter, listens: true }).await?;
            let answer = EventList {
                data: page.entries.into_iter().map(|entry| entry.event).collect(),
                next_cursor: position::of_ledger(organization.as_str(), page.position),
                gap: page.gap,
            };
            json(StatusCode::OK, &answer)
        }
        Wanted::Stream(format) => {
            let stream = ledger.stream(Call::Stream { after: resumed()?, filter, format }).await?;
            Ok(watched(stream, env, caller))
        }
        Wanted::Socket => {
            let socket = Socket { after: resumed()?, filter, caller: caller.principal.reader() };
            ledger.socket(socket).await
        }
    }
}
