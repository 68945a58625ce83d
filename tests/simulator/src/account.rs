//! One WhatsApp account as the server knows it: a phone number, its LID, the phone itself and the companions linked
//! to it. Everything an account changes about itself is behind locks of its own; there is no lock over all accounts
//! but the directory's, which is only ever held to look one up.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use tokio::sync::mpsc::UnboundedSender;
use wacore_binary::{Jid, Node};

use crate::appstate::AppState;
use crate::mailbox::Mailbox;
use crate::noise::Pattern;
use crate::phone::Phone;
use crate::phone::inbox::{Inbox, Received, ReceivedReceipt};
use crate::prekeys::Published;

/// How many message ids an account remembers, to drop a stanza that comes twice.
const REMEMBERED_IDS: usize = 20_000;

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
    pub phone_mail: UnboundedSender<Node>,
    pub received: Inbox<Received>,
    pub receipts: Inbox<ReceivedReceipt>,
    pub app_state: Mutex<AppState>,
    devices: RwLock<BTreeMap<u16, Arc<Device>>>,
    accepted: Mutex<Accepted>,
    /// Accounts that asked for this one's device list and are told when it changes.
    pub watchers: Mutex<HashSet<String>>,
    /// The companions' key indexes as the phone signed them last, and when.
    key_indexes: Mutex<(u64, Vec<u8>)>,
    stanza_ids: AtomicU64,
}

/// What an account starts with.
pub struct Birth {
    pub number: String,
    pub lid: String,
    pub push_name: String,
    pub phone: Phone,
    pub phone_keys: Published,
    pub phone_mail: UnboundedSender<Node>,
    pub app_state: AppState,
}

impl Account {
    pub fn new(birth: Birth) -> Self {
        Self {
            number: birth.number,
            lid: birth.lid,
            push_name: birth.push_name,
            phone: tokio::sync::Mutex::new(birth.phone),
            phone_keys: Mutex::new(birth.phone_keys),
            phone_mail: birth.phone_mail,
            received: Inbox::default(),
            receipts: Inbox::default(),
            app_state: Mutex::new(birth.app_state),
            devices: RwLock::default(),
            accepted: Mutex::default(),
            watchers: Mutex::default(),
            key_indexes: Mutex::default(),
            stanza_ids: AtomicU64::new(1),
        }
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

    pub fn add_device(&self, device: Arc<Device>) {
        self.devices.write().unwrap_or_else(PoisonError::into_inner).insert(device.id, device);
    }

    pub fn remove_device(&self, id: u16) -> Option<Arc<Device>> {
        self.devices.write().unwrap_or_else(PoisonError::into_inner).remove(&id)
    }

    /// When the phone last signed its companions' key indexes, and the encoded `ADVSignedKeyIndexList`.
    pub fn key_index_list(&self) -> (u64, Vec<u8>) {
        self.key_indexes.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn set_key_index_list(&self, signed_at: u64, list: Vec<u8>) {
        *self.key_indexes.lock().unwrap_or_else(PoisonError::into_inner) = (signed_at, list);
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
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DeviceAddress {
    pub number: String,
    pub device: u16,
}

/// The message ids an account's devices have used, and to whom a resend under an old id may still go.
#[derive(Default)]
pub struct Accepted {
    order: VecDeque<(u16, String)>,
    reopened: HashMap<(u16, String), HashSet<DeviceAddress>>,
    receipts: HashSet<(String, String)>,
}

impl Accepted {
    /// True when this device uses this id for the first time.
    pub fn first_use(&mut self, device: u16, id: &str) -> bool {
        let key = (device, id.to_owned());
        if self.reopened.contains_key(&key) {
            return false;
        }
        self.order.push_back(key.clone());
        self.reopened.insert(key, HashSet::new());
        if self.order.len() > REMEMBERED_IDS
            && let Some(oldest) = self.order.pop_front()
        {
            self.reopened.remove(&oldest);
        }
        true
    }

    /// A recipient has asked for this message again.
    pub fn reopen(&mut self, device: u16, id: &str, requester: DeviceAddress) {
        if let Some(targets) = self.reopened.get_mut(&(device, id.to_owned())) {
            targets.insert(requester);
        }
    }

    /// True once after each request for it.
    pub fn take_reopened(&mut self, device: u16, id: &str, target: &DeviceAddress) -> bool {
        self.reopened.get_mut(&(device, id.to_owned())).is_some_and(|targets| targets.remove(target))
    }

    /// True for the first delivery receipt of a message to this recipient: each of its devices sends one, the sender
    /// gets one.
    pub fn first_delivery(&mut self, id: &str, recipient: &str) -> bool {
        if self.receipts.len() > REMEMBERED_IDS {
            self.receipts.clear();
        }
        self.receipts.insert((id.to_owned(), recipient.to_owned()))
    }
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

impl Device {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_new_once_and_reopened_only_for_whoever_asked() {
        let mut accepted = Accepted::default();
        let asker = DeviceAddress { number: "1".into(), device: 2 };
        let other = DeviceAddress { number: "1".into(), device: 3 };
        assert!(accepted.first_use(1, "A"));
        assert!(!accepted.first_use(1, "A"));
        assert!(accepted.first_use(2, "A"), "another device has ids of its own");
        accepted.reopen(1, "A", asker.clone());
        assert!(!accepted.take_reopened(1, "A", &other));
        assert!(accepted.take_reopened(1, "A", &asker));
        assert!(!accepted.take_reopened(1, "A", &asker));
    }
}
