//! The directory across organizations, for the cron: what has gone quiet or was left half-done, and what is kept for
//! all. Nobody but the platform's scheduler can have it.

use gateway_domain::ids;
use gateway_domain::whatsapp_version::{Known, Version};
use serde::Deserialize;
use worker::{D1Database, Env, ScheduledEvent};

use super::sessions::COLUMNS;
use super::{SessionRow, WebhookRow, asking, database, moment, nullable, webhooks};
use crate::error::{Refusal, directory_unavailable};

/// See the module.
pub struct Operations(D1Database);

/// A webhook's secrets, as they are stored.
#[derive(Deserialize)]
pub struct SealedSecrets {
    pub id: String,
    pub secret: String,
    pub previous_secret: Option<String>,
}

/// When something is overdue, in milliseconds.
pub struct Overdue {
    /// A live session whose object has not been heard of for this long.
    pub unheard: u64,
    /// What the owner asked for, or a retry, that has not happened for this long.
    pub undone: u64,
    /// How long a session that was taken up is left alone.
    pub taken_up: u64,
}

impl Operations {
    /// The directory, for a run of the scheduler: its event is the proof.
    ///
    /// # Errors
    /// 503 when there is no database.
    pub fn of(env: &Env, _: &ScheduledEvent) -> Result<Self, Refusal> {
        database(env).map(Self)
    }

    /// Takes up the sessions that somebody must look after, those that waited longest first: live ones nobody has
    /// heard of, what owners asked for and no object has heard, retries that did not come, and those WhatsApp refused
    /// for a version that has changed since.
    pub async fn take_up(
        &self,
        now: u64,
        overdue: &Overdue,
        version_since: Option<u64>,
        limit: u32,
    ) -> Result<Vec<SessionRow>, Refusal> {
        // Taken up and read in one statement, so that two runs at a time don't look after the same.
        let statement = format!(
            "UPDATE session SET swept_at = ?1 WHERE id IN (\
               SELECT id FROM session WHERE swept_at <= ?2 AND (\
                 (status IN ('starting', 'scan_qr_code', 'working') AND observed_at < ?3) \
                 OR (desired_at > heard_at AND desired_at < ?4) \
                 OR (desired = 'deleted' AND desired_at < ?4) \
                 OR (status IN ('failed', 'starting') AND retry_at < ?4) \
                 OR (status = 'failed' AND reason_code = 'client_outdated' AND observed_at < ?5)) \
               ORDER BY MAX(observed_at, swept_at) LIMIT ?6) RETURNING {COLUMNS}"
        );
        let bindings = [
            moment(now),
            moment(now.saturating_sub(overdue.taken_up)),
            moment(now.saturating_sub(overdue.unheard)),
            moment(now.saturating_sub(overdue.undone)),
            moment(version_since.unwrap_or(0)),
            limit.into(),
        ];
        let mut rows: Vec<SessionRow> =
            asking(false, || async { self.0.prepare(&statement).bind(&bindings)?.all().await?.results() })
                .await?;
        rows.sort_by_key(|row| row.observed_at);
        Ok(rows)
    }

    /// A session that was taken up, as it is now: a run may last minutes.
    pub async fn session(&self, id: &str) -> Result<Option<SessionRow>, Refusal> {
        let statement = format!("SELECT {COLUMNS} FROM session WHERE id = ?1");
        asking(true, || async { self.0.prepare(&statement).bind(&[id.into()])?.first(None).await }).await
    }

    /// Removes a session whose owner has deleted it and whose object is empty.
    pub async fn remove_deleted(&self, id: &str) -> Result<(), Refusal> {
        let statement = "DELETE FROM session WHERE id = ?1 AND desired = 'deleted'";
        asking(true, || async { self.0.prepare(statement).bind(&[id.into()])?.run().await.map(drop) }).await
    }

    /// Webhooks whose newest change, from before a moment, somebody has not heard of. Any of them: those that can't be told
    /// must not hold up the others.
    pub async fn unheard_webhooks(&self, before: u64, limit: u32) -> Result<Vec<WebhookRow>, Refusal> {
        let statement = format!(
            "SELECT {} FROM webhook WHERE heard_rev < rev AND updated_at < ?1 ORDER BY RANDOM() LIMIT ?2",
            webhooks::COLUMNS
        );
        let bindings = [moment(before), limit.into()];
        asking(true, || async { self.0.prepare(&statement).bind(&bindings)?.all().await?.results() }).await
    }

    /// Webhooks whose secrets are sealed with another key than the one all of whose begin like this.
    pub async fn webhooks_sealed_otherwise(
        &self,
        beginning: &str,
        limit: u32,
    ) -> Result<Vec<SealedSecrets>, Refusal> {
        let statement = "SELECT id, secret, previous_secret FROM webhook \
             WHERE substr(secret, 1, length(?1)) <> ?1 OR substr(previous_secret, 1, length(?1)) <> ?1 LIMIT ?2";
        let bindings = [beginning.into(), limit.into()];
        asking(true, || async { self.0.prepare(statement).bind(&bindings)?.all().await?.results() }).await
    }

    /// Keeps a webhook's secrets as they are sealed now, unless they have been replaced since.
    pub async fn seal_webhook(
        &self,
        before: &SealedSecrets,
        secret: &str,
        previous: Option<&str>,
    ) -> Result<(), Refusal> {
        let statement = "UPDATE webhook SET secret = ?2, previous_secret = ?3 WHERE id = ?1 AND secret = ?4";
        let bindings =
            [before.id.as_str().into(), secret.into(), nullable(previous), before.secret.as_str().into()];
        asking(true, || async { self.0.prepare(statement).bind(&bindings)?.run().await.map(drop) }).await
    }

    /// When WhatsApp last refused a session for its version that still waits.
    pub async fn outdated_at(&self) -> Result<Option<u64>, Refusal> {
        #[derive(Deserialize)]
        struct Newest {
            at: Option<u64>,
        }
        let statement = "SELECT MAX(observed_at) AS at FROM session \
             WHERE status = 'failed' AND reason_code = 'client_outdated'";
        let newest: Option<Newest> =
            asking(true, || async { self.0.prepare(statement).first(None).await }).await?;
        Ok(newest.and_then(|newest| newest.at))
    }

    /// What is known of the version of WhatsApp.
    pub async fn version(&self) -> Result<Option<KeptVersion>, Refusal> {
        kept_version(&self.0).await
    }

    /// Keeps what is known of the version, and since when sessions claim which.
    pub async fn keep_version(&self, known: &Known, claimed: Option<(Version, u64)>) -> Result<(), Refusal> {
        let statement = "INSERT INTO whatsapp_version (id, fetched, fetched_at, checked_at, claimed, claimed_since) \
             VALUES (1, ?1, ?2, ?3, ?4, ?5) ON CONFLICT (id) DO UPDATE SET fetched = ?1, fetched_at = ?2, \
             checked_at = ?3, claimed = ?4, claimed_since = ?5";
        let bindings = [
            nullable(known.fetched.map(|(version, _)| version.to_string())),
            nullable(known.fetched.map(|(_, at)| moment(at))),
            moment(known.checked_at),
            nullable(claimed.map(|(version, _)| version.to_string())),
            nullable(claimed.map(|(_, since)| moment(since))),
        ];
        asking(true, || async { self.0.prepare(statement).bind(&bindings)?.run().await.map(drop) }).await
    }

    /// Removes the tickets that nobody used in time.
    pub async fn prune_tickets(&self, now: u64) -> Result<(), Refusal> {
        let statement = "DELETE FROM realtime_ticket WHERE expires_at < ?1";
        asking(true, || async { self.0.prepare(statement).bind(&[moment(now)])?.run().await.map(drop) }).await
    }

    /// Removes idempotency keys whose time is over.
    pub async fn prune_idempotency_keys(&self, now: u64, limit: u32) -> Result<(), Refusal> {
        let statement = "DELETE FROM idempotency WHERE rowid IN (\
             SELECT rowid FROM idempotency WHERE expires_at < ?1 ORDER BY expires_at LIMIT ?2)";
        let bindings = [moment(now), limit.into()];
        asking(true, || async { self.0.prepare(statement).bind(&bindings)?.run().await.map(drop) }).await
    }

    /// Removes the oldest entries of the audit log from before a moment; how many.
    pub async fn prune_audit_log(&self, before: u64, limit: u32) -> Result<usize, Refusal> {
        // The ids are in the order of time, and an index; the trigger has the last word.
        let statement = "DELETE FROM audit_log WHERE id IN (SELECT id FROM audit_log \
             WHERE id < ?1 AND at < ?2 ORDER BY id LIMIT ?3)";
        let bindings = [ids::mint(before, [0; 10]).into(), moment(before), limit.into()];
        let result =
            asking(true, || async { self.0.prepare(statement).bind(&bindings)?.run().await }).await?;
        let meta = result.meta().map_err(|error| directory_unavailable(&error))?;
        Ok(meta.and_then(|meta| meta.changes).unwrap_or(0))
    }
}

/// The version as the directory has it.
#[derive(Clone, Copy)]
pub struct KeptVersion {
    /// What the page said.
    pub known: Known,
    /// What sessions claim, and since when.
    pub claimed: Option<(Version, u64)>,
}

/// Reads the version.
pub(super) async fn kept_version(database: &D1Database) -> Result<Option<KeptVersion>, Refusal> {
    #[derive(Deserialize)]
    struct Row {
        fetched: Option<String>,
        fetched_at: Option<u64>,
        checked_at: u64,
        claimed: Option<String>,
        claimed_since: Option<u64>,
    }
    let statement =
        "SELECT fetched, fetched_at, checked_at, claimed, claimed_since FROM whatsapp_version WHERE id = 1";
    let row: Option<Row> = asking(true, || async { database.prepare(statement).first(None).await }).await?;
    let version = |text: Option<String>| text.as_deref().and_then(Version::parse);
    Ok(row.map(|row| KeptVersion {
        known: Known { fetched: version(row.fetched).zip(row.fetched_at), checked_at: row.checked_at },
        claimed: version(row.claimed).zip(row.claimed_since),
    }))
}
