//! An inbound message's media: fetched from WhatsApp, verified, decrypted, handed on, not kept (docs/decisions/media.md).

use std::rc::Rc;
use std::time::Duration;

use futures::future::{Either, select};
use gateway_domain::error::{ApiError, ErrorCode};
use gateway_object::budget::Share;
use whatsapp_rust::download::Downloadable;
use whatsapp_rust::proto_helpers::MessageExt;
use whatsapp_rust::waproto::whatsapp::Message;
use worker::{Delay, Headers, Response};

use crate::media_address::is_whatsapps;
use crate::room::{Room, failed};
use crate::sending::cannot_send;

/// The largest medium that is fetched: it is verified as a whole before a byte of it is handed on, in the memory that all
/// sessions of the isolate share.
pub const MAX_BYTES: u64 = 16 * 1_024 * 1_024;
/// What lies there, what that is decrypted to, and the answer's copy.
const COPIES: usize = 3;
/// How long a file waits for memory.
const MEMORY_PATIENCE: Duration = Duration::from_secs(5);
/// How long WhatsApp's media host may take.
const PATIENCE: Duration = Duration::from_secs(40);

/// A message's media as a response.
///
/// # Errors
/// 404 when there is no such message or it has no media that can be fetched any more; 409 when the session can't fetch
/// it in its state or it is too large; 503 when WhatsApp does not answer.
pub async fn fetch(room: &Rc<Room>, id: &str, chat: Option<&str>) -> Result<Response, ApiError> {
    let read = |error| failed("the messages can't be read", &error);
    let session = room.record()?.session;
    let messages = room.journal.messages();
    let shown = messages.show(&session, id, chat).map_err(read)?.ok_or_else(ApiError::not_found)?;
    let sender = shown.sender_jid.as_deref().unwrap_or_default();
    let message = messages.raw_of(&shown.chat_jid, sender, id).map_err(read)?;
    let message = message.ok_or_else(ApiError::not_found)?;
    let content = message.get_base_message();
    let (medium, length, mimetype) = medium(content).ok_or_else(ApiError::not_found)?;
    if !is_whatsapps(medium.direct_path(), medium.static_url()) {
        return Err(ApiError::not_found());
    }
    if length.is_some_and(|length| length > MAX_BYTES) {
        let message = "The media is larger than what the gateway fetches.";
        return Err(ApiError::conflict(message).with("maxBytes", MAX_BYTES));
    }
    let connection = room.connection().ok_or_else(|| cannot_send(room.status()))?;
    let announced = usize::try_from(length.unwrap_or(MAX_BYTES)).unwrap_or(usize::MAX);
    let share = Share::within(announced.saturating_mul(COPIES), MEMORY_PATIENCE).await;
    let _share = share.ok_or_else(|| ApiError::unavailable("Too many files at once; try again shortly."))?;
    let fetched = std::pin::pin!(connection.client.download(medium));
    let bytes = match select(fetched, Delay::from(PATIENCE)).await {
        Either::Left((Ok(bytes), _)) => bytes,
        Either::Left((Err(error), _)) => {
            worker::console_warn!("a medium could not be fetched: {error}");
            return Err(gone_or_unreachable(&error.to_string()));
        }
        Either::Right(_) => {
            return Err(ApiError::unavailable("WhatsApp's media host did not answer in time."));
        }
    };
    respond(bytes, mimetype.as_deref(), shown.media.and_then(|media| media.filename).as_deref())
        .map_err(|error| failed("media", &error))
}

/// WhatsApp keeps media for some weeks.
fn gone_or_unreachable(error: &str) -> ApiError {
    if ["404", "410"].iter().any(|status| error.contains(status)) {
        return ApiError::new(ErrorCode::NotFound, "WhatsApp does not have this media any more.");
    }
    ApiError::unavailable("WhatsApp's media host could not be reached, or what it has is damaged; try again.")
}

fn respond(bytes: Vec<u8>, mimetype: Option<&str>, filename: Option<&str>) -> worker::Result<Response> {
    let headers = Headers::new();
    // A sender's word: never more than a type, and never shown as a page of ours.
    let is_plain = |text: &&str| text.len() <= 100 && text.bytes().all(|byte| (0x20..0x7f).contains(&byte));
    headers.set("content-type", mimetype.filter(is_plain).unwrap_or("application/octet-stream"))?;
    headers.set("x-content-type-options", "nosniff")?;
    headers.set("cache-control", "private, no-store")?;
    let name = filename.map(percent_encoded).unwrap_or_default();
    let disposition = if name.is_empty() {
        "attachment".to_owned()
    } else {
        format!("attachment; filename*=UTF-8''{name}")
    };
    headers.set("content-disposition", &disposition)?;
    Ok(Response::from_bytes(bytes)?.with_headers(headers))
}

/// RFC 8187, `ext-value`.
fn percent_encoded(name: &str) -> String {
    use std::fmt::Write;
    name.bytes().take(255).fold(String::new(), |mut text, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            text.push(char::from(byte));
        } else {
            let _ = write!(text, "%{byte:02X}");
        }
        text
    })
}

/// The medium of a message, its length and its type.
fn medium(content: &Message) -> Option<(&dyn Downloadable, Option<u64>, Option<String>)> {
    if let Some(image) = content.image_message.as_option() {
        return Some((image, image.file_length, image.mimetype.clone()));
    }
    if let Some(video) = content.video_message.as_option().or(content.ptv_message.as_option()) {
        return Some((video, video.file_length, video.mimetype.clone()));
    }
    if let Some(audio) = content.audio_message.as_option() {
        return Some((audio, audio.file_length, audio.mimetype.clone()));
    }
    if let Some(document) = content.document_message.as_option() {
        return Some((document, document.file_length, document.mimetype.clone()));
    }
    let sticker = content.sticker_message.as_option()?;
    Some((sticker, sticker.file_length, sticker.mimetype.clone()))
}
