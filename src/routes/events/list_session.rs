//! `GET /api/v1/sessions/{session}/events`

use axum::extract::State;
use axum::response::Response;
use gateway_domain::error::ApiError;
use gateway_domain::event::{position, types};
use gateway_domain::page;
use gateway_object::calls::reader::{Filter, Socket};
use gateway_object::calls::session::{Call, EventPage};
use http::{HeaderMap, StatusCode};
use worker::Env;

use super::EventList;
use super::wanted::{Wanted, last_event_id, wait};
use super::watched::watched;
use crate::auth::Allowed;
use crate::error::Refusal;
use crate::request::{Query, SessionId};
use crate::routes::sessions::{find, json};
use crate::session_object::SessionObject;

/// Reads a session's log: a JSON page; with `Accept: text/event-stream` or `application/x-ndjson` a stream that resumes
/// after `Last-Event-ID` (or `after`) without loss; over a WebSocket upgrade the same, one JSON object a message,
/// acknowledged with `{"ack": position}`. `nextCursor` is always the position to go on after: the log grows. A stream
/// ends after a quarter of an hour, to be resumed, and within a minute when its credential is revoked.
#[utoipa::path(get, path = "/api/v1/sessions/{session}/events", operation_id = "listSessionEvents", tag = "Events",
    params(("session" = String, Path, description = "The session's id."),
           ("after" = Option<String>, Query, description = "The seq to go on after; a page begins at the oldest event when absent, a stream at the newest."),
           ("types" = Option<String>, Query, description = "Event types, separated by commas; all when absent."),
           ("wait" = Option<u32>, Query, description = "Seconds to wait for the first event, 0 to 30."),
           ("limit" = Option<u32>, Query, description = "1 to 200; 50 when absent.")),
    responses((status = 200, content((EventList = "application/json"), (String = "text/event-stream"),
                                     (String = "application/x-ndjson"))),
              (status = 101, description = "A WebSocket."),
              (status = 400, body = ApiError), (status = 401, body = ApiError), (status = 403, body = ApiError),
              (status = 404, body = ApiError), (status = 503, body = ApiError)))]
#[worker::send]
pub async fn list_session(
    State(env): State<Env>,
    caller: Allowed,
    SessionId(id): SessionId,
    query: Query,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let row = find(&env, &caller.principal, &id).await?;
    let types = types(query.get("types"))?;
    let object = SessionObject::of(&env, &row);
    let resumed = || match last_event_id(&headers)? {
        Some(last) => position("Last-Event-ID", Some(last)).map(Some),
        None => query.get("after").map(|after| position("after", Some(after))).transpose(),
    };
    match Wanted::of(&headers) {
        Wanted::Page => {
            let after = position("after", query.get("after"))?;
            let limit = page::limit(query.get("limit"))?;
            let wait = wait(query.get("wait"))?;
            let page: EventPage = object.call(Call::Events { after, limit, wait, types }).await?;
            let next_cursor = page.position.to_string();
            json(StatusCode::OK, &EventList { data: page.events, next_cursor, gap: page.gap })
        }
        Wanted::Stream(format) => {
            let stream = object.stream(Call::Stream { after: resumed()?, types, format }).await?;
            Ok(watched(stream, env, caller))
        }
        Wanted::Socket => {
            let filter = Filter { types, session: None };
            let socket = Socket { after: resumed()?, filter, caller: caller.principal.reader() };
            object.socket(Call::Open(socket)).await
        }
    }
}
