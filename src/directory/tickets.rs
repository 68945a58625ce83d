//! Realtime tickets: kept by their hash, used once.

use wasm_bindgen::JsValue;

use super::{Directory, asking, moment};
use crate::error::Refusal;

impl Directory {
    /// Keeps a ticket.
    pub async fn insert_ticket(&self, hash: &str, scope: &str, expires_at: u64) -> Result<(), Refusal> {
        let statement = "INSERT INTO realtime_ticket (hash, organization_id, scope, expires_at) \
                         VALUES (?2, ?1, ?3, ?4)";
        let bindings: [JsValue; 4] =
            [self.organization.as_str().into(), hash.into(), scope.into(), moment(expires_at)];
        asking(false, || async { self.database.prepare(statement).bind(&bindings)?.run().await.map(drop) })
            .await
    }
}
