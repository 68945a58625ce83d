//! The messages on a phone: what answers, votes, edits and requests for lost files are about.

use std::collections::{HashMap, VecDeque};

use anyhow::Result;
use wacore_binary::Jid;
use waproto::whatsapp::Message;

use super::Phone;
use crate::store::{Kind, Rows, Shelf};

/// Older ones are forgotten.
const CAPACITY: usize = 5_000;

/// A message somebody wrote.
#[derive(Clone)]
pub struct Known {
    /// The conversation, as this phone shows it.
    pub chat: Jid,
    /// Whose it is, as a phone number.
    pub author: String,
    pub message: Message,
}

/// What others wrote, and this account's companions; what the phone wrote itself it remembers anyway.
#[derive(Default)]
pub struct Memory {
    known: HashMap<String, Known>,
    order: VecDeque<(u64, String)>,
    last: u64,
}

impl Memory {
    pub fn restore(rows: &mut Rows, number: &str) -> Result<Self> {
        let mut kept = rows.take_json::<(u64, String, String, Vec<u8>)>(Kind::Known, number)?;
        kept.sort_by_key(|(_, (place, ..))| *place);
        let mut memory = Self::default();
        for (id, (place, chat, author, message)) in kept {
            let message = waproto::codec::message_decode(&message)?;
            memory.known.insert(id.clone(), Known { chat: chat.parse()?, author, message });
            memory.order.push_back((place, id));
            memory.last = place;
        }
        Ok(memory)
    }

    pub fn keep(&mut self, home: &Shelf, id: &str, known: Known) {
        self.last += 1;
        home.put(Kind::Known, id, || {
            let message = waproto::codec::message_to_vec(&known.message);
            serde_json::to_vec(&(self.last, known.chat.to_string(), &known.author, message))
                .unwrap_or_default()
        });
        if self.known.insert(id.to_owned(), known).is_none() {
            self.order.push_back((self.last, id.to_owned()));
        }
        if self.order.len() > CAPACITY
            && let Some((_, oldest)) = self.order.pop_front()
        {
            self.known.remove(&oldest);
            home.delete(Kind::Known, oldest);
        }
    }
}

impl Phone {
    /// A message by its id, whoever wrote it.
    pub fn known(&self, own: &str, id: &str) -> Option<Known> {
        if let Some(known) = self.memory.known.get(id) {
            return Some(known.clone());
        }
        let sent = self.sent.get(id)?;
        Some(Known { chat: sent.to.clone(), author: own.to_owned(), message: sent.message.clone() })
    }

    /// A file was uploaded again: whoever is told of it later is told where it is now.
    pub fn file_moved(&mut self, own: &str, id: &str, direct_path: &str) {
        let Some(mut known) = self.known(own, id) else { return };
        crate::content::moved(&mut known.message, direct_path);
        if let Some(sent) = self.sent.get_mut(id) {
            sent.message = known.message;
        } else {
            self.memory.keep(&self.shelf, id, known);
        }
    }

    pub fn rng(&mut self) -> &mut rand::rngs::StdRng {
        &mut self.rng
    }
}
