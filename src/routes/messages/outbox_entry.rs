//! `GET /api/v1/sessions/{session}/outbox/{outboxId}`

use std::collections::HashMap;

use axum::extract::{Path, State};
use axum::response::Response;
use gateway_domain::error::ApiError;
use gateway_domain::ids;
use gateway_domain::message::OutboxEntry;
use gateway_object::calls::session::Call;
use http::StatusCode;
use worker::Env;

use crate::auth::Allowed;
use crate::error::Refusal;
use crate::request::SessionId;
use crate::routes::sessions::{find, json};
use crate::session_object::SessionObject;

/// What became of a send, for 48 hours after its end.
#[utoipa::path(get, path = "/api/v1/sessions/{session}/outbox/{outboxId}", operation_id = "getOutboxEntry", tag = "Messages",
    params(("session" = String, Path, description = "The session's id."),
           ("outboxId" = String, Path, description = "The `outboxId` of the send.")),
    responses((status = 200, body = OutboxEntry), (status = 401, body = ApiError), (status = 403, body = ApiError),
              (status = 404, body = ApiError), (status = 503, body = ApiError)))]
#[worker::send]
pub async fn outbox_entry(
    State(env): State<Env>,
    Allowed { principal, .. }: Allowed,
    SessionId(id): SessionId,
    Path(named): Path<HashMap<String, String>>,
) -> Result<Response, Refusal> {
    let row = find(&env, &principal, &id).await?;
    let entry = named.get("outboxId").and_then(|text| ids::parse(text)).ok_or_else(ApiError::not_found)?;
    if row.was_never_started() {
        return Err(ApiError::not_found().into());
    }
    let entry: OutboxEntry = SessionObject::of(&env, &row).call(Call::Outbox { id: entry }).await?;
    json(StatusCode::OK, &entry)
}
