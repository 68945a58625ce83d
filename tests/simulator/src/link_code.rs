//! Linking by pairing code, the server's side: what a companion leaves here for the phone whose number it names, and
//! what it answers once the code has been typed there. The server never sees the code.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use tokio::sync::{oneshot, watch};
use wacore::pair_code::PairCodeUtils;
use wacore_binary::Node;
use wacore_binary::builder::NodeBuilder;

use crate::account::DeviceAddress;
use crate::faults::{CodeStage, Kind};
use crate::pairing::Registration;
use crate::stanza::{self, child_content, with_bytes};
use crate::world::World;
use crate::{clock, rng};

/// The length of an ephemeral key wrapped with a code: salt, IV, key.
pub const WRAPPED_KEY: usize = 80;
/// What a number with its country code has.
const DIGITS: std::ops::RangeInclusive<usize> = 7..=15;
/// WhatsApp's letters for kinds of companions; `0`, the unknown one, it refuses.
const PLATFORM_IDS: &[u8] = b"123456789abcdefghijklm";
/// The browsers and systems a companion may say it runs on. A name that WhatsApp doesn't know is refused, however
/// proud of it somebody is.
const BROWSERS: [&str; 7] = ["Chrome", "Edge", "Firefox", "IE", "Opera", "Safari", "Android"];
const SYSTEMS: [&str; 14] = [
    "Windows",
    "Mac OS",
    "Mac OS X",
    "macOS",
    "Mac",
    "Linux",
    "Ubuntu",
    "Debian",
    "Fedora",
    "Arch",
    "Chrome OS",
    "Chromium OS",
    "Android",
    "iOS",
];

/// A refusal of the server, by its code.
pub struct Refusal {
    pub code: u16,
    pub backoff: Option<u32>,
}

impl Refusal {
    const BAD_REQUEST: Self = Self { code: 400, backoff: None };

    /// The name WhatsApp gives this code; clients compare it.
    fn text(&self) -> &'static str {
        match self.code {
            400 => "bad-request",
            403 => "forbidden",
            404 => "item-not-found",
            429 => "rate-overlimit",
            452 => "feature-not-available",
            500 => "internal-server-error",
            _ => "",
        }
    }

    fn answer(&self, iq: &Node) -> Node {
        let mut error = NodeBuilder::new("error").attr("code", self.code);
        if !self.text().is_empty() {
            error = error.attr("text", self.text());
        }
        if let Some(backoff) = self.backoff {
            error = error.attr("backoff", backoff);
        }
        NodeBuilder::new("iq")
            .attr("from", stanza::server())
            .attr("id", stanza::attr(iq, "id"))
            .attr("type", "error")
            .children([error.build()])
            .build()
    }
}

/// What a companion answers once the code is typed.
pub struct Finish {
    /// Salt, IV and ciphertext of its key bundle.
    pub bundle: Vec<u8>,
    pub identity: Vec<u8>,
}

/// Why a code can't be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unusable {
    /// Its time is over, or the server has asked for another one.
    Stale,
    /// It was typed wrongly too often.
    Spent,
}

/// A code somebody reads off a companion, as far as the server knows it.
pub struct LinkCode {
    pub reference: Vec<u8>,
    pub noise_static: [u8; 32],
    /// The companion's ephemeral key under the code.
    pub wrapped_key: Vec<u8>,
    pub platform_id: String,
    pub platform_display: String,
    pub push_notification: bool,
    /// In milliseconds.
    pub created_at: u64,
    until: AtomicU64,
    attempts: AtomicU32,
    finish: Mutex<Option<oneshot::Sender<Finish>>>,
    /// People type one code at a time.
    pub typing: tokio::sync::Mutex<()>,
}

impl LinkCode {
    /// Whether it can still be typed.
    pub fn usable(&self) -> Result<(), Unusable> {
        if clock::unix_millis() >= self.until() {
            return Err(Unusable::Stale);
        }
        if self.attempts() >= PairCodeUtils::max_primary_hello_attempts() {
            return Err(Unusable::Spent);
        }
        Ok(())
    }

    /// Counts one more attempt to use it.
    pub fn attempt(&self) -> Result<(), Unusable> {
        self.usable()?;
        self.attempts.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    pub fn attempts(&self) -> u32 {
        self.attempts.load(Ordering::Relaxed)
    }

    /// When it stops being usable, in milliseconds.
    pub fn until(&self) -> u64 {
        self.until.load(Ordering::Relaxed)
    }

    /// Its time is over.
    pub fn expire(&self) {
        self.until.store(0, Ordering::Relaxed);
    }

    /// What the companion will answer to what it is told next.
    pub fn expect_finish(&self) -> oneshot::Receiver<Finish> {
        let (sender, receiver) = oneshot::channel();
        *self.finish.lock().unwrap_or_else(PoisonError::into_inner) = Some(sender);
        receiver
    }
}

/// The pairing codes companions show at the moment, one per number: whoever asks last is who the phone talks to.
pub struct LinkCodes {
    lifetime: Mutex<Duration>,
    by_number: Mutex<HashMap<String, Arc<LinkCode>>>,
    issued: AtomicU64,
    /// Bumped when a companion without an account connects.
    arrivals: watch::Sender<u64>,
}

impl Default for LinkCodes {
    fn default() -> Self {
        Self {
            lifetime: Mutex::new(PairCodeUtils::code_validity()),
            by_number: Mutex::default(),
            issued: AtomicU64::new(1),
            arrivals: watch::Sender::new(0),
        }
    }
}

impl LinkCodes {
    fn by_number(&self) -> MutexGuard<'_, HashMap<String, Arc<LinkCode>>> {
        self.by_number.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How long a code can be typed.
    fn lifetime(&self) -> Duration {
        *self.lifetime.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn set_lifetime(&self, lifetime: Duration) {
        *self.lifetime.lock().unwrap_or_else(PoisonError::into_inner) = lifetime;
    }

    /// The code for this number.
    pub fn of(&self, number: &str) -> Option<Arc<LinkCode>> {
        self.by_number().get(number).cloned()
    }

    /// The code for this number is used up.
    pub fn forget(&self, number: &str) {
        self.by_number().remove(number);
    }

    pub fn clear(&self) {
        self.by_number().clear();
    }

    /// A companion has connected.
    pub fn arrived(&self) {
        self.arrivals.send_modify(|arrivals| *arrivals += 1);
    }

    /// The open registration of the companion that shows this code; waits for it while it is away.
    pub async fn companion(&self, world: &World, code: &LinkCode) -> Arc<Registration> {
        let mut arrivals = self.arrivals.subscribe();
        loop {
            if let Some(registration) = Registration::of_key(world, &code.noise_static) {
                return registration;
            }
            if arrivals.changed().await.is_err() {
                // Only when the world itself ends.
                std::future::pending::<()>().await;
            }
        }
    }
}

/// Answers one of the companion's two steps.
pub fn answer(world: &World, registration: &Registration, iq: &Node, request: &Node) {
    let stage = match stanza::attr(request, "stage").as_str() {
        "companion_hello" => CodeStage::CompanionHello,
        "companion_finish" => CodeStage::CompanionFinish,
        _ => return registration.send(Refusal::BAD_REQUEST.answer(iq)),
    };
    let refused = refusal_on_demand(world, &number(request), stage);
    let outcome = match (refused, stage) {
        (Some(refusal), _) => Err(refusal),
        (None, CodeStage::CompanionHello) => hello(world, registration, request),
        (None, CodeStage::CompanionFinish) => return finish(world, registration, iq, request),
    };
    registration.send(match outcome {
        Ok(reference) => {
            let reply = NodeBuilder::new("link_code_companion_reg")
                .attr("stage", "companion_hello")
                .children([with_bytes("link_code_pairing_ref", reference)]);
            stanza::result(iq, [reply.build()])
        }
        Err(refusal) => refusal.answer(iq),
    });
}

fn refusal_on_demand(world: &World, number: &str, at: CodeStage) -> Option<Refusal> {
    let asker = DeviceAddress { number: number.to_owned(), device: 0 };
    world.faults.take(Some(&asker), |kind| match kind {
        Kind::PairCodeError { code, backoff, stage } if *stage == at => {
            Some(Refusal { code: *code, backoff: *backoff })
        }
        _ => None,
    })
}

/// The number a companion wants to be linked to.
fn number(request: &Node) -> String {
    stanza::jid(request, "jid")
        .filter(wacore_binary::Jid::is_pn)
        .map(|jid| jid.user.to_string())
        .unwrap_or_default()
}

/// Keeps a companion's first step for the phone; the ref under which it does.
fn hello(world: &World, registration: &Registration, request: &Node) -> Result<Vec<u8>, Refusal> {
    let number = number(request);
    let digits = number.bytes().all(|byte| byte.is_ascii_digit()) && DIGITS.contains(&number.len());
    if !digits || number.starts_with('0') || world.account(&number).is_none() {
        // WhatsApp's own client knows no refusal of its own for a number that isn't on WhatsApp.
        return Err(Refusal::BAD_REQUEST);
    }
    let wrapped_key = child_content(request, "link_code_pairing_wrapped_companion_ephemeral_pub");
    let noise_static = child_content(request, "companion_server_auth_key_pub");
    if wrapped_key.len() != WRAPPED_KEY || noise_static != registration.noise_static {
        return Err(Refusal::BAD_REQUEST);
    }
    let text = |tag| String::from_utf8_lossy(child_content(request, tag)).into_owned();
    let (platform_id, platform_display) = (text("companion_platform_id"), text("companion_platform_display"));
    if !is_known_platform(&platform_id) || !is_canonical(&platform_display) {
        return Err(Refusal::BAD_REQUEST);
    }
    let codes = &world.link_codes;
    let issued = codes.issued.fetch_add(1, Ordering::Relaxed);
    let place = format!("{}/{}/{issued}", hex::encode(noise_static), world.starts);
    let mut rng = rng::derive(world.seed, "link code", &place);
    let reference = format!("3@2:{}", BASE64_STANDARD.encode(rng::bytes::<33>(&mut rng))).into_bytes();
    let created_at = clock::unix_millis();
    let lifetime = u64::try_from(codes.lifetime().as_millis()).unwrap_or(u64::MAX);
    let code = LinkCode {
        reference: reference.clone(),
        noise_static: registration.noise_static,
        wrapped_key: wrapped_key.to_vec(),
        platform_id,
        platform_display,
        push_notification: stanza::attr(request, "should_show_push_notification") == "true",
        created_at,
        until: AtomicU64::new(created_at.saturating_add(lifetime)),
        attempts: AtomicU32::new(0),
        finish: Mutex::default(),
        typing: tokio::sync::Mutex::default(),
    };
    log::info!("a {} shows a pairing code for {number}", code.platform_display);
    codes.by_number().insert(number, Arc::new(code));
    Ok(reference)
}

/// The server takes a companion's second step in whether or not the phone can make something of it.
fn finish(world: &World, registration: &Registration, iq: &Node, request: &Node) {
    let reference = child_content(request, "link_code_pairing_ref");
    let code = world.link_codes.of(&number(request)).filter(|code| code.reference == reference);
    let Some(code) = code else { return registration.send(Refusal::BAD_REQUEST.answer(iq)) };
    // The result first: what follows is the phone's, which takes longer.
    registration.send(stanza::result(iq, []));
    if let Some(waiting) = code.finish.lock().unwrap_or_else(PoisonError::into_inner).take() {
        // The person may have given up.
        let _ = waiting.send(Finish {
            bundle: child_content(request, "link_code_pairing_wrapped_key_bundle").to_vec(),
            identity: child_content(request, "companion_identity_public").to_vec(),
        });
    }
}

fn is_known_platform(id: &str) -> bool {
    matches!(id.as_bytes(), [letter] if PLATFORM_IDS.contains(letter))
}

/// `Chrome (Linux)`: a browser and a system that WhatsApp knows.
fn is_canonical(display: &str) -> bool {
    let parts = display.strip_suffix(')').and_then(|display| display.split_once(" ("));
    parts.is_some_and(|(browser, system)| BROWSERS.contains(&browser) && SYSTEMS.contains(&system))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_companion_says_what_it_runs_on_in_words_whatsapp_knows() {
        for display in ["Chrome (Linux)", "Chrome (Mac OS)", "Firefox (Ubuntu)", "Android (Android)"] {
            assert!(is_canonical(display), "{display}");
        }
        for display in ["", "Chrome", "Chrome (Baileys)", "MyShop (Linux)", "chrome (linux)", "Chrome(Linux)"]
        {
            assert!(!is_canonical(display), "{display}");
        }
        assert!(is_known_platform("1") && is_known_platform("e"));
        assert!(!is_known_platform("0") && !is_known_platform("") && !is_known_platform("12"));
    }
}
