//! The frontends' public keys, kept in the isolate: the fetching. When to fetch is decided in
//! `gateway_domain::key_set`.

use std::cell::RefCell;
use std::collections::HashMap;
use std::time::Duration;

use futures::StreamExt;
use futures::future::{Either, select};
use gateway_domain::jwt::{self, Issuer, Key};
pub use gateway_domain::key_set::Found;
use gateway_domain::key_set::{KeySet, Step, named};
use worker::{AbortController, Delay, Env, Fetch, Headers, Method, Request, RequestInit, RequestRedirect};

use crate::configuration::{key_set_times, now};

/// How long a frontend may take to show its keys.
const FETCH_TIMEOUT: Duration = Duration::from_secs(5);
/// After this no fetch is under way any more, in milliseconds: the timeout, and time for a late timer.
const FETCH_MS: u64 = 6_000;
/// The largest set we read.
const MAX_SET_BYTES: usize = 256 * 1024;

thread_local! {
    static SETS: RefCell<HashMap<String, KeySet>> = RefCell::default();
}

/// The issuer's key of this name.
pub async fn find(env: &Env, issuer: &Issuer, kid: &str) -> Found {
    let times = key_set_times(env);
    let step = in_set(issuer, |set| set.seek(kid, &times, FETCH_MS, now()));
    let otherwise = match step {
        Step::Settle(found) => return found,
        Step::Fetch(otherwise) => otherwise,
    };
    let began = in_set(issuer, |set| set.begin(kid, now()));
    let fetched = fetch(&issuer.jwks_url).await;
    let brought = fetched.as_ref().ok().cloned();
    in_set(issuer, |set| set.end(&began, brought, now()));
    match fetched {
        Ok(keys) => named(&keys, kid).map_or(Found::Unknown, Found::Key),
        Err(error) => {
            worker::console_warn!("the keys of {} can't be fetched: {error}", issuer.issuer);
            otherwise
        }
    }
}

fn in_set<T>(issuer: &Issuer, act: impl FnOnce(&mut KeySet) -> T) -> T {
    SETS.with_borrow_mut(|sets| act(sets.entry(issuer.jwks_url.clone()).or_default()))
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
    Ok(jwt::keys(&text)?)
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
