//! The files of a send: from the request or from an address, looked at, and encrypted to WhatsApp's media host. One at a
//! time, within the memory the isolate has for such things (docs/decisions/media.md).

use std::rc::Rc;
use std::time::Duration;

use gateway_domain::error::ApiError;
use gateway_domain::message::limits::MAX_URL_BYTES;
use gateway_domain::message::{Media, MediaKind, Outgoing, Source};
use gateway_object::budget::Share;
use whatsapp_rust::download::MediaType;
use whatsapp_rust::upload::UploadOptions;

use crate::call::HoldPoint;
use crate::composing::{self, Around, Secret, Uploaded};
use crate::connection::Connection;
use crate::fetching::{self, Unfetched};
use crate::room::{Room, failed};
use crate::sending::own_key;
use crate::transmitting::Unsent;
use crate::{clock, thumbnail};

/// How long a file waits for memory.
const PATIENCE: Duration = Duration::from_secs(30);
/// The file, what it is encrypted to, and the copy that `fetch` takes.
const COPIES: usize = 3;

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
    let mut files = 0;
    for (index, media) in outgoing.content.medias().iter().enumerate() {
        let place = index + usize::from(is_album);
        let file = matches!(media.source, Source::Data(_)).then_some(files);
        files += usize::from(file.is_some());
        if place < done {
            continue;
        }
        let path = outgoing.content.path(index);
        let uploaded = upload(room, connection, entry, media, &path, file).await?;
        let (id, around) = if is_album {
            let album = Some(own_key(&first.chat, &first.message_id));
            (clock::message_id(), Around { album, secret: secret(), ..Around::default() })
        } else {
            (first.message_id.clone(), around())
        };
        let message = composing::file(media, uploaded, around);
        room.fix(entry, place, &id, &first.chat, &message).map_err(Unsent::Refused)?;
        room.hold(HoldPoint::Uploaded).await;
    }
    outbox.all_fixed(entry).map_err(read)
}

/// Thirty-two random bytes.
pub fn secret() -> Secret {
    clock::random()
}

async fn upload(
    room: &Rc<Room>,
    connection: &Rc<Connection>,
    entry: &str,
    media: &Media,
    path: &str,
    file: Option<usize>,
) -> Result<Uploaded, Unsent> {
    let most = media.max_bytes().min(MAX_URL_BYTES);
    let crowded = || Unsent::Later("too many files at once".to_owned());
    let unreadable = |error| Unsent::Refused(failed("a file can't be read", &error));
    let share_of = async |bytes: usize| Share::within(bytes.saturating_mul(COPIES), PATIENCE).await;
    let (bytes, served, _share) = match (&media.source, file) {
        (Source::Url(url), _) => {
            // Memory for what has come, not for what might: whoever is slow holds up nobody.
            let mut share = share_of(0).await.ok_or_else(crowded)?;
            let is_room = |bytes: usize| share.grow(bytes.saturating_mul(COPIES));
            let fetched = fetching::fetch(&room.env, &format!("{path}.url"), url, most, is_room).await;
            let fetched = fetched.map_err(|unfetched| match unfetched {
                Unfetched::Refused(error) => Unsent::Refused(error),
                Unfetched::Crowded => crowded(),
            })?;
            (fetched.bytes, fetched.content_type, share)
        }
        (Source::Data(_), file) => {
            let file = file.unwrap_or_default();
            let length = room.journal.outbox().file_length(entry, file).map_err(unreadable)?;
            let share = share_of(length).await.ok_or_else(crowded)?;
            (room.journal.outbox().file(entry, file).map_err(unreadable)?, None, share)
        }
    };
    let facts = media.examine(&bytes, path, served.as_deref()).map_err(Unsent::Refused)?;
    let thumbnail = (media.kind == MediaKind::Image).then(|| thumbnail::jpeg(&bytes)).flatten();
    let kind = match media.kind {
        MediaKind::Image => MediaType::Image,
        MediaKind::Video => MediaType::Video,
        MediaKind::Audio => MediaType::Audio,
        MediaKind::Document => MediaType::Document,
        MediaKind::Sticker => MediaType::Sticker,
    };
    let lying = connection.client.upload(bytes, kind, UploadOptions::default()).await.map_err(|error| {
        worker::console_warn!("a file could not be uploaded: {error}");
        Unsent::Later("WhatsApp's media host did not take the file".to_owned())
    })?;
    Ok(Uploaded {
        url: lying.url,
        direct_path: lying.direct_path,
        media_key: lying.media_key.to_vec(),
        file_sha256: lying.file_sha256.to_vec(),
        file_enc_sha256: lying.file_enc_sha256.to_vec(),
        file_length: lying.file_length,
        media_key_timestamp: lying.media_key_timestamp,
        streaming_sidecar: lying.streaming_sidecar,
        facts,
        thumbnail,
    })
}
