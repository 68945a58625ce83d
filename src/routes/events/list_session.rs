//! `GET /api/v1/sessions/{session}/events`

use std::time::Duration;

use axum::body::{Body, BodyDataStream, Bytes};
use axum::extract::State;
use axum::response::Response;
use futures::future::{Either, select};
use futures::stream::{StreamExt, unfold};
use gateway_domain::error::ApiError;
use gateway_domain::event::{Envelope, position, types};
use gateway_domain::page::{self, List};
use gateway_object::calls::session::{Call, EventPage};
use http::{HeaderMap, StatusCode, header};
use worker::send::SendFuture;
use worker::{Delay, Env};

use crate::auth::{Allowed, Failure, admit};
use crate::configuration::now;
use crate::error::Refusal;
use crate::request::{Query, SessionId};
use crate::routes::sessions::{find, json};
use crate::session_object::SessionObject;

/// The longest a page waits for its first event, in seconds.
const MAX_WAIT: u32 = 30;
/// How often the caller of a stream is authenticated again, in milliseconds: a revoked key's streams end within a
/// minute.
const CHECK_EVERY: u64 = 25_000;
/// How long that may take, while the stream waits.
const CHECK_PATIENCE: Duration = Duration::from_secs(10);
/// Then the stream ends, after a quarter of an hour, and its reader comes back for the rest: a request may ask
/// the directory only so often (50 times on the smallest plan), and a stream that can't be checked can't be ended.
const CHECKS: u32 = 36;

/// Reads a session's log: a JSON page, or with `Accept: text/event-stream` a stream that resumes after
/// `Last-Event-ID` (or `after`) without loss. `nextCursor` is always the position to go on after: the log grows.
/// A stream ends after a quarter of an hour, to be resumed, and within a minute when its credential is revoked.
#[utoipa::path(get, path = "/api/v1/sessions/{session}/events", operation_id = "listSessionEvents", tag = "Events",
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
    caller: Allowed,
    SessionId(id): SessionId,
    query: Query,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let row = find(&env, &caller.principal, &id).await?;
    let types = types(query.get("types"))?;
    let object = SessionObject::of(&env, &row);
    let header = |name| headers.get(name).and_then(|value| value.to_str().ok());
    if header(header::ACCEPT.as_str()).is_some_and(|accept| accept.contains("text/event-stream")) {
        let after = match header("last-event-id") {
            Some(last) => Some(position("Last-Event-ID", Some(last))?),
            None => query.get("after").map(|after| position("after", Some(after))).transpose()?,
        };
        let stream = object.stream(Call::Stream { after, types }).await?;
        return Ok(watched(stream, env, caller));
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

/// The stream, for as long as its caller would be let in.
fn watched(stream: Response, env: Env, caller: Allowed) -> Response {
    let (parts, body) = stream.into_parts();
    let check_at = now().saturating_add(CHECK_EVERY);
    let body = body.into_data_stream();
    let watched = Watched { body, env, caller, check_at, checks: CHECKS };
    let body = unfold(watched, |mut watched| {
        SendFuture::new(async move { watched.next().await.map(|chunk| (chunk, watched)) })
    });
    Response::from_parts(parts, Body::from_stream(body))
}

struct Watched {
    body: BodyDataStream,
    env: Env,
    caller: Allowed,
    check_at: u64,
    checks: u32,
}

impl Watched {
    async fn next(&mut self) -> Option<Result<Bytes, axum::Error>> {
        loop {
            let left = self.check_at.saturating_sub(now());
            if left > 0 {
                let check = Delay::from(Duration::from_millis(left));
                if let Either::Left((chunk, _)) = select(self.body.next(), check).await {
                    return chunk;
                }
            } else {
                self.checks = self.checks.checked_sub(1)?;
                if !self.would_be_let_in().await {
                    let whose =
                        self.caller.principal.key().map_or("a login".to_owned(), |id| format!("key {id}"));
                    worker::console_log!("a stream of {whose} ends: it opens the door no longer");
                    return None;
                }
                self.check_at = now().saturating_add(CHECK_EVERY);
            }
        }
    }

    /// As far as can be known: while the directory can't be asked the stream goes on.
    async fn would_be_let_in(&self) -> bool {
        let asking = std::pin::pin!(self.caller.credential.authenticate(&self.env));
        match select(asking, Delay::from(CHECK_PATIENCE)).await {
            Either::Left((Ok(principal), _)) => {
                principal.organization == self.caller.principal.organization
                    && admit(self.caller.access, &principal).is_ok()
            }
            Either::Left((Err(failure), _)) => matches!(failure, Failure::Unanswered(_)),
            Either::Right(_) => true,
        }
    }
}
