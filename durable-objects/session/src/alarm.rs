//! The alarm of a room: one physical alarm, many timers, and what is done when they are due (docs/decisions/heartbeat.md).

use std::rc::Rc;

use gateway_domain::lifecycle::{Cause, Happening};
use gateway_domain::timeline::DAY_MS;
use gateway_sql::SqlError;

use crate::polls::Polls;
use crate::room::{Link, Room, json};
use crate::stretches::{MAX_STRETCHES, STRETCHES_KEPT_MS};
use crate::{backfill, clock, forward, polls, projection, reach, sending};

/// While a session should be connected its alarm fires at least this often: without it the runtime drops object
/// and socket in silence after 140 s (docs/decisions/heartbeat.md).
pub(crate) const TICK_MS: u64 = 15_000;

/// How long it may take from the decision to connect until a client exists: the connection before is closed, the
/// version asked for.
const OPENING_MS: u64 = 45_000;

/// The names of the timers.
pub mod timer {
    /// The heartbeat.
    pub const TICK: &str = "tick";
    /// The next attempt to connect.
    pub const RETRY: &str = "retry";
    /// The directory has not seen the newest state yet.
    pub const PROJECTION: &str = "projection";
    /// The end of the pairing code that is out.
    pub const PAIRING_CODE: &str = "pairing_code";
    /// A backfill that is running, and goes on if it was cut off.
    pub const BACKFILL: &str = "backfill";
    /// Events the ledger does not have yet.
    pub const FORWARD: &str = "forward";
    /// The log of a session that is not live and has no tick.
    pub const TRIM: &str = "trim";
    /// WebSockets that read the log.
    pub const SOCKETS: &str = "sockets";
    /// A delete that was cut off.
    pub const ERASE: &str = "erase";
    /// The next end of a poll.
    pub const POLLS: &str = crate::polls::TIMER;
    /// Sends that wait for their time.
    pub const OUTBOX: &str = "outbox";
}

impl Room {
    /// The alarm: pushes every due timer ahead, so that nothing is lost if the work dies, and returns what is
    /// due.
    ///
    /// # Errors
    /// When the database fails.
    pub fn take_due(&self, now: u64) -> Result<Vec<String>, SqlError> {
        self.bell.rang();
        let due = self.journal.timers().due(now)?;
        for name in &due {
            self.journal.timers().set(name, now + TICK_MS)?;
        }
        Ok(due)
    }

    /// Whether there is nothing any more, not even a tombstone.
    pub fn is_gone(&self) -> bool {
        self.erased.get() && self.record.borrow().is_none()
    }

    /// What is due is done.
    pub async fn work(self: &Rc<Self>, due: Vec<String>) {
        if self.erased.get() && !due.iter().any(|name| name == timer::ERASE) {
            return;
        }
        // Also when no timer is due: the guard's alarm comes early, to an object that has just lost its memory.
        self.resume(clock::now());
        // At every alarm, whatever it came for: a crash may have fallen between an event and its handing over.
        forward::start(self);
        for name in due {
            match name.as_str() {
                timer::TICK => self.tick(),
                timer::RETRY => {
                    self.happen(Happening::RetryDue);
                    self.forget_served_retry();
                }
                timer::PAIRING_CODE => self.pairing_code_expired(),
                timer::PROJECTION => projection::start(self),
                timer::BACKFILL => backfill::go_on(self),
                timer::FORWARD => {}
                timer::TRIM => self.trim_in_a_day(),
                timer::POLLS => self.recap_polls(),
                timer::OUTBOX => sending::wake(self),
                // The directory is asked, and nothing waits for that.
                timer::SOCKETS => {
                    let room = Rc::clone(self);
                    wasm_bindgen_futures::spawn_local(async move { room.look_after_sockets().await });
                }
                timer::ERASE => {
                    if let Err(error) = self.finish_erase().await {
                        worker::console_error!("a delete could not be finished: {}", error.error.message);
                    }
                    return;
                }
                unknown => {
                    worker::console_warn!("a timer nobody knows: {unknown}");
                    let _cleared_next_time = self.journal.timers().clear(unknown);
                }
            }
        }
    }

    /// The timer was pushed ahead before the work; a retry nobody waits for any more must not come back.
    fn forget_served_retry(&self) {
        let waits = self.record.borrow().as_ref().is_some_and(|record| record.lifecycle.retry_at().is_some());
        if !waits && let Err(error) = self.journal.timers().clear(timer::RETRY) {
            worker::console_error!("timer: {error}");
        }
    }

    fn tick(self: &Rc<Self>) {
        let now = clock::now();
        self.trim(now);
        self.resume(now);
        self.expire_passkey(now);
        self.expire_timelock(now);
        sending::resume(self, false);
        reach::look(self);
        let hopeless = match &*self.link.borrow() {
            Link::Up(connection) => connection.is_beyond_hope(now).then_some(connection.epoch),
            Link::Opening { since } => (now.saturating_sub(*since) > OPENING_MS).then(|| self.epoch()),
            Link::Down => None,
        };
        if let Some(epoch) = hopeless {
            self.ended(epoch, Cause::Stalled);
        }
    }

    fn trim(&self, now: u64) {
        let trimmed = self
            .journal
            .trim(self.retention.events, now.saturating_sub(self.retention.milliseconds))
            .and_then(|()| self.journal.trim_timeline(now.saturating_sub(STRETCHES_KEPT_MS), MAX_STRETCHES));
        if let Err(error) = trimmed {
            worker::console_error!("the log could not be trimmed: {error}");
        }
    }

    /// A session that is not live keeps its log no longer than others.
    fn trim_in_a_day(&self) {
        self.trim(clock::now());
        let is_empty = matches!((self.journal.first_seq(), self.journal.last_seq()), (Ok(first), Ok(last)) if first >= last);
        let set = if is_empty || self.status().is_live() {
            self.journal.timers().clear(timer::TRIM)
        } else {
            self.journal.timers().set(timer::TRIM, clock::now() + DAY_MS)
        };
        if let Err(error) = set {
            worker::console_error!("timer: {error}");
        }
    }

    /// How the polls ended whose last votes are here.
    fn recap_polls(self: &Rc<Self>) {
        let (now, epoch) = (clock::now(), self.epoch());
        let connected = self.record.borrow().as_ref().and_then(|record| record.last_connected_at);
        let heard = polls::heard_until(self.status(), connected, now);
        let told = self.journal.atomically(|| {
            let messages = self.journal.messages();
            let polls = Polls::new(messages.sql());
            let recaps = polls.close(heard)?;
            for recap in &recaps {
                self.journal.append(&clock::event_id(), "poll.recap", epoch, now, &json(recap))?;
            }
            polls.set_timer(heard, now)?;
            Ok(!recaps.is_empty())
        });
        match told {
            Ok(true) => self.changed(),
            Ok(false) => {}
            Err(error) => worker::console_error!("polls could not be told: {error}"),
        }
        self.arm();
    }

    /// WhatsApp lets the number start new chats again.
    fn expire_timelock(self: &Rc<Self>, now: u64) {
        let is_over = self.record.borrow().as_ref().is_some_and(|record| {
            let why = record.lifecycle.reason.as_ref();
            why.is_some_and(|why| why.code == "reachout_timelock")
                && record.lifecycle.timelock_until(now).is_none()
        });
        if is_over {
            self.happen(Happening::ReachoutTimelock(None));
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
    pub fn arm(&self) {
        if let Ok(Some(due)) = self.journal.timers().next_due() {
            self.bell.arm(due);
        }
    }
}
