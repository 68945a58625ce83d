//! `POST /api/v1/webhooks/{id}:replay`

use axum::extract::State;
use axum::response::Response;
use gateway_domain::error::{ApiError, ErrorCode};
use gateway_domain::webhook::{Replay, ReplayInputBody, ReplayResult, filter};
use gateway_object::calls::session::{Call as SessionCall, EventPage};
use gateway_object::calls::webhook::{Call, Replay as Wanted};
use http::StatusCode;
use worker::Env;

use super::{WebhookId, call, find};
use crate::auth::Allowed;
use crate::directory::{Directory, WebhookRow};
use crate::error::Refusal;
use crate::request::Json;
use crate::routes::sessions::json;
use crate::session_object::SessionObject;

/// Events that are handed over at a time.
const PAGE: u32 = 250;

/// Delivers again: what is dead, deliveries by their ids, or a stretch of a session's log as far as it is kept and the
/// webhook's filter lets it through. It goes behind what waits already, with the same `webhook-id` as before.
#[utoipa::path(post, path = "/api/v1/webhooks/{id}/!replay", operation_id = "replayWebhook", tag = "Webhooks",
    params(("id" = String, Path, description = "The webhook's id.")),
    request_body = ReplayInputBody,
    responses((status = 202, body = ReplayResult), (status = 400, body = ApiError), (status = 401, body = ApiError),
              (status = 403, body = ApiError), (status = 404, body = ApiError), (status = 409, body = ApiError),
              (status = 503, body = ApiError)))]
#[worker::send]
pub async fn replay(
    State(env): State<Env>,
    Allowed { principal, .. }: Allowed,
    WebhookId(id): WebhookId,
    Json(body): Json<ReplayInputBody>,
) -> Result<Response, Refusal> {
    let wanted = body.read()?;
    let directory = Directory::of(&env, &principal.organization)?;
    let row = find(&directory, &id).await?;
    let result = match wanted {
        Replay::Dead => call(&env, &row, Call::Replay(Wanted::Dead)).await?,
        Replay::Deliveries(ids) => call(&env, &row, Call::Replay(Wanted::Deliveries(ids))).await?,
        Replay::Range { session, from, to } => range(&env, &directory, &row, &session, (from, to)).await?,
    };
    json(StatusCode::ACCEPTED, &result)
}

async fn range(
    env: &Env,
    directory: &Directory,
    row: &WebhookRow,
    session: &str,
    (from, to): (u64, u64),
) -> Result<ReplayResult, Refusal> {
    let found = directory.session(session).await?.ok_or_else(ApiError::not_found)?;
    if row.session_id.as_deref().is_some_and(|only| only != session) {
        return Err(ApiError::validation("session", "The webhook is for another session.").into());
    }
    let object = SessionObject::of(env, &found);
    let types = filter(&row.events());
    let mut result = ReplayResult { queued: 0 };
    let mut after = from - 1;
    while after < to {
        let call_for = SessionCall::Events { after, limit: PAGE, wait: 0, types: types.clone() };
        let page: EventPage = object.call(call_for).await.map_err(beyond_the_end)?;
        let is_last = page.events.len() < PAGE as usize;
        after = page.position;
        let events: Vec<_> = page.events.into_iter().filter(|event| event.seq <= to).collect();
        if !events.is_empty() {
            match call::<ReplayResult>(env, row, Call::Replay(Wanted::Events(events))).await {
                Ok(page) => result.queued += page.queued,
                // As many as there was room for.
                Err(error) if error.error.code == ErrorCode::Conflict && result.queued > 0 => break,
                Err(error) => return Err(error.into()),
            }
        }
        if is_last {
            break;
        }
    }
    Ok(result)
}

fn beyond_the_end(Refusal(error): Refusal) -> Refusal {
    if error.error.code == ErrorCode::ValidationError {
        ApiError::validation("fromSeq", "Beyond the end of the session's log.").into()
    } else {
        error.into()
    }
}
