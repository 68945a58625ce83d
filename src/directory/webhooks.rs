//! Webhooks in the directory: what their owners decided. Their objects read it, and write one thing: that a webhook is
//! off.

use gateway_domain::webhook::{DisabledReason, WebhookSettings};
use serde::Deserialize;
use serde_json::json;
use wasm_bindgen::JsValue;

use super::{Directory, asking, flag, moment, nullable};
use crate::configuration::now;
use crate::error::Refusal;

pub(super) const COLUMNS: &str = "id, organization_id, url, session_id, events, active, previous_secret_expires_at, \
    custom_headers, retry_policy, disabled_reason, disabled_at, start_position, deleted_at, rev, created_at, updated_at";

/// A webhook, as the directory has it.
#[derive(Clone, Debug, Deserialize)]
pub struct WebhookRow {
    pub id: String,
    pub organization_id: String,
    pub url: String,
    pub session_id: Option<String>,
    events: String,
    active: u8,
    pub previous_secret_expires_at: Option<u64>,
    custom_headers: String,
    retry_policy: String,
    pub disabled_reason: Option<DisabledReason>,
    pub disabled_at: Option<u64>,
    /// Where in the ledger it begins, if its object has not been told.
    pub start_position: Option<u64>,
    deleted_at: Option<u64>,
    /// Which change of the row this is.
    pub rev: u64,
    pub created_at: u64,
    pub updated_at: u64,
}

impl WebhookRow {
    pub fn active(&self) -> bool {
        self.active != 0
    }

    /// The types of events; what can't be read are none.
    pub fn events(&self) -> Vec<String> {
        serde_json::from_str(&self.events).unwrap_or_default()
    }

    pub fn custom_headers(&self) -> gateway_domain::webhook::CustomHeaders {
        serde_json::from_str(&self.custom_headers).unwrap_or_default()
    }

    pub fn retry_policy(&self) -> gateway_domain::webhook::RetryPolicy {
        serde_json::from_str(&self.retry_policy).unwrap_or_default()
    }

    /// Whether its owner deleted it, and that was cut off.
    pub fn is_to_be_deleted(&self) -> bool {
        self.deleted_at.is_some()
    }
}

/// A secret in place of another, sealed.
pub struct NewSecret<'a> {
    pub sealed: &'a str,
    /// Until when the one it replaces signs too; not at all when absent.
    pub previous_until: Option<u64>,
}

impl Directory {
    /// Adds a webhook; `None` when the organization has as many as it may.
    pub async fn insert_webhook(
        &self,
        id: &str,
        url: &str,
        settings: &WebhookSettings,
        sealed: &str,
    ) -> Result<Option<WebhookRow>, Refusal> {
        let statement = format!(
            "INSERT INTO webhook (organization_id, id, url, session_id, events, active, secret, custom_headers, \
             retry_policy, created_at, updated_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?10) \
             RETURNING {COLUMNS}"
        );
        let events = settings.events.clone().unwrap_or_else(gateway_domain::webhook::all_events);
        let bindings = [
            self.organization.as_str().into(),
            id.into(),
            url.into(),
            nullable(settings.session.as_ref().and_then(Option::as_deref)),
            json!(events).to_string().into(),
            flag(settings.active.unwrap_or(true)),
            sealed.into(),
            json!(settings.custom_headers.clone().unwrap_or_default()).to_string().into(),
            json!(settings.retry_policy.unwrap_or_default()).to_string().into(),
            moment(now()),
        ];
        self.webhook_row(false, &statement, &bindings).await
    }

    /// The organization's webhook with this id.
    pub async fn webhook(&self, id: &str) -> Result<Option<WebhookRow>, Refusal> {
        let statement = format!(
            "SELECT {COLUMNS} FROM webhook WHERE organization_id = ?1 AND id = ?2 AND deleted_at IS NULL"
        );
        self.webhook_row(true, &statement, &[self.organization.as_str().into(), id.into()]).await
    }

    /// The organization's webhooks after an id, in the order they were made.
    pub async fn webhooks(&self, after: &str, limit: u32) -> Result<Vec<WebhookRow>, Refusal> {
        let statement = format!(
            "SELECT {COLUMNS} FROM webhook WHERE organization_id = ?1 AND id > ?2 AND deleted_at IS NULL \
             ORDER BY id LIMIT ?3"
        );
        let bindings = [self.organization.as_str().into(), after.into(), limit.into()];
        asking(true, || async { self.database.prepare(&statement).bind(&bindings)?.all().await?.results() })
            .await
    }

    /// Changes what the owner decides. One that is switched on is no longer one that was switched off; another secret
    /// takes the place of all before it.
    pub async fn update_webhook(
        &self,
        id: &str,
        settings: &WebhookSettings,
        sealed: Option<&str>,
    ) -> Result<Option<WebhookRow>, Refusal> {
        let statement = format!(
            "UPDATE webhook SET url = COALESCE(?3, url), events = COALESCE(?4, events), \
             session_id = CASE WHEN ?5 THEN ?6 ELSE session_id END, active = COALESCE(?7, active), \
             disabled_reason = CASE WHEN ?7 = 1 THEN NULL ELSE disabled_reason END, \
             disabled_at = CASE WHEN ?7 = 1 THEN NULL ELSE disabled_at END, secret = COALESCE(?8, secret), \
             previous_secret = CASE WHEN ?8 IS NULL THEN previous_secret END, \
             previous_secret_expires_at = CASE WHEN ?8 IS NULL THEN previous_secret_expires_at END, \
             custom_headers = COALESCE(?9, custom_headers), retry_policy = COALESCE(?10, retry_policy), \
             rev = rev + 1, updated_at = ?11 \
             WHERE organization_id = ?1 AND id = ?2 AND deleted_at IS NULL RETURNING {COLUMNS}"
        );
        let session = settings.session.as_ref();
        let bindings = [
            self.organization.as_str().into(),
            id.into(),
            nullable(settings.url.as_deref()),
            nullable(settings.events.as_ref().map(|events| json!(events).to_string())),
            flag(session.is_some()),
            nullable(session.and_then(Option::as_deref)),
            nullable(settings.active.map(flag)),
            nullable(sealed),
            nullable(settings.custom_headers.as_ref().map(|headers| json!(headers).to_string())),
            nullable(settings.retry_policy.map(|policy| json!(policy).to_string())),
            moment(now()),
        ];
        self.webhook_row(true, &statement, &bindings).await
    }

    /// Replaces a webhook's secret. The secret before the one it replaces signs no longer.
    pub async fn rotate_webhook_secret(
        &self,
        id: &str,
        secret: &NewSecret<'_>,
    ) -> Result<Option<WebhookRow>, Refusal> {
        // A second run of the same rotation must not take the new secret for the one to replace.
        let statement = format!(
            "UPDATE webhook SET \
             previous_secret = CASE WHEN secret = ?3 THEN previous_secret WHEN ?4 IS NULL THEN NULL ELSE secret END, \
             previous_secret_expires_at = ?4, secret = ?3, rev = rev + 1, updated_at = ?5 \
             WHERE organization_id = ?1 AND id = ?2 AND deleted_at IS NULL RETURNING {COLUMNS}"
        );
        let bindings = [
            self.organization.as_str().into(),
            id.into(),
            secret.sealed.into(),
            nullable(secret.previous_until.map(moment)),
            moment(now()),
        ];
        self.webhook_row(true, &statement, &bindings).await
    }

    /// Notes where in the ledger the webhook begins, and that this could not be told its object.
    pub async fn keep_webhook_start(&self, id: &str, position: u64) -> Result<(), Refusal> {
        let statement = "UPDATE webhook SET start_position = COALESCE(start_position, ?3) \
             WHERE organization_id = ?1 AND id = ?2";
        let bindings = [self.organization.as_str().into(), id.into(), moment(position)];
        self.run(statement, &bindings).await
    }

    /// Notes that everybody has heard of a change.
    pub async fn note_webhook_heard(&self, id: &str, rev: u64) -> Result<(), Refusal> {
        let statement =
            "UPDATE webhook SET heard_rev = ?3 WHERE organization_id = ?1 AND id = ?2 AND heard_rev < ?3";
        let bindings = [self.organization.as_str().into(), id.into(), moment(rev)];
        self.run(statement, &bindings).await
    }

    /// Notes that the owner wants the webhook gone, and nothing is sent from here on; the cron finishes a delete that is
    /// cut off.
    pub async fn want_webhook_deleted(&self, id: &str) -> Result<Option<WebhookRow>, Refusal> {
        let statement = format!(
            "UPDATE webhook SET deleted_at = ?3, active = 0, rev = rev + 1, updated_at = ?3 \
             WHERE organization_id = ?1 AND id = ?2 AND deleted_at IS NULL RETURNING {COLUMNS}"
        );
        let bindings = [self.organization.as_str().into(), id.into(), moment(now())];
        self.webhook_row(false, &statement, &bindings).await
    }

    /// As [`Directory::want_webhook_deleted`], all that are for one session only; their ids.
    pub async fn delete_webhooks_of_session(&self, session: &str) -> Result<Vec<String>, Refusal> {
        let statement = format!(
            "UPDATE webhook SET deleted_at = ?3, active = 0, rev = rev + 1, updated_at = ?3 \
             WHERE organization_id = ?1 AND session_id = ?2 AND deleted_at IS NULL RETURNING {COLUMNS}"
        );
        let bindings = [self.organization.as_str().into(), session.into(), moment(now())];
        let rows: Vec<WebhookRow> = asking(false, || async {
            self.database.prepare(&statement).bind(&bindings)?.all().await?.results()
        })
        .await?;
        Ok(rows.into_iter().map(|row| row.id).collect())
    }

    /// Removes a webhook that is being deleted.
    pub async fn remove_deleted_webhook(&self, id: &str) -> Result<(), Refusal> {
        let statement =
            "DELETE FROM webhook WHERE organization_id = ?1 AND id = ?2 AND deleted_at IS NOT NULL";
        self.run(statement, &[self.organization.as_str().into(), id.into()]).await
    }

    async fn run(&self, statement: &str, bindings: &[JsValue]) -> Result<(), Refusal> {
        asking(true, || async { self.database.prepare(statement).bind(bindings)?.run().await.map(drop) })
            .await
    }

    async fn webhook_row(
        &self,
        repeatable: bool,
        statement: &str,
        bindings: &[JsValue],
    ) -> Result<Option<WebhookRow>, Refusal> {
        asking(repeatable, || async { self.database.prepare(statement).bind(bindings)?.first(None).await })
            .await
    }
}
