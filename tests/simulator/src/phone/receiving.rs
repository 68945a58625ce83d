//! A phone takes in what comes: messages to decrypt, receipts for its own, requests from its companions.

use std::sync::{Arc, PoisonError};

use anyhow::{Context as _, Result};
use wacore::messages::decode_plaintext;
use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node};
use waproto::whatsapp::Message;

use super::inbox::{Received, ReceivedReceipt};
use super::{Phone, address, sending};
use crate::account::Account;
use crate::prekeys::key_node;
use crate::stanza::with_bytes;
use crate::world::World;
use crate::{clock, receipts, stanza};

/// A message is asked for so often before it is given up.
const MOST_RETRIES: u8 = 5;
/// Plaintexts are padded in the way of version 2.
const PADDING: u8 = 2;

/// One stanza, under its number in the phone's mail.
pub async fn handle(world: &Arc<World>, account: &Arc<Account>, number: u64, stanza: &Node) {
    let outcome = match stanza.tag.as_ref() {
        "message" => message(world, account, stanza).await,
        "receipt" if stanza::attr(stanza, "type") == "retry" => sending::resend(world, account, stanza).await,
        "receipt" => {
            // Together, or a crash in between would show the receipt twice.
            account.shelf.unit(|| {
                receipt(world, account, stanza);
                account.phone_mail.settle(number);
            });
            return;
        }
        _ => Ok(()),
    };
    account.phone_mail.settle(number);
    if let Err(error) = outcome {
        log::warn!("phone {}: {}: {error:#}", account.number, stanza.tag);
    }
}

fn receipt(world: &World, account: &Account, stanza: &Node) {
    let from = stanza::jid(stanza, "from").and_then(|jid| world.resolve(&jid));
    account.receipts.push(ReceivedReceipt {
        kind: stanza::opt(stanza, "type").unwrap_or_else(|| "delivery".to_owned()),
        from: from.map(|from| from.pn().to_string()).unwrap_or_default(),
        message_ids: receipts::message_ids(stanza),
        timestamp: clock::unix_seconds(),
    });
}

async fn message(world: &Arc<World>, account: &Arc<Account>, stanza: &Node) -> Result<()> {
    let from = stanza::jid(stanza, "from").context("no from")?;
    let sender = world.resolve(&from).context("an unknown sender")?;
    let id = stanza::attr(stanza, "id");
    let key = (from.to_string(), id.clone());
    let address = address(&sender, from.device);
    for enc in stanza.get_children_by_tag("enc") {
        let mut phone = account.phone.lock().await;
        // Baileys addresses a note to self to the phone twice; and a crash may have come after the message was taken
        // in and before its receipt.
        if phone.seen.contains(&key) {
            drop(phone);
            confirm(world, account, stanza, &from, &sender);
            continue;
        }
        let plain = phone.decrypt(&address, &stanza::attr(enc, "type"), stanza::content(enc)).await;
        phone.replenish(account);
        let decoded = plain.and_then(|plain| decode_plaintext(&plain, PADDING));
        match decoded {
            Ok(message) => {
                phone.asked.remove(&key);
                // The ratchet has moved on: the message exists nowhere else any more.
                let request = account.shelf.unit(|| {
                    phone.keep();
                    phone.note_seen(&from, &id);
                    take_in(world, account, stanza, &from, &sender, message)
                });
                drop(phone);
                confirm(world, account, stanza, &from, &sender);
                if request? == Some(Request::AppStateKey) {
                    let share = account.app_state.lock().unwrap_or_else(PoisonError::into_inner).key_share();
                    sending::send_peer(world, account, from.device, share).await?;
                }
            }
            Err(error) => {
                log::info!("phone {}: can't decrypt {id} of {from}: {error:#}", account.number);
                let asked = phone.asked.entry(key.clone()).or_default();
                *asked += 1;
                let count = *asked;
                let retry = (count <= MOST_RETRIES).then(|| phone.retry_receipt(stanza, &from, &id, count));
                phone.keep();
                drop(phone);
                if let Some(retry) = retry {
                    receipts::route(world, account, 0, &retry);
                }
            }
        }
    }
    Ok(())
}

/// What a companion wants of its phone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Request {
    AppStateKey,
}

/// The delivery receipt.
fn confirm(world: &World, account: &Arc<Account>, stanza: &Node, from: &Jid, sender: &Account) {
    let mut receipt =
        NodeBuilder::new("receipt").attr("to", from.clone()).attr("id", stanza::attr(stanza, "id"));
    if stanza::attr(stanza, "category") == "peer" {
        receipt = receipt.attr("type", "peer_msg");
    } else if sender.number == account.number {
        receipt = receipt.attr("type", "sender");
    }
    receipts::route(world, account, 0, &receipt.build());
}

/// Puts a message where the person at the phone sees it, unless it is a word between devices.
fn take_in(
    world: &World,
    account: &Account,
    stanza: &Node,
    from: &Jid,
    sender: &Account,
    mut message: Message,
) -> Result<Option<Request>> {
    let own = sender.number == account.number;
    if let Some(protocol) = message.protocol_message.as_option()
        && own
        && protocol.app_state_sync_key_request.is_set()
    {
        return Ok(Some(Request::AppStateKey));
    }
    if stanza::attr(stanza, "category") == "peer" {
        return Ok(None);
    }
    let mut chat = sender.pn();
    if let Some(copy) = message.device_sent_message.take() {
        let destination = copy.destination_jid.as_deref().and_then(|jid| jid.parse::<Jid>().ok());
        // Shown under the phone number even when the companion addressed the LID.
        chat =
            destination.map_or(chat, |jid| world.resolve(&jid).map_or(jid.clone(), |account| account.pn()));
        message = copy.message.into_option().context("an empty copy")?;
    }
    account.received.push(Received {
        from: sender.pn().to_string(),
        chat: chat.to_string(),
        message_id: stanza::attr(stanza, "id"),
        text: text(&message),
        timestamp: stanza::attr(stanza, "t").parse().unwrap_or_default(),
        from_device: from.device,
        from_me: own,
    });
    Ok(None)
}

fn text(message: &Message) -> Option<String> {
    let extended = || message.extended_text_message.as_option().and_then(|extended| extended.text.clone());
    message.conversation.clone().or_else(extended)
}

impl Phone {
    /// Asks for a message again, with the keys for a new session.
    fn retry_receipt(&mut self, stanza: &Node, from: &Jid, id: &str, count: u8) -> Node {
        let (key_id, key) = self.fresh_key();
        let retry = NodeBuilder::new("retry")
            .attr("v", "1")
            .attr("id", id)
            .attr("t", stanza::attr(stanza, "t"))
            .attr("count", count);
        let keys = NodeBuilder::new("keys").children([
            with_bytes("type", [5]),
            with_bytes("identity", self.identity.public_key().public_key_bytes()),
            key_node("key", key_id, key, None),
            key_node("skey", self.signed.id, self.signed.public.clone(), Some(self.signed.signature.clone())),
        ]);
        let mut receipt =
            NodeBuilder::new("receipt").attr("to", from.clone()).attr("id", id).attr("type", "retry");
        for name in ["recipient", "category"] {
            if let Some(value) = stanza.attrs.get(name) {
                receipt = receipt.attr(name, value.clone());
            }
        }
        let registration = with_bytes("registration", self.registration_id.to_be_bytes());
        receipt.children([retry.build(), registration, keys.build()]).build()
    }
}
