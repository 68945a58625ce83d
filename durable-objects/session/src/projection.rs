//! The directory's picture of the session. Only this object writes it (rule 1), with a growing number, so an
//! older picture never replaces a newer one; a failed write is tried again by the alarm and blocks nothing.

use std::rc::Rc;
use std::time::Duration;

use futures::future::{Either, select};
use wasm_bindgen::JsValue;
use worker::Delay;

use crate::alarm::timer;
use crate::clock;
use crate::journal::Record;
use crate::room::Room;

/// How long after a failed write the next is tried.
pub(crate) const RETRY_MS: u64 = 5_000;

/// While the session is live the directory hears of it at least this often, also when nothing changes: the cron takes
/// longer silence for an object that is gone (docs/decisions/sweep.md).
pub const HEARTBEAT_MS: u64 = 600_000;

/// How long the directory may take; nothing of the socket waits for it.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Writes what is observed to the directory, beside everything else and one write at a time.
pub fn start(room: &Rc<Room>) {
    if room.is_projecting.replace(true) {
        return;
    }
    let room = Rc::clone(room);
    wasm_bindgen_futures::spawn_local(async move {
        while project(&room).await {}
        room.is_projecting.set(false);
        room.arm();
    });
}

/// One write; whether there is more to tell by now.
async fn project(room: &Rc<Room>) -> bool {
    let Ok(record) = room.record() else { return false };
    let seq = record.observed_seq;
    let written = match select(std::pin::pin!(write(room, record)), Delay::from(TIMEOUT)).await {
        Either::Left((written, _)) => written,
        Either::Right(_) => Err(worker::Error::RustError("no answer in time".to_owned())),
    };
    let newest = room.record().map(|record| record.observed_seq);
    let settled = match (&written, newest) {
        // Kept as a timer, not in memory: without a socket the object is evicted between two ticks.
        (Ok(()), Ok(newest)) if newest == seq && room.status().is_live() => {
            room.journal.timers().set(timer::PROJECTION, clock::now() + HEARTBEAT_MS)
        }
        (Ok(()), Ok(newest)) if newest == seq => room.journal.timers().clear(timer::PROJECTION),
        (Ok(()), Ok(_)) => return true,
        (Err(error), Ok(_)) => {
            worker::console_warn!("the directory could not be written, trying again: {error}");
            room.journal.timers().set(timer::PROJECTION, clock::now() + RETRY_MS)
        }
        (_, Err(_erased)) => Ok(()),
    };
    if let Err(error) = settled {
        worker::console_error!("timer: {error}");
    }
    false
}

#[allow(clippy::cast_precision_loss, reason = "JavaScript numbers; all far below 2^53")]
async fn write(room: &Room, record: Record) -> worker::Result<()> {
    let number = |number: u64| JsValue::from_f64(number as f64);
    let text = |text: Option<String>| text.map_or(JsValue::NULL, |text| JsValue::from_str(&text));
    let reason = record.lifecycle.reason.as_ref().and_then(|reason| serde_json::to_string(reason).ok());
    #[allow(clippy::disallowed_methods, reason = "an object writes its own row, with its organization")]
    let statement = room.env.d1("DB")?.prepare(
        "UPDATE session SET status = ?1, status_reason = ?2, epoch = ?3, phone_number = ?4, wa_jid = ?5, \
         wa_lid = ?6, last_connected_at = ?7, updated_at = MAX(updated_at, ?8), observed_seq = ?9, \
         observed_at = MAX(observed_at, ?10), heard_at = MAX(heard_at, ?13) \
         WHERE id = ?11 AND organization_id = ?12 AND observed_seq <= ?9",
    );
    let bound = statement.bind(&[
        record.lifecycle.status.name().into(),
        text(reason),
        number(record.lifecycle.epoch),
        text(record.phone_number),
        text(record.wa_jid),
        text(record.wa_lid),
        record.last_connected_at.map_or(JsValue::NULL, number),
        number(clock::now()),
        number(record.observed_seq),
        number(clock::now()),
        record.session.as_str().into(),
        record.organization.as_str().into(),
        number(record.heard_at),
    ])?;
    bound.run().await?;
    Ok(())
}
