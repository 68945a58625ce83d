//! The frontends' public keys, kept in the isolate.
//!
//! A set is fresh for a while; then the request that finds it stale fetches it again. An unknown key name fetches
//! too, but not more often than the cooldown, counted from the last answer. When the frontend is out of reach, what was fetched last serves on
//! up to a maximum; so a key that was withdrawn stops working within that time whatever happens. No request waits
//! for another's fetch: a promise of one request must not be awaited by another on this platform.

use std::cell::RefCell;
use std::collections::HashMap;
use std::time::Duration;

use futures::StreamExt;
use futures::future::{Either, select};
use gateway_domain::jwt::{self, Issuer, Key};
use worker::{AbortController, Delay, Env, Fetch, Headers, Method, Request, RequestInit, RequestRedirect};

use crate::configuration::{now, seconds};

/// How long a frontend may take to show its keys.
const FETCH_TIMEOUT: Duration = Duration::from_secs(5);
/// The largest set we read.
const MAX_SET_BYTES: usize = 256 * 1024;

/// How many requests of an isolate may fetch the same set at once.
const FETCHES_AT_ONCE: usize = 32;
/// After a failure with nothing known, the next try comes this soon: a cold isolate should not stay locked out.
const COLD_COOLDOWN_MS: u64 = 1_000;

#[derive(Clone, Default)]
struct Kept {
    keys: Vec<Key>,
    /// When the fetch began that brought the keys: an answer to an earlier question must not replace a later one's,
    /// it could bring a withdrawn key back.
    asked_at: u64,
    fetched_at: Option<u64>,
    /// When a fetch last ended, well or not.
    answered_at: u64,
    /// The keys that fetches under way are looking for.
    under_way: Vec<String>,
}

thread_local! {
    static SETS: RefCell<HashMap<String, Kept>> = RefCell::default();
}

/// What a look-up found.
pub enum Found {
    /// The key.
    Key(Key),
    /// The frontend has no such key.
    Unknown,
    /// The frontend can't be asked, and what it said last is too old.
    Unreachable,
}

/// The issuer's key of this name.
pub async fn find(env: &Env, issuer: &Issuer, kid: &str) -> Found {
    let lifetime = seconds(env, "JWKS_LIFETIME_SECONDS", 300);
    let cooldown = seconds(env, "JWKS_COOLDOWN_SECONDS", 30);
    let maximum = seconds(env, "JWKS_MAX_STALE_SECONDS", 3_600);
    let began = now();
    let kept = SETS.with_borrow(|sets| sets.get(&issuer.jwks_url).cloned()).unwrap_or_default();
    let age = kept.fetched_at.map(|at| began.saturating_sub(at));
    let known = named(&kept.keys, kid);
    if known.is_some() && age.is_some_and(|age| age < lifetime) {
        return settle(known, age, maximum);
    }
    let usable = age.is_some_and(|age| age < maximum);
    let may_fetch = if kept.under_way.is_empty() {
        let cooldown = if usable { cooldown } else { cooldown.min(COLD_COOLDOWN_MS) };
        began.saturating_sub(kept.answered_at) >= cooldown
    } else {
        // Somebody is asking. Who has a usable key needs no answer; who has none asks beside them, since nobody may
        // wait for another's fetch: all who come first, or with the key that was just made. Made-up names don't.
        let same = !usable || kept.under_way.iter().any(|sought| sought == kid);
        !(usable && known.is_some()) && same && kept.under_way.len() < FETCHES_AT_ONCE
    };
    if !may_fetch {
        return settle(known, age, maximum);
    }
    let under_way = UnderWay::begin(&issuer.jwks_url, kid);
    let fetched = fetch(&issuer.jwks_url).await;
    drop(under_way);
    match fetched {
        Ok(keys) => {
            let found = named(&keys, kid);
            SETS.with_borrow_mut(|sets| {
                let kept = sets.entry(issuer.jwks_url.clone()).or_default();
                if began >= kept.asked_at {
                    (kept.keys, kept.asked_at, kept.fetched_at) = (keys, began, Some(now()));
                }
            });
            found.map_or(Found::Unknown, Found::Key)
        }
        Err(error) => {
            worker::console_warn!("the keys of {} can't be fetched: {error}", issuer.issuer);
            settle(known, age, maximum)
        }
    }
}

/// A fetch under way; taken off also when its request is given up.
struct UnderWay {
    url: String,
    kid: String,
}

impl UnderWay {
    fn begin(url: &str, kid: &str) -> Self {
        SETS.with_borrow_mut(|sets| sets.entry(url.to_owned()).or_default().under_way.push(kid.to_owned()));
        Self { url: url.to_owned(), kid: kid.to_owned() }
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        SETS.with_borrow_mut(|sets| {
            let kept = sets.entry(self.url.clone()).or_default();
            if let Some(place) = kept.under_way.iter().position(|sought| *sought == self.kid) {
                kept.under_way.swap_remove(place);
            }
            kept.answered_at = now();
        });
    }
}

fn settle(known: Option<Key>, age: Option<u64>, maximum: u64) -> Found {
    match (age, known) {
        (Some(age), Some(key)) if age < maximum => Found::Key(key),
        (Some(age), None) if age < maximum => Found::Unknown,
        _ => Found::Unreachable,
    }
}

fn named(keys: &[Key], kid: &str) -> Option<Key> {
    keys.iter().find(|key| key.kid == kid).cloned()
}

async fn fetch(url: &str) -> Result<Vec<Key>, String> {
    let aborter = AbortController::default();
    let signal = aborter.signal();
    let exchange = std::pin::pin!(exchange(url, &signal));
    let text = match select(exchange, Delay::from(FETCH_TIMEOUT)).await {
        Either::Left((text, _)) => text.map_err(|error| error.to_string())?,
        Either::Right(_) => {
            aborter.abort();
            return Err("no answer in time".to_owned());
        }
    };
    let keys = jwt::keys(&text)?;
    if keys.is_empty() { Err("the set has no key that could verify a login".to_owned()) } else { Ok(keys) }
}

async fn exchange(url: &str, signal: &worker::AbortSignal) -> worker::Result<String> {
    let headers = Headers::new();
    headers.set("accept", "application/json")?;
    let mut init = RequestInit::new();
    init.with_method(Method::Get).with_headers(headers).with_redirect(RequestRedirect::Manual);
    let request = Request::new_with_init(url, &init)?;
    let mut response = Fetch::Request(request).send_with_signal(signal).await?;
    if response.status_code() != 200 {
        return Err(worker::Error::RustError(format!("status {}", response.status_code())));
    }
    let mut stream = response.stream()?;
    let mut bytes = Vec::new();
    while let Some(chunk) = stream.next().await {
        bytes.extend(chunk?);
        if bytes.len() > MAX_SET_BYTES {
            return Err(worker::Error::RustError("the set is too large".to_owned()));
        }
    }
    String::from_utf8(bytes).map_err(|_| worker::Error::RustError("the set is not UTF-8".to_owned()))
}
