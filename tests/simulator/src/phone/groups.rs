//! A phone writes in a group.

use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use wacore_binary::Jid;
use wacore_binary::builder::NodeBuilder;
use waproto::whatsapp::Message;

use super::sender_keys::Recipient;
use super::sending::{Letter, participant};
use crate::account::Account;
use crate::world::World;
use crate::{group_delivery, routing};

/// Sends a message to everybody in a group.
pub async fn send(
    world: &Arc<World>,
    account: &Arc<Account>,
    id: Option<String>,
    to: &Jid,
    message: Message,
) -> Result<String> {
    let group = world.groups.get(to.user_base()).context("no such group")?;
    if !group.has(&account.number) {
        bail!("not in this group");
    }
    let everybody = group_delivery::devices(world, &group);
    let others: Vec<Recipient> = everybody
        .iter()
        .filter(|(member, device)| member.number != account.number || *device != 0)
        .cloned()
        .collect();
    let letter = Letter::new(&message);
    let mut phone = account.phone.lock().await;
    let id = id.unwrap_or_else(|| phone.fresh_id());
    let newcomers = phone.newcomers(account, to, &others);
    let distribution = phone.distribution(account, to).await?;
    let mut participants = Vec::new();
    for (member, device) in &newcomers {
        let enc = phone.enc(member, *device, &distribution, None).await;
        participants.extend(participant(member.lid().with_device(*device), enc));
    }
    phone.note_distributed(to, &newcomers, true);
    let ciphertext = phone.encrypt_in_group(account, to, &message).await?;
    phone.remember(&id, to.to_non_ad(), message);
    let mut children = Vec::new();
    if !participants.is_empty() {
        children.push(NodeBuilder::new("participants").children(participants).build());
    }
    children.push(letter.enc("skmsg", ciphertext, None));
    let mut node = letter.stanza(to.to_non_ad(), &id).attr("addressing_mode", "lid");
    if let Some(phash) = group_delivery::phash(&everybody) {
        node = node.attr("phash", phash);
    }
    let node = node.children(children).build();
    // Still under the phone's lock, so that messages go out in the order of their ratchets.
    let outcome = routing::accept(world, account, 0, &node);
    drop(phone);
    outcome.map_err(|code| anyhow::anyhow!("refused with {code}"))?;
    Ok(id)
}
