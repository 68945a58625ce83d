//! Sessions in the directory: the owner's intent, and the projection the session's object writes.

use gateway_domain::lifecycle::{Status, StatusReason};
use serde::Deserialize;
use wasm_bindgen::JsValue;

use super::{Directory, asking, flag, moment, nullable};
use crate::configuration::now;
use crate::error::{Refusal, directory_unavailable};

pub(super) const COLUMNS: &str = "id, organization_id, label, auto_read, presence_typing, rate_per_min, rate_per_hour, region, \
    created_by_user_id, created_at, updated_at, status, status_reason, epoch, phone_number, wa_jid, wa_lid, \
    last_connected_at, desired, desired_at, observed_at, heard_at";

/// A session, as the directory has it.
#[derive(Clone, Debug, Deserialize)]
pub struct SessionRow {
    pub id: String,
    pub organization_id: String,
    pub label: Option<String>,
    auto_read: u8,
    presence_typing: u8,
    pub rate_per_min: u32,
    pub rate_per_hour: u32,
    pub region: Option<String>,
    pub created_by_user_id: Option<String>,
    pub created_at: u64,
    pub updated_at: u64,
    pub status: Status,
    status_reason: Option<String>,
    pub epoch: u64,
    pub phone_number: Option<String>,
    pub wa_jid: Option<String>,
    pub wa_lid: Option<String>,
    pub last_connected_at: Option<u64>,
    desired: String,
    desired_at: u64,
    /// When the object was last heard of.
    pub observed_at: u64,
    heard_at: u64,
}

impl SessionRow {
    pub fn auto_read(&self) -> bool {
        self.auto_read != 0
    }

    pub fn presence_typing(&self) -> bool {
        self.presence_typing != 0
    }

    pub fn status_reason(&self) -> Option<StatusReason> {
        self.status_reason.as_deref().and_then(|reason| serde_json::from_str(reason).ok())
    }

    /// Whether the owner asked for a connection.
    pub fn wants_connection(&self) -> bool {
        self.desired == "connected"
    }

    /// When the owner last asked for something the object must hear.
    pub fn desired_at(&self) -> u64 {
        self.desired_at
    }

    /// Whether the owner asked for something the object has not heard.
    pub fn is_owed_its_wish(&self) -> bool {
        self.desired_at > self.heard_at
    }

    /// Whether the owner deleted it, and that was cut off.
    pub fn is_to_be_deleted(&self) -> bool {
        self.desired == "deleted"
    }

    /// Whether WhatsApp refused its version.
    pub fn was_refused_as_outdated(&self) -> bool {
        let reason = self.status_reason();
        self.status == Status::Failed && reason.is_some_and(|reason| reason.code == "client_outdated")
    }

    /// Nobody has asked for a connection yet: there is nothing to ask its object.
    pub fn was_never_started(&self) -> bool {
        self.desired == "stopped" && self.epoch == 0 && self.status == Status::Stopped
    }
}

/// A session to be.
pub struct NewSession<'a> {
    pub id: &'a str,
    pub label: Option<&'a str>,
    pub auto_read: bool,
    pub presence_typing: bool,
    pub rate_per_min: u32,
    pub rate_per_hour: u32,
    pub region: Option<&'a str>,
    /// Whether it should connect at once.
    pub connected: bool,
    /// The person who makes it.
    pub user: Option<&'a str>,
}

/// What an owner changes; what is absent stays.
pub struct Changes<'a> {
    pub label: Option<&'a str>,
    pub auto_read: Option<bool>,
    pub presence_typing: Option<bool>,
    pub rate_per_min: Option<u32>,
    pub rate_per_hour: Option<u32>,
}

impl Directory {
    /// Adds a session.
    pub async fn insert_session(&self, session: &NewSession<'_>) -> Result<SessionRow, Refusal> {
        let statement = format!(
            "INSERT INTO session (id, organization_id, label, auto_read, presence_typing, rate_per_min, \
             rate_per_hour, region, created_at, updated_at, desired, created_by_user_id, desired_at) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?9, ?10, ?11, ?12) RETURNING {COLUMNS}"
        );
        let row = self
            .first(
                &statement,
                &[
                    session.id.into(),
                    self.organization.as_str().into(),
                    nullable(session.label),
                    flag(session.auto_read),
                    flag(session.presence_typing),
                    session.rate_per_min.into(),
                    session.rate_per_hour.into(),
                    nullable(session.region),
                    moment(now()),
                    desired(session.connected),
                    nullable(session.user),
                    moment(if session.connected { now() } else { 0 }),
                ],
            )
            .await?;
        row.ok_or_else(|| directory_unavailable(&"an insert returned no row"))
    }

    /// The organization's session with this id.
    pub async fn session(&self, id: &str) -> Result<Option<SessionRow>, Refusal> {
        let statement = format!("SELECT {COLUMNS} FROM session WHERE organization_id = ?1 AND id = ?2");
        self.first(&statement, &[self.organization.as_str().into(), id.into()]).await
    }

    /// The organization's sessions after an id, in the order they were made.
    pub async fn sessions(&self, after: &str, limit: u32) -> Result<Vec<SessionRow>, Refusal> {
        let statement = format!(
            "SELECT {COLUMNS} FROM session WHERE organization_id = ?1 AND id > ?2 ORDER BY id LIMIT ?3"
        );
        let bindings = [self.organization.as_str().into(), after.into(), limit.into()];
        asking(true, || async { self.database.prepare(&statement).bind(&bindings)?.all().await?.results() })
            .await
    }

    /// Changes what the owner decides.
    pub async fn update_session(
        &self,
        id: &str,
        changes: &Changes<'_>,
    ) -> Result<Option<SessionRow>, Refusal> {
        let statement = format!(
            "UPDATE session SET label = COALESCE(?3, label), auto_read = COALESCE(?4, auto_read), \
             presence_typing = COALESCE(?5, presence_typing), rate_per_min = COALESCE(?6, rate_per_min), \
             rate_per_hour = COALESCE(?7, rate_per_hour), updated_at = ?8 \
             WHERE organization_id = ?1 AND id = ?2 RETURNING {COLUMNS}"
        );
        let bindings = [
            self.organization.as_str().into(),
            id.into(),
            nullable(changes.label),
            nullable(changes.auto_read.map(flag)),
            nullable(changes.presence_typing.map(flag)),
            nullable(changes.rate_per_min),
            nullable(changes.rate_per_hour),
            moment(now()),
        ];
        self.first(&statement, &bindings).await
    }

    /// Notes what the owner wants: connected or not. What is being deleted is gone already. What is owed the cron tells the object if nobody else does.
    pub async fn set_desired(
        &self,
        id: &str,
        connected: bool,
        is_owed: bool,
    ) -> Result<Option<SessionRow>, Refusal> {
        let statement = format!(
            "UPDATE session SET desired = ?3, updated_at = ?4, desired_at = CASE WHEN ?5 IS NULL THEN desired_at ELSE MAX(desired_at + 1, ?5) END \
             WHERE organization_id = ?1 AND id = ?2 AND desired <> 'deleted' RETURNING {COLUMNS}"
        );
        let now = now();
        let owed = nullable(is_owed.then(|| moment(now)));
        let bindings = [self.organization.as_str().into(), id.into(), desired(connected), moment(now), owed];
        self.first(&statement, &bindings).await
    }

    /// Notes that the owner wants the session gone: the cron finishes a delete that is cut off.
    pub async fn want_deleted(&self, id: &str) -> Result<(), Refusal> {
        let statement = "UPDATE session SET desired = 'deleted', desired_at = MAX(desired_at + 1, ?3) WHERE organization_id = ?1 AND id = ?2";
        let bindings = [self.organization.as_str().into(), id.into(), moment(now())];
        asking(true, || async { self.database.prepare(statement).bind(&bindings)?.run().await.map(drop) })
            .await
    }

    /// Puts back when the session's object was last heard of, for the tests of the cron.
    #[cfg(feature = "simulator")]
    pub async fn set_observed_at(&self, id: &str, at: u64) -> Result<(), Refusal> {
        let statement = "UPDATE session SET observed_at = ?3 WHERE organization_id = ?1 AND id = ?2";
        let bindings = [self.organization.as_str().into(), id.into(), moment(at)];
        asking(true, || async { self.database.prepare(statement).bind(&bindings)?.run().await.map(drop) })
            .await
    }

    /// Removes a session; `false` when there was none.
    pub async fn delete_session(&self, id: &str) -> Result<bool, Refusal> {
        let statement =
            format!("DELETE FROM session WHERE organization_id = ?1 AND id = ?2 RETURNING {COLUMNS}");
        Ok(self.first(&statement, &[self.organization.as_str().into(), id.into()]).await?.is_some())
    }

    async fn first(&self, statement: &str, bindings: &[JsValue]) -> Result<Option<SessionRow>, Refusal> {
        let repeatable = !statement.starts_with("INSERT") && !statement.starts_with("DELETE");
        asking(repeatable, || async { self.database.prepare(statement).bind(bindings)?.first(None).await })
            .await
    }
}

fn desired(connected: bool) -> JsValue {
    JsValue::from_str(if connected { "connected" } else { "stopped" })
}
