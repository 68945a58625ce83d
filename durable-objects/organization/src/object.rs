//! The organization's Durable Object.
//!
//! Owns: the ledger, in its SQLite, and the WebSockets of its readers. Name: the organization's id. Interface: `POST`
//! with a [`Request`](gateway_object::calls::organization::Request), or a WebSocket upgrade with one in a header.
//! After a restart: nothing is lost; whoever was being told something is told again by the alarm.

#![allow(missing_docs, reason = "what the durable_object macro makes has none")]

use std::rc::Rc;

use gateway_domain::error::ApiError;
use gateway_object::callers::shut_out;
use gateway_object::calls::organization::{Call, Position, Request as LedgerRequest};
use gateway_object::calls::{SOCKET_HEADER, from_header};
use gateway_object::clock;
use gateway_object::peer::{refuse, reply};
use gateway_object::reader::stream;
use worker::{
    DurableObject, Env, Request, Response, Result, State, WebSocket, WebSocketIncomingMessage, durable_object,
};

use crate::reading::{active_webhooks, failed, page};
use crate::room::{Room, SOCKETS_MS, TRIM_MS, timer};

/// How long until an object whose database can't be used is woken again: a newer gateway may be deployed by then.
const REOPEN_MS: i64 = 300_000;

/// See the module.
#[durable_object]
pub struct Organization {
    room: core::result::Result<Rc<Room>, State>,
}

impl DurableObject for Organization {
    fn new(state: State, env: Env) -> Self {
        let room = Room::open(state, env).map(Rc::new).map_err(|(state, error)| {
            worker::console_error!("the ledger's database can't be used: {error}");
            state
        });
        Self { room }
    }

    async fn fetch(&self, mut request: Request) -> Result<Response> {
        let Ok(room) = &self.room else { return refuse(&ApiError::internal()) };
        let asked = match request.headers().get(SOCKET_HEADER)? {
            Some(header) => from_header::<LedgerRequest>(&header),
            None => serde_json::from_slice(&request.bytes().await?).ok(),
        };
        let Some(asked) = asked else { return refuse(&ApiError::internal()) };
        let answered = match room.recognise(&asked.organization) {
            Ok(()) => answer(room, asked.call).await,
            Err(error) => Err(error),
        };
        match answered {
            Ok(response) => Ok(response),
            Err(error) => refuse(&error),
        }
    }

    async fn alarm(&self) -> Result<Response> {
        // Re-arm first, do the work detached, return at once (docs/decisions/heartbeat.md).
        let room = match &self.room {
            Ok(room) => room,
            Err(state) => {
                state.storage().set_alarm(REOPEN_MS).await?;
                return Response::empty();
            }
        };
        room.bell.rang();
        let now = clock::now();
        let taken = room.ledger.timers().due(now).and_then(|due| {
            for name in &due {
                room.ledger.timers().set(name, now + SOCKETS_MS)?;
            }
            Ok((due, room.ledger.timers().next_due()?))
        });
        match taken {
            Ok((due, next)) => {
                if let Some(next) = next {
                    room.bell.set(next).await?;
                }
                let room = Rc::clone(room);
                wasm_bindgen_futures::spawn_local(async move { work(&room, due).await });
            }
            Err(error) => {
                worker::console_error!("the timers can't be read: {error}");
                room.bell.set(now + SOCKETS_MS).await?;
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

async fn answer(room: &Rc<Room>, call: Call) -> core::result::Result<Response, ApiError> {
    let now = clock::now();
    match call {
        Call::Append { session, region, events } => {
            let before = room.ledger.bounds().map_err(|error| failed(&error))?;
            let appended = room.ledger.append(&session, region.as_deref(), &events, now);
            let appended = appended.map_err(|error| failed(&error))?;
            if room.ledger.bounds().map_err(|error| failed(&error))?.newest > before.newest {
                trim_in_time(room, now);
                room.grown();
            }
            reply(&appended)
        }
        Call::Read { after, limit, wait, filter, listens } => {
            if listens {
                listened(room, now)?;
            }
            reply(&page(room, after, limit, wait, &filter).await?)
        }
        Call::Stream { after, filter, format } => {
            listened(room, now)?;
            stream(Rc::clone(room), after, filter, format)
        }
        Call::Open(socket) => {
            listened(room, now)?;
            let response = room.sockets().open(room, socket)?;
            look_after_sockets(room, now);
            Ok(response)
        }
        Call::RefreshWebhooks => {
            refresh_webhooks(room).await?;
            let position = room.ledger.bounds().map_err(|error| failed(&error))?.newest;
            reply(&Position { position })
        }
        Call::Forget { session } => {
            room.ledger.forget(&session).map_err(|error| failed(&error))?;
            reply(&())
        }
        Call::Tell { event } => {
            let position = room.ledger.tell(&event, now).map_err(|error| failed(&error))?;
            room.grown();
            reply(&Position { position })
        }
    }
}

/// Somebody reads, and may come back as long as the log is kept.
fn listened(room: &Rc<Room>, now: u64) -> core::result::Result<(), ApiError> {
    let until = now.saturating_add(room.retention.milliseconds);
    room.ledger.listened(until, now).map_err(|error| failed(&error))?;
    room.rouse();
    Ok(())
}

/// Reads the organization's webhooks. Of two answers the one that was asked for later counts, whichever comes last.
async fn refresh_webhooks(room: &Rc<Room>) -> core::result::Result<(), ApiError> {
    let number = room.webhooks_asked.get() + 1;
    room.webhooks_asked.set(number);
    let ids = active_webhooks(&room.env, &room.organization()).await?;
    if number > room.webhooks_known.get() {
        room.webhooks_known.set(number);
        room.ledger.set_webhooks(&ids, clock::now()).map_err(|error| failed(&error))?;
        room.rouse();
        room.tell();
    }
    Ok(())
}

fn trim_in_time(room: &Rc<Room>, now: u64) {
    if let Ok(None) = room.ledger.timers().timer(timer::TRIM) {
        room.set_timer(timer::TRIM, now + TRIM_MS);
    }
}

fn look_after_sockets(room: &Rc<Room>, now: u64) {
    if let Ok(None) = room.ledger.timers().timer(timer::SOCKETS) {
        room.set_timer(timer::SOCKETS, now + SOCKETS_MS);
    }
}

async fn work(room: &Rc<Room>, due: Vec<String>) {
    for name in due {
        match name.as_str() {
            timer::TELL => room.tell(),
            timer::WAKE => room.rouse(),
            timer::SOCKETS => sockets(room).await,
            timer::TRIM => trim(room).await,
            unknown => worker::console_warn!("a timer nobody knows: {unknown}"),
        }
    }
    room.arm();
}

async fn sockets(room: &Rc<Room>) {
    if room.sockets().is_empty() {
        if let Err(error) = room.ledger.timers().clear(timer::SOCKETS) {
            worker::console_error!("timer: {error}");
        }
        return;
    }
    // Who reads is somebody who listens, however long.
    if let Err(error) = listened(room, clock::now()) {
        worker::console_error!("{}", error.error.message);
    }
    room.sockets().tick(room.as_ref());
    let keys = room.sockets().keys();
    if keys.is_empty() {
        return;
    }
    match shut_out(&room.env, &room.organization(), &keys).await {
        Ok(out) => room.sockets().dismiss(|caller| caller.key.as_ref().is_none_or(|key| !out.contains(key))),
        Err(error) => worker::console_warn!("readers could not be checked: {error}"),
    }
}

async fn trim(room: &Rc<Room>) {
    let now = clock::now();
    // A net: who has missed a change of the webhooks hears of it within the hour.
    if let Err(error) = refresh_webhooks(room).await {
        worker::console_warn!("the webhooks: {}", error.error.message);
    }
    if let Err(error) = room.ledger.trim(room.retention, now) {
        worker::console_error!("the ledger could not be trimmed: {error}");
    }
    let bounds = room.ledger.bounds();
    // An empty log needs no trimming.
    let next = match bounds {
        Ok(bounds) if bounds.floor >= bounds.newest => room.ledger.timers().clear(timer::TRIM),
        _ => room.ledger.timers().set(timer::TRIM, now + TRIM_MS),
    };
    if let Err(error) = next {
        worker::console_error!("timer: {error}");
    }
}
