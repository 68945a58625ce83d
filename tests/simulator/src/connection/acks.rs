//! Acks for messages, and everything that can be wrong with one on demand.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc::UnboundedSender;
use tokio::task::JoinSet;
use wacore_binary::{Jid, Node};

use super::Outgoing;
use crate::account::DeviceAddress;
use crate::faults::Kind;
use crate::world::World;
use crate::{routing, stanza};

/// An ack that waits for its successor goes out after this time even when none comes.
const REORDER_LIMIT: Duration = Duration::from_secs(2);

/// The acks of one connection.
pub struct Acks {
    outgoing: UnboundedSender<Outgoing>,
    held: std::sync::Arc<Mutex<Option<Node>>>,
    late: Mutex<JoinSet<()>>,
}

impl Acks {
    pub fn new(outgoing: UnboundedSender<Outgoing>) -> Self {
        Self { outgoing, held: std::sync::Arc::default(), late: Mutex::default() }
    }

    /// The code with which the next message of this peer is to be refused.
    pub fn refusal(world: &World, peer: &DeviceAddress, to: &Jid) -> Option<u16> {
        let chat = routing::chat_name(world, to);
        world.faults.take(Some(peer), |kind| match kind {
            Kind::AckError { code, to: None } => Some(*code),
            Kind::AckError { code, to: Some(only) } if *only == chat => Some(*code),
            _ => None,
        })
    }

    /// The ack of a refused message.
    pub fn refuse(&self, message: &Node, code: u16) {
        let mut ack = stanza::ack(message);
        ack.attrs.insert("error", code);
        self.send(ack);
    }

    /// The ack of an accepted one; in a group it tells which devices the server would have expected.
    pub fn accept(&self, world: &World, peer: &DeviceAddress, message: &Node, phash: Option<String>) {
        let chat = stanza::jid(message, "to").map(|to| routing::chat_name(world, &to));
        let mut ack = stanza::ack(message);
        if let Some(phash) = phash {
            ack.attrs.insert("phash", phash);
        }
        let fault = world.faults.take(Some(peer), |kind| match kind {
            Kind::AckDrop { to: Some(only) } if Some(only) != chat.as_ref() => None,
            Kind::AckDelay { .. } | Kind::AckDuplicate | Kind::AckReorder | Kind::AckDrop { .. } => {
                Some(kind.clone())
            }
            _ => None,
        });
        match fault {
            Some(Kind::AckDrop { .. }) => {}
            Some(Kind::AckDuplicate) => {
                self.send(ack.clone());
                self.send(ack);
            }
            Some(Kind::AckDelay { ms }) => self.later(Duration::from_millis(ms), ack),
            Some(Kind::AckReorder) => self.reorder(ack),
            _ => self.send(ack),
        }
    }

    fn send(&self, ack: Node) {
        let _ = self.outgoing.send(Outgoing::Node(Box::new(ack)));
    }

    fn later(&self, delay: Duration, ack: Node) {
        let outgoing = self.outgoing.clone();
        self.late.lock().unwrap_or_else(PoisonError::into_inner).spawn(async move {
            tokio::time::sleep(delay).await;
            let _ = outgoing.send(Outgoing::Node(Box::new(ack)));
        });
    }

    fn reorder(&self, ack: Node) {
        let earlier = self.held.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(earlier) = earlier {
            self.send(ack);
            self.send(earlier);
            return;
        }
        *self.held.lock().unwrap_or_else(PoisonError::into_inner) = Some(ack);
        let (outgoing, held) = (self.outgoing.clone(), self.held.clone());
        self.late.lock().unwrap_or_else(PoisonError::into_inner).spawn(async move {
            tokio::time::sleep(REORDER_LIMIT).await;
            if let Some(ack) = held.lock().unwrap_or_else(PoisonError::into_inner).take() {
                let _ = outgoing.send(Outgoing::Node(Box::new(ack)));
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::RefLifetime;
    use wacore_binary::builder::NodeBuilder;

    #[tokio::test]
    async fn two_acks_change_places() {
        let world = World::new(0, RefLifetime::default()).unwrap();
        let peer = DeviceAddress { number: "1".into(), device: 1 };
        let (outgoing, mut incoming) = tokio::sync::mpsc::unbounded_channel();
        let acks = Acks::new(outgoing);
        world.faults.arm(Kind::AckReorder, None, Some(2), 0);
        for id in ["A", "B", "C"] {
            acks.accept(&world, &peer, &NodeBuilder::new("message").attr("id", id).build(), None);
        }
        let mut order = Vec::new();
        while let Ok(Outgoing::Node(ack)) = incoming.try_recv() {
            order.push(stanza::attr(&ack, "id"));
        }
        assert_eq!(order, ["B", "A", "C"]);
    }
}
