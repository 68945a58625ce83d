//! Messages out: each is an entry of the outbox before anything leaves, goes under an id that was chosen with it, and is
//! there until WhatsApp has acknowledged it (docs/decisions/outbox.md).
//!
//! Who waits for an entry gets its outcome; what nobody waits for, or waits for no longer, is the pump's.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use futures::channel::oneshot;
use futures::future::{Either, select};
use gateway_domain::error::{ApiError, ErrorCode, ErrorDetail};
use gateway_domain::lifecycle::Status;
use gateway_domain::message::{OutboxEntry, OutboxStatus, SendResult, Task};
use gateway_domain::pacing::{Limits, rate_limit, rate_limit_policy};
use gateway_object::peer::{refusal, refuse, reply};
use gateway_sql::SqlError;
use gateway_sql::workerd::WorkerdSql;
use whatsapp_rust::waproto::whatsapp::{Message, MessageKey};
use worker::{Delay, Response};

use crate::about::{About, Refused};
use crate::alarm::timer;
use crate::call::Send;
use crate::call::{HoldPoint, Part};
use crate::clock;
use crate::composing::{self, Around};
use crate::journal::Record;
use crate::names::WhoIs;
use crate::object::Files;
use crate::outbox::{Entry, Fixed, MOST_FILE_BYTES, NewEntry};
use crate::room::{Room, failed};
use crate::settling::pending;
use crate::transmitting;
use crate::turn::{Rules, Turns, Wait};
use crate::uploading::secret;

/// How long a caller waits for WhatsApp's answer.
const WAIT: Duration = Duration::from_secs(20);
/// How long where there are files to upload.
const WAIT_FOR_FILES: Duration = Duration::from_mins(1);
/// How many entries the pump sends at a time, of different chats.
const LANES: usize = 3;
/// How often what has ended long ago is looked for.
const TRIM_MS: u64 = 10 * 60_000;
/// When a full outbox is worth another try, in seconds.
const FULL_RETRY_SECONDS: u64 = 5;

type Outcome = Result<(), ApiError>;

/// What is at hand while entries are sent, and gone with the object.
#[derive(Default)]
pub struct Desk {
    /// The entries somebody is at, and whether that is the pump.
    busy: RefCell<Vec<(String, bool)>>,
    /// Whose the next slot of the limits is.
    pub(crate) turns: Turns,
    waiting: RefCell<HashMap<String, Vec<oneshot::Sender<Outcome>>>>,
    /// Messages that have had their turn and of which no frame can have left, with their entries. Of what is not here, be
    /// it for a restart, nobody knows.
    here: RefCell<Vec<(String, String)>>,
    /// Where sends stop.
    #[cfg(feature = "simulator")]
    pub(crate) hold: Cell<Option<HoldPoint>>,
    /// How many have.
    #[cfg(feature = "simulator")]
    pub(crate) held: Cell<u32>,
    /// When the pump is to be woken, as its timer says.
    wakes_at: Cell<Option<u64>>,
    trimmed_at: Cell<u64>,
    /// Whether something may wait because its chat would be a new one.
    pub(crate) holds_back_new_chats: Cell<bool>,
}

/// Sends something, or says what becomes of what was asked before under the same id.
pub async fn send(room: &Rc<Room>, send: Send, files: Files) -> Result<Response, ApiError> {
    room.hold(HoldPoint::Asked).await;
    let answered = answer(room, send, files).await;
    let refused = |_| ApiError::internal();
    let response = match answered {
        Ok(result) => reply(&result)?,
        Err(error) => refuse(&error).map_err(refused)?,
    };
    let now = clock::now();
    let standing = room.rules(now).standing(&room.journal.outbox(), now);
    let standing = standing.map_err(|error| failed("the outbox", &error))?;
    for (name, field) in
        [("ratelimit", rate_limit(&standing)), ("ratelimit-policy", rate_limit_policy(&standing))]
    {
        if let Some(field) = field {
            response.headers().set(name, &field).map_err(refused)?;
        }
    }
    Ok(response)
}

async fn answer(room: &Rc<Room>, send: Send, files: Files) -> Result<SendResult, ApiError> {
    let has_files = send.task.has_files();
    let is_again = is_there(room, &send)?;
    let accepted = if is_again {
        Ok(())
    } else {
        let (_, behind) = files.split().ok_or_else(ApiError::internal)?;
        accept(room, &send, &behind)
    };
    // Unless it was taken: now, or when the same was asked before.
    if let Some(lot) = &send.lot {
        refuse_lot(room, lot)?;
    }
    accepted?;
    // They are stored, or not wanted: nobody's memory waits for WhatsApp.
    drop(files);
    room.hold(HoldPoint::Stored).await;
    let result = if send.is_async {
        pump(room);
        let entry = entry(room, &send.entry)?.ok_or_else(ApiError::not_found)?;
        shown(&entry)
    } else {
        let patience = if has_files { WAIT_FOR_FILES } else { WAIT };
        wait(room, &send.entry, patience).await?
    };
    Ok(if is_again { result.replayed() } else { result })
}

/// Whether an entry of this id goes on. One that failed before anything had left, and for a reason that passes, was none:
/// who asks again is not to hear of that for a day.
fn is_there(room: &Rc<Room>, send: &Send) -> Result<bool, ApiError> {
    let (id, outbox) = (send.entry.as_str(), room.journal.outbox());
    let broken = |error: SqlError| failed("the outbox", &error);
    let Some(mut known) = entry(room, id)? else { return Ok(false) };
    // Nor is one that can't leave, of a session that will not connect by itself: who waits hears that now.
    let is_stuck = !known.state.is_final() && known.begun.is_none() && !room.status().is_live();
    // An attempt that is still under way would go on in what takes its place.
    let is_busy = room.outgoing.is_busy(id);
    if is_stuck && !send.is_async && !is_busy {
        let cut_off = ApiError::unavailable("The session ended before the message was sent.");
        room.give_up(id, cut_off).map_err(broken)?;
        known = entry(room, id)?.ok_or_else(ApiError::not_found)?;
    }
    let why = known.error.as_deref().and_then(detail).map(|why| why.code);
    let passes =
        matches!(why, Some(ErrorCode::GatewayUnavailable | ErrorCode::RateLimited | ErrorCode::Internal));
    if known.begun.is_none() && passes && !is_busy {
        outbox.forget(id).map_err(broken)?;
        return Ok(false);
    }
    outbox.touch(id, clock::now()).map_err(broken)?;
    Ok(true)
}

/// What is known of an entry.
///
/// # Errors
/// 404 when there is no such entry.
pub fn outbox_entry(room: &Rc<Room>, id: &str) -> Result<OutboxEntry, ApiError> {
    let entry = entry(room, id)?.ok_or_else(ApiError::not_found)?;
    let send = SendResult { mode: if entry.is_async { "async" } else { "sync" }.to_owned(), ..shown(&entry) };
    Ok(OutboxEntry { send, error: entry.error.as_deref().and_then(detail) })
}

fn shown(entry: &Entry) -> SendResult {
    SendResult::entry(&entry.id, entry.state, Some(entry.message_id.clone()), entry.acknowledged)
}

fn detail(error: &str) -> Option<ErrorDetail> {
    refusal(error.as_bytes()).map(|error| error.error)
}

fn entry(room: &Rc<Room>, id: &str) -> Result<Option<Entry>, ApiError> {
    room.journal.outbox().entry(id).map_err(|error| failed("the outbox can't be read", &error))
}

/// Waits for an entry's outcome.
async fn wait(room: &Rc<Room>, id: &str, patience: Duration) -> Result<SendResult, ApiError> {
    let known = entry(room, id)?.ok_or_else(ApiError::not_found)?;
    if !known.state.is_final() {
        let outcome = room.outgoing.outcome_of(id);
        if known.state == OutboxStatus::Queued && !known.is_async && room.connection().is_some() {
            begin(room, id, false);
        } else {
            // After a restart there is no connection yet: it is waited for.
            let_go(room, id)?;
        }
        match select(outcome, Delay::from(patience)).await {
            Either::Left((outcome, _)) => outcome.unwrap_or(Ok(()))?,
            Either::Right(((), outcome)) => {
                drop(outcome);
                room.outgoing.forget_waiters(id);
                return Err(not_yet(room, known));
            }
        }
    }
    let ended = entry(room, id)?.ok_or_else(ApiError::not_found)?;
    room.hold(HoldPoint::Acknowledged).await;
    match (ended.state, ended.error) {
        (OutboxStatus::Sent, _) => {
            Ok(SendResult::sent(ended.message_id, ended.acknowledged.unwrap_or_default()))
        }
        (_, error) => {
            let error = error.as_deref().and_then(detail).map(|error| ApiError { error });
            Err(error.unwrap_or_else(ApiError::internal))
        }
    }
}

/// Whatever becomes of it now is told as an event.
fn not_yet(room: &Rc<Room>, entry: Entry) -> ApiError {
    if let Err(error) = let_go(room, &entry.id) {
        return error;
    }
    ApiError::unavailable(
        "WhatsApp has not acknowledged the message yet; what becomes of it is told as message.status.",
    )
    .with("outboxId", entry.id)
    .with("waMessageId", entry.message_id)
}

/// Nobody waits for it any more: it is the pump's.
fn let_go(room: &Rc<Room>, id: &str) -> Result<(), ApiError> {
    room.journal.outbox().let_go(id).map_err(|error| failed("the outbox", &error))?;
    pump(room);
    Ok(())
}

/// Takes something to send: checked against what is known, stored, with the id it will have.
fn accept(room: &Rc<Room>, send: &Send, files: &[&[u8]]) -> Result<(), ApiError> {
    let record = room.record()?;
    let status = room.status();
    let can_wait = send.is_async && record.lifecycle.paired && status.is_live();
    if room.connection().is_none() && !can_wait {
        return Err(cannot_send(status));
    }
    let now = clock::now();
    let outbox = room.journal.outbox();
    let read = |error: SqlError| failed("the outbox can't be read", &error);
    let is_full = outbox.is_full(send.is_async).map_err(read)?
        || (!files.is_empty() && outbox.file_bytes().map_err(read)? >= MOST_FILE_BYTES);
    if is_full {
        return Err(full());
    }
    examine(room, send, files)?;
    let chat = room.journal.names().settled(send.task.to());
    let is_new_chat = room.is_new_chat(&chat).map_err(read)?;
    if !send.is_async
        && let Some(wait) = room.rules(now).turn(&outbox, &chat, is_new_chat, now).map_err(read)?
    {
        return Err(room.promise(wait, now).map_err(read)?.error(now));
    }
    let message = compose(room, &send.task, &chat)?;
    let message_id = clock::message_id();
    let request = match message {
        Some(_) => None,
        None => Some(serde_json::to_string(&send.task).map_err(|error| failed("a send", &error))?),
    };
    let new = NewEntry {
        id: &send.entry,
        message_id: &message_id,
        chat: &chat,
        is_async: send.is_async,
        request: request.as_deref(),
    };
    let stored = room.journal.atomically(|| {
        outbox.add(&new, files, now)?;
        if let Some(lot) = &send.lot
            && !outbox.take_lot(lot, &send.entry)?
        {
            return Err(SqlError(format!("the files of {lot} are not here any more")));
        }
        match (&message, &send.task) {
            (Some(message), _) => room.write_fixed(&send.entry, 0, &message_id, &chat, message),
            (None, Task::Say(outgoing)) => {
                let body = outgoing.content.body().map(str::to_owned);
                let row = pending(&record, &chat, &message_id, outgoing.content.kind(), body, now);
                room.journal.insert_message(&row).map(|_new| ())
            }
            (None, _) => Ok(()),
        }
    });
    stored.map_err(|error| failed("a send could not be stored", &error))
}

/// Whether the files are what they are sent as.
fn examine(room: &Rc<Room>, send: &Send, files: &[&[u8]]) -> Result<(), ApiError> {
    let Task::Say(outgoing) = &send.task else { return Ok(()) };
    let Some(lot) = &send.lot else {
        return outgoing.examine(|number| files.get(number).copied().ok_or_else(ApiError::internal));
    };
    let outbox = room.journal.outbox();
    let unreadable = |error| failed("the files can't be read", &error);
    if !outbox.has_lot(lot).map_err(unreadable)? {
        return Err(too_slow());
    }
    outgoing.examine(|number| outbox.file(lot, number).map_err(unreadable))
}

/// Keeps a part of a file whose request is still being read, if something could come of it.
///
/// # Errors
/// 409 or 503 when the session can't send in its state, 429 when there is no room.
pub fn keep_part(room: &Rc<Room>, lot: &str, file: usize, part: Part, files: &Files) -> Result<(), ApiError> {
    let (_, behind) = files.split().ok_or_else(ApiError::internal)?;
    let bytes = behind.first().ok_or_else(ApiError::internal)?;
    let status = room.status();
    if !room.record()?.lifecycle.paired || !status.is_live() {
        return Err(cannot_send(status));
    }
    let outbox = room.journal.outbox();
    let failed = |error: SqlError| failed("a file could not be stored", &error);
    if outbox.file_bytes().map_err(failed)? >= MOST_FILE_BYTES {
        return Err(full());
    }
    let kept = room.journal.atomically(|| {
        if part.is_first {
            outbox.begin_lot(lot, clock::now())?;
        }
        // Never a file without its beginning.
        let is_kept = outbox.keep_lot(lot, clock::now())?;
        if is_kept {
            outbox.add_part(lot, file, part.number, bytes.to_vec())?;
        }
        Ok(is_kept)
    });
    if !kept.map_err(failed)? {
        return Err(too_slow());
    }
    // Should nothing follow.
    pump(room);
    Ok(())
}

fn too_slow() -> ApiError {
    ApiError::unavailable("The files came too slowly, and are not kept any more: send them again.")
}

/// The files of a lot are not wanted.
///
/// # Errors
/// When they can't be deleted.
pub fn refuse_lot(room: &Rc<Room>, lot: &str) -> Result<(), ApiError> {
    let refused = room.journal.outbox().refuse_lot(lot);
    refused.map_err(|error| failed("files could not be deleted", &error))
}

fn full() -> ApiError {
    ApiError::new(ErrorCode::RateLimited, "The session's outbox is full.")
        .with("retryAfterSeconds", FULL_RETRY_SECONDS)
}

/// The message of a send without files.
fn compose(room: &Rc<Room>, task: &Task, chat: &str) -> Result<Option<Message>, ApiError> {
    let about = room.about()?;
    let message = match task {
        Task::Say(outgoing) => {
            let context = about.context(chat, outgoing.reply_to.as_deref(), &outgoing.mentions);
            let context = context.map_err(|error| failed("a quote can't be made", &error))?;
            let around = Around { context, secret: secret(), album: None };
            return Ok(composing::message(&outgoing.content, around));
        }
        Task::Edit { id, edit } => about.edit(id, edit),
        Task::Revoke { id, revoke } => about.revoke(id, revoke),
        Task::React { id, reaction } => about.reaction(id, reaction),
        Task::Forward { id, forward } => about.forward(id, forward, secret()),
        Task::Vote { id, vote } => about.vote(id, vote),
    };
    message.map(Some).map_err(|refused| match refused {
        Refused::With(error) => error,
        Refused::Sql(error) => failed("the messages can't be read", &error),
    })
}

/// Why a session can't send in its state.
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

/// Sends one entry, unless somebody is at it.
fn begin(room: &Rc<Room>, id: &str, is_pumps: bool) {
    if !room.outgoing.take(id, is_pumps) {
        return;
    }
    let (room, id) = (Rc::clone(room), id.to_owned());
    wasm_bindgen_futures::spawn_local(async move {
        transmitting::attempt(&room, &id).await;
        room.outgoing.leave(&id);
        pump(&room);
    });
}

/// The number is unlinked: nothing of what waits will be sent.
pub fn forsake(room: &Rc<Room>) {
    let outbox = room.journal.outbox();
    let given_up = outbox.unfinished().and_then(|entries| {
        entries.iter().try_for_each(|id| {
            let error = if outbox.entry(id)?.is_some_and(|entry| entry.begun.is_some()) {
                // Not a conflict: who asks again with their key must not have it sent a second time.
                ApiError::unavailable("The session was logged out before WhatsApp acknowledged the message.")
            } else {
                ApiError::conflict("The session was logged out before the message was sent.")
            };
            room.give_up(id, error)
        })
    });
    if let Err(error) = given_up {
        worker::console_error!("the outbox: {error}");
    }
}

/// The timer has rung.
pub fn wake(room: &Rc<Room>) {
    room.outgoing.wakes_at.set(None);
    if let Err(error) = room.journal.timers().clear(timer::OUTBOX) {
        worker::console_error!("timer: {error}");
    }
    resume(room, false);
}

/// There is a new connection, or an alarm: what waits goes on.
pub fn resume(room: &Rc<Room>, is_new_connection: bool) {
    let outbox = room.journal.outbox();
    let done = || -> Result<(), SqlError> {
        if is_new_connection {
            outbox.hurry()?;
            // Whether something does is not known after a restart.
            room.outgoing.holds_back_new_chats.set(true);
        }
        for entry in outbox.abandoned(clock::now())? {
            // What is under way ends by itself, if there is a connection to end on.
            if !room.outgoing.is_busy(&entry.id) {
                let why = match (entry.begun, entry.is_async) {
                    (Some(_), _) => "WhatsApp has not acknowledged the message for seven days.",
                    (None, true) => "The message could not be sent for seven days.",
                    (None, false) => "The send was cut off before anything had left.",
                };
                room.give_up(&entry.id, ApiError::unavailable(why))?;
            }
        }
        if room.outgoing.is_time_to_trim() {
            outbox.trim(clock::now())?;
        }
        Ok(())
    };
    if let Err(error) = done() {
        worker::console_error!("the outbox: {error}");
    }
    pump(room);
}

/// The limits, or the timelock, are others now.
pub fn reconsider(room: &Rc<Room>) {
    if let Err(error) = room.journal.outbox().reconsider() {
        worker::console_error!("the outbox: {error}");
    }
    pump(room);
}

/// Somebody has written: their chat is no new one any more.
pub fn somebody_wrote(room: &Rc<Room>, chat: &str) {
    if !room.outgoing.holds_back_new_chats.get() {
        return;
    }
    let names = room.journal.names();
    let alias = if chat.ends_with("@lid") { names.phone_of(chat) } else { names.lid_of(chat) };
    if let Err(error) = room.journal.outbox().reconsider_chat(chat, alias.as_deref()) {
        worker::console_error!("the outbox: {error}");
    }
    pump(room);
}

/// Sends what nobody waits for, as far as there is room and the limits let it; the rest is left to a timer, to the next
/// entry that ends, or to the next connection.
pub fn pump(room: &Rc<Room>) {
    if let Err(error) = try_pump(room) {
        worker::console_error!("the outbox: {error}");
    }
}

fn try_pump(room: &Rc<Room>) -> Result<(), SqlError> {
    let outbox = room.journal.outbox();
    let now = clock::now();
    let free = room.outgoing.turns.next_free(&room.rules(now), &outbox, now)?;
    while room.connection().is_some() && room.outgoing.lanes() < LANES {
        let busy: Vec<String> = room.outgoing.busy.borrow().iter().map(|(id, _)| id.clone()).collect();
        // What has left before has been counted.
        let Some(entry) = outbox.next(&busy, free <= now, now)? else { break };
        begin(room, &entry.id, true);
    }
    let stale = outbox.drop_stale_lots(now)?;
    // Without a tick somebody must look after what will never leave.
    let due = if room.status().is_live() {
        outbox.next_due()?.map(|due| due.max(free))
    } else {
        outbox.next_end()?.map(|end| end.max(now + 1_000))
    };
    let due = due.filter(|due| *due > now).into_iter().chain(stale).min();
    if due != room.outgoing.wakes_at.replace(due) {
        match due {
            Some(due) => room.journal.timers().set(timer::OUTBOX, due)?,
            None => room.journal.timers().clear(timer::OUTBOX)?,
        }
        room.arm();
    }
    Ok(())
}

impl Desk {
    /// Hears of an entry's end.
    fn outcome_of(&self, id: &str) -> oneshot::Receiver<Outcome> {
        let (sender, receiver) = oneshot::channel();
        self.waiting.borrow_mut().entry(id.to_owned()).or_default().push(sender);
        receiver
    }

    /// An entry goes to the socket for the first time.
    pub fn are_here(&self, entry: &str, messages: &[Fixed]) {
        let here = messages.iter().map(|message| (entry.to_owned(), message.message_id.clone()));
        self.here.borrow_mut().extend(here);
    }

    /// Whether certainly nothing of a message has left.
    pub fn is_here(&self, message: &str) -> bool {
        self.here.borrow().iter().any(|(_, here)| here == message)
    }

    /// A frame of it may have left.
    pub fn may_have_left(&self, message: &str) {
        self.here.borrow_mut().retain(|(_, here)| here != message);
    }

    /// An entry has ended: whoever waits is told.
    pub fn ended(&self, id: &str, outcome: &Outcome) {
        self.here.borrow_mut().retain(|(entry, _)| entry != id);
        for waiter in self.waiting.borrow_mut().remove(id).unwrap_or_default() {
            let _nobody_waits = waiter.send(outcome.clone());
        }
    }

    fn forget_waiters(&self, id: &str) {
        let mut waiting = self.waiting.borrow_mut();
        if let Some(waiters) = waiting.get_mut(id) {
            waiters.retain(|waiter| !waiter.is_canceled());
            if waiters.is_empty() {
                waiting.remove(id);
            }
        }
    }

    fn is_time_to_trim(&self) -> bool {
        let now = clock::now();
        let is_time = now.saturating_sub(self.trimmed_at.get()) >= TRIM_MS;
        if is_time {
            self.trimmed_at.set(now);
        }
        is_time
    }

    fn is_busy(&self, id: &str) -> bool {
        self.busy.borrow().iter().any(|(busy, _)| busy == id)
    }

    /// How many the pump is at.
    fn lanes(&self) -> usize {
        self.busy.borrow().iter().filter(|(_, is_pumps)| *is_pumps).count()
    }

    fn take(&self, id: &str, is_pumps: bool) -> bool {
        let is_free = !self.is_busy(id);
        if is_free {
            self.busy.borrow_mut().push((id.to_owned(), is_pumps));
        }
        is_free
    }

    fn leave(&self, id: &str) {
        self.busy.borrow_mut().retain(|(busy, _)| busy != id);
    }
}

impl Room {
    /// What sends keep to.
    pub(crate) fn rules(&self, now: u64) -> Rules {
        let held = self.record.borrow();
        let Some(record) = held.as_ref() else { return Rules::default() };
        Rules {
            limits: Limits {
                per_minute: record.settings.rate_per_min,
                per_hour: record.settings.rate_per_hour,
            },
            new_chats_per_day: self.new_chats_per_day,
            timelock_until: record.lifecycle.timelock_until(now),
        }
    }

    /// What somebody is told who will not wait for their turn: when to come back, and that a slot is kept for them.
    ///
    /// # Errors
    /// When the database fails.
    pub(crate) fn promise(&self, wait: Wait, now: u64) -> Result<Wait, SqlError> {
        self.outgoing.turns.promise(&self.rules(now), &self.journal.outbox(), wait, now)
    }

    /// Whether this number has had nothing to do with that one, under its number or its LID. With itself it always has.
    ///
    /// # Errors
    /// When the database fails.
    pub(crate) fn is_new_chat(&self, chat: &str) -> Result<bool, SqlError> {
        let names = self.journal.names();
        let alias = if chat.ends_with("@lid") {
            names.phone_of(chat)
        } else if chat.ends_with("@s.whatsapp.net") {
            names.lid_of(chat)
        } else {
            return Ok(false);
        };
        let Ok(record) = self.record() else { return Ok(false) };
        let own = [own_jid(&record), record.wa_lid.unwrap_or_default()];
        for name in [Some(chat.to_owned()), alias].into_iter().flatten() {
            if self.journal.knows_chat(&name)? || own.contains(&name) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// What can be said about messages.
    pub(crate) fn about(&self) -> Result<About<'_, WorkerdSql>, ApiError> {
        let record = self.record()?;
        Ok(About {
            messages: self.journal.messages(),
            names: self.journal.names(),
            own_jid: own_jid(&record),
            own_lid: record.wa_lid,
            now: clock::now(),
        })
    }

    /// Stops here for ever, where a test wants that.
    #[cfg(feature = "simulator")]
    pub(crate) async fn hold(&self, point: HoldPoint) {
        if self.outgoing.hold.get() == Some(point) {
            self.outgoing.held.set(self.outgoing.held.get().saturating_add(1));
            futures::future::pending::<()>().await;
        }
    }

    /// Goes on.
    #[cfg(not(feature = "simulator"))]
    #[allow(clippy::unused_self, clippy::unused_async, reason = "the simulator build's twin uses them")]
    pub(crate) async fn hold(&self, _: HoldPoint) {}
}

/// The key of a message of ours.
pub fn own_key(chat: &str, id: &str) -> MessageKey {
    MessageKey {
        remote_jid: Some(chat.to_owned()),
        from_me: Some(true),
        id: Some(id.to_owned()),
        participant: None,
    }
}

/// This number's JID, without its device.
pub fn own_jid(record: &Record) -> String {
    let device = record.wa_jid.as_deref().unwrap_or_default();
    match (device.split_once(':'), device.split_once('@')) {
        (Some((user, _)), Some((_, server))) => format!("{user}@{server}"),
        _ => device.to_owned(),
    }
}
