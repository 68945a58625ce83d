//! `GET /api/v1/webhooks/{id}/deliveries`

use axum::extract::State;
use axum::response::Response;
use gateway_domain::error::ApiError;
use gateway_domain::page::{self, List};
use gateway_domain::webhook::{DeliveryStatus, WebhookDelivery};
use gateway_object::calls::webhook::{Call, Deliveries};
use http::StatusCode;
use worker::Env;

use super::{WebhookId, call, find};
use crate::auth::Allowed;
use crate::directory::Directory;
use crate::error::Refusal;
use crate::request::Query;
use crate::routes::sessions::json;

/// Lists a webhook's deliveries, the newest first. What was delivered is kept for a week, what is dead for 30 days.
#[utoipa::path(get, path = "/api/v1/webhooks/{id}/deliveries", operation_id = "listWebhookDeliveries", tag = "Webhooks",
    params(("id" = String, Path, description = "The webhook's id."),
           ("status" = Option<DeliveryStatus>, Query, description = "Only those of this status."),
           ("limit" = Option<u32>, Query, description = "1 to 200; 50 when absent."),
           ("cursor" = Option<String>, Query, description = "The previous page's nextCursor.")),
    responses((status = 200, body = List<WebhookDelivery>), (status = 400, body = ApiError),
              (status = 401, body = ApiError), (status = 403, body = ApiError), (status = 404, body = ApiError),
              (status = 503, body = ApiError)))]
#[worker::send]
pub async fn deliveries(
    State(env): State<Env>,
    Allowed { principal, .. }: Allowed,
    WebhookId(id): WebhookId,
    query: Query,
) -> Result<Response, Refusal> {
    let limit = page::limit(query.get("limit"))?;
    let status = query.get("status").map(status).transpose()?;
    let before = query.get("cursor").map(last_of_page).transpose()?;
    let row = find(&Directory::of(&env, &principal.organization)?, &id).await?;
    let page: Deliveries = call(&env, &row, Call::Deliveries { status, limit, before }).await?;
    let next_cursor = page.before.map(|place| page::cursor_after(&place.to_string()));
    json(StatusCode::OK, &List { data: page.deliveries, next_cursor })
}

fn status(name: &str) -> Result<DeliveryStatus, ApiError> {
    DeliveryStatus::named(name)
        .ok_or_else(|| ApiError::validation("status", "Must be pending, delivered or dead."))
}

fn last_of_page(cursor: &str) -> Result<u64, ApiError> {
    let key = page::read_cursor(cursor)?;
    match key.parse::<u64>() {
        Ok(place) if place.to_string() == key => Ok(place),
        _ => Err(ApiError::validation("cursor", "Not a cursor this list gave out.")),
    }
}
