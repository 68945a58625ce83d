//! The certificate chain a client checks inside the Noise handshake: root → intermediate → leaf, where the leaf's key
//! is the server's static key. The root is our own, made from the seed; its public half is what a client must trust.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use anyhow::Result;
use rand::rngs::StdRng;
use wacore_libsignal::protocol::KeyPair;
use waproto::buffa::{Message as _, MessageField};
use waproto::whatsapp::CertChain;
use waproto::whatsapp::cert_chain::NoiseCertificate;
use waproto::whatsapp::cert_chain::noise_certificate::Details;

use crate::{clock, rng};

const DAY: u64 = 86_400;
const YEAR: u64 = 365 * DAY;
/// Serial numbers a client insists on: the root is 0 and issues the intermediate, which issues the leaf.
const ROOT_SERIAL: u32 = 0;
const INTERMEDIATE_SERIAL: u32 = 1;
const LEAF_SERIAL: u32 = 2;

/// What the server shows in one handshake.
pub struct ServerIdentity {
    /// The static Noise key.
    pub key_pair: KeyPair,
    /// The encoded `CertChain`.
    pub chain: Vec<u8>,
}

/// Which lie a `wrong_certificate` fault tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Forgery {
    /// A well-formed chain under another root.
    Root,
    /// A chain of the right root whose leaf names another key than the handshake uses.
    LeafKey,
}

/// Root and intermediate, and the identity in use.
pub struct Authority {
    seed: u64,
    root: KeyPair,
    intermediate: KeyPair,
    rng: Mutex<StdRng>,
    current: RwLock<Arc<ServerIdentity>>,
    rotations: AtomicU64,
}

impl Authority {
    pub fn new(seed: u64) -> Result<Self> {
        let mut rng = rng::derive(seed, "certificate", "authority");
        let root = KeyPair::generate(&mut rng);
        let intermediate = KeyPair::generate(&mut rng);
        let leaf = KeyPair::generate(&mut rng);
        let chain = sign_chain(&root, &intermediate, leaf.public_key.public_key_bytes(), &mut rng)?;
        let current = RwLock::new(Arc::new(ServerIdentity { key_pair: leaf, chain }));
        Ok(Self { seed, root, intermediate, rng: Mutex::new(rng), current, rotations: AtomicU64::new(0) })
    }

    /// The 32 bytes a client must hold as WhatsApp's root.
    pub fn root_public_key(&self) -> [u8; 32] {
        self.root.public_key.public_key_bytes().try_into().unwrap_or_default()
    }

    pub fn current(&self) -> Arc<ServerIdentity> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A new static key under the same root: a client's cached one is then worth nothing and IK must fall back.
    pub fn rotate(&self) -> Result<()> {
        let identity = {
            let mut rng = self.rng.lock().unwrap_or_else(PoisonError::into_inner);
            let leaf = KeyPair::generate(&mut *rng);
            let key = leaf.public_key.public_key_bytes();
            let chain = sign_chain(&self.root, &self.intermediate, key, &mut rng)?;
            ServerIdentity { key_pair: leaf, chain }
        };
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(identity);
        self.rotations.fetch_add(1, Ordering::AcqRel);
        Ok(())
    }

    /// How often the key has been rotated since it came from the seed.
    pub fn rotations(&self) -> u64 {
        self.rotations.load(Ordering::Acquire)
    }

    /// The current key with a chain that must not be believed.
    pub fn forged(&self, forgery: Forgery) -> Result<ServerIdentity> {
        let mut rng = rng::derive(self.seed, "certificate", "forger");
        let stranger = KeyPair::generate(&mut rng);
        let key_pair = self.current().key_pair.clone();
        let chain = match forgery {
            Forgery::Root => {
                sign_chain(&stranger, &self.intermediate, key_pair.public_key.public_key_bytes(), &mut rng)?
            }
            Forgery::LeafKey => {
                sign_chain(&self.root, &self.intermediate, stranger.public_key.public_key_bytes(), &mut rng)?
            }
        };
        Ok(ServerIdentity { key_pair, chain })
    }
}

fn sign_chain(root: &KeyPair, intermediate: &KeyPair, leaf: &[u8], rng: &mut StdRng) -> Result<Vec<u8>> {
    let now = clock::unix_seconds();
    let mut certify = |issuer: &KeyPair, serial, issuer_serial, key: &[u8]| -> Result<NoiseCertificate> {
        let details = Details {
            serial: Some(serial),
            issuer_serial: Some(issuer_serial),
            key: Some(key.to_vec()),
            not_before: Some(now.saturating_sub(DAY)),
            not_after: Some(now + YEAR),
        }
        .encode_to_vec();
        let signature = issuer.calculate_signature(&details, rng)?.to_vec();
        Ok(NoiseCertificate { details: Some(details), signature: Some(signature) })
    };
    let intermediate_key = intermediate.public_key.public_key_bytes();
    Ok(CertChain {
        intermediate: MessageField::some(certify(root, INTERMEDIATE_SERIAL, ROOT_SERIAL, intermediate_key)?),
        leaf: MessageField::some(certify(intermediate, LEAF_SERIAL, INTERMEDIATE_SERIAL, leaf)?),
    }
    .encode_to_vec())
}
