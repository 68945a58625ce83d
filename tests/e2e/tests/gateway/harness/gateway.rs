//! A gateway under test: the one all tests share, or one of a test's own.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use rand::RngExt as _;
use reqwest::{Client, Method, RequestBuilder};
use rusqlite::Connection;

use super::organization::{directory, mint};
use super::{Answer, Simulator};

/// Longer than any answer takes: an unlink that WhatsApp does not confirm takes the gateway 40 s.
const TIMEOUT: Duration = Duration::from_mins(1);

/// See the module.
#[derive(Clone)]
pub struct Gateway(Arc<Inner>);

struct Inner {
    url: String,
    state: PathBuf,
    client: Client,
    simulator: Simulator,
    organizations: OnceLock<Mutex<Vec<String>>>,
}

impl Gateway {
    /// The gateway all tests share. Nobody may break it.
    pub fn shared() -> Self {
        static SHARED: OnceLock<Gateway> = OnceLock::new();
        let shared = SHARED.get_or_init(|| {
            Self::at(&environment("GATEWAY_URL"), &environment("SIMULATOR_URL"), environment("GATEWAY_STATE"))
        });
        shared.clone()
    }

    pub fn at(url: &str, simulator: &str, state: impl Into<PathBuf>) -> Self {
        let client = Client::builder().no_proxy().timeout(TIMEOUT).build().unwrap();
        let simulator = Simulator::at(simulator, client.clone());
        Self(Arc::new(Inner {
            url: url.to_owned(),
            state: state.into(),
            client,
            simulator,
            organizations: OnceLock::new(),
        }))
    }

    pub fn simulator(&self) -> &Simulator {
        &self.0.simulator
    }

    /// The name of an organization nobody has used yet.
    pub fn next_organization(&self) -> String {
        let minted = self.0.organizations.get_or_init(|| Mutex::new(mint(&self.0.state)));
        minted.lock().unwrap().pop().expect("all organizations are used up: raise their number")
    }

    /// The gateway's D1 database, to read what no operation shows and to write as a frontend does.
    pub fn directory(&self) -> Connection {
        directory(&self.0.state)
    }

    /// `127.0.0.1:8787`
    pub fn address(&self) -> &str {
        self.0.url.trim_start_matches("http://")
    }

    /// A request without credentials. Each comes from an address of its own, so that no test's failed logins use up
    /// another's.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.request_from(&any_address(), method, path)
    }

    /// A request from an address: wrangler takes a caller's word for it, Cloudflare does not.
    pub fn request_from(&self, address: &str, method: Method, path: &str) -> RequestBuilder {
        let request = self.0.client.request(method, format!("{}{path}", self.0.url));
        request.header("cf-connecting-ip", address)
    }

    pub async fn get(&self, path: &str) -> Answer {
        send(self.request(Method::GET, path)).await
    }
}

/// An address that nobody else has.
pub fn any_address() -> String {
    let [_, b, c, d] = rand::rng().random::<[u8; 4]>();
    format!("10.{b}.{c}.{d}")
}

/// Sends a request that must be answered.
pub async fn send(request: RequestBuilder) -> Answer {
    try_send(request).await.unwrap_or_else(|error| panic!("no answer: {error}"))
}

/// Sends a request whose server may be down.
pub async fn try_send(request: RequestBuilder) -> Result<Answer, String> {
    let (client, request) = request.build_split();
    let request = request.map_err(|error| format!("{error:?}"))?;
    let call = format!("{} {}", request.method(), request.url());
    let failed = |error: reqwest::Error| format!("{call}: {error:?}");
    let response = client.execute(request).await.map_err(failed)?;
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let bytes = response.bytes().await.map_err(failed)?.to_vec();
    Ok(Answer { call, status, headers, bytes })
}

/// A variable of the runner's.
pub fn environment(name: &str) -> String {
    std::env::var(name)
        .unwrap_or_else(|_| panic!("{name} is not set: run these tests with `npm test -- e2e`"))
}

/// A number the runner may set.
pub fn number(variable: &str, otherwise: u64) -> u64 {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}
