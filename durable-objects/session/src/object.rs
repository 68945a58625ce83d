//! The session's Durable Object.
//!
//! Owns: one number's socket, keys, log and messages, in its SQLite. Name: the session's ULID.
//! Interface: `POST` with a [`Request`](crate::call::Request); 200 with the call's answer, or the status and body
//! of an `ApiError`. Invariant: what is told is stored; what is stored was told to nobody before.
//! After a restart: `new` finds the record; the next event (the alarm at the latest, within 15 s) connects again
//! if the record says so. Nothing is lost but the QR code on show.

#![allow(missing_docs, reason = "what the durable_object macro makes has none")]

use std::rc::Rc;
use std::time::Duration;

use futures::future::{Either, select};
use gateway_domain::error::ApiError;
use gateway_domain::lifecycle::{Cause, Happening, Status};
use gateway_domain::timeline::{DAY_MS, Timeline, Uptimes, uptime};
use gateway_object::calls::reader::Filter;
use gateway_object::calls::{FILES_HEADER, SOCKET_HEADER, framed, from_header};
use gateway_object::peer::{refuse, reply};
use gateway_object::reader::stream;
use worker::{
    Delay, DurableObject, Env, Request, Response, Result, State, WebSocket, WebSocketIncomingMessage,
    durable_object,
};

use crate::alarm::timer;
use crate::call::{Call, EventPage, Request as SessionRequest, Snapshot};
use crate::reading::SOCKETS_MS;
use crate::room::{Room, failed};
use crate::{backfill, clock, forward, linking, media, reading_chats, sending};

/// How long `:logout` waits for a connection to say it on.
const LOGOUT_CONNECT_MS: u64 = 20_000;
/// How long a delete does.
const DELETE_CONNECT_MS: u64 = 8_000;
/// How long after an unconfirmed unlink the connection's end may take to tell more.
const LOGOUT_VERDICT_MS: u64 = 3_000;

/// A request's body, with what says where in it files are.
pub struct Files {
    body: Vec<u8>,
    lengths: Option<String>,
}

impl Files {
    /// The JSON, and the files behind it.
    pub fn split(&self) -> Option<(&[u8], Vec<&[u8]>)> {
        match &self.lengths {
            Some(lengths) => framed(&self.body, lengths),
            None => Some((&self.body, Vec::new())),
        }
    }
}

/// See the module.
#[durable_object]
pub struct Session {
    room: core::result::Result<Rc<Room>, State>,
}

/// How long until an object whose database can't be used is woken again: a newer gateway may be deployed by then.
const REOPEN_MS: i64 = 300_000;

impl DurableObject for Session {
    fn new(state: State, env: Env) -> Self {
        let room = Room::open(state, env).map(Rc::new).map_err(|(state, error)| {
            worker::console_error!("the session's database can't be used: {error}");
            state
        });
        Self { room }
    }

    async fn fetch(&self, mut request: Request) -> Result<Response> {
        let Ok(room) = &self.room else { return refuse(&ApiError::internal()) };
        let (socket, lengths) = (request.headers().get(SOCKET_HEADER)?, request.headers().get(FILES_HEADER)?);
        let body = if socket.is_some() { Vec::new() } else { request.bytes().await? };
        let files = Files { body, lengths };
        let request = match socket {
            Some(header) => from_header::<SessionRequest>(&header),
            None => files.split().and_then(|(json, _)| serde_json::from_slice(json).ok()),
        };
        let Some(request) = request else { return refuse(&ApiError::internal()) };
        if matches!(request.call, Call::Delete) && room.is_half_erased() {
            // Not found would say that it is done.
            return match room.erase().await {
                Ok(()) => Response::from_json(&()),
                Err(error) => refuse(&error),
            };
        }
        if let Err(error) = room.recognise(&request) {
            return refuse(&error);
        }
        room.resume(clock::now());
        let answered = answer(room, request.call, request.wish, files).await;
        match answered {
            Ok(response) => Ok(response),
            Err(error) => refuse(&error),
        }
    }

    async fn alarm(&self) -> Result<Response> {
        // Re-arm first, do the work detached, return at once: an alarm that fails is lost after six retries,
        // one that panics wedges the object (docs/decisions/heartbeat.md).
        let room = match &self.room {
            Ok(room) => room,
            Err(state) => {
                state.storage().set_alarm(REOPEN_MS).await?;
                return Response::empty();
            }
        };
        if room.is_gone() {
            return Response::empty();
        }
        let taken = room.take_due(clock::now());
        match taken.and_then(|due| Ok((due, room.journal.timers().next_due()?))) {
            Ok((due, next)) => {
                if let Some(next) = next {
                    room.bell.set(next).await?;
                }
                let room = Rc::clone(room);
                wasm_bindgen_futures::spawn_local(async move { room.work(due).await });
            }
            Err(error) => {
                worker::console_error!("the timers can't be read: {error}");
                room.bell.set(clock::now() + 15_000).await?;
            }
        }
        Response::empty()
    }

    async fn websocket_message(&self, socket: WebSocket, message: WebSocketIncomingMessage) -> Result<()> {
        if let Ok(room) = &self.room {
            room.sockets().heard(room.as_ref(), &socket, &message);
        }
        Ok(())
    }

    async fn websocket_close(&self, _: WebSocket, _: usize, _: String, _: bool) -> Result<()> {
        Ok(())
    }

    async fn websocket_error(&self, _: WebSocket, _: worker::Error) -> Result<()> {
        Ok(())
    }
}

async fn answer(
    room: &Rc<Room>,
    call: Call,
    wish: Option<u64>,
    files: Files,
) -> core::result::Result<Response, ApiError> {
    match call {
        Call::Start => {
            room.wish(Happening::Start, wish)?;
            reply(&room.snapshot()?)
        }
        Call::Stop => {
            room.wish(Happening::Stop, wish)?;
            reply(&room.snapshot()?)
        }
        Call::Restart => {
            room.wish(Happening::Stop, wish)?;
            room.wish(Happening::Start, wish)?;
            reply(&room.snapshot()?)
        }
        Call::Logout => reply(&logout(room).await?),
        Call::Delete => {
            connect_to_unlink(room).await;
            room.erase().await?;
            reply(&())
        }
        Call::Observe => reply(&room.snapshot()?),
        Call::Report => {
            crate::projection::start(room);
            reply(&room.snapshot()?)
        }
        Call::Qr => {
            if room.snapshot()?.paired {
                return Err(ApiError::validation("session", "The session is already paired."));
            }
            if let Some(qr) = room.qr() {
                return reply(&qr);
            }
            // Asking again and again must not outrun the backoff of a connection that fails, nor a verdict.
            if matches!(room.status(), Status::Stopped | Status::LoggedOut) {
                room.happen(Happening::Start);
            }
            Err(ApiError::not_found())
        }
        Call::PairingCode { phone } => reply(&linking::pairing_code(room, &phone).await?.shown()),
        Call::Passkey => reply(&linking::passkey(room)?),
        Call::AnswerPasskey(given) => reply(&linking::answer_passkey(room, given).await?),
        Call::Timeline { before, limit } => reply(&timeline(room, before, limit)?),
        Call::StartBackfill => reply(&backfill::start(room)?),
        Call::Backfill => reply(&backfill::newest(room)?),
        Call::Message { id, chat } => {
            let chat = chat.map(|chat| room.journal.names().settled(&chat));
            let shown = room.journal.messages().show(&room.record()?.session, &id, chat.as_deref());
            let shown = shown.map_err(|error| failed("the messages can't be read", &error))?;
            reply(&shown.ok_or_else(ApiError::not_found)?)
        }
        Call::Media { id, chat } => {
            let chat = chat.map(|chat| room.journal.names().settled(&chat));
            media::fetch(room, &id, chat.as_deref()).await
        }
        Call::ReadChat { chat } => reply(&reading_chats::read(room, &chat).await?),
        Call::KeepPart { lot, file, part } => reply(&sending::keep_part(room, &lot, file, part, &files)?),
        Call::RefuseLot { lot } => reply(&sending::refuse_lot(room, &lot)?),
        Call::Send(send) => sending::send(room, send, files).await,
        Call::Outbox { id } => reply(&sending::outbox_entry(room, &id)?),
        Call::Events { after, limit, wait, types } => reply(&page(room, after, limit, wait, &types).await?),
        Call::Stream { after, types, format } => {
            stream(Rc::clone(room), after, Filter { types, session: None }, format)
        }
        Call::Open(socket) => {
            let response = room.sockets().open(room, socket)?;
            // Not pushed ahead by whoever comes all the time.
            if room.journal.timers().timer(timer::SOCKETS).map_err(|error| failed("timer", &error))?.is_none()
            {
                let set = room.journal.timers().set(timer::SOCKETS, clock::now() + SOCKETS_MS);
                set.map_err(|error| failed("timer", &error))?;
            }
            room.arm();
            Ok(response)
        }
        Call::Forward { since } => {
            forward::wake(room, since)?;
            reply(&())
        }
        #[cfg(feature = "simulator")]
        #[allow(clippy::panic, reason = "the tests ask for it; simulator build only")]
        Call::Panic => panic!("asked for by a test"),
        #[cfg(feature = "simulator")]
        Call::Vanish { keeps_alarm } => {
            crate::vanish::vanish(room.state(), keeps_alarm);
            reply(&())
        }
        #[cfg(feature = "simulator")]
        Call::Hold(point) => {
            room.outgoing.hold.set(point);
            reply(&room.outgoing.held.get())
        }
        #[cfg(feature = "simulator")]
        Call::Crash(point) => {
            room.crash_point.set(Some(point));
            reply(&())
        }
    }
}

/// A number that is being deleted is unlinked, and has to be connected for that. Not for long: what can't be unlinked is
/// deleted all the same.
async fn connect_to_unlink(room: &Rc<Room>) {
    let is_paired = room.snapshot().is_ok_and(|snapshot| snapshot.paired);
    if !is_paired || room.status() == Status::Working {
        return;
    }
    room.happen(Happening::Start);
    let deadline = clock::now() + DELETE_CONNECT_MS;
    while room.status().is_live() && room.status() != Status::Working {
        let woken = room.listen();
        let now = clock::now();
        if now >= deadline {
            return;
        }
        let _either = select(woken, Delay::from(Duration::from_millis(deadline - now))).await;
    }
}

/// Unlinks on WhatsApp, connecting for it if need be. The keys go only when WhatsApp confirmed (rule 2).
async fn logout(room: &Rc<Room>) -> core::result::Result<Snapshot, ApiError> {
    if !room.snapshot()?.paired {
        if room.status() != Status::LoggedOut {
            room.happen(Happening::Stop);
        }
        return room.snapshot();
    }
    let was_stopped = !room.status().is_live();
    if room.status() != Status::Working {
        room.happen(Happening::Start);
    }
    let epoch = room.epoch();
    let outcome = unlink(room).await;
    if outcome.is_err() && was_stopped && room.epoch() == epoch && room.status().is_live() {
        // It was connected for this only.
        room.happen(Happening::Stop);
    }
    outcome
}

/// Waits for the connection and unlinks over it.
async fn unlink(room: &Rc<Room>) -> core::result::Result<Snapshot, ApiError> {
    let deadline = clock::now() + LOGOUT_CONNECT_MS;
    let connection = loop {
        let woken = room.listen();
        if let Some(connection) = room.connection() {
            break connection;
        }
        let now = clock::now();
        if now >= deadline || !room.status().is_live() {
            return Err(unconfirmed("the session could not be connected", room.status()));
        }
        let _either = select(woken, Delay::from(Duration::from_millis(deadline - now))).await;
    };
    let Err(error) = connection.unlink().await else {
        room.happen(Happening::LogoutConfirmed);
        return room.snapshot();
    };
    // It may have gone through all the same, or the phone was faster: the end of this connection or the next login
    // tells.
    connection.cut(Cause::Network("an unlink was not confirmed".to_owned()));
    let deadline = clock::now() + LOGOUT_VERDICT_MS;
    loop {
        let woken = room.listen();
        let now = clock::now();
        match room.status() {
            Status::LoggedOut => return room.snapshot(),
            Status::Working if now < deadline => {
                let _either = select(woken, Delay::from(Duration::from_millis(deadline - now))).await;
            }
            status => return Err(unconfirmed(&error, status)),
        }
    }
}

fn unconfirmed(reason: &str, status: Status) -> ApiError {
    ApiError::unavailable(format!(
        "WhatsApp did not confirm the unlink: {reason}. The pairing is kept; try again."
    ))
    .with("status", status.name())
}

fn timeline(room: &Rc<Room>, before: Option<u64>, limit: u32) -> core::result::Result<Timeline, ApiError> {
    let read = |error| failed("the timeline can't be read", &error);
    let now = clock::now();
    let mut data = room.journal.stretches(before, limit + 1).map_err(read)?;
    let more = data.len() > limit as usize;
    data.truncate(limit as usize);
    let changes = room.journal.changes_since(now.saturating_sub(7 * DAY_MS)).map_err(read)?;
    let over = |span: u64| uptime(&changes, now.saturating_sub(span), now);
    Ok(Timeline {
        next_cursor: data.last().filter(|_| more).map(|stretch| stretch.seq.to_string()),
        data,
        uptime: Uptimes { last24_hours: over(DAY_MS), last7_days: over(7 * DAY_MS) },
    })
}

async fn page(
    room: &Rc<Room>,
    after: u64,
    limit: u32,
    wait: u32,
    types: &[String],
) -> core::result::Result<EventPage, ApiError> {
    let read = |error| failed("the log can't be read", &error);
    if after > room.journal.last_seq().map_err(read)? {
        return Err(ApiError::validation("after", "Beyond the end of this log."));
    }
    let gap = after.saturating_add(1) < room.journal.first_seq().map_err(read)?;
    let deadline = clock::now() + u64::from(wait) * 1_000;
    let mut after = after;
    loop {
        let woken = room.listen();
        let record = room.record()?;
        let (events, position) = room.journal.events(&record, after, limit, types).map_err(read)?;
        let now = clock::now();
        if !events.is_empty() || now >= deadline {
            return Ok(EventPage { events, position, gap });
        }
        after = position;
        if let Either::Right(_) = select(woken, Delay::from(Duration::from_millis(deadline - now))).await {
            return Ok(EventPage { events: vec![], position, gap });
        }
    }
}
