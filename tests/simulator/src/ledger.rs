//! How often each message came in and what became of it, so that a test can prove that something was said exactly once.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};

use serde::Serialize;

use crate::account::DeviceAddress;
use crate::clock;
use crate::routing::Taken;

/// Older messages are forgotten.
const CAPACITY: usize = 100_000;

/// What became of one stanza.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Taken(Taken),
    Refused(u16),
    Lost,
}

/// The counts of one message of one device.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Counts {
    pub to: String,
    pub received: u32,
    pub delivered: u32,
    /// To devices that had asked for it again.
    pub resent: u32,
    /// Because of its id.
    pub dropped: u32,
    pub lost: u32,
    /// When each came, epoch microseconds.
    pub at: Vec<u64>,
    pub refused: Vec<u16>,
}

#[derive(Default)]
struct Book {
    by_id: HashMap<String, BTreeMap<DeviceAddress, Counts>>,
    order: VecDeque<String>,
}

/// All of them.
#[derive(Default)]
pub struct Ledger {
    book: Mutex<Book>,
}

impl Ledger {
    pub fn note(&self, from: &DeviceAddress, to: &str, id: &str, outcome: Outcome) {
        let mut book = self.book.lock().unwrap_or_else(PoisonError::into_inner);
        let Book { by_id, order } = &mut *book;
        if !by_id.contains_key(id) {
            order.push_back(id.to_owned());
            if order.len() > CAPACITY
                && let Some(oldest) = order.pop_front()
            {
                by_id.remove(&oldest);
            }
        }
        let counts = by_id.entry(id.to_owned()).or_default().entry(from.clone()).or_default();
        to.clone_into(&mut counts.to);
        counts.received += 1;
        counts.at.push(clock::unix_micros());
        match outcome {
            Outcome::Taken(Taken::First) => counts.delivered += 1,
            Outcome::Taken(Taken::Again) => counts.resent += 1,
            Outcome::Taken(Taken::Dropped) => counts.dropped += 1,
            Outcome::Refused(code) => counts.refused.push(code),
            Outcome::Lost => counts.lost += 1,
        }
    }

    /// The counts of one id, by the device that used it.
    pub fn of(&self, id: &str) -> Vec<(DeviceAddress, Counts)> {
        let book = self.book.lock().unwrap_or_else(PoisonError::into_inner);
        book.by_id
            .get(id)
            .into_iter()
            .flatten()
            .map(|(from, counts)| (from.clone(), counts.clone()))
            .collect()
    }

    pub fn clear(&self) {
        *self.book.lock().unwrap_or_else(PoisonError::into_inner) = Book::default();
    }
}
