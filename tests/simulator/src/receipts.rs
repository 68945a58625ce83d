//! The way of a receipt back to whoever sent the message.

use std::sync::Arc;

use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node};

use crate::account::{Account, DeviceAddress};
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

/// Forwards a receipt of one of `sender`'s devices.
pub fn route(world: &World, sender: &Arc<Account>, device: u16, receipt: &Node) {
    let Some(to) = stanza::jid(receipt, "to") else { return };
    let Some(target) = world.resolve(&to) else { return };
    match stanza::opt(receipt, "type").as_deref() {
        Some("retry") => ask_again(sender, device, &target, &to, receipt),
        // From a device whose user isn't looking; it has arrived all the same.
        None | Some("inactive") if target.number != sender.number => {
            let ids: Vec<String> = {
                let mut accepted = target.accepted();
                let ids = message_ids(receipt).into_iter();
                ids.filter(|id| accepted.first_delivery(id, &sender.number)).collect()
            };
            tell(sender, &target, &to, None, &ids);
        }
        Some(kind @ ("read" | "played")) if target.number != sender.number => {
            tell(sender, &target, &to, Some(kind), &message_ids(receipt));
        }
        // `sender`, `peer_msg`, `hist_sync`, `read-self`: between the devices of one account and the server.
        _ => {}
    }
}

/// All devices of the account that sent the messages learn what became of them.
fn tell(sender: &Account, target: &Account, to: &Jid, kind: Option<&str>, ids: &[String]) {
    let Some(first) = ids.first() else { return };
    let mut node = NodeBuilder::new("receipt")
        .attr("from", sender.jid_like(to))
        .attr("id", first.as_str())
        .attr("t", clock::unix_seconds());
    if let Some(kind) = kind {
        node = node.attr("type", kind);
    }
    let rest = ids.iter().skip(1).map(|id| NodeBuilder::new("item").attr("id", id.as_str()).build());
    let rest: Vec<Node> = rest.collect();
    if !rest.is_empty() {
        node = node.children([NodeBuilder::new("list").children(rest).build()]);
    }
    let node = node.build();
    routing::hand_over(target, 0, node.clone());
    for device in target.devices() {
        device.mailbox.push(node.clone());
    }
}

/// A device could not decrypt a message: the device that sent it hears so, with the keys to try again.
fn ask_again(sender: &Account, device: u16, target: &Account, to: &Jid, receipt: &Node) {
    let requester = DeviceAddress { number: sender.number.clone(), device };
    target.accepted().reopen(to.device, &stanza::attr(receipt, "id"), requester);
    let mut node = NodeBuilder::new("receipt")
        .attr("from", sender.jid_like(to).with_device(device))
        .attr("id", stanza::attr(receipt, "id"))
        .attr("type", "retry")
        .attr("t", clock::unix_seconds());
    for name in ["recipient", "category"] {
        if let Some(value) = receipt.attrs.get(name) {
            node = node.attr(name, value.clone());
        }
    }
    let children = receipt.children().unwrap_or_default().to_vec();
    routing::hand_over(target, to.device, node.children(children).build());
}
