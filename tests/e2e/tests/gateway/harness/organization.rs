//! Organizations: each test has its own, with a key put into the directory the way `npm run key` does it.

use std::path::Path;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use rand::RngExt as _;
use reqwest::{Method, RequestBuilder};
use rusqlite::{Connection, OpenFlags, params};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::gateway::{Gateway, send, try_send};
use super::{Answer, Session, now_ms};

/// Everything a key can be allowed.
pub const ALL: [&str; 4] = ["manage", "send", "read", "events"];
/// How long a write waits for workerd's own.
const BUSY: Duration = Duration::from_secs(5);
/// More than there are tests.
const ORGANIZATIONS: usize = 500;

/// What a key is besides its permissions.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum KeyState {
    Valid,
    Disabled,
    Expired,
}

/// An organization as one key sees it.
#[derive(Clone)]
pub struct Organization {
    pub gateway: Gateway,
    pub name: String,
    pub key: String,
}

impl Organization {
    /// A new one on the shared gateway, with a key that may do everything.
    pub fn new() -> Self {
        Self::on(&Gateway::shared())
    }

    /// A new one on this gateway.
    pub fn on(gateway: &Gateway) -> Self {
        let name = gateway.next_organization();
        let key = key(&name, &ALL, KeyState::Valid);
        Self { gateway: gateway.clone(), name, key }
    }

    /// The same organization seen with another key.
    pub fn with_key(&self, permissions: &[&str], state: KeyState) -> Self {
        let key = key(&self.name, permissions, state);
        Self { key, ..self.clone() }
    }

    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.gateway.request(method, path).bearer_auth(&self.key)
    }

    pub async fn call(&self, method: Method, path: &str, body: Option<&Value>) -> Answer {
        let request = self.request(method, path);
        send(match body {
            Some(body) => with_json(request, body),
            None => request,
        })
        .await
    }

    /// A call whose gateway may be down.
    pub async fn try_get(&self, path: &str) -> Result<Answer, String> {
        try_send(self.request(Method::GET, path)).await
    }

    /// The same with a body.
    pub async fn try_post_json(&self, path: &str, body: &Value) -> Result<Answer, String> {
        try_send(with_json(self.request(Method::POST, path), body)).await
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.call(Method::GET, path, None).await
    }

    pub async fn post(&self, path: &str) -> Answer {
        self.call(Method::POST, path, None).await
    }

    pub async fn post_json(&self, path: &str, body: &Value) -> Answer {
        self.call(Method::POST, path, Some(body)).await
    }

    pub async fn patch(&self, path: &str, body: &Value) -> Answer {
        self.call(Method::PATCH, path, Some(body)).await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        self.call(Method::DELETE, path, None).await
    }

    /// A new session.
    pub async fn session(&self, body: &Value) -> Session {
        let row = self.post_json("/api/v1/sessions", body).await.expect(201);
        Session::of(self, row["id"].as_str().unwrap())
    }
}

/// A request with a JSON body.
pub fn with_json(request: RequestBuilder, body: &Value) -> RequestBuilder {
    request.header("content-type", "application/json").body(body.to_string())
}

/// The key of an organization with these permissions; all of them are minted beforehand.
fn key(organization: &str, permissions: &[&str], state: KeyState) -> String {
    let kind = match state {
        KeyState::Valid => permissions.join("-"),
        KeyState::Disabled => "disabled".to_owned(),
        KeyState::Expired => "expired".to_owned(),
    };
    // Each has a prefix of its own: failed logins are limited by it.
    format!("wa_{}", BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(format!("{organization} {kind}"))))
}

/// Makes organizations with keys of every kind, by writing into workerd's SQLite file as tooling/api-key.ts does.
/// All at once and before the first request: workerd does not wait for a database somebody else is writing to.
pub fn mint(state: &Path) -> Vec<String> {
    let names: Vec<String> = (0..ORGANIZATIONS).map(|_| format!("org-{:032x}", random())).collect();
    let mut database = directory(state);
    let now = i64::try_from(now_ms()).unwrap();
    let transaction = database.transaction().unwrap();
    let statement = "INSERT INTO apikey (id, start, prefix, key, reference_id, enabled, permissions, expires_at, \
                     created_at, updated_at) VALUES (?1, ?2, 'wa_', ?3, ?4, ?5, ?6, ?7, ?8, ?8)";
    for name in &names {
        let each = ALL.iter().map(|one| (vec![*one], KeyState::Valid));
        let all = [KeyState::Valid, KeyState::Disabled, KeyState::Expired].map(|state| (ALL.to_vec(), state));
        for (permissions, state) in each.chain(all).chain([(vec![], KeyState::Valid)]) {
            let key = key(name, &permissions, state);
            let hash = BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(key.as_bytes()));
            let granted = json!({ "gateway": permissions }).to_string();
            let expires_at = (state == KeyState::Expired).then_some(now - 1_000);
            let id = format!("{:032x}", random());
            let enabled = state != KeyState::Disabled;
            let row = params![id, &key[..6], hash, name, enabled, granted, expires_at, now];
            transaction.execute(statement, row).unwrap();
        }
    }
    transaction.commit().unwrap();
    names
}

fn random() -> u128 {
    rand::rng().random()
}

/// The gateway's D1 database.
pub fn directory(state: &Path) -> Connection {
    let folder = state.join("v3/d1/miniflare-D1DatabaseObject");
    let files = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    for file in files.map(|file| file.unwrap().path()) {
        let is_database = file.extension().is_some_and(|extension| extension == "sqlite");
        if !is_database || file.file_name().is_some_and(|name| name == "metadata.sqlite") {
            continue;
        }
        let database = Connection::open_with_flags(&file, OpenFlags::SQLITE_OPEN_READ_WRITE).unwrap();
        database.busy_timeout(BUSY).unwrap();
        let found = database.prepare("SELECT 1 FROM apikey LIMIT 1").is_ok();
        if found {
            return database;
        }
    }
    panic!("there is no table apikey in {}", folder.display());
}
