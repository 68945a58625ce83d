//! Hands the session's events over to its organization's ledger: in order, in batches, from a cursor of its own. What
//! fails is tried again by the alarm; what was handed over twice the ledger takes once (docs/decisions/ledger.md).

use std::rc::Rc;
use std::time::Duration;

use gateway_domain::error::ApiError;
use gateway_object::calls::organization::{Appended, Call, Request};
use gateway_object::clock;
use gateway_object::peer::Peer;

use crate::alarm::timer;
use crate::forwarding::State;
use crate::journal::Record;
use crate::room::{Room, failed};

/// How many events go at a time.
const BATCH: u32 = 100;
/// How long the ledger may take; nothing of the socket waits for it.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long after a failure it is tried again.
const RETRY_MS: u64 = 3_000;
/// How long a deleted session's last events may hold up the delete, in milliseconds.
const LAST_MS: u64 = 4_000;
/// Two objects' clocks agree within this.
const SKEW_MS: u64 = 250;

/// Hands over what is new, beside everything else and one batch at a time.
pub fn start(room: &Rc<Room>) {
    if room.is_forwarding.replace(true) {
        return;
    }
    let room = Rc::clone(room);
    wasm_bindgen_futures::spawn_local(async move {
        let handed = hand_over(&room).await;
        if room.erased.get() {
            return room.is_forwarding.set(false);
        }
        let settled = match handed {
            Ok(()) => room.journal.timers().timer(timer::FORWARD).and_then(|set| match set {
                Some(_) => room.journal.timers().clear(timer::FORWARD),
                None => Ok(()),
            }),
            Err(error) => {
                worker::console_warn!("the ledger was not reached, trying again: {}", error.error.message);
                room.journal.timers().set(timer::FORWARD, clock::now() + RETRY_MS)
            }
        };
        if let Err(error) = settled {
            worker::console_error!("timer: {error}");
        }
        room.is_forwarding.set(false);
        room.arm();
    });
}

async fn hand_over(room: &Rc<Room>) -> Result<(), ApiError> {
    let read = |error| failed("the log can't be read", &error);
    loop {
        let Ok(record) = room.record() else { return Ok(()) };
        let state = room.journal.forwarding().state().map_err(read)?;
        if state.is_quiet(clock::now()) || room.journal.last_seq().map_err(read)? <= state.through {
            return Ok(());
        }
        // A session that is not live has no tick: should this die on the way, the alarm does it again.
        if !record.lifecycle.status.is_live() {
            let set = room.journal.timers().set(timer::FORWARD, clock::now() + RETRY_MS);
            set.map_err(|error| failed("timer", &error))?;
            room.arm();
        }
        let appended = append(room, &record, state.through, PATIENCE).await?;
        // Meanwhile somebody may have begun to listen: then this answer is out of date.
        if room.journal.forwarding().state().map_err(read)?.wakes == state.wakes {
            settle(room, state, appended)?;
        }
    }
}

fn settle(room: &Rc<Room>, before: State, appended: Appended) -> Result<(), ApiError> {
    let quiet_since = (!appended.taken).then(clock::now);
    let state = State { through: appended.through.max(before.through), quiet_since, ..before };
    room.journal.forwarding().set(state).map_err(|error| failed("the cursor", &error))
}

async fn append(
    room: &Rc<Room>,
    record: &Record,
    after: u64,
    patience: Duration,
) -> Result<Appended, ApiError> {
    let read = |error| failed("the log can't be read", &error);
    let (events, _) = room.journal.events(record, after, BATCH, &[]).map_err(read)?;
    let request = Request {
        organization: record.organization.clone(),
        call: Call::Append {
            session: record.session.clone(),
            region: record.settings.region.clone(),
            events,
        },
    };
    Peer::organization(&record.organization).ask(&room.env, &request, patience).await
}

/// Somebody listens since a moment.
///
/// # Errors
/// When the database fails.
pub fn wake(room: &Rc<Room>, since: u64) -> Result<(), ApiError> {
    let woken = room.journal.forwarding().wake(since.saturating_sub(SKEW_MS));
    woken.map_err(|error| failed("the cursor", &error))?;
    start(room);
    Ok(())
}

/// The session is being deleted, and nothing more happens in it: its last events are handed over, as far as that is
/// quickly done, and the ledger forgets it.
pub async fn finish(room: &Rc<Room>, record: &Record) {
    // Whoever is at it does not go on: the session is not found any more.
    room.is_forwarding.set(true);
    let deadline = clock::now() + LAST_MS;
    loop {
        let Ok(state) = room.journal.forwarding().state() else { return };
        let is_owed =
            !state.is_quiet(clock::now()) && room.journal.last_seq().is_ok_and(|last| last > state.through);
        let left = Duration::from_millis(deadline.saturating_sub(clock::now()));
        if !is_owed || left.is_zero() {
            break;
        }
        let appended = append(room, record, state.through, left).await;
        if let Err(error) = appended.and_then(|appended| settle(room, state, appended)) {
            worker::console_warn!("a deleted session's last events are lost: {}", error.error.message);
            break;
        }
    }
    let request = Request {
        organization: record.organization.clone(),
        call: Call::Forget { session: record.session.clone() },
    };
    // It forgets by itself when the session can't be found.
    let _told: Result<(), ApiError> = Peer::organization(&record.organization)
        .ask(&room.env, &request, Duration::from_millis(LAST_MS))
        .await;
}
