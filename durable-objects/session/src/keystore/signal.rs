//! Signal: identities, sessions, prekeys and sender keys.
//!
//! The library caches this state and writes it behind, but it never lets a frame out before the state that
//! frame depends on has been written here (whatsapp.md, 3.3).

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use gateway_sql::{Row, Sql};
use whatsapp_rust::wacore::store::error::{Result, StoreError};
use whatsapp_rust::wacore::store::traits::SignalStore;

use super::{Keystore, database};

#[cfg_attr(target_arch = "wasm32", async_trait(?Send))]
#[cfg_attr(not(target_arch = "wasm32"), async_trait)]
impl<S: Sql + Send + Sync + 'static> SignalStore for Keystore<S> {
    async fn put_identity(&self, address: &str, key: [u8; 32]) -> Result<()> {
        self.put_identities(&[(address, key)])
    }

    async fn put_identities_batch(&self, identities: &[(Arc<str>, [u8; 32])]) -> Result<()> {
        self.put_identities(identities)
    }

    async fn load_identity(&self, address: &str) -> Result<Option<[u8; 32]>> {
        let Some(key) =
            self.first_blob("SELECT key FROM key_identity WHERE address = ?", &[address.into()])?
        else {
            return Ok(None);
        };
        match <[u8; 32]>::try_from(key.as_slice()) {
            Ok(key) => Ok(Some(key)),
            Err(_) => Err(StoreError::Validation(format!("stored identity key has {} bytes", key.len()))),
        }
    }

    async fn delete_identity(&self, address: &str) -> Result<()> {
        self.run("DELETE FROM key_identity WHERE address = ?", &[address.into()])
    }

    async fn get_session(&self, address: &str) -> Result<Option<Bytes>> {
        let record =
            self.first_blob("SELECT record FROM key_session WHERE address = ?", &[address.into()])?;
        Ok(record.map(Bytes::from))
    }

    async fn put_session(&self, address: &str, session: &[u8]) -> Result<()> {
        self.put_sessions(&[(address, session)])
    }

    async fn put_sessions_batch(&self, sessions: &[(Arc<str>, Bytes)]) -> Result<()> {
        self.put_sessions(sessions)
    }

    async fn delete_session(&self, address: &str) -> Result<()> {
        self.run("DELETE FROM key_session WHERE address = ?", &[address.into()])
    }

    async fn has_session(&self, address: &str) -> Result<bool> {
        Ok(self.first("SELECT 1 FROM key_session WHERE address = ?", &[address.into()])?.is_some())
    }

    /// An address is `user@server` or `user:device@server`. Ranges, not LIKE: `;` and `A` come right after `:`
    /// and `@`, the index answers, and a `%` in a user is just a character.
    async fn has_signal_state_for_user(&self, user: &str) -> Result<bool> {
        let bounds = ["@", "A", ":", ";"].map(|mark| format!("{user}{mark}").into());
        let found = self.first(
            "SELECT EXISTS (SELECT 1 FROM key_session WHERE address >= ?1 AND address < ?2)
                 OR EXISTS (SELECT 1 FROM key_session WHERE address >= ?3 AND address < ?4)
                 OR EXISTS (SELECT 1 FROM key_identity WHERE address >= ?1 AND address < ?2)
                 OR EXISTS (SELECT 1 FROM key_identity WHERE address >= ?3 AND address < ?4)",
            &bounds,
        )?;
        Ok(found.map(|row| row.integer(0)).transpose().map_err(database)? == Some(1))
    }

    async fn store_prekey(&self, id: u32, record: &[u8], uploaded: bool) -> Result<()> {
        self.put_prekeys(&[(id, record)], uploaded)
    }

    async fn store_prekeys_batch(&self, keys: &[(u32, Bytes)], uploaded: bool) -> Result<()> {
        self.put_prekeys(keys, uploaded)
    }

    async fn load_prekey(&self, id: u32) -> Result<Option<Bytes>> {
        let record = self.first_blob("SELECT record FROM key_prekey WHERE id = ?", &[id.into()])?;
        Ok(record.map(Bytes::from))
    }

    async fn load_prekeys_batch(&self, ids: &[u32]) -> Result<Vec<(u32, Bytes)>> {
        let statement = "SELECT id, record FROM key_prekey WHERE id IN (VALUES {rows})";
        let rows = self.over(statement, &[], ids, |id| [(*id).into()])?;
        rows.iter().map(|row| Ok((id(row)?, row.blob(1).map_err(database)?.into()))).collect()
    }

    async fn mark_prekeys_uploaded(&self, ids: &[u32]) -> Result<()> {
        let statement = "UPDATE key_prekey SET uploaded = 1 WHERE id IN (VALUES {rows})";
        self.over(statement, &[], ids, |id| [(*id).into()]).map(drop)
    }

    async fn remove_prekey(&self, id: u32) -> Result<()> {
        self.run("DELETE FROM key_prekey WHERE id = ?", &[id.into()])
    }

    async fn get_max_prekey_id(&self) -> Result<u32> {
        let highest = self.first("SELECT id FROM key_prekey ORDER BY id DESC LIMIT 1", &[])?;
        highest.as_ref().map_or(Ok(0), id)
    }

    async fn store_signed_prekey(&self, id: u32, record: &[u8]) -> Result<()> {
        self.run(
            "INSERT INTO key_signed_prekey (id, record) VALUES (?, ?)
             ON CONFLICT (id) DO UPDATE SET record = excluded.record",
            &[id.into(), record.into()],
        )
    }

    async fn load_signed_prekey(&self, id: u32) -> Result<Option<Vec<u8>>> {
        self.first_blob("SELECT record FROM key_signed_prekey WHERE id = ?", &[id.into()])
    }

    async fn load_all_signed_prekeys(&self) -> Result<Vec<(u32, Vec<u8>)>> {
        let rows = self.query("SELECT id, record FROM key_signed_prekey ORDER BY id", &[])?;
        rows.iter().map(|row| Ok((id(row)?, row.blob(1).map_err(database)?))).collect()
    }

    async fn remove_signed_prekey(&self, id: u32) -> Result<()> {
        self.run("DELETE FROM key_signed_prekey WHERE id = ?", &[id.into()])
    }

    async fn put_sender_key(&self, address: &str, record: &[u8]) -> Result<()> {
        self.put_sender_keys(&[(address, record)])
    }

    async fn put_sender_keys_batch(&self, sender_keys: &[(Arc<str>, Bytes)]) -> Result<()> {
        self.put_sender_keys(sender_keys)
    }

    async fn get_sender_key(&self, address: &str) -> Result<Option<Vec<u8>>> {
        self.first_blob("SELECT record FROM key_sender_key WHERE address = ?", &[address.into()])
    }

    async fn delete_sender_key(&self, address: &str) -> Result<()> {
        self.run("DELETE FROM key_sender_key WHERE address = ?", &[address.into()])
    }
}

/// The writes, each for one and for many.
impl<S: Sql> Keystore<S> {
    fn put_identities<A: AsRef<str>>(&self, identities: &[(A, [u8; 32])]) -> Result<()> {
        self.over(
            "INSERT OR REPLACE INTO key_identity (address, key) VALUES {rows}",
            &[],
            identities,
            |(address, key)| [address.as_ref().into(), key.as_slice().into()],
        )
        .map(drop)
    }

    fn put_sessions<A: AsRef<str>, R: AsRef<[u8]>>(&self, sessions: &[(A, R)]) -> Result<()> {
        let statement = "INSERT INTO key_session (address, record) VALUES {rows}
             ON CONFLICT (address) DO UPDATE SET record = excluded.record";
        self.over(statement, &[], sessions, |(address, record)| {
            [address.as_ref().into(), record.as_ref().into()]
        })
        .map(drop)
    }

    fn put_prekeys<R: AsRef<[u8]>>(&self, keys: &[(u32, R)], uploaded: bool) -> Result<()> {
        let statement = "INSERT OR REPLACE INTO key_prekey (uploaded, id, record)
             SELECT ?, column1, column2 FROM (VALUES {rows})";
        self.over(statement, &[uploaded.into()], keys, |(id, record)| [(*id).into(), record.as_ref().into()])
            .map(drop)
    }

    fn put_sender_keys<A: AsRef<str>, R: AsRef<[u8]>>(&self, keys: &[(A, R)]) -> Result<()> {
        let statement = "INSERT INTO key_sender_key (address, record) VALUES {rows}
             ON CONFLICT (address) DO UPDATE SET record = excluded.record";
        self.over(statement, &[], keys, |(address, record)| [address.as_ref().into(), record.as_ref().into()])
            .map(drop)
    }
}

fn id(row: &Row) -> Result<u32> {
    let id = row.integer(0).map_err(database)?;
    u32::try_from(id).map_err(|_| StoreError::Validation(format!("stored key id {id} is out of range")))
}
