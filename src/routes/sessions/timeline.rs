//! `GET /api/v1/sessions/{session}/timeline`

use axum::extract::State;
use axum::response::Response;
use gateway_domain::error::ApiError;
use gateway_domain::page;
use gateway_domain::timeline::{Timeline, Uptimes};
use gateway_object::calls::session::Call;
use http::StatusCode;
use worker::Env;

use super::{find, json};
use crate::auth::Allowed;
use crate::error::Refusal;
use crate::request::{Query, SessionId};
use crate::session_object::SessionObject;

/// Shows what became of a session, the newest first: each stretch of one status with its cause, its connection and how
/// long it lasted, and how much of the last day and week it worked. Kept for 30 days, the last 5,000.
#[utoipa::path(get, path = "/api/v1/sessions/{session}/timeline", operation_id = "sessionTimeline", tag = "Sessions",
    params(("session" = String, Path, description = "The session's id."),
           ("limit" = Option<u32>, Query, description = "1 to 200; 50 when absent."),
           ("cursor" = Option<String>, Query, description = "The previous page's nextCursor.")),
    responses((status = 200, body = Timeline), (status = 400, body = ApiError), (status = 401, body = ApiError),
              (status = 403, body = ApiError), (status = 404, body = ApiError), (status = 503, body = ApiError)))]
#[worker::send]
pub async fn timeline(
    State(env): State<Env>,
    Allowed { principal, .. }: Allowed,
    SessionId(id): SessionId,
    query: Query,
) -> Result<Response, Refusal> {
    let row = find(&env, &principal, &id).await?;
    let limit = page::limit(query.get("limit"))?;
    let before = query.get("cursor").map(last_of_page).transpose()?;
    if row.was_never_started() {
        return json(
            StatusCode::OK,
            &Timeline { data: vec![], next_cursor: None, uptime: Uptimes::default() },
        );
    }
    let mut timeline: Timeline = SessionObject::of(&env, &row).call(Call::Timeline { before, limit }).await?;
    timeline.next_cursor = timeline.next_cursor.map(|seq| page::cursor_after(&seq));
    json(StatusCode::OK, &timeline)
}

/// The stretch a cursor stands after.
fn last_of_page(cursor: &str) -> Result<u64, ApiError> {
    let seq = page::read_cursor(cursor)?.parse();
    seq.map_err(|_| ApiError::validation("cursor", "Not a cursor this list gave out."))
}
