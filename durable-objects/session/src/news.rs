//! What WhatsApp tells a room: QR codes, the pairing, messages, receipts, acks. Each is stored and told in one write.

use std::rc::Rc;
use std::time::Duration;

use gateway_domain::event::{AuthCodePayload, AuthQrPayload, MessageStatusPayload};
use gateway_domain::jid::phone_number;
use gateway_domain::lifecycle::{Cause, Happening};
use gateway_domain::session::Qr;
use gateway_sql::SqlError;
use whatsapp_rust::types::events::{Event, InboundMessage, PairSuccess, Receipt};
use whatsapp_rust::types::message::MessageSource;
use whatsapp_rust::types::presence::ReceiptType;

use crate::chats::Chats;
use crate::connection::Connection;
use crate::journal::Record;
use crate::library::contacts::Person;
use crate::names::WhoIs;
use crate::room::{Room, json};
use crate::telling::{self, Told};
use crate::{clock, inbound, read_receipt, sending, settling};

impl Room {
    /// A QR code is out.
    pub fn qr_shown(self: &Rc<Self>, code: &str, lasts: Duration) {
        let lasts = u64::try_from(lasts.as_millis()).unwrap_or(0);
        let qr = Qr { code: code.to_owned(), expires_at: clock::now() + lasts };
        let payload = json(&AuthQrPayload { code: qr.code.clone(), expires_at: qr.expires_at });
        self.happen_with(Happening::QrShown, |_| {}, &[("auth.qr", payload)]);
        self.qr.replace(Some(qr));
        self.changed();
    }

    /// A phone accepted the pairing. The keys are flushed at once: WhatsApp already believes in them.
    pub fn paired(self: &Rc<Self>, connection: &Rc<Connection>, pair: &PairSuccess) {
        let some = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        let (jid, lid) = (pair.id.to_string(), pair.lid.to_non_ad_string());
        let payload = json(&AuthCodePayload {
            jid: Some(jid.clone()),
            lid: some(&lid),
            business_name: some(&pair.business_name),
            platform: some(&pair.platform),
        });
        let touch = |record: &mut Record| {
            record.phone_number = phone_number(&jid).map(str::to_owned);
            record.wa_jid = Some(jid.clone());
            record.wa_lid = some(&lid);
        };
        self.happen_with(Happening::Paired, touch, &[("auth.code", payload)]);
        let persistence = connection.client.persistence_manager();
        wasm_bindgen_futures::spawn_local(async move {
            if let Err(error) = persistence.flush().await {
                worker::console_error!("the new keys could not be stored: {error}");
            }
        });
    }

    /// A message came in: stored and told in one write, before its ack can leave (the output gate holds frames
    /// back until the write is durable).
    pub fn message_in(self: &Rc<Self>, connection: &Rc<Connection>, message: &InboundMessage) {
        self.crash(true);
        let Some(mut inbound) = inbound::normalise(&message.message, &message.info) else { return };
        let stored = self.journal.atomically(|| {
            let told = inbound::take_in(&self.journal, &self.own(), &message.message, &mut inbound)?;
            self.append(connection.epoch, &told)
        });
        self.crash(false);
        match stored {
            Ok(Some(seq)) => {
                // The read receipt goes before any consumer sees the event.
                let is_held =
                    inbound.is_message() && read_receipt::send(self, connection, &message.info, seq);
                self.writer_seen(&inbound, &message.info);
                sending::somebody_wrote(self, inbound.chat_jid());
                if !is_held {
                    self.changed();
                }
            }
            Ok(None) => {}
            Err(error) => {
                worker::console_error!("an inbound message could not be stored: {error}");
                // Without its row the ack must not leave, and what decrypting it changed must not be kept: then
                // WhatsApp delivers it again and it can be read again.
                self.fence.raise();
                connection.cut(Cause::Network("the object's storage failed".to_owned()));
            }
        }
    }

    /// What else WhatsApp tells: of chats, people, groups, calls and channels.
    pub fn news_in(self: &Rc<Self>, connection: &Rc<Connection>, event: &Event) {
        if let Err(error) = Chats::new(self.journal.messages().sql()).arranged(event) {
            worker::console_error!("a chat could not be written: {error}");
        }
        let Some(told) = telling::tell(event, &self.journal.names()) else { return };
        let is_news = self.journal.atomically(|| {
            let is_news =
                told.occasion.as_ref().map_or(Ok(true), |once| self.journal.messages().is_news(once))?;
            if is_news {
                self.append(connection.epoch, &[told])?;
            }
            Ok(is_news)
        });
        match is_news {
            Ok(true) => self.told(Ok(())),
            Ok(false) => {}
            Err(error) => self.told(Err(error)),
        }
    }

    /// The events' place in the log, if there are any: that of the first.
    pub(crate) fn append(&self, epoch: u64, told: &[Told]) -> Result<Option<u64>, SqlError> {
        let now = clock::now();
        let mut first = None;
        for told in told {
            let seq = self.journal.append(&clock::event_id(), told.event, epoch, now, &told.payload)?;
            first = first.or(Some(seq));
        }
        Ok(first)
    }

    /// This number, by its names.
    pub(crate) fn own(&self) -> Person {
        let held = self.record.borrow();
        let names = held.as_ref().map(|record| (record.wa_lid.clone(), record.phone_number.clone()));
        let (lid, phone) = names.unwrap_or_default();
        Person { lid, phone, ..Person::default() }
    }

    #[cfg(feature = "simulator")]
    fn crash(&self, before_insert: bool) {
        use crate::call::CrashPoint;
        let wanted = if before_insert { CrashPoint::BeforeInsert } else { CrashPoint::AfterInsert };
        assert_ne!(self.crash_point.get(), Some(wanted), "asked for by a durability test");
    }

    #[cfg(not(feature = "simulator"))]
    #[allow(clippy::unused_self, reason = "the simulator build's twin uses it")]
    fn crash(&self, _before_insert: bool) {}

    /// Somebody's device received or read what this number sent.
    pub fn receipt_in(self: &Rc<Self>, connection: &Connection, receipt: &Receipt) {
        let ids: Vec<String> = receipt.message_ids.iter().map(ToString::to_string).collect();
        // Another device of this number has read them: the server tells the two kinds by the number's privacy settings.
        let is_own = receipt.source.is_from_me
            || matches!(receipt.r#type, ReceiptType::ReadSelf | ReceiptType::PlayedSelf);
        if is_own
            && matches!(receipt.r#type, ReceiptType::Read | ReceiptType::ReadSelf | ReceiptType::PlayedSelf)
            && let Err(error) = Chats::new(self.journal.messages().sql()).were_read(&ids)
        {
            worker::console_error!("a chat could not be written: {error}");
        }
        let status = match receipt.r#type {
            ReceiptType::Delivered | ReceiptType::Inactive => "delivered",
            ReceiptType::Read => "read",
            ReceiptType::Played => "played",
            _ => return,
        };
        let timestamp = u64::try_from(receipt.timestamp.timestamp_millis()).unwrap_or(0);
        self.came(&ids, status, timestamp, Some(&receipt.source));
        for id in &ids {
            connection.has_arrived(id);
        }
    }

    /// Messages of this number have come further. The first news that one has left it is told as `message.from_me`,
    /// be it the ack or a receipt that overtook it; every later step is a `message.status`, in a group every member's.
    pub(crate) fn write_status(
        &self,
        ids: &[String],
        status: &str,
        timestamp: u64,
        source: Option<&MessageSource>,
    ) -> Result<(), SqlError> {
        let (epoch, now) = (self.epoch(), clock::now());
        let messages = ids.iter().filter_map(|id| self.journal.sent_message(id).transpose());
        let messages = messages.collect::<Result<Vec<_>, _>>()?;
        let raised = self.journal.raise_status(ids, status)?;
        for message in messages.iter().filter(|message| raised.contains(&message.id)) {
            if matches!(message.status.as_deref(), Some("pending" | "failed")) && status != "failed" {
                self.journal.set_timestamp(&message.id, timestamp)?;
                let detail = self.journal.messages().detail(message)?;
                let payload = json(&settling::from_me(message, detail, timestamp));
                self.journal.append(&clock::event_id(), "message.from_me", epoch, now, &payload)?;
            }
        }
        if status == "sent" {
            return Ok(());
        }
        let mut told = Vec::new();
        for message in &messages {
            let is_news = match source.filter(|_| message.chat.ends_with("@g.us")) {
                Some(source) => {
                    let member = source.sender.to_non_ad_string();
                    self.journal.messages().has_risen(&message.id, &member, status)?
                }
                None => raised.contains(&message.id),
            };
            if is_news {
                told.push(message);
            }
        }
        let Some(first) = told.first() else { return Ok(()) };
        let payload = json(&MessageStatusPayload {
            chat_jid: first.chat.clone(),
            message_ids: told.iter().map(|message| message.id.clone()).collect(),
            sender_jid: source.map(|source| self.journal.names().name(&source.sender)),
            status: status.to_owned(),
            timestamp,
        });
        self.journal.append(&clock::event_id(), "message.status", epoch, now, &payload)?;
        Ok(())
    }

    fn told(self: &Rc<Self>, written: Result<(), SqlError>) {
        match written {
            Ok(()) => {
                self.changed();
            }
            Err(error) => worker::console_error!("an event could not be written: {error}"),
        }
    }
}
