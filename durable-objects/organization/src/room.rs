//! The ledger's room: its database, its alarm, who waits for news, and what has to be told to other objects.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use event_listener::{Event as Wake, EventListener};
use futures::StreamExt;
use gateway_domain::error::{ApiError, ErrorCode};
use gateway_domain::position;
use gateway_domain::stream::Position;
use gateway_object::alarm::Bell;
use gateway_object::calls::reader::Filter;
use gateway_object::calls::{session, webhook};
use gateway_object::clock;
use gateway_object::peer::Peer;
use gateway_object::reader::{Batch, Bounds, Log, Sockets};
use gateway_sql::SqlError;
use gateway_sql::workerd::WorkerdSql;
use serde_json::Value;
use worker::{Env, State};

use crate::ledger::{Ledger, Retention, Sleeper};
use crate::reading;

/// The names of the timers.
pub mod timer {
    /// Webhooks that have not heard of the news.
    pub const TELL: &str = "tell";
    /// Sessions that have not heard that somebody listens.
    pub const WAKE: &str = "wake";
    /// WebSockets: signs of life, and whether their callers would still be let in.
    pub const SOCKETS: &str = "sockets";
    /// The retention.
    pub const TRIM: &str = "trim";
}

/// How often the WebSockets are looked after.
pub const SOCKETS_MS: u64 = 25_000;
/// How often the log is trimmed.
pub const TRIM_MS: u64 = 3_600_000;
/// How long after a failure others are told again; the alarm's next try for whatever dies on the way.
const TELL_MS: u64 = 5_000;
/// How long another object may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// How many sessions are told at a time: an object has six connections.
const AT_ONCE: usize = 5;
const MOST_AT_ONCE: u32 = 50;

/// See the module.
pub struct Room {
    pub state: State,
    pub env: Env,
    pub ledger: Ledger<WorkerdSql>,
    pub bell: Rc<Bell>,
    pub retention: Retention,
    wake: Wake,
    is_telling: Cell<bool>,
    is_waking: Cell<bool>,
    /// The directory's answers about webhooks: how many were asked for, and which was taken in last.
    pub webhooks_asked: Cell<u64>,
    pub webhooks_known: Cell<u64>,
    name: RefCell<Option<String>>,
}

impl Room {
    /// Opens the object's database.
    ///
    /// # Errors
    /// When the database fails.
    pub fn open(state: State, env: Env) -> Result<Self, (State, SqlError)> {
        let opened =
            Ledger::open(WorkerdSql::new(&state.storage())).and_then(|ledger| Ok((ledger.owner()?, ledger)));
        let (name, ledger) = match opened {
            Ok(opened) => opened,
            Err(error) => return Err((state, error)),
        };
        Ok(Self {
            bell: Bell::new(state.storage()),
            retention: reading::retention(&env),
            ledger,
            wake: Wake::new(),
            is_telling: Cell::new(false),
            is_waking: Cell::new(false),
            webhooks_asked: Cell::new(0),
            webhooks_known: Cell::new(0),
            name: RefCell::new(name),
            state,
            env,
        })
    }

    /// Takes in whose ledger a call is for.
    ///
    /// # Errors
    /// 404 when it is another's.
    pub fn recognise(&self, organization: &str) -> Result<(), ApiError> {
        let mut name = self.name.borrow_mut();
        match name.as_deref() {
            Some(known) if known == organization => Ok(()),
            Some(_) => Err(ApiError::not_found()),
            None => {
                self.ledger.set_owner(organization).map_err(|error| reading::failed(&error))?;
                *name = Some(organization.to_owned());
                Ok(())
            }
        }
    }

    /// The organization; empty before the first call, when there is nothing to do for it either.
    pub fn organization(&self) -> String {
        self.name.borrow().clone().unwrap_or_default()
    }

    /// The WebSockets that read it.
    pub fn sockets(&self) -> Sockets<'_> {
        Sockets(&self.state)
    }

    /// The log has grown: readers and webhooks are told.
    pub fn grown(self: &Rc<Self>) {
        self.wake.notify(usize::MAX);
        self.sockets().push(self.as_ref());
        self.tell();
    }

    /// Tells webhooks that there is news; beside everything else, one run at a time.
    pub fn tell(self: &Rc<Self>) {
        if self.is_telling.get() {
            return;
        }
        match self.is_owed() {
            Ok(true) => {}
            Ok(false) => return,
            Err(error) => return worker::console_error!("the webhooks: {error}"),
        }
        // Should this die on the way, the alarm does it again.
        self.set_timer(timer::TELL, clock::now() + TELL_MS);
        self.is_telling.set(true);
        let room = Rc::clone(self);
        wasm_bindgen_futures::spawn_local(async move {
            if let Err(error) = room.wake_webhooks().await {
                worker::console_error!("the webhooks could not be told: {error}");
            }
            room.is_telling.set(false);
            let due = room.is_owed().map(|is_owed| is_owed.then(|| clock::now() + TELL_MS));
            room.settle(timer::TELL, due);
        });
    }

    /// Tells quiet sessions that somebody listens; beside everything else, one run at a time.
    pub fn rouse(self: &Rc<Self>) {
        if self.is_waking.get() || !matches!(self.ledger.next_wake(), Ok(Some(_))) {
            return;
        }
        self.set_timer(timer::WAKE, clock::now() + TELL_MS);
        self.is_waking.set(true);
        let room = Rc::clone(self);
        wasm_bindgen_futures::spawn_local(async move {
            if let Err(error) = room.wake_sessions().await {
                worker::console_error!("the sessions could not be told: {error}");
            }
            room.is_waking.set(false);
            room.settle(timer::WAKE, room.ledger.next_wake());
        });
    }

    /// Sets the timer for what is still to be told, or clears it.
    fn settle(&self, name: &str, due: Result<Option<u64>, SqlError>) {
        let set = match due {
            Ok(Some(due)) => self.ledger.timers().set(name, due),
            Ok(None) => self.ledger.timers().clear(name),
            Err(error) => Err(error),
        };
        if let Err(error) = set {
            worker::console_error!("timer: {error}");
        }
        self.arm();
    }

    fn is_owed(&self) -> Result<bool, SqlError> {
        let newest = self.ledger.bounds()?.newest;
        Ok(self.ledger.webhooks()?.iter().any(|(_, told)| *told < newest))
    }

    async fn wake_webhooks(&self) -> Result<(), SqlError> {
        loop {
            let position = self.ledger.bounds()?.newest;
            let behind: Vec<String> = self
                .ledger
                .webhooks()?
                .into_iter()
                .filter_map(|(id, told)| (told < position).then_some(id))
                .collect();
            if behind.is_empty() {
                return Ok(());
            }
            let calls = behind.iter().map(async |id| {
                let request = webhook::Request {
                    organization: self.organization(),
                    webhook: id.clone(),
                    call: webhook::Call::Wake { position },
                };
                (id, Peer::webhook(id).ask::<()>(&self.env, &request, PATIENCE).await)
            });
            let mut told = futures::stream::iter(calls).buffer_unordered(AT_ONCE);
            let mut has_failed = false;
            while let Some((id, outcome)) = told.next().await {
                // One that can't be found is gone; the directory says so when it is read next.
                let is_told = match outcome {
                    Ok(()) => true,
                    Err(error) => error.error.code == ErrorCode::NotFound,
                };
                if is_told {
                    self.ledger.told(id, position)?;
                } else {
                    has_failed = true;
                }
            }
            if has_failed {
                return Ok(());
            }
        }
    }

    async fn wake_sessions(&self) -> Result<(), SqlError> {
        loop {
            let sleepers = self.ledger.sleepers(clock::now(), MOST_AT_ONCE)?;
            if sleepers.is_empty() {
                return Ok(());
            }
            let since = self.ledger.listening_since()?;
            let calls =
                sleepers.iter().map(async |sleeper| (sleeper, self.wake_session(sleeper, since).await));
            let mut woken = futures::stream::iter(calls).buffer_unordered(AT_ONCE);
            while let Some((sleeper, outcome)) = woken.next().await {
                match outcome {
                    Ok(()) => self.ledger.woken(sleeper)?,
                    Err(error) if error.error.code == ErrorCode::NotFound => {
                        self.ledger.forget(&sleeper.session)?;
                    }
                    Err(_) => self.ledger.not_woken(sleeper, clock::now())?,
                }
            }
        }
    }

    async fn wake_session(&self, sleeper: &Sleeper, since: u64) -> Result<(), ApiError> {
        let request = session::Request {
            organization: self.organization(),
            session: sleeper.session.clone(),
            settings: None,
            wish: None,
            call: session::Call::Forward { since },
        };
        Peer::session(&sleeper.session, sleeper.region.as_deref()).ask(&self.env, &request, PATIENCE).await
    }

    /// Sets a timer and the alarm with it.
    pub fn set_timer(&self, name: &str, due: u64) {
        if let Err(error) = self.ledger.timers().set(name, due) {
            worker::console_error!("timer: {error}");
        }
        self.arm();
    }

    /// Sets the one physical alarm to the earliest timer.
    pub fn arm(&self) {
        if let Ok(Some(due)) = self.ledger.timers().next_due() {
            self.bell.arm(due);
        }
    }
}

impl Log for Room {
    fn bounds(&self) -> Result<Bounds, SqlError> {
        self.ledger.bounds()
    }

    fn read(&self, after: u64, limit: u32, filter: &Filter) -> Result<Batch, SqlError> {
        self.ledger.read(after, limit, filter)
    }

    fn told(&self, at: u64) -> Value {
        position::of_ledger(&self.organization(), at).into()
    }

    fn named(&self, at: &Position) -> Option<u64> {
        let Position::Text(text) = at else { return None };
        position::in_ledger(&self.organization(), "ack", text).ok()
    }

    fn listen(&self) -> EventListener {
        self.wake.listen()
    }

    fn is_gone(&self) -> bool {
        false
    }
}
