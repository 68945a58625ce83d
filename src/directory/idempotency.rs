//! Idempotency keys in the directory: which request a key is for, who is at it, what was answered.

use gateway_domain::idempotency::{Answer, Held, KEPT_MS, LEASE_MS};
use serde::Deserialize;
use wasm_bindgen::JsValue;

use super::{Directory, asking, moment, nullable};
use crate::error::{Refusal, directory_unavailable};

#[derive(Deserialize)]
struct Row {
    request: String,
    resource_id: String,
    holder: String,
    leased_until: Option<u64>,
    status: Option<u16>,
    content_type: Option<String>,
    body: Option<String>,
}

impl From<Row> for Held {
    fn from(row: Row) -> Self {
        let (content_type, body) = (row.content_type, row.body);
        Self {
            request: row.request,
            resource_id: row.resource_id,
            holder: row.holder,
            leased_until: row.leased_until,
            answer: row.status.map(|status| Answer { status, content_type, body }),
        }
    }
}

impl Directory {
    /// Takes a key for a request if nobody has it, and reads who has it then. One that was taken before is free when it
    /// has expired, and for the same request when the attempt is over or its lease is: that goes on with the first id.
    pub async fn take_idempotency_key(
        &self,
        key: &str,
        request: &str,
        holder: &str,
        now: u64,
    ) -> Result<Held, Refusal> {
        let take = "INSERT INTO idempotency \
               (organization_id, key, request, resource_id, holder, leased_until, expires_at) \
             VALUES (?1, ?2, ?3, ?4, ?4, ?6, ?7) \
             ON CONFLICT (organization_id, key) DO UPDATE SET \
               resource_id = CASE WHEN expires_at > ?5 THEN resource_id ELSE ?4 END, \
               request = ?3, holder = ?4, leased_until = ?6, expires_at = ?7, \
               status = NULL, content_type = NULL, body = NULL \
             WHERE expires_at <= ?5 \
               OR (request = ?3 AND status IS NULL AND COALESCE(leased_until, 0) <= ?5)";
        let read = "SELECT request, resource_id, holder, leased_until, status, content_type, body \
             FROM idempotency WHERE organization_id = ?1 AND key = ?2";
        let organization: JsValue = self.organization.as_str().into();
        let taken: [JsValue; 7] = [
            organization.clone(),
            key.into(),
            request.into(),
            holder.into(),
            moment(now),
            moment(now + LEASE_MS),
            moment(now + KEPT_MS),
        ];
        let read_by: [JsValue; 2] = [organization, key.into()];
        // One transaction. What holds the key already does not take it again: it may be repeated.
        let rows: Vec<Row> = asking(true, || async {
            let statements =
                vec![self.database.prepare(take).bind(&taken)?, self.database.prepare(read).bind(&read_by)?];
            let results = self.database.batch(statements).await?;
            results.last().map_or_else(|| Ok(Vec::new()), worker::D1Result::results)
        })
        .await?;
        let row = rows.into_iter().next();
        row.map(Held::from).ok_or_else(|| directory_unavailable(&"a key that was taken is not there"))
    }

    /// Keeps the answer, if the attempt still has the key.
    pub async fn keep_idempotent_answer(
        &self,
        key: &str,
        holder: &str,
        answer: &Answer,
    ) -> Result<(), Refusal> {
        let statement = "UPDATE idempotency SET leased_until = NULL, status = ?4, content_type = ?5, body = ?6 \
             WHERE organization_id = ?1 AND key = ?2 AND holder = ?3";
        let bindings = [
            self.organization.as_str().into(),
            key.into(),
            holder.into(),
            answer.status.into(),
            nullable(answer.content_type.as_deref()),
            nullable(answer.body.as_deref()),
        ];
        self.run_idempotent(statement, &bindings).await
    }

    /// Gives the key back, if the attempt still has it, for another one of the same request.
    pub async fn release_idempotency_key(&self, key: &str, holder: &str) -> Result<(), Refusal> {
        let statement = "UPDATE idempotency SET leased_until = NULL \
             WHERE organization_id = ?1 AND key = ?2 AND holder = ?3";
        let bindings = [self.organization.as_str().into(), key.into(), holder.into()];
        self.run_idempotent(statement, &bindings).await
    }

    /// Forgets the key, if the attempt still has it.
    pub async fn forget_idempotency_key(&self, key: &str, holder: &str) -> Result<(), Refusal> {
        let statement = "DELETE FROM idempotency WHERE organization_id = ?1 AND key = ?2 AND holder = ?3";
        let bindings = [self.organization.as_str().into(), key.into(), holder.into()];
        self.run_idempotent(statement, &bindings).await
    }

    async fn run_idempotent(&self, statement: &str, bindings: &[JsValue]) -> Result<(), Refusal> {
        asking(true, || async { self.database.prepare(statement).bind(bindings)?.run().await.map(drop) })
            .await
    }
}
