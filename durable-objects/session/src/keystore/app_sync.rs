//! App state: its keys, how far each collection is synced, and the MACs of what is in it.
//!
//! A collection's MACs and its hash are one truth in two places. The library writes them one after the other;
//! a patch that comes again after a crash in between only repeats upserts and deletes.

use std::collections::HashMap;

use async_trait::async_trait;
use gateway_sql::{Sql, SqlError};
use whatsapp_rust::wacore::appstate::hash::HashState;
use whatsapp_rust::wacore::appstate::processor::AppStateMutationMAC;
use whatsapp_rust::wacore::store::error::Result;
use whatsapp_rust::wacore::store::traits::{AppStateSyncKey, AppSyncStore};

use super::{Keystore, database, decode, encode, time};

impl<S: Sql> Keystore<S> {
    /// Forgets how far a collection was read, so that it is read again from its beginning: the library passes over a
    /// snapshot that is not newer than what it knows. The MACs stay; it clears them itself when it begins.
    ///
    /// # Errors
    /// When SQLite refuses.
    pub fn forget_app_state(&self, name: &str) -> std::result::Result<(), SqlError> {
        self.sql.query("DELETE FROM key_app_state_version WHERE name = ?", &[name.into()]).map(drop)
    }

    /// Whether a collection was read, an empty one included.
    ///
    /// # Errors
    /// When SQLite refuses.
    pub fn has_app_state(&self, name: &str) -> std::result::Result<bool, SqlError> {
        let found = self.sql.query("SELECT 1 FROM key_app_state_version WHERE name = ?", &[name.into()])?;
        Ok(!found.is_empty())
    }
}

#[cfg_attr(target_arch = "wasm32", async_trait(?Send))]
#[cfg_attr(not(target_arch = "wasm32"), async_trait)]
impl<S: Sql + Send + Sync + 'static> AppSyncStore for Keystore<S> {
    async fn get_sync_key(&self, key_id: &[u8]) -> Result<Option<AppStateSyncKey>> {
        let statement = "SELECT key_data, fingerprint, timestamp FROM key_app_state_key WHERE key_id = ?";
        let Some(row) = self.first(statement, &[key_id.into()])? else { return Ok(None) };
        Ok(Some(AppStateSyncKey {
            key_data: row.blob(0).map_err(database)?,
            fingerprint: row.blob(1).map_err(database)?,
            timestamp: row.integer(2).map_err(database)?,
        }))
    }

    async fn set_sync_key(&self, key_id: &[u8], key: AppStateSyncKey) -> Result<()> {
        self.run(
            "INSERT OR REPLACE INTO key_app_state_key (key_id, key_data, fingerprint, timestamp) VALUES (?, ?, ?, ?)",
            &[key_id.into(), key.key_data.into(), key.fingerprint.into(), time(key.timestamp)],
        )
    }

    async fn get_version(&self, name: &str) -> Result<HashState> {
        let state =
            self.first_blob("SELECT state FROM key_app_state_version WHERE name = ?", &[name.into()])?;
        state.map_or_else(|| Ok(HashState::default()), |state| decode("app state version", &state))
    }

    async fn set_version(&self, name: &str, state: HashState) -> Result<()> {
        self.run(
            "INSERT INTO key_app_state_version (name, state) VALUES (?, ?)
             ON CONFLICT (name) DO UPDATE SET state = excluded.state",
            &[name.into(), encode("app state version", &state)?.into()],
        )
    }

    /// The version a MAC came with is not kept: nothing asks for it.
    async fn put_mutation_macs(
        &self,
        name: &str,
        _version: u64,
        mutations: &[AppStateMutationMAC],
    ) -> Result<()> {
        let statement = "INSERT OR REPLACE INTO key_app_state_mac (name, index_mac, value_mac)
             SELECT ?, column1, column2 FROM (VALUES {rows})";
        self.over(statement, &[name.into()], mutations, |mutation| {
            [mutation.index_mac.as_slice().into(), mutation.value_mac.as_slice().into()]
        })
        .map(drop)
    }

    async fn get_mutation_mac(&self, name: &str, index_mac: &[u8]) -> Result<Option<Vec<u8>>> {
        let statement = "SELECT value_mac FROM key_app_state_mac WHERE name = ? AND index_mac = ?";
        self.first_blob(statement, &[name.into(), index_mac.into()])
    }

    async fn get_mutation_macs(
        &self,
        name: &str,
        index_macs: &[[u8; 32]],
    ) -> Result<HashMap<[u8; 32], Vec<u8>>> {
        let statement = "SELECT index_mac, value_mac FROM key_app_state_mac WHERE name = ? AND index_mac IN (VALUES {rows})";
        let rows =
            self.over(statement, &[name.into()], index_macs, |index_mac| [index_mac.as_slice().into()])?;
        let mut found = HashMap::with_capacity(rows.len());
        for row in &rows {
            if let Ok(index_mac) = <[u8; 32]>::try_from(row.blob(0).map_err(database)?) {
                found.insert(index_mac, row.blob(1).map_err(database)?);
            }
        }
        Ok(found)
    }

    async fn delete_mutation_macs(&self, name: &str, index_macs: &[Vec<u8>]) -> Result<()> {
        let statement = "DELETE FROM key_app_state_mac WHERE name = ? AND index_mac IN (VALUES {rows})";
        self.over(statement, &[name.into()], index_macs, |index_mac| [index_mac.as_slice().into()]).map(drop)
    }

    async fn clear_mutation_macs(&self, name: &str) -> Result<()> {
        self.run("DELETE FROM key_app_state_mac WHERE name = ?", &[name.into()])
    }

    /// The newest by the phone's own clock, and of equals the one stored last. A phone shares an older key
    /// again when asked for it, and what we encrypt with that one, devices removed since can read.
    async fn get_latest_sync_key_id(&self) -> Result<Option<Vec<u8>>> {
        self.first_blob(
            "SELECT key_id FROM key_app_state_key ORDER BY timestamp DESC, position DESC LIMIT 1",
            &[],
        )
    }
}
