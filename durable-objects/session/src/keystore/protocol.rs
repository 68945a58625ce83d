//! What the protocol remembers of others: who holds which sender key, which LID is which phone number, the
//! devices of a user, groups, trusted contact tokens, and messages that may be asked for again.

use async_trait::async_trait;
use gateway_sql::{Row, Sql, SqlError, Value};
use whatsapp_rust::wacore::store::error::Result;
use whatsapp_rust::wacore::store::traits::{
    DeviceListRecord, LidPnMappingEntry, PendingInboundKey, PendingInboundRow, ProtocolStore, TcTokenEntry,
};
use whatsapp_rust::wacore::time::now_secs;

use super::{Keystore, MOST_SENT_MESSAGES, database, decode, encode, time};

/// How many sent messages of the oldest are looked at in a sweep: 40 a minute go so, and more than that are counted.
const SWEPT_AT_ONCE: i64 = 200;

#[cfg_attr(target_arch = "wasm32", async_trait(?Send))]
#[cfg_attr(not(target_arch = "wasm32"), async_trait)]
impl<S: Sql + Send + Sync + 'static> ProtocolStore for Keystore<S> {
    async fn get_sender_key_devices(&self, group_jid: &str) -> Result<Vec<(String, bool)>> {
        let statement = "SELECT device_jid, has_key FROM key_sender_key_device WHERE group_jid = ?";
        let rows = self.query(statement, &[group_jid.into()])?;
        rows.iter()
            .map(|row| Ok((row.text(0)?, row.integer(1)? != 0)))
            .collect::<std::result::Result<_, _>>()
            .map_err(database)
    }

    async fn set_sender_key_status(&self, group_jid: &str, entries: &[(&str, bool)]) -> Result<()> {
        let statement = "INSERT OR REPLACE INTO key_sender_key_device (group_jid, device_jid, has_key)
             SELECT ?, column1, column2 FROM (VALUES {rows})";
        self.over(statement, &[group_jid.into()], entries, |(device, has_key)| {
            [(*device).into(), (*has_key).into()]
        })
        .map(drop)
    }

    async fn clear_sender_key_devices(&self, group_jid: &str) -> Result<()> {
        self.run("DELETE FROM key_sender_key_device WHERE group_jid = ?", &[group_jid.into()])
    }

    /// Reads the whole table: an index by device would be written for every member of every group, and a
    /// device is removed once in a while.
    async fn delete_sender_key_device_rows(&self, device_jids: &[&str]) -> Result<()> {
        let statement = "DELETE FROM key_sender_key_device WHERE device_jid IN (VALUES {rows})";
        self.over(statement, &[], device_jids, |device| [(*device).into()]).map(drop)
    }

    async fn clear_all_sender_key_devices(&self) -> Result<()> {
        self.run("DELETE FROM key_sender_key_device", &[])
    }

    async fn get_lid_mapping(&self, lid: &str) -> Result<Option<LidPnMappingEntry>> {
        let found = self.first(
            "SELECT lid, phone_number, created_at, updated_at, learning_source FROM key_lid_mapping WHERE lid = ?",
            &[lid.into()],
        )?;
        found.as_ref().map(mapping).transpose().map_err(database)
    }

    /// The most recent by its own time: what the library knows to be stale it stores with time 0, and a stale
    /// one must not win by being stored last.
    async fn get_pn_mapping(&self, phone: &str) -> Result<Option<LidPnMappingEntry>> {
        let found = self.first(
            "SELECT lid, phone_number, created_at, updated_at, learning_source FROM key_lid_mapping
             WHERE phone_number = ? ORDER BY updated_at DESC, position DESC LIMIT 1",
            &[phone.into()],
        )?;
        found.as_ref().map(mapping).transpose().map_err(database)
    }

    async fn put_lid_mapping(&self, entry: &LidPnMappingEntry) -> Result<()> {
        self.put_lid_mappings(std::slice::from_ref(entry)).await
    }

    async fn put_lid_mappings(&self, entries: &[LidPnMappingEntry]) -> Result<()> {
        let statement = "INSERT OR REPLACE INTO key_lid_mapping
             (lid, phone_number, created_at, updated_at, learning_source) VALUES {rows}";
        self.over(statement, &[], entries, |entry| {
            [
                (&entry.lid).into(),
                (&entry.phone_number).into(),
                time(entry.created_at),
                time(entry.updated_at),
                (&entry.learning_source).into(),
            ]
        })
        .map(drop)
    }

    async fn get_all_lid_mappings(&self) -> Result<Vec<LidPnMappingEntry>> {
        let statement = "SELECT lid, phone_number, created_at, updated_at, learning_source FROM key_lid_mapping ORDER BY position";
        self.query(statement, &[])?
            .iter()
            .map(mapping)
            .collect::<std::result::Result<_, _>>()
            .map_err(database)
    }

    async fn save_base_key(&self, address: &str, message_id: &str, base_key: &[u8]) -> Result<()> {
        self.run(
            "INSERT OR REPLACE INTO key_base_key (address, message_id, base_key) VALUES (?, ?, ?)",
            &[address.into(), message_id.into(), base_key.into()],
        )
    }

    async fn has_same_base_key(
        &self,
        address: &str,
        message_id: &str,
        current_base_key: &[u8],
    ) -> Result<bool> {
        let found = self.first(
            "SELECT 1 FROM key_base_key WHERE address = ? AND message_id = ? AND base_key = ?",
            &[address.into(), message_id.into(), current_base_key.into()],
        )?;
        Ok(found.is_some())
    }

    async fn delete_base_key(&self, address: &str, message_id: &str) -> Result<()> {
        self.run(
            "DELETE FROM key_base_key WHERE address = ? AND message_id = ?",
            &[address.into(), message_id.into()],
        )
    }

    async fn update_device_list(&self, record: DeviceListRecord) -> Result<()> {
        self.update_device_lists(vec![record]).await
    }

    async fn update_device_lists(&self, records: Vec<DeviceListRecord>) -> Result<()> {
        let statement = "INSERT INTO key_device_list (user, record) VALUES {rows}
             ON CONFLICT (user) DO UPDATE SET record = excluded.record";
        let encoded: Vec<(&str, Vec<u8>)> = records
            .iter()
            .map(|record| Ok((record.user.as_str(), encode("device list", record)?)))
            .collect::<Result<_>>()?;
        self.over(statement, &[], &encoded, |(user, record)| [(*user).into(), record.as_slice().into()])
            .map(drop)
    }

    async fn get_devices(&self, user: &str) -> Result<Option<DeviceListRecord>> {
        let record = self.first_blob("SELECT record FROM key_device_list WHERE user = ?", &[user.into()])?;
        record.map(|record| decode("device list", &record)).transpose()
    }

    async fn delete_devices(&self, user: &str) -> Result<()> {
        self.run("DELETE FROM key_device_list WHERE user = ?", &[user.into()])
    }

    async fn get_group_metadata(&self, group_jid: &str) -> Result<Option<Vec<u8>>> {
        self.first_blob("SELECT metadata FROM key_group_metadata WHERE group_jid = ?", &[group_jid.into()])
    }

    async fn put_group_metadata(&self, group_jid: &str, blob: &[u8]) -> Result<()> {
        self.run(
            "INSERT INTO key_group_metadata (group_jid, metadata) VALUES (?, ?)
             ON CONFLICT (group_jid) DO UPDATE SET metadata = excluded.metadata",
            &[group_jid.into(), blob.into()],
        )
    }

    async fn delete_group_metadata(&self, group_jid: &str) -> Result<()> {
        self.run("DELETE FROM key_group_metadata WHERE group_jid = ?", &[group_jid.into()])
    }

    async fn get_tc_token(&self, jid: &str) -> Result<Option<TcTokenEntry>> {
        let statement = "SELECT token, token_timestamp, sender_timestamp FROM key_tc_token WHERE jid = ?";
        let Some(row) = self.first(statement, &[jid.into()])? else { return Ok(None) };
        Ok(Some(TcTokenEntry {
            token: row.blob(0).map_err(database)?,
            token_timestamp: row.integer(1).map_err(database)?,
            sender_timestamp: row.optional_integer(2).map_err(database)?,
        }))
    }

    async fn put_tc_token(&self, jid: &str, entry: &TcTokenEntry) -> Result<()> {
        self.run(
            "INSERT OR REPLACE INTO key_tc_token (jid, token, token_timestamp, sender_timestamp) VALUES (?, ?, ?, ?)",
            &[
                jid.into(),
                entry.token.as_slice().into(),
                time(entry.token_timestamp),
                entry.sender_timestamp.map_or(Value::Null, time),
            ],
        )
    }

    async fn delete_tc_token(&self, jid: &str) -> Result<()> {
        self.run("DELETE FROM key_tc_token WHERE jid = ?", &[jid.into()])
    }

    async fn get_all_tc_token_jids(&self) -> Result<Vec<String>> {
        let rows = self.query("SELECT jid FROM key_tc_token", &[])?;
        rows.iter().map(|row| row.text(0)).collect::<std::result::Result<_, _>>().map_err(database)
    }

    /// A row goes when neither half lives: no token or an old one, and nothing sent or long ago.
    async fn delete_expired_tc_tokens(&self, token_cutoff: i64, sender_cutoff: i64) -> Result<u32> {
        self.count(
            "DELETE FROM key_tc_token
             WHERE (length(token) = 0 OR token_timestamp < ?)
               AND (sender_timestamp IS NULL OR sender_timestamp < ?)",
            &[time(token_cutoff), time(sender_cutoff)],
        )
    }

    /// Only ever forward, and the token received from the contact stays.
    async fn touch_tc_token_sender_timestamp(&self, jid: &str, sender_timestamp: i64) -> Result<()> {
        self.run(
            "INSERT INTO key_tc_token (jid, token, token_timestamp, sender_timestamp) VALUES (?1, x'', ?2, ?2)
             ON CONFLICT (jid) DO UPDATE SET sender_timestamp =
                max(coalesce(key_tc_token.sender_timestamp, excluded.sender_timestamp), excluded.sender_timestamp)",
            &[jid.into(), time(sender_timestamp)],
        )
    }

    /// The newer token wins, any token over none; when we last sent ours stays.
    async fn store_received_tc_token(&self, jid: &str, token: &[u8], token_timestamp: i64) -> Result<()> {
        self.run(
            "INSERT INTO key_tc_token (jid, token, token_timestamp, sender_timestamp) VALUES (?, ?, ?, NULL)
             ON CONFLICT (jid) DO UPDATE SET token = excluded.token, token_timestamp = excluded.token_timestamp
             WHERE length(key_tc_token.token) = 0 OR excluded.token_timestamp >= key_tc_token.token_timestamp",
            &[jid.into(), token.into(), time(token_timestamp)],
        )
    }

    async fn store_sent_message(&self, chat_jid: &str, message_id: &str, payload: &[u8]) -> Result<()> {
        self.run(
            "INSERT INTO key_sent_message (chat_jid, message_id, payload, stored_at) VALUES (?, ?, ?, ?)
             ON CONFLICT (chat_jid, message_id) DO UPDATE SET payload = excluded.payload, stored_at = excluded.stored_at",
            &[chat_jid.into(), message_id.into(), payload.into(), time(now_secs())],
        )
    }

    async fn take_sent_message(&self, chat_jid: &str, message_id: &str) -> Result<Option<Vec<u8>>> {
        self.first_blob(
            "DELETE FROM key_sent_message WHERE chat_jid = ? AND message_id = ? RETURNING payload",
            &[chat_jid.into(), message_id.into()],
        )
    }

    /// Of the oldest only, a few at a time: this is asked every five minutes of a table that is large.
    async fn delete_expired_sent_messages(&self, cutoff_timestamp: i64) -> Result<u32> {
        let expired = self.count(
            "DELETE FROM key_sent_message WHERE stored_at < ?1 \
             AND rowid IN (SELECT rowid FROM key_sent_message ORDER BY rowid LIMIT ?2)",
            &[time(cutoff_timestamp), SWEPT_AT_ONCE.into()],
        )?;
        let too_many = self.count(
            "DELETE FROM key_sent_message WHERE rowid <= (SELECT MAX(rowid) FROM key_sent_message) - ?1",
            &[MOST_SENT_MESSAGES.into()],
        )?;
        Ok(expired.saturating_add(too_many))
    }

    async fn store_pending_inbound(&self, chat: &str, sender: &str, id: &str, message: &[u8]) -> Result<()> {
        self.store_pending_inbound_batch(&[PendingInboundRow { chat, sender, id, message }]).await
    }

    async fn get_pending_inbound(&self, chat: &str, sender: &str, id: &str) -> Result<Option<Vec<u8>>> {
        self.first_blob(
            "SELECT message FROM key_pending_inbound WHERE chat = ? AND sender = ? AND id = ?",
            &[chat.into(), sender.into(), id.into()],
        )
    }

    async fn delete_pending_inbound(&self, chat: &str, sender: &str, id: &str) -> Result<()> {
        self.delete_pending_inbound_batch(&[PendingInboundKey { chat, sender, id }]).await
    }

    async fn delete_expired_pending_inbound(&self, cutoff_timestamp: i64) -> Result<u32> {
        self.count("DELETE FROM key_pending_inbound WHERE stored_at < ?", &[time(cutoff_timestamp)])
    }

    async fn store_pending_inbound_batch(&self, rows: &[PendingInboundRow<'_>]) -> Result<()> {
        let statement = "INSERT INTO key_pending_inbound (stored_at, chat, sender, id, message)
             SELECT ?, column1, column2, column3, column4 FROM (VALUES {rows}) WHERE true
             ON CONFLICT (chat, sender, id) DO UPDATE SET message = excluded.message, stored_at = excluded.stored_at";
        self.over(statement, &[time(now_secs())], rows, |row| {
            [row.chat.into(), row.sender.into(), row.id.into(), row.message.into()]
        })
        .map(drop)
    }

    async fn delete_pending_inbound_batch(&self, keys: &[PendingInboundKey<'_>]) -> Result<()> {
        let statement = "DELETE FROM key_pending_inbound WHERE (chat, sender, id) IN (VALUES {rows})";
        self.over(statement, &[], keys, |key| [key.chat.into(), key.sender.into(), key.id.into()]).map(drop)
    }
}

fn mapping(row: &Row) -> std::result::Result<LidPnMappingEntry, SqlError> {
    Ok(LidPnMappingEntry {
        lid: row.text(0)?,
        phone_number: row.text(1)?,
        created_at: row.integer(2)?,
        updated_at: row.integer(3)?,
        learning_source: row.text(4)?,
    })
}
