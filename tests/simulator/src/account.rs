//! One WhatsApp account as the server knows it: a phone number, its LID, the phone itself and the companions linked
//! to it. Everything an account changes about itself is behind locks of its own; there is no lock over all accounts
//! but the directory's, which is only ever held to look one up.

use std::collections::{BTreeMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use anyhow::Result;
use serde::{Deserialize, Serialize};
use wacore_binary::Jid;

use crate::accepted::Accepted;
use crate::appstate::AppState;
use crate::mailbox::Mailbox;
use crate::noise::Pattern;
use crate::phone::Phone;
use crate::phone::inbox::{Inbox, Received, ReceivedReceipt};
use crate::phone::mail::PhoneMail;
use crate::prekeys::Published;
use crate::store::{Kind, Rows, Shelf};
use crate::typing::Typing;

/// One account.
pub struct Account {
    pub number: String,
    /// The user part of its LID.
    pub lid: String,
    pub push_name: String,
    /// The phone's Signal state. Locked across crypto, so only for this account's own work.
    pub phone: tokio::sync::Mutex<Phone>,
    /// What the phone has published, apart from the phone so that a stranger's key fetch never waits for it.
    pub phone_keys: Mutex<Published>,
    /// Stanzas on their way to the phone; a task of its own takes them in order.
    pub phone_mail: PhoneMail,
    pub received: Inbox<Received>,
    pub receipts: Inbox<ReceivedReceipt>,
    pub app_state: Mutex<AppState>,
    /// Its owner wants to be asked for the passkey before a companion is linked.
    pub passkey_required: AtomicBool,
    /// Its owner lets nobody know what they have read.
    pub reads_in_secret: AtomicBool,
    /// The numbers of people a message has gone to or come from.
    pub acquaintances: Mutex<HashSet<String>>,
    devices: RwLock<BTreeMap<u16, Arc<Device>>>,
    accepted: Mutex<Accepted>,
    /// Accounts that asked for this one's device list and are told when it changes.
    pub watchers: Mutex<HashSet<String>>,
    /// The companions' key indexes as the phone signed them last, and when.
    key_indexes: Mutex<(u64, Vec<u8>)>,
    typing: Mutex<Vec<Typing>>,
    dropped: Mutex<Vec<Received>>,
    stanza_ids: AtomicU64,
    /// Its rows on disk.
    pub shelf: Shelf,
}

/// What an account starts with, or went on with after a restart.
pub struct Birth {
    pub record: AccountRecord,
    pub phone: Phone,
    pub phone_keys: Published,
    pub phone_mail: PhoneMail,
    pub received: Inbox<Received>,
    pub receipts: Inbox<ReceivedReceipt>,
    pub app_state: AppState,
    pub accepted: Accepted,
    pub watchers: HashSet<String>,
    pub acquaintances: HashSet<String>,
    /// Above all ids this account has used in earlier lives of the process.
    pub first_stanza_id: u64,
    pub shelf: Shelf,
}

/// What an account is, apart from its phone and its devices, as it is kept. Whatever else is one value per account
/// (a passkey, a setting) belongs here, with `#[serde(default)]` so that older states can be read.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct AccountRecord {
    pub number: String,
    pub lid: String,
    pub push_name: String,
    pub key_indexes: (u64, Vec<u8>),
    #[serde(default)]
    pub passkey_required: bool,
    #[serde(default)]
    pub reads_in_secret: bool,
}

impl Account {
    pub fn new(birth: Birth) -> Self {
        Self {
            number: birth.record.number,
            lid: birth.record.lid,
            push_name: birth.record.push_name,
            phone: tokio::sync::Mutex::new(birth.phone),
            phone_keys: Mutex::new(birth.phone_keys),
            phone_mail: birth.phone_mail,
            received: birth.received,
            receipts: birth.receipts,
            app_state: Mutex::new(birth.app_state),
            passkey_required: AtomicBool::new(birth.record.passkey_required),
            reads_in_secret: AtomicBool::new(birth.record.reads_in_secret),
            acquaintances: Mutex::new(birth.acquaintances),
            devices: RwLock::default(),
            accepted: Mutex::new(birth.accepted),
            watchers: Mutex::new(birth.watchers),
            key_indexes: Mutex::new(birth.record.key_indexes),
            typing: Mutex::default(),
            dropped: Mutex::default(),
            stanza_ids: AtomicU64::new(birth.first_stanza_id),
            shelf: birth.shelf,
        }
    }

    /// Who typed to it lately.
    pub fn typing(&self) -> MutexGuard<'_, Vec<Typing>> {
        self.typing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What came under an id that had been used, as its phone would have shown it.
    pub fn dropped(&self) -> MutexGuard<'_, Vec<Received>> {
        self.dropped.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes down what the account is.
    pub fn keep(&self) {
        let record = AccountRecord {
            number: self.number.clone(),
            lid: self.lid.clone(),
            push_name: self.push_name.clone(),
            key_indexes: self.key_index_list(),
            passkey_required: self.passkey_required.load(Ordering::Relaxed),
            reads_in_secret: self.reads_in_secret.load(Ordering::Relaxed),
        };
        self.shelf.put_json(Kind::Account, "", &record);
    }

    /// The account's phone-number JID.
    pub fn pn(&self) -> Jid {
        Jid::pn(self.number.as_str())
    }

    /// The account's LID.
    pub fn lid(&self) -> Jid {
        Jid::lid(self.lid.as_str())
    }

    /// This account in the namespace of `like`.
    pub fn jid_like(&self, like: &Jid) -> Jid {
        if like.is_lid() { self.lid() } else { self.pn() }
    }

    /// A companion.
    pub fn device(&self, id: u16) -> Option<Arc<Device>> {
        self.devices.read().unwrap_or_else(PoisonError::into_inner).get(&id).cloned()
    }

    /// All companions, in the order of their ids.
    pub fn devices(&self) -> Vec<Arc<Device>> {
        self.devices.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// Takes in a device that has just been linked.
    pub fn add_device(&self, device: Arc<Device>) {
        self.shelf.unit(|| device.keep_in(&self.shelf));
        self.restore_device(device);
    }

    /// Takes in a device that is kept already.
    pub fn restore_device(&self, device: Arc<Device>) {
        self.devices.write().unwrap_or_else(PoisonError::into_inner).insert(device.id, device);
    }

    pub fn remove_device(&self, id: u16) -> Option<Arc<Device>> {
        let removed = self.devices.write().unwrap_or_else(PoisonError::into_inner).remove(&id)?;
        self.shelf.unit(|| {
            self.shelf.delete(Kind::Device, id.to_string());
            self.shelf.of_device(id).delete_all();
        });
        Some(removed)
    }

    /// From now on that account is told what becomes of this one's devices.
    pub fn watch(&self, watcher: &str) {
        let mut watchers = self.watchers.lock().unwrap_or_else(PoisonError::into_inner);
        if watchers.insert(watcher.to_owned()) {
            self.shelf.put(Kind::Watcher, watcher, Vec::new);
        }
    }

    /// When the phone last signed its companions' key indexes, and the encoded `ADVSignedKeyIndexList`.
    pub fn key_index_list(&self) -> (u64, Vec<u8>) {
        self.key_indexes.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn set_key_index_list(&self, signed_at: u64, list: Vec<u8>) {
        *self.key_indexes.lock().unwrap_or_else(PoisonError::into_inner) = (signed_at, list);
        self.keep();
    }

    /// The id of a stanza the server makes for this account.
    pub fn stanza_id(&self) -> String {
        self.stanza_ids.fetch_add(1, Ordering::Relaxed).to_string()
    }

    pub fn accepted(&self) -> MutexGuard<'_, Accepted> {
        self.accepted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A device of an account, whichever account that is.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize, Serialize)]
pub struct DeviceAddress {
    pub number: String,
    pub device: u16,
}

/// What a companion did lately.
#[derive(Clone, Debug, Default)]
pub struct Logins {
    pub count: u64,
    pub last_handshake: Option<Pattern>,
    pub connected_at: Option<u64>,
}

/// A companion linked to an account.
pub struct Device {
    pub number: String,
    pub lid: String,
    pub id: u16,
    /// Its place in the account's ADV key index list.
    pub key_index: u32,
    /// The Noise key it paired with; a login must prove the same one.
    pub noise_static: [u8; 32],
    pub keys: Mutex<Published>,
    pub mailbox: Mailbox,
    pub logins: Mutex<Logins>,
    /// The phone has sent its keys and history.
    pub bootstrapped: AtomicBool,
}

/// A companion as it is kept, apart from its keys and its mailbox.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct DeviceRecord {
    pub key_index: u32,
    pub noise_static: [u8; 32],
    pub bootstrapped: bool,
}

impl Device {
    /// As it was kept.
    pub fn restore(rows: &mut Rows, account: &Account, id: u16, record: &DeviceRecord) -> Result<Self> {
        let shelf = account.shelf.of_device(id);
        let keys = Published::restore(rows, &account.number, id, shelf.clone())?;
        let owed = rows.take_device(Kind::Mail, &account.number, id);
        Ok(Self {
            number: account.number.clone(),
            lid: account.lid.clone(),
            id,
            key_index: record.key_index,
            noise_static: record.noise_static,
            keys: Mutex::new(keys),
            mailbox: Mailbox::restore(shelf, owed)?,
            logins: Mutex::default(),
            bootstrapped: AtomicBool::new(record.bootstrapped),
        })
    }

    fn keep_in(&self, account: &Shelf) {
        let home = account.of_device(self.id);
        self.keys.lock().unwrap_or_else(PoisonError::into_inner).keep_in(home.clone());
        self.mailbox.keep_in(home);
        self.keep(account);
    }

    /// Writes down what the device is.
    pub fn keep(&self, account: &Shelf) {
        let record = DeviceRecord {
            key_index: self.key_index,
            noise_static: self.noise_static,
            bootstrapped: self.bootstrapped.load(Ordering::Relaxed),
        };
        account.put_json(Kind::Device, self.id.to_string(), &record);
    }

    pub fn jid(&self) -> Jid {
        Jid::pn_device(self.number.as_str(), self.id)
    }

    pub fn lid_jid(&self) -> Jid {
        Jid::lid_device(self.lid.as_str(), self.id)
    }

    pub fn address(&self) -> DeviceAddress {
        DeviceAddress { number: self.number.clone(), device: self.id }
    }
}
