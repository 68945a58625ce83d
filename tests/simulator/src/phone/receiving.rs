//! A phone takes in what comes: messages to decrypt, receipts for its own, requests from its companions.

use std::sync::{Arc, PoisonError};

use anyhow::{Context as _, Result};
use wacore::messages::{decode_plaintext, is_sender_key_distribution_only};
use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, JidExt, Node};
use wacore_libsignal::protocol::ProtocolAddress;
use waproto::buffa::MessageField;
use waproto::whatsapp::Message;

use super::inbox::ReceivedReceipt;
use super::taking_in::{self, Request};
use super::{Phone, address, resending, sending};
use crate::account::Account;
use crate::prekeys::key_node;
use crate::stanza::with_bytes;
use crate::world::World;
use crate::{clock, media, receipts, routing, stanza};

/// A message is asked for so often before it is given up.
const MOST_RETRIES: u8 = 5;
/// So many dropped messages are remembered.
const MOST_DROPPED: usize = 1_000;
/// Plaintexts are padded in the way of version 2.
const PADDING: u8 = 2;
/// A ciphertext under the key of a sender in a group.
const GROUP_CIPHERTEXT: &str = "skmsg";

/// One stanza, under its number in the phone's mail.
pub async fn handle(world: &Arc<World>, account: &Arc<Account>, number: u64, stanza: &Node) {
    let outcome = match stanza.tag.as_ref() {
        "message" if stanza.attrs.get(routing::DROPPED).is_some() => dropped(world, account, stanza).await,
        "message" => message(world, account, stanza).await,
        "receipt" => match stanza::attr(stanza, "type").as_str() {
            "retry" => resending::resend(world, account, stanza).await,
            "server-error" => media::retry::answer(world, account, stanza).await,
            _ => {
                // Together, or a crash in between would show the receipt twice.
                account.shelf.unit(|| {
                    receipt(world, account, stanza);
                    account.phone_mail.settle(number);
                });
                return;
            }
        },
        _ => Ok(()),
    };
    account.phone_mail.settle(number);
    if let Err(error) = outcome {
        log::warn!("phone {}: {}: {error:#}", account.number, stanza.tag);
    }
}

fn receipt(world: &World, account: &Account, stanza: &Node) {
    let jid = |name| stanza::jid(stanza, name);
    let pn = |jid: Jid| world.resolve(&jid).map(|account| account.pn().to_string()).unwrap_or_default();
    let from = jid("from");
    let group = from.clone().filter(JidExt::is_group);
    let reader = if group.is_some() { jid("participant") } else { from };
    let reader = reader.map(pn).unwrap_or_default();
    // Of an own device, the chat in which it was read.
    let chat = group.map(|group| group.to_string()).or_else(|| jid("recipient").map(pn));
    account.receipts.push(ReceivedReceipt {
        kind: stanza::opt(stanza, "type").unwrap_or_else(|| "delivery".to_owned()),
        chat: chat.unwrap_or_else(|| reader.clone()),
        from: reader,
        message_ids: receipts::message_ids(stanza),
        timestamp: clock::unix_seconds(),
    });
}

/// A message on its way in.
pub struct Incoming<'s> {
    pub stanza: &'s Node,
    pub id: String,
    /// The device that wrote it.
    pub author: Jid,
    pub sender: Arc<Account>,
    /// The group it was written in.
    pub group: Option<Jid>,
}

impl<'s> Incoming<'s> {
    fn read(world: &World, stanza: &'s Node) -> Result<Self> {
        let from = stanza::jid(stanza, "from").context("no from")?;
        let (author, group) = if from.is_group() {
            (stanza::jid(stanza, "participant").context("nobody wrote it")?, Some(from))
        } else {
            (from, None)
        };
        let sender = world.resolve(&author).context("an unknown sender")?;
        Ok(Self { stanza, id: stanza::attr(stanza, "id"), author, sender, group })
    }

    /// Its ciphertexts; those for this phone alone first, because they bring the key to the group's.
    fn ciphertexts(&self) -> Vec<(String, &'s [u8])> {
        let encs = self.stanza.get_children_by_tag("enc");
        let mut all: Vec<_> = encs.map(|enc| (stanza::attr(enc, "type"), stanza::content(enc))).collect();
        all.sort_by_key(|(kind, _)| kind == GROUP_CIPHERTEXT);
        all
    }
}

async fn message(world: &Arc<World>, account: &Arc<Account>, stanza: &Node) -> Result<()> {
    let incoming = Incoming::read(world, stanza)?;
    let key = (incoming.author.to_string(), incoming.id.clone());
    let address = address(&incoming.sender, incoming.author.device);
    for (kind, ciphertext) in incoming.ciphertexts() {
        let mut phone = account.phone.lock().await;
        // Baileys addresses a note to self to the phone twice; and a crash may have come after the message was taken
        // in and before its receipt. What is sent again in a group may still bring a key.
        let seen = phone.seen.contains(&key);
        if seen && (incoming.group.is_none() || kind == GROUP_CIPHERTEXT) {
            drop(phone);
            confirm(world, account, &incoming);
            continue;
        }
        let decoded = phone.open(&incoming, &address, &kind, ciphertext).await;
        phone.replenish(account);
        match decoded {
            Ok((_, nothing_else)) if seen || nothing_else => phone.keep(),
            Ok((message, _)) => {
                phone.asked.remove(&key);
                // The ratchet has moved on: the message exists nowhere else any more.
                let request = account.shelf.unit(|| {
                    phone.keep();
                    phone.note_seen(&incoming.author, &incoming.id);
                    taking_in::take_in(world, account, &mut phone, &incoming, message)
                });
                drop(phone);
                confirm(world, account, &incoming);
                if request? == Some(Request::AppStateKey) {
                    let share = account.app_state.lock().unwrap_or_else(PoisonError::into_inner).key_share();
                    sending::send_peer(world, account, incoming.author.device, share).await?;
                }
            }
            Err(_) if seen => {}
            Err(error) => {
                log::info!("phone {}: can't decrypt {} of {}: {error:#}", account.number, key.1, key.0);
                let asked = phone.asked.entry(key.clone()).or_default();
                *asked += 1;
                let count = *asked;
                let retry = (count <= MOST_RETRIES).then(|| phone.retry_receipt(&incoming, count));
                phone.keep();
                drop(phone);
                if let Some(retry) = retry {
                    receipts::route(world, account, 0, &retry);
                }
                // Whatever follows is under a key that was in here.
                break;
            }
        }
    }
    Ok(())
}

/// What the server dropped is opened to be compared, and the keys stay as they were.
async fn dropped(world: &World, account: &Account, stanza: &Node) -> Result<()> {
    let incoming = Incoming::read(world, stanza)?;
    let address = address(&incoming.sender, incoming.author.device);
    let mut phone = account.phone.lock().await;
    let before = phone.store.clone();
    let mut opened = Ok(None);
    for (kind, ciphertext) in incoming.ciphertexts() {
        opened = phone.open(&incoming, &address, &kind, ciphertext).await.map(Some);
    }
    phone.store = before;
    let Some((message, false)) = opened? else { return Ok(()) };
    let (received, _) = taking_in::shown(world, account, &phone, &incoming, message)?;
    let mut dropped = account.dropped();
    dropped.push(received);
    let surplus = dropped.len().saturating_sub(MOST_DROPPED);
    dropped.drain(..surplus);
    Ok(())
}

/// The delivery receipt.
fn confirm(world: &World, account: &Arc<Account>, incoming: &Incoming<'_>) {
    let mut receipt = addressed(incoming);
    if stanza::attr(incoming.stanza, "category") == "peer" {
        receipt = receipt.attr("type", "peer_msg");
    } else if incoming.sender.number == account.number {
        receipt = receipt.attr("type", "sender");
    }
    receipts::route(world, account, 0, &receipt.build());
}

/// The beginning of a receipt for a message.
fn addressed(incoming: &Incoming<'_>) -> NodeBuilder {
    let receipt = NodeBuilder::new("receipt").attr("id", incoming.id.as_str());
    match &incoming.group {
        Some(group) => receipt.attr("to", group.clone()).attr("participant", incoming.author.clone()),
        None => receipt.attr("to", incoming.author.clone()),
    }
}

impl Phone {
    /// A message from one of its ciphertexts, and whether it only brought a key, which is put away already.
    async fn open(
        &mut self,
        incoming: &Incoming<'_>,
        from: &ProtocolAddress,
        kind: &str,
        ciphertext: &[u8],
    ) -> Result<(Message, bool)> {
        let plain = match &incoming.group {
            Some(group) if kind == GROUP_CIPHERTEXT => self.decrypt_in_group(group, from, ciphertext).await?,
            _ => self.decrypt(from, kind, ciphertext).await?,
        };
        let mut message = decode_plaintext(&plain, PADDING)?;
        self.learn_sender_key(from, &message).await?;
        let nothing_else = is_sender_key_distribution_only(&mut message);
        message.sender_key_distribution_message = MessageField::default();
        Ok((message, nothing_else))
    }

    /// Asks for a message again, with the keys for a new session.
    fn retry_receipt(&mut self, incoming: &Incoming<'_>, count: u8) -> Node {
        let (key_id, key) = self.fresh_key();
        let retry = NodeBuilder::new("retry")
            .attr("v", "1")
            .attr("id", incoming.id.as_str())
            .attr("t", stanza::attr(incoming.stanza, "t"))
            .attr("count", count);
        let keys = NodeBuilder::new("keys").children([
            with_bytes("type", [5]),
            with_bytes("identity", self.identity.public_key().public_key_bytes()),
            key_node("key", key_id, key, None),
            key_node("skey", self.signed.id, self.signed.public.clone(), Some(self.signed.signature.clone())),
        ]);
        let mut receipt = addressed(incoming).attr("type", "retry");
        for name in ["recipient", "category"] {
            if let Some(value) = incoming.stanza.attrs.get(name) {
                receipt = receipt.attr(name, value.clone());
            }
        }
        let registration = with_bytes("registration", self.registration_id.to_be_bytes());
        receipt.children([retry.build(), registration, keys.build()]).build()
    }
}
