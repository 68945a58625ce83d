//! A phone's Signal state in memory. Four separate stores, because libsignal borrows them separately.

use std::collections::HashMap;

use async_trait::async_trait;
use wacore_libsignal::protocol::error::Result;
use wacore_libsignal::protocol::{
    Direction, GenericSignedPreKey as _, IdentityChange, IdentityKey, IdentityKeyPair, IdentityKeyStore,
    KeyPair, PreKeyId, PreKeyRecord, PreKeyStore, ProtocolAddress, SessionRecord, SessionStore,
    SignalProtocolError, SignedPreKeyId, SignedPreKeyRecord, SignedPreKeyStore, Timestamp,
};

use crate::clock;
use crate::prekeys::SignedKey;

/// All four.
pub struct SignalStore {
    pub sessions: Sessions,
    pub identities: Identities,
    pub pre_keys: PreKeys,
    pub signed_pre_keys: SignedPreKeys,
}

impl SignalStore {
    pub fn new(
        own: IdentityKeyPair,
        registration_id: u32,
        signed_pair: &KeyPair,
        signed: &SignedKey,
    ) -> Self {
        let created = Timestamp::from_epoch_millis(clock::unix_millis());
        let record = SignedPreKeyRecord::new(signed.id.into(), created, signed_pair, &signed.signature);
        Self {
            sessions: Sessions::default(),
            identities: Identities { own, registration_id, known: HashMap::new() },
            pre_keys: PreKeys::default(),
            signed_pre_keys: SignedPreKeys(HashMap::from([(signed.id, record)])),
        }
    }
}

/// Sessions by device.
#[derive(Default)]
pub struct Sessions(HashMap<String, SessionRecord>);

impl Sessions {
    pub fn contains(&self, address: &ProtocolAddress) -> bool {
        self.0.contains_key(address.as_str())
    }

    pub fn remove(&mut self, address: &ProtocolAddress) {
        self.0.remove(address.as_str());
    }
}

#[async_trait]
impl SessionStore for Sessions {
    async fn load_session(&self, address: &ProtocolAddress) -> Result<Option<SessionRecord>> {
        Ok(self.0.get(address.as_str()).cloned())
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
pub struct Identities {
    own: IdentityKeyPair,
    registration_id: u32,
    known: HashMap<String, IdentityKey>,
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
        Ok(self.known.get(address.as_str()).copied())
    }
}

/// The private halves of the published one-time prekeys.
#[derive(Default)]
pub struct PreKeys(HashMap<u32, PreKeyRecord>);

impl PreKeys {
    pub fn insert(&mut self, id: u32, pair: &KeyPair) {
        self.0.insert(id, PreKeyRecord::new(id.into(), pair));
    }

    pub fn remove(&mut self, id: u32) {
        self.0.remove(&id);
    }
}

#[async_trait]
impl PreKeyStore for PreKeys {
    async fn get_pre_key(&self, id: PreKeyId) -> Result<PreKeyRecord> {
        self.0.get(&id.into()).cloned().ok_or(SignalProtocolError::InvalidPreKeyId)
    }

    async fn save_pre_key(&mut self, id: PreKeyId, record: &PreKeyRecord) -> Result<()> {
        self.0.insert(id.into(), record.clone());
        Ok(())
    }

    async fn remove_pre_key(&mut self, id: PreKeyId) -> Result<()> {
        self.0.remove(&id.into());
        Ok(())
    }
}

/// The private half of the signed prekey.
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
