//! The way of a receipt back to whoever sent the message.

use std::sync::Arc;

use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, JidExt as _, Node};

use crate::account::{Account, DeviceAddress};
use crate::faults::Kind;
use crate::world::World;
use crate::{clock, routing, stanza};

/// The ids a receipt is about: its own and those in its list.
pub fn message_ids(receipt: &Node) -> Vec<String> {
    let listed = receipt.get_optional_child("list").and_then(Node::children).unwrap_or_default();
    let mut ids = vec![stanza::attr(receipt, "id")];
    for item in listed {
        let id = stanza::attr(item, "id");
        if !ids.contains(&id) {
            ids.push(id);
        }
    }
    ids
}

/// A receipt on its way.
struct Way<'r> {
    /// Whose device sent it, and which.
    sender: &'r Arc<Account>,
    device: u16,
    /// Whoever wrote the message, by the name the receipt gives them.
    author: Jid,
    group: Option<Jid>,
}

/// Forwards a receipt of one of `sender`'s devices.
pub fn route(world: &World, sender: &Arc<Account>, device: u16, receipt: &Node) {
    let Some(to) = stanza::jid(receipt, "to") else { return };
    let (author, group) = if to.is_group() {
        let Some(author) = stanza::jid(receipt, "participant") else { return };
        (author, Some(to))
    } else {
        (to, None)
    };
    let Some(target) = world.resolve(&author) else { return };
    let own = target.number == sender.number;
    let way = Way { sender, device, author, group };
    match stanza::opt(receipt, "type").as_deref() {
        Some("retry") => ask_again(&way, &target, receipt),
        Some("server-error") if own => {
            let mut asked = receipt.clone();
            asked.attrs.insert("from", sender.pn().with_device(device));
            routing::hand_over(sender, 0, asked);
        }
        // From a device whose user isn't looking; it has arrived all the same.
        None | Some("inactive") if !own => {
            let ids: Vec<String> = {
                let mut accepted = target.accepted();
                let ids = message_ids(receipt).into_iter();
                ids.filter(|id| accepted.first_delivery(id, &sender.number)).collect()
            };
            tell(world, &way, &target, None, &ids);
        }
        Some(kind @ ("read" | "played" | "read-self" | "played-self")) if !own => {
            let ids = message_ids(receipt);
            // With `-self` the others don't learn of it.
            if !kind.ends_with("-self") {
                tell(world, &way, &target, Some(kind), &ids);
            }
            tell_own(&way, kind, &ids);
        }
        // `sender`, `peer_msg`, `hist_sync`: between the devices of one account and the server.
        _ => {}
    }
}

/// All devices of the account that sent the messages learn what became of them.
fn tell(world: &World, way: &Way<'_>, target: &Account, kind: Option<&str>, ids: &[String]) {
    let node = match &way.group {
        Some(group) => NodeBuilder::new("receipt")
            .attr("from", group.clone())
            .attr("participant", way.sender.lid())
            .attr("participant_pn", way.sender.pn()),
        None => NodeBuilder::new("receipt").attr("from", way.sender.jid_like(&way.author)),
    };
    let Some(node) = completed(node, kind, ids) else { return };
    routing::hand_over(target, 0, node.clone());
    for device in target.devices() {
        let is_lost = |kind: &Kind| matches!(kind, Kind::ReceiptDrop).then_some(());
        if world.faults.take(Some(&device.address()), is_lost).is_none() {
            device.mailbox.push(node.clone());
        }
    }
}

/// The other devices of whoever has read something learn that too.
fn tell_own(way: &Way<'_>, kind: &str, ids: &[String]) {
    let from = way.sender.jid_like(&way.author).with_device(way.device);
    let node = match &way.group {
        Some(group) => NodeBuilder::new("receipt").attr("from", group.clone()).attr("participant", from),
        None => NodeBuilder::new("receipt").attr("from", from).attr("recipient", way.author.to_non_ad()),
    };
    let Some(node) = completed(node, Some(kind), ids) else { return };
    if way.device != 0 {
        routing::hand_over(way.sender, 0, node.clone());
    }
    for device in way.sender.devices().iter().filter(|device| device.id != way.device) {
        device.mailbox.push(node.clone());
    }
}

fn completed(node: NodeBuilder, kind: Option<&str>, ids: &[String]) -> Option<Node> {
    let first = ids.first()?;
    let mut node = node.attr("id", first.as_str()).attr("t", clock::unix_seconds());
    if let Some(kind) = kind {
        node = node.attr("type", kind);
    }
    let rest = ids.iter().skip(1).map(|id| NodeBuilder::new("item").attr("id", id.as_str()).build());
    let rest: Vec<Node> = rest.collect();
    if !rest.is_empty() {
        node = node.children([NodeBuilder::new("list").children(rest).build()]);
    }
    Some(node.build())
}

/// A device could not decrypt a message: the device that sent it hears so, with the keys to try again.
fn ask_again(way: &Way<'_>, target: &Account, receipt: &Node) {
    let requester = DeviceAddress { number: way.sender.number.clone(), device: way.device };
    let (id, writer) = (stanza::attr(receipt, "id"), way.author.device);
    target.accepted().reopen(writer, &id, requester);
    let asker = way.sender.jid_like(&way.author).with_device(way.device);
    let mut node =
        NodeBuilder::new("receipt").attr("id", id).attr("type", "retry").attr("t", clock::unix_seconds());
    node = match &way.group {
        Some(group) => node.attr("from", group.clone()).attr("participant", asker),
        None => node.attr("from", asker),
    };
    for name in ["recipient", "category"] {
        if let Some(value) = receipt.attrs.get(name) {
            node = node.attr(name, value.clone());
        }
    }
    let children = receipt.children().unwrap_or_default().to_vec();
    routing::hand_over(target, writer, node.children(children).build());
}
