//! The cron (docs/decisions/sweep.md): the second net under the sessions' own alarms. Every few minutes it asks after
//! the version of WhatsApp, wakes sessions nobody has heard of, finishes what was left half-done, and prunes what is kept
//! for a time. Each of them goes on whatever becomes of the others.

use std::time::Duration;

use futures::StreamExt;
use gateway_domain::error::ApiError;
use gateway_domain::whatsapp_version::{Known, Worries};
use gateway_object::calls::session::{Call, Snapshot};
use gateway_session::whatsapp_version::{ask_page, pinned};
use worker::{Delay, Env, ScheduleContext, ScheduledEvent, event};

use crate::auth::Organization;
use crate::configuration::now;
use crate::directory::{Operations, Overdue, SessionRow};
use crate::error::Refusal;
use crate::routes::webhooks;
use crate::session_object::SessionObject;

/// A live session's object writes its projection every ten minutes at least; after this long something is wrong.
pub const UNHEARD_MS: u64 = 15 * 60 * 1_000;
/// What is asked of an object is done within seconds, or its caller was told that it failed.
const UNDONE_MS: u64 = 60 * 1_000;
/// A session is not taken up again before this: a call takes less, retries included.
const TAKEN_UP_MS: u64 = 4 * 60 * 1_000;
/// The most sessions of one run, and how long it may begin new calls: within the interval of the cron.
const MOST: u32 = 500;
const BUDGET_MS: u64 = 3 * 60 * 1_000;
/// Calls at a time: a Worker has six connections.
const AT_ONCE: usize = 5;
/// Between two calls of a lane, so that many that come back don't come back at once.
const PAUSE: Duration = Duration::from_millis(200);
/// How long the audit log is kept, a month more than the directory insists on; and the most entries a run removes.
const AUDIT_KEPT_MS: u64 = 400 * 24 * 60 * 60 * 1_000;
const AUDIT_MOST: u32 = 5_000;
/// The most idempotency keys a run removes. One whose time is over is as good as gone before.
const KEYS_MOST: u32 = 20_000;

#[event(scheduled)]
async fn scheduled(event: ScheduledEvent, env: Env, _: ScheduleContext) {
    // What fails has been logged.
    let Ok(operations) = Operations::of(&env, &event) else { return };
    let version_since = look_after_version(&env, &operations).await.unwrap_or_else(|refusal| {
        worker::console_error!("the version of WhatsApp was not checked: {}", refusal.0.error.message);
        None
    });
    if let Err(refusal) = sweep(&env, &operations, version_since).await {
        worker::console_error!("the sessions were not swept: {}", refusal.0.error.message);
    }
    if let Err(refusal) = webhooks::finish::finish(&env, &operations).await {
        worker::console_error!("the webhooks were not looked after: {}", refusal.0.error.message);
    }
    if let Err(refusal) = operations.prune_tickets(now()).await {
        worker::console_error!("the realtime tickets were not pruned: {}", refusal.0.error.message);
    }
    if let Err(refusal) = operations.prune_idempotency_keys(now(), KEYS_MOST).await {
        worker::console_error!("the idempotency keys were not pruned: {}", refusal.0.error.message);
    }
    match operations.prune_audit_log(now().saturating_sub(AUDIT_KEPT_MS), AUDIT_MOST).await {
        Ok(0) => {}
        Ok(pruned) => worker::console_log!("{pruned} entries of the audit log were older than 400 days"),
        Err(refusal) => {
            worker::console_error!("the audit log was not pruned: {}", refusal.0.error.message);
        }
    }
}

/// Asks WhatsApp's page when it is time, and says since when sessions claim the version they claim.
async fn look_after_version(env: &Env, operations: &Operations) -> Result<Option<u64>, Refusal> {
    let pinned = pinned(env);
    let kept = operations.version().await?;
    let mut known = kept.map(|kept| kept.known);
    if Known::is_due(known.as_ref(), operations.outdated_at().await?, now()) {
        let fetched = match ask_page(env).await {
            Ok(version) => Some((version, now())),
            Err(error) => {
                worker::console_warn!("{error}");
                known.and_then(|known| known.fetched)
            }
        };
        known = Some(Known { fetched, checked_at: now() });
    }
    let current = pinned.or(known.and_then(|known| known.fetched).map(|(version, _)| version));
    let before = kept.and_then(|kept| kept.claimed);
    let claimed = match (current, before) {
        (Some(current), Some((same, since))) if current == same => Some((current, since)),
        (Some(current), _) => {
            worker::console_log!("sessions that connect from now on claim version {current} of WhatsApp Web");
            Some((current, now()))
        }
        (None, before) => before,
    };
    let worries = Worries::about(pinned, known.as_ref(), now());
    if worries.not_refreshed {
        worker::console_warn!(
            "WhatsApp's page has not confirmed a version for days; sessions may soon be refused"
        );
    }
    if worries.pinned_behind {
        worker::console_warn!(
            "WHATSAPP_VERSION is older than what WhatsApp serves; sessions may soon be refused"
        );
    }
    if let Some(known) = known
        && (Some(known), claimed) != (kept.map(|kept| kept.known), before)
    {
        operations.keep_version(&known, claimed).await?;
    }
    Ok(claimed.map(|(_, since)| since))
}

/// Looks after the sessions that need it.
async fn sweep(env: &Env, operations: &Operations, version_since: Option<u64>) -> Result<(), Refusal> {
    let overdue = Overdue { unheard: UNHEARD_MS, undone: UNDONE_MS, taken_up: TAKEN_UP_MS };
    let began = now();
    let rows = operations.take_up(began, &overdue, version_since, MOST).await?;
    if rows.is_empty() {
        return Ok(());
    }
    let (mut well, mut unwell, mut left) = (0, 0, 0);
    let calls = rows.iter().map(async |row| {
        if now().saturating_sub(began) > BUDGET_MS {
            return None;
        }
        let cared = care_for(env, operations, row).await;
        Delay::from(PAUSE).await;
        Some(cared.inspect_err(|Refusal(error)| {
            worker::console_warn!("session {} could not be looked after: {}", row.id, error.error.message);
        }))
    });
    let mut outcomes = futures::stream::iter(calls).buffer_unordered(AT_ONCE);
    while let Some(outcome) = outcomes.next().await {
        match outcome {
            Some(Ok(())) => well += 1,
            Some(Err(_)) => unwell += 1,
            None => left += 1,
        }
    }
    worker::console_log!(
        "swept {well} sessions; {unwell} could not be reached, {left} are left for the next run"
    );
    Ok(())
}

/// Tells the object what it may not have heard. Whatever a call is, it makes the object connect again if it should be.
async fn care_for(env: &Env, operations: &Operations, row: &SessionRow) -> Result<(), Refusal> {
    let Some(row) = operations.session(&row.id).await? else { return Ok(()) };
    let row = &row;
    let object = SessionObject::of(env, row);
    if row.is_to_be_deleted() {
        webhooks::delete_of_session(env, &Organization::of(row), &row.id).await?;
        return match object.call::<()>(Call::Delete).await {
            // Not found: it was erased before.
            Err(Refusal(error)) if error != ApiError::not_found() => Err(Refusal(error)),
            _ => operations.remove_deleted(&row.id).await,
        };
    }
    if row.is_owed_its_wish() {
        let call = if row.wants_connection() { Call::Start } else { Call::Stop };
        object.call::<Snapshot>(call).await?;
    } else if row.was_refused_as_outdated() {
        object.call::<Snapshot>(Call::Start).await?;
    }
    object.call::<Snapshot>(Call::Report).await.map(drop)
}
