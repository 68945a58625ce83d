//! A connection after its handshake: which stanza goes to which room.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc::UnboundedSender;
use tokio::task::JoinSet;
use wacore::xml::DisplayableNode;
use wacore_binary::Node;
use wacore_binary::builder::NodeBuilder;

use super::Outgoing;
use super::acks::Acks;
use crate::account::{Account, Device, DeviceAddress};
use crate::faults::Kind;
use crate::ledger::Outcome;
use crate::pairing::{self, Registration};
use crate::world::World;
use crate::{group_delivery, iq, phone, reachout, receipts, routing, stanza, typing};

/// How often the server pings. Baileys never answers, so an unanswered ping means nothing.
const PING_EVERY: Duration = Duration::from_secs(25);
/// A client that is told of a backlog and doesn't pull it gets it anyway.
const PULL_LIMIT: Duration = Duration::from_secs(3);

/// What a connection is for.
pub enum Role {
    /// It shows a QR code.
    Registering(Arc<Registration>),
    /// It is a linked device.
    LoggedIn(Arc<Account>, Arc<Device>),
}

/// A connection after its handshake.
pub struct Session {
    world: Arc<World>,
    connection: u64,
    outgoing: UnboundedSender<Outgoing>,
    role: Role,
    acks: Acks,
    authority: String,
    /// Work in the background that ends with the connection.
    chores: Mutex<JoinSet<()>>,
}

impl Session {
    pub fn new(
        world: Arc<World>,
        connection: u64,
        outgoing: UnboundedSender<Outgoing>,
        role: Role,
        authority: Option<String>,
    ) -> Self {
        let authority = authority.unwrap_or_else(|| world.media.authority());
        let acks = Acks::new(outgoing.clone());
        let session = Self { world, connection, outgoing, role, acks, authority, chores: Mutex::default() };
        if let Role::LoggedIn(_, device) = &session.role {
            session.chore(ping(session.world.clone(), device.address(), session.outgoing.clone()));
        }
        session
    }

    /// The socket is gone.
    pub fn end(self) {
        match &self.role {
            Role::Registering(registration) => registration.close(&self.world),
            Role::LoggedIn(_, device) => device.mailbox.detach(self.connection),
        }
    }

    /// One stanza from the client.
    pub async fn handle(&self, node: Node) {
        match &self.role {
            Role::Registering(registration) => self.handle_unpaired(registration, node),
            Role::LoggedIn(account, device) => self.handle_paired(account, device, node).await,
        }
    }

    fn handle_unpaired(&self, registration: &Registration, node: Node) {
        if node.tag != "iq" {
            return;
        }
        if matches!(stanza::attr(&node, "type").as_str(), "get" | "set") {
            pairing::answer(&self.world, registration, &node);
        } else {
            registration.answered(node);
        }
    }

    async fn handle_paired(&self, account: &Arc<Account>, device: &Arc<Device>, node: Node) {
        match node.tag.as_ref() {
            "iq" => self.handle_iq(account, device, &node).await,
            // One unit: an answer that goes out stands for all that the stanza has changed.
            _ => self.world.store.unit(|| self.handle_one_way(account, device, &node)),
        }
    }

    /// A stanza that is acknowledged, not answered.
    fn handle_one_way(&self, account: &Arc<Account>, device: &Arc<Device>, node: &Node) {
        match node.tag.as_ref() {
            "message" => self.handle_message(account, device, node),
            "receipt" => {
                self.send(stanza::ack(node));
                for id in receipts::message_ids(node) {
                    device.mailbox.settle("message", &id, None);
                }
                receipts::route(&self.world, account, device.id, node);
            }
            "ack" => {
                let class = stanza::attr(node, "class");
                let kind = stanza::opt(node, "type");
                device.mailbox.settle(&class, &stanza::attr(node, "id"), kind.as_deref());
            }
            "ib" => {
                if let Some(batch) = node.get_optional_child("offline_batch") {
                    device.mailbox.pull(stanza::attr(batch, "count").parse().unwrap_or(100));
                }
            }
            "chatstate" => typing::note(&self.world, account, node),
            "presence" | "notification" | "call" => {}
            _ => log::info!("ignored from {}: {}", device.jid(), DisplayableNode(node)),
        }
    }

    fn handle_message(&self, account: &Arc<Account>, device: &Arc<Device>, node: &Node) {
        let (world, peer) = (&self.world, device.address());
        let (to, id) = (stanza::jid(node, "to").unwrap_or_default(), stanza::attr(node, "id"));
        let write_down = |outcome| world.ledger.note(&peer, &to.to_string(), &id, outcome);
        if world.faults.take(Some(&peer), |kind| matches!(kind, Kind::MessageLost).then_some(())).is_some() {
            write_down(Outcome::Lost);
            return;
        }
        let permitted = match Acks::refusal(world, &peer, &to) {
            Some(code) => Err(code),
            None => routing::destination(world, account, node).and_then(|destination| {
                reachout::permit(world, account, device, &destination.to).map(|()| destination)
            }),
        };
        match permitted {
            Ok(destination) => {
                // The ack first: a receipt for a message the server hasn't taken would be absurd.
                let phash = node.attrs.get("phash").and(destination.group.as_ref());
                let phash =
                    phash.and_then(|group| group_delivery::phash(&group_delivery::devices(world, group)));
                self.acks.accept(world, &peer, node, phash);
                write_down(Outcome::Taken(routing::deliver(world, account, device.id, &destination, node)));
            }
            Err(code) => {
                self.acks.refuse(node, code);
                write_down(Outcome::Refused(code));
            }
        }
    }

    async fn handle_iq(&self, account: &Arc<Account>, device: &Arc<Device>, node: &Node) {
        if !matches!(stanza::attr(node, "type").as_str(), "get" | "set") {
            return;
        }
        let xmlns = stanza::attr(node, "xmlns");
        let delay = self.world.faults.take(Some(&device.address()), |kind| match kind {
            Kind::AnswerDelay { ms, xmlns: only } if *only == xmlns => Some(*ms),
            _ => None,
        });
        if let Some(ms) = delay {
            tokio::time::sleep(Duration::from_millis(ms)).await;
        }
        let answer = iq::answer(&self.world, account, device, &self.authority, node).await;
        self.send(answer);
        if xmlns == "passive" && node.get_optional_child("active").is_some() {
            self.begin_delivery(device);
            if !device.bootstrapped.swap(true, Ordering::Relaxed) {
                phone::linking::bootstrap(&self.world, account, device).await;
                // Only now: a crash in between must not leave the device without its keys.
                device.keep(&account.shelf);
            }
        }
    }

    /// The device is ready: what piled up, then everything as it comes.
    fn begin_delivery(&self, device: &Arc<Device>) {
        let Some(backlog) = device.mailbox.begin_offline() else { return };
        let preview = NodeBuilder::new("offline_preview")
            .attr("count", backlog.total())
            .attr("message", backlog.messages)
            .attr("receipt", backlog.receipts)
            .attr("notification", backlog.notifications)
            .attr("appdata", 0u32);
        self.send(stanza::ib(preview.build()));
        if backlog.total() == 0 {
            device.mailbox.pull(0);
            return;
        }
        let device = device.clone();
        self.chore(async move {
            tokio::time::sleep(PULL_LIMIT).await;
            device.mailbox.pull_unasked();
        });
    }

    fn send(&self, node: Node) {
        let _ = self.outgoing.send(Outgoing::Node(Box::new(node)));
    }

    fn chore(&self, work: impl Future<Output = ()> + Send + 'static) {
        self.chores.lock().unwrap_or_else(PoisonError::into_inner).spawn(work);
    }
}

async fn ping(world: Arc<World>, peer: DeviceAddress, outgoing: UnboundedSender<Outgoing>) {
    let mut number = 0u64;
    loop {
        tokio::time::sleep(PING_EVERY).await;
        let pick = |kind: &Kind| matches!(kind, Kind::NoPings).then_some(());
        if world.faults.take(Some(&peer), pick).is_some() {
            continue;
        }
        number += 1;
        let ping = NodeBuilder::new("iq")
            .attr("from", stanza::server())
            .attr("type", "get")
            .attr("xmlns", "urn:xmpp:ping")
            .attr("id", format!("ping-{number}"));
        if outgoing.send(Outgoing::Node(Box::new(ping.build()))).is_err() {
            return;
        }
    }
}
