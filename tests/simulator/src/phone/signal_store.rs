//! A phone's Signal state. Five separate stores, because libsignal borrows them separately; each remembers what has
//! changed since it was last written down.

use std::collections::{HashMap, HashSet};

use async_trait::async_trait;
use wacore_libsignal::protocol::error::Result;
use wacore_libsignal::protocol::{
    Direction, IdentityChange, IdentityKey, IdentityKeyPair, IdentityKeyStore, KeyPair, PreKeyId,
    PreKeyRecord, PreKeyStore, ProtocolAddress, SenderKeyName, SenderKeyRecord, SenderKeyStore,
    SessionRecord, SessionStore, SignalProtocolError, SignedPreKeyId, SignedPreKeyRecord, SignedPreKeyStore,
};

use crate::store::{Kind, Rows, Shelf};

/// All five.
#[derive(Clone)]
pub struct SignalStore {
    pub sessions: Sessions,
    pub identities: Identities,
    pub pre_keys: PreKeys,
    pub signed_pre_keys: SignedPreKeys,
    pub sender_keys: SenderKeys,
}

impl SignalStore {
    pub fn new(
        own: IdentityKeyPair,
        registration_id: u32,
        signed_id: u32,
        signed: SignedPreKeyRecord,
    ) -> Self {
        Self {
            sessions: Sessions::default(),
            identities: Identities { own, registration_id, known: Tracked::default() },
            pre_keys: PreKeys::default(),
            signed_pre_keys: SignedPreKeys(HashMap::from([(signed_id, signed)])),
            sender_keys: SenderKeys::default(),
        }
    }

    /// Takes in what was kept for this phone.
    pub fn restore(&mut self, rows: &mut Rows, number: &str) -> Result<()> {
        for (address, record) in rows.take(Kind::Session, number) {
            self.sessions.0.now.insert(address, SessionRecord::deserialize(&record)?);
        }
        for (address, key) in rows.take(Kind::Identity, number) {
            self.identities.known.now.insert(address, IdentityKey::try_from(key.as_slice())?);
        }
        for (_, record) in rows.take(Kind::PreKey, number) {
            let record = PreKeyRecord::deserialize(&record)?;
            self.pre_keys.0.now.insert(record.id()?.into(), record);
        }
        for (name, record) in rows.take(Kind::SenderKey, number) {
            self.sender_keys.0.now.insert(name, SenderKeyRecord::deserialize(&record)?);
        }
        Ok(())
    }

    /// Writes down what has changed.
    pub fn keep(&mut self, home: &Shelf) {
        self.sessions.0.keep(home, Kind::Session, |record| record.serialize().unwrap_or_default());
        self.identities.known.keep(home, Kind::Identity, |key| key.serialize().to_vec());
        self.pre_keys.0.keep(home, Kind::PreKey, |record| record.serialize().unwrap_or_default());
        self.sender_keys.0.keep(home, Kind::SenderKey, |record| record.serialize().unwrap_or_default());
    }
}

/// Entries, and which of them are not on disk as they are now.
#[derive(Clone)]
struct Tracked<K, V> {
    now: HashMap<K, V>,
    changed: HashSet<K>,
}

impl<K, V> Default for Tracked<K, V> {
    fn default() -> Self {
        Self { now: HashMap::new(), changed: HashSet::new() }
    }
}

impl<K: Clone + Eq + std::hash::Hash + ToString, V> Tracked<K, V> {
    fn insert(&mut self, key: K, value: V) -> Option<V> {
        self.changed.insert(key.clone());
        self.now.insert(key, value)
    }

    fn remove(&mut self, key: K) {
        if self.now.remove(&key).is_some() {
            self.changed.insert(key);
        }
    }

    fn keep(&mut self, home: &Shelf, kind: Kind, bytes: impl Fn(&V) -> Vec<u8>) {
        for key in self.changed.drain() {
            match self.now.get(&key) {
                Some(value) => home.put(kind, key.to_string(), || bytes(value)),
                None => home.delete(kind, key.to_string()),
            }
        }
    }
}

/// Sessions by device.
#[derive(Clone, Default)]
pub struct Sessions(Tracked<String, SessionRecord>);

impl Sessions {
    pub fn contains(&self, address: &ProtocolAddress) -> bool {
        self.0.now.contains_key(address.as_str())
    }

    pub fn remove(&mut self, address: &ProtocolAddress) {
        self.0.remove(address.as_str().to_owned());
    }
}

#[async_trait]
impl SessionStore for Sessions {
    async fn load_session(&self, address: &ProtocolAddress) -> Result<Option<SessionRecord>> {
        let Some(mut record) = self.0.now.get(address.as_str()).cloned() else { return Ok(None) };
        // Every step is on disk before its ciphertext leaves, so no counters need to be reserved for a crash.
        record.waive_counter_lease();
        Ok(Some(record))
    }

    async fn has_session(&self, address: &ProtocolAddress) -> Result<bool> {
        Ok(self.contains(address))
    }

    async fn store_session(&mut self, address: &ProtocolAddress, record: SessionRecord) -> Result<()> {
        self.0.insert(address.as_str().to_owned(), record);
        Ok(())
    }
}

/// The own identity, and those of others as they were last seen.
#[derive(Clone)]
pub struct Identities {
    own: IdentityKeyPair,
    registration_id: u32,
    known: Tracked<String, IdentityKey>,
}

#[async_trait]
impl IdentityKeyStore for Identities {
    async fn get_identity_key_pair(&self) -> Result<IdentityKeyPair> {
        Ok(self.own.clone())
    }

    async fn get_local_registration_id(&self) -> Result<u32> {
        Ok(self.registration_id)
    }

    async fn save_identity(
        &mut self,
        address: &ProtocolAddress,
        identity: &IdentityKey,
    ) -> Result<IdentityChange> {
        let before = self.known.insert(address.as_str().to_owned(), *identity);
        Ok(IdentityChange::from_changed(before.is_some_and(|before| before != *identity)))
    }

    /// A phone goes on talking to somebody whose identity has changed; it only tells its user.
    async fn is_trusted_identity(&self, _: &ProtocolAddress, _: &IdentityKey, _: Direction) -> Result<bool> {
        Ok(true)
    }

    async fn get_identity(&self, address: &ProtocolAddress) -> Result<Option<IdentityKey>> {
        Ok(self.known.now.get(address.as_str()).copied())
    }
}

/// The private halves of the published one-time prekeys.
#[derive(Clone, Default)]
pub struct PreKeys(Tracked<u32, PreKeyRecord>);

impl PreKeys {
    pub fn insert(&mut self, id: u32, pair: &KeyPair) {
        self.0.insert(id, PreKeyRecord::new(id.into(), pair));
    }

    pub fn remove(&mut self, id: u32) {
        self.0.remove(id);
    }
}

#[async_trait]
impl PreKeyStore for PreKeys {
    async fn get_pre_key(&self, id: PreKeyId) -> Result<PreKeyRecord> {
        self.0.now.get(&id.into()).cloned().ok_or(SignalProtocolError::InvalidPreKeyId)
    }

    async fn save_pre_key(&mut self, id: PreKeyId, record: &PreKeyRecord) -> Result<()> {
        self.0.insert(id.into(), record.clone());
        Ok(())
    }

    async fn remove_pre_key(&mut self, id: PreKeyId) -> Result<()> {
        self.0.remove(id.into());
        Ok(())
    }
}

/// The private half of the signed prekey.
#[derive(Clone)]
pub struct SignedPreKeys(HashMap<u32, SignedPreKeyRecord>);

#[async_trait]
impl SignedPreKeyStore for SignedPreKeys {
    async fn get_signed_pre_key(&self, id: SignedPreKeyId) -> Result<SignedPreKeyRecord> {
        self.0.get(&id.into()).cloned().ok_or(SignalProtocolError::InvalidSignedPreKeyId)
    }

    async fn save_signed_pre_key(&mut self, id: SignedPreKeyId, record: &SignedPreKeyRecord) -> Result<()> {
        self.0.insert(id.into(), record.clone());
        Ok(())
    }
}

/// The keys under which people, this phone among them, write in groups.
#[derive(Clone, Default)]
pub struct SenderKeys(Tracked<String, SenderKeyRecord>);

impl SenderKeys {
    pub fn remove(&mut self, name: &SenderKeyName) {
        self.0.remove(name.cache_key().to_owned());
    }
}

#[async_trait]
impl SenderKeyStore for SenderKeys {
    async fn store_sender_key(&mut self, name: &SenderKeyName, record: SenderKeyRecord) -> Result<()> {
        self.0.insert(name.cache_key().to_owned(), record);
        Ok(())
    }

    async fn load_sender_key(&self, name: &SenderKeyName) -> Result<Option<SenderKeyRecord>> {
        Ok(self.0.now.get(name.cache_key()).cloned())
    }
}
