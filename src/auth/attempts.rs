//! Failed authentications, limited for an address and for a key's prefix.
//!
//! The platform counts them ([`LIMITERS`], whose limits stand in `wrangler.toml`) and says when there are too many.
//! Then this isolate takes a pause of `FAILED_LOGINS_PAUSE_SECONDS`: keys from that address, or with that prefix, are
//! refused without a look at them, and what fails is answered with 429.
//!
//! Nobody else may pay for it, neither the neighbours of a script with an old key nor the owner of a key whose
//! beginning a stranger has seen. So keys that this isolate has lately let in are looked at all the same; keys of our
//! own shape too, whatever becomes of their prefix, for a guess of one costs the guesser a checksum and us one read of
//! an index; and logins always, for a signature is checked without asking anybody.

use std::cell::RefCell;
use std::net::{IpAddr, Ipv6Addr};

use gateway_domain::api_key::{Shape, counted_prefix, hash, shape};
use gateway_domain::deadlines::Deadlines;
use gateway_domain::error::{ApiError, ErrorCode};
use gateway_domain::jwt;
use http::HeaderMap;
use worker::Env;

use super::{Credential, Failure};
use crate::configuration::{now, seconds};
use crate::error::Refusal;

/// The bindings that count: by address, by prefix.
pub const LIMITERS: [&str; 2] = ["FAILED_BY_ADDRESS", "FAILED_BY_PREFIX"];
/// How long a key that was let in is known, in milliseconds.
const KNOWN_FOR: u64 = 60 * 60 * 1_000;
/// How many entries an isolate keeps of either kind.
const KEPT: usize = 4_096;
/// `FAILED_LOGINS_PAUSE_SECONDS` where it is not configured, in milliseconds.
const PAUSE: u64 = 60_000;

thread_local! {
    static PAUSED: RefCell<Deadlines> = RefCell::new(Deadlines::at_most(KEPT));
    static KNOWN: RefCell<Deadlines> = RefCell::new(Deadlines::at_most(KEPT));
}

/// The address a request came from. Cloudflare sets the header and overwrites a caller's own.
pub fn address(headers: &HeaderMap) -> Option<IpAddr> {
    headers.get("cf-connecting-ip")?.to_str().ok()?.trim().parse().ok()
}

/// Somebody shows a credential.
pub struct Attempt {
    address: Option<Subject>,
    /// A login's beginning says nothing, nor does that of a key with a typo in it.
    prefix: Option<Subject>,
    /// What tells a key from others without being it. Logins are not remembered: they change every few minutes.
    key: Option<String>,
    is_our_key: bool,
}

impl Attempt {
    /// Looks at who shows what.
    pub fn of(headers: &HeaderMap, Credential(credential): &Credential) -> Self {
        let [by_address, by_prefix] = LIMITERS;
        let is_key = !jwt::looks_like_one(credential);
        let shape = shape(credential);
        let address =
            address(headers).map(|address| Subject { limiter: by_address, id: subnet(address).to_string() });
        let prefix = (is_key && shape != Shape::OwnDamaged)
            .then(|| Subject { limiter: by_prefix, id: counted_prefix(credential) });
        Self {
            address,
            prefix,
            key: is_key.then(|| hash(credential)),
            is_our_key: is_key && shape == Shape::OwnValid,
        }
    }

    /// Whether the credential is worth a look.
    ///
    /// # Errors
    /// 429, with the time it will be.
    pub fn permit(&self) -> Result<(), ApiError> {
        let now = now();
        let Some(key) = &self.key else { return Ok(()) };
        if KNOWN.with_borrow(|known| known.of(key, now)).is_some() {
            return Ok(());
        }
        let prefix = self.prefix.as_ref().filter(|_| !self.is_our_key);
        match longest_pause([self.address.as_ref(), prefix], now) {
            Some(until) => Err(refusal(until - now)),
            None => Ok(()),
        }
    }

    /// The credential opened the door.
    pub fn succeeded(&self) {
        if let Some(key) = &self.key {
            let now = now();
            KNOWN.with_borrow_mut(|known| known.hold(key.clone(), now + KNOWN_FOR, now));
        }
    }

    /// The credential did not open the door: what to answer.
    pub async fn failed(&self, env: &Env, failure: Failure) -> Refusal {
        if !matches!(failure, Failure::Guess) {
            return failure.into();
        }
        if let Some(key) = &self.key {
            KNOWN.with_borrow_mut(|known| known.forget(key));
        }
        for subject in [&self.address, &self.prefix].into_iter().flatten() {
            subject.count(env).await;
        }
        let now = now();
        match longest_pause([self.address.as_ref(), self.prefix.as_ref()], now) {
            Some(until) => refusal(until - now).into(),
            None => failure.into(),
        }
    }
}

/// What is counted, and which limiter counts it.
struct Subject {
    limiter: &'static str,
    id: String,
}

impl Subject {
    fn name(&self) -> String {
        format!("{} {}", self.limiter, self.id)
    }

    fn paused_until(&self, now: u64) -> Option<u64> {
        PAUSED.with_borrow(|paused| paused.of(&self.name(), now))
    }

    /// Counts a failure; one too many begins a pause. What fails during the pause does not make it longer.
    async fn count(&self, env: &Env) {
        if self.paused_until(now()).is_some() {
            return;
        }
        let counted = async { env.rate_limiter(self.limiter)?.limit(self.id.clone()).await };
        match counted.await {
            Ok(outcome) if outcome.success => {}
            Ok(_) => {
                let (now, pause) = (now(), seconds(env, "FAILED_LOGINS_PAUSE_SECONDS", PAUSE));
                PAUSED.with_borrow_mut(|paused| paused.hold(self.name(), now + pause, now));
            }
            Err(error) => worker::console_warn!("failed logins are not counted: {error}"),
        }
    }
}

fn longest_pause(subjects: [Option<&Subject>; 2], now: u64) -> Option<u64> {
    subjects.into_iter().flatten().filter_map(|subject| subject.paused_until(now)).max()
}

fn refusal(milliseconds: u64) -> ApiError {
    ApiError::new(ErrorCode::RateLimited, "Too many failed logins.")
        .with("retryAfterSeconds", milliseconds.div_ceil(1_000).max(1))
}

/// What one subscriber holds: an IPv6 address is one of 2^64 they can choose from.
fn subnet(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX))),
        v4 @ IpAddr::V4(_) => v4,
    }
}
