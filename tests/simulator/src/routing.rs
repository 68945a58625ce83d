//! The way of a message from one device to the devices it is encrypted for.

use std::sync::Arc;

use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, JidExt as _, Node, NodeContent};
use wacore_libsignal::protocol::PreKeySignalMessage;

use crate::account::{Account, DeviceAddress};
use crate::faults::Kind;
use crate::groups::Group;
use crate::world::World;
use crate::{clock, group_delivery, reachout, stanza};

/// Attributes of an incoming message that its recipients see as they are.
const PASSED_ATTRIBUTES: [&str; 4] = ["type", "edit", "category", "push_priority"];
/// Children that are for the server, or that differ per recipient.
const SERVER_CHILDREN: [&str; 5] = ["participants", "enc", "tctoken", "cstoken", "privacy"];

/// An attribute of our own: the server dropped this message.
pub const DROPPED: &str = "dropped";

/// Where a message is to go.
#[derive(Clone, Debug)]
pub struct Destination {
    pub to: Jid,
    pub group: Option<Group>,
}

/// What a conversation is called whatever it was addressed as: a phone number or a group.
pub fn chat_name(world: &World, to: &Jid) -> String {
    world.resolve(to).map_or_else(|| to.to_non_ad_string(), |account| account.number.clone())
}

/// What became of a stanza that was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// Delivered.
    First,
    /// Delivered to whoever had asked for it again.
    Again,
    /// Its id had been used before, and nobody had asked.
    Dropped,
}

/// Where a message is to go, or the code with which it is refused.
pub fn destination(world: &World, sender: &Account, message: &Node) -> Result<Destination, u16> {
    let to = stanza::jid(message, "to").ok_or(400u16)?;
    if to.is_group() {
        let group = world.groups.get(to.user_base()).ok_or(404u16)?;
        group_delivery::permit(&group, sender, message)?;
        return Ok(Destination { to, group: Some(group) });
    }
    world.resolve(&to).map(|_| Destination { to, group: None }).ok_or(404)
}

/// Takes a message in and hands it on.
pub fn accept(world: &World, sender: &Arc<Account>, device: u16, message: &Node) -> Result<Taken, u16> {
    let destination = destination(world, sender, message)?;
    Ok(deliver(world, sender, device, &destination, message))
}

/// Hands every device what was encrypted for it: all of them or, should the process die, none.
pub fn deliver(world: &World, sender: &Arc<Account>, device: u16, to: &Destination, message: &Node) -> Taken {
    let id = stanza::attr(message, "id");
    world.store.unit(|| {
        // WhatsApp drops a second stanza under the same id, except for a device that asked for it again.
        let first = sender.accepted().first_use(device, &id);
        let owed = match &to.group {
            Some(group) => group_delivery::stanzas(world, sender, device, group, message),
            None => stanzas(world, sender, &to.to, device, message),
        };
        let mut taken = if first { Taken::First } else { Taken::Dropped };
        for Owed { target, device: owed, mut encs, envelope } in owed {
            let address = DeviceAddress { number: target.number.clone(), device: owed };
            if target.number == sender.number && owed == device {
                continue;
            }
            if !first && !sender.accepted().take_reopened(device, &id, &address) {
                log::debug!("dropped a second {id} for {address:?}");
                // The phone opens it for the tests, and shows it to nobody.
                if owed == 0 {
                    hand_over(&target, 0, envelope.attr(DROPPED, "true").children(encs).build());
                }
                continue;
            }
            if !first {
                taken = Taken::Again;
            }
            let corrupt = |kind: &Kind| matches!(kind, Kind::CorruptCiphertext).then_some(());
            if let Some(enc) = encs.first_mut()
                && world.faults.take(Some(&address), corrupt).is_some()
            {
                corrupt_mac(enc);
            }
            let others = message.children().unwrap_or_default().iter();
            let others = others.filter(|child| !SERVER_CHILDREN.contains(&child.tag.as_ref())).cloned();
            hand_over(&target, owed, envelope.children(encs.into_iter().chain(others)).build());
        }
        taken
    })
}

/// What a device gets of a message.
pub struct Owed {
    pub target: Arc<Account>,
    pub device: u16,
    pub encs: Vec<Node>,
    /// The stanza without what is in it.
    pub envelope: NodeBuilder,
}

fn stanzas(world: &World, sender: &Account, to: &Jid, device: u16, message: &Node) -> Vec<Owed> {
    if let Some(recipient) = world.resolve(to) {
        reachout::acquaint(sender, &recipient);
    }
    let owed = ciphertexts(message).into_iter().filter_map(|(jid, enc)| {
        let target = world.resolve(&jid)?;
        let envelope = envelope(sender, device, to, &target, message);
        Some(Owed { target, device: jid.device, encs: vec![enc], envelope })
    });
    owed.collect()
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
pub fn ciphertexts(message: &Node) -> Vec<(Jid, Node)> {
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

fn envelope(sender: &Account, device: u16, to: &Jid, target: &Account, message: &Node) -> NodeBuilder {
    let own = target.number == sender.number;
    let mut node = addressed(sender, message).attr("from", sender.jid_like(to).with_device(device));
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
    node
}

/// The part of an envelope that is the same wherever it goes.
pub fn addressed(sender: &Account, message: &Node) -> NodeBuilder {
    let mut node = NodeBuilder::new("message")
        .attr("id", stanza::attr(message, "id"))
        .attr("t", clock::unix_seconds())
        .attr("notify", sender.push_name.as_str());
    for name in PASSED_ATTRIBUTES {
        if let Some(value) = message.attrs.get(name) {
            node = node.attr(name, value.clone());
        }
    }
    node
}

/// Breaks the MAC: what a recipient without the right session would see. Everything around it stays
/// readable, or the recipient would take the stanza for malformed instead of asking for it again.
fn corrupt_mac(enc: &mut Node) {
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
}
