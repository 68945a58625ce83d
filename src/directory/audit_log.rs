//! The audit log in the directory: entries are added and read, nothing else.

use gateway_domain::audit::{Actor, ActorKind, AuditEntry, Outcome};
use serde::Deserialize;
use wasm_bindgen::JsValue;

use super::{Directory, asking, moment, nullable};
use crate::error::Refusal;

/// Greater than every ULID, so that the first page is a range of the index as any other.
const AFTER_ALL: &str = "~";

#[derive(Deserialize)]
struct Row {
    id: String,
    organization_id: String,
    at: u64,
    actor_type: String,
    actor_id: String,
    actor_is_super_admin: u8,
    operation: String,
    resource: Option<String>,
    address: Option<String>,
    request_id: String,
    status: u16,
    error_code: Option<String>,
}

impl Directory {
    /// Adds an entry. A second run of the same adds nothing.
    pub async fn append_audit(&self, entry: &AuditEntry) -> Result<(), Refusal> {
        let statement = "INSERT OR IGNORE INTO audit_log (organization_id, id, at, actor_type, actor_id, \
             actor_is_super_admin, operation, resource, address, request_id, status, error_code) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)";
        let bindings = [
            self.organization.as_str().into(),
            entry.id.as_str().into(),
            moment(entry.timestamp),
            entry.actor.kind.name().into(),
            entry.actor.id.as_str().into(),
            JsValue::from(u8::from(entry.actor.super_admin)),
            entry.operation.as_str().into(),
            nullable(entry.resource.as_deref()),
            nullable(entry.address.as_deref()),
            entry.request_id.as_str().into(),
            entry.status.into(),
            nullable(entry.error_code.as_deref()),
        ];
        asking(true, || async { self.database.prepare(statement).bind(&bindings)?.run().await.map(drop) })
            .await
    }

    /// The organization's entries before an id, the newest first; from the newest when there is none.
    pub async fn audit_log(&self, before: Option<&str>, limit: u32) -> Result<Vec<AuditEntry>, Refusal> {
        let statement = "SELECT id, organization_id, at, actor_type, actor_id, actor_is_super_admin, operation, \
             resource, address, request_id, status, error_code FROM audit_log \
             WHERE organization_id = ?1 AND id < ?2 ORDER BY id DESC LIMIT ?3";
        let before = before.unwrap_or(AFTER_ALL);
        let bindings = [self.organization.as_str().into(), before.into(), limit.into()];
        let rows = asking(true, || async {
            self.database.prepare(statement).bind(&bindings)?.all().await?.results::<Row>()
        });
        Ok(rows.await?.into_iter().map(entry).collect())
    }
}

fn entry(row: Row) -> AuditEntry {
    AuditEntry {
        id: row.id,
        organization_id: row.organization_id,
        timestamp: row.at,
        actor: Actor {
            kind: ActorKind::named(&row.actor_type),
            id: row.actor_id,
            super_admin: row.actor_is_super_admin != 0,
        },
        operation: row.operation,
        resource: row.resource,
        address: row.address,
        request_id: row.request_id,
        outcome: Outcome::recorded(row.status, row.error_code.is_some()),
        status: row.status,
        error_code: row.error_code,
    }
}
