//! One attempt at one entry of the outbox: its files prepared, its turn taken, its messages on the socket, each
//! acknowledged. Whoever waits for it is told by [`Room::give_up`](crate::room::Room) or by the acknowledgement itself.

use std::rc::Rc;
use std::time::Duration;

use futures::future::{Either, select};
use gateway_domain::error::{ApiError, ErrorCode};
use gateway_domain::lifecycle::Happening;
use gateway_domain::message::Task;
use gateway_domain::pacing::{choosing_time, typing_time};
use gateway_sql::SqlError;
use whatsapp_rust::proto_helpers::MessageExt;
use whatsapp_rust::waproto::codec;
use whatsapp_rust::waproto::whatsapp::Message;
use whatsapp_rust::{IqError, Jid, SendError, SendOptions};
use worker::Delay;

use crate::call::HoldPoint;
use crate::connection::Connection;
use crate::outbox::Entry;
use crate::room::{Room, failed};
use crate::turn::{Wait, Why};
use crate::{clock, uploading};

/// How long a message may take to the socket: the library asks whose devices it is for, and for their keys, of a large
/// group in many questions, which have 75 s each.
const LEAVING_TIMEOUT: Duration = Duration::from_secs(90);
/// How long WhatsApp has to acknowledge a message that has left before it goes again.
const ACK_TIMEOUT: Duration = Duration::from_secs(20);
/// How long WhatsApp may take to say whether it knows a number.
const LOOK_UP_TIMEOUT: Duration = Duration::from_secs(5);
/// How long WhatsApp may take to say until when a number is held back.
const TIMELOCK_TIMEOUT: Duration = Duration::from_secs(5);

/// Why an entry was not acknowledged.
pub enum Unsent {
    /// It can't be sent.
    Refused(ApiError),
    /// WhatsApp refused it. That is stored; this is what who waits is told.
    Settled(ApiError),
    /// It went out, and WhatsApp did not answer.
    Unanswered(String),
    /// Something it needs is out of reach: for this reason.
    Later(String),
    /// The connection is gone: the next one takes it up.
    Disconnected,
    /// It must wait for its turn.
    Waits(Wait),
    /// It has ended meanwhile.
    Over,
}

/// Makes an attempt, and settles what follows if it was in vain.
pub async fn attempt(room: &Rc<Room>, id: &str) {
    let connection = room.connection();
    let Err(unsent) = transmit(room, connection.as_ref(), id).await else { return };
    // What went wrong on a connection that is gone says nothing of the message, whatever it looks like.
    let is_lost = !connection.is_some_and(|connection| room.is_up(&connection));
    let unsent = match unsent {
        Unsent::Later(_) | Unsent::Unanswered(_) if is_lost => Unsent::Disconnected,
        unsent => unsent,
    };
    if let Err(error) = settle(room, id, unsent) {
        worker::console_error!("the outbox: {error}");
        // Not at once again, if that can be written.
        let _not_written_either = room.journal.outbox().try_later(id, clock::now());
    }
}

fn settle(room: &Rc<Room>, id: &str, unsent: Unsent) -> Result<(), SqlError> {
    let outbox = room.journal.outbox();
    let Some(entry) = outbox.entry(id)? else { return Ok(()) };
    let now = clock::now();
    let is_still_here = !entry.is_async && entry.begun.is_none();
    let given_up = |reason: &str| ApiError::unavailable(format!("The message was given up: {reason}."));
    match unsent {
        Unsent::Over => Ok(()),
        Unsent::Refused(error) => room.give_up(id, error),
        Unsent::Settled(error) => {
            room.outgoing.ended(id, &Err(error));
            Ok(())
        }
        Unsent::Waits(wait) if is_still_here => room.give_up(id, room.promise(wait, now)?.error(now)),
        Unsent::Waits(wait) => {
            if wait.why != Why::Rate {
                room.outgoing.holds_back_new_chats.set(true);
            }
            outbox.postpone(id, wait.until)
        }
        // Who waits hears of it only when it takes too long.
        Unsent::Disconnected => outbox.let_go(id),
        // Somebody waits, and nothing has left: they may ask again without fear.
        Unsent::Later(reason) if is_still_here => {
            room.give_up(id, ApiError::unavailable(format!("The message was not sent: {reason}.")))
        }
        // How long it may take is bounded by how long it may wait at all.
        Unsent::Later(_) if entry.begun.is_none() => outbox.try_later(id, now).map(|_attempts| ()),
        Unsent::Later(reason) | Unsent::Unanswered(reason) => {
            let attempts = outbox.try_later(id, now)?;
            if entry.is_hopeless(attempts, now) { room.give_up(id, given_up(&reason)) } else { Ok(()) }
        }
    }
}

async fn transmit(room: &Rc<Room>, connection: Option<&Rc<Connection>>, id: &str) -> Result<(), Unsent> {
    let broken = |error: SqlError| Unsent::Refused(failed("the outbox", &error));
    let connection = connection.ok_or(Unsent::Disconnected)?;
    let outbox = room.journal.outbox();
    if let Some(request) = outbox.request(id).map_err(broken)? {
        let Ok(Task::Say(outgoing)) = serde_json::from_str::<Task>(&request) else {
            return Err(Unsent::Refused(failed("an entry of the outbox", &"can't be read")));
        };
        uploading::prepare(room, connection, id, &outgoing).await?;
    }
    room.hold(HoldPoint::Fixed).await;
    // A file may have taken its time.
    if !room.is_up(connection) {
        return Err(Unsent::Disconnected);
    }
    let entry = outbox.entry(id).map_err(broken)?.filter(|entry| !entry.state.is_final());
    let entry = entry.ok_or(Unsent::Over)?;
    let messages = outbox.messages(id).map_err(broken)?;
    if entry.begun.is_none() {
        if room.is_new_chat(&entry.chat).map_err(broken)? {
            look_up(connection, &entry.chat).await?;
            if !room.is_up(connection) {
                return Err(Unsent::Disconnected);
            }
        }
        take_turn(room, &entry)?;
        room.outgoing.are_here(id, &messages);
    }
    room.hold(HoldPoint::Begun).await;
    for fixed in messages {
        let Some(bytes) = fixed.bytes else { continue };
        let message = codec::message_decode(&bytes);
        let message = message.map_err(|error| Unsent::Refused(failed("a stored message", &error)))?;
        send(room, connection, &entry, &fixed.message_id, message).await?;
    }
    let ended = outbox.entry(id).map_err(broken)?.is_none_or(|entry| entry.state.is_final());
    if ended { Ok(()) } else { Err(Unsent::Unanswered("its acknowledgement could not be stored".to_owned())) }
}

/// Whether there is anybody: WhatsApp acknowledges also what is for a number it doesn't know, and the library would encrypt
/// it for this number's own devices alone. Without an answer it is tried.
async fn look_up(connection: &Rc<Connection>, chat: &str) -> Result<(), Unsent> {
    let Some(jid) = chat.parse::<Jid>().ok().filter(Jid::is_pn) else { return Ok(()) };
    let (contacts, asked) = (connection.client.contacts(), [jid]);
    let looked_up = std::pin::pin!(contacts.is_on_whatsapp(&asked));
    match select(looked_up, Delay::from(LOOK_UP_TIMEOUT)).await {
        Either::Left((Ok(found), _))
            if found.iter().any(|one| !one.is_registered && one.contact_error.is_none()) =>
        {
            Err(Unsent::Refused(ApiError::conflict("This number is not on WhatsApp.").with("field", "to")))
        }
        _ => Ok(()),
    }
}

/// In one run with looking whether it is: so the limits are exact.
fn take_turn(room: &Rc<Room>, entry: &Entry) -> Result<(), Unsent> {
    let outbox = room.journal.outbox();
    let now = clock::now();
    let taken = room.is_new_chat(&entry.chat).and_then(|is_new_chat| {
        let (rules, turns) = (room.rules(now), &room.outgoing.turns);
        if let Some(wait) = rules.turn(&outbox, &entry.chat, is_new_chat, now)? {
            return Ok(Err(Unsent::Waits(wait)));
        }
        let until = if entry.is_async { turns.next_free(&rules, &outbox, now)? } else { now };
        if until > now {
            return Ok(Err(Unsent::Waits(Wait { until, why: Why::Rate })));
        }
        let is_taken = outbox.begin(&entry.id, is_new_chat, now)?;
        turns.taken(entry.is_async, now);
        Ok(if is_taken { Ok(()) } else { Err(Unsent::Over) })
    });
    taken.unwrap_or_else(|error| Err(Unsent::Refused(failed("the outbox", &error))))
}

/// One message, under its id, until it is acknowledged.
async fn send(
    room: &Rc<Room>,
    connection: &Rc<Connection>,
    entry: &Entry,
    id: &str,
    message: Message,
) -> Result<(), Unsent> {
    let to: Jid =
        entry.chat.parse().map_err(|_| Unsent::Refused(ApiError::validation("to", "Not a JID.")))?;
    let ack = connection.expect_ack(id);
    let exchange = async {
        leave(room, connection, to, id, message).await?;
        room.hold(HoldPoint::Left).await;
        match select(ack, Delay::from(ACK_TIMEOUT)).await {
            Either::Left((ack, _)) => ack.map_err(|_| Unsent::Disconnected),
            Either::Right(_) => Err(Unsent::Unanswered("WhatsApp did not answer in time".to_owned())),
        }
    };
    let outcome = exchange.await;
    connection.forget_ack(id);
    let Some(code) = outcome?.error else { return Ok(()) };
    // Stored before anything else is asked: what WhatsApp refused must not go again.
    let written = room.write_failure(&entry.id, refused(&code));
    let written = written.map_err(|error| Unsent::Refused(failed("the outbox", &error)))?;
    let error = written.ok_or(Unsent::Over)?;
    // Of an album that was sent in part it is told as that.
    if code != "463" || error.error.code != ErrorCode::Conflict {
        return Err(Unsent::Settled(error));
    }
    let until = learn_timelock(room, connection).await;
    let wait = until.map(|until| Wait { until, why: Why::Timelock });
    let timelocked = wait.map(|wait| wait.error(clock::now()).with("waMessageId", id));
    Err(Unsent::Settled(timelocked.unwrap_or(error)))
}

/// Onto the socket.
async fn leave(
    room: &Rc<Room>,
    connection: &Rc<Connection>,
    to: Jid,
    id: &str,
    message: Message,
) -> Result<(), Unsent> {
    let text = message.text_content().map(|text| text.chars().count());
    let typing = room.record().is_ok_and(|record| record.settings.presence_typing);
    let leaving = async {
        let [jitter, ..] = clock::random::<4>().map(u32::from);
        if let Some(length) = text.filter(|_| typing) {
            let _not_important = connection.client.chatstate().send_composing(&to).await;
            Delay::from(typing_time(length, jitter)).await;
            let _not_important = connection.client.chatstate().send_paused(&to).await;
        } else if typing {
            Delay::from(choosing_time(jitter)).await;
        }
        let options = SendOptions::default().with_message_id(id.to_owned());
        connection.client.send_message_with_options(to, message, options).await
    };
    let left = match select(std::pin::pin!(leaving), Delay::from(LEAVING_TIMEOUT)).await {
        Either::Left((left, _)) => left,
        Either::Right(_) => {
            room.outgoing.may_have_left(id);
            return Err(Unsent::Later("it took too long to encrypt it for everybody".to_owned()));
        }
    };
    let had_left = !room.outgoing.is_here(id);
    // These are of what is asked before anything is written to the socket.
    if !matches!(left, Err(SendError::Iq(_) | SendError::InvalidRequest(_) | SendError::NotLoggedIn)) {
        room.outgoing.may_have_left(id);
    }
    left.map(|_sent| ()).map_err(|error| not_sent(error, had_left))
}

/// WhatsApp refused to let a chat begin (463). It says so also of a single message that lacks a token; whether the whole
/// number is held back, and until when, it tells when asked.
async fn learn_timelock(room: &Rc<Room>, connection: &Rc<Connection>) -> Option<u64> {
    let mex = connection.client.mex();
    let asked = mex.fetch_reachout_timelock();
    let Either::Left((Ok(timelock), _)) = select(std::pin::pin!(asked), Delay::from(TIMELOCK_TIMEOUT)).await
    else {
        return None;
    };
    let ends = timelock.time_enforcement_ends.as_deref().and_then(|ends| ends.parse::<u64>().ok());
    let until = ends.filter(|_| timelock.is_active == Some(true)).map(|ends| ends.saturating_mul(1_000));
    room.happen(Happening::ReachoutTimelock(until));
    until
}

/// What WhatsApp answers of who or what is not there; everything else it says to a question may be another thing the next
/// time.
const FINAL: [u16; 5] = [400, 403, 404, 406, 410];

/// What the library says of a message it did not write to the socket, or could not finish writing. Of one that may have left
/// before nobody can say that it was not sent.
fn not_sent(error: SendError, had_left: bool) -> Unsent {
    match error {
        error if had_left => Unsent::Later(error.to_string()),
        SendError::InvalidRequest(reason) => {
            Unsent::Refused(ApiError::validation("to", format!("WhatsApp has no such recipient: {reason}.")))
        }
        SendError::Iq(IqError::ServerError { code, text, .. }) if FINAL.contains(&code) => Unsent::Refused(
            ApiError::conflict(format!("WhatsApp can't tell who this recipient is: {text} ({code})."))
                .with("whatsappCode", code.to_string()),
        ),
        other => Unsent::Later(other.to_string()),
    }
}

/// WhatsApp's refusal of a message, by its number in the ack.
pub fn refused(code: &str) -> ApiError {
    let message = match code {
        "463" => "WhatsApp does not let this number start new chats for now (463).".to_owned(),
        "479" => "WhatsApp could not take the message for this recipient (479).".to_owned(),
        code => format!("WhatsApp refused the message ({code})."),
    };
    ApiError::new(ErrorCode::Conflict, message).with("whatsappCode", code)
}
