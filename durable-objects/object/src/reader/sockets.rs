//! WebSockets over which a log is read. They hibernate: who reads what from where is kept by the runtime beside the
//! socket, so an object that was evicted goes on where it was.
//!
//! The runtime buffers what a slow reader does not take, without end and without telling. So a reader may have only so
//! much that it has not acknowledged (`{"ack": position}`); then it is told that it is paused, and when it goes on
//! saying nothing, closed. Its position is good for coming back.

use std::rc::Rc;

use gateway_domain::error::{ApiError, ErrorCode};
use gateway_domain::stream::{Acknowledgement, Frame};
use gateway_sql::SqlError;
use serde::{Deserialize, Serialize};
use worker::{Response, State, WebSocket, WebSocketIncomingMessage, WebSocketPair};

use super::{Log, opening};
use crate::calls::reader::{Caller, Filter, Key, Socket};
use crate::clock;

/// The most sockets of one log.
const MOST: usize = 200;
/// The most events a reader may have unacknowledged.
const WINDOW: u32 = 256;
/// The most bytes of them.
const WINDOW_BYTES: usize = 4 * 1024 * 1024;
/// How long a paused reader may say nothing.
const PATIENCE_MS: u64 = 60_000;
/// How many events are read at a time.
const BATCH: u32 = 100;
/// The longest thing a reader has to say.
const LONGEST: usize = 256;
/// Where the runtime tells our sockets from others.
const TAG: &str = "reader";
/// Close codes: policy violation (RFC 6455), and our own for a log that is gone.
const NOT_LET_IN: u16 = 1008;
const TOO_BIG: u16 = 1009;
const TOO_SLOW: u16 = 4008;
const GONE: u16 = 4004;

/// A reader, as it is kept beside its socket.
#[derive(Clone, Serialize, Deserialize)]
struct Reader {
    filter: Filter,
    caller: Caller,
    position: u64,
    /// What it acknowledged last.
    acknowledged: u64,
    /// What it was sent and has not acknowledged.
    unacknowledged: u32,
    bytes: usize,
    /// The position at which it was last sent something unacknowledged.
    paused_at: Option<u64>,
}

/// The sockets of an object.
pub struct Sockets<'a>(pub &'a State);

impl Sockets<'_> {
    /// Opens one.
    ///
    /// # Errors
    /// 429 when there are too many; when the log can't be read.
    pub fn open<L: Log>(&self, log: &Rc<L>, asked: Socket) -> Result<Response, ApiError> {
        let failed = |error: String| {
            worker::console_error!("socket: {error}");
            ApiError::internal()
        };
        if self.all().len() >= MOST {
            let error = ApiError::new(ErrorCode::RateLimited, "Too many WebSockets read this log already.");
            return Err(error.with("retryAfterSeconds", 30));
        }
        let opening = opening(log.bounds().map_err(|error| failed(error.to_string()))?, asked.after);
        let pair = WebSocketPair::new().map_err(|error| failed(error.to_string()))?;
        self.0.accept_websocket_with_tags(&pair.server, &[TAG]);
        let reader = Reader {
            filter: asked.filter,
            caller: asked.caller,
            position: opening.position,
            acknowledged: opening.position,
            unacknowledged: 0,
            bytes: 0,
            paused_at: None,
        };
        let told = log.told(reader.position);
        say(&pair.server, &Frame::Connected.json(&told));
        if let Some(reason) = opening.reset {
            say(&pair.server, &Frame::Reset(reason).json(&told));
        }
        keep(&pair.server, &reader);
        serve(log.as_ref(), &pair.server);
        Response::from_websocket(pair.client).map_err(|error| failed(error.to_string()))
    }

    /// Whether there are any.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.all().is_empty()
    }

    /// Sends everybody what is new.
    pub fn push(&self, log: &impl Log) {
        for socket in self.all() {
            serve(log, &socket);
        }
    }

    /// A reader said something.
    pub fn heard(&self, log: &impl Log, socket: &WebSocket, message: &WebSocketIncomingMessage) {
        let WebSocketIncomingMessage::String(text) = message else {
            return close(socket, NOT_LET_IN, "text only");
        };
        // Before it is parsed: a message may have 32 MiB, and the memory is everybody's.
        if text.len() > LONGEST {
            return close(socket, TOO_BIG, "too long");
        }
        if text == "ping" {
            return say(socket, "pong");
        }
        let acknowledged = serde_json::from_str::<Acknowledgement>(text)
            .ok()
            .and_then(|said| log.named(&said.ack))
            .zip(kept(socket));
        let Some((position, mut reader)) = acknowledged else {
            return close(socket, NOT_LET_IN, "not an acknowledgement");
        };
        // Nobody has dealt with what was not sent; and what was acknowledged is not counted again.
        if position > reader.position {
            return close(socket, NOT_LET_IN, "acknowledges what was not sent");
        }
        if position <= reader.acknowledged {
            return;
        }
        reader.acknowledged = position;
        match outstanding(log, position, &reader) {
            Ok((events, bytes)) => {
                (reader.unacknowledged, reader.bytes, reader.paused_at) = (events, bytes, None);
                keep(socket, &reader);
                serve(log, socket);
            }
            Err(error) => worker::console_error!("an acknowledgement could not be taken: {error}"),
        }
    }

    /// Signs of life; and the end of those who are too slow, or whose login is over.
    pub fn tick(&self, log: &impl Log) {
        let now = clock::now();
        for socket in self.all() {
            let Some(reader) = kept(&socket) else {
                close(&socket, NOT_LET_IN, "unknown");
                continue;
            };
            if log.is_gone() {
                close(&socket, GONE, "deleted");
            } else if reader.caller.until.is_some_and(|until| until <= now) {
                close(&socket, NOT_LET_IN, "the login is over");
            } else if reader.paused_at.is_some_and(|since| now.saturating_sub(since) > PATIENCE_MS) {
                close(&socket, TOO_SLOW, "too slow: acknowledge what was sent");
            } else {
                serve(log, &socket);
                let position = kept(&socket).map_or(reader.position, |reader| reader.position);
                say(&socket, &Frame::Heartbeat.json(&log.told(position)));
            }
        }
    }

    /// Ends those of callers that would not be let in any more.
    pub fn dismiss(&self, is_let_in: impl Fn(&Caller) -> bool) {
        for socket in self.all() {
            if kept(&socket).is_none_or(|reader| !is_let_in(&reader.caller)) {
                close(&socket, NOT_LET_IN, "the credential opens the door no longer");
            }
        }
    }

    /// The keys that hold a socket open, each once.
    #[must_use]
    pub fn keys(&self) -> Vec<Key> {
        let mut keys: Vec<Key> = self.all().iter().filter_map(|socket| kept(socket)?.caller.key).collect();
        keys.sort_unstable();
        keys.dedup();
        keys
    }

    /// Ends them all: the log is gone.
    pub fn close_all(&self) {
        for socket in self.all() {
            close(&socket, GONE, "deleted");
        }
    }

    fn all(&self) -> Vec<WebSocket> {
        self.0.get_websockets_with_tag(TAG)
    }
}

/// Sends a reader what is new, as far as its window goes.
fn serve(log: &impl Log, socket: &WebSocket) {
    let Some(mut reader) = kept(socket) else { return };
    if reader.paused_at.is_some() || log.is_gone() {
        return;
    }
    if let Err(error) = send_on(log, socket, &mut reader) {
        worker::console_error!("a socket's log can't be read: {error}");
    }
    keep(socket, &reader);
}

fn send_on(log: &impl Log, socket: &WebSocket, reader: &mut Reader) -> Result<(), SqlError> {
    let bounds = log.bounds()?;
    if reader.position < bounds.floor {
        reader.position = bounds.floor;
        say(socket, &Frame::Reset("expired_position").json(&log.told(reader.position)));
    }
    while reader.position < bounds.newest {
        let room = WINDOW.saturating_sub(reader.unacknowledged);
        if room == 0 || reader.bytes >= WINDOW_BYTES {
            reader.paused_at = Some(clock::now());
            say(socket, &Frame::Paused.json(&log.told(reader.position)));
            return Ok(());
        }
        let batch = log.read(reader.position, room.min(BATCH), &reader.filter)?;
        for (position, event) in &batch.events {
            let frame = Frame::Event(event).json(&log.told(*position));
            reader.bytes += frame.len();
            reader.unacknowledged += 1;
            say(socket, &frame);
        }
        reader.position = batch.position;
    }
    Ok(())
}

/// What a reader was sent after the position it acknowledges.
fn outstanding(log: &impl Log, acknowledged: u64, reader: &Reader) -> Result<(u32, usize), SqlError> {
    let (mut after, mut events, mut bytes) = (acknowledged, 0, 0);
    while after < reader.position && events < WINDOW {
        let batch = log.read(after, BATCH, &reader.filter)?;
        for (position, event) in batch.events.iter().filter(|(position, _)| *position <= reader.position) {
            events += 1;
            bytes += Frame::Event(event).json(&log.told(*position)).len();
        }
        if batch.position <= after {
            break;
        }
        after = batch.position;
    }
    Ok((events, bytes))
}

fn kept(socket: &WebSocket) -> Option<Reader> {
    let text: Option<String> = socket.deserialize_attachment().ok()?;
    serde_json::from_str(&text?).ok()
}

fn keep(socket: &WebSocket, reader: &Reader) {
    let kept = serde_json::to_string(reader).unwrap_or_default();
    if let Err(error) = socket.serialize_attachment(kept) {
        worker::console_error!("a socket's reader could not be kept: {error}");
    }
}

/// Who is gone already is closed by the runtime.
fn say(socket: &WebSocket, text: &str) {
    drop(socket.send_with_str(text));
}

fn close(socket: &WebSocket, code: u16, reason: &str) {
    drop(socket.close(Some(code), Some(reason)));
}
