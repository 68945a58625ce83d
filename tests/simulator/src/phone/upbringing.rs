//! Where phones come from: a new one from nothing but the seed and its number, an old one from what was kept of it.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use anyhow::{Context as _, Result};
use rand::Rng as _;
use tokio::sync::mpsc::UnboundedReceiver;
use wacore_libsignal::protocol::{
    GenericSignedPreKey as _, IdentityKeyPair, KeyPair, SignedPreKeyRecord, Timestamp,
};

use super::inbox::Inbox;
use super::mail::{Numbered, PhoneMail};
use super::memory::Memory;
use super::signal_store::SignalStore;
use super::{Phone, PhoneRecord, Sent, live};
use crate::accepted::Accepted;
use crate::account::{Account, AccountRecord, Birth};
use crate::appstate::AppState;
use crate::prekeys::{Published, SignedKey};
use crate::store::shelf::device_owner;
use crate::store::{Kind, Rows, Shelf};
use crate::world::World;
use crate::{clock, rng};

/// The one signed prekey a phone has.
const SIGNED_KEY_ID: u32 = 1;
/// LIDs have fifteen digits.
const LOWEST_LID: u64 = 100_000_000_000_000;

/// A new account with its phone, from nothing but the seed and the number.
pub fn birth(world: &Arc<World>, number: &str, push_name: &str) -> Result<Arc<Account>> {
    let shelf = world.store.shelf(number);
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
    let created = Timestamp::from_epoch_millis(clock::unix_millis());
    let signed_private =
        SignedPreKeyRecord::new(signed.id.into(), created, &signed_pair, &signed.signature).serialize()?;
    let app_state = AppState::new(&mut rng, push_name, shelf.clone());
    let record = PhoneRecord {
        identity: identity.serialize().to_vec(),
        registration_id,
        adv_id: rng.next_u32(),
        signed: signed.clone(),
        signed_private,
        next_key: 1,
        next_device: 1,
        next_key_index: 1,
    };
    let public = identity.public_key().public_key_bytes().to_vec();
    let mut phone_keys = Published::new(registration_id, public, signed);
    phone_keys.keep_in(shelf.of_device(0));
    let (phone_mail, mail) = PhoneMail::new(shelf.of_device(0));
    let account = Arc::new(Account::new(Birth {
        record: AccountRecord {
            number: number.to_owned(),
            lid,
            push_name: push_name.to_owned(),
            key_indexes: Default::default(),
            passkey_required: false,
            reads_in_secret: false,
        },
        phone: Phone::new(record, rng, shelf.clone())?,
        phone_keys,
        phone_mail,
        received: Inbox::new(Kind::ReceivedMessage, shelf.clone()),
        receipts: Inbox::new(Kind::ReceivedReceipt, shelf.clone()),
        app_state,
        accepted: Accepted::new(shelf.clone()),
        watchers: HashSet::new(),
        acquaintances: HashSet::new(),
        first_stanza_id: world.first_id(),
        shelf,
    }));
    account.keep();
    if let Ok(mut phone) = account.phone.try_lock() {
        phone.replenish(&account);
        phone.keep();
    }
    start(world, &account, mail);
    Ok(account)
}

/// Lets a phone take its mail.
pub fn start(world: &Arc<World>, account: &Arc<Account>, mail: UnboundedReceiver<Numbered>) {
    tokio::spawn(live(Arc::downgrade(world), Arc::downgrade(account), mail));
}

/// An account as it was kept, and the mail its phone had not got to: for when everybody is back it may be about.
pub fn restore(
    world: &Arc<World>,
    rows: &mut Rows,
    number: &str,
) -> Result<(Arc<Account>, UnboundedReceiver<Numbered>)> {
    let shelf = world.store.shelf(number);
    let record: AccountRecord = rows.take_one(Kind::Account, number)?;
    // Another stream than any life before has drawn from: keys and ids must not come a second time.
    let rng = rng::derive(world.seed, "phone", &format!("{number}/{}", world.starts));
    let mut phone = Phone::new(rows.take_one(Kind::Phone, number)?, rng, shelf.clone())?;
    phone.recall(rows, number)?;
    let mail = rows.take(Kind::Mail, &device_owner(number, 0));
    let (phone_mail, mail) = PhoneMail::restore(shelf.of_device(0), mail)?;
    let account = Arc::new(Account::new(Birth {
        record,
        phone,
        phone_keys: Published::restore(rows, number, 0, shelf.of_device(0))?,
        phone_mail,
        received: Inbox::restore(rows, number, Kind::ReceivedMessage, shelf.clone())?,
        receipts: Inbox::restore(rows, number, Kind::ReceivedReceipt, shelf.clone())?,
        app_state: AppState::restore(rows, number, shelf.clone())?,
        accepted: Accepted::restore(rows, number, shelf.clone())?,
        watchers: rows.take(Kind::Watcher, number).into_iter().map(|(watcher, _)| watcher).collect(),
        acquaintances: rows.take(Kind::Acquaintance, number).into_iter().map(|(number, _)| number).collect(),
        first_stanza_id: world.first_id(),
        shelf,
    }));
    Ok((account, mail))
}

impl Phone {
    fn new(record: PhoneRecord, rng: rand::rngs::StdRng, shelf: Shelf) -> Result<Self> {
        let identity = IdentityKeyPair::try_from(record.identity.as_slice())?;
        let signed = SignedPreKeyRecord::deserialize(&record.signed_private)?;
        Ok(Self {
            rng,
            store: SignalStore::new(identity.clone(), record.registration_id, record.signed.id, signed),
            identity,
            registration_id: record.registration_id,
            signed: record.signed,
            signed_private: record.signed_private,
            next_key: record.next_key,
            adv_id: record.adv_id,
            next_device: record.next_device,
            next_key_index: record.next_key_index,
            sent: HashMap::new(),
            sent_order: VecDeque::new(),
            sent_last: 0,
            seen: HashSet::new(),
            asked: HashMap::new(),
            memory: Memory::default(),
            distributed: HashMap::new(),
            shelf,
            kept: None,
        })
    }

    /// What it has gathered.
    fn recall(&mut self, rows: &mut Rows, number: &str) -> Result<()> {
        self.store.restore(rows, number)?;
        self.memory = Memory::restore(rows, number)?;
        self.distributed = rows.take_json(Kind::Distributed, number)?.into_iter().collect();
        for (key, _) in rows.take(Kind::Seen, number) {
            let (from, id) = key.split_once(' ').context("a message without sender")?;
            self.seen.insert((from.to_owned(), id.to_owned()));
        }
        let mut sent = rows.take_json::<(u64, String, Vec<u8>)>(Kind::Sent, number)?;
        sent.sort_by_key(|(_, (place, ..))| *place);
        for (id, (place, to, message)) in sent {
            let message = waproto::codec::message_decode(&message)?;
            self.sent.insert(id.clone(), Sent { to: to.parse()?, message });
            self.sent_order.push_back(id);
            self.sent_last = place;
        }
        Ok(())
    }
}
