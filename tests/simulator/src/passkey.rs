//! The passkey that some accounts ask for before they take a companion (WhatsApp calls it Shortcake), the server's
//! side: the challenge, the check of what the owner's authenticator made of it, and where a ceremony stands.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use serde::Serialize;
use serde_json::json;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::{Notify, watch};
use wacore::shortcake::ShortcakeUtils;
use wacore_binary::Node;
use waproto::buffa::Message as _;
use waproto::whatsapp::device_props::PlatformType;
use waproto::whatsapp::{CompanionEphemeralIdentity, ProloguePayload};

use crate::clock;
use crate::pairing::Registration;
use crate::rng;
use crate::stanza::{self, child_content, with_bytes};
use crate::webauthn::{Passkey, RELYING_PARTY};
use crate::world::World;

/// The notification that asks a companion for the passkey.
pub const REQUEST: &str = "passkey_prologue_request";
const OPTIONS: &str = "passkey_request_options";

/// Where a ceremony stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "stage", rename_all = "snake_case", rename_all_fields = "camelCase")]
pub enum Stage {
    /// The companion has its challenge.
    Assertion,
    /// The assertion was good; the phone has shown its key.
    Continuation,
    /// The phone shows this code, and so does the companion.
    Confirmation {
        code: String,
    },
    /// The companion proved that it was linked before, so nobody has to compare codes.
    Continuity {
        code: String,
    },
    Linked {
        device_jid: String,
    },
    Refused {
        reason: &'static str,
    },
}

impl Stage {
    /// Nothing follows.
    pub fn is_final(&self) -> bool {
        matches!(self, Self::Linked { .. } | Self::Refused { .. })
    }
}

/// A companion's opening.
#[derive(Clone)]
pub struct Prologue {
    pub payload: Vec<u8>,
    pub identity: Vec<u8>,
    pub commitment: Vec<u8>,
    pub public_key: Vec<u8>,
    pub device_type: PlatformType,
    /// That it still has the secret of an earlier link.
    pub proof: Option<Vec<u8>>,
}

/// What a phone waits for.
pub enum Event {
    Prologue(Box<Prologue>),
    Nonce([u8; 32]),
    Request(Vec<u8>),
    /// The owner has compared the codes.
    Decision(bool),
}

/// One account's passkey being asked for.
pub struct Ceremony {
    passkey: Passkey,
    challenge: [u8; 32],
    pub options: String,
    pub reference: String,
    prologue: Mutex<Option<Prologue>>,
    stage: watch::Sender<(u64, Stage)>,
    events: UnboundedSender<Event>,
    late: Notify,
}

impl Ceremony {
    /// Where it stands, and how often that has changed.
    pub fn stage(&self) -> (u64, Stage) {
        self.stage.borrow().clone()
    }

    /// The same, once it has changed more often than `after`.
    pub async fn stage_after(&self, after: u64, wait: Duration) -> (u64, Stage) {
        let mut stage = self.stage.subscribe();
        let _ = clock::within(wait, stage.wait_for(|(version, _)| *version > after)).await;
        self.stage()
    }

    pub fn advance(&self, stage: Stage) {
        self.stage.send_modify(|(version, current)| {
            *version += 1;
            *current = stage;
        });
    }

    /// The owner's word on the two codes. False when nobody waits for one.
    pub fn decide(&self, same: bool) -> bool {
        matches!(self.stage().1, Stage::Confirmation { .. })
            && self.events.send(Event::Decision(same)).is_ok()
    }

    /// Its owner's time is over.
    pub fn expire(&self) {
        self.late.notify_one();
    }

    pub async fn expired(&self) {
        self.late.notified().await;
    }

    fn prologue_of(&self, request: &Node) -> Result<Event> {
        ensure!(self.stage().1 == Stage::Assertion, "not asked for");
        let assertion = child_content(request, "webauthn_assertion");
        self.passkey.verify(&self.challenge, child_content(request, "credential_id"), assertion)?;
        let payload = child_content(request, "prologue_payload").to_vec();
        let decoded = ProloguePayload::decode_from_slice(&payload)?;
        let identity = decoded.companion_ephemeral_identity.context("no companion identity")?;
        let commitment = decoded.commitment.into_option().and_then(|it| it.hash).context("no commitment")?;
        let shown = CompanionEphemeralIdentity::decode_from_slice(&identity)?;
        ensure!(shown.r#ref.as_deref() == Some(&self.reference), "another ref");
        let proof =
            request.get_optional_child("pairing_handoff_proof").map(|node| stanza::content(node).to_vec());
        let prologue = Prologue {
            payload,
            identity,
            commitment,
            public_key: shown.public_key.context("no companion key")?,
            device_type: shown.device_type.unwrap_or(PlatformType::UNKNOWN),
            proof,
        };
        *self.prologue() = Some(prologue.clone());
        Ok(Event::Prologue(Box::new(prologue)))
    }

    fn nonce_of(&self, content: &[u8]) -> Result<Event> {
        ensure!(self.stage().1 == Stage::Continuation, "not asked for");
        let nonce: [u8; 32] = content.try_into().context("a nonce of 32 bytes")?;
        let prologue = self.prologue().clone().context("no prologue")?;
        let committed = ShortcakeUtils::commitment_hash(&prologue.identity, &nonce);
        ensure!(committed.as_slice() == prologue.commitment, "not the nonce it has committed itself to");
        Ok(Event::Nonce(nonce))
    }

    fn request_of(&self, content: &[u8]) -> Result<Event> {
        // The phone may not have come to its code yet.
        let stage = self.stage().1;
        let revealed =
            matches!(stage, Stage::Continuation | Stage::Confirmation { .. } | Stage::Continuity { .. });
        ensure!(revealed, "not asked for");
        Ok(Event::Request(content.to_vec()))
    }

    fn prologue(&self) -> MutexGuard<'_, Option<Prologue>> {
        self.prologue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The ceremonies of all accounts, each account's last.
pub struct Passkeys {
    lifetime: Mutex<Duration>,
    ceremonies: Mutex<HashMap<String, Arc<Ceremony>>>,
}

impl Default for Passkeys {
    fn default() -> Self {
        Self { lifetime: Mutex::new(Duration::from_mins(10)), ceremonies: Mutex::default() }
    }
}

impl Passkeys {
    fn ceremonies(&self) -> MutexGuard<'_, HashMap<String, Arc<Ceremony>>> {
        self.ceremonies.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How long an owner may take.
    pub fn lifetime(&self) -> Duration {
        *self.lifetime.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn set_lifetime(&self, lifetime: Duration) {
        *self.lifetime.lock().unwrap_or_else(PoisonError::into_inner) = lifetime;
    }

    pub fn of(&self, number: &str) -> Option<Arc<Ceremony>> {
        self.ceremonies().get(number).cloned()
    }

    pub fn clear(&self) {
        self.ceremonies().clear();
    }

    /// A new challenge for this account's owner, and what the phone will hear of it.
    pub fn open(&self, world: &World, number: &str) -> Result<(Arc<Ceremony>, UnboundedReceiver<Event>)> {
        let connection = world.next_connection();
        let mut rng = rng::derive(world.seed, "passkey ceremony", &format!("{number}/{connection}"));
        let challenge = rng::bytes(&mut rng);
        // As a real server was seen to write them: any passkey of the owner's will do.
        let options = json!({
            "challenge": BASE64_URL_SAFE_NO_PAD.encode(challenge),
            "timeout": u64::try_from(self.lifetime().as_millis()).unwrap_or(u64::MAX),
            "rpId": RELYING_PARTY,
            "allowCredentials": [],
            "userVerification": "required",
            "extensions": { "uvm": true },
        });
        let (events, heard) = unbounded_channel();
        let ceremony = Arc::new(Ceremony {
            passkey: Passkey::of(world.seed, number)?,
            challenge,
            options: options.to_string(),
            reference: format!("2@{}", BASE64_STANDARD.encode(rng::bytes::<33>(&mut rng))),
            prologue: Mutex::default(),
            stage: watch::Sender::new((1, Stage::Assertion)),
            events,
            late: Notify::new(),
        });
        self.ceremonies().insert(number.to_owned(), ceremony.clone());
        Ok((ceremony, heard))
    }
}

/// The notification's child, or the answer to a client that asks for it.
pub fn options_node(ceremony: &Ceremony) -> Node {
    with_bytes(OPTIONS, ceremony.options.as_bytes())
}

/// Answers a companion's step of the ceremony; false when it isn't one.
pub fn answer(registration: &Registration, iq: &Node) -> bool {
    let Some(step) = stanza::first_child(iq) else { return false };
    let tag = step.tag.as_ref();
    let steps = ["ref", OPTIONS, "passkey_prologue", "companion_nonce", "encrypted_pairing_request"];
    if stanza::attr(iq, "xmlns") != "md" || !steps.contains(&tag) {
        return false;
    }
    let Some(ceremony) = registration.ceremony() else {
        registration.send(stanza::error(iq, 404, "item-not-found"));
        return true;
    };
    let accepted = match tag {
        "ref" => {
            registration.send(stanza::result(iq, [with_bytes("ref", ceremony.reference.as_bytes())]));
            return true;
        }
        OPTIONS => {
            registration.send(stanza::result(iq, [options_node(&ceremony)]));
            return true;
        }
        "passkey_prologue" => ceremony.prologue_of(step),
        "companion_nonce" => ceremony.nonce_of(stanza::content(step)),
        _ => ceremony.request_of(stanza::content(step)),
    };
    match accepted {
        Ok(event) => {
            // The result first: the phone answers what it hears.
            registration.send(stanza::result(iq, []));
            // It may have given up.
            let _ = ceremony.events.send(event);
        }
        Err(error) => {
            log::info!("{tag} refused: {error:#}");
            registration.send(stanza::error(iq, 403, "forbidden"));
        }
    }
    true
}
