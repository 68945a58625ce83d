//! Webhooks: events, sent to where an owner wants them. The directory has what the owner decides, the webhook's object
//! (`gateway-webhook`) does the sending.

pub mod create;
pub mod delete;
pub mod deliveries;
pub mod finish;
pub mod get;
pub mod list;
pub mod replay;
pub mod rotate_secret;
pub mod test;
pub mod update;

use std::collections::HashMap;
use std::time::Duration;

use axum::extract::{FromRequestParts, Path};
use axum::response::Response;
use gateway_domain::error::ApiError;
use gateway_domain::ids;
use gateway_domain::webhook::{Secret, Webhook, WebhookWithSecret};
use gateway_object::calls::organization::{Call as LedgerCall, Position, Request as LedgerRequest};
use gateway_object::calls::webhook::{Call, Request};
use gateway_object::peer::Peer;
use http::StatusCode;
use http::request::Parts;
use serde::de::DeserializeOwned;
use worker::Env;

use super::sessions::json;
use crate::auth::Organization;
use crate::configuration::{now, webhook_vault};
use crate::directory::{Directory, WebhookRow};
use crate::error::{Refusal, internal};

/// How long an object may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// The `{id}` of a path. What is no id names nothing: 404.
pub struct WebhookId(pub String);

impl<S: Send + Sync> FromRequestParts<S> for WebhookId {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        let Path(named) = Path::<HashMap<String, String>>::from_request_parts(parts, state)
            .await
            .map_err(|_| ApiError::not_found())?;
        let id = named.get("id").and_then(|text| ids::parse(text)).ok_or_else(ApiError::not_found)?;
        Ok(Self(id))
    }
}

/// The organization's webhook, or 404.
async fn find(directory: &Directory, id: &str) -> Result<WebhookRow, Refusal> {
    directory.webhook(id).await?.ok_or_else(|| ApiError::not_found().into())
}

/// A webhook is for a session of its own organization, or for all of them.
async fn check_session(directory: &Directory, session: Option<&Option<String>>) -> Result<(), Refusal> {
    match session.and_then(Option::as_deref) {
        Some(session) if directory.session(session).await?.is_none() => Err(ApiError::not_found().into()),
        _ => Ok(()),
    }
}

/// A secret nobody has seen. Without randomness there is none.
fn mint() -> Result<Secret, Refusal> {
    let mut random = [0; 32];
    getrandom::fill(&mut random).map_err(|error| internal("randomness", &error))?;
    Ok(Secret::mint(random))
}

/// The secret as it is stored.
fn seal(env: &Env, secret: &Secret, webhook: &str) -> Result<String, Refusal> {
    let vault = webhook_vault(env)?;
    let mut nonce = [0; 12];
    getrandom::fill(&mut nonce).map_err(|error| internal("randomness", &error))?;
    vault.seal(secret, webhook, nonce).ok_or_else(|| internal("a secret", &"can't be sealed"))
}

/// The webhook as the API shows it.
fn present(row: WebhookRow) -> Webhook {
    Webhook {
        events: row.events(),
        active: row.active(),
        custom_headers: row.custom_headers(),
        retry_policy: row.retry_policy(),
        id: row.id,
        organization_id: row.organization_id,
        url: row.url,
        session_id: row.session_id,
        disabled_reason: row.disabled_reason,
        disabled_at: row.disabled_at,
        previous_secret_expires_at: row.previous_secret_expires_at.filter(|until| *until > now()),
        created_at: row.created_at,
        updated_at: row.updated_at,
    }
}

/// The webhook with its secret, for the caller's eyes only.
fn reveal(status: StatusCode, row: WebhookRow, secret: &Secret) -> Result<Response, Refusal> {
    json(status, &WebhookWithSecret { webhook: present(row), secret: secret.reveal().to_owned() })
}

/// Calls the webhook's object.
async fn call<T: DeserializeOwned>(env: &Env, row: &WebhookRow, call: Call) -> Result<T, ApiError> {
    ask(env, &row.organization_id, &row.id, call).await
}

async fn ask<T: DeserializeOwned>(
    env: &Env,
    organization: &str,
    webhook: &str,
    call: Call,
) -> Result<T, ApiError> {
    let request = Request { organization: organization.to_owned(), webhook: webhook.to_owned(), call };
    Peer::webhook(webhook).ask(env, &request, PATIENCE).await
}

/// The ledger reads the organization's webhooks again; its newest position.
async fn refresh_ledger(env: &Env, organization: &str) -> Result<u64, ApiError> {
    let request = LedgerRequest { organization: organization.to_owned(), call: LedgerCall::RefreshWebhooks };
    let position: Position = Peer::organization(organization).ask(env, &request, PATIENCE).await?;
    Ok(position.position)
}

/// Tells everybody what was changed. What can't be told now the cron tells: the change itself stands.
async fn announce(env: &Env, directory: &Directory, row: &WebhookRow) {
    if let Err(Refusal(error)) = try_announce(env, directory, row).await {
        worker::console_warn!("webhook {}: the change is told later: {}", row.id, error.error.message);
    }
}

async fn try_announce(env: &Env, directory: &Directory, row: &WebhookRow) -> Result<(), Refusal> {
    let position = refresh_ledger(env, &row.organization_id).await?;
    // Counts for one that has not begun: it is to miss nothing from the first time on that the ledger knew it.
    let start = row.start_position.unwrap_or(position);
    match call::<()>(env, row, Call::Configure { start: Some(start) }).await {
        Ok(()) => directory.note_webhook_heard(&row.id, row.rev).await,
        Err(error) => {
            directory.keep_webhook_start(&row.id, start).await?;
            Err(error.into())
        }
    }
}

/// Finishes a delete: nobody is told anything any more, the object is empty, the row is gone.
async fn bury(env: &Env, directory: &Directory, organization: &str, webhook: &str) -> Result<(), Refusal> {
    match ask::<()>(env, organization, webhook, Call::Erase).await {
        // It was erased before.
        Err(error) if error != ApiError::not_found() => return Err(error.into()),
        _ => {}
    }
    refresh_ledger(env, organization).await?;
    directory.remove_deleted_webhook(webhook).await
}

/// As [`bury`]; what can't be finished now the cron finishes: for its owner the webhook is gone already.
async fn bury_in_time(env: &Env, directory: &Directory, organization: &Organization, webhook: &str) {
    if let Err(Refusal(error)) = bury(env, directory, organization.as_str(), webhook).await {
        worker::console_warn!("webhook {webhook}: the delete is finished later: {}", error.error.message);
    }
}

/// Deletes the webhooks that are for one session only: it is being deleted.
pub async fn delete_of_session(env: &Env, organization: &Organization, session: &str) -> Result<(), Refusal> {
    let directory = Directory::of(env, organization)?;
    for id in directory.delete_webhooks_of_session(session).await? {
        bury_in_time(env, &directory, organization, &id).await;
    }
    Ok(())
}
