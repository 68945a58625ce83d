//! Pages, and what of the configuration and the directory the ledger needs.

use std::rc::Rc;
use std::time::Duration;

use futures::future::{Either, select};
use gateway_domain::error::ApiError;
use gateway_object::calls::organization::{Entry, Page};
use gateway_object::calls::reader::Filter;
use gateway_object::clock;
use gateway_object::reader::{Log, opening};
use gateway_sql::SqlError;
use serde::Deserialize;
use worker::{Delay, Env};

use crate::ledger::Retention;
use crate::room::Room;

const EVENTS: u64 = 100_000;
const DAYS: u64 = 7;
const DAY_MS: u64 = 86_400_000;

/// `LEDGER_EVENTS` and `LEDGER_DAYS`; what can't be used is named by `GET /readyz`.
pub fn retention(env: &Env) -> Retention {
    let number = |name: &str| env.var(name).ok().and_then(|value| value.to_string().parse::<u64>().ok());
    Retention {
        events: number("LEDGER_EVENTS").unwrap_or(EVENTS).max(1),
        milliseconds: number("LEDGER_DAYS").unwrap_or(DAYS).clamp(1, 3_650).saturating_mul(DAY_MS),
    }
}

/// A page, after at most `wait` seconds.
///
/// # Errors
/// `validation_error` for a position beyond the end; when the database fails.
pub async fn page(
    room: &Rc<Room>,
    after: Option<u64>,
    limit: u32,
    wait: u32,
    filter: &Filter,
) -> Result<Page, ApiError> {
    let bounds = room.ledger.bounds().map_err(|error| failed(&error))?;
    let begin = opening(bounds, after.or(Some(bounds.floor)));
    if begin.reset == Some("unknown_position") {
        return Err(ApiError::validation("after", "Beyond the end of this log."));
    }
    let deadline = clock::now() + u64::from(wait) * 1_000;
    let mut position = begin.position;
    loop {
        let woken = room.listen();
        let batch = room.ledger.read(position, limit, filter).map_err(|error| failed(&error))?;
        let newest = room.ledger.bounds().map_err(|error| failed(&error))?.newest;
        position = batch.position;
        let now = clock::now();
        if !batch.events.is_empty() || (position >= newest && now >= deadline) {
            let entries =
                batch.events.into_iter().map(|(position, event)| Entry { position, event }).collect();
            return Ok(Page { entries, position, gap: begin.reset.is_some() });
        }
        if position >= newest {
            let left = Delay::from(Duration::from_millis(deadline - now));
            if let Either::Right(_) = select(woken, left).await {
                return Ok(Page { entries: vec![], position, gap: begin.reset.is_some() });
            }
        }
    }
}

/// The organization's active webhooks.
///
/// # Errors
/// 503 when the directory can't be asked.
pub async fn active_webhooks(env: &Env, organization: &str) -> Result<Vec<String>, ApiError> {
    #[derive(Deserialize)]
    struct Row {
        id: String,
    }
    #[allow(
        clippy::disallowed_methods,
        reason = "the organization's object reads its own organization's rows"
    )]
    let asked = async {
        let statement = "SELECT id FROM webhook WHERE organization_id = ?1 AND active = 1 ORDER BY id";
        env.d1("DB")?.prepare(statement).bind(&[organization.into()])?.all().await?.results::<Row>()
    };
    let rows = match select(std::pin::pin!(asked), Delay::from(Duration::from_secs(10))).await {
        Either::Left((rows, _)) => rows.map_err(|error: worker::Error| error.to_string()),
        Either::Right(_) => Err("no answer in time".to_owned()),
    };
    rows.map(|rows| rows.into_iter().map(|row| row.id).collect()).map_err(|error| {
        worker::console_warn!("the webhooks can't be read: {error}");
        ApiError::unavailable("The directory can't be reached right now.")
    })
}

/// A failure of the database.
pub fn failed(error: &SqlError) -> ApiError {
    worker::console_error!("the ledger's database: {error}");
    ApiError::internal()
}
