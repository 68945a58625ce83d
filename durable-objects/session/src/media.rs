//! An inbound message's media: fetched from WhatsApp, verified, decrypted, handed on, not kept (docs/decisions/media.md).
//! A small file is answered with when it has been verified; a larger one is fetched once to verify it and once more to hand
//! it on.

use std::rc::Rc;
use std::time::Duration;

use futures::stream::{self, Stream};
use gateway_domain::error::{ApiError, ErrorCode};
use gateway_object::budget::Share;
use gateway_object::outbound::within;
use whatsapp_rust::download::Downloadable;
use whatsapp_rust::waproto::whatsapp::Message;
use worker::{Headers, Response, ResponseBody};

use crate::inbound::content;
use crate::media_address::is_whatsapps;
use crate::media_body::body;
use crate::media_host::{Coming, Failure, Medium, STEP_BYTES};
use crate::room::{Room, failed};
use crate::sending::cannot_send;

/// The largest medium that is fetched.
pub const MAX_BYTES: u64 = 100 * 1_024 * 1_024;
/// The largest that is kept in memory between the last byte of it and the answer.
const KEPT_BYTES: usize = 1_024 * 1_024;
/// A file that is kept, and the answer's copy.
const COPIES: usize = 2;
/// What is on its way of a file, here and in JavaScript's memory.
const UNDER_WAY_BYTES: usize = 4 * STEP_BYTES;
/// How long a file waits for memory.
const MEMORY_PATIENCE: Duration = Duration::from_secs(5);
/// How long WhatsApp's media hosts may take to the first byte of the answer.
const PATIENCE: Duration = Duration::from_mins(2);

/// A file that was verified.
enum Fetched {
    Kept(Vec<u8>),
    /// So long, and fetched again.
    Coming(Box<Coming>, u64),
}

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
    let content = content::unwrap(&message);
    let (described, length, mimetype) = medium(content).ok_or_else(ApiError::not_found)?;
    if !is_whatsapps(described.direct_path(), described.static_url()) {
        return Err(ApiError::not_found());
    }
    // Some clients leave it at nothing.
    let length = length.filter(|length| *length > 0);
    if length.is_some_and(|length| length > MAX_BYTES) {
        return Err(too_large());
    }
    let connection = room.connection().ok_or_else(|| cannot_send(room.status()))?;
    let kept = length.and_then(|length| usize::try_from(length).ok()).unwrap_or(KEPT_BYTES).min(KEPT_BYTES);
    let share = Share::within(kept * COPIES + UNDER_WAY_BYTES, MEMORY_PATIENCE).await;
    let mut share =
        share.ok_or_else(|| ApiError::unavailable("Too many files at once; try again shortly."))?;
    let medium = Medium { client: &connection.client, described, length, most: MAX_BYTES };
    let fetched = within(PATIENCE, async {
        let (verified, kept) = medium.verify(KEPT_BYTES).await?;
        if let Some(kept) = kept {
            return Ok(Fetched::Kept(kept));
        }
        share.shrink(UNDER_WAY_BYTES);
        Ok(Fetched::Coming(Box::new(medium.again(&verified).await?), verified.length))
    });
    let late = || ApiError::unavailable("WhatsApp's media host did not answer in time.");
    let body = match fetched.await.ok_or_else(late)?.map_err(|failure| refusal(&failure))? {
        Fetched::Kept(file) => Ok(ResponseBody::Body(file)),
        Fetched::Coming(coming, length) => body(steps(coming, share), length).map(ResponseBody::Stream),
    };
    let filename = shown.media.and_then(|media| media.filename);
    body.and_then(|body| respond(body, mimetype.as_deref(), filename.as_deref()))
        .map_err(|error| failed("media", &error))
}

/// What comes, which has its share of the memory meanwhile.
fn steps(coming: Box<Coming>, share: Share) -> impl Stream<Item = Result<Vec<u8>, String>> {
    stream::try_unfold((coming, share), async |(mut coming, share)| {
        let step = coming.next().await.map_err(|failure| failure.to_string())?;
        Ok(step.map(|step| (step, (coming, share))))
    })
}

fn too_large() -> ApiError {
    ApiError::conflict("The media is larger than what the gateway fetches.").with("maxBytes", MAX_BYTES)
}

fn refusal(failure: &Failure) -> ApiError {
    worker::console_warn!("a medium could not be fetched: {failure}");
    match failure {
        Failure::TooLarge => too_large(),
        Failure::Unnamed(_) => ApiError::not_found(),
        Failure::Silent => ApiError::unavailable("WhatsApp's media host did not answer in time."),
        // WhatsApp keeps media for some weeks.
        failure if failure.is_gone() => {
            ApiError::new(ErrorCode::NotFound, "WhatsApp does not have this media any more.")
        }
        _ => ApiError::unavailable(
            "WhatsApp's media host could not be reached, or what it has is damaged; try again.",
        ),
    }
}

fn respond(body: ResponseBody, mimetype: Option<&str>, filename: Option<&str>) -> worker::Result<Response> {
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
    Ok(Response::from_body(body)?.with_headers(headers))
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
