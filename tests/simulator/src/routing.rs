//! The way of a message from one device to the devices it is encrypted for.

use std::sync::Arc;

use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node, NodeContent};
use wacore_libsignal::protocol::PreKeySignalMessage;

use crate::account::{Account, DeviceAddress};
use crate::faults::Kind;
use crate::world::World;
use crate::{clock, reachout, stanza};

/// Attributes of an incoming message that its recipients see as they are.
const PASSED_ATTRIBUTES: [&str; 4] = ["type", "edit", "category", "push_priority"];
/// Children that are for the server, or that differ per recipient.
const SERVER_CHILDREN: [&str; 5] = ["participants", "enc", "tctoken", "cstoken", "privacy"];

/// Who a message is for, or the code with which it is refused.
pub fn recipient(world: &World, message: &Node) -> Result<Jid, u16> {
    let to = stanza::jid(message, "to").ok_or(400u16)?;
    world.resolve(&to).map(|_| to).ok_or(404)
}

/// Hands every device what was encrypted for it: all of them or, should the process die, none.
pub fn deliver(world: &World, sender: &Arc<Account>, device: u16, to: &Jid, message: &Node) {
    world.store.unit(|| deliver_to_each(world, sender, device, to, message));
}

fn deliver_to_each(world: &World, sender: &Arc<Account>, device: u16, to: &Jid, message: &Node) {
    let id = stanza::attr(message, "id");
    // WhatsApp drops a second stanza under the same id, except for a device that asked for it again.
    let first = sender.accepted().first_use(device, &id);
    if let Some(recipient) = world.resolve(to) {
        reachout::acquaint(sender, &recipient);
    }
    for (jid, enc) in ciphertexts(message) {
        let Some(target) = world.resolve(&jid) else { continue };
        let address = DeviceAddress { number: target.number.clone(), device: jid.device };
        if target.number == sender.number && jid.device == device {
            continue;
        }
        if !first && !sender.accepted().take_reopened(device, &id, &address) {
            log::debug!("dropped a second {id} for {address:?}");
            continue;
        }
        let corrupt = |kind: &Kind| matches!(kind, Kind::CorruptCiphertext).then_some(());
        let enc = match world.faults.take(Some(&address), corrupt) {
            Some(()) => corrupted(enc),
            None => enc,
        };
        let stanza = incoming(sender, device, to, &target, message, enc);
        hand_over(&target, jid.device, stanza);
    }
}

/// Puts a stanza where a device will find it.
pub fn hand_over(account: &Account, device: u16, stanza: Node) {
    if device == 0 {
        account.phone_mail.send(stanza);
    } else if let Some(device) = account.device(device) {
        device.mailbox.push(stanza);
    }
}

/// The ciphertexts of a message, each with the device it is for; a resend has one, for the device in `to`.
fn ciphertexts(message: &Node) -> Vec<(Jid, Node)> {
    let mut all = Vec::new();
    for to in message.get_optional_child("participants").and_then(Node::children).unwrap_or_default() {
        let Some(jid) = stanza::jid(to, "jid") else { continue };
        all.extend(to.get_children_by_tag("enc").map(|enc| (jid.clone(), enc.clone())));
    }
    if let (Some(enc), Some(to)) = (message.get_optional_child("enc"), stanza::jid(message, "to")) {
        all.push((to, enc.clone()));
    }
    all
}

fn incoming(sender: &Account, device: u16, to: &Jid, target: &Account, message: &Node, enc: Node) -> Node {
    let own = target.number == sender.number;
    let mut node = NodeBuilder::new("message")
        .attr("from", sender.jid_like(to).with_device(device))
        .attr("id", stanza::attr(message, "id"))
        .attr("t", clock::unix_seconds())
        .attr("notify", sender.push_name.as_str());
    // The other name of the sender, from which the recipient learns that both are one.
    if to.is_lid() {
        node = node.attr("addressing_mode", "lid").attr("sender_pn", sender.pn());
    } else {
        node = node.attr("sender_lid", sender.lid());
    }
    if own && stanza::attr(message, "category") != "peer" {
        let chat = stanza::jid(message, "recipient").unwrap_or_else(|| to.to_non_ad());
        node = node.attr("recipient", chat);
    }
    for name in PASSED_ATTRIBUTES {
        if let Some(value) = message.attrs.get(name) {
            node = node.attr(name, value.clone());
        }
    }
    let others = message.children().unwrap_or_default().iter();
    let others = others.filter(|child| !SERVER_CHILDREN.contains(&child.tag.as_ref())).cloned();
    node.children(std::iter::once(enc).chain(others)).build()
}

/// The same with a broken MAC: what a recipient without the right session would see. Everything around it stays
/// readable, or the recipient would take the stanza for malformed instead of asking for it again.
fn corrupted(mut enc: Node) -> Node {
    if let Some(NodeContent::Bytes(bytes)) = &mut enc.content {
        let mac_end = match PreKeySignalMessage::try_from(bytes.as_slice()) {
            Ok(outer) => {
                let inner = outer.message().serialized();
                bytes.windows(inner.len()).position(|window| window == inner).map(|start| start + inner.len())
            }
            Err(_) => Some(bytes.len()),
        };
        if let Some(last) = mac_end.and_then(|end| bytes.get_mut(end.saturating_sub(1))) {
            *last ^= 0xFF;
        }
    }
    enc
}
