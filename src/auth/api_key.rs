//! API keys: looked up by their hash, as better-auth's api-key plugin stores them. Nothing is remembered between
//! requests: a key that is revoked is refused at once.

use std::time::Duration;

use futures::future::select;
use gateway_domain::api_key::{MAX_KEY_BYTES, Shape, granted, hash, shape};
use gateway_object::calls::reader::Key;
use serde::Deserialize;
use worker::{D1Type, Delay, Env};

use super::{Caller, Failure, Organization, Principal};
use crate::configuration::now;
use crate::directory::{Directory, Flag, Moment, asking};

/// When a key was last used is known to within this, in milliseconds.
const USE_NOTED_EVERY: u64 = 10 * 60 * 1_000;
/// How long an answer waits for the note.
const NOTING: Duration = Duration::from_millis(500);

#[derive(Deserialize)]
struct Row {
    id: String,
    reference_id: String,
    permissions: Option<String>,
    enabled: Option<Flag>,
    expires_at: Option<Moment>,
    last_request: Option<Moment>,
    previous_expires_at: Option<Moment>,
    /// Whether it was found by the secret it has now, not by the one before.
    is_current: Flag,
}

/// Who a key belongs to.
///
/// # Errors
/// A guess for every kind of key that does not open the door; unanswered when the directory can't be asked.
pub async fn authenticate(env: &Env, key: &str) -> Result<Principal, Failure> {
    if key.len() > MAX_KEY_BYTES || shape(key) == Shape::OwnDamaged {
        return Err(Failure::Guess);
    }
    let hash = hash(key);
    let statement = "SELECT id, reference_id, permissions, enabled, expires_at, last_request, \
                     previous_expires_at, key = ?1 AS is_current FROM apikey WHERE key = ?1 OR previous_key = ?1";
    #[allow(clippy::disallowed_methods, reason = "whose it is nobody knows before the key is found")]
    let row = asking(true, || async {
        env.d1("DB")?.prepare(statement).bind_refs(&D1Type::Text(&hash))?.first::<Row>(None).await
    });
    let row = row.await?;
    let Some(row) = row.filter(is_valid) else { return Err(Failure::Guess) };
    let organization = Organization::of_caller(row.reference_id.clone());
    note_use(env, &row, &organization).await;
    Ok(Principal {
        organization,
        shown: Some(Key { id: row.id.clone(), hash }),
        caller: Caller::Key { id: row.id },
        until: None,
        capabilities: granted(row.permissions.as_deref()),
    })
}

fn is_valid(row: &Row) -> bool {
    let has = |until: Option<Moment>| until.is_some_and(|until| !until.is_past());
    row.enabled.is_none_or(|Flag(enabled)| enabled)
        && (row.expires_at.is_none() || has(row.expires_at))
        && (row.is_current.0 || has(row.previous_expires_at))
}

/// Notes when the key was used, now and then. Nobody is refused, or waits long, because that fails.
async fn note_use(env: &Env, row: &Row, organization: &Organization) {
    let before = now().saturating_sub(USE_NOTED_EVERY);
    if row.last_request.is_some_and(|at| at.milliseconds() >= before) {
        return;
    }
    let Ok(directory) = Directory::of(env, organization) else { return };
    let noting = std::pin::pin!(directory.note_key_use(&row.id, before));
    select(noting, Delay::from(NOTING)).await;
}
