//! The directory counted, across organizations, for the metrics: numbers only, and only for who showed their token.

use gateway_domain::metrics::Count;
use serde::Deserialize;
use worker::{D1Database, Env};

use super::operations::{KeptVersion, kept_version};
use super::{asking, database, moment};
use crate::auth::Scraper;
use crate::error::Refusal;

/// See the module.
pub struct Census(D1Database);

impl Census {
    /// The directory, for a scraper.
    ///
    /// # Errors
    /// 503 when there is no database.
    pub fn of(env: &Env, _: &Scraper) -> Result<Self, Refusal> {
        database(env).map(Self)
    }

    /// The sessions by status and reason; a live one is stale that was not heard of since `heard_since`. One pass over
    /// the table.
    pub async fn sessions(&self, heard_since: u64) -> Result<Vec<Count>, Refusal> {
        #[derive(Deserialize)]
        struct Row {
            status: String,
            code: Option<String>,
            sessions: u64,
            stale: u64,
        }
        let statement = "SELECT status, reason_code AS code, COUNT(*) AS sessions, \
             SUM(status IN ('starting', 'scan_qr_code', 'working') AND observed_at < ?1) AS stale \
             FROM session GROUP BY status, reason_code";
        let bindings = [moment(heard_since)];
        let rows: Vec<Row> =
            asking(true, || async { self.0.prepare(statement).bind(&bindings)?.all().await?.results() })
                .await?;
        let count =
            |row: Row| Count { status: row.status, code: row.code, sessions: row.sessions, stale: row.stale };
        Ok(rows.into_iter().map(count).collect())
    }

    /// What is known of the version of WhatsApp.
    pub async fn version(&self) -> Result<Option<KeptVersion>, Refusal> {
        kept_version(&self.0).await
    }
}
