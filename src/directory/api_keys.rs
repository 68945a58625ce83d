//! API keys in the directory, in better-auth's layout: a frontend may write rows of its own.

use gateway_domain::access::Capability;
use gateway_domain::api_key::{self, Expiry, granted};
use serde::Deserialize;
use serde_json::Value;
use wasm_bindgen::JsValue;

use super::{Directory, asking, flag, moment, nullable};
use crate::configuration::now;
use crate::error::{Refusal, directory_unavailable};

const COLUMNS: &str = "id, reference_id, name, start, prefix, permissions, enabled, expires_at, last_request, \
    created_at, updated_at, previous_expires_at, key";

/// A key, as the directory has it.
#[derive(Clone, Debug, Deserialize)]
pub struct KeyRow {
    pub id: String,
    pub reference_id: String,
    pub name: Option<String>,
    pub start: Option<String>,
    pub prefix: Option<String>,
    permissions: Option<String>,
    pub enabled: Option<Flag>,
    pub expires_at: Option<Moment>,
    pub last_request: Option<Moment>,
    pub created_at: Moment,
    pub updated_at: Moment,
    pub previous_expires_at: Option<Moment>,
    /// The hash of its secret: what a rotation replaces.
    key: String,
}

impl KeyRow {
    /// What it may do.
    pub fn capabilities(&self) -> Vec<Capability> {
        granted(self.permissions.as_deref())
    }
}

/// A moment as better-auth writes it: epoch milliseconds or ISO 8601, depending on its adapter. What is neither
/// is long past.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(from = "Value")]
pub struct Moment(f64);

impl From<Value> for Moment {
    fn from(value: Value) -> Self {
        Self(match value {
            Value::Number(at) => at.as_f64().unwrap_or_default(),
            Value::String(at) => js_sys::Date::parse(&at).max(0.0),
            _ => 0.0,
        })
    }
}

impl Moment {
    /// Epoch milliseconds.
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a cast of a float takes the nearest number there is"
    )]
    pub fn milliseconds(self) -> u64 {
        self.0 as u64
    }

    /// Whether it has come.
    pub fn is_past(self) -> bool {
        self.milliseconds() <= now()
    }
}

/// Yes or no as an adapter writes it.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(from = "Value")]
pub struct Flag(pub bool);

impl From<Value> for Flag {
    fn from(value: Value) -> Self {
        Self(match value {
            Value::Bool(flag) => flag,
            Value::Number(flag) => flag.as_f64() != Some(0.0),
            Value::String(flag) => flag == "true",
            _ => false,
        })
    }
}

/// A key to be.
pub struct NewKey<'a> {
    pub id: &'a str,
    pub name: &'a str,
    pub secret: &'a str,
    pub permissions: &'a [Capability],
    pub enabled: bool,
    pub expires_at: Option<u64>,
}

/// What an owner changes; what is absent stays.
pub struct KeyChanges<'a> {
    pub name: Option<&'a str>,
    pub permissions: Option<&'a [Capability]>,
    pub enabled: Option<bool>,
    pub expires_at: Expiry,
}

/// A secret in place of another.
pub struct Rotation<'a> {
    pub secret: &'a str,
    /// Until when the one it replaces works; not at all when absent.
    pub previous_until: Option<u64>,
}

impl Directory {
    /// Adds a key.
    pub async fn insert_key(&self, key: &NewKey<'_>) -> Result<KeyRow, Refusal> {
        let statement = format!(
            "INSERT INTO apikey (reference_id, id, name, start, prefix, key, permissions, enabled, expires_at, \
             created_at, updated_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?10) RETURNING {COLUMNS}"
        );
        let bindings = [
            self.organization.as_str().into(),
            key.id.into(),
            key.name.into(),
            api_key::start(key.secret).into(),
            api_key::PREFIX.into(),
            api_key::hash(key.secret).into(),
            api_key::regranted(None, key.permissions).into(),
            flag(key.enabled),
            nullable(key.expires_at.map(moment)),
            moment(now()),
        ];
        let row = self.key_row(false, &statement, &bindings).await?;
        row.ok_or_else(|| directory_unavailable(&"an insert returned no row"))
    }

    /// The organization's key with this id.
    pub async fn key(&self, id: &str) -> Result<Option<KeyRow>, Refusal> {
        let statement = format!("SELECT {COLUMNS} FROM apikey WHERE reference_id = ?1 AND id = ?2");
        self.key_row(true, &statement, &[self.organization.as_str().into(), id.into()]).await
    }

    /// The organization's keys after an id, in the order of their ids.
    pub async fn keys(&self, after: &str, limit: u32) -> Result<Vec<KeyRow>, Refusal> {
        let statement =
            format!("SELECT {COLUMNS} FROM apikey WHERE reference_id = ?1 AND id > ?2 ORDER BY id LIMIT ?3");
        let bindings = [self.organization.as_str().into(), after.into(), limit.into()];
        asking(true, || async { self.database.prepare(&statement).bind(&bindings)?.all().await?.results() })
            .await
    }

    /// Changes what the owner decides, unless the key's permissions are no longer those of `seen`: what may be
    /// changed depends on them.
    pub async fn update_key(
        &self,
        seen: &KeyRow,
        changes: &KeyChanges<'_>,
    ) -> Result<Option<KeyRow>, Refusal> {
        // A second run of the same change finds the permissions it gave.
        let statement = format!(
            "UPDATE apikey SET name = COALESCE(?4, name), permissions = COALESCE(?5, permissions), \
             enabled = COALESCE(?6, enabled), expires_at = CASE WHEN ?7 THEN ?8 ELSE expires_at END, \
             updated_at = ?9 WHERE reference_id = ?1 AND id = ?2 AND (permissions IS ?3 OR permissions = ?5) \
             RETURNING {COLUMNS}"
        );
        let permissions = changes.permissions.map(|new| api_key::regranted(seen.permissions.as_deref(), new));
        let (expires, expires_at) = match changes.expires_at {
            Expiry::Unchanged => (false, None),
            Expiry::Never => (true, None),
            Expiry::At(at) => (true, Some(at)),
        };
        let bindings = [
            self.organization.as_str().into(),
            seen.id.as_str().into(),
            nullable(seen.permissions.as_deref()),
            nullable(changes.name),
            nullable(permissions),
            nullable(changes.enabled.map(flag)),
            flag(expires),
            nullable(expires_at.map(moment)),
            moment(now()),
        ];
        self.key_row(true, &statement, &bindings).await
    }

    /// Replaces a key's secret, unless its permissions or its secret are no longer those of `seen`: of two who do so
    /// at once, one must not take the other's new secret for the one in use. The secret before the one it replaces
    /// stops working at once.
    pub async fn rotate_key(
        &self,
        seen: &KeyRow,
        rotation: &Rotation<'_>,
    ) -> Result<Option<KeyRow>, Refusal> {
        // A second run of the same rotation must not take the new secret for the one to replace.
        let statement = format!(
            "UPDATE apikey SET \
             previous_key = CASE WHEN key = ?4 THEN previous_key WHEN ?7 IS NULL THEN NULL ELSE key END, \
             previous_expires_at = ?7, key = ?4, start = ?5, prefix = ?6, updated_at = ?8 \
             WHERE reference_id = ?1 AND id = ?2 AND permissions IS ?3 AND (key = ?9 OR key = ?4) \
             RETURNING {COLUMNS}"
        );
        let bindings = [
            self.organization.as_str().into(),
            seen.id.as_str().into(),
            nullable(seen.permissions.as_deref()),
            api_key::hash(rotation.secret).into(),
            api_key::start(rotation.secret).into(),
            api_key::PREFIX.into(),
            nullable(rotation.previous_until.map(moment)),
            moment(now()),
            seen.key.as_str().into(),
        ];
        self.key_row(true, &statement, &bindings).await
    }

    /// Removes a key; `false` when there was none.
    pub async fn delete_key(&self, id: &str) -> Result<bool, Refusal> {
        let statement = format!("DELETE FROM apikey WHERE reference_id = ?1 AND id = ?2 RETURNING {COLUMNS}");
        let bindings = [self.organization.as_str().into(), id.into()];
        Ok(self.key_row(false, &statement, &bindings).await?.is_some())
    }

    /// Notes that a key is used, unless somebody did since `before`. A date in text is a frontend's, and compares
    /// as later than any number.
    pub async fn note_key_use(&self, id: &str, before: u64) -> Result<(), Refusal> {
        let statement = "UPDATE apikey SET last_request = ?3 WHERE reference_id = ?1 AND id = ?2 \
                         AND (last_request IS NULL OR last_request < ?4 OR typeof(last_request) = 'text')";
        let bindings = [self.organization.as_str().into(), id.into(), moment(now()), moment(before)];
        asking(true, || async { self.database.prepare(statement).bind(&bindings)?.run().await.map(drop) })
            .await
    }

    async fn key_row(
        &self,
        repeatable: bool,
        statement: &str,
        bindings: &[JsValue],
    ) -> Result<Option<KeyRow>, Refusal> {
        asking(repeatable, || async { self.database.prepare(statement).bind(bindings)?.first(None).await })
            .await
    }
}
