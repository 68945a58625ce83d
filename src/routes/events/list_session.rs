//! `GET /api/v1/sessions/{session}/events`

use axum::extract::State;
use axum::response::Response;
use gateway_domain::error::ApiError;
use gateway_domain::event::{Envelope, position, types};
use gateway_domain::page::{self, List};
use gateway_session::call::{Call, EventPage};
use http::{HeaderMap, StatusCode, header};
use worker::Env;

use crate::auth::{Allowed, Events};
use crate::error::Refusal;
use crate::request::{Query, SessionId};
use crate::routes::sessions::{find, json};
use crate::session_object::SessionObject;

/// The longest a page waits for its first event, in seconds.
const MAX_WAIT: u32 = 30;

/// Reads a session's log: a JSON page, or with `Accept: text/event-stream` a stream that resumes after
/// `Last-Event-ID` (or `after`) without loss. `nextCursor` is always the position to go on after: the log grows.
#[utoipa::path(get, path = "/api/v1/sessions/{session}/events", operation_id = "listSessionEvents", tag = "Events", security(("bearer" = []), ("apiKey" = [])),
    params(("session" = String, Path, description = "The session's id."),
           ("after" = Option<String>, Query, description = "The seq to go on after; a page begins at the oldest event when absent, a stream at the newest."),
           ("types" = Option<String>, Query, description = "Event types, separated by commas; all when absent."),
           ("wait" = Option<u32>, Query, description = "Seconds to wait for the first event, 0 to 30."),
           ("limit" = Option<u32>, Query, description = "1 to 200; 50 when absent.")),
    responses((status = 200, content((List<Envelope> = "application/json"), (String = "text/event-stream"))),
              (status = 400, body = ApiError), (status = 401, body = ApiError), (status = 403, body = ApiError),
              (status = 404, body = ApiError), (status = 503, body = ApiError)))]
#[worker::send]
pub async fn list_session(
    State(env): State<Env>,
    Allowed { principal, .. }: Allowed<Events>,
    SessionId(id): SessionId,
    query: Query,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let row = find(&env, &principal, &id).await?;
    let types = types(query.get("types"))?;
    let object = SessionObject::of(&env, &row);
    let header = |name| headers.get(name).and_then(|value| value.to_str().ok());
    if header(header::ACCEPT.as_str()).is_some_and(|accept| accept.contains("text/event-stream")) {
        let after = match header("last-event-id") {
            Some(last) => Some(position("Last-Event-ID", Some(last))?),
            None => query.get("after").map(|after| position("after", Some(after))).transpose()?,
        };
        return object.stream(Call::Stream { after, types }).await;
    }
    let after = position("after", query.get("after"))?;
    let limit = page::limit(query.get("limit"))?;
    let wait = wait(query.get("wait"))?;
    let page: EventPage = object.call(Call::Events { after, limit, wait, types }).await?;
    json(StatusCode::OK, &List { data: page.events, next_cursor: Some(page.position.to_string()) })
}

fn wait(text: Option<&str>) -> Result<u32, ApiError> {
    match text.map_or(Ok(0), str::parse::<u32>) {
        Ok(wait) if wait <= MAX_WAIT => Ok(wait),
        _ => Err(ApiError::validation("wait", "Must be a whole number of seconds from 0 to 30.")),
    }
}
