//! A phone makes what its owner wants to say: it looks up what that is about, and puts files on a media host.

use std::sync::Arc;

use rand::Rng as _;
use tokio::task::spawn_blocking;
use wacore::upload::encrypt_media_with_key_and_sidecar;
use wacore_binary::{Jid, JidExt as _};
use waproto::whatsapp::{Message, MessageKey};

use super::Phone;
use super::memory::Known;
use crate::account::Account;
use crate::content::addons::Names;
use crate::content::make::{self, Circumstances, Target, Uploaded};
use crate::content::{File, Request};
use crate::world::World;
use crate::{clock, rng};

type Composed<T> = Result<T, &'static str>;

/// The message for this chat.
pub async fn compose(
    world: &Arc<World>,
    account: &Arc<Account>,
    to: &Jid,
    request: &Request,
) -> Composed<Message> {
    let mut phone = account.phone.lock().await;
    let chat = Chat { world, account, to };
    let target = |phone: &Phone, id: &Option<String>| {
        id.as_ref().map(|id| chat.target(phone, id).ok_or("no such message on this phone")).transpose()
    };
    let album = target(&phone, &request.album)?;
    let with = Circumstances {
        now_ms: i64::try_from(clock::unix_millis()).unwrap_or_default(),
        secret: rng::bytes::<32>(&mut phone.rng).to_vec(),
        me: chat.name(account).to_string(),
        target: target(&phone, &request.target)?,
        quoted: target(&phone, &request.quoted)?,
        album: album.map(|album| album.key),
        uploaded: upload(world, account, &mut phone, request).await?,
    };
    make::message(request, &with)
}

/// Encrypts the file under a new key and puts it where others find it.
async fn upload(
    world: &World,
    account: &Account,
    phone: &mut Phone,
    request: &Request,
) -> Composed<Option<Uploaded>> {
    let kind = request.kind()?;
    let Some((kind, usual)) = make::media_type(kind) else { return Ok(None) };
    let data = match (request.data()?, request.length) {
        (Some(data), None) => data,
        (None, Some(length)) => {
            let mut data = vec![0; length];
            phone.rng.fill_bytes(&mut data);
            data
        }
        _ => return Err("media needs data or a length"),
    };
    let length = request.file_length.unwrap_or(data.len() as u64);
    let key = rng::bytes::<32>(&mut phone.rng);
    // A large one takes seconds.
    let encrypted = spawn_blocking(move || encrypt_media_with_key_and_sidecar(&data, kind, Some(&key), None));
    let encrypted = encrypted.await.map_err(|_| "a file that can't be encrypted")?;
    let encrypted = encrypted.map_err(|_| "a file that can't be encrypted")?;
    let owner = crate::account::DeviceAddress { number: account.number.clone(), device: 0 };
    let stored = world.media.store(kind.mms_type(), encrypted.data_to_upload.into(), Some(owner));
    let file = File {
        kind,
        mimetype: request.mimetype.clone().unwrap_or_else(|| usual.to_owned()),
        direct_path: stored.direct_path,
        media_key: key.to_vec(),
        enc_sha256: encrypted.file_enc_sha256.to_vec(),
        sha256: encrypted.file_sha256.to_vec(),
    };
    world.media.learn(&file);
    let url = format!("https://{}{}", world.media.authority(), file.direct_path);
    Ok(Some(Uploaded { file, length, url, sidecar: encrypted.streaming_sidecar }))
}

/// A conversation as its writer sees it.
struct Chat<'a> {
    world: &'a World,
    account: &'a Account,
    to: &'a Jid,
}

impl Chat<'_> {
    /// What somebody is called in here.
    fn name(&self, somebody: &Account) -> Jid {
        if self.to.is_pn() { somebody.pn() } else { somebody.lid() }
    }

    fn target(&self, phone: &Phone, id: &str) -> Option<Target> {
        let Known { author, message, .. } = phone.known(&self.account.number, id)?;
        let author = self.world.account(&author)?;
        let own = author.number == self.account.number;
        let here = self.name(&author).to_string();
        let key = MessageKey {
            remote_jid: Some(self.to.to_non_ad_string()),
            from_me: Some(own),
            id: Some(id.to_owned()),
            participant: (self.to.is_group() && !own).then(|| here.clone()),
        };
        let author = Names { pn: author.pn().to_string(), lid: author.lid().to_string() };
        Some(Target { key, message, author, author_here: here })
    }
}
