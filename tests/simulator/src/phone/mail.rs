//! Stanzas on their way to a phone: kept until the phone has done what they ask for.

use std::sync::{Mutex, PoisonError};

use anyhow::Result;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use wacore_binary::Node;

use crate::stanza;
use crate::store::shelf::ordered;
use crate::store::{Kind, Shelf, rows};

/// A stanza with its number.
pub type Numbered = (u64, Node);

/// The sending end; the phone's task holds the other one.
pub struct PhoneMail {
    sender: UnboundedSender<Numbered>,
    next: Mutex<u64>,
    shelf: Shelf,
}

impl PhoneMail {
    pub fn new(shelf: Shelf) -> (Self, UnboundedReceiver<Numbered>) {
        let (sender, receiver) = unbounded_channel();
        (Self { sender, next: Mutex::new(1), shelf }, receiver)
    }

    /// With what was kept already waiting.
    pub fn restore(
        shelf: Shelf,
        kept: Vec<(String, Vec<u8>)>,
    ) -> Result<(Self, UnboundedReceiver<Numbered>)> {
        let (mut mail, receiver) = Self::new(shelf);
        for (number, node) in kept {
            let number = rows::number(&number)?;
            mail.next = Mutex::new(number + 1);
            // The receiver is still in our hands.
            let _ = mail.sender.send((number, stanza::from_bytes(&node)?));
        }
        Ok((mail, receiver))
    }

    pub fn send(&self, node: Node) {
        // Held while sending: what is kept has the order in which the phone gets it.
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let number = *next;
        *next += 1;
        self.shelf.put(Kind::Mail, ordered(number), || stanza::to_bytes(&node));
        // The phone's task lives as long as its account.
        let _ = self.sender.send((number, node));
    }

    /// The phone has done all it had to do about this one.
    pub fn settle(&self, number: u64) {
        self.shelf.delete(Kind::Mail, ordered(number));
    }
}
