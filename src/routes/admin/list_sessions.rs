//! `GET /api/v1/admin/sessions`

use axum::extract::State;
use axum::response::Response;
use gateway_domain::error::ApiError;
use gateway_domain::page::List;
use gateway_domain::session::WASession;
use worker::Env;

use crate::auth::Allowed;
use crate::directory::Platform;
use crate::error::Refusal;
use crate::request::Query;
use crate::routes::sessions::list::{Page, page};

/// Lists the sessions of all organizations in the order they were made, as they were last observed.
#[utoipa::path(get, path = "/api/v1/admin/sessions", operation_id = "adminListSessions", tag = "Admin",
    params(("limit" = Option<u32>, Query, description = "1 to 200; 50 when absent."),
           ("cursor" = Option<String>, Query, description = "The previous page's nextCursor.")),
    responses((status = 200, body = List<WASession>), (status = 400, body = ApiError),
              (status = 401, body = ApiError), (status = 403, body = ApiError)))]
#[worker::send]
pub async fn list_sessions(
    State(env): State<Env>,
    Allowed { principal, .. }: Allowed,
    query: Query,
) -> Result<Response, Refusal> {
    let wanted = Page::wanted(&query)?;
    let rows = Platform::of(&env, &principal)?.sessions(&wanted.after, wanted.limit + 1).await?;
    page(&env, rows, wanted.limit)
}
