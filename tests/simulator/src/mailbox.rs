//! What the server still owes one companion: a queue that forgets a stanza only when the device has acknowledged it,
//! and the socket it is delivered through while there is one.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::Result;
use tokio::sync::mpsc::UnboundedSender;
use wacore_binary::Node;
use wacore_binary::builder::NodeBuilder;

use crate::connection::Outgoing;
use crate::stanza;
use crate::store::shelf::ordered;
use crate::store::{Kind, Shelf, rows};

/// A companion's live socket.
#[derive(Clone)]
pub struct Link {
    pub connection: u64,
    pub outgoing: UnboundedSender<Outgoing>,
}

impl Link {
    /// Hands a node to the socket's writer; a socket that is gone has already lost it.
    pub fn send(&self, node: Node) {
        let _ = self.outgoing.send(Outgoing::Node(Box::new(node)));
    }
}

/// Where a login stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Delivery {
    /// No socket, or logged in but not yet active: everything waits.
    Parked,
    /// The backlog is being pulled in batches.
    Draining { left: usize, total: usize },
    /// Stanzas go out as they come.
    Live,
}

struct Entry {
    number: u64,
    node: Node,
    sent: bool,
}

struct State {
    /// The number of the next entry.
    next: u64,
    entries: VecDeque<Entry>,
    shelf: Shelf,
    delivery: Delivery,
    link: Option<Link>,
}

/// The queue and the link of one device.
pub struct Mailbox {
    state: Mutex<State>,
}

/// What `<offline_preview>` tells.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Backlog {
    pub messages: usize,
    pub receipts: usize,
    pub notifications: usize,
}

impl Backlog {
    pub fn total(&self) -> usize {
        self.messages + self.receipts + self.notifications
    }
}

impl Default for Mailbox {
    fn default() -> Self {
        let state = State {
            next: 1,
            entries: VecDeque::new(),
            shelf: Shelf::default(),
            delivery: Delivery::Parked,
            link: None,
        };
        Self { state: Mutex::new(state) }
    }
}

impl Mailbox {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on it is kept there.
    pub fn keep_in(&self, home: Shelf) {
        let mut state = self.state();
        for entry in &state.entries {
            entry.keep(&home);
        }
        state.shelf = home;
    }

    /// What the device was owed.
    pub fn restore(shelf: Shelf, kept: Vec<(String, Vec<u8>)>) -> Result<Self> {
        let mailbox = Self::default();
        {
            let mut state = mailbox.state();
            for (number, node) in kept {
                let (number, node) = (rows::number(&number)?, stanza::from_bytes(&node)?);
                state.next = number + 1;
                state.entries.push_back(Entry { number, node, sent: false });
            }
            state.shelf = shelf;
        }
        Ok(mailbox)
    }

    /// Stores a stanza, and sends it at once when the device is listening.
    pub fn push(&self, node: Node) {
        let mut state = self.state();
        let mut entry = Entry { number: state.next, node, sent: false };
        state.next += 1;
        entry.keep(&state.shelf);
        if let (Delivery::Live, Some(link)) = (&state.delivery, &state.link) {
            link.send(entry.node.clone());
            entry.sent = true;
        }
        state.entries.push_back(entry);
    }

    /// Sends what need not survive a reconnect (results, errors).
    pub fn link(&self) -> Option<Link> {
        self.state().link.clone()
    }

    /// Takes a new socket and returns the one it replaces. Everything unacknowledged is owed again.
    pub fn attach(&self, link: Link) -> Option<Link> {
        let mut state = self.state();
        state.delivery = Delivery::Parked;
        for entry in &mut state.entries {
            entry.sent = false;
        }
        state.link.replace(link)
    }

    /// Lets go of a socket, unless a newer one has taken its place.
    pub fn detach(&self, connection: u64) {
        let mut state = self.state();
        if state.link.as_ref().is_some_and(|link| link.connection == connection) {
            state.link = None;
            state.delivery = Delivery::Parked;
        }
    }

    /// Starts the offline phase with what has piled up; nothing when it has already begun.
    pub fn begin_offline(&self) -> Option<Backlog> {
        let mut state = self.state();
        let count = |tag| state.entries.iter().filter(|entry| !entry.sent && entry.node.tag == tag).count();
        let backlog = Backlog {
            messages: count("message"),
            receipts: count("receipt"),
            notifications: count("notification"),
        };
        if state.delivery != Delivery::Parked {
            return None;
        }
        state.delivery = Delivery::Draining { left: backlog.total(), total: backlog.total() };
        Some(backlog)
    }

    /// Delivers up to `count` of the backlog; when that was the last of it, says so and goes live. True once live.
    pub fn pull(&self, count: usize) -> bool {
        let mut state = self.state();
        let State { entries, delivery, link, .. } = &mut *state;
        let (Delivery::Draining { left, total }, Some(link)) = (*delivery, link.as_ref()) else {
            return *delivery == Delivery::Live;
        };
        let batch = left.min(count);
        for entry in entries.iter_mut().filter(|entry| !entry.sent).take(batch) {
            let mut node = entry.node.clone();
            node.attrs.insert("offline", "0");
            link.send(node);
            entry.sent = true;
        }
        *delivery = Delivery::Draining { left: left - batch, total };
        if left > batch {
            return false;
        }
        link.send(stanza::ib(NodeBuilder::new("offline").attr("count", total).build()));
        *delivery = Delivery::Live;
        for entry in entries.iter_mut().filter(|entry| !entry.sent) {
            link.send(entry.node.clone());
            entry.sent = true;
        }
        true
    }

    /// Delivers a backlog of which the device has been told and has asked for nothing.
    pub fn pull_unasked(&self) {
        let untouched = matches!(self.state().delivery, Delivery::Draining { left, total } if left == total);
        if untouched {
            self.pull(usize::MAX);
        }
    }

    /// The device has acknowledged a stanza of this class and id.
    pub fn settle(&self, class: &str, id: &str, kind: Option<&str>) {
        let mut state = self.state();
        let matches = |entry: &Entry, exact: bool| {
            entry.sent
                && entry.node.tag == class
                && stanza::attr(&entry.node, "id") == id
                && (!exact || stanza::opt(&entry.node, "type").as_deref() == kind)
        };
        // Several receipts may carry one id; their type tells them apart when the client repeats it.
        let position = state
            .entries
            .iter()
            .position(|entry| matches(entry, true))
            .or_else(|| state.entries.iter().position(|entry| matches(entry, false)));
        if let Some(settled) = position.and_then(|position| state.entries.remove(position)) {
            state.shelf.delete(Kind::Mail, ordered(settled.number));
        }
    }

    /// How much is owed.
    pub fn len(&self) -> usize {
        self.state().entries.len()
    }

    /// Forgets everything: the device is no longer linked.
    pub fn clear(&self) {
        let mut state = self.state();
        state.entries.clear();
        state.shelf.delete_kind(Kind::Mail);
        state.shelf = Shelf::default();
    }
}

impl Entry {
    fn keep(&self, home: &Shelf) {
        home.put(Kind::Mail, ordered(self.number), || stanza::to_bytes(&self.node));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::sync::mpsc;

    fn message(id: &str) -> Node {
        NodeBuilder::new("message").attr("id", id).build()
    }

    fn attach(mailbox: &Mailbox, connection: u64) -> mpsc::UnboundedReceiver<Outgoing> {
        let (outgoing, incoming) = mpsc::unbounded_channel();
        mailbox.attach(Link { connection, outgoing });
        incoming
    }

    fn sent(incoming: &mut mpsc::UnboundedReceiver<Outgoing>) -> Vec<String> {
        let mut ids = Vec::new();
        while let Ok(outgoing) = incoming.try_recv() {
            if let Outgoing::Node(node) = outgoing {
                ids.push(stanza::opt(&node, "id").unwrap_or_else(|| node.tag.to_string()));
            }
        }
        ids
    }

    #[test]
    fn a_stanza_is_owed_until_it_is_acknowledged() {
        let mailbox = Mailbox::default();
        mailbox.push(message("A"));
        let mut first = attach(&mailbox, 1);
        assert_eq!(mailbox.begin_offline().map(|backlog| backlog.messages), Some(1));
        assert!(mailbox.pull(200));
        assert_eq!(sent(&mut first), ["A", "ib"]);
        mailbox.detach(1);
        let mut second = attach(&mailbox, 2);
        mailbox.begin_offline();
        mailbox.pull(200);
        assert_eq!(sent(&mut second), ["A", "ib"]);
        mailbox.settle("message", "A", None);
        assert_eq!(mailbox.len(), 0);
    }

    #[test]
    fn a_backlog_is_pulled_in_batches_and_newcomers_wait_for_its_end() {
        let mailbox = Mailbox::default();
        for id in ["A", "B", "C"] {
            mailbox.push(message(id));
        }
        let mut incoming = attach(&mailbox, 1);
        mailbox.begin_offline();
        assert!(!mailbox.pull(2));
        mailbox.push(message("D"));
        assert_eq!(sent(&mut incoming), ["A", "B"]);
        assert!(mailbox.pull(2));
        assert_eq!(sent(&mut incoming), ["C", "ib", "D"]);
    }

    #[test]
    fn a_late_detach_of_the_replaced_socket_leaves_the_new_one() {
        let mailbox = Mailbox::default();
        let _first = attach(&mailbox, 1);
        let _second = attach(&mailbox, 2);
        mailbox.detach(1);
        assert_eq!(mailbox.link().map(|link| link.connection), Some(2));
    }
}
