//! What survives the process: rows on disk, written behind everybody's back and ahead of everything that leaves.
//!
//! One SQLite file with one table: whose row, what it is, which one, its bytes. SQLite and not a log of our own,
//! because what a `kill -9` leaves of a write, compaction and reading back are solved there. The journal is a
//! write-ahead log that is not synced: what the process has written outlives it, only a power cut could lose it.
//!
//! Nobody waits for the disk while they work. Changes are numbered in the order they are made, one thread writes
//! them, and each of its transactions takes all that has piled up. The two ways out of the process, a socket's writer
//! and an answer of the control API, wait until everything made so far is on disk ([`Store::settled`]). So the disk
//! always holds one moment of the past, and nobody outside has seen anything later: a ratchet that has moved on, an
//! ack or a receipt can't be taken back by a crash.

pub mod rows;
pub mod shelf;
mod writer;

use std::cell::RefCell;
use std::collections::VecDeque;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use anyhow::Result;
use tokio::sync::watch;

pub use rows::Rows;
pub use shelf::Shelf;

/// What a row is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The simulator itself: seed, starts, rotations of the certificate.
    World,
    Account,
    /// A phone's own keys and counters.
    Phone,
    Session,
    Identity,
    PreKey,
    Sent,
    Seen,
    /// A linked companion.
    Device,
    /// What a device has published, but for its one-time prekeys.
    Published,
    OneTime,
    /// A stanza a device or a phone is owed.
    Mail,
    Accepted,
    Reopened,
    Delivered,
    Watcher,
    Acquaintance,
    AppStateKey,
    Patch,
    Contact,
    ReceivedMessage,
    ReceivedReceipt,
    Group,
    /// A message on a phone that others may be about.
    Known,
    SenderKey,
    /// Who has a phone's sender key for a group.
    Distributed,
    /// A file on a media host.
    Media,
    /// What a file was encrypted with.
    MediaKey,
}

impl Kind {
    const ALL: [Self; 28] = [
        Self::World,
        Self::Account,
        Self::Phone,
        Self::Session,
        Self::Identity,
        Self::PreKey,
        Self::Sent,
        Self::Seen,
        Self::Device,
        Self::Published,
        Self::OneTime,
        Self::Mail,
        Self::Accepted,
        Self::Reopened,
        Self::Delivered,
        Self::Watcher,
        Self::Acquaintance,
        Self::AppStateKey,
        Self::Patch,
        Self::Contact,
        Self::ReceivedMessage,
        Self::ReceivedReceipt,
        Self::Group,
        Self::Known,
        Self::SenderKey,
        Self::Distributed,
        Self::Media,
        Self::MediaKey,
    ];

    /// The name it has on disk.
    fn name(self) -> &'static str {
        match self {
            Self::World => "world",
            Self::Account => "account",
            Self::Phone => "phone",
            Self::Session => "session",
            Self::Identity => "identity",
            Self::PreKey => "pre_key",
            Self::Sent => "sent",
            Self::Seen => "seen",
            Self::Device => "device",
            Self::Published => "published",
            Self::OneTime => "one_time",
            Self::Mail => "mail",
            Self::Accepted => "accepted",
            Self::Reopened => "reopened",
            Self::Delivered => "delivered",
            Self::Watcher => "watcher",
            Self::Acquaintance => "acquaintance",
            Self::AppStateKey => "app_state_key",
            Self::Patch => "patch",
            Self::Contact => "contact",
            Self::ReceivedMessage => "received_message",
            Self::ReceivedReceipt => "received_receipt",
            Self::Group => "group",
            Self::Known => "known",
            Self::SenderKey => "sender_key",
            Self::Distributed => "distributed",
            Self::Media => "media",
            Self::MediaKey => "media_key",
        }
    }
}

/// One change of one row, or of several at once.
#[derive(Debug)]
enum Change {
    Put {
        owner: Arc<str>,
        kind: Kind,
        key: String,
        value: Vec<u8>,
    },
    Delete {
        owner: Arc<str>,
        kind: Kind,
        key: String,
    },
    DeleteKind {
        owner: Arc<str>,
        kind: Kind,
    },
    DeleteOwner {
        owner: Arc<str>,
    },
    /// Everything but the simulator's own rows.
    Reset,
}

thread_local! {
    /// The changes of the unit this thread is in.
    static UNIT: RefCell<Option<Vec<Change>>> = const { RefCell::new(None) };
}

/// Changes on their way to the disk. A slot is empty while its unit is still at work; nothing behind it is written
/// before.
struct Queue {
    /// The number of the first slot.
    first: u64,
    slots: VecDeque<Option<Vec<Change>>>,
    closed: bool,
}

struct Shared {
    queue: Mutex<Queue>,
    filled: Condvar,
    /// Changes of an older era belong to a world that has been reset.
    era: AtomicU64,
    /// Up to which number everything is on disk.
    written: watch::Sender<u64>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

/// The rows of one simulator; without a directory it keeps nothing and nobody waits for it.
#[derive(Clone, Default)]
pub struct Store {
    shared: Option<Arc<Shared>>,
}

impl Store {
    /// Opens the store in a directory, which is made when missing, with all it holds. No other process may have it
    /// open.
    pub fn open(directory: &Path) -> Result<(Self, Rows)> {
        let connection = writer::connect(directory)?;
        let rows = Rows::read(&connection)?;
        let shared = Arc::new(Shared {
            queue: Mutex::new(Queue { first: 1, slots: VecDeque::new(), closed: false }),
            filled: Condvar::new(),
            era: AtomicU64::new(0),
            written: watch::Sender::new(0),
            writer: Mutex::default(),
        });
        let thread = {
            let shared = shared.clone();
            std::thread::Builder::new()
                .name("store".to_owned())
                .spawn(move || writer::run(&shared, connection))?
        };
        *shared.writer.lock().unwrap_or_else(PoisonError::into_inner) = Some(thread);
        Ok((Self { shared: Some(shared) }, rows))
    }

    /// Does some work whose changes are written together or not at all, before anything it lets out. For work that
    /// waits for nobody: all that comes later is written after it.
    pub fn unit<T>(&self, work: impl FnOnce() -> T) -> T {
        let Some(shared) = &self.shared else { return work() };
        if UNIT.with_borrow(Option::is_some) {
            return work();
        }
        let number = shared.queue().reserve();
        UNIT.set(Some(Vec::new()));
        // Filled on the way out even when the work panics, or nothing would ever be written again.
        let _unit = Unit { shared, number };
        work()
    }

    /// True once all changes made so far are on disk; false when they never will be.
    pub async fn settled(&self) -> bool {
        let Some(shared) = &self.shared else { return true };
        let last = {
            let queue = shared.queue();
            if queue.closed {
                return false;
            }
            queue.last()
        };
        if *shared.written.borrow() >= last {
            return true;
        }
        shared.written.subscribe().wait_for(|written| *written >= last).await.is_ok_and(|at| *at != u64::MAX)
    }

    /// Writes what there is, lets go of the file and takes no more changes.
    pub fn close(&self) {
        let Some(shared) = &self.shared else { return };
        shared.queue().closed = true;
        shared.filled.notify_all();
        let thread = shared.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            // A panic in there has been reported already.
            let _ = thread.join();
        }
    }

    /// Forgets all rows but the simulator's own, and whatever the accounts of until now still have to say.
    pub fn reset(&self) {
        let Some(shared) = &self.shared else { return };
        let mut queue = shared.queue();
        shared.era.fetch_add(1, Ordering::AcqRel);
        let number = queue.reserve();
        queue.fill(number, vec![Change::Reset]);
        drop(queue);
        shared.filled.notify_all();
    }

    /// The rows of one account, one device or the simulator itself.
    pub fn shelf(&self, owner: &str) -> Shelf {
        let era = self.shared.as_ref().map_or(0, |shared| shared.era.load(Ordering::Acquire));
        Shelf::new(self.clone(), era, owner)
    }

    fn change(&self, era: u64, change: impl FnOnce() -> Change) {
        let Some(shared) = &self.shared else { return };
        if shared.era.load(Ordering::Acquire) != era {
            return;
        }
        let change = change();
        let alone = UNIT.with_borrow_mut(|unit| match unit {
            Some(changes) => {
                changes.push(change);
                None
            }
            None => Some(change),
        });
        if let Some(change) = alone {
            let mut queue = shared.queue();
            let number = queue.reserve();
            queue.fill(number, vec![change]);
            drop(queue);
            shared.filled.notify_all();
        }
    }
}

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    fn reserve(&mut self) -> u64 {
        self.slots.push_back(None);
        self.last()
    }

    fn last(&self) -> u64 {
        self.first + self.slots.len() as u64 - 1
    }

    fn fill(&mut self, number: u64, changes: Vec<Change>) {
        let slot = usize::try_from(number - self.first).ok().and_then(|index| self.slots.get_mut(index));
        if let Some(slot) = slot {
            *slot = Some(changes);
        }
    }

    /// Everything up to the first unit that is still at work.
    fn take_ready(&mut self) -> Vec<Change> {
        let mut ready = Vec::new();
        while let Some(Some(_)) = self.slots.front() {
            ready.extend(self.slots.pop_front().flatten().unwrap_or_default());
            self.first += 1;
        }
        ready
    }
}

struct Unit<'s> {
    shared: &'s Shared,
    number: u64,
}

impl Drop for Unit<'_> {
    fn drop(&mut self) {
        let changes = UNIT.take().unwrap_or_default();
        self.shared.queue().fill(self.number, changes);
        self.shared.filled.notify_all();
    }
}

#[cfg(test)]
mod tests;
