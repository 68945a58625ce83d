//! A numbered log that can be waited on: what a phone received, for whoever asks over HTTP.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde::Serialize;
use tokio::sync::watch;

use crate::clock;

/// Older entries are forgotten.
const CAPACITY: usize = 50_000;

/// A decrypted message.
#[derive(Clone, Debug, Serialize)]
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
}

/// A receipt for messages of this phone's account.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ReceivedReceipt {
    /// `delivery`, `read`, `played`.
    #[serde(rename = "type")]
    pub kind: String,
    pub from: String,
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
}

impl<T> Default for Inbox<T> {
    fn default() -> Self {
        Self { log: Mutex::new(Log { next: 1, entries: VecDeque::new() }), last: watch::Sender::new(0) }
    }
}

impl<T: Clone> Inbox<T> {
    pub fn push(&self, entry: T) {
        let seq = {
            let mut log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
            let seq = log.next;
            log.next += 1;
            log.entries.push_back(Numbered { seq, entry });
            if log.entries.len() > CAPACITY {
                log.entries.pop_front();
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
        let inbox = std::sync::Arc::new(Inbox::default());
        let reader = tokio::spawn({
            let inbox = inbox.clone();
            async move { inbox.after(0, Duration::from_secs(5)).await }
        });
        tokio::task::yield_now().await;
        inbox.push("a");
        let got = reader.await.unwrap();
        assert_eq!(got.iter().map(|n| (n.seq, n.entry)).collect::<Vec<_>>(), [(1, "a")]);
        assert!(inbox.after(1, Duration::ZERO).await.is_empty());
    }
}
