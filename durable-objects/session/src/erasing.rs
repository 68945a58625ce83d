//! A delete: everything goes, for good, however often it is cut off on the way.

use std::rc::Rc;
use std::time::Duration;

use futures::future::select;
use gateway_domain::error::ApiError;
use gateway_domain::lifecycle::Status;
use gateway_sql::SqlError;
use worker::Delay;

use crate::alarm::{TICK_MS, timer};
use crate::journal::{Journal, Record};
use crate::room::{Link, Room, failed};
use crate::{clock, forward};

/// How often somebody who waits for a delete looks whether it is done.
const ERASE_POLL: Duration = Duration::from_millis(500);
/// How long an object that was erased remembers that: longer than any call that found its row before can take.
const TOMBSTONE_MS: u64 = 3_600_000;

impl Room {
    /// Whether a delete has begun and is not done.
    pub fn is_half_erased(&self) -> bool {
        self.record.borrow().as_ref().is_some_and(|record| record.deleting && !record.deleted)
    }

    /// Erases everything; a late event of a dying connection finds nothing to write to. That it is wanted is written
    /// first: if the object dies on the way, its alarm finishes the work.
    ///
    /// # Errors
    /// When the storage fails; the alarm tries again.
    pub async fn erase(self: &Rc<Self>) -> Result<(), ApiError> {
        while self.is_erasing.replace(true) {
            // Somebody is at it; their end is ours.
            let woken = self.listen();
            let _either = select(woken, Delay::from(ERASE_POLL)).await;
            if !self.is_half_erased() && self.erased.get() {
                return Ok(());
            }
        }
        let erased = self.erase_all().await;
        self.is_erasing.set(false);
        self.wake.notify(usize::MAX);
        erased
    }

    async fn erase_all(self: &Rc<Self>) -> Result<(), ApiError> {
        let was_working = self.status() == Status::Working;
        if !self.erased.get() {
            self.mark_deleting().map_err(|error| failed("delete", &error))?;
            // From here on calls find nothing, and what the dying connection tells is nobody's news.
            self.erased.set(true);
            self.arm();
            self.wake.notify(usize::MAX);
            self.sockets().close_all();
            let record = self.record.borrow().clone();
            if let Some(record) = record {
                forward::finish(self, &record).await;
            }
        }
        let link = self.link.replace(Link::Down);
        if let Link::Up(connection) = link {
            if was_working && let Err(error) = connection.unlink().await {
                worker::console_warn!("deleted without WhatsApp's confirmation of the unlink: {error}");
            }
            connection.close().await;
        }
        self.empty().await
    }

    fn mark_deleting(&self) -> Result<(), SqlError> {
        let mut held = self.record.borrow_mut();
        let Some(record) = held.as_ref() else { return Ok(()) };
        let marked = Record { deleting: true, ..record.clone() };
        self.journal.atomically(|| {
            self.journal.save(&marked)?;
            for name in [timer::TICK, timer::RETRY, timer::PROJECTION, timer::TRIM] {
                self.journal.timers().clear(name)?;
            }
            self.journal.timers().set(timer::ERASE, clock::now() + 2 * TICK_MS)
        })?;
        *held = Some(marked);
        Ok(())
    }

    /// The alarm's part of a delete: goes on with one that was cut off, or removes a tombstone whose time is over.
    ///
    /// # Errors
    /// When the storage fails.
    pub async fn finish_erase(self: &Rc<Self>) -> Result<(), ApiError> {
        if self.is_half_erased() {
            return self.erase().await;
        }
        if self.is_erasing.get() {
            return Ok(());
        }
        self.state.storage().delete_all().await.map_err(|error| failed("erase", &error))?;
        self.record.take();
        self.bell.rang();
        Ok(())
    }

    /// Empties the storage, the alarm included. What is left for an hour is a tombstone: a call that had found the
    /// session before it was gone must not make it anew.
    async fn empty(self: &Rc<Self>) -> Result<(), ApiError> {
        self.fence.raise();
        self.state.storage().delete_all().await.map_err(|error| failed("erase", &error))?;
        let Some(record) = self.record.take() else { return Ok(()) };
        let tombstone =
            Record { deleting: true, deleted: true, ..Record::new(&record.organization, &record.session) };
        let laid = Journal::open(self.sql.clone()).and_then(|journal| {
            journal.save(&tombstone)?;
            journal.timers().set(timer::ERASE, clock::now() + TOMBSTONE_MS)
        });
        self.record.replace(Some(tombstone));
        laid.map_err(|error| failed("tombstone", &error))?;
        self.bell.rang();
        self.arm();
        Ok(())
    }
}
