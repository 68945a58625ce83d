//! `GET /api/v1/webhooks`

use axum::extract::State;
use axum::response::Response;
use gateway_domain::error::ApiError;
use gateway_domain::ids;
use gateway_domain::page::{self, List};
use gateway_domain::webhook::Webhook;
use http::StatusCode;
use worker::Env;

use super::present;
use crate::auth::Allowed;
use crate::directory::Directory;
use crate::error::Refusal;
use crate::request::Query;
use crate::routes::sessions::json;

/// Lists the organization's webhooks, without their secrets, in the order they were made.
#[utoipa::path(get, path = "/api/v1/webhooks", operation_id = "listWebhooks", tag = "Webhooks",
    params(("limit" = Option<u32>, Query, description = "1 to 200; 50 when absent."),
           ("cursor" = Option<String>, Query, description = "The previous page's nextCursor.")),
    responses((status = 200, body = List<Webhook>), (status = 400, body = ApiError), (status = 401, body = ApiError),
              (status = 403, body = ApiError), (status = 503, body = ApiError)))]
#[worker::send]
pub async fn list(
    State(env): State<Env>,
    Allowed { principal, .. }: Allowed,
    query: Query,
) -> Result<Response, Refusal> {
    let limit = page::limit(query.get("limit"))?;
    let after = query.get("cursor").map(last_of_page).transpose()?.unwrap_or_default();
    let directory = Directory::of(&env, &principal.organization)?;
    let mut rows = directory.webhooks(&after, limit + 1).await?;
    let more = rows.len() > limit as usize;
    rows.truncate(limit as usize);
    let next_cursor = rows.last().filter(|_| more).map(|row| page::cursor_after(&row.id));
    json(StatusCode::OK, &List { data: rows.into_iter().map(present).collect(), next_cursor })
}

/// The webhook a cursor stands after: its key is a webhook's id, or it is not one of ours.
fn last_of_page(cursor: &str) -> Result<String, ApiError> {
    let key = page::read_cursor(cursor)?;
    match ids::parse(&key) {
        Some(id) if id == key => Ok(id),
        _ => Err(ApiError::validation("cursor", "Not a cursor this list gave out.")),
    }
}
