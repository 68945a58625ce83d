//! A companion finds a file gone and asks its phone, which uploads it again and says where.

use anyhow::{Context as _, Result};
use wacore::crypto::hkdf_sha256_into;
use wacore::media_retry::decrypt_media_retry_notification;
use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node};
use wacore_libsignal::crypto::aes_256_gcm_encrypt;
use waproto::buffa::Message as _;
use waproto::whatsapp::MediaRetryNotification;
use waproto::whatsapp::media_retry_notification::ResultType;

use crate::account::{Account, DeviceAddress};
use crate::content::{self, File};
use crate::faults::Kind;
use crate::stanza::{self, child_content, with_bytes};
use crate::world::World;
use crate::{clock, rng, routing};

/// What the key of an answer is derived under.
const KEY_INFO: &[u8] = b"WhatsApp Media Retry Notification";
const GENERAL: u8 = 1;
const NOT_FOUND: u8 = 2;
const UNREADABLE: u8 = 3;

/// Answers a `<receipt type="server-error">` of one of the account's companions.
pub async fn answer(world: &World, account: &Account, receipt: &Node) -> Result<()> {
    let asker = stanza::jid(receipt, "from").context("nobody asks")?;
    let id = stanza::attr(receipt, "id");
    let outcome = place(world, account, receipt, &asker, &id).await;
    let body = match outcome {
        Ok(encrypted) => encrypted,
        Err(code) => NodeBuilder::new("error").attr("code", u16::from(code)).build(),
    };
    let mut children = vec![body];
    children.extend(receipt.get_optional_child("rmr").cloned());
    let notification = NodeBuilder::new("notification")
        .attr("from", account.pn())
        .attr("type", "mediaretry")
        .attr("id", id)
        .attr("t", clock::unix_seconds())
        .children(children);
    routing::hand_over(account, asker.device, notification.build());
    Ok(())
}

/// Where the file is now, for the companion's eyes only; or why there is none.
async fn place(world: &World, account: &Account, receipt: &Node, asker: &Jid, id: &str) -> Result<Node, u8> {
    let peer = DeviceAddress { number: account.number.clone(), device: asker.device };
    let refused = world.faults.take(Some(&peer), |kind| match kind {
        Kind::MediaRetryError { code } => Some(*code),
        _ => None,
    });
    if let Some(code) = refused {
        return Err(code);
    }
    let mut phone = account.phone.lock().await;
    let known = phone.known(&account.number, id).ok_or(NOT_FOUND)?;
    let File { media_key, enc_sha256, .. } = content::file(&known.message).ok_or(NOT_FOUND)?;
    let request = receipt.get_optional_child("encrypt").ok_or(GENERAL)?;
    let (ciphertext, iv) = (child_content(request, "enc_p"), child_content(request, "enc_iv"));
    decrypt_media_retry_notification(&media_key, id, iv, ciphertext).map_err(|_| UNREADABLE)?;
    let stored = world.media.renew(&hex::encode(enc_sha256)).ok_or(NOT_FOUND)?;
    phone.file_moved(&account.number, id, &stored.direct_path);
    let told = MediaRetryNotification {
        stanza_id: Some(id.to_owned()),
        direct_path: Some(stored.direct_path),
        result: Some(ResultType::SUCCESS),
        ..MediaRetryNotification::default()
    };
    let iv = rng::bytes::<12>(phone.rng());
    sealed(&told, &media_key, id, iv).map_err(|_| GENERAL)
}

fn sealed(told: &MediaRetryNotification, media_key: &[u8], id: &str, iv: [u8; 12]) -> Result<Node> {
    let mut key = [0; 32];
    hkdf_sha256_into(media_key, None, KEY_INFO, &mut key).map_err(|error| anyhow::anyhow!("{error}"))?;
    let mut ciphertext = Vec::new();
    aes_256_gcm_encrypt(&key, &iv, id.as_bytes(), &told.encode_to_vec(), &mut ciphertext)
        .map_err(|error| anyhow::anyhow!("{error}"))?;
    Ok(NodeBuilder::new("encrypt")
        .children([with_bytes("enc_p", ciphertext), with_bytes("enc_iv", iv)])
        .build())
}
