//! What follows from a send: its bytes fixed and remembered, WhatsApp's acknowledgement, its end. Each is one write with
//! what is told of it.

use std::rc::Rc;

use gateway_domain::error::{ApiError, ErrorCode, ErrorDetail};
use gateway_domain::event::{MessagePayload, MessageStatusPayload};
use gateway_sql::SqlError;
use whatsapp_rust::chrono::DateTime;
use whatsapp_rust::types::message::{EditAttribute, MessageInfo, MessageSource};
use whatsapp_rust::waproto::codec;
use whatsapp_rust::waproto::whatsapp::Message;

use crate::journal::{MessageRow, Record};
use crate::outbox::Entry;
use crate::polls::Polls;
use crate::room::{Room, failed, json};
use crate::sending::own_jid;
use crate::{clock, inbound, transmitting};

impl Room {
    /// The bytes of one of an entry's messages are fixed, and the message is remembered.
    ///
    /// # Errors
    /// When they can't be stored.
    pub(crate) fn fix(
        &self,
        entry: &str,
        place: usize,
        id: &str,
        chat: &str,
        message: &Message,
    ) -> Result<(), ApiError> {
        let stored = self.journal.atomically(|| self.write_fixed(entry, place, id, chat, message));
        stored.map_err(|error| failed("a message could not be stored", &error))
    }

    pub(crate) fn write_fixed(
        &self,
        entry: &str,
        place: usize,
        id: &str,
        chat: &str,
        message: &Message,
    ) -> Result<(), SqlError> {
        if !self.journal.outbox().fix(entry, place, id, codec::message_to_vec(message))? {
            return Ok(());
        }
        let Some(info) = self.own_info(chat, id, message, clock::now()) else { return Ok(()) };
        // What is about another message leaves no row of its own.
        let said = inbound::normalise(message, &info).filter(inbound::Inbound::is_message);
        if let Some(mut inbound) = said {
            let Ok(record) = self.record() else { return Ok(()) };
            inbound::complete(&self.journal, &self.own(), &mut inbound)?;
            let told = inbound.payload;
            let row = pending(&record, chat, id, &told.r#type, told.body.clone(), told.timestamp);
            self.journal.insert_message(&row)?;
            self.journal.messages().describe(&row, &told, message)?;
        }
        Ok(())
    }

    /// A message of ours, as one that comes in would be announced.
    fn own_info(&self, chat: &str, id: &str, message: &Message, timestamp: u64) -> Option<MessageInfo> {
        let record = self.record().ok()?;
        let source = MessageSource {
            chat: chat.parse().ok()?,
            sender: own_jid(&record).parse().ok()?,
            sender_alt: record.wa_lid.as_deref().and_then(|lid| lid.parse().ok()),
            is_from_me: true,
            is_group: chat.ends_with("@g.us"),
            ..MessageSource::default()
        };
        Some(MessageInfo {
            source,
            id: id.into(),
            edit: EditAttribute::infer_from_message(message).unwrap_or_default(),
            timestamp: DateTime::from_timestamp_millis(i64::try_from(timestamp).ok()?)?,
            ..MessageInfo::default()
        })
    }

    /// Messages of ours have come so far, as WhatsApp's server or a receipt says; a receipt for one whose ack was lost is its
    /// acknowledgement. What follows is written and told in the same run.
    pub(crate) fn came(
        self: &Rc<Self>,
        ids: &[String],
        status: &str,
        timestamp: u64,
        source: Option<&MessageSource>,
    ) {
        let ended = self.journal.atomically(|| {
            self.write_status(ids, status, timestamp, source)?;
            let ended = ids.iter().filter_map(|id| self.acknowledge(id, timestamp).transpose());
            ended.collect::<Result<Vec<Entry>, _>>()
        });
        match ended {
            Ok(ended) => {
                for entry in ended {
                    self.outgoing.ended(&entry.id, &Ok(()));
                }
                self.changed();
            }
            Err(error) => worker::console_error!("what became of a message could not be written: {error}"),
        }
    }

    /// The entry that has ended with this acknowledgement.
    fn acknowledge(&self, id: &str, timestamp: u64) -> Result<Option<Entry>, SqlError> {
        let acknowledged = self.journal.outbox().acknowledge(id, timestamp, clock::now())?;
        let Some(acknowledged) = acknowledged else { return Ok(None) };
        self.take_own(id, &acknowledged.bytes, timestamp)?;
        if let Some(entry) = acknowledged.ended.as_ref().filter(|entry| entry.is_async) {
            let told = self.journal.standing(vec![entry.message_id.clone()], "sent")?;
            self.tell_status(&entry.chat, told, "sent", timestamp)?;
        }
        Ok(acknowledged.ended)
    }

    /// What a message of ours is besides a row: a poll that will close, or something about another message.
    fn take_own(&self, id: &str, bytes: &[u8], timestamp: u64) -> Result<(), SqlError> {
        let Ok(message) = codec::message_decode(bytes) else { return Ok(()) };
        if let Some(row) = self.journal.sent_message(id)? {
            let found = self.journal.messages().find([Some(&row.chat), None], id)?;
            if let Some(poll) = found.into_iter().find_map(|stored| stored.detail.poll) {
                Polls::new(self.journal.messages().sql()).opened(&row.chat, &row.sender, id, &poll)?;
            }
            return Ok(());
        }
        let Some(entry) = self.journal.outbox().of_message(id)? else { return Ok(()) };
        let Some(info) = self.own_info(&entry.chat, id, &message, timestamp) else { return Ok(()) };
        let Some(mut said) = inbound::normalise(&message, &info) else { return Ok(()) };
        let told = inbound::take_in(&self.journal, &self.own(), &message, &mut said)?;
        self.append(self.epoch(), &told).map(|_seq| ())
    }

    /// WhatsApp's server refused a message nobody waits at the socket for any more.
    pub(crate) fn refused(self: &Rc<Self>, id: &str, code: &str) {
        let entry = self.journal.outbox().of_message(id);
        let settled = match entry {
            Ok(Some(entry)) => self.give_up(&entry.id, transmitting::refused(code)),
            Ok(None) => {
                self.journal.atomically(|| self.write_status(&[id.to_owned()], "failed", clock::now(), None))
            }
            Err(error) => Err(error),
        };
        if let Err(error) = settled {
            worker::console_error!("a refusal could not be written: {error}");
        }
    }

    /// An entry will not be sent, and whoever waits for it hears why.
    ///
    /// # Errors
    /// When that can't be written.
    pub(crate) fn give_up(self: &Rc<Self>, id: &str, error: ApiError) -> Result<(), SqlError> {
        if let Some(error) = self.write_failure(id, error)? {
            self.outgoing.ended(id, &Err(error));
        }
        Ok(())
    }

    /// The same, while there is more to learn for who waits; the error as they would hear it, unless it had ended already.
    ///
    /// # Errors
    /// When it can't be written.
    pub(crate) fn write_failure(
        self: &Rc<Self>,
        id: &str,
        error: ApiError,
    ) -> Result<Option<ApiError>, SqlError> {
        let now = clock::now();
        let failed = self.journal.atomically(|| {
            let outbox = self.journal.outbox();
            let Some(entry) = outbox.entry(id)? else { return Ok(None) };
            let error = error.with("waMessageId", entry.message_id.as_str());
            let is_partly_sent = outbox.messages(id)?.iter().any(|fixed| fixed.bytes.is_none());
            let error = if is_partly_sent { partly(error) } else { error };
            // What may have left is never said to be as if it had not been.
            let may_have_left = entry.begun.is_some() && error.error.code == ErrorCode::GatewayUnavailable;
            let error = if may_have_left { error.with("outboxId", id) } else { error };
            let Some(unsent) = outbox.fail(id, &error.body(), now)? else { return Ok(None) };
            let raised = self.journal.raise_status(&unsent, "failed")?;
            let told = if entry.is_async { self.journal.standing(unsent, "failed")? } else { raised };
            self.tell_status(&entry.chat, told, "failed", now)?;
            Ok(Some(error))
        })?;
        if failed.is_some() {
            self.changed();
        }
        Ok(failed)
    }

    fn tell_status(&self, chat: &str, ids: Vec<String>, status: &str, at: u64) -> Result<(), SqlError> {
        if ids.is_empty() {
            return Ok(());
        }
        let payload = MessageStatusPayload {
            chat_jid: chat.to_owned(),
            message_ids: ids,
            sender_jid: None,
            status: status.to_owned(),
            timestamp: at,
        };
        let (epoch, now) = (self.epoch(), clock::now());
        self.journal.append(&clock::event_id(), "message.status", epoch, now, &json(&payload)).map(|_seq| ())
    }
}

/// The error of an album of which a part was sent. No conflict: after one, a caller's key would be free, and who asks again
/// would send that part a second time.
fn partly(error: ApiError) -> ApiError {
    let message = format!("A part of the album was sent. {}", error.error.message);
    ApiError { error: ErrorDetail { code: ErrorCode::GatewayUnavailable, message, ..error.error } }
}

/// A message of ours that WhatsApp doesn't have yet.
pub fn pending(
    record: &Record,
    chat: &str,
    id: &str,
    kind: &str,
    body: Option<String>,
    timestamp: u64,
) -> MessageRow {
    MessageRow {
        chat: chat.to_owned(),
        sender: own_jid(record),
        id: id.to_owned(),
        from_me: true,
        kind: kind.to_owned(),
        body,
        status: Some("pending".to_owned()),
        timestamp,
    }
}

/// The event that tells of a message this gateway sent.
pub fn from_me(message: &MessageRow, detail: MessagePayload, timestamp: u64) -> MessagePayload {
    MessagePayload {
        wa_message_id: message.id.clone(),
        chat_jid: message.chat.clone(),
        sender_jid: Some(message.sender.clone()).filter(|sender| !sender.is_empty()),
        from_me: true,
        r#type: message.kind.clone(),
        body: message.body.clone(),
        timestamp,
        ..detail
    }
}
