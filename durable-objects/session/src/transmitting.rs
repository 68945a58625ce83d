//! One attempt at one entry of the outbox: its files prepared, its turn taken, its messages on the socket, each
//! acknowledged. Whoever waits for it is told by [`Room::give_up`](crate::room::Room) or by the acknowledgement itself.

use std::rc::Rc;
use std::time::Duration;

use futures::future::{Either, select};
use gateway_domain::error::{ApiError, ErrorCode};
use gateway_domain::lifecycle::Happening;
use gateway_domain::message::Task;
use gateway_domain::pacing::typing_time;
use gateway_sql::SqlError;
use whatsapp_rust::proto_helpers::MessageExt;
use whatsapp_rust::waproto::codec;
use whatsapp_rust::waproto::whatsapp::Message;
use whatsapp_rust::{IqError, Jid, SendError, SendOptions};
use worker::Delay;

use crate::connection::Connection;
use crate::outbox::Entry;
use crate::room::{Room, failed};
use crate::turn::{Wait, Why};
use crate::{clock, uploading};

/// How long WhatsApp has to acknowledge a message before it goes again.
const ACK_TIMEOUT: Duration = Duration::from_secs(20);
/// How long WhatsApp may take to say until when a number is held back.
const TIMELOCK_TIMEOUT: Duration = Duration::from_secs(5);

/// Why an entry was not acknowledged.
pub enum Unsent {
    /// It can't be sent.
    Refused(ApiError),
    /// It is worth another attempt: for this reason.
    Later(String),
    /// It must wait for its turn.
    Waits(Wait),
}

/// Makes an attempt, and settles what follows if it was in vain.
pub async fn attempt(room: &Rc<Room>, id: &str) {
    let Err(unsent) = transmit(room, id).await else { return };
    let outbox = room.journal.outbox();
    let entry = match outbox.entry(id) {
        Ok(Some(entry)) => entry,
        Ok(None) => return,
        Err(error) => return log(&error),
    };
    let now = clock::now();
    let is_still_here = !entry.is_async && entry.begun.is_none();
    let settled = match unsent {
        Unsent::Refused(error) => room.give_up(id, error),
        Unsent::Waits(wait) if is_still_here => room.give_up(id, wait.error(now)),
        Unsent::Waits(wait) => outbox.postpone(id, wait.until),
        // Somebody waits, and nothing has left: they may ask again without fear.
        Unsent::Later(reason) if is_still_here => {
            room.give_up(id, ApiError::unavailable(format!("The message was not sent: {reason}.")))
        }
        Unsent::Later(reason) => match outbox.try_later(id, now) {
            Ok(true) => Ok(()),
            Ok(false) => room.give_up(
                id,
                ApiError::unavailable(format!("The message was given up after many attempts: {reason}.")),
            ),
            Err(error) => Err(error),
        },
    };
    if let Err(error) = settled {
        log(&error);
    }
}

fn log(error: &SqlError) {
    worker::console_error!("the outbox: {error}");
}

async fn transmit(room: &Rc<Room>, id: &str) -> Result<(), Unsent> {
    let broken = |error: SqlError| Unsent::Refused(failed("the outbox", &error));
    let connection =
        room.connection().ok_or_else(|| Unsent::Later("the session is connecting".to_owned()))?;
    let outbox = room.journal.outbox();
    if let Some(request) = outbox.request(id).map_err(broken)? {
        let Ok(Task::Say(outgoing)) = serde_json::from_str::<Task>(&request) else {
            return Err(Unsent::Refused(failed("an entry of the outbox", &"can't be read")));
        };
        uploading::prepare(room, &connection, id, &outgoing).await?;
    }
    room.hold(Point::Fixed).await;
    let entry = outbox.entry(id).map_err(broken)?;
    let entry = entry.ok_or_else(|| Unsent::Refused(ApiError::not_found()))?;
    if entry.begun.is_none() {
        take_turn(room, &entry)?;
    }
    room.hold(Point::Begun).await;
    for fixed in outbox.messages(id).map_err(broken)? {
        let Some(bytes) = fixed.bytes else { continue };
        let message = codec::message_decode(&bytes);
        let message = message.map_err(|error| Unsent::Refused(failed("a stored message", &error)))?;
        send(room, &connection, &entry, &fixed.message_id, message).await?;
    }
    Ok(())
}

/// In one run with looking whether it is: so the limits are exact.
fn take_turn(room: &Rc<Room>, entry: &Entry) -> Result<(), Unsent> {
    let outbox = room.journal.outbox();
    let now = clock::now();
    let taken = outbox.is_new_chat(&entry.id).and_then(|is_new_chat| {
        let wait = room.rules(now).turn(&outbox, &entry.chat, is_new_chat, now)?;
        if wait.is_none() {
            outbox.begin(&entry.id, now)?;
        }
        Ok(wait)
    });
    match taken {
        Ok(None) => Ok(()),
        Ok(Some(wait)) => Err(Unsent::Waits(wait)),
        Err(error) => Err(Unsent::Refused(failed("the outbox", &error))),
    }
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
    let text = message.text_content().map(|text| text.chars().count());
    let typing = room.record().is_ok_and(|record| record.settings.presence_typing);
    let ack = connection.expect_ack(id);
    let exchange = async {
        if let Some(length) = text.filter(|_| typing) {
            let _not_important = connection.client.chatstate().send_composing(&to).await;
            let [jitter, ..] = clock::random::<4>();
            Delay::from(typing_time(length, u32::from(jitter))).await;
            let _not_important = connection.client.chatstate().send_paused(&to).await;
        }
        let options = SendOptions::default().with_message_id(id.to_owned());
        connection.client.send_message_with_options(to.clone(), message, options).await.map_err(not_sent)?;
        room.hold(Point::Left).await;
        ack.await.map_err(|_| Unsent::Later("the connection ended before WhatsApp answered".to_owned()))
    };
    let outcome = match select(std::pin::pin!(exchange), Delay::from(ACK_TIMEOUT)).await {
        Either::Left((outcome, _)) => outcome,
        Either::Right(_) => Err(Unsent::Later("WhatsApp did not answer in time".to_owned())),
    };
    connection.forget_ack(id);
    match outcome?.error.as_deref() {
        None => Ok(()),
        Some("463") => {
            let until = learn_timelock(room, connection).await;
            let wait = until.map(|until| Wait { until, why: Why::Timelock });
            let error = wait.map_or_else(|| refused("463"), |wait| wait.error(clock::now()));
            Err(Unsent::Refused(error))
        }
        Some(code) => Err(Unsent::Refused(refused(code))),
    }
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

/// What the library says of a message it did not write to the socket, or could not finish writing.
fn not_sent(error: SendError) -> Unsent {
    match error {
        SendError::InvalidRequest(reason) => {
            Unsent::Refused(ApiError::validation("to", format!("WhatsApp has no such recipient: {reason}.")))
        }
        SendError::Iq(IqError::ServerError { code, text, .. }) => Unsent::Refused(
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

/// Where a send can be made to stop.
#[cfg(feature = "simulator")]
pub use crate::call::HoldPoint as Point;

/// Where a send can be made to stop, in the build for tests.
#[cfg(not(feature = "simulator"))]
#[derive(Clone, Copy)]
#[allow(missing_docs, reason = "see the simulator build's")]
pub enum Point {
    Asked,
    Stored,
    Fixed,
    Begun,
    Left,
    Acknowledged,
}
