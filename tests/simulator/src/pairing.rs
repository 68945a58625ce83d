//! Clients that have no account yet, the server's side: the refs they show as QR codes, what they ask for meanwhile,
//! and the exchange that ends in a linked device.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::oneshot;
use wacore_binary::Node;
use wacore_binary::builder::NodeBuilder;
use waproto::whatsapp::client_payload::DevicePairingRegistrationData;

use crate::connection::Outgoing;
use crate::passkey::Ceremony;
use crate::prekeys::{Published, SignedKey};
use crate::world::{RefLifetime, World};
use crate::{clock, link_code, passkey, rng, stanza};

/// So many a client gets at once and shows one after the other.
const REFS: u32 = 6;
/// How long a companion may take to sign.
const SIGN_LIMIT: Duration = Duration::from_secs(15);
/// The prefix newer clients put before the five fields.
const QR_LINK: &str = "https://wa.me/settings/linked_devices#";

/// The children by which a client can be asked to change its ADV secret.
pub const REFRESH_CHILDREN: [&str; 2] = ["companion_reg_refresh", "pair-device-rotate-qr"];

/// A client that shows a QR code, and perhaps a pairing code too.
pub struct Registration {
    /// With the time in milliseconds at which each stops being scannable.
    refs: Vec<(String, u64)>,
    pub noise_static: [u8; 32],
    /// What the client will publish: identity and signed prekey.
    pub published: Published,
    outgoing: UnboundedSender<Outgoing>,
    taken: AtomicBool,
    closed: AtomicBool,
    answer: Mutex<Option<oneshot::Sender<Node>>>,
    /// The passkey ceremony this link waits for.
    ceremony: Mutex<Option<Arc<Ceremony>>>,
    stanza_ids: AtomicU64,
}

/// Why a link came to nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScanError {
    /// Not five fields, or not what they should be.
    Malformed(&'static str),
    /// Nobody shows that ref.
    Unknown,
    /// It was shown once.
    Stale,
    /// Somebody else scanned it.
    Taken,
    /// The code doesn't belong to the connection that shows it.
    Mismatch(&'static str),
    /// The companion refused, or signed wrongly.
    Refused(&'static str),
    /// The companion said nothing.
    TimedOut,
}

/// The five fields of a QR code.
pub struct QrCode {
    pub reference: String,
    pub noise: Vec<u8>,
    pub identity: Vec<u8>,
    pub adv_secret: Vec<u8>,
}

impl QrCode {
    /// Reads both forms: the bare fields, and the link with the fields as its fragment.
    pub fn parse(text: &str) -> Result<Self, ScanError> {
        let bare = text.trim().strip_prefix(QR_LINK).unwrap_or(text.trim());
        let fields: Vec<&str> = bare.split(',').collect();
        let [reference, noise, identity, adv_secret, _client_type] = fields.as_slice() else {
            return Err(ScanError::Malformed(
                "expected five fields: ref,noise,identity,adv secret,client type",
            ));
        };
        let key = |field: &str| {
            let bytes = BASE64_STANDARD.decode(field).ok().filter(|bytes| bytes.len() == 32);
            bytes.ok_or(ScanError::Malformed("a key is not 32 bytes of base64"))
        };
        Ok(Self {
            reference: (*reference).to_owned(),
            noise: key(noise)?,
            identity: key(identity)?,
            adv_secret: key(adv_secret)?,
        })
    }
}

impl Registration {
    /// Hands a client its refs and waits for a scan.
    pub fn open(
        world: &World,
        connection: u64,
        data: &DevicePairingRegistrationData,
        noise_static: [u8; 32],
        outgoing: UnboundedSender<Outgoing>,
    ) -> Result<Arc<Self>> {
        let identity = data.e_ident.clone().context("no identity")?;
        let signed = SignedKey {
            id: stanza::number(data.e_skey_id.as_deref().unwrap_or_default()),
            public: data.e_skey_val.clone().context("no signed prekey")?,
            signature: data.e_skey_sig.clone().context("no signature")?,
        };
        let registration_id = stanza::number(data.e_regid.as_deref().unwrap_or_default());
        let refs = refs(world, connection, &noise_static);
        let registration = Arc::new(Self {
            refs,
            noise_static,
            published: Published::new(registration_id, identity, signed),
            outgoing,
            taken: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            answer: Mutex::default(),
            ceremony: Mutex::default(),
            stanza_ids: AtomicU64::new(1),
        });
        let mut waiting = world.registrations();
        for (reference, _) in &registration.refs {
            waiting.insert(reference.clone(), registration.clone());
        }
        drop(waiting);
        let shown =
            registration.refs.iter().map(|(reference, _)| stanza::with_bytes("ref", reference.as_bytes()));
        registration.send(
            NodeBuilder::new("iq")
                .attr("from", stanza::server())
                .attr("type", "set")
                .attr("id", "pair-device")
                .attr("xmlns", "md")
                .children([NodeBuilder::new("pair-device").children(shown).build()])
                .build(),
        );
        world.link_codes.arrived();
        Ok(registration)
    }

    /// The client that shows this ref, whether or not the ref can still be scanned.
    pub fn showing(world: &World, reference: &str) -> Option<Arc<Self>> {
        world.registrations().get(reference).cloned()
    }

    /// The open registration of the client with this Noise key: its key is all that stays the same when a client that
    /// has no account connects again.
    pub fn of_key(world: &World, noise_static: &[u8; 32]) -> Option<Arc<Self>> {
        let registrations = world.registrations();
        registrations.values().find(|known| known.noise_static == *noise_static && known.is_open()).cloned()
    }

    /// Takes the registration this code belongs to for one phone.
    pub fn claim(world: &World, code: &QrCode) -> Result<Arc<Self>, ScanError> {
        let registration = world.registrations().get(&code.reference).cloned().ok_or(ScanError::Unknown)?;
        let until = registration.refs.iter().find(|(reference, _)| *reference == code.reference);
        let expired = until.is_none_or(|(_, until)| clock::unix_millis() >= *until);
        if expired || registration.closed.load(Ordering::Acquire) {
            return Err(ScanError::Stale);
        }
        if code.noise != registration.noise_static {
            return Err(ScanError::Mismatch(
                "the noise key is not that of the connection that shows this code",
            ));
        }
        if code.identity != registration.published.identity {
            return Err(ScanError::Mismatch("the identity is not the one the client registered with"));
        }
        registration.take()?;
        Ok(registration)
    }

    /// Takes it for one phone.
    pub fn take(&self) -> Result<(), ScanError> {
        if self.taken.swap(true, Ordering::AcqRel) { Err(ScanError::Taken) } else { Ok(()) }
    }

    /// Nothing came of it: the next code that is shown can be scanned again.
    pub fn release(&self) {
        self.taken.store(false, Ordering::Release);
    }

    /// Sends a notification with one child.
    pub fn notify(&self, kind: &str, child: Node) {
        let id = self.stanza_ids.fetch_add(1, Ordering::Relaxed);
        self.send(
            NodeBuilder::new("notification")
                .attr("from", stanza::server())
                .attr("type", kind)
                .attr("id", format!("reg-{id}"))
                .attr("t", clock::unix_seconds())
                .children([child])
                .build(),
        );
    }

    /// Asks the client to change the ADV secret that its code shows.
    pub fn refresh(&self, child: &'static str) {
        self.notify("companion_reg_refresh", stanza::empty(child));
    }

    /// Sends `pair-success` and waits for what the companion makes of it.
    pub async fn offer(&self, success: Node) -> Result<Node, ScanError> {
        let (sender, receiver) = oneshot::channel();
        *self.answer.lock().unwrap_or_else(PoisonError::into_inner) = Some(sender);
        self.send(
            NodeBuilder::new("iq")
                .attr("from", stanza::server())
                .attr("type", "set")
                .attr("id", "pair-success")
                .attr("xmlns", "md")
                .children([success])
                .build(),
        );
        match clock::within(SIGN_LIMIT, receiver).await {
            Some(Ok(answer)) => Ok(answer),
            Some(Err(_)) => Err(ScanError::Refused("the companion hung up")),
            None => Err(ScanError::TimedOut),
        }
    }

    /// The companion answered an iq of ours.
    pub fn answered(&self, node: Node) {
        if stanza::attr(&node, "id") != "pair-success" {
            return;
        }
        if let Some(waiting) = self.answer.lock().unwrap_or_else(PoisonError::into_inner).take() {
            // The scan may have given up.
            let _ = waiting.send(node);
        }
    }

    /// Linked: the companion has to come back as a device.
    pub fn restart(&self) {
        self.send(stanza::stream_error(515));
        let _ = self.outgoing.send(Outgoing::Close(Some(1000)));
    }

    /// Whether its code can still be scanned.
    pub fn waits(&self) -> bool {
        !self.taken.load(Ordering::Acquire) && !self.closed.load(Ordering::Acquire)
    }

    /// Whether the client is there.
    pub fn is_open(&self) -> bool {
        !self.closed.load(Ordering::Acquire) && !self.outgoing.is_closed()
    }

    /// The passkey ceremony this link waits for.
    pub fn ceremony(&self) -> Option<Arc<Ceremony>> {
        self.ceremony.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn set_ceremony(&self, ceremony: Option<Arc<Ceremony>>) {
        *self.ceremony.lock().unwrap_or_else(PoisonError::into_inner) = ceremony;
    }

    /// Returns when the client has gone.
    pub async fn gone(&self) {
        self.outgoing.closed().await;
    }

    /// The socket is gone. Its refs stay known for a while so that a late scan is told that it is late.
    pub fn close(&self, world: &World) {
        self.closed.store(true, Ordering::Release);
        self.answer.lock().unwrap_or_else(PoisonError::into_inner).take();
        let now = clock::unix_millis();
        let long_ago = |registration: &Self| registration.refs.last().is_none_or(|(_, until)| *until < now);
        world.registrations().retain(|_, known| !known.closed.load(Ordering::Acquire) || !long_ago(known));
    }

    pub fn send(&self, node: Node) {
        let _ = self.outgoing.send(Outgoing::Node(Box::new(node)));
    }
}

/// Answers a question of a client that isn't linked.
pub fn answer(world: &World, registration: &Registration, iq: &Node) {
    if let Some(request) = iq.get_optional_child("link_code_companion_reg") {
        link_code::answer(world, registration, iq, request);
    } else if !passkey::answer(registration, iq) {
        // Baileys already asks for things here; an answer keeps it from waiting for one.
        registration.send(stanza::result(iq, []));
    }
}

fn refs(world: &World, connection: u64, noise_static: &[u8; 32]) -> Vec<(String, u64)> {
    let RefLifetime { first, next } = world.ref_lifetime;
    let millis = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let mut until = clock::unix_millis();
    let mut rng = rng::derive(world.seed, "refs", &format!("{}/{connection}", hex::encode(noise_static)));
    (0..REFS)
        .map(|index| {
            until = until.saturating_add(millis(if index == 0 { first } else { next }));
            (format!("2@{}", BASE64_STANDARD.encode(rng::bytes::<66>(&mut rng))), until)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_of_a_code_are_read_and_four_fields_are_not() {
        let key = BASE64_STANDARD.encode([7; 32]);
        let bare = format!("2@ref,{key},{key},{key},9");
        assert_eq!(QrCode::parse(&bare).map(|code| code.reference), Ok("2@ref".to_owned()));
        let link = format!("{QR_LINK}{bare}");
        assert_eq!(QrCode::parse(&link).map(|code| code.adv_secret), Ok(vec![7; 32]));
        assert!(matches!(QrCode::parse(&format!("2@ref,{key},{key},{key}")), Err(ScanError::Malformed(_))));
    }
}
