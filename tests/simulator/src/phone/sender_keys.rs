//! Sender keys: one ciphertext for a whole group, under a key that each device is told once.

use std::collections::BTreeSet;
use std::sync::Arc;

use anyhow::Result;
use wacore_binary::Jid;
use wacore_libsignal::protocol::{
    ProtocolAddress, SenderKeyDistributionMessage, SenderKeyName, create_sender_key_distribution_message,
    group_decrypt, group_encrypt, process_sender_key_distribution_message,
};
use waproto::buffa::MessageField;
use waproto::whatsapp::Message;
use waproto::whatsapp::message::SenderKeyDistributionMessage as Distribution;

use super::{Phone, address};
use crate::account::Account;
use crate::store::Kind;

/// A device a message in a group is for.
pub type Recipient = (Arc<Account>, u16);

fn name(group: &str, of: &ProtocolAddress) -> SenderKeyName {
    SenderKeyName::from_parts(group, of.as_str())
}

impl Phone {
    pub(super) async fn decrypt_in_group(
        &mut self,
        group: &Jid,
        from: &ProtocolAddress,
        ciphertext: &[u8],
    ) -> Result<Vec<u8>> {
        let name = name(&group.to_string(), from);
        Ok(group_decrypt(ciphertext, &mut self.store.sender_keys, &name).await?)
    }

    /// Puts away the key that came with a message.
    pub(super) async fn learn_sender_key(&mut self, from: &ProtocolAddress, message: &Message) -> Result<()> {
        let Some(distribution) = message.sender_key_distribution_message.as_option() else { return Ok(()) };
        let group = distribution.group_id.as_deref().unwrap_or_default();
        let key = distribution.axolotl_sender_key_distribution_message.as_deref().unwrap_or_default();
        let key = SenderKeyDistributionMessage::try_from(key)?;
        let store = &mut self.store.sender_keys;
        process_sender_key_distribution_message(&name(group, from), &key, store).await?;
        Ok(())
    }

    /// Who of these doesn't have the key yet. When somebody has it who isn't among them, it is used no longer.
    pub(super) fn newcomers(&mut self, own: &Account, group: &Jid, all: &[Recipient]) -> Vec<Recipient> {
        let group = group.to_string();
        let addresses: BTreeSet<String> =
            all.iter().map(|(account, device)| tell_apart(account, *device)).collect();
        let has = self.distributed.entry(group.clone()).or_default();
        if !has.is_subset(&addresses) {
            has.clear();
            self.store.sender_keys.remove(&name(&group, &address(own, 0)));
        }
        all.iter().filter(|(account, device)| !has.contains(&tell_apart(account, *device))).cloned().collect()
    }

    /// The message that tells a device this phone's key for a group.
    pub(super) async fn distribution(&mut self, own: &Account, group: &Jid) -> Result<Message> {
        let group = group.to_string();
        let name = name(&group, &address(own, 0));
        let Self { store, rng, .. } = self;
        let key = create_sender_key_distribution_message(&name, &mut store.sender_keys, rng).await?;
        let distribution = Distribution {
            group_id: Some(group),
            axolotl_sender_key_distribution_message: Some(key.as_ref().to_vec()),
        };
        Ok(Message {
            sender_key_distribution_message: MessageField::some(distribution),
            ..Message::default()
        })
    }

    /// These have it now, or are to get it again.
    pub(super) fn note_distributed(&mut self, group: &Jid, whom: &[Recipient], has: bool) {
        let group = group.to_string();
        let known = self.distributed.entry(group.clone()).or_default();
        for (account, device) in whom {
            let address = tell_apart(account, *device);
            if has {
                known.insert(address);
            } else {
                known.remove(&address);
            }
        }
        self.shelf.put_json(Kind::Distributed, group, known);
    }

    pub(super) async fn encrypt_in_group(
        &mut self,
        own: &Account,
        group: &Jid,
        message: &Message,
    ) -> Result<Vec<u8>> {
        let padded = self.padded(message);
        let name = name(&group.to_string(), &address(own, 0));
        let Self { store, rng, .. } = self;
        let encrypted = group_encrypt(&mut store.sender_keys, &name, &padded, rng).await?;
        self.keep();
        Ok(encrypted.serialized().to_vec())
    }
}

fn tell_apart(account: &Account, device: u16) -> String {
    address(account, device).as_str().to_owned()
}
