//! The session's room: the record, its lifecycle and the connection, held together.
//!
//! Everything that happens goes through [`Room::happen`]: what follows from it is written in one synchronous SQL
//! run, the status event and the timers included, and only then acted on (rule 4).

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use event_listener::{Event as Wake, EventListener};
use gateway_domain::error::ApiError;
use gateway_domain::event::{AuthCodePayload, AuthQrPayload, MessageStatusPayload, SessionStatusPayload};
use gateway_domain::jid::phone_number;
use gateway_domain::lifecycle::{Cause, Effect, Happening, Status};
use gateway_domain::session::Qr;
use gateway_sql::SqlError;
use gateway_sql::workerd::WorkerdSql;
use serde::Serialize;
use whatsapp_rust::types::events::{InboundMessage, PairSuccess, Receipt};
use whatsapp_rust::types::presence::ReceiptType;
use worker::{Env, State};

use crate::call::{Request, Snapshot};
use crate::connection::Connection;
use crate::fence::{Fence, FencedSql};
use crate::journal::{Journal, MAX_EVENTS, Record};
use crate::keystore::Keystore;
use crate::{clock, inbound, projection};

/// While a session should be connected its alarm fires at least this often: without it the runtime drops object
/// and socket in silence after 140 s (docs/decisions/heartbeat.md).
const TICK_MS: u64 = 15_000;

/// The names of the timers.
pub mod timer {
    /// The heartbeat.
    pub const TICK: &str = "tick";
    /// The next attempt to connect.
    pub const RETRY: &str = "retry";
    /// The directory has not seen the newest state yet.
    pub const PROJECTION: &str = "projection";
}

enum Link {
    Down,
    Opening,
    Up(Rc<Connection>),
}

/// See the module.
pub struct Room {
    state: State,
    /// The Worker's bindings and variables.
    pub env: Env,
    sql: WorkerdSql,
    /// The object's memory.
    pub journal: Journal<WorkerdSql>,
    fence: Fence,
    record: RefCell<Option<Record>>,
    link: RefCell<Link>,
    qr: RefCell<Option<Qr>>,
    wake: Wake,
    armed: Cell<Option<u64>>,
    erased: Cell<bool>,
    #[cfg(feature = "simulator")]
    pub crash_point: Cell<Option<crate::call::CrashPoint>>,
}

impl Room {
    /// Opens the object's database and finds what was intended before a restart.
    ///
    /// # Errors
    /// When the database fails or was written by a newer gateway.
    pub fn open(state: State, env: Env) -> Result<Self, SqlError> {
        let sql = WorkerdSql::new(state.storage().sql());
        let journal = Journal::open(sql.clone())?;
        let record = journal.record()?;
        Ok(Self {
            state,
            env,
            sql,
            journal,
            fence: Fence::default(),
            record: RefCell::new(record),
            link: RefCell::new(Link::Down),
            qr: RefCell::default(),
            wake: Wake::new(),
            armed: Cell::new(None),
            erased: Cell::new(false),
            #[cfg(feature = "simulator")]
            crash_point: Cell::new(None),
        })
    }

    /// The object's context.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// The keys' database, for the connection that is about to begin; every earlier one is shut out.
    pub fn keystore_sql(&self) -> FencedSql<WorkerdSql> {
        self.fence.guard(self.sql.clone())
    }

    /// Where WhatsApp is.
    #[cfg(not(feature = "simulator"))]
    #[allow(clippy::unused_self, reason = "the simulator build's twin uses it")]
    pub fn whatsapp_address(&self) -> String {
        crate::connection::production_address()
    }

    /// Where WhatsApp is: the simulator build takes it from `WHATSAPP_URL`.
    #[cfg(feature = "simulator")]
    pub fn whatsapp_address(&self) -> String {
        let address = self.env.var("WHATSAPP_URL").map(|address| address.to_string());
        address
            .unwrap_or_else(|_| crate::connection::production_address())
            .replacen("wss://", "https://", 1)
            .replacen("ws://", "http://", 1)
    }

    /// The protocol version to claim; `None` asks WhatsApp's web page for the newest.
    pub fn whatsapp_version(&self) -> Option<(u32, u32, u32)> {
        let configured = self.env.var("WHATSAPP_VERSION").ok().map(|version| version.to_string());
        #[cfg(feature = "simulator")]
        let configured = configured.or_else(|| Some("2.3000.1042742319".to_owned()));
        let configured = configured?;
        let mut parts = configured.split('.').map(str::parse::<u32>);
        if let (Some(Ok(primary)), Some(Ok(secondary)), Some(Ok(tertiary)), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        {
            Some((primary, secondary, tertiary))
        } else {
            worker::console_error!("WHATSAPP_VERSION is not of the form 2.3000.1042742319; it is ignored");
            None
        }
    }

    /// Takes in whose session a call is for, and the owner's settings.
    ///
    /// # Errors
    /// 404 when the object is another's, or was erased.
    pub fn recognise(&self, request: &Request) -> Result<(), ApiError> {
        if self.erased.get() {
            return Err(ApiError::not_found());
        }
        let mut record = self.record.borrow_mut();
        let known = record.get_or_insert_with(|| Record::new(&request.organization, &request.session));
        if known.organization != request.organization || known.session != request.session {
            return Err(ApiError::not_found());
        }
        if known.settings != request.settings || known.observed_seq == 0 {
            known.settings = request.settings.clone();
            known.observed_seq += 1;
            self.journal.save(known).map_err(|error| failed("record", &error))?;
        }
        Ok(())
    }

    /// What is observed right now.
    pub fn snapshot(&self) -> Result<Snapshot, ApiError> {
        let record = self.record()?;
        Ok(Snapshot {
            status: record.lifecycle.status,
            reason: record.lifecycle.reason,
            epoch: record.lifecycle.epoch,
            phone_number: record.phone_number,
            wa_jid: record.wa_jid,
            wa_lid: record.wa_lid,
            last_connected_at: record.last_connected_at,
            paired: record.lifecycle.paired,
        })
    }

    /// The record.
    ///
    /// # Errors
    /// 404 before the first call and after the last.
    pub fn record(&self) -> Result<Record, ApiError> {
        self.record.borrow().clone().filter(|_| !self.erased.get()).ok_or_else(ApiError::not_found)
    }

    /// The connection's number.
    pub fn epoch(&self) -> u64 {
        self.record.borrow().as_ref().map_or(0, |record| record.lifecycle.epoch)
    }

    /// The status.
    pub fn status(&self) -> Status {
        self.record.borrow().as_ref().map_or(Status::Stopped, |record| record.lifecycle.status)
    }

    /// The connection, if it is up and may be used.
    pub fn connection(&self) -> Option<Rc<Connection>> {
        match &*self.link.borrow() {
            Link::Up(connection) if self.status() == Status::Working => Some(Rc::clone(connection)),
            _ => None,
        }
    }

    /// Wakes when anything was written.
    pub fn listen(&self) -> EventListener {
        self.wake.listen()
    }

    /// Something happened.
    pub fn happen(self: &Rc<Self>, happening: Happening) {
        self.happen_with(happening, |_| {}, &[]);
    }

    /// Something happened that also changes the record or is told as an event of its own.
    fn happen_with(
        self: &Rc<Self>,
        happening: Happening,
        touch: impl FnOnce(&mut Record),
        told: &[(&str, String)],
    ) {
        if self.erased.get() {
            return;
        }
        let now = clock::now();
        let effects = {
            let mut held = self.record.borrow_mut();
            let Some(record) = held.as_mut() else { return };
            let before = record.clone();
            let connected = happening == Happening::Connected;
            let effects = record.lifecycle.apply(happening, now, clock::jitter());
            if connected && record.lifecycle.status == Status::Working {
                record.last_connected_at = Some(now);
            }
            if effects.contains(&Effect::EraseKeys) {
                (record.phone_number, record.wa_jid, record.wa_lid) = (None, None, None);
            }
            touch(record);
            if let Err(error) = self.write(&before, record, &effects, told, now) {
                worker::console_error!("the record could not be written: {error}");
            }
            effects
        };
        self.wake.notify(usize::MAX);
        if self.status() != Status::ScanQrCode {
            self.qr.take();
        }
        for effect in effects {
            match effect {
                Effect::Connect => self.connect(),
                Effect::Disconnect => self.hang_up(),
                Effect::RetryAt(_) | Effect::CancelRetry | Effect::EraseKeys => {}
            }
        }
        self.arm();
    }

    /// One synchronous SQL run: events, record, timers, keys.
    fn write(
        &self,
        before: &Record,
        record: &mut Record,
        effects: &[Effect],
        told: &[(&str, String)],
        now: u64,
    ) -> Result<(), SqlError> {
        let epoch = record.lifecycle.epoch;
        for (event, payload) in told {
            self.journal.append(&clock::event_id(), event, epoch, now, payload)?;
        }
        if record.lifecycle.status != before.lifecycle.status {
            let payload = json(&SessionStatusPayload { status: record.lifecycle.status });
            self.journal.append(&clock::event_id(), "session.status", epoch, now, &payload)?;
        }
        for effect in effects {
            match effect {
                Effect::RetryAt(at) => self.journal.set_timer(timer::RETRY, *at)?,
                Effect::CancelRetry | Effect::Connect => self.journal.clear_timer(timer::RETRY)?,
                Effect::EraseKeys => {
                    self.fence.raise();
                    let keystore =
                        Keystore::open(self.sql.clone()).map_err(|error| SqlError(error.to_string()))?;
                    keystore.erase().map_err(|error| SqlError(error.to_string()))?;
                }
                Effect::Disconnect => {}
            }
        }
        if *record != *before {
            record.observed_seq += 1;
            self.journal.save(record)?;
            self.journal.set_timer(timer::PROJECTION, now)?;
        }
        if record.lifecycle.status.is_live() {
            self.journal.set_timer(timer::TICK, now + TICK_MS)?;
        } else {
            self.journal.clear_timer(timer::TICK)?;
        }
        Ok(())
    }

    fn connect(self: &Rc<Self>) {
        let epoch = self.epoch();
        let old = self.link.replace(Link::Opening);
        let room = Rc::clone(self);
        wasm_bindgen_futures::spawn_local(async move {
            if let Link::Up(old) = old {
                old.close().await;
            }
            if room.epoch() != epoch {
                return;
            }
            room.fence.raise();
            let cause = match Connection::open(&room, epoch).await {
                Ok(connection) if room.epoch() == epoch => {
                    room.link.replace(Link::Up(Rc::clone(&connection)));
                    room.reconcile(&connection);
                    connection.run().await
                }
                Ok(_) => return,
                Err(error) => Cause::Network(error.to_string()),
            };
            room.ended(epoch, cause);
        });
    }

    /// The keys are the truth about the pairing: a crash may have fallen between them and the record.
    fn reconcile(self: &Rc<Self>, connection: &Connection) {
        let Some((jid, lid)) = connection.identity() else { return };
        let mut held = self.record.borrow_mut();
        let Some(record) = held.as_mut() else { return };
        if !record.lifecycle.paired || record.wa_jid.is_none() {
            record.lifecycle.paired = true;
            record.phone_number = phone_number(&jid).map(str::to_owned);
            record.wa_jid = Some(jid);
            record.wa_lid = lid;
            record.observed_seq += 1;
            if let Err(error) = self.journal.save(record) {
                worker::console_error!("the record could not be written: {error}");
            }
        }
    }

    fn ended(self: &Rc<Self>, epoch: u64, cause: Cause) {
        if self.epoch() != epoch {
            return;
        }
        self.link.replace(Link::Down);
        self.happen(Happening::Ended(cause));
    }

    fn hang_up(&self) {
        if let Link::Up(connection) = self.link.replace(Link::Down) {
            wasm_bindgen_futures::spawn_local(async move { connection.close().await });
        }
    }

    /// The alarm: pushes every due timer ahead, so that nothing is lost if the work dies, and returns what is
    /// due.
    ///
    /// # Errors
    /// When the database fails.
    pub fn take_due(&self, now: u64) -> Result<Vec<String>, SqlError> {
        self.armed.set(None);
        if self.erased.get() {
            return Ok(vec![]);
        }
        let due = self.journal.due(now)?;
        for name in &due {
            self.journal.set_timer(name, now + TICK_MS)?;
        }
        Ok(due)
    }

    /// What is due is done.
    pub async fn work(self: &Rc<Self>, due: Vec<String>) {
        // Also when no timer is due: the guard's alarm comes early, to an object that has just lost its memory.
        self.resume(clock::now());
        for name in due {
            match name.as_str() {
                timer::TICK => self.tick(),
                timer::RETRY => {
                    self.happen(Happening::RetryDue);
                    self.forget_served_retry();
                }
                timer::PROJECTION => projection::project(self).await,
                unknown => {
                    worker::console_warn!("a timer nobody knows: {unknown}");
                    let _kept_for_later = self.journal.clear_timer(unknown);
                }
            }
        }
    }

    /// The timer was pushed ahead before the work; a retry nobody waits for any more must not come back.
    fn forget_served_retry(&self) {
        let waits = self.record.borrow().as_ref().is_some_and(|record| record.lifecycle.retry_at().is_some());
        if !waits && let Err(error) = self.journal.clear_timer(timer::RETRY) {
            worker::console_error!("timer: {error}");
        }
    }

    fn tick(self: &Rc<Self>) {
        let now = clock::now();
        if let Err(error) = self.journal.trim(MAX_EVENTS) {
            worker::console_error!("the log could not be trimmed: {error}");
        }
        self.resume(now);
        let hopeless = match &*self.link.borrow() {
            Link::Up(connection) => connection.is_beyond_hope(now).then_some(connection.epoch),
            Link::Down | Link::Opening => None,
        };
        if let Some(epoch) = hopeless {
            self.ended(epoch, Cause::Stalled);
        }
    }

    /// After a restart the record says "live" and there is no connection: begin again.
    pub fn resume(self: &Rc<Self>, now: u64) {
        let down = matches!(*self.link.borrow(), Link::Down);
        let (live, retry_at) = match self.record.borrow().as_ref() {
            Some(record) => (record.lifecycle.status.is_live(), record.lifecycle.retry_at()),
            None => return,
        };
        match retry_at {
            _ if !live || !down => {}
            Some(at) if at <= now => self.happen(Happening::RetryDue),
            Some(_) => {}
            None => self.happen(Happening::Ended(Cause::Restarted)),
        }
    }

    /// Sets the one physical alarm to the earliest timer.
    pub fn arm(self: &Rc<Self>) {
        let Ok(Some(due)) = self.journal.next_due() else { return };
        // One armed in the past has been lost, or is about to fire and will arm the next itself.
        let now = clock::now();
        if self.armed.get().is_some_and(|armed| armed <= due && armed > now) {
            return;
        }
        self.armed.set(Some(due));
        let room = Rc::clone(self);
        wasm_bindgen_futures::spawn_local(async move {
            if let Err(error) = room.set_alarm(due).await {
                worker::console_error!("the alarm could not be set: {error}");
            }
        });
    }

    /// Sets the alarm and waits until that is stored.
    ///
    /// # Errors
    /// When the storage fails.
    pub async fn set_alarm(&self, due: u64) -> worker::Result<()> {
        self.armed.set(Some(due));
        let offset = i64::try_from(due.saturating_sub(clock::now())).unwrap_or(i64::MAX);
        self.state.storage().set_alarm(offset).await
    }

    /// The current QR code, if one is out.
    pub fn qr(&self) -> Option<Qr> {
        let now = clock::now();
        self.qr.borrow().clone().filter(|qr| qr.expires_at > now)
    }

    /// A QR code is out.
    pub fn qr_shown(self: &Rc<Self>, code: &str, lasts: Duration) {
        let lasts = u64::try_from(lasts.as_millis()).unwrap_or(0);
        let qr = Qr { code: code.to_owned(), expires_at: clock::now() + lasts };
        let payload = json(&AuthQrPayload { code: qr.code.clone(), expires_at: qr.expires_at });
        self.happen_with(Happening::QrShown, |_| {}, &[("auth.qr", payload)]);
        self.qr.replace(Some(qr));
        self.wake.notify(usize::MAX);
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
        let Some(inbound) = inbound::normalise(&message.message, &message.info) else { return };
        let now = clock::now();
        let stored = self.journal.insert_message(&inbound.row).and_then(|new| {
            if new {
                let payload = json(&inbound.payload);
                self.journal.append(&clock::event_id(), inbound.event, connection.epoch, now, &payload)?;
            }
            Ok(new)
        });
        self.crash(false);
        match stored {
            Ok(true) => {
                self.wake.notify(usize::MAX);
                crate::sending::mark_read(self, connection, &message.info);
            }
            Ok(false) => {}
            Err(error) => {
                worker::console_error!("an inbound message could not be stored: {error}");
                // Without its row the ack must not leave: WhatsApp keeps the message and delivers it again.
                connection.cut(Cause::Network("the object's storage failed".to_owned()));
            }
        }
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
    pub fn receipt_in(self: &Rc<Self>, receipt: &Receipt) {
        let status = match receipt.r#type {
            ReceiptType::Delivered | ReceiptType::Inactive => "delivered",
            ReceiptType::Read => "read",
            ReceiptType::Played => "played",
            _ => return,
        };
        let ids: Vec<String> = receipt.message_ids.iter().map(ToString::to_string).collect();
        let timestamp = u64::try_from(receipt.timestamp.timestamp_millis()).unwrap_or(0);
        self.status_changed(&ids, status, timestamp, Some(&receipt.source));
    }

    /// WhatsApp's server answered a message of ours.
    pub fn acked(self: &Rc<Self>, id: &str, error: Option<&str>, timestamp: u64) {
        let ids = [id.to_owned()];
        if error.is_some() {
            self.status_changed(&ids, "failed", timestamp, None);
            return;
        }
        let told = self.journal.raise_status(&ids, "sent").and_then(|raised| {
            let Some(message) = raised.first().map_or(Ok(None), |id| self.journal.sent_message(id))? else {
                return Ok(());
            };
            self.journal.set_timestamp(id, timestamp)?;
            let payload = json(&crate::sending::from_me(&message, timestamp));
            self.journal.append(
                &clock::event_id(),
                "message.from_me",
                self.epoch(),
                clock::now(),
                &payload,
            )?;
            Ok(())
        });
        self.told(told);
    }

    fn status_changed(
        self: &Rc<Self>,
        ids: &[String],
        status: &str,
        timestamp: u64,
        source: Option<&whatsapp_rust::types::message::MessageSource>,
    ) {
        let told = self.journal.raise_status(ids, status).and_then(|raised| {
            let Some(first) = raised.first() else { return Ok(()) };
            let chat_jid = self.journal.sent_message(first)?.map(|message| message.chat).unwrap_or_default();
            let payload = json(&MessageStatusPayload {
                chat_jid,
                message_ids: raised,
                sender_jid: source.map(|source| source.sender.to_non_ad_string()),
                status: status.to_owned(),
                timestamp,
            });
            self.journal.append(
                &clock::event_id(),
                "message.status",
                self.epoch(),
                clock::now(),
                &payload,
            )?;
            Ok(())
        });
        self.told(told);
    }

    fn told(&self, written: Result<(), SqlError>) {
        match written {
            Ok(()) => {
                self.wake.notify(usize::MAX);
            }
            Err(error) => worker::console_error!("an event could not be written: {error}"),
        }
    }

    /// Erases everything; a late event of a dying connection finds nothing to write to.
    ///
    /// # Errors
    /// When the storage fails.
    pub async fn erase(self: &Rc<Self>) -> Result<(), ApiError> {
        let up = match self.link.replace(Link::Down) {
            Link::Up(connection) => Some(connection),
            Link::Down | Link::Opening => None,
        };
        if let Some(connection) = up {
            if self.status() == Status::Working
                && let Err(error) = connection.unlink().await
            {
                worker::console_warn!("deleted without WhatsApp's confirmation of the unlink: {error}");
            }
            connection.close().await;
        }
        self.erased.set(true);
        // A connection that is just being opened finds no epoch of its own any more and gives up.
        self.record.take();
        self.fence.raise();
        self.wake.notify(usize::MAX);
        let storage = self.state.storage();
        let erased = async {
            storage.delete_alarm().await?;
            storage.delete_all().await
        };
        erased.await.map_err(|error| failed("erase", &error))
    }
}

/// A failure of ours: the cause goes to the log, the caller gets `internal`.
pub fn failed(what: &str, error: &impl std::fmt::Display) -> ApiError {
    worker::console_error!("{what}: {error}");
    ApiError::internal()
}

fn json(payload: &impl Serialize) -> String {
    serde_json::to_string(payload).unwrap_or_else(|_| "{}".to_owned())
}
