//! The files of a send: from the request or from an address, looked at, and encrypted to WhatsApp's media host. They lie in
//! the database meanwhile, not in memory (docs/decisions/media.md).

use std::rc::Rc;
use std::time::Duration;

use gateway_domain::error::ApiError;
use gateway_domain::message::limits::MAX_ALBUM_MEDIAS;
use gateway_domain::message::media_type::File;
use gateway_domain::message::{Media, MediaKind, Outgoing, Source};
use gateway_object::budget::Share;
use gateway_object::calls::PART_BYTES;
use gateway_sql::SqlError;
use whatsapp_rust::download::MediaType;
use whatsapp_rust::waproto::whatsapp::ContextInfo;

use crate::call::HoldPoint;
use crate::composing::{self, Around, Secret, Uploaded};
use crate::connection::Connection;
use crate::media_upload::{self, Stored};
use crate::outbox::{Entry, MOST_FILE_BYTES};
use crate::room::{Room, failed};
use crate::sending::own_key;
use crate::transmitting::Unsent;
use crate::{clock, fetching, thumbnail};

/// How long a file waits for memory.
const PATIENCE: Duration = Duration::from_secs(30);
/// What is held beside a picture while that is done: `thumbnail`'s own bound.
const DRAWING_BYTES: usize = 25 * 1_024 * 1_024;
/// A part that is read, what it is encrypted to, and the copies on its way to the network.
const COPIES: usize = 4;
/// How often a URL of which nothing comes is asked, where nobody waits.
const MOST_FETCHES: u32 = 5;

/// Makes the messages of a send with files, and stores each as soon as its file lies on WhatsApp's host: an attempt that is
/// cut off goes on behind the last of them.
///
/// # Errors
/// When a file can't be had, is none WhatsApp shows, or the host can't be reached.
pub async fn prepare(
    room: &Rc<Room>,
    connection: &Rc<Connection>,
    entry: &str,
    outgoing: &Outgoing,
) -> Result<(), Unsent> {
    let read = |error| Unsent::Refused(failed("the outbox can't be read", &error));
    let outbox = room.journal.outbox();
    let is_album = outgoing.content.medias().len() > 1;
    let first = outbox.entry(entry).map_err(read)?.ok_or_else(|| Unsent::Refused(ApiError::not_found()))?;
    let about = room.about().map_err(Unsent::Refused)?;
    let context = about
        .context(&first.chat, outgoing.reply_to.as_deref(), &outgoing.mentions)
        .map_err(|error| Unsent::Refused(failed("a quote can't be made", &error)))?;
    let done = outbox.messages(entry).map_err(read)?.len();
    let around = || Around { context: context.clone(), secret: secret(), album: None };
    if is_album && done == 0 {
        let album = composing::album(outgoing.content.medias(), around());
        room.fix(entry, 0, &first.message_id, &first.chat, &album).map_err(Unsent::Refused)?;
    }
    for (index, media) in outgoing.content.medias().iter().enumerate() {
        let place = index + usize::from(is_album);
        if place < done {
            continue;
        }
        let file = AFile { media, path: outgoing.content.path(index), index };
        let uploaded = file.upload(room, connection, &first).await?;
        let (id, around) = if is_album {
            let album = Some(own_key(&first.chat, &first.message_id));
            // It vanishes with the album; what the album answers and whom it means is said once.
            let context = ContextInfo {
                expiration: context.expiration,
                ephemeral_setting_timestamp: context.ephemeral_setting_timestamp,
                ..ContextInfo::default()
            };
            (clock::message_id(), Around { album, secret: secret(), context })
        } else {
            (first.message_id.clone(), around())
        };
        let number = file.number();
        let message = composing::file(media, uploaded, around);
        room.fix(entry, place, &id, &first.chat, &message).map_err(Unsent::Refused)?;
        outbox.drop_file(&outbox.lot(entry).map_err(read)?, number).map_err(read)?;
        room.hold(HoldPoint::Uploaded).await;
    }
    outbox.all_fixed(entry).map_err(read)
}

/// Thirty-two random bytes.
pub fn secret() -> Secret {
    clock::random()
}

/// A file of a send.
struct AFile<'a> {
    media: &'a Media,
    /// What the request calls it.
    path: String,
    /// Which of its files it is.
    index: usize,
}

impl AFile<'_> {
    /// Where it lies: those that are fetched behind those that came with the request.
    fn number(&self) -> usize {
        self.media.source.file().unwrap_or(MAX_ALBUM_MEDIAS + self.index)
    }

    async fn upload(
        &self,
        room: &Rc<Room>,
        connection: &Rc<Connection>,
        entry: &Entry,
    ) -> Result<Uploaded, Unsent> {
        let lot = room.journal.outbox().lot(&entry.id).map_err(|error| unreadable(&error))?;
        let served = match &self.media.source {
            Source::Data(_) => None,
            Source::Url(url) => self.fetch(room, entry, &lot, url).await?,
        };
        let stored = room.journal.outbox().file(&lot, self.number());
        let stored = stored.map_err(|error| unreadable(&error))?.owned();
        let facts = self.media.examine(&stored, &self.path, served.as_deref()).map_err(Unsent::Refused)?;
        let thumbnail = if self.media.kind == MediaKind::Image { preview(&stored).await? } else { None };
        stored.let_go();
        let _share = share_of(COPIES * PART_BYTES).await?;
        let kind = match self.media.kind {
            MediaKind::Image => MediaType::Image,
            MediaKind::Video => MediaType::Video,
            MediaKind::Audio => MediaType::Audio,
            MediaKind::Document => MediaType::Document,
            MediaKind::Sticker => MediaType::Sticker,
        };
        let lying = media_upload::upload(connection, stored, kind).await.map_err(|error| {
            worker::console_warn!("a file could not be uploaded: {error}");
            Unsent::Later("WhatsApp's media host did not take the file".to_owned())
        })?;
        let encrypted = lying.encrypted;
        Ok(Uploaded {
            url: lying.url,
            direct_path: lying.direct_path,
            media_key: encrypted.media_key.to_vec(),
            file_sha256: encrypted.file_sha256.to_vec(),
            file_enc_sha256: encrypted.file_enc_sha256.to_vec(),
            file_length: encrypted.file_length,
            media_key_timestamp: i64::try_from(clock::now() / 1_000).unwrap_or_default(),
            streaming_sidecar: encrypted.streaming_sidecar,
            facts,
            thumbnail,
        })
    }

    /// Fetches it into the database; what its server says it is.
    async fn fetch(
        &self,
        room: &Rc<Room>,
        entry: &Entry,
        lot: &str,
        url: &str,
    ) -> Result<Option<String>, Unsent> {
        let outbox = room.journal.outbox();
        outbox.drop_file(lot, self.number()).map_err(|error| unreadable(&error))?;
        // Of what has come, not of what might: whoever is slow holds up nobody.
        let (mut share, mut is_crowded) = (share_of(0).await?, false);
        let (mut part, mut bytes, mut stopped) = (0, Vec::new(), None);
        let mut keep = |bytes: Vec<u8>| {
            let kept = if outbox.file_bytes()? >= MOST_FILE_BYTES {
                Some(Unsent::Later("too many files wait".to_owned()))
            } else if outbox.add_fetched(entry, lot, self.number(), part, bytes)? {
                None
            } else {
                Some(Unsent::Over)
            };
            part += 1;
            Ok(kept)
        };
        let mut keep = |bytes: Vec<u8>| {
            stopped = keep(bytes).unwrap_or_else(|error| Some(unreadable(&error)));
            stopped.is_none()
        };
        let take = |piece: &[u8]| {
            bytes.extend_from_slice(piece);
            is_crowded = !share.grow(bytes.len());
            if is_crowded {
                return false;
            }
            while bytes.len() >= PART_BYTES {
                let rest = bytes.split_off(PART_BYTES);
                if !keep(std::mem::replace(&mut bytes, rest)) {
                    return false;
                }
            }
            true
        };
        let most = self.media.kind.max_bytes();
        let fetched = fetching::fetch(&room.env, &format!("{}.url", self.path), url, most, take).await;
        if fetched.is_ok() && !bytes.is_empty() {
            keep(bytes);
        }
        drop(share);
        if is_crowded {
            return Err(crowded());
        }
        if let Some(unsent) = stopped {
            return Err(unsent);
        }
        let unfetched = match fetched {
            Ok(served) => return Ok(served),
            Err(unfetched) => unfetched,
        };
        // As it is now: who waited may have gone.
        let entry = outbox.entry(&entry.id).map_err(|error| unreadable(&error))?.ok_or(Unsent::Over)?;
        if unfetched.may_pass && entry.is_async && entry.attempts < MOST_FETCHES {
            return Err(Unsent::Later(unfetched.error.error.message));
        }
        Err(Unsent::Refused(unfetched.error))
    }
}

/// A picture is drawn from the whole of it.
async fn preview(stored: &Stored) -> Result<Option<Vec<u8>>, Unsent> {
    let length = usize::try_from(stored.length()).unwrap_or(usize::MAX);
    let _share = share_of(length.saturating_add(DRAWING_BYTES)).await?;
    Ok(thumbnail::jpeg(&stored.read(0, length)))
}

async fn share_of(bytes: usize) -> Result<Share, Unsent> {
    let share = Share::within(bytes, PATIENCE).await;
    share.ok_or_else(crowded)
}

fn crowded() -> Unsent {
    Unsent::Later("too many files at once".to_owned())
}

fn unreadable(error: &SqlError) -> Unsent {
    Unsent::Refused(failed("a file can't be read or written", error))
}
