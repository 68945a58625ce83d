//! User synchronisation: who is on WhatsApp, under which LID, with which devices.

use std::sync::{Arc, PoisonError};

use wacore::messages::MessageUtils;
use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node};

use crate::account::Account;
use crate::stanza;
use crate::world::World;

/// Answers `<usync>`. Whoever asks for someone's devices is told later when they change.
pub fn answer(world: &World, asker: &Account, iq: &Node) -> Node {
    let Some(usync) = iq.get_optional_child("usync") else { return stanza::result(iq, []) };
    let protocols: Vec<&str> = usync
        .get_optional_child("query")
        .and_then(Node::children)
        .unwrap_or_default()
        .iter()
        .map(|protocol| protocol.tag.as_ref())
        .collect();
    let users: Vec<Node> = usync
        .get_optional_child("list")
        .map(|list| {
            list.get_children_by_tag("user").filter_map(|user| answer_user(world, asker, user, &protocols))
        })
        .into_iter()
        .flatten()
        .collect();
    let known = protocols.iter().map(|protocol| NodeBuilder::new_dynamic((*protocol).to_owned()).build());
    let answer = NodeBuilder::new("usync")
        .attr("sid", stanza::attr(usync, "sid"))
        .attr("index", "0")
        .attr("last", "true")
        .attr("mode", stanza::attr(usync, "mode"))
        .attr("context", stanza::attr(usync, "context"))
        .children([
            NodeBuilder::new("result").children(known).build(),
            NodeBuilder::new("list").children(users).build(),
        ]);
    stanza::result(iq, [answer.build()])
}

fn answer_user(world: &World, asker: &Account, user: &Node, protocols: &[&str]) -> Option<Node> {
    let contact = user.get_optional_child("contact").map(stanza::content).unwrap_or_default();
    let contact = String::from_utf8_lossy(contact).into_owned();
    let named = match stanza::jid(user, "jid") {
        Some(jid) => jid.into_non_ad(),
        None if contact.is_empty() => return None,
        None => Jid::pn(contact.trim_start_matches('+')),
    };
    let account = world.resolve(&named);
    let mut children = Vec::new();
    for protocol in protocols {
        let answer = match (*protocol, &account) {
            ("contact", found) => Some(
                NodeBuilder::new("contact")
                    .attr("type", if found.is_some() { "in" } else { "out" })
                    .string_content(contact.as_str())
                    .build(),
            ),
            ("lid", Some(account)) => Some(NodeBuilder::new("lid").attr("val", account.lid()).build()),
            ("devices", Some(account)) => {
                account.watch(&asker.number);
                Some(devices(account))
            }
            ("status", Some(_)) => Some(NodeBuilder::new("status").string_content("Hey there!").build()),
            _ => None,
        };
        children.extend(answer);
    }
    Some(NodeBuilder::new("user").attr("jid", named).children(children).build())
}

fn devices(account: &Account) -> Node {
    let companions = account.devices();
    let jids: Vec<Jid> =
        std::iter::once(account.pn()).chain(companions.iter().map(|device| device.jid())).collect();
    let mut list = vec![NodeBuilder::new("device").attr("id", 0u16).build()];
    list.extend(companions.iter().map(|device| {
        NodeBuilder::new("device").attr("id", device.id).attr("key-index", device.key_index).build()
    }));
    let hash = MessageUtils::participant_list_hash(&jids).unwrap_or_default();
    let mut children = vec![NodeBuilder::new("device-list").attr("hash", hash).children(list).build()];
    if !companions.is_empty() {
        children.push(key_index_list(account));
    }
    NodeBuilder::new("devices").children(children).build()
}

/// `<key-index-list>` as the phone signed it last.
fn key_index_list(account: &Account) -> Node {
    let (signed_at, bytes) = account.key_index_list();
    NodeBuilder::new("key-index-list").attr("ts", signed_at).bytes(bytes).build()
}

/// How a device list changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    Added,
    Removed,
}

/// Tells the account's own companions, and everyone who asked for its devices, that one came or went.
pub fn announce(world: &World, account: &Arc<Account>, device: u16, key_index: u32, change: Change) {
    let watchers: Vec<String> =
        account.watchers.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect();
    let others = watchers
        .iter()
        .filter(|number| **number != account.number)
        .filter_map(|number| world.account(number));
    for told in others.chain([account.clone()]) {
        for companion in told.devices() {
            if told.number == account.number && companion.id == device {
                continue;
            }
            companion.mailbox.push(notification(account, &told.stanza_id(), device, key_index, change));
        }
    }
}

fn notification(account: &Account, id: &str, device: u16, key_index: u32, change: Change) -> Node {
    let listed = NodeBuilder::new("device")
        .attr("jid", account.pn().with_device(device))
        .attr("lid", account.lid().with_device(device))
        .attr("key-index", key_index)
        .build();
    let (tag, index) = match change {
        Change::Added => ("add", key_index_list(account)),
        Change::Removed => {
            let (signed_at, _) = account.key_index_list();
            ("remove", NodeBuilder::new("key-index-list").attr("ts", signed_at).build())
        }
    };
    NodeBuilder::new("notification")
        .attr("from", account.pn())
        .attr("lid", account.lid())
        .attr("type", "devices")
        .attr("id", id)
        .attr("t", crate::clock::unix_seconds())
        .children([NodeBuilder::new(tag).children([listed, index]).build()])
        .build()
}
