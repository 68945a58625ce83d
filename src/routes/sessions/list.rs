//! `GET /api/v1/sessions`

use axum::extract::State;
use axum::response::Response;
use gateway_domain::error::ApiError;
use gateway_domain::ids;
use gateway_domain::page::{self, List};
use gateway_domain::session::WASession;
use http::StatusCode;
use worker::Env;

use super::{json, present};
use crate::auth::Allowed;
use crate::directory::{Directory, SessionRow};
use crate::error::Refusal;
use crate::request::Query;

/// Lists the organization's sessions in the order they were made, as they were last observed.
#[utoipa::path(get, path = "/api/v1/sessions", operation_id = "listSessions", tag = "Sessions",
    params(("limit" = Option<u32>, Query, description = "1 to 200; 50 when absent."),
           ("cursor" = Option<String>, Query, description = "The previous page's nextCursor.")),
    responses((status = 200, body = List<WASession>), (status = 400, body = ApiError),
              (status = 401, body = ApiError), (status = 403, body = ApiError)))]
#[worker::send]
pub async fn list(
    State(env): State<Env>,
    Allowed { principal, .. }: Allowed,
    query: Query,
) -> Result<Response, Refusal> {
    let wanted = Page::wanted(&query)?;
    let directory = Directory::of(&env, &principal.organization)?;
    let rows = directory.sessions(&wanted.after, wanted.limit + 1).await?;
    page(&env, rows, wanted.limit)
}

/// Which page of sessions is asked for.
pub struct Page {
    /// The id of the last session of the page before; empty for the first.
    pub after: String,
    /// How many.
    pub limit: u32,
}

impl Page {
    /// Reads `limit` and `cursor`.
    pub fn wanted(query: &Query) -> Result<Self, ApiError> {
        let limit = page::limit(query.get("limit"))?;
        let after = query.get("cursor").map(last_of_page).transpose()?.unwrap_or_default();
        Ok(Self { after, limit })
    }
}

/// A page from one row more than it holds.
pub fn page(env: &Env, mut rows: Vec<SessionRow>, limit: u32) -> Result<Response, Refusal> {
    let more = rows.len() > limit as usize;
    rows.truncate(limit as usize);
    let next_cursor = rows.last().filter(|_| more).map(|row| page::cursor_after(&row.id));
    let data = rows.into_iter().map(|row| present(env, row, None)).collect::<Vec<_>>();
    json(StatusCode::OK, &List { data, next_cursor })
}

/// The session a cursor stands after: its key is a session's id, or it is not one of ours.
fn last_of_page(cursor: &str) -> Result<String, ApiError> {
    let key = page::read_cursor(cursor)?;
    match ids::parse(&key) {
        Some(id) if id == key => Ok(id),
        _ => Err(ApiError::validation("cursor", "Not a cursor this list gave out.")),
    }
}
