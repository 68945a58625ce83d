//! The backfill: contacts and groups pulled again from WhatsApp (docs/decisions/backfill.md).
//!
//! The job is a row before anything is asked. It runs detached; its timer finds it again when the object dies, and
//! the connection that was lost under it is waited for. Each attempt is counted before it begins, so that one which
//! takes the object with it is not repeated for ever.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::rc::Rc;
use std::time::Duration;

use futures::future::{Either, select};
use gateway_domain::backfill::BackfillJob;
use gateway_domain::error::ApiError;
use gateway_domain::ids;
use gateway_domain::lifecycle::Status;
use gateway_sql::SqlError;
use whatsapp_rust::Jid;
use worker::Delay;

use crate::alarm::{TICK_MS, timer};
use crate::connection::Connection;
use crate::library::Started;
use crate::library::contacts::Person;
use crate::library::groups::Group;
use crate::room::{Room, failed};
use crate::{address_book, clock};

/// How often it is begun: a connection may be lost under it, or the object restarted.
const ATTEMPTS: u64 = 3;
/// How long an attempt waits for the session to be connected.
const CONNECT_MS: u64 = 30_000;
/// How long WhatsApp may take to list all groups.
const GROUPS_TIMEOUT: Duration = Duration::from_mins(1);
/// How long it may take to list a single one.
const GROUP_TIMEOUT: Duration = Duration::from_secs(20);

/// What is at hand while a backfill runs, and gone with the object.
#[derive(Default)]
pub struct Desk {
    is_running: Cell<bool>,
    /// The backfill that is reading the address book.
    pub(crate) reading: RefCell<Option<String>>,
    /// Entries of the address book that are not written yet.
    pub(crate) told: RefCell<Vec<Person>>,
    /// Whether any came since the backfill asked for them.
    pub(crate) has_heard: Cell<bool>,
}

/// Why an attempt ended early.
pub enum Cut {
    /// The connection was lost under it: worth another attempt.
    Lost,
    /// The job can't be done, for this reason.
    For(String),
}

impl Cut {
    /// The object's own storage fails.
    pub fn storage(error: impl std::fmt::Display) -> Self {
        worker::console_error!("a backfill could not be written: {error}");
        Self::For("the session's storage failed".to_owned())
    }
}

/// An attempt: whose, over which connection.
pub struct Pull<'a> {
    pub room: &'a Rc<Room>,
    pub connection: Rc<Connection>,
    pub id: &'a str,
    /// This number itself, which is nobody's contact.
    pub own: Person,
}

/// Starts a backfill.
///
/// # Errors
/// 409 while one is running.
pub fn start(room: &Rc<Room>) -> Result<BackfillJob, ApiError> {
    let now = clock::now();
    let id = ids::mint(now, clock::random());
    let record = room.record()?;
    let started = room.library().start_backfill(&record, &id, now).and_then(|started| {
        if matches!(started, Started::New(_)) {
            room.journal.timers().set(timer::BACKFILL, now + TICK_MS)?;
        }
        Ok(started)
    });
    match started.map_err(|error| failed("a backfill could not be started", &error))? {
        Started::Already(job) => {
            Err(ApiError::conflict("A backfill of this session is running.").with("jobId", job.id))
        }
        Started::New(job) => {
            room.arm();
            go_on(room);
            Ok(job)
        }
    }
}

/// The newest backfill.
///
/// # Errors
/// 404 when there was none.
pub fn newest(room: &Rc<Room>) -> Result<BackfillJob, ApiError> {
    let job = room.library().backfill(&room.record()?);
    job.map_err(|error| failed("the backfill can't be read", &error))?.ok_or_else(ApiError::not_found)
}

/// Goes on with the backfill that is written down as running, unless that is being done.
pub fn go_on(room: &Rc<Room>) {
    if room.backfill.is_running.replace(true) {
        return;
    }
    let room = Rc::clone(room);
    wasm_bindgen_futures::spawn_local(async move {
        if let Err(error) = run(&room).await {
            // Its timer is still set.
            worker::console_error!("a backfill could not go on: {error}");
        }
        room.backfill.is_running.set(false);
    });
}

async fn run(room: &Rc<Room>) -> Result<(), SqlError> {
    loop {
        let Some((id, attempt)) = room.library().attempt_backfill()? else {
            return room.journal.timers().clear(timer::BACKFILL);
        };
        let outcome = if attempt > ATTEMPTS {
            Err(Cut::For(format!("it was cut off {ATTEMPTS} times by restarts of the gateway")))
        } else {
            attempt_once(room, &id).await
        };
        if room.record().is_err() {
            // The session is being deleted, and its tables with it.
            return Ok(());
        }
        let error = match outcome {
            Ok(()) => None,
            Err(Cut::For(reason)) => Some(reason),
            Err(Cut::Lost) if attempt < ATTEMPTS => continue,
            Err(Cut::Lost) => Some(format!("the connection was lost {ATTEMPTS} times")),
        };
        room.library().finish_backfill(&id, error.as_deref(), clock::now())?;
        return room.journal.timers().clear(timer::BACKFILL);
    }
}

async fn attempt_once(room: &Rc<Room>, id: &str) -> Result<(), Cut> {
    let connection = connected(room).await?;
    let own = connection.client.pn().into_iter().chain(connection.client.lid()).collect::<Vec<Jid>>();
    let pull = Pull { room, connection, id, own: Person::at(&own) };
    // One failing is no reason to go without the other.
    let contacts = address_book::pull(&pull).await;
    if matches!(contacts, Err(Cut::Lost)) {
        return contacts;
    }
    let groups = pull.groups().await;
    contacts.and(groups)
}

/// Waits for a session that is on its way; for one that is not, nobody knows how long it would be.
async fn connected(room: &Rc<Room>) -> Result<Rc<Connection>, Cut> {
    let deadline = clock::now() + CONNECT_MS;
    loop {
        let woken = room.listen();
        if let Some(connection) = room.connection() {
            return Ok(connection);
        }
        let (now, status) = (clock::now(), room.status());
        if !matches!(status, Status::Starting | Status::Working) {
            return Err(Cut::For(format!("the session is not connected: it is {}", status.name())));
        }
        if now >= deadline {
            return Err(Cut::For(format!("the session did not connect within {} s", CONNECT_MS / 1_000)));
        }
        let _either = select(woken, Delay::from(Duration::from_millis(deadline - now))).await;
    }
}

impl Pull<'_> {
    /// Asks WhatsApp, and looks whether the answer is still anybody's: what a connection that is over would bring is
    /// not written (rule 6).
    ///
    /// # Errors
    /// When there is no answer in time, or the connection was lost meanwhile.
    pub async fn ask<T>(
        &self,
        what: &str,
        patience: Duration,
        asking: impl Future<Output = T>,
    ) -> Result<T, Cut> {
        let asking = std::pin::pin!(asking);
        let answer = select(asking, Delay::from(patience)).await;
        self.check()?;
        match answer {
            Either::Left((answer, _)) => Ok(answer),
            Either::Right(_) => Err(Cut::For(format!("WhatsApp did not answer in time for {what}"))),
        }
    }

    fn check(&self) -> Result<(), Cut> {
        let current = self.room.connection();
        if current.is_some_and(|current| Rc::ptr_eq(&current, &self.connection)) {
            Ok(())
        } else {
            Err(Cut::Lost)
        }
    }

    /// All groups the number is in, each written whole in one run.
    async fn groups(&self) -> Result<(), Cut> {
        let groups = self.connection.client.groups();
        let joined = self.ask("the groups", GROUPS_TIMEOUT, groups.get_participating()).await?;
        let joined =
            joined.map_err(|error| Cut::For(format!("WhatsApp did not list the groups: {error}")))?;
        let library = self.room.library();
        let mut may_ask = true;
        for (jid, metadata) in joined {
            let mut group = Group::of(&metadata);
            if may_ask && !group.is_complete() {
                // WhatsApp shortens the lists of big ones. It may not like to be asked for many: not after a refusal.
                match self.ask("a group", GROUP_TIMEOUT, groups.get_metadata(&jid)).await {
                    Ok(Ok(metadata)) => group = Group::of(&metadata),
                    Err(Cut::Lost) => return Err(Cut::Lost),
                    Ok(Err(_)) | Err(Cut::For(_)) => may_ask = false,
                }
            }
            library.replace_group(&group, &self.own, self.id, clock::now()).map_err(Cut::storage)?;
            library.count_groups(self.id).map_err(Cut::storage)?;
            // The other sessions of the isolate wait while this one writes.
            Delay::from(Duration::ZERO).await;
            self.check()?;
        }
        library.leave_other_groups(self.id).map_err(Cut::storage)
    }
}
