//! Sessions: slots for WhatsApp numbers.

pub mod create;
pub mod delete;
pub mod get;
pub mod get_passkey;
pub mod list;
pub mod logout;
pub mod me;
pub mod pairing_code;
pub mod qr;
pub mod restart;
pub mod start;
pub mod stop;
pub mod submit_passkey;
pub mod timeline;
pub mod update;

use axum::response::{IntoResponse, Response};
use gateway_domain::error::ApiError;
use gateway_domain::session::WASession;
use gateway_object::calls::session::{Call, Snapshot};
use http::{StatusCode, header};
use serde::Serialize;
use worker::Env;

use crate::auth::Principal;
use crate::configuration::{gateway_id, variable};
use crate::directory::{Directory, Platform, SessionRow};
use crate::error::{Refusal, internal};
use crate::session_object::SessionObject;

/// The organization's session, or 404.
pub async fn find(env: &Env, principal: &Principal, id: &str) -> Result<SessionRow, Refusal> {
    let row = Directory::of(env, &principal.organization)?.session(id).await?;
    row.ok_or_else(|| ApiError::not_found().into())
}

/// The session to read: a super_admin may read every organization's, everybody else their own.
async fn find_to_read(env: &Env, principal: &Principal, id: &str) -> Result<SessionRow, Refusal> {
    if !principal.is_super_admin() {
        return find(env, principal, id).await;
    }
    Platform::of(env, principal)?.session(id).await?.ok_or_else(|| ApiError::not_found().into())
}

/// Asks the session's object what it observes, unless nobody ever started it.
async fn observe(env: &Env, row: &SessionRow) -> Result<Option<Snapshot>, Refusal> {
    if row.was_never_started() {
        return Ok(None);
    }
    SessionObject::of(env, row).call(Call::Observe).await.map(Some)
}

/// Notes what the owner wants, then tells the object. In that order: if the second fails, the intent is known.
async fn command(
    env: &Env,
    principal: &Principal,
    id: &str,
    connected: bool,
    call: Call,
) -> Result<Response, Refusal> {
    let row = Directory::of(env, &principal.organization)?.set_desired(id, connected, true).await?;
    let row = row.ok_or_else(ApiError::not_found)?;
    let snapshot = SessionObject::of(env, &row).call(call).await?;
    json(StatusCode::OK, &present(env, row, Some(snapshot)))
}

/// The session as the API shows it: the owner's settings from the directory, what is observed from the object,
/// or from its projection where the object was not asked.
pub fn present(env: &Env, row: SessionRow, observed: Option<Snapshot>) -> WASession {
    let observed = observed.unwrap_or_else(|| Snapshot {
        status: row.status,
        reason: row.status_reason(),
        epoch: row.epoch,
        phone_number: row.phone_number.clone(),
        wa_jid: row.wa_jid.clone(),
        wa_lid: row.wa_lid.clone(),
        last_connected_at: row.last_connected_at,
        paired: row.wa_jid.is_some(),
    });
    let admin_number = variable(env, "ADMIN_NUMBER");
    WASession {
        gateway_id: gateway_id(env, row.region.as_deref()),
        status: observed.status,
        status_reason: observed.reason,
        epoch: observed.epoch,
        is_admin_session: admin_number.is_some() && admin_number == observed.phone_number,
        phone_number: observed.phone_number,
        wa_jid: observed.wa_jid,
        wa_lid: observed.wa_lid,
        last_connected_at: observed.last_connected_at,
        auto_read: row.auto_read(),
        presence_typing: row.presence_typing(),
        organization_id: row.organization_id,
        id: row.id,
        label: row.label,
        region: row.region,
        rate_per_min: row.rate_per_min,
        rate_per_hour: row.rate_per_hour,
        created_by_user_id: row.created_by_user_id,
        created_at: row.created_at,
        updated_at: row.updated_at,
    }
}

/// An answer as JSON.
pub fn json(status: StatusCode, answer: &impl Serialize) -> Result<Response, Refusal> {
    let body = serde_json::to_string(answer).map_err(|error| internal("answer", &error))?;
    Ok((status, [(header::CONTENT_TYPE, "application/json")], body).into_response())
}
