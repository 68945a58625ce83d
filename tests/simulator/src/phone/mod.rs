//! A simulated primary device: it owns its account's identity, holds real Signal sessions with every device it talks
//! to, and does what a person's phone does without being asked. Its task takes stanzas in the order they come.

pub mod code_entry;
pub mod composing;
mod groups;
mod handoff;
pub mod inbox;
pub mod linking;
pub mod mail;
mod memory;
mod receiving;
mod resending;
mod sender_keys;
pub mod sending;
mod signal_store;
mod taking_in;
pub mod upbringing;

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::{PoisonError, Weak};

use anyhow::{Result, bail};
use rand::rngs::StdRng;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc::UnboundedReceiver;
use wacore_binary::Jid;
use wacore_libsignal::protocol::{
    CiphertextMessage, IdentityKeyPair, KeyPair, PreKeySignalMessage, ProtocolAddress, SignalMessage,
    UsePQRatchet, message_decrypt, message_encrypt, process_prekey_bundle,
};
use waproto::whatsapp::Message;

use crate::account::Account;
use crate::prekeys::{self, Published, SignedKey};
use crate::store::{Kind, Shelf};
use crate::world::World;
use crate::{clock, rng};
use memory::Memory;
use signal_store::SignalStore;

/// One-time prekeys a phone keeps published.
const ONE_TIME_KEYS: usize = 8;
/// Sent messages a phone could send again.
const REMEMBERED_MESSAGES: usize = 2_000;

/// A message a phone has sent.
#[derive(Clone)]
struct Sent {
    /// The conversation, as a JID in the namespace it was addressed in.
    to: Jid,
    message: Message,
}

/// A phone's private state.
pub struct Phone {
    rng: StdRng,
    identity: IdentityKeyPair,
    registration_id: u32,
    signed: SignedKey,
    /// The signed prekey with its private half, encoded.
    signed_private: Vec<u8>,
    store: SignalStore,
    next_key: u32,
    /// Tells the companions of this installation from those of another one under the same number.
    adv_id: u32,
    next_device: u16,
    next_key_index: u32,
    sent: HashMap<String, Sent>,
    sent_order: VecDeque<String>,
    sent_last: u64,
    /// Messages taken in, by sending device and id.
    seen: HashSet<(String, String)>,
    /// How often a message has been asked for again.
    asked: HashMap<(String, String), u8>,
    memory: Memory,
    /// Who has this phone's sender key, by group.
    distributed: HashMap<String, BTreeSet<String>>,
    shelf: Shelf,
    /// The record as it was written down last.
    kept: Option<PhoneRecord>,
}

/// A phone's own keys and counters as they are kept; what it has gathered is in rows of their own.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
struct PhoneRecord {
    identity: Vec<u8>,
    registration_id: u32,
    signed: SignedKey,
    signed_private: Vec<u8>,
    next_key: u32,
    adv_id: u32,
    next_device: u16,
    next_key_index: u32,
}

/// A phone's life: one stanza after the other, until its account is gone.
async fn live(world: Weak<World>, account: Weak<Account>, mut mail: UnboundedReceiver<mail::Numbered>) {
    while let Some((number, stanza)) = mail.recv().await {
        let (Some(world), Some(account)) = (world.upgrade(), account.upgrade()) else { return };
        receiving::handle(&world, &account, number, &stanza).await;
    }
}

/// The name under which a device's session is kept, whichever namespace it was addressed in.
fn address(account: &Account, device: u16) -> ProtocolAddress {
    ProtocolAddress::new(&format!("{}_{device}", account.lid), 0.into())
}

impl Phone {
    /// Publishes new one-time prekeys for those that have been used up.
    fn replenish(&mut self, account: &Account) {
        let mut published = account.phone_keys.lock().unwrap_or_else(PoisonError::into_inner);
        while published.one_time_left() < ONE_TIME_KEYS {
            let (id, public) = self.fresh_key();
            published.add_one_time(id, public);
        }
    }

    fn fresh_key(&mut self) -> (u32, Vec<u8>) {
        let pair = KeyPair::generate(&mut self.rng);
        let id = self.next_key;
        self.next_key += 1;
        self.store.pre_keys.insert(id, &pair);
        (id, pair.public_key.public_key_bytes().to_vec())
    }

    /// Writes down what has changed: before anything leaves that depends on it.
    fn keep(&mut self) {
        let Self { store, shelf, .. } = self;
        store.keep(shelf);
        let record = PhoneRecord {
            identity: self.identity.serialize().to_vec(),
            registration_id: self.registration_id,
            signed: self.signed.clone(),
            signed_private: self.signed_private.clone(),
            next_key: self.next_key,
            adv_id: self.adv_id,
            next_device: self.next_device,
            next_key_index: self.next_key_index,
        };
        if self.kept.as_ref() != Some(&record) {
            self.shelf.put_json(Kind::Phone, "", &record);
            self.kept = Some(record);
        }
    }

    /// Encrypts for one device, opening a session when there is none; the type and the ciphertext.
    async fn encrypt(
        &mut self,
        target: &Account,
        device: u16,
        message: &Message,
    ) -> Result<(&'static str, Vec<u8>)> {
        let address = address(target, device);
        if !self.store.sessions.contains(&address) {
            let Some(bundle) = prekeys::take(target, device, Published::take_bundle) else {
                bail!("no such device");
            };
            self.open_session(&address, &bundle?).await?;
        }
        let padded = self.padded(message);
        let SignalStore { sessions, identities, .. } = &mut self.store;
        let encrypted = message_encrypt(&padded, &address, sessions, identities).await?;
        self.keep();
        match encrypted {
            CiphertextMessage::PreKeySignalMessage(message) => Ok(("pkmsg", message.serialized().to_vec())),
            CiphertextMessage::SignalMessage(message) => Ok(("msg", message.serialized().to_vec())),
            _ => bail!("an unexpected kind of ciphertext"),
        }
    }

    async fn open_session(
        &mut self,
        address: &ProtocolAddress,
        bundle: &wacore_libsignal::protocol::PreKeyBundle,
    ) -> Result<()> {
        let SignalStore { sessions, identities, .. } = &mut self.store;
        process_prekey_bundle(address, sessions, identities, bundle, &mut self.rng, UsePQRatchet::No).await?;
        Ok(())
    }

    async fn decrypt(&mut self, from: &ProtocolAddress, kind: &str, ciphertext: &[u8]) -> Result<Vec<u8>> {
        let ciphertext = match kind {
            "pkmsg" => CiphertextMessage::PreKeySignalMessage(PreKeySignalMessage::try_from(ciphertext)?),
            "msg" => CiphertextMessage::SignalMessage(SignalMessage::try_from(ciphertext)?),
            other => bail!("enc type {other}"),
        };
        let SignalStore { sessions, identities, pre_keys, signed_pre_keys, .. } = &mut self.store;
        let decrypted = message_decrypt(
            &ciphertext,
            from,
            sessions,
            identities,
            pre_keys,
            signed_pre_keys,
            &mut self.rng,
            UsePQRatchet::No,
        )
        .await?;
        if let Some(id) = decrypted.consumed_prekey_id {
            self.store.pre_keys.remove(id.into());
        }
        Ok(decrypted.plaintext)
    }

    /// The message with one to sixteen bytes of padding that say how many they are.
    fn padded(&mut self, message: &Message) -> Vec<u8> {
        let mut plain = waproto::codec::message_to_vec(message);
        let [byte] = rng::bytes::<1>(&mut self.rng);
        let padding = byte % 16 + 1;
        plain.resize(plain.len() + usize::from(padding), padding);
        plain
    }

    fn remember(&mut self, id: &str, to: Jid, message: Message) {
        self.sent_last += 1;
        let encoded = waproto::codec::message_to_vec(&message);
        self.shelf.put_json(Kind::Sent, id, &(self.sent_last, to.to_string(), encoded));
        self.sent.insert(id.to_owned(), Sent { to, message });
        self.sent_order.push_back(id.to_owned());
        if self.sent_order.len() > REMEMBERED_MESSAGES
            && let Some(oldest) = self.sent_order.pop_front()
        {
            self.sent.remove(&oldest);
            self.shelf.delete(Kind::Sent, oldest);
        }
    }

    /// A message has been taken in; true when it is new.
    fn note_seen(&mut self, from: &Jid, id: &str) -> bool {
        self.shelf.put(Kind::Seen, format!("{from} {id}"), Vec::new);
        self.seen.insert((from.to_string(), id.to_owned()))
    }

    /// Signs which companions the account has: without a place on this list a client ignores a device.
    fn sign_key_indexes(&mut self, account: &Account) -> Result<()> {
        linking::sign_key_indexes(&self.identity, self.adv_id, &mut self.rng, account, clock::unix_seconds())
    }
}
