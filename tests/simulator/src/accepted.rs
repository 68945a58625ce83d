//! The message ids an account's devices have used: a stanza that comes twice is delivered once.

use std::collections::{HashMap, HashSet, VecDeque};

use anyhow::Result;

use crate::account::DeviceAddress;
use crate::store::{Kind, Rows, Shelf};

/// How many message ids an account remembers, to drop a stanza that comes twice.
const REMEMBERED_IDS: usize = 20_000;

/// The message ids an account's devices have used, and to whom a resend under an old id may still go.
#[derive(Default)]
pub struct Accepted {
    /// In the order of their use, with their place in it.
    order: VecDeque<(u64, u16, String)>,
    last: u64,
    reopened: HashMap<(u16, String), HashSet<DeviceAddress>>,
    receipts: HashSet<(String, String)>,
    shelf: Shelf,
}

impl Accepted {
    /// Nothing used yet.
    pub fn new(shelf: Shelf) -> Self {
        Self { shelf, ..Self::default() }
    }

    /// As it was kept.
    pub fn restore(rows: &mut Rows, number: &str, shelf: Shelf) -> Result<Self> {
        let mut accepted = Self::new(shelf);
        let mut used: Vec<(u64, u16, String)> =
            rows.take_json(Kind::Accepted, number)?.into_iter().map(|(_, used)| used).collect();
        used.sort_unstable();
        for (place, device, id) in used {
            accepted.last = place;
            accepted.order.push_back((place, device, id.clone()));
            accepted.reopened.insert((device, id), HashSet::new());
        }
        for (_, (device, id, target)) in
            rows.take_json::<(u16, String, DeviceAddress)>(Kind::Reopened, number)?
        {
            if let Some(targets) = accepted.reopened.get_mut(&(device, id)) {
                targets.insert(target);
            }
        }
        let delivered = rows.take_json(Kind::Delivered, number)?;
        accepted.receipts = delivered.into_iter().map(|(_, delivered)| delivered).collect();
        Ok(accepted)
    }

    /// True when this device uses this id for the first time.
    pub fn first_use(&mut self, device: u16, id: &str) -> bool {
        let key = (device, id.to_owned());
        if self.reopened.contains_key(&key) {
            return false;
        }
        self.last += 1;
        let used = (self.last, device, id.to_owned());
        self.shelf.put_json(Kind::Accepted, used_key(device, id), &used);
        self.order.push_back(used);
        self.reopened.insert(key, HashSet::new());
        if self.order.len() > REMEMBERED_IDS
            && let Some((_, device, id)) = self.order.pop_front()
        {
            self.shelf.delete(Kind::Accepted, used_key(device, &id));
            for target in self.reopened.remove(&(device, id.clone())).unwrap_or_default() {
                self.shelf.delete(Kind::Reopened, reopened_key(device, &id, &target));
            }
        }
        true
    }

    /// A recipient has asked for this message again.
    pub fn reopen(&mut self, device: u16, id: &str, requester: DeviceAddress) {
        if let Some(targets) = self.reopened.get_mut(&(device, id.to_owned())) {
            let key = reopened_key(device, id, &requester);
            self.shelf.put_json(Kind::Reopened, key, &(device, id, &requester));
            targets.insert(requester);
        }
    }

    /// True once after each request for it.
    pub fn take_reopened(&mut self, device: u16, id: &str, target: &DeviceAddress) -> bool {
        let targets = self.reopened.get_mut(&(device, id.to_owned()));
        let asked = targets.is_some_and(|targets| targets.remove(target));
        if asked {
            self.shelf.delete(Kind::Reopened, reopened_key(device, id, target));
        }
        asked
    }

    /// True for the first delivery receipt of a message to this recipient: each of its devices sends one, the sender
    /// gets one.
    pub fn first_delivery(&mut self, id: &str, recipient: &str) -> bool {
        if self.receipts.len() > REMEMBERED_IDS {
            self.receipts.clear();
            self.shelf.delete_kind(Kind::Delivered);
        }
        let delivered = (id.to_owned(), recipient.to_owned());
        self.shelf.put_json(Kind::Delivered, format!("{recipient}/{id}"), &delivered);
        self.receipts.insert(delivered)
    }
}

fn used_key(device: u16, id: &str) -> String {
    format!("{device}/{id}")
}

fn reopened_key(device: u16, id: &str, target: &DeviceAddress) -> String {
    format!("{}:{}/{device}/{id}", target.number, target.device)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_new_once_and_reopened_only_for_whoever_asked() {
        let mut accepted = Accepted::default();
        let asker = DeviceAddress { number: "1".into(), device: 2 };
        let other = DeviceAddress { number: "1".into(), device: 3 };
        assert!(accepted.first_use(1, "A"));
        assert!(!accepted.first_use(1, "A"));
        assert!(accepted.first_use(2, "A"), "another device has ids of its own");
        accepted.reopen(1, "A", asker.clone());
        assert!(!accepted.take_reopened(1, "A", &other));
        assert!(accepted.take_reopened(1, "A", &asker));
        assert!(!accepted.take_reopened(1, "A", &asker));
    }
}
