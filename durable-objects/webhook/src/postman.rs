//! The postman's room: its database, its alarm, the webhook as the directory has it, and what is on its way.
//!
//! Nothing runs for long. [`Postman::turn`] begins what may go and returns; whatever ends takes the next turn. So there
//! are never two at work on one lane, and what is lost with the memory is begun again by the alarm.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use gateway_domain::error::ApiError;
use gateway_domain::webhook::Secret;
use gateway_object::alarm::Bell;
use gateway_object::calls::webhook::Request;
use gateway_object::clock;
use gateway_object::outbound::Outbound;
use gateway_sql::SqlError;
use gateway_sql::workerd::WorkerdSql;
use worker::{Env, State};

use crate::queue::{Attempt, LEASE_MS, Queue};
use crate::record::{Attempted, Config, Outcome, Record};
use crate::settings::Settings;
use crate::{directory, disabling, pulling, sending};

/// The names of the timers.
pub mod timer {
    /// There may be news in the ledger.
    pub const PULL: &str = "pull";
    /// The webhook is being switched off.
    pub const DISABLE: &str = "disable";
    /// Old deliveries are to be forgotten.
    pub const TIDY: &str = "tidy";
    /// The webhook is being erased.
    pub const ERASE: &str = "erase";
}

/// How many requests are on their way at a time: an object has six connections, and the ledger and the directory are
/// asked too.
const AT_ONCE: u32 = 4;
/// How long the directory's word holds.
const FRESH_MS: u64 = 30_000;
/// How often old deliveries are forgotten: every day, and after so many outcomes.
const TIDY_MS: u64 = 86_400_000;
const TIDY_AFTER: u32 = 1_000;
/// What is due is tried again this much later, should the work die.
pub const AGAIN_MS: u64 = LEASE_MS;

/// See the module.
pub struct Postman {
    state: State,
    /// The Worker's bindings and variables.
    pub env: Env,
    /// The object's memory.
    pub queue: Queue<WorkerdSql>,
    pub settings: Settings,
    outbound: Outbound,
    record: RefCell<Option<Record>>,
    pub bell: Rc<Bell>,
    /// When the directory was last asked, whether it answered or not.
    asked_at: Cell<u64>,
    is_asking: Cell<bool>,
    /// How often it was asked, and which of these questions was the last to be answered.
    questions: Cell<u64>,
    answered: Cell<u64>,
    pub is_pulling: Cell<bool>,
    /// Up to where the ledger says there is something.
    pub news: Cell<u64>,
    pub is_disabling: Cell<bool>,
    on_their_way: Cell<u32>,
    /// Outcomes since old deliveries were last forgotten.
    outcomes: Cell<u32>,
    is_erased: Cell<bool>,
}

impl Postman {
    /// Opens the object's database.
    ///
    /// # Errors
    /// When the database fails.
    pub fn open(state: State, env: Env) -> Result<Self, SqlError> {
        let queue = Queue::open(WorkerdSql::new(&state.storage()), clock::now())?;
        let record = queue.record()?;
        Ok(Self {
            bell: Bell::new(state.storage()),
            is_erased: Cell::new(record.as_ref().is_some_and(|record| record.erasing)),
            record: RefCell::new(record),
            settings: Settings::of(&env),
            outbound: Outbound::of(&env),
            queue,
            asked_at: Cell::new(0),
            is_asking: Cell::new(false),
            questions: Cell::new(0),
            answered: Cell::new(0),
            is_pulling: Cell::new(false),
            news: Cell::new(0),
            is_disabling: Cell::new(false),
            on_their_way: Cell::new(0),
            outcomes: Cell::new(0),
            state,
            env,
        })
    }

    /// Takes in whose webhook a call is for.
    ///
    /// # Errors
    /// 404 when the object is another's, or was erased.
    pub fn recognise(&self, request: &Request) -> Result<(), ApiError> {
        if self.is_erased.get() {
            return Err(ApiError::not_found());
        }
        let mut record = self.record.borrow_mut();
        if record.is_none() {
            // What is noted for it must be found again after a restart.
            let new = Record::new(&request.organization, &request.webhook);
            self.queue.save(&new).map_err(|error| failed("record", &error))?;
            *record = Some(new);
        }
        let is_its =
            |known: &Record| known.organization == request.organization && known.webhook == request.webhook;
        if record.as_ref().is_some_and(is_its) { Ok(()) } else { Err(ApiError::not_found()) }
    }

    /// What is remembered; nothing before the first call and after the last.
    pub fn record(&self) -> Option<Record> {
        self.record.borrow().clone().filter(|_| !self.is_erased.get())
    }

    /// Changes what is remembered, in memory when it is stored.
    ///
    /// # Errors
    /// When the database fails.
    pub fn remember<T>(&self, change: impl FnOnce(&mut Record) -> T) -> Result<Option<T>, SqlError> {
        let Some(before) = self.record() else { return Ok(None) };
        let mut record = before.clone();
        let result = change(&mut record);
        if record != before {
            self.queue.save(&record)?;
            self.record.replace(Some(record));
        }
        Ok(Some(result))
    }

    /// Whether the webhook is deleted, or being deleted.
    pub fn is_erased(&self) -> bool {
        self.is_erased.get()
    }

    /// Whether nothing is left of it in the storage.
    pub fn is_gone(&self) -> bool {
        self.is_erased.get() && self.record.borrow().is_none()
    }

    /// Whether events are sent.
    pub fn is_active(&self) -> bool {
        !self.is_erased.get() && self.record.borrow().as_ref().is_some_and(Record::is_active)
    }

    /// Asks the directory for the webhook, whatever is known.
    ///
    /// # Errors
    /// When it can't be asked.
    pub async fn configure(self: &Rc<Self>) -> Result<(), String> {
        let Some(record) = self.record() else { return Ok(()) };
        let question = self.questions.get() + 1;
        self.questions.set(question);
        let read = directory::read(&self.env, &record.organization, &record.webhook).await;
        self.asked_at.set(clock::now());
        let Some(config) = read? else {
            // It is deleted; whoever deletes it may not have got so far as to say so.
            return self.erase().await.map_err(|error| error.error.message);
        };
        // The answer to a later question may have come first, and says more.
        if question < self.answered.get() {
            return Ok(());
        }
        self.answered.set(question);
        self.take_in(config).map_err(|error| error.to_string())
    }

    fn take_in(&self, config: Config) -> Result<(), SqlError> {
        let is_switched_on = self.remember(|record| record.configure(config))?;
        if is_switched_on == Some(true) {
            let now = clock::now();
            self.queue.hurry(now)?;
            self.queue.timers().set(timer::PULL, now)?;
        }
        Ok(())
    }

    /// Asks the directory for the webhook unless it was asked lately. While the directory is down what it last said holds.
    pub async fn refresh(self: &Rc<Self>) {
        if clock::now() < self.asked_at.get() + FRESH_MS {
            // Somebody else asked since a turn waited for this.
            self.is_asking.set(false);
            return;
        }
        // Nothing is begun meanwhile by what is out of date.
        self.is_asking.set(true);
        if let Err(error) = self.configure().await {
            worker::console_warn!("the webhook can't be read, going on with what is known: {error}");
        }
        self.is_asking.set(false);
    }

    /// Whether the ledger has said nothing of events beyond this position, and has said something since the object woke.
    pub fn has_all_news(&self, position: u64) -> bool {
        self.news.get() > 0 && position >= self.news.get()
    }

    /// Begins what may go. Never waits.
    pub fn turn(self: &Rc<Self>) {
        if let Err(error) = self.try_turn() {
            worker::console_error!("the queue: {error}");
        }
        self.arm();
    }

    fn try_turn(self: &Rc<Self>) -> Result<(), SqlError> {
        if self.is_erased.get() || self.is_asking.get() {
            return Ok(());
        }
        let now = clock::now();
        if self.queue.next_due(self.is_active())?.is_none_or(|due| due > now) {
            return Ok(());
        }
        if now >= self.asked_at.get() + FRESH_MS {
            self.is_asking.set(true);
            let postman = Rc::clone(self);
            wasm_bindgen_futures::spawn_local(async move {
                postman.refresh().await;
                postman.turn();
            });
            return Ok(());
        }
        let Some(config) = self.record().and_then(|record| record.config) else { return Ok(()) };
        let secrets = match self.secrets(&config) {
            Ok(secrets) => Rc::new(secrets),
            Err(error) => {
                // Ours to repair; nobody's attempts are used up by it. The alarm looks again.
                worker::console_error!("nothing can be sent: {error}");
                return Ok(());
            }
        };
        let config = Rc::new(config);
        while self.on_their_way.get() < AT_ONCE {
            let begun = self.queue.begin(now, self.is_active(), config.retry_policy.attempts)?;
            let Some(attempt) = begun else { break };
            self.on_their_way.set(self.on_their_way.get() + 1);
            let (postman, config, secrets) = (Rc::clone(self), Rc::clone(&config), Rc::clone(&secrets));
            wasm_bindgen_futures::spawn_local(async move {
                postman.attempt(&attempt, &config, &secrets).await;
                postman.on_their_way.set(postman.on_their_way.get().saturating_sub(1));
                postman.turn();
            });
        }
        Ok(())
    }

    /// What deliveries are signed with, the newest first.
    ///
    /// # Errors
    /// When they can't be opened.
    fn secrets(&self, config: &Config) -> Result<Vec<Secret>, String> {
        let webhook = self.record().map(|record| record.webhook).unwrap_or_default();
        let vault = self.settings.vault.as_ref().ok_or("there is no WEBHOOK_SECRETS_KEY")?;
        let newest = vault
            .open(&config.secret, &webhook)
            .ok_or("the secret was sealed with another key than WEBHOOK_SECRETS_KEY and its predecessor")?;
        let previous = config.previous_secret.as_ref().filter(|(_, until)| *until > clock::now());
        let previous = previous.and_then(|(sealed, _)| vault.open(sealed, &webhook));
        Ok([newest].into_iter().chain(previous).collect())
    }

    async fn attempt(self: &Rc<Self>, attempt: &Attempt, config: &Config, secrets: &[Secret]) {
        let began = clock::now();
        let answer = sending::send(config, secrets, attempt, &self.outbound).await;
        let now = clock::now();
        let attempted =
            Attempted { number: attempt.number, is_test: attempt.is_test, policy: config.retry_policy };
        let outcome = attempted.judge(answer, now.saturating_sub(began), now, clock::jitter());
        if self.is_erased.get() {
            return;
        }
        if let Err(error) = self.settle(attempt, config, &outcome, now) {
            // The lease ends, and it is sent again.
            worker::console_error!("an outcome could not be written: {error}");
        }
    }

    /// One synchronous SQL run: the outcome, and what it means for the webhook.
    fn settle(
        self: &Rc<Self>,
        attempt: &Attempt,
        config: &Config,
        outcome: &Outcome,
        now: u64,
    ) -> Result<(), SqlError> {
        if !self.queue.settle(attempt, outcome, now)? {
            return Ok(());
        }
        let failing_ms = self.settings.failing_ms;
        let reason =
            self.remember(|record| record.note(outcome.verdict, attempt.is_test, now, failing_ms))?;
        if let Some(reason) = reason.flatten() {
            disabling::begin(self, reason, config.rev, now)?;
        }
        self.outcomes.set(self.outcomes.get() + 1);
        if self.outcomes.get() >= TIDY_AFTER {
            self.tidy();
        } else if self.queue.timers().timer(timer::TIDY)?.is_none() {
            self.queue.timers().set(timer::TIDY, now + TIDY_MS)?;
        }
        Ok(())
    }

    /// The alarm: pushes every due timer ahead, so that nothing is lost if the work dies; what is due, and when the alarm
    /// must ring next.
    ///
    /// # Errors
    /// When the database fails.
    pub fn take_due(&self, now: u64) -> Result<(Vec<String>, Option<u64>), SqlError> {
        self.bell.rang();
        let due = self.queue.timers().due(now)?;
        for name in &due {
            self.queue.timers().set(name, now + AGAIN_MS)?;
        }
        Ok((due, self.next(now)?))
    }

    /// What is due is done.
    pub async fn work(self: &Rc<Self>, due: Vec<String>) {
        for name in due {
            match name.as_str() {
                timer::PULL => pulling::start(self),
                timer::DISABLE => disabling::start(self),
                timer::TIDY => self.tidy(),
                timer::ERASE => {
                    if let Err(error) = self.erase().await {
                        worker::console_error!("a delete could not be finished: {}", error.error.message);
                    }
                    return;
                }
                unknown => worker::console_warn!("a timer nobody knows: {unknown}"),
            }
        }
        self.turn();
    }

    fn tidy(&self) {
        self.outcomes.set(0);
        let now = clock::now();
        let tidied = self.queue.tidy(now).and_then(|is_left| {
            if is_left {
                self.queue.timers().set(timer::TIDY, now + TIDY_MS)
            } else {
                self.queue.timers().clear(timer::TIDY)
            }
        });
        if let Err(error) = tidied {
            worker::console_error!("old deliveries could not be forgotten: {error}");
        }
    }

    /// When something is due next. What is due already waits for what is under way and takes its turn after it; the alarm
    /// is for the case that it never ends.
    fn next(&self, now: u64) -> Result<Option<u64>, SqlError> {
        let lanes = self.queue.next_due(self.is_active())?;
        let lanes = lanes.map(|due| if due > now { due } else { now + AGAIN_MS });
        Ok([self.queue.timers().next_due()?, lanes].into_iter().flatten().min())
    }

    /// Sets the one physical alarm to what is due next.
    pub fn arm(&self) {
        if self.is_erased.get() {
            return;
        }
        match self.next(clock::now()) {
            Ok(Some(due)) => self.bell.arm(due),
            Ok(None) => {}
            Err(error) => worker::console_error!("the timers: {error}"),
        }
    }

    /// Sets a timer and the alarm with it.
    pub fn set_timer(&self, name: &str, due: u64) {
        if let Err(error) = self.queue.timers().set(name, due) {
            worker::console_error!("timer: {error}");
        }
        self.arm();
    }

    /// Erases everything. That it is wanted is written first: if the object dies on the way, its alarm finishes the work.
    ///
    /// # Errors
    /// When the storage fails; the alarm tries again.
    pub async fn erase(self: &Rc<Self>) -> Result<(), ApiError> {
        if !self.is_erased.get() {
            let marked = self
                .remember(|record| record.erasing = true)
                .and_then(|_| self.queue.timers().set(timer::ERASE, clock::now() + AGAIN_MS));
            marked.map_err(|error| failed("delete", &error))?;
            // From here on calls find nothing, and what comes back is nobody's news.
            self.is_erased.set(true);
            // Stored before the delete begins: one that came behind it would ring for nothing.
            if let Err(error) = self.bell.set(clock::now() + AGAIN_MS).await {
                worker::console_error!("a delete goes on without an alarm: {error}");
            }
        }
        let storage = self.state.storage();
        storage.delete_all().await.map_err(|error| failed("erase", &error))?;
        storage.delete_alarm().await.map_err(|error| failed("erase", &error))?;
        self.bell.rang();
        self.record.replace(None);
        Ok(())
    }
}

/// A failure of ours: the cause goes to the log, the caller gets `internal`.
pub fn failed(what: &str, error: &impl std::fmt::Display) -> ApiError {
    worker::console_error!("{what}: {error}");
    ApiError::internal()
}
