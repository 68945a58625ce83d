//! The session's room: the record, its lifecycle and the connection, held together.
//!
//! Everything that happens goes through [`Room::happen`]: what follows from it is written in one synchronous SQL
//! run, the status event and the timers included, and only then acted on (rule 4).

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use event_listener::{Event as Wake, EventListener};
use gateway_domain::error::ApiError;
use gateway_domain::event::SessionStatusPayload;
use gateway_domain::jid::phone_number;
use gateway_domain::lifecycle::{Cause, Effect, Happening, Status};
use gateway_domain::linking::PasskeyChallenge;
use gateway_domain::session::Qr;
use gateway_domain::timeline::DAY_MS;
use gateway_object::alarm::Bell;
use gateway_object::environment::variable;
use gateway_sql::SqlError;
use gateway_sql::workerd::WorkerdSql;
use serde::Serialize;
use worker::{Env, State};

use crate::alarm::{TICK_MS, timer};
use crate::backfill::Desk;
use crate::call::{Request, Settings, Snapshot};
use crate::connection::Connection;
use crate::fence::{Fence, FencedSql};
use crate::journal::{Journal, Record};
use crate::keystore::Keystore;
use crate::library::Library;
use crate::{clock, projection, reach, sending, whatsapp_version};

/// How much of the log is kept.
#[derive(Clone, Copy)]
pub(crate) struct Retention {
    /// The most events.
    pub events: u64,
    /// For how long, in milliseconds.
    pub milliseconds: u64,
}

impl Retention {
    /// `SESSION_LOG_EVENTS` and `SESSION_LOG_DAYS`; what can't be used is named by `GET /readyz`.
    fn of(env: &Env) -> Self {
        let number =
            |name: &str| env.var(name).ok().and_then(|value| value.to_string().trim().parse::<u64>().ok());
        Self {
            events: number("SESSION_LOG_EVENTS").unwrap_or(20_000).max(1),
            milliseconds: number("SESSION_LOG_DAYS").unwrap_or(30).clamp(1, 3_650).saturating_mul(DAY_MS),
        }
    }
}

/// The socket's side of the session.
pub(crate) enum Link {
    Down,
    Opening { since: u64 },
    Up(Rc<Connection>),
}

/// See the module.
pub struct Room {
    pub(crate) state: State,
    /// The Worker's bindings and variables.
    pub env: Env,
    pub(crate) sql: WorkerdSql,
    /// The object's memory.
    pub journal: Journal<WorkerdSql>,
    pub(crate) fence: Fence,
    pub(crate) record: RefCell<Option<Record>>,
    pub(crate) link: RefCell<Link>,
    /// The connection that is being closed, if the next must wait for it.
    closing: RefCell<Option<Rc<Connection>>>,
    pub(crate) backfill: Desk,
    pub(crate) is_projecting: Cell<bool>,
    pub(crate) is_forwarding: Cell<bool>,
    pub(crate) retention: Retention,
    pub(crate) outgoing: sending::Desk,
    /// `NEW_CHATS_PER_DAY`: how many chats a number may begin; 0 is any number.
    pub(crate) new_chats_per_day: u32,
    pub(crate) qr: RefCell<Option<Qr>>,
    pub(crate) passkey: RefCell<Option<PasskeyChallenge>>,
    /// When the object that was here before was last known to live; taken by the first change after it.
    last_alive: Cell<Option<u64>>,
    pub(crate) wake: Wake,
    pub(crate) bell: Rc<Bell>,
    pub(crate) erased: Cell<bool>,
    pub(crate) is_erasing: Cell<bool>,
    #[cfg(feature = "simulator")]
    pub crash_point: Cell<Option<crate::call::CrashPoint>>,
}

impl Room {
    /// Opens the object's database and finds what was intended before a restart.
    ///
    /// # Errors
    /// When the database fails or was written by a newer gateway.
    pub fn open(state: State, env: Env) -> Result<Self, (State, SqlError)> {
        let sql = WorkerdSql::new(&state.storage());
        let opened = Journal::open(sql.clone())
            .and_then(|journal| Ok((journal.record()?, journal.timers().timer(timer::TICK)?, journal)));
        let (record, tick, journal) = match opened {
            Ok(opened) => opened,
            Err(error) => return Err((state, error)),
        };
        // Each tick sets the next: so far ahead it was when the object last lived.
        // One that waits for its next attempt has no socket to lose, and is evicted between two ticks.
        let waits = record.as_ref().is_some_and(|record| record.lifecycle.retry_at().is_some());
        let last_alive = tick.filter(|_| !waits).map(|due| due.saturating_sub(TICK_MS));
        let bell = Bell::new(state.storage());
        let retention = Retention::of(&env);
        let new_chats_per_day = variable(&env, "NEW_CHATS_PER_DAY");
        let new_chats_per_day = new_chats_per_day.and_then(|text| text.trim().parse().ok()).unwrap_or(0);
        let erased = record.as_ref().is_some_and(|record| record.deleting);
        Ok(Self {
            state,
            env,
            sql,
            journal,
            fence: Fence::default(),
            record: RefCell::new(record),
            link: RefCell::new(Link::Down),
            closing: RefCell::default(),
            backfill: Desk::default(),
            is_projecting: Cell::new(false),
            is_forwarding: Cell::new(false),
            retention,
            outgoing: sending::Desk::default(),
            new_chats_per_day,
            qr: RefCell::default(),
            passkey: RefCell::default(),
            last_alive: Cell::new(last_alive),
            wake: Wake::new(),
            bell,
            erased: Cell::new(erased),
            is_erasing: Cell::new(false),
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

    /// What the number knows of people and groups.
    pub fn library(&self) -> Library<WorkerdSql> {
        Library::new(self.sql.clone())
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

    /// Takes in whose session a call is for, and the owner's settings.
    ///
    /// # Errors
    /// 404 when the object is another's, or was erased.
    pub fn recognise(self: &Rc<Self>, request: &Request) -> Result<(), ApiError> {
        if self.erased.get() {
            return Err(ApiError::not_found());
        }
        let mut record = self.record.borrow_mut();
        let Some(settings) = &request.settings else {
            let is_ours = record.as_ref().is_some_and(|known| {
                known.organization == request.organization && known.session == request.session
            });
            return if is_ours { Ok(()) } else { Err(ApiError::not_found()) };
        };
        let mut known =
            record.clone().unwrap_or_else(|| Record::new(&request.organization, &request.session));
        if known.organization != request.organization || known.session != request.session {
            return Err(ApiError::not_found());
        }
        let rates = |settings: &Settings| (settings.rate_per_min, settings.rate_per_hour);
        let has_other_limits = rates(&known.settings) != rates(settings);
        if known.settings != *settings || known.observed_seq == 0 {
            known.settings = settings.clone();
            known.observed_seq += 1;
            let saved = self.journal.atomically(|| {
                self.journal.save(&known)?;
                self.journal.timers().set(timer::PROJECTION, clock::now() + TICK_MS)
            });
            saved.map_err(|error| failed("record", &error))?;
            *record = Some(known);
        }
        drop(record);
        if has_other_limits {
            sending::reconsider(self);
        }
        self.arm();
        Ok(())
    }

    /// The owner wants something. It counts as heard with what follows from it, in one write; and of two wishes that
    /// cross on their way the newer one stands.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn wish(self: &Rc<Self>, happening: Happening, at: Option<u64>) -> Result<(), ApiError> {
        let heard_at = self.record()?.heard_at;
        if at.is_some_and(|at| at < heard_at) {
            return Ok(());
        }
        let hear = |record: &mut Record| record.heard_at = record.heard_at.max(at.unwrap_or(0));
        self.try_happen(happening, hear, &[]).map_err(|error| failed("a wish", &error))
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

    /// The connection's number; 0, which no connection has, once the session is being deleted.
    pub fn epoch(&self) -> u64 {
        if self.erased.get() {
            return 0;
        }
        self.record.borrow().as_ref().map_or(0, |record| record.lifecycle.epoch)
    }

    /// The status.
    pub fn status(&self) -> Status {
        self.record.borrow().as_ref().map_or(Status::Stopped, |record| record.lifecycle.status)
    }

    /// The connection, if it is up and may be used.
    pub fn connection(&self) -> Option<Rc<Connection>> {
        match &*self.link.borrow() {
            Link::Up(connection) if self.status() == Status::Working && connection.is_alive() => {
                Some(Rc::clone(connection))
            }
            _ => None,
        }
    }

    /// Whether this is the one that may be used.
    pub fn is_up(&self, connection: &Rc<Connection>) -> bool {
        self.connection().is_some_and(|current| Rc::ptr_eq(&current, connection))
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
    pub(crate) fn happen_with(
        self: &Rc<Self>,
        happening: Happening,
        touch: impl FnOnce(&mut Record),
        told: &[(&str, String)],
    ) {
        // What is not stored has not happened: the next tick finds no connection and begins again.
        if let Err(error) = self.try_happen(happening, touch, told) {
            worker::console_error!("the record could not be written: {error}");
        }
    }

    fn try_happen(
        self: &Rc<Self>,
        happening: Happening,
        touch: impl FnOnce(&mut Record),
        told: &[(&str, String)],
    ) -> Result<(), SqlError> {
        if self.erased.get() {
            return Ok(());
        }
        let now = clock::now();
        let is_of_turns = matches!(happening, Happening::ReachoutTimelock(_));
        let was_live = self.status().is_live();
        let (effects, is_news) = {
            let mut held = self.record.borrow_mut();
            let Some(record) = held.as_mut() else { return Ok(()) };
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
            if record.lifecycle.paired || !record.lifecycle.status.is_live() {
                record.pairing_code = None;
            }
            let written = self.journal.atomically(|| self.write(&before, record, &effects, told, now));
            if let Err(error) = written {
                *record = before;
                drop(held);
                self.hang_up();
                return Err(error);
            }
            (effects, *record != before)
        };
        self.changed();
        if self.status() != Status::ScanQrCode {
            self.qr.take();
            self.passkey.take();
        }
        for effect in effects {
            match effect {
                Effect::Connect => self.connect(),
                Effect::Disconnect => self.hang_up(),
                // What waits was to be sent by this number; the next pairing may be another's.
                Effect::EraseKeys => sending::forsake(self),
                Effect::RetryAt(_) | Effect::CancelRetry => {}
            }
        }
        if is_news {
            projection::start(self);
        }
        if is_of_turns {
            sending::reconsider(self);
        }
        if was_live && !self.status().is_live() {
            sending::resume(self, false);
        }
        self.arm();
        Ok(())
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
        if told_apart(record) != told_apart(before) {
            // A restart is told when it has been noticed; the session had gone before.
            let at = self.last_alive.take().unwrap_or(now).min(now);
            self.journal.begin_stretch(at, &record.lifecycle)?;
        }
        if record.pairing_code.is_none() && before.pairing_code.is_some() {
            self.journal.timers().clear(timer::PAIRING_CODE)?;
        }
        for effect in effects {
            match effect {
                Effect::RetryAt(at) => self.journal.timers().set(timer::RETRY, *at)?,
                Effect::CancelRetry | Effect::Connect => self.journal.timers().clear(timer::RETRY)?,
                Effect::EraseKeys | Effect::Disconnect => {}
            }
        }
        if *record != *before {
            record.observed_seq += 1;
            self.journal.save(record)?;
            // For the case that the projection which follows does not live to its end.
            self.journal.timers().set(timer::PROJECTION, now + projection::RETRY_MS)?;
        }
        if record.lifecycle.status.is_live() {
            // Never pushed ahead: whatever happens all the time must not keep the tick from coming.
            if self.journal.timers().timer(timer::TICK)?.is_none_or(|due| due > now + TICK_MS) {
                self.journal.timers().set(timer::TICK, now + TICK_MS)?;
            }
        } else {
            self.journal.timers().clear(timer::TICK)?;
            if before.lifecycle.status.is_live() {
                self.journal.timers().set(timer::TRIM, now + DAY_MS)?;
            }
        }
        // Last: that WhatsApp called the keys worthless is stored by now.
        if effects.contains(&Effect::EraseKeys) {
            self.fence.raise();
            let keystore = Keystore::open(self.sql.clone()).map_err(|error| SqlError(error.to_string()))?;
            keystore.erase().map_err(|error| SqlError(error.to_string()))?;
        }
        Ok(())
    }

    fn connect(self: &Rc<Self>) {
        self.hang_up();
        self.link.replace(Link::Opening { since: clock::now() });
        let epoch = self.epoch();
        let room = Rc::clone(self);
        wasm_bindgen_futures::spawn_local(async move {
            // The old connection first: its last keys are written before the fence is raised, and WhatsApp never sees
            // two sockets of one device.
            // It stays where it is meanwhile: whoever comes after this attempt waits for it too.
            let closing = room.closing.borrow().clone();
            if let Some(closing) = closing {
                closing.close().await;
                room.closing.borrow_mut().take_if(|other| Rc::ptr_eq(other, &closing));
            }
            if !room.is_opening(epoch) {
                return;
            }
            let version =
                whatsapp_version::to_claim(&room.env, room.state(), || room.is_opening(epoch)).await;
            if !room.is_opening(epoch) {
                return;
            }
            room.fence.raise();
            let opened = match version {
                Ok(version) => {
                    Connection::open(&room, epoch, version).await.map_err(|error| error.to_string())
                }
                Err(error) => Err(error),
            };
            let cause = match opened {
                Ok(connection) if room.is_opening(epoch) => {
                    room.link.replace(Link::Up(Rc::clone(&connection)));
                    room.reconcile(&connection);
                    connection.run().await
                }
                Ok(unwanted) => return unwanted.line.cut("unwanted"),
                Err(error) => Cause::Network(error),
            };
            room.ended(epoch, cause);
        });
    }

    /// Whether the attempt of this epoch is still wanted: nobody has stopped it meanwhile.
    fn is_opening(&self, epoch: u64) -> bool {
        self.epoch() == epoch && matches!(*self.link.borrow(), Link::Opening { .. })
    }

    /// Whether this is the connection the session is on, not one that is being closed.
    pub fn is_current(&self, connection: &Rc<Connection>) -> bool {
        matches!(&*self.link.borrow(), Link::Up(current) if Rc::ptr_eq(current, connection))
    }

    /// The keys are the truth about the pairing: a crash may have fallen between them and the record.
    fn reconcile(self: &Rc<Self>, connection: &Connection) {
        let mut held = self.record.borrow_mut();
        let Some(record) = held.as_mut() else { return };
        match connection.identity() {
            Some((jid, lid)) if !record.lifecycle.paired || record.wa_jid.is_none() => {
                record.lifecycle.paired = true;
                record.phone_number = phone_number(&jid).map(str::to_owned);
                record.wa_jid = Some(jid);
                record.wa_lid = lid;
            }
            None if record.lifecycle.paired => {
                record.lifecycle.paired = false;
                (record.phone_number, record.wa_jid, record.wa_lid) = (None, None, None);
            }
            _ => return,
        }
        record.observed_seq += 1;
        let saved = self.journal.save(record);
        if let Err(error) = saved {
            worker::console_error!("the record could not be written: {error}");
        }
        drop(held);
        projection::start(self);
    }

    pub(crate) fn ended(self: &Rc<Self>, epoch: u64, cause: Cause) {
        // One that was given up, or stopped, has been counted already.
        if self.epoch() != epoch || matches!(*self.link.borrow(), Link::Down) {
            return;
        }
        self.link.replace(Link::Down);
        self.happen(Happening::Ended(cause));
        // Whether WhatsApp was out of reach when the attempt failed is best asked now.
        reach::look(self);
    }

    fn hang_up(&self) {
        if let Link::Up(connection) = self.link.replace(Link::Down) {
            self.closing.replace(Some(Rc::clone(&connection)));
            wasm_bindgen_futures::spawn_local(async move { connection.close().await });
        }
    }

    /// The current QR code, if one is out.
    pub fn qr(&self) -> Option<Qr> {
        let now = clock::now();
        self.qr.borrow().clone().filter(|qr| qr.expires_at > now)
    }
}

/// What makes a new stretch of the timeline.
fn told_apart(record: &Record) -> (Status, Option<&str>, u64) {
    let lifecycle = &record.lifecycle;
    (lifecycle.status, lifecycle.reason.as_ref().map(|why| why.code.as_str()), lifecycle.epoch)
}

/// A failure of ours: the cause goes to the log, the caller gets `internal`.
pub fn failed(what: &str, error: &impl std::fmt::Display) -> ApiError {
    worker::console_error!("{what}: {error}");
    ApiError::internal()
}

/// A payload as the log keeps it.
pub(crate) fn json(payload: &impl Serialize) -> String {
    serde_json::to_string(payload).unwrap_or_else(|_| "{}".to_owned())
}
