//! A phone writes: to people, to its own companions, and again to whoever could not read it.

use std::sync::Arc;

use anyhow::{Context as _, Result};
use wacore::messages::wrap_device_sent;
use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node};
use waproto::whatsapp::Message;

use super::{Phone, address};
use crate::account::Account;
use crate::world::World;
use crate::{clock, prekeys, receipts, rng, routing, stanza};

/// Sends a message to a person, under the namespace of `to`; the message id.
pub async fn send(world: &Arc<World>, account: &Arc<Account>, to: &Jid, message: Message) -> Result<String> {
    let recipient = world.resolve(to).context("not on WhatsApp")?;
    let mut phone = account.phone.lock().await;
    let id = rng::message_id(&mut phone.rng);
    let mut participants = Vec::new();
    if recipient.number != account.number {
        let devices =
            std::iter::once(0).chain(recipient.devices().iter().map(|device| device.id)).collect::<Vec<_>>();
        for device in devices {
            let enc = phone.enc(&recipient, device, &message, None).await;
            participants.extend(participant(recipient.jid_like(to).with_device(device), enc));
        }
    }
    // The own companions learn what their account has said, and to whom.
    let copy = wrap_device_sent(message.clone(), to.to_non_ad_string());
    for device in account.devices() {
        let enc = phone.enc(account, device.id, &copy, None).await;
        participants.extend(participant(account.jid_like(to).with_device(device.id), enc));
    }
    phone.remember(&id, to.to_non_ad(), message);
    let node = NodeBuilder::new("message")
        .attr("to", to.to_non_ad())
        .attr("id", id.as_str())
        .attr("type", "text")
        .children([NodeBuilder::new("participants").children(participants).build()])
        .build();
    // Still under the phone's lock, so that messages go out in the order of their ratchets.
    if let Ok(recipient) = routing::recipient(world, &node) {
        routing::deliver(world, account, 0, &recipient, &node);
    }
    drop(phone);
    Ok(id)
}

fn participant(jid: Jid, enc: Result<Node>) -> Option<Node> {
    match enc {
        Ok(enc) => Some(NodeBuilder::new("to").attr("jid", jid).children([enc]).build()),
        Err(error) => {
            // A device that left in this moment; the others still get theirs.
            log::warn!("nothing for {jid}: {error:#}");
            None
        }
    }
}

/// Sends a message that is only for one of the own companions.
pub async fn send_peer(
    world: &Arc<World>,
    account: &Arc<Account>,
    device: u16,
    message: Message,
) -> Result<()> {
    let mut phone = account.phone.lock().await;
    let id = rng::message_id(&mut phone.rng);
    let enc = phone.enc(account, device, &message, None).await?;
    let to = account.pn().with_device(device);
    phone.remember(&id, to.clone(), message);
    let node = NodeBuilder::new("message")
        .attr("to", to)
        .attr("id", id)
        .attr("type", "text")
        .attr("category", "peer")
        .attr("push_priority", "high")
        .children([enc])
        .build();
    if let Ok(recipient) = routing::recipient(world, &node) {
        routing::deliver(world, account, 0, &recipient, &node);
    }
    drop(phone);
    Ok(())
}

/// Answers a retry receipt: a new session, from the keys that came with it or those on the server, and the message
/// again for that one device.
pub async fn resend(world: &Arc<World>, account: &Arc<Account>, receipt: &Node) -> Result<()> {
    let from = stanza::jid(receipt, "from").context("no from")?;
    let id = stanza::attr(receipt, "id");
    let count =
        receipt.get_optional_child("retry").map(|retry| stanza::attr(retry, "count")).unwrap_or_default();
    let requester = world.resolve(&from).context("an unknown requester")?;
    let mut phone = account.phone.lock().await;
    let sent = phone.sent.get(&id).cloned().context("a message this phone doesn't remember")?;
    let bundle = match prekeys::read_retry_bundle(receipt) {
        Ok(bundle) => bundle,
        Err(_) => prekeys::take(&requester, from.device, prekeys::Published::take_bundle)
            .context("a device that is gone")??,
    };
    phone.open_session(&address(&requester, from.device), &bundle).await?;
    let peer = sent.to.device != 0;
    let own = requester.number == account.number;
    let message =
        if own && !peer { wrap_device_sent(sent.message, sent.to.to_non_ad_string()) } else { sent.message };
    let enc = phone.enc(&requester, from.device, &message, Some(&count)).await?;
    let mut node = NodeBuilder::new("message")
        .attr("to", from)
        .attr("id", id)
        .attr("type", "text")
        .attr("recipient", sent.to.to_non_ad())
        .children([enc]);
    if peer {
        node = node.attr("category", "peer").attr("push_priority", "high");
    }
    let node = node.build();
    if let Ok(recipient) = routing::recipient(world, &node) {
        routing::deliver(world, account, 0, &recipient, &node);
    }
    drop(phone);
    Ok(())
}

/// Tells somebody that their messages have been read.
pub fn read(world: &Arc<World>, account: &Arc<Account>, chat: &Jid, ids: &[String]) {
    let Some(first) = ids.first() else { return };
    let rest: Vec<Node> =
        ids.iter().skip(1).map(|id| NodeBuilder::new("item").attr("id", id.as_str()).build()).collect();
    let mut receipt = NodeBuilder::new("receipt")
        .attr("to", chat.to_non_ad())
        .attr("id", first.as_str())
        .attr("type", "read")
        .attr("t", clock::unix_seconds());
    if !rest.is_empty() {
        receipt = receipt.children([NodeBuilder::new("list").children(rest).build()]);
    }
    receipts::route(world, account, 0, &receipt.build());
}

impl Phone {
    /// `<enc>` for one device.
    async fn enc(
        &mut self,
        target: &Account,
        device: u16,
        message: &Message,
        retry: Option<&str>,
    ) -> Result<Node> {
        let (kind, ciphertext) = self.encrypt(target, device, message).await?;
        let mut enc = NodeBuilder::new("enc").attr("v", "2").attr("type", kind);
        if let Some(count) = retry {
            enc = enc.attr("count", count);
        }
        Ok(enc.bytes(ciphertext).build())
    }
}
