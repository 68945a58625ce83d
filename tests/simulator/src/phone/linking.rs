//! What a phone does about its companions: it scans their code, signs them into the account, tells a new one what it
//! needs to know, and throws one out. (Typed codes are in `code_entry`, passkeys in `handoff`.)

use std::io::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use anyhow::{Context as _, Result};
use flate2::Compression;
use flate2::write::ZlibEncoder;
use hmac::{Hmac, KeyInit as _, Mac as _};
use rand::rngs::StdRng;
use sha2::Sha256;
use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node};
use wacore_libsignal::protocol::{IdentityKeyPair, PublicKey};
use waproto::buffa::{Message as _, MessageField};
use waproto::whatsapp::message::protocol_message::Type;
use waproto::whatsapp::message::{HistorySyncNotification, HistorySyncType, ProtocolMessage};
use waproto::whatsapp::{
    ADVDeviceIdentity, ADVEncryptionType, ADVKeyIndexList, ADVSignedDeviceIdentity,
    ADVSignedDeviceIdentityHMAC, ADVSignedKeyIndexList, HistorySync, Message, Pushname, history_sync,
};

use super::{Phone, address, handoff, sending};
use crate::account::{Account, Device, Logins};
use crate::connection::Outgoing;
use crate::mailbox::Mailbox;
use crate::pairing::{QrCode, Registration, ScanError};
use crate::usync::{self, Change};
use crate::world::World;
use crate::{clock, stanza};

/// What a signature is made over begins with what it is for.
const ACCOUNT_SIGNATURE: [u8; 2] = [6, 0];
const DEVICE_SIGNATURE: [u8; 2] = [6, 1];
const KEY_INDEX_LIST_SIGNATURE: [u8; 2] = [6, 2];

/// What a phone has learnt of the companion it is about to link.
pub struct Candidate {
    pub identity: Vec<u8>,
    /// What only the two of them know.
    pub adv_secret: Vec<u8>,
}

/// How far a link has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    Linked(Jid),
    /// The account wants its passkey first: what happens next is up to its owner.
    Passkey,
}

/// Scans a companion's QR code: from the code to a linked device, or to the passkey.
pub async fn scan(world: &Arc<World>, account: &Arc<Account>, qr: &str) -> Result<Progress, ScanError> {
    let code = QrCode::parse(qr)?;
    let registration = Registration::claim(world, &code)?;
    let candidate = Candidate { identity: code.identity, adv_secret: code.adv_secret };
    admit(world, account, &registration, candidate).await
}

/// Links the companion whose registration has been taken for this phone, as soon as the account allows it.
pub async fn admit(
    world: &Arc<World>,
    account: &Arc<Account>,
    registration: &Arc<Registration>,
    candidate: Candidate,
) -> Result<Progress, ScanError> {
    if account.passkey_required.load(Ordering::Relaxed) {
        handoff::begin(world, account, registration, candidate).await;
        return Ok(Progress::Passkey);
    }
    link(world, account, registration, &candidate).await.map(Progress::Linked)
}

/// From the last thing a phone had to know to a linked device.
pub async fn link(
    world: &Arc<World>,
    account: &Arc<Account>,
    registration: &Registration,
    candidate: &Candidate,
) -> Result<Jid, ScanError> {
    let linked = offer_place(world, account, registration, candidate).await;
    if linked.is_err() {
        registration.release();
    }
    linked
}

async fn offer_place(
    world: &Arc<World>,
    account: &Arc<Account>,
    registration: &Registration,
    candidate: &Candidate,
) -> Result<Jid, ScanError> {
    let offer = {
        let mut phone = account.phone.lock().await;
        phone.sign_companion(candidate).map_err(|_| ScanError::Mismatch("the identity is no key"))?
    };
    let jid = Jid::pn_device(account.number.as_str(), offer.device);
    let answer = registration.offer(offer.pair_success(account)).await?;
    let signed = offer.verify(&answer, &candidate.identity)?;

    let mut published = registration.published.clone();
    published.device_identity = Some(signed);
    account.add_device(Arc::new(Device {
        number: account.number.clone(),
        lid: account.lid.clone(),
        id: offer.device,
        key_index: offer.key_index,
        noise_static: registration.noise_static,
        keys: Mutex::new(published),
        mailbox: Mailbox::default(),
        logins: Mutex::new(Logins::default()),
        bootstrapped: AtomicBool::new(false),
    }));
    publish_key_indexes(account).await;
    registration.restart();
    usync::announce(world, account, offer.device, offer.key_index, Change::Added);
    log::info!("linked {jid}");
    Ok(jid)
}

/// A companion's place in the account, signed by the phone.
struct Offer {
    device: u16,
    key_index: u32,
    details: Vec<u8>,
    account_key: Vec<u8>,
    /// The encoded `ADVSignedDeviceIdentityHMAC`.
    container: Vec<u8>,
}

impl Phone {
    fn sign_companion(&mut self, candidate: &Candidate) -> Result<Offer> {
        let (device, key_index) = (self.next_device, self.next_key_index);
        self.next_device += 1;
        self.next_key_index += 1;
        // Never a second time, whatever becomes of this companion.
        self.keep();
        let details = ADVDeviceIdentity {
            raw_id: Some(self.adv_id),
            timestamp: Some(clock::unix_seconds()),
            key_index: Some(key_index),
            account_type: Some(ADVEncryptionType::E2EE),
            device_type: Some(ADVEncryptionType::E2EE),
        }
        .encode_to_vec();
        PublicKey::from_djb_public_key_bytes(&candidate.identity)?;
        let message = [&ACCOUNT_SIGNATURE, details.as_slice(), &candidate.identity].concat();
        let signature = self.identity.private_key().calculate_signature(&message, &mut self.rng)?;
        let account_key = self.identity.public_key().public_key_bytes().to_vec();
        let signed = ADVSignedDeviceIdentity {
            details: Some(details.clone()),
            account_signature_key: Some(account_key.clone()),
            account_signature: Some(signature.to_vec()),
            device_signature: None,
        }
        .encode_to_vec();
        let mut mac = Hmac::<Sha256>::new_from_slice(&candidate.adv_secret)?;
        mac.update(&signed);
        let container = ADVSignedDeviceIdentityHMAC {
            details: Some(signed),
            hmac: Some(mac.finalize().into_bytes().to_vec()),
            account_type: None,
        }
        .encode_to_vec();
        Ok(Offer { device, key_index, details, account_key, container })
    }
}

impl Offer {
    fn pair_success(&self, account: &Account) -> Node {
        let device = NodeBuilder::new("device")
            .attr("jid", account.pn().with_device(self.device))
            .attr("lid", account.lid().with_device(self.device));
        NodeBuilder::new("pair-success")
            .children([
                stanza::with_bytes("device-identity", self.container.clone()),
                NodeBuilder::new("platform").attr("name", "android").build(),
                device.build(),
            ])
            .build()
    }

    /// The companion's own signature over its place, with the key it showed in its code. Baileys leaves the account
    /// key out of its answer, so the phone's own copy counts.
    fn verify(&self, answer: &Node, identity: &[u8]) -> Result<Vec<u8>, ScanError> {
        if stanza::attr(answer, "type") == "error" {
            return Err(ScanError::Refused("the companion answered with an error"));
        }
        let signed = answer
            .get_optional_child("pair-device-sign")
            .and_then(|sign| sign.get_optional_child("device-identity"))
            .map(|node| stanza::content(node).to_vec())
            .ok_or(ScanError::Refused("the companion answered without its signature"))?;
        let decoded = ADVSignedDeviceIdentity::decode_from_slice(&signed)
            .map_err(|_| ScanError::Refused("the companion's identity can't be read"))?;
        let message = [&DEVICE_SIGNATURE, self.details.as_slice(), identity, &self.account_key].concat();
        let verified = decoded.details.as_deref() == Some(&self.details)
            && PublicKey::from_djb_public_key_bytes(identity).is_ok_and(|key| {
                key.verify_signature(&message, decoded.device_signature.as_deref().unwrap_or_default())
            });
        if verified { Ok(signed) } else { Err(ScanError::Refused("the companion's signature is wrong")) }
    }
}

/// Signs the list of the account's companions.
pub(super) fn sign_key_indexes(
    identity: &IdentityKeyPair,
    adv_id: u32,
    rng: &mut StdRng,
    account: &Account,
    now: u64,
) -> Result<()> {
    let valid_indexes: Vec<u32> = account.devices().iter().map(|device| device.key_index).collect();
    let details = ADVKeyIndexList {
        raw_id: Some(adv_id),
        timestamp: Some(now),
        current_index: valid_indexes.iter().copied().max(),
        valid_indexes,
        account_type: Some(ADVEncryptionType::E2EE),
    }
    .encode_to_vec();
    let message = [&KEY_INDEX_LIST_SIGNATURE, details.as_slice()].concat();
    let signature = identity.private_key().calculate_signature(&message, rng)?;
    let list = ADVSignedKeyIndexList {
        details: Some(details),
        account_signature: Some(signature.to_vec()),
        account_signature_key: None,
    };
    account.set_key_index_list(now, list.encode_to_vec());
    Ok(())
}

async fn publish_key_indexes(account: &Account) {
    let mut phone = account.phone.lock().await;
    if let Err(error) = phone.sign_key_indexes(account) {
        log::error!("{}: {error:#}", account.number);
    }
}

/// Sends a companion at its first login the key of the app state and the (empty) history. Without them a client waits:
/// whatsapp-rust ten seconds for the key, Baileys twenty for the history.
pub async fn bootstrap(world: &Arc<World>, account: &Arc<Account>, device: &Device) {
    let share = account.app_state.lock().map(|state| state.key_share()).unwrap_or_default();
    let history = history(account);
    for message in [Ok(share), history] {
        let sent = match message {
            Ok(message) => sending::send_peer(world, account, device.id, message).await,
            Err(error) => Err(error),
        };
        if let Err(error) = sent {
            log::warn!("bootstrap of {}: {error:#}", device.jid());
        }
    }
}

fn history(account: &Account) -> Result<Message> {
    let history = HistorySync {
        sync_type: history_sync::HistorySyncType::INITIAL_BOOTSTRAP,
        chunk_order: Some(1),
        progress: Some(100),
        pushnames: vec![Pushname {
            id: Some(account.pn().to_string()),
            pushname: Some(account.push_name.clone()),
        }],
        ..Default::default()
    };
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(&history.encode_to_vec())?;
    let payload = encoder.finish().context("zlib")?;
    // Inline: small enough to need no download.
    let notification = HistorySyncNotification {
        sync_type: Some(HistorySyncType::INITIAL_BOOTSTRAP),
        chunk_order: Some(1),
        progress: Some(100),
        file_length: u64::try_from(payload.len()).ok(),
        initial_hist_bootstrap_inline_payload: Some(payload),
        ..Default::default()
    };
    let protocol = ProtocolMessage {
        r#type: Some(Type::HISTORY_SYNC_NOTIFICATION),
        history_sync_notification: MessageField::some(notification),
        ..Default::default()
    };
    Ok(Message { protocol_message: MessageField::some(protocol), ..Default::default() })
}

/// Takes a device out of the account; what it was still owed is gone.
pub async fn forget(world: &Arc<World>, account: &Arc<Account>, device: u16) -> Option<Arc<Device>> {
    let removed = account.remove_device(device)?;
    removed.mailbox.clear();
    {
        let mut phone = account.phone.lock().await;
        phone.store.sessions.remove(&address(account, device));
        phone.keep();
    }
    publish_key_indexes(account).await;
    usync::announce(world, account, device, removed.key_index, Change::Removed);
    log::info!("unlinked {}", removed.jid());
    Some(removed)
}

/// Throws a companion out, the way "log out" on the phone does. False when there is no such device.
pub async fn unlink(world: &Arc<World>, account: &Arc<Account>, device: u16) -> bool {
    let Some(removed) = forget(world, account, device).await else { return false };
    if let Some(link) = removed.mailbox.link() {
        link.send(stanza::conflict("device_removed", Some(401)));
        let _ = link.outgoing.send(Outgoing::Close(Some(1000)));
    }
    true
}
