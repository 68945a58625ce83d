//! A message out: stored with its WhatsApp id before the first byte leaves, answered after the server's ack.

use std::rc::Rc;
use std::time::Duration;

use futures::future::{Either, select};
use gateway_domain::error::{ApiError, ErrorCode};
use gateway_domain::event::MessagePayload;
use gateway_domain::lifecycle::{Happening, Status};
use gateway_domain::message::{SendResult, Text};
use whatsapp_rust::types::message::MessageInfo;
use whatsapp_rust::waproto::whatsapp::Message;
use whatsapp_rust::{IqError, Jid, SendError, SendOptions, Server};
use worker::Delay;

use crate::clock;
use crate::connection::Connection;
use crate::journal::{MessageRow, Record};
use crate::room::{Room, failed};

/// How long a caller waits for WhatsApp's answer.
const ACK_TIMEOUT: Duration = Duration::from_secs(20);

/// How long a message is held back from its readers for its read receipt.
const READ_TIMEOUT: Duration = Duration::from_secs(2);

/// How long WhatsApp may take to say until when a number is held back.
const TIMELOCK_TIMEOUT: Duration = Duration::from_secs(5);

/// Sends a text.
///
/// # Errors
/// 409 when the session can't send in its state, 503 when WhatsApp did not answer; then the outcome still comes
/// as an event.
pub async fn send(room: &Rc<Room>, text: Text) -> Result<SendResult, ApiError> {
    let connection = room.connection().ok_or_else(|| cannot_send(room.status()))?;
    let record = room.record()?;
    let to: Jid = text.to.parse().map_err(|_| ApiError::validation("to", "Not a JID."))?;
    if let Some(until) = record.lifecycle.timelock_until(clock::now())
        && to.server != Server::Group
        && !is_known(room, &connection, &record, &to).await?
    {
        return Err(timelocked(until));
    }
    let id = clock::message_id();
    let row = MessageRow {
        chat: text.to.clone(),
        sender: own_jid(record.wa_jid.as_deref()),
        id: id.clone(),
        from_me: true,
        kind: "text".to_owned(),
        body: Some(text.text.clone()),
        status: Some("pending".to_owned()),
        timestamp: clock::now(),
    };
    let message = Message { conversation: Some(text.text), ..Default::default() };
    let stored = room.journal.atomically(|| {
        room.journal.insert_message(&row)?;
        room.journal.messages().describe(&row, &from_me(&row, row.timestamp), &message)
    });
    stored.map_err(|error| failed("a message could not be stored", &error))?;
    let ack = connection.expect_ack(&id);
    let options = SendOptions::default().with_message_id(id.clone());
    let typing = record.settings.presence_typing;
    let exchange = async {
        if typing {
            let _not_important = connection.client.chatstate().send_composing(&to).await;
        }
        let sent = connection.client.send_message_with_options(to.clone(), message, options).await;
        if typing {
            let _not_important = connection.client.chatstate().send_paused(&to).await;
        }
        sent.map_err(not_sent)?;
        ack.await.map_err(|_| Unsent::Perhaps("the connection ended before WhatsApp answered".to_owned()))
    };
    let exchange = std::pin::pin!(exchange);
    let outcome = match select(exchange, Delay::from(ACK_TIMEOUT)).await {
        Either::Left((outcome, _)) => outcome,
        Either::Right(_) => Err(Unsent::Perhaps("WhatsApp did not answer in time".to_owned())),
    };
    connection.forget_ack(&id);
    match outcome {
        Ok(ack) => match ack.error {
            None => Ok(SendResult {
                mode: "sync".to_owned(),
                outbox_id: None,
                replayed: None,
                status: Some("sent".to_owned()),
                timestamp: Some(ack.timestamp),
                wa_message_id: Some(id),
            }),
            Some(code) if code == "463" => {
                let until = learn_timelock(room, &connection).await;
                Err(until.map_or_else(|| refused(&code), timelocked).with("waMessageId", id))
            }
            Some(code) => Err(refused(&code).with("waMessageId", id)),
        },
        Err(Unsent::Perhaps(reason)) => {
            Err(ApiError::unavailable(format!("The message may or may not have been sent: {reason}."))
                .with("waMessageId", id))
        }
        Err(Unsent::Certainly(error)) => {
            room.acked(&id, Some("not sent"), clock::now());
            Err(error)
        }
    }
}

/// Whether this number has had to do with that one, under its number or its LID; with itself it always has.
async fn is_known(
    room: &Rc<Room>,
    connection: &Connection,
    record: &Record,
    to: &Jid,
) -> Result<bool, ApiError> {
    let entry = connection.client.get_lid_pn_entry(to).await.ok().flatten();
    let alias = entry.map(|entry| match to.server {
        Server::Lid => Jid::pn(&*entry.phone_number).to_string(),
        _ => Jid::lid(&*entry.lid).to_string(),
    });
    let own = [own_jid(record.wa_jid.as_deref()), record.wa_lid.clone().unwrap_or_default()];
    for name in [Some(to.to_non_ad_string()), alias].into_iter().flatten() {
        let known =
            room.journal.knows_chat(&name).map_err(|error| failed("the chats can't be read", &error))?;
        if known || own.contains(&name) {
            return Ok(true);
        }
    }
    Ok(false)
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

fn timelocked(until: u64) -> ApiError {
    let left = until.saturating_sub(clock::now()).div_ceil(1_000).max(1);
    ApiError::new(ErrorCode::RateLimited, "WhatsApp lets this number start no new chats for now (463).")
        .with("retryAfterSeconds", left)
        .with("expiresAt", until)
        .with("whatsappCode", "463")
}

/// Why a message was not acknowledged.
enum Unsent {
    /// It may be on its way: the outcome comes as an event, if WhatsApp tells.
    Perhaps(String),
    /// It never left.
    Certainly(ApiError),
}

/// What the library says of a message it did not write to the socket, or could not finish writing.
fn not_sent(error: SendError) -> Unsent {
    match error {
        SendError::InvalidRequest(reason) => Unsent::Certainly(ApiError::validation(
            "to",
            format!("WhatsApp has no such recipient: {reason}."),
        )),
        SendError::Iq(IqError::ServerError { code, text, .. }) => Unsent::Certainly(
            ApiError::conflict(format!("WhatsApp can't tell who this recipient is: {text} ({code})."))
                .with("whatsappCode", code.to_string()),
        ),
        other => Unsent::Perhaps(other.to_string()),
    }
}

pub fn cannot_send(status: Status) -> ApiError {
    let message = match status {
        Status::Starting | Status::Working => {
            return ApiError::unavailable("The session is connecting; try again shortly.")
                .with("status", status.name());
        }
        Status::ScanQrCode => "The session is not paired yet: scan its QR code first.",
        Status::Stopped => "The session is stopped: start it first.",
        Status::Failed => "The session has failed: see its statusReason.",
        Status::LoggedOut => "The session is logged out: pair it again.",
    };
    ApiError::conflict(message).with("status", status.name())
}

/// WhatsApp's refusal of a message, by its number in the ack.
fn refused(code: &str) -> ApiError {
    let message = match code {
        "463" => "WhatsApp does not let this number start new chats for now (463).".to_owned(),
        "479" => "WhatsApp could not take the message for this recipient (479).".to_owned(),
        code => format!("WhatsApp refused the message ({code})."),
    };
    ApiError::new(ErrorCode::Conflict, message).with("whatsappCode", code)
}

fn own_jid(device: Option<&str>) -> String {
    let device = device.unwrap_or_default();
    match (device.split_once(':'), device.split_once('@')) {
        (Some((user, _)), Some((_, server))) => format!("{user}@{server}"),
        _ => device.to_owned(),
    }
}

/// The event that tells of a message this gateway sent.
pub fn from_me(message: &MessageRow, timestamp: u64) -> MessagePayload {
    MessagePayload {
        wa_message_id: message.id.clone(),
        chat_jid: message.chat.clone(),
        sender_jid: Some(message.sender.clone()).filter(|sender| !sender.is_empty()),
        from_me: true,
        r#type: message.kind.clone(),
        body: message.body.clone(),
        timestamp,
        ..MessagePayload::default()
    }
}

/// Sends the read receipt of an inbound message, where the owner wants that, and then tells of the message; `false` where
/// they don't.
pub fn mark_read(room: &Rc<Room>, connection: &Rc<Connection>, info: &MessageInfo) -> bool {
    let wanted = room.record().is_ok_and(|record| record.settings.auto_read);
    if !wanted || info.source.is_from_me {
        return false;
    }
    let room = Rc::clone(room);
    let connection = Rc::clone(connection);
    let (chat, sender, id) = (info.source.chat.clone(), info.source.sender.clone(), info.id.clone());
    let sender = info.source.is_group.then_some(sender);
    wasm_bindgen_futures::spawn_local(async move {
        let ids = [id.as_str()];
        let marked = connection.client.mark_as_read(&chat, sender.as_ref(), &ids);
        match select(std::pin::pin!(marked), Delay::from(READ_TIMEOUT)).await {
            Either::Left((Ok(()), _)) => {}
            Either::Left((Err(error), _)) => {
                worker::console_warn!("a read receipt could not be sent: {error}");
            }
            Either::Right(_) => worker::console_warn!("a read receipt took too long"),
        }
        room.changed();
    });
    true
}
