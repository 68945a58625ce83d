//! A phone sends a message again to a device that could not read it.

use std::sync::Arc;

use anyhow::{Context as _, Result};
use wacore::messages::wrap_device_sent;
use wacore_binary::{JidExt as _, Node};

use super::address;
use super::sending::Letter;
use crate::account::Account;
use crate::world::World;
use crate::{prekeys, routing, stanza};

/// Answers a retry receipt: a new session, from the keys that came with it or those on the server, and the message
/// again for that one device.
pub async fn resend(world: &Arc<World>, account: &Arc<Account>, receipt: &Node) -> Result<()> {
    let from = stanza::jid(receipt, "from").context("no from")?;
    let group = from.is_group().then(|| from.clone());
    let asker = if group.is_some() { stanza::jid(receipt, "participant") } else { Some(from) };
    let asker = asker.context("nobody asks")?;
    let id = stanza::attr(receipt, "id");
    let count =
        receipt.get_optional_child("retry").map(|retry| stanza::attr(retry, "count")).unwrap_or_default();
    let requester = world.resolve(&asker).context("an unknown requester")?;
    let mut phone = account.phone.lock().await;
    let sent = phone.sent.get(&id).cloned().context("a message this phone doesn't remember")?;
    let bundle = match prekeys::read_retry_bundle(receipt) {
        Ok(bundle) => bundle,
        Err(_) => prekeys::take(&requester, asker.device, prekeys::Published::take_bundle)
            .context("a device that is gone")??,
    };
    phone.open_session(&address(&requester, asker.device), &bundle).await?;
    let letter = Letter::new(&sent.message);
    let (peer, own) = (sent.to.device != 0, requester.number == account.number);
    let mut message = sent.message;
    if let Some(group) = &group {
        // With the key for all that comes after it.
        let distribution = phone.distribution(account, group).await?;
        message.sender_key_distribution_message = distribution.sender_key_distribution_message;
    } else if own && !peer {
        message = wrap_device_sent(message, sent.to.to_non_ad_string());
    }
    let enc = phone.enc(&requester, asker.device, &message, Some(&count)).await?;
    let mut node = match group {
        Some(group) => letter.stanza(group, &id).attr("participant", asker).attr("addressing_mode", "lid"),
        None => letter.stanza(asker, &id).attr("recipient", sent.to.to_non_ad()),
    };
    if peer {
        node = node.attr("category", "peer").attr("push_priority", "high");
    }
    let outcome = routing::accept(world, account, 0, &node.children([enc]).build());
    drop(phone);
    outcome.map_err(|code| anyhow::anyhow!("refused with {code}"))?;
    Ok(())
}
