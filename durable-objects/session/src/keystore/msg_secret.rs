//! Message secrets: what later reactions, votes and edits of a message are decrypted with.

use async_trait::async_trait;
use gateway_sql::Sql;
use whatsapp_rust::wacore::store::error::Result;
use whatsapp_rust::wacore::store::traits::{MsgSecretEntry, MsgSecretStore};

use super::{Keystore, database, time};

#[cfg_attr(target_arch = "wasm32", async_trait(?Send))]
#[cfg_attr(not(target_arch = "wasm32"), async_trait)]
impl<S: Sql + Send + Sync + 'static> MsgSecretStore for Keystore<S> {
    /// A message that comes again never shortens its secret's life (0 is never), nor forgets when it was sent.
    async fn put_msg_secrets(&self, entries: Vec<MsgSecretEntry>) -> Result<usize> {
        let statement =
            "INSERT INTO key_message_secret (chat, sender, message_id, secret, expires_at, message_ts) VALUES {rows}
             ON CONFLICT (chat, sender, message_id) DO UPDATE SET
                secret = excluded.secret,
                expires_at = CASE
                    WHEN key_message_secret.expires_at = 0 OR excluded.expires_at = 0 THEN 0
                    ELSE max(key_message_secret.expires_at, excluded.expires_at)
                END,
                message_ts = max(key_message_secret.message_ts, excluded.message_ts)";
        self.over(statement, &[], &entries, |entry| {
            [
                (*entry.chat).into(),
                (*entry.sender).into(),
                (*entry.msg_id).into(),
                entry.secret.as_slice().into(),
                time(entry.expires_at),
                time(entry.message_ts),
            ]
        })?;
        Ok(entries.len())
    }

    async fn get_msg_secret(&self, chat: &str, sender: &str, msg_id: &str) -> Result<Option<Vec<u8>>> {
        let found = self.get_msg_secret_with_ts(chat, sender, msg_id).await?;
        Ok(found.map(|(secret, _)| secret))
    }

    async fn get_msg_secret_with_ts(
        &self,
        chat: &str,
        sender: &str,
        msg_id: &str,
    ) -> Result<Option<(Vec<u8>, i64)>> {
        let found = self.first(
            "SELECT secret, message_ts FROM key_message_secret WHERE chat = ? AND sender = ? AND message_id = ?",
            &[chat.into(), sender.into(), msg_id.into()],
        )?;
        let Some(row) = found else { return Ok(None) };
        Ok(Some((row.blob(0).map_err(database)?, row.integer(1).map_err(database)?)))
    }

    async fn delete_expired_msg_secrets(&self, cutoff_timestamp: i64) -> Result<u32> {
        self.count(
            "DELETE FROM key_message_secret WHERE expires_at <> 0 AND expires_at <= ?",
            &[time(cutoff_timestamp)],
        )
    }
}
