//! Secrets at rest: AES-256-GCM with a key of the deployment's, bound to the webhook they belong to. What is sealed says
//! by which key, so that the key can be replaced while the one before still opens what it sealed.

use aes_gcm::aead::{Aead, Payload};
use aes_gcm::{Aes256Gcm, Key, KeyInit, Nonce};
use base64::{Engine, engine::general_purpose::STANDARD, engine::general_purpose::URL_SAFE_NO_PAD};
use sha2::{Digest, Sha256};

use super::Secret;

/// The layout of what is sealed: `1.<key>.<nonce and ciphertext>`.
const VERSION: &str = "1";
const NONCE_BYTES: usize = 12;

/// The keys. It does not print.
#[derive(Clone)]
pub struct Vault {
    newest: SealingKey,
    previous: Option<SealingKey>,
}

#[derive(Clone)]
struct SealingKey {
    id: String,
    key: Key<Aes256Gcm>,
}

impl SealingKey {
    fn read(name: &str, text: &str) -> Result<Self, String> {
        let bytes: Option<[u8; 32]> =
            STANDARD.decode(text.trim()).ok().and_then(|bytes| bytes.try_into().ok());
        // What is wrong with a key is not repeated.
        let bytes = bytes.ok_or_else(|| format!("{name} is not the base64 of 32 bytes"))?;
        let digest = Sha256::digest([b"webhook secrets key ", &bytes[..]].concat());
        let id = URL_SAFE_NO_PAD.encode(digest.first_chunk::<6>().unwrap_or(&[0; 6]));
        Ok(Self { id, key: bytes.into() })
    }
}

impl Vault {
    /// With `WEBHOOK_SECRETS_KEY`, and `WEBHOOK_SECRETS_KEY_PREVIOUS` if there was another before; none where none is
    /// configured.
    ///
    /// # Errors
    /// With what is wrong.
    pub fn configured(newest: Option<&str>, previous: Option<&str>) -> Result<Option<Self>, String> {
        let key = |name, text: Option<&str>| text.map(|text| SealingKey::read(name, text)).transpose();
        let newest = key("WEBHOOK_SECRETS_KEY", newest)?;
        let previous = key("WEBHOOK_SECRETS_KEY_PREVIOUS", previous)?;
        Ok(newest.map(|newest| Self { newest, previous }))
    }

    /// Seals the secret of a webhook. A nonce must never be used twice: it is random.
    #[must_use]
    pub fn seal(&self, secret: &Secret, webhook: &str, nonce: [u8; NONCE_BYTES]) -> Option<String> {
        let payload = Payload { msg: secret.reveal().as_bytes(), aad: webhook.as_bytes() };
        let sealed = Aes256Gcm::new(&self.newest.key).encrypt(&Nonce::from(nonce), payload).ok()?;
        let sealed = URL_SAFE_NO_PAD.encode([&nonce[..], &sealed].concat());
        Some(format!("{VERSION}.{}.{sealed}", self.newest.id))
    }

    /// Opens what was sealed for the webhook; `None` when it was sealed with another key, for another webhook, or is
    /// damaged.
    #[must_use]
    pub fn open(&self, sealed: &str, webhook: &str) -> Option<Secret> {
        let rest = sealed.strip_prefix(VERSION)?.strip_prefix('.')?;
        let (id, sealed) = rest.split_once('.')?;
        let key =
            [Some(&self.newest), self.previous.as_ref()].into_iter().flatten().find(|key| key.id == id)?;
        let sealed = URL_SAFE_NO_PAD.decode(sealed).ok()?;
        let (nonce, ciphertext) = sealed.split_first_chunk::<NONCE_BYTES>()?;
        let payload = Payload { msg: ciphertext, aad: webhook.as_bytes() };
        let opened = Aes256Gcm::new(&key.key).decrypt(&Nonce::from(*nonce), payload).ok()?;
        String::from_utf8(opened).ok().map(Secret::stored)
    }

    /// Whether there was another key before, which some secrets may still be sealed with.
    #[must_use]
    pub const fn is_being_replaced(&self) -> bool {
        self.previous.is_some()
    }

    /// What everything begins with that is sealed with the newest key.
    #[must_use]
    pub fn beginning(&self) -> String {
        format!("{VERSION}.{}.", self.newest.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(byte: u8) -> String {
        STANDARD.encode([byte; 32])
    }

    fn vault(newest: u8, previous: Option<u8>) -> Vault {
        Vault::configured(Some(&key(newest)), previous.map(key).as_deref()).unwrap().unwrap()
    }

    #[test]
    fn what_is_sealed_opens_for_its_webhook_only() {
        let secret = Secret::mint([7; 32]);
        let vault = vault(1, None);
        let sealed = vault.seal(&secret, "webhook", [3; 12]).unwrap();
        assert!(sealed.starts_with(&vault.beginning()) && !sealed.contains(secret.reveal()));
        assert_eq!(vault.open(&sealed, "webhook"), Some(secret.clone()));
        assert_eq!(vault.open(&sealed, "another"), None);
        assert_ne!(vault.seal(&secret, "webhook", [4; 12]), Some(sealed));
    }

    #[test]
    fn whatever_is_damaged_does_not_open() {
        let vault = vault(1, None);
        let sealed = vault.seal(&Secret::mint([7; 32]), "webhook", [3; 12]).unwrap();
        for place in 0..sealed.len() {
            let mut damaged = sealed.clone().into_bytes();
            damaged[place] = if damaged[place] == b'x' { b'y' } else { b'x' };
            let damaged = String::from_utf8(damaged).unwrap();
            assert_eq!(vault.open(&damaged, "webhook"), None, "{place}");
        }
        for length in 0..sealed.len() {
            let cut: String = sealed.chars().take(length).collect();
            assert_eq!(vault.open(&cut, "webhook"), None, "{length}");
        }
        for other in ["", "1", "1.", "1..", "2.a.b", "plain"] {
            assert_eq!(vault.open(other, "webhook"), None, "{other}");
        }
    }

    #[test]
    fn a_key_that_was_replaced_still_opens_and_seals_no_more() {
        let secret = Secret::mint([7; 32]);
        let before = vault(1, None).seal(&secret, "webhook", [3; 12]).unwrap();
        let rotated = vault(2, Some(1));
        assert_eq!(rotated.open(&before, "webhook"), Some(secret.clone()));
        assert!(!before.starts_with(&rotated.beginning()));
        let after = rotated.seal(&secret, "webhook", [3; 12]).unwrap();
        assert!(after.starts_with(&rotated.beginning()));
        assert_eq!(vault(2, None).open(&after, "webhook"), Some(secret));
        assert_eq!(
            (vault(2, None).open(&before, "webhook"), vault(3, None).open(&after, "webhook")),
            (None, None)
        );
    }

    /// What is stored outlives deploys. Made with Python's `cryptography`.
    #[test]
    fn the_layout_is_pinned() {
        let sealed = "1.WCRZ8Y_h.AwMDAwMDAwMDAwMDyFAmqcuxAV6VxYcFr31BzvCea9m7szf-TC2OKglgN6k";
        assert_eq!(
            vault(1, None).open(sealed, "webhook").map(|secret| secret.reveal().to_owned()),
            Some("0123456789abcdef".to_owned())
        );
    }

    #[test]
    fn a_key_that_is_none_is_named_and_not_repeated() {
        assert!(Vault::configured(None, None).unwrap().is_none());
        assert!(Vault::configured(None, Some(&key(1))).unwrap().is_none());
        for wrong in ["x", "c2hvcnQ=", &STANDARD.encode([1; 33]), &STANDARD.encode([1; 31])] {
            let said = Vault::configured(Some(wrong), None).err().unwrap();
            assert!(said.starts_with("WEBHOOK_SECRETS_KEY is") && !said.contains(wrong), "{said}");
            let said = Vault::configured(Some(&key(1)), Some(wrong)).err().unwrap();
            assert!(said.starts_with("WEBHOOK_SECRETS_KEY_PREVIOUS is"), "{said}");
        }
    }
}
