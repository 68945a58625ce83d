//! Failed authentications, limited for an address and for a key's prefix.
//!
//! The platform counts them ([`LIMITERS`], whose limits stand in `wrangler.toml`) and says when there are too many.
//! Then this isolate takes a pause of `FAILED_LOGINS_PAUSE_SECONDS`: credentials from that address, or with that
//! prefix, are refused without a look at them. Except those this isolate has lately let in: a script with an old key
//! must not shut out its neighbours behind the same address, nor a stranger the owner of a key whose beginning they
//! have seen.

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};

use gateway_domain::error::{ApiError, ErrorCode};
use http::HeaderMap;
use worker::Env;

use super::Credential;
use crate::configuration::{now, seconds};
use crate::error::Refusal;

/// The bindings that count: by address, by prefix.
pub const LIMITERS: [&str; 2] = ["FAILED_BY_ADDRESS", "FAILED_BY_PREFIX"];
/// How long a credential that was let in is known, in milliseconds.
const KNOWN_FOR: u64 = 60 * 60 * 1_000;
/// How many entries an isolate keeps of either kind.
const KEPT: usize = 4_096;

thread_local! {
    static PAUSED: RefCell<HashMap<String, u64>> = RefCell::default();
    static KNOWN: RefCell<HashMap<String, u64>> = RefCell::default();
}

/// The address a request came from. Cloudflare sets the header and overwrites a caller's own.
pub fn address(headers: &HeaderMap) -> Option<IpAddr> {
    headers.get("cf-connecting-ip")?.to_str().ok()?.trim().parse().ok()
}

/// Somebody shows a credential.
pub struct Attempt {
    /// What is counted, and which limiter counts it.
    subjects: Vec<(&'static str, String)>,
    fingerprint: String,
}

impl Attempt {
    /// Looks at who shows what.
    pub fn of(headers: &HeaderMap, credential: &Credential) -> Self {
        let [by_address, by_prefix] = LIMITERS;
        let address = address(headers).map(|address| (by_address, subnet(address).to_string()));
        let prefix = credential.key_prefix().map(|prefix| (by_prefix, prefix));
        Self { subjects: address.into_iter().chain(prefix).collect(), fingerprint: credential.fingerprint() }
    }

    /// Whether the credential is worth a look.
    ///
    /// # Errors
    /// 429, with the time it will be.
    pub fn permit(&self) -> Result<(), ApiError> {
        let now = now();
        if KNOWN.with_borrow(|known| known.get(&self.fingerprint).is_some_and(|until| *until > now)) {
            return Ok(());
        }
        let until = PAUSED.with_borrow(|paused| {
            self.subjects.iter().filter_map(|subject| paused.get(&key(subject))).copied().max()
        });
        match until {
            Some(until) if until > now => Err(refusal(until - now)),
            _ => Ok(()),
        }
    }

    /// The credential opened the door.
    pub fn succeeded(&self) {
        KNOWN.with_borrow_mut(|known| keep(known, self.fingerprint.clone(), now() + KNOWN_FOR));
    }

    /// The credential did not open the door: what to answer.
    pub async fn failed(&self, env: &Env, refusal: Refusal) -> Refusal {
        // An issuer or a directory that is down is nobody's fault.
        if refusal.0.error.code != ErrorCode::Unauthorized {
            return refusal;
        }
        KNOWN.with_borrow_mut(|known| known.remove(&self.fingerprint));
        let mut over = false;
        for subject in &self.subjects {
            let (limiter, subject_key) = subject;
            let counted = async { env.rate_limiter(limiter)?.limit(subject_key.clone()).await };
            match counted.await {
                Ok(outcome) if outcome.success => {}
                Ok(_) => {
                    let pause = seconds(env, "FAILED_LOGINS_PAUSE_SECONDS", 60);
                    PAUSED.with_borrow_mut(|paused| keep(paused, key(subject), now() + pause));
                    over = true;
                }
                Err(error) => worker::console_warn!("failed logins are not counted: {error}"),
            }
        }
        match self.permit() {
            Err(error) if over => error.into(),
            _ => refusal,
        }
    }
}

fn key((limiter, subject): &(&'static str, String)) -> String {
    format!("{limiter} {subject}")
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

/// Keeps an entry; a full map gives up those that are over, then any.
fn keep(map: &mut HashMap<String, u64>, key: String, until: u64) {
    if map.len() >= KEPT {
        let now = now();
        map.retain(|_, until| *until > now);
    }
    if map.len() >= KEPT {
        map.clear();
    }
    map.insert(key, until);
}
