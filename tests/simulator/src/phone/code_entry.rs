//! A person types a companion's pairing code on the phone. Whether it was the right one shows only at the end: the
//! phone and the companion each unwrap the other's key with the code they have, and with two different codes the phone
//! can't open what the companion sends.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use tokio::task::spawn_blocking;
use wacore::crypto::hkdf_sha256_into;
use wacore::pair_code::PairCodeUtils;
use wacore_binary::builder::NodeBuilder;
use wacore_libsignal::crypto::aes_256_gcm_decrypt;
use wacore_libsignal::protocol::{KeyPair, PublicKey};

use super::Phone;
use super::linking::{self, Candidate, Progress};
use crate::account::Account;
use crate::clock;
use crate::link_code::{Finish, LinkCode, Unusable, WRAPPED_KEY};
use crate::pairing::{Registration, ScanError};
use crate::stanza::with_bytes;
use crate::world::World;

/// How long a companion may take to answer, which includes to connect again.
const ANSWER_LIMIT: Duration = Duration::from_secs(15);
const BUNDLE_KEY: &[u8] = b"link_code_pairing_key_bundle_encryption_key";
const ADV_SECRET: &[u8] = b"adv_secret";

/// Why nothing came of a code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryError {
    /// No code looks like that.
    Malformed,
    /// No companion shows a code for this number.
    Unknown,
    Unusable(Unusable),
    Link(ScanError),
}

/// A phone's half of the exchange.
struct Primary {
    ephemeral: KeyPair,
    identity: Vec<u8>,
}

/// From the typed code to a linked device.
pub async fn enter(world: &Arc<World>, account: &Arc<Account>, typed: &str) -> Result<Progress, EntryError> {
    let code = readable(typed)?;
    let shown = world.link_codes.of(&account.number).ok_or(EntryError::Unknown)?;
    let typing = shown.typing.lock().await;
    // Somebody else may have linked with it meanwhile.
    let current = world.link_codes.of(&account.number);
    if !current.is_some_and(|current| Arc::ptr_eq(&current, &shown)) {
        return Err(EntryError::Unknown);
    }
    shown.usable().map_err(EntryError::Unusable)?;
    let primary = {
        let mut phone = account.phone.lock().await;
        let identity = phone.identity.public_key().public_key_bytes().to_vec();
        Primary { ephemeral: KeyPair::generate(&mut phone.rng), identity }
    };
    let unwrapped = unwrap(&shown, &primary, code).await.map_err(|_| mismatch())?;
    shown.attempt().map_err(EntryError::Unusable)?;
    let (registration, finish) = exchange(world, &shown, &primary, &unwrapped.own_wrapped).await?;
    let candidate = {
        let phone = account.phone.lock().await;
        phone.open_bundle(&primary, &unwrapped.companion_key, &finish).map_err(|error| {
            log::info!("phone {}: a code that doesn't fit: {error:#}", account.number);
            mismatch()
        })?
    };
    if candidate.identity != registration.published.identity || candidate.identity != finish.identity {
        return Err(EntryError::Link(ScanError::Mismatch(
            "the identity is not the one the client registered with",
        )));
    }
    registration.take().map_err(EntryError::Link)?;
    let progress =
        linking::admit(world, account, &registration, candidate).await.map_err(EntryError::Link)?;
    world.link_codes.forget(&account.number);
    drop(typing);
    Ok(progress)
}

/// The code without what people put between its halves.
fn readable(typed: &str) -> Result<String, EntryError> {
    let code: String = typed.chars().filter(|letter| !matches!(letter, '-' | ' ')).collect();
    let code = code.to_ascii_uppercase();
    if PairCodeUtils::validate_code(&code) { Ok(code) } else { Err(EntryError::Malformed) }
}

fn mismatch() -> EntryError {
    EntryError::Link(ScanError::Mismatch("this is not the code that the companion shows"))
}

struct Unwrapped {
    companion_key: [u8; 32],
    own_wrapped: [u8; WRAPPED_KEY],
}

/// Both derivations of a key from the code: 131,072 rounds each, so not on a thread that serves others.
async fn unwrap(shown: &LinkCode, primary: &Primary, code: String) -> Result<Unwrapped> {
    let wrapped = shown.wrapped_key.clone();
    let own: [u8; 32] = primary.ephemeral.public_key.public_key_bytes().try_into()?;
    let derived = spawn_blocking(move || {
        let companion_key = PairCodeUtils::decrypt_primary_ephemeral_pub(&wrapped, &code)?;
        anyhow::Ok(Unwrapped {
            companion_key,
            own_wrapped: PairCodeUtils::encrypt_ephemeral_pub(&own, &code),
        })
    });
    derived.await?
}

/// Tells the companion that its code was typed, and waits for its answer. It is told again when it has connected
/// again.
async fn exchange(
    world: &Arc<World>,
    shown: &LinkCode,
    primary: &Primary,
    wrapped: &[u8; WRAPPED_KEY],
) -> Result<(Arc<Registration>, Finish), EntryError> {
    let answered = clock::within(ANSWER_LIMIT, async {
        loop {
            let registration = world.link_codes.companion(world, shown).await;
            let finish = shown.expect_finish();
            let hello =
                NodeBuilder::new("link_code_companion_reg").attr("stage", "primary_hello").children([
                    with_bytes("link_code_pairing_wrapped_primary_ephemeral_pub", *wrapped),
                    with_bytes("primary_identity_pub", primary.identity.clone()),
                    with_bytes("link_code_pairing_ref", shown.reference.clone()),
                ]);
            registration.notify("link_code_companion_reg", hello.build());
            tokio::select! {
                biased;
                Ok(finish) = finish => return (registration, finish),
                () = registration.gone() => {}
            }
        }
    });
    answered.await.ok_or(EntryError::Link(ScanError::TimedOut))
}

impl Phone {
    /// Opens the companion's key bundle: its identity, and the secret both have come to.
    fn open_bundle(&self, primary: &Primary, companion_key: &[u8], finish: &Finish) -> Result<Candidate> {
        let (salt, rest) = finish.bundle.split_first_chunk::<32>().context("no salt")?;
        let (iv, sealed) = rest.split_first_chunk::<12>().context("no IV")?;
        let companion_key = PublicKey::from_djb_public_key_bytes(companion_key)?;
        let ephemeral = primary.ephemeral.private_key.calculate_agreement(&companion_key)?;
        let mut key = [0; 32];
        hkdf_sha256_into(&ephemeral, Some(salt), BUNDLE_KEY, &mut key)?;
        let mut opened = Vec::new();
        aes_256_gcm_decrypt(&key, iv, b"", sealed, &mut opened)?;
        let (companion, rest) = opened.split_first_chunk::<32>().context("no companion identity")?;
        let (own, random) = rest.split_first_chunk::<32>().context("no primary identity")?;
        ensure!(own.as_slice() == primary.identity, "the bundle is for another phone");
        ensure!(random.len() == 32, "no random part");
        let companion_identity = PublicKey::from_djb_public_key_bytes(companion)?;
        let identities = self.identity.private_key().calculate_agreement(&companion_identity)?;
        let mut adv_secret = [0; 32];
        let shared = [ephemeral.as_slice(), identities.as_slice(), random].concat();
        hkdf_sha256_into(&shared, None, ADV_SECRET, &mut adv_secret)?;
        Ok(Candidate { identity: companion.to_vec(), adv_secret: adv_secret.to_vec() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_read_the_way_people_write_it() {
        assert_eq!(readable("abcd-1234"), Ok("ABCD1234".to_owned()));
        assert_eq!(readable(" ABCD 1234 "), Ok("ABCD1234".to_owned()));
        for typed in ["", "ABCD123", "ABCD12345", "OIU01234", "ABCD-12é"] {
            assert_eq!(readable(typed), Err(EntryError::Malformed), "{typed}");
        }
    }
}
