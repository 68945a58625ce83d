//! A simulated primary device: it owns its account's identity, holds real Signal sessions with every device it talks
//! to, and does what a person's phone does without being asked. Its task takes stanzas in the order they come.

pub mod inbox;
pub mod linking;
mod receiving;
pub mod sending;
mod signal_store;

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, PoisonError, Weak};

use anyhow::{Result, bail};
use rand::Rng as _;
use rand::rngs::StdRng;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use wacore_binary::Node;
use wacore_libsignal::protocol::{
    CiphertextMessage, IdentityKeyPair, KeyPair, PreKeySignalMessage, ProtocolAddress, SignalMessage,
    UsePQRatchet, message_decrypt, message_encrypt, process_prekey_bundle,
};
use waproto::whatsapp::Message;

use crate::account::{Account, Birth};
use crate::appstate::AppState;
use crate::prekeys::{self, Published, SignedKey};
use crate::world::World;
use crate::{clock, rng};
use signal_store::SignalStore;

/// One-time prekeys a phone keeps published.
const ONE_TIME_KEYS: usize = 8;
/// Sent messages a phone could send again.
const REMEMBERED_MESSAGES: usize = 2_000;
/// The one signed prekey a phone has.
const SIGNED_KEY_ID: u32 = 1;
/// LIDs have fifteen digits.
const LOWEST_LID: u64 = 100_000_000_000_000;

/// A message a phone has sent.
#[derive(Clone)]
struct Sent {
    /// The conversation, as a JID in the namespace it was addressed in.
    to: wacore_binary::Jid,
    message: Message,
}

/// A phone's private state.
pub struct Phone {
    rng: StdRng,
    identity: IdentityKeyPair,
    registration_id: u32,
    signed: SignedKey,
    store: SignalStore,
    next_key: u32,
    /// Tells the companions of this installation from those of another one under the same number.
    adv_id: u32,
    next_device: u16,
    next_key_index: u32,
    sent: HashMap<String, Sent>,
    sent_order: VecDeque<String>,
    /// Messages taken in, by sending device and id.
    seen: HashSet<(String, String)>,
    /// How often a message has been asked for again.
    asked: HashMap<(String, String), u8>,
}

/// A new account with its phone, from nothing but the seed and the number.
pub fn birth(world: &Arc<World>, number: &str, push_name: &str) -> Result<Arc<Account>> {
    let mut rng = rng::derive(world.seed, "phone", number);
    let lid = (LOWEST_LID + rng.next_u64() % (9 * LOWEST_LID)).to_string();
    let identity = IdentityKeyPair::generate(&mut rng);
    let registration_id = rng.next_u32() % 16_380 + 1;
    let signed_pair = KeyPair::generate(&mut rng);
    let signature =
        identity.private_key().calculate_signature(&signed_pair.public_key.serialize(), &mut rng)?.to_vec();
    let signed = SignedKey {
        id: SIGNED_KEY_ID,
        public: signed_pair.public_key.public_key_bytes().to_vec(),
        signature,
    };
    let public = identity.public_key().public_key_bytes().to_vec();
    let phone_keys = Published::new(registration_id, public, signed.clone());
    let store = SignalStore::new(identity.clone(), registration_id, &signed_pair, &signed);
    let app_state = AppState::new(&mut rng, push_name);
    let phone = Phone {
        adv_id: rng.next_u32(),
        rng,
        identity,
        registration_id,
        signed,
        store,
        next_key: 1,
        next_device: 1,
        next_key_index: 1,
        sent: HashMap::new(),
        sent_order: VecDeque::new(),
        seen: HashSet::new(),
        asked: HashMap::new(),
    };
    let (phone_mail, mail) = unbounded_channel();
    let birth = Birth {
        number: number.to_owned(),
        lid,
        push_name: push_name.to_owned(),
        phone,
        phone_keys,
        phone_mail,
        app_state,
    };
    let account = Arc::new(Account::new(birth));
    if let Ok(mut phone) = account.phone.try_lock() {
        phone.replenish(&account);
    }
    tokio::spawn(live(Arc::downgrade(world), Arc::downgrade(&account), mail));
    Ok(account)
}

/// A phone's life: one stanza after the other, until its account is gone.
async fn live(world: Weak<World>, account: Weak<Account>, mut mail: UnboundedReceiver<Node>) {
    while let Some(stanza) = mail.recv().await {
        let (Some(world), Some(account)) = (world.upgrade(), account.upgrade()) else { return };
        receiving::handle(&world, &account, &stanza).await;
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
        while published.one_time.len() < ONE_TIME_KEYS {
            let (id, public) = self.fresh_key();
            published.one_time.push_back((id, public));
        }
    }

    fn fresh_key(&mut self) -> (u32, Vec<u8>) {
        let pair = KeyPair::generate(&mut self.rng);
        let id = self.next_key;
        self.next_key += 1;
        self.store.pre_keys.insert(id, &pair);
        (id, pair.public_key.public_key_bytes().to_vec())
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
        match message_encrypt(&padded, &address, sessions, identities).await? {
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
        let SignalStore { sessions, identities, pre_keys, signed_pre_keys } = &mut self.store;
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

    fn remember(&mut self, id: &str, sent: Sent) {
        self.sent.insert(id.to_owned(), sent);
        self.sent_order.push_back(id.to_owned());
        if self.sent_order.len() > REMEMBERED_MESSAGES
            && let Some(oldest) = self.sent_order.pop_front()
        {
            self.sent.remove(&oldest);
        }
    }

    /// Signs which companions the account has: without a place on this list a client ignores a device.
    fn sign_key_indexes(&mut self, account: &Account) -> Result<()> {
        linking::sign_key_indexes(&self.identity, self.adv_id, &mut self.rng, account, clock::unix_seconds())
    }
}
