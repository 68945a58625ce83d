//! A phone whose account wants its passkey: it waits until WhatsApp has seen the passkey, agrees with the companion on
//! a code that its owner compares, and only then links it.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use tokio::sync::mpsc::UnboundedReceiver;
use wacore::shortcake::ShortcakeUtils;
use wacore_libsignal::crypto::aes_256_gcm_decrypt;
use wacore_libsignal::protocol::{KeyPair, PublicKey};
use waproto::buffa::Message as _;
use waproto::whatsapp::{EncryptedPairingRequest, PairingRequest, PrimaryEphemeralIdentity};

use super::linking::{self, Candidate};
use crate::account::Account;
use crate::clock;
use crate::pairing::Registration;
use crate::passkey::{self, Ceremony, Event, Prologue, Stage};
use crate::rng;
use crate::stanza::with_bytes;
use crate::world::World;

/// A phone is a network away. whatsapp-rust counts on it: only after the server's answer to a step does it store what
/// it needs for the next, its session after the first step and the new secret after the last, and what comes on the
/// heels of that answer finds nothing.
const DISTANCE: Duration = Duration::from_millis(500);

/// The phone's half of the agreement.
struct Half {
    pair: KeyPair,
    nonce: [u8; 32],
}

/// Has the companion asked for the passkey; everything else happens in a task of its own.
pub async fn begin(
    world: &Arc<World>,
    account: &Arc<Account>,
    registration: &Arc<Registration>,
    candidate: Candidate,
) {
    let (ceremony, events) = match world.passkeys.open(world, &account.number) {
        Ok(opened) => opened,
        Err(error) => {
            log::error!("no passkey for {}: {error:#}", account.number);
            return registration.release();
        }
    };
    let half = {
        let mut phone = account.phone.lock().await;
        Half { pair: KeyPair::generate(&mut phone.rng), nonce: rng::bytes(&mut phone.rng) }
    };
    registration.set_ceremony(Some(ceremony.clone()));
    registration.notify(passkey::REQUEST, passkey::options_node(&ceremony));
    let (world, account, registration) = (world.clone(), account.clone(), registration.clone());
    tokio::spawn(async move {
        let conducted = conduct(&world, &account, &registration, &candidate, &ceremony, &half, events);
        let outcome = tokio::select! {
            biased;
            outcome = clock::within(world.passkeys.lifetime(), conducted) => outcome.unwrap_or(Err("timed_out")),
            () = ceremony.expired() => Err("timed_out"),
            () = registration.gone() => Err("companion_gone"),
        };
        registration.set_ceremony(None);
        match outcome {
            Ok(device_jid) => ceremony.advance(Stage::Linked { device_jid }),
            Err(reason) => {
                registration.release();
                ceremony.advance(Stage::Refused { reason });
            }
        }
    });
}

/// From the challenge to a linked device, or to the reason why not.
async fn conduct(
    world: &Arc<World>,
    account: &Arc<Account>,
    registration: &Registration,
    candidate: &Candidate,
    ceremony: &Ceremony,
    half: &Half,
    mut events: UnboundedReceiver<Event>,
) -> Result<String, &'static str> {
    const GONE: &str = "companion_gone";
    let prologue = loop {
        if let Event::Prologue(prologue) = events.recv().await.ok_or(GONE)? {
            break prologue;
        }
    };
    let continuity = match &prologue.proof {
        Some(proof) if is_continuous(candidate, &prologue, proof) => true,
        Some(_) => return Err("wrong_handoff_proof"),
        None => false,
    };
    tokio::time::sleep(DISTANCE).await;
    ceremony.advance(Stage::Continuation);
    let identity = PrimaryEphemeralIdentity {
        public_key: Some(half.pair.public_key.public_key_bytes().to_vec()),
        nonce: Some(half.nonce.to_vec()),
    };
    registration
        .notify("crsc_continuation", with_bytes("primary_ephemeral_identity", identity.encode_to_vec()));
    let nonce = loop {
        if let Event::Nonce(nonce) = events.recv().await.ok_or(GONE)? {
            break nonce;
        }
    };
    let code = half.code(&nonce).map_err(|_| "no_agreement")?;
    ceremony.advance(if continuity { Stage::Continuity { code } } else { Stage::Confirmation { code } });
    let (mut request, mut agreed) = (None, continuity);
    while request.is_none() || !agreed {
        match events.recv().await.ok_or(GONE)? {
            Event::Request(sealed) => request = Some(sealed),
            Event::Decision(true) => agreed = true,
            Event::Decision(false) => return Err("declined"),
            Event::Prologue(_) | Event::Nonce(_) => {}
        }
    }
    let opened = half.open(&prologue, &ceremony.reference, &request.unwrap_or_default());
    let renewed = opened.and_then(|request| newly_known(registration, request)).map_err(|error| {
        log::info!("phone {}: {error:#}", account.number);
        "wrong_pairing_request"
    })?;
    tokio::time::sleep(DISTANCE).await;
    let linked = linking::link(world, account, registration, &renewed).await;
    linked.map(|jid| jid.to_string()).map_err(|error| {
        log::info!("phone {}: {error:?}", account.number);
        "companion_refused"
    })
}

/// Whether the companion holds the secret that the phone read off its code.
fn is_continuous(candidate: &Candidate, prologue: &Prologue, proof: &[u8]) -> bool {
    let secret: Result<[u8; 32], _> = candidate.adv_secret.as_slice().try_into();
    let key = secret.ok().and_then(|secret| ShortcakeUtils::derive_pairing_handoff_hmac_key(&secret).ok());
    key.is_some_and(|key| ShortcakeUtils::compute_pairing_handoff_proof(&key, &prologue.payload) == proof)
}

/// The companion's static keys must be those it registered with; the secret is new.
fn newly_known(registration: &Registration, request: PairingRequest) -> Result<Candidate> {
    let identity = request.companion_identity_key.context("no identity")?;
    ensure!(identity == registration.published.identity, "another identity");
    ensure!(request.companion_public_key.as_deref() == Some(&registration.noise_static), "another noise key");
    let adv_secret = request.adv_secret.context("no secret")?;
    ensure!(adv_secret.len() == 32, "a secret that is none");
    Ok(Candidate { identity, adv_secret })
}

impl Half {
    /// The code in its two groups of four.
    fn code(&self, companion_nonce: &[u8; 32]) -> Result<String> {
        let public: [u8; 32] = self.pair.public_key.public_key_bytes().try_into()?;
        let code = ShortcakeUtils::derive_verification_code(companion_nonce, &public, &self.nonce);
        let (first, second) = code.split_at_checked(4).context("a short code")?;
        Ok(format!("{first}-{second}"))
    }

    fn open(&self, prologue: &Prologue, reference: &str, sealed: &[u8]) -> Result<PairingRequest> {
        let companion = PublicKey::from_djb_public_key_bytes(&prologue.public_key)?;
        let shared = self.pair.private_key.calculate_agreement(&companion)?;
        let key = ShortcakeUtils::derive_encryption_key_from_shared_secret(
            &shared,
            prologue.device_type,
            reference,
        )?;
        let sealed = EncryptedPairingRequest::decode_from_slice(sealed)?;
        let iv: [u8; 12] = sealed.iv.context("no IV")?.as_slice().try_into()?;
        let mut opened = Vec::new();
        aes_256_gcm_decrypt(
            &key,
            &iv,
            b"",
            &sealed.encrypted_payload.context("nothing sealed")?,
            &mut opened,
        )?;
        Ok(PairingRequest::decode_from_slice(&opened)?)
    }
}
