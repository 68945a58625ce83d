//! A numbered log that can be waited on: what a phone received, for whoever asks over HTTP.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::Result;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::watch;

use crate::clock;
use crate::store::shelf::ordered;
use crate::store::{Kind, Rows, Shelf, rows};

/// Older entries are forgotten.
const CAPACITY: usize = 50_000;

/// A decrypted message.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Received {
    /// Who wrote it, as a phone-number JID.
    pub from: String,
    /// The conversation: the sender, or for the account's own messages the recipient.
    pub chat: String,
    pub message_id: String,
    /// Absent when the message is no text.
    pub text: Option<String>,
    /// Seconds since the epoch, from the stanza.
    pub timestamp: u64,
    /// The sending device, 0 for a phone.
    pub from_device: u16,
    /// A companion of this very account wrote it.
    pub from_me: bool,
    /// What it is; `content` has the fields of that kind.
    #[serde(default)]
    pub kind: String,
    #[serde(default)]
    pub content: Value,
}

/// A receipt for messages of this phone's account.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ReceivedReceipt {
    /// `delivery`, `read`, `played`.
    #[serde(rename = "type")]
    pub kind: String,
    pub from: String,
    /// A group, or where a device of the own account read something.
    #[serde(default)]
    pub chat: String,
    pub message_ids: Vec<String>,
    pub timestamp: u64,
}

/// An entry with its number.
#[derive(Clone, Debug, Serialize)]
pub struct Numbered<T> {
    pub seq: u64,
    #[serde(flatten)]
    pub entry: T,
}

struct Log<T> {
    next: u64,
    entries: VecDeque<Numbered<T>>,
}

/// The log.
pub struct Inbox<T> {
    log: Mutex<Log<T>>,
    last: watch::Sender<u64>,
    kind: Kind,
    shelf: Shelf,
}

impl<T: Clone + Serialize + DeserializeOwned> Inbox<T> {
    /// An empty log.
    pub fn new(kind: Kind, shelf: Shelf) -> Self {
        let log = Log { next: 1, entries: VecDeque::new() };
        Self { log: Mutex::new(log), last: watch::Sender::new(0), kind, shelf }
    }

    /// As it was kept, with its numbers.
    pub fn restore(rows: &mut Rows, number: &str, kind: Kind, shelf: Shelf) -> Result<Self> {
        let mut entries = VecDeque::new();
        for (seq, entry) in rows.take_json(kind, number)? {
            entries.push_back(Numbered { seq: rows::number(&seq)?, entry });
        }
        let last = entries.back().map_or(0, |entry| entry.seq);
        let log = Mutex::new(Log { next: last + 1, entries });
        Ok(Self { log, last: watch::Sender::new(last), kind, shelf })
    }

    pub fn push(&self, entry: T) {
        let seq = {
            let mut log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
            let seq = log.next;
            log.next += 1;
            self.shelf.put_json(self.kind, ordered(seq), &entry);
            log.entries.push_back(Numbered { seq, entry });
            if log.entries.len() > CAPACITY
                && let Some(oldest) = log.entries.pop_front()
            {
                self.shelf.delete(self.kind, ordered(oldest.seq));
            }
            seq
        };
        self.last.send_replace(seq);
    }

    /// Everything after `seq`; waits up to `wait` for the first when there is nothing.
    pub async fn after(&self, seq: u64, wait: Duration) -> Vec<Numbered<T>> {
        let mut last = self.last.subscribe();
        // An error is the limit: then the answer is empty, which is no error for a long poll.
        let _ = clock::within(wait, last.wait_for(|last| *last > seq)).await;
        let log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        log.entries.iter().filter(|numbered| numbered.seq > seq).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_reader_that_waits_gets_what_comes_and_none_twice() {
        let inbox = std::sync::Arc::new(Inbox::new(Kind::ReceivedMessage, Shelf::default()));
        let reader = tokio::spawn({
            let inbox = inbox.clone();
            async move { inbox.after(0, Duration::from_secs(5)).await }
        });
        tokio::task::yield_now().await;
        inbox.push("a".to_owned());
        let got = reader.await.unwrap();
        assert_eq!(got.iter().map(|n| (n.seq, n.entry.as_str())).collect::<Vec<_>>(), [(1, "a")]);
        assert!(inbox.after(1, Duration::ZERO).await.is_empty());
    }
}
