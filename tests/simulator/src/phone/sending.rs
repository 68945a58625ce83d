//! A phone writes: to people and to its own companions.

use std::sync::Arc;

use anyhow::{Context as _, Result};
use wacore::messages::wrap_device_sent;
use wacore::send::{media_type_from_message, should_hide_decrypt_fail_for_send, stanza_type_from_message};
use wacore::types::message::EditAttribute;
use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, JidExt as _, Node};
use waproto::whatsapp::Message;

use super::{Phone, groups};
use crate::account::Account;
use crate::world::World;
use crate::{clock, receipts, rng, routing};

/// What the outside of a message tells about its inside.
pub struct Letter {
    kind: &'static str,
    media: Option<&'static str>,
    edit: Option<String>,
    hide: bool,
}

impl Letter {
    pub fn new(message: &Message) -> Self {
        let edit = EditAttribute::infer_from_message(message);
        Self {
            kind: stanza_type_from_message(message),
            media: media_type_from_message(message),
            hide: should_hide_decrypt_fail_for_send(edit.as_ref(), message),
            edit: edit.map(|edit| edit.to_string_val().to_owned()),
        }
    }

    /// The beginning of the stanza.
    pub fn stanza(&self, to: Jid, id: &str) -> NodeBuilder {
        let node = NodeBuilder::new("message").attr("to", to).attr("id", id).attr("type", self.kind);
        match &self.edit {
            Some(edit) => node.attr("edit", edit.as_str()),
            None => node,
        }
    }

    /// `<enc>`; `retry` is how often it was asked for.
    pub fn enc(&self, kind: &'static str, ciphertext: Vec<u8>, retry: Option<&str>) -> Node {
        let mut enc = NodeBuilder::new("enc").attr("v", "2").attr("type", kind);
        if let Some(media) = self.media {
            enc = enc.attr("mediatype", media);
        }
        if self.hide {
            enc = enc.attr("decrypt-fail", "hide");
        }
        if let Some(count) = retry {
            enc = enc.attr("count", count);
        }
        enc.bytes(ciphertext).build()
    }
}

/// Sends a message to a person, under the namespace of `to`, or to a group; the message id.
pub async fn send(
    world: &Arc<World>,
    account: &Arc<Account>,
    id: Option<String>,
    to: &Jid,
    message: Message,
) -> Result<String> {
    if to.is_group() {
        return groups::send(world, account, id, to, message).await;
    }
    let recipient = world.resolve(to).context("not on WhatsApp")?;
    let letter = Letter::new(&message);
    let mut phone = account.phone.lock().await;
    let id = id.unwrap_or_else(|| phone.fresh_id());
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
    let node = letter
        .stanza(to.to_non_ad(), &id)
        .children([NodeBuilder::new("participants").children(participants).build()])
        .build();
    // Still under the phone's lock, so that messages go out in the order of their ratchets.
    let outcome = routing::accept(world, account, 0, &node);
    drop(phone);
    outcome.map_err(|code| anyhow::anyhow!("refused with {code}"))?;
    Ok(id)
}

pub fn participant(jid: Jid, enc: Result<Node>) -> Option<Node> {
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
    let id = phone.fresh_id();
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
    let outcome = routing::accept(world, account, 0, &node);
    drop(phone);
    outcome.map_err(|code| anyhow::anyhow!("refused with {code}"))?;
    Ok(())
}

/// Tells somebody that their messages have been read or played; in a group, whose they were.
pub fn seen(
    world: &Arc<World>,
    account: &Arc<Account>,
    kind: &'static str,
    chat: &Jid,
    author: Option<Jid>,
    ids: &[String],
) {
    let Some(first) = ids.first() else { return };
    let rest: Vec<Node> =
        ids.iter().skip(1).map(|id| NodeBuilder::new("item").attr("id", id.as_str()).build()).collect();
    let mut receipt = NodeBuilder::new("receipt")
        .attr("to", chat.to_non_ad())
        .attr("id", first.as_str())
        .attr("type", kind)
        .attr("t", clock::unix_seconds());
    if let Some(author) = author {
        receipt = receipt.attr("participant", author);
    }
    if !rest.is_empty() {
        receipt = receipt.children([NodeBuilder::new("list").children(rest).build()]);
    }
    receipts::route(world, account, 0, &receipt.build());
}

impl Phone {
    pub(super) fn fresh_id(&mut self) -> String {
        rng::message_id(&mut self.rng)
    }

    /// `<enc>` for one device.
    pub(super) async fn enc(
        &mut self,
        target: &Account,
        device: u16,
        message: &Message,
        retry: Option<&str>,
    ) -> Result<Node> {
        let (kind, ciphertext) = self.encrypt(target, device, message).await?;
        Ok(Letter::new(message).enc(kind, ciphertext, retry))
    }
}
