//! The log as Server-Sent Events (WHATWG HTML, "Server-sent events"): `id:` is the `seq` to resume after.
//!
//! A reader is a cursor: events are read from the log when it is ready for more, never buffered for it.

use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use futures::future::{Either, select};
use futures::stream::{Stream, unfold};
use gateway_domain::event::Envelope;
use serde_json::json;
use worker::Delay;

use crate::room::Room;

/// A comment this often keeps proxies from closing a quiet stream.
const KEEPALIVE: Duration = Duration::from_secs(20);
/// How many events are read at a time.
const BATCH: u32 = 100;

struct Reader {
    room: Rc<Room>,
    types: Vec<String>,
    position: u64,
    ready: VecDeque<String>,
}

/// The stream from a position, or from now on; `None` when the session is gone.
pub fn events(
    room: Rc<Room>,
    after: Option<u64>,
    types: Vec<String>,
) -> impl Stream<Item = worker::Result<Vec<u8>>> {
    let (position, opening) = opening(&room, after);
    let reader = Reader { room, types, position, ready: opening.into() };
    unfold(reader, |mut reader| async move {
        let frame = next(&mut reader).await?;
        Some((Ok(frame.into_bytes()), reader))
    })
}

fn opening(room: &Room, after: Option<u64>) -> (u64, Vec<String>) {
    let newest = room.journal.last_seq().unwrap_or(0);
    let oldest = room.journal.first_seq().unwrap_or(0);
    // With an id, so that a reader who saw nothing else still knows where it was.
    let connected = |position: u64| {
        format!("retry: 2000\nid: {position}\nevent: connected\ndata: {}\n\n", json!({"position": position}))
    };
    let reset = |position: u64, reason: &str| reset(oldest, position, reason);
    match after {
        None => (newest, vec![connected(newest)]),
        Some(after) if after > newest => (newest, vec![connected(newest), reset(newest, "unknown_position")]),
        Some(after) if after + 1 < oldest => {
            let position = oldest.saturating_sub(1);
            (position, vec![connected(position), reset(position, "expired_position")])
        }
        Some(after) => (after, vec![connected(after)]),
    }
}

fn reset(oldest: u64, position: u64, reason: &str) -> String {
    let data = json!({"reason": reason, "oldest": oldest, "position": position});
    format!("id: {position}\nevent: reset\ndata: {data}\n\n")
}

async fn next(reader: &mut Reader) -> Option<String> {
    loop {
        if let Some(frame) = reader.ready.pop_front() {
            return Some(frame);
        }
        // Before reading: what is written in between must wake us.
        let woken = reader.room.listen();
        let record = reader.room.record().ok()?;
        // A reader so slow that the retention overtook it is told, not served a gap.
        let oldest = reader.room.journal.first_seq().ok()?;
        if reader.position + 1 < oldest {
            reader.position = oldest - 1;
            return Some(reset(oldest, reader.position, "expired_position"));
        }
        let (events, position) =
            reader.room.journal.events(&record, reader.position, BATCH, &reader.types).ok()?;
        reader.position = position;
        if events.is_empty() {
            if let Either::Right(_) = select(woken, Delay::from(KEEPALIVE)).await {
                return Some(": keepalive\n\n".to_owned());
            }
        } else {
            reader.ready.extend(events.iter().map(frame));
        }
    }
}

fn frame(event: &Envelope) -> String {
    let data = serde_json::to_string(event).unwrap_or_default();
    format!("id: {}\nevent: {}\ndata: {data}\n\n", event.seq, event.event)
}
