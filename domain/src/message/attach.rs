//! The files of a request.

use base64::Engine as _;
use base64::alphabet::{STANDARD, URL_SAFE};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use url::Url;

use crate::error::ApiError;

use super::examine::too_large;
use super::fields::{line, text};
use super::limits;
use super::media_type;
use super::outgoing::{Media, MediaKind, Source};
use super::request::{AlbumMediaPayload, AlbumMediaType, MediaPayload};

/// The one file of a message. A caption stands beside it or in it.
pub(super) fn file(media: MediaPayload, kind: MediaKind, caption: Option<String>) -> Result<Media, ApiError> {
    let (field, caption) = match (caption, media.caption) {
        (Some(_), Some(_)) => {
            return Err(ApiError::validation("media.caption", "Stands beside media too: give it once."));
        }
        (beside, None) => ("caption", beside),
        (None, within) => ("media.caption", within),
    };
    if caption.is_some() && matches!(kind, MediaKind::Audio | MediaKind::Sticker) {
        let message = format!("Does not belong to a message of type {}.", kind.name());
        return Err(ApiError::validation(field, message));
    }
    let caption = caption.map(|caption| text(field, caption, limits::MAX_CAPTION_CHARS)).transpose()?;
    let media = Media {
        kind,
        mimetype: media.mimetype.map(|named| mimetype("media.mimetype", named)).transpose()?,
        filename: media.filename.map(|named| filename("media.filename", named)).transpose()?,
        source: source("media", media.data, media.url, most_of(kind))?,
        caption,
    };
    if let Source::Data(bytes) = &media.source {
        media.examine(bytes, "media", None)?;
    }
    Ok(media)
}

/// The files of an album; the first gets the caption.
pub(super) fn album(
    payloads: Vec<AlbumMediaPayload>,
    caption: Option<String>,
) -> Result<Vec<Media>, ApiError> {
    if !(limits::MIN_ALBUM_MEDIAS..=limits::MAX_ALBUM_MEDIAS).contains(&payloads.len()) {
        return Err(ApiError::validation("medias", "Must be 2 to 30."));
    }
    let mut caption =
        caption.map(|caption| text("caption", caption, limits::MAX_CAPTION_CHARS)).transpose()?;
    let mut room = limits::MAX_DATA_BYTES;
    let mut medias = Vec::with_capacity(payloads.len());
    for (index, payload) in payloads.into_iter().enumerate() {
        let path = format!("medias[{index}]");
        let declared =
            payload.mimetype.map(|named| mimetype(&format!("{path}.mimetype"), named)).transpose()?;
        let source = source(&path, payload.data, payload.url, room).map_err(together)?;
        let kind = album_kind(&path, payload.r#type, declared.as_deref(), &source)?;
        let media = Media { kind, source, mimetype: declared, caption: caption.take(), filename: None };
        if let Source::Data(bytes) = &media.source {
            room = room.saturating_sub(bytes.len());
            media.examine(bytes, &path, None)?;
        }
        medias.push(media);
    }
    Ok(medias)
}

/// What is too large for what is left is too large for all together.
fn together(mut error: ApiError) -> ApiError {
    if let Some(most) = error.error.details.get_mut("maxBytes") {
        *most = limits::MAX_DATA_BYTES.into();
        error.error.message =
            format!("All data of an album together must be {} bytes at most.", limits::MAX_DATA_BYTES);
    }
    error
}

/// What a file of an album is: what it is said to be, else what its media type or its bytes say.
fn album_kind(
    path: &str,
    said: Option<AlbumMediaType>,
    mimetype: Option<&str>,
    source: &Source,
) -> Result<MediaKind, ApiError> {
    let of_bytes = match source {
        Source::Data(bytes) => media_type::sniff(bytes),
        Source::Url(_) => None,
    };
    let of = |mimetype: &str| match mimetype.split_once('/')?.0 {
        kind if kind.eq_ignore_ascii_case("image") => Some(MediaKind::Image),
        kind if kind.eq_ignore_ascii_case("video") => Some(MediaKind::Video),
        _ => None,
    };
    let told = said.map(MediaKind::from).or_else(|| mimetype.and_then(of)).or_else(|| of_bytes.and_then(of));
    told.ok_or_else(|| {
        ApiError::validation(
            &format!("{path}.type"),
            "Is required where the file does not tell: image or video.",
        )
    })
}

const fn most_of(kind: MediaKind) -> usize {
    if matches!(kind, MediaKind::Sticker) { limits::MAX_STICKER_BYTES } else { limits::MAX_DATA_BYTES }
}

fn source(path: &str, data: Option<String>, url: Option<String>, most: usize) -> Result<Source, ApiError> {
    match (data, url) {
        (Some(data), None) => decode(&format!("{path}.data"), &data, most).map(Source::Data),
        (None, Some(url)) => address(&format!("{path}.url"), url).map(Source::Url),
        (None, None) => Err(ApiError::validation(&format!("{path}.data"), "Is required, or url instead.")),
        (Some(_), Some(_)) => {
            Err(ApiError::validation(&format!("{path}.url"), "Must not be there beside data."))
        }
    }
}

fn decode(field: &str, data: &str, most: usize) -> Result<Vec<u8>, ApiError> {
    // Before anything is allocated: four letters are three bytes.
    if data.trim_end_matches('=').len() / 4 * 3 > most {
        return Err(too_large(field, most));
    }
    let alphabet = if data.contains(['-', '_']) { &URL_SAFE } else { &STANDARD };
    let either = GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let bytes = GeneralPurpose::new(alphabet, either).decode(data).map_err(|_| {
        ApiError::validation(field, "Must be base64, without white space and without a data: prefix.")
    })?;
    match bytes.len() {
        0 => Err(ApiError::validation(field, "Must not be empty.")),
        length if length > most => Err(too_large(field, most)),
        _ => Ok(bytes),
    }
}

fn address(field: &str, address: String) -> Result<String, ApiError> {
    let is_clean = address.len() <= limits::MAX_MEDIA_URL_BYTES
        && !address.chars().any(|letter| letter.is_control() || letter.is_whitespace());
    let url = Url::parse(&address).ok().filter(|url| is_clean && matches!(url.scheme(), "http" | "https"));
    match url {
        Some(url) if url.has_host() => Ok(address),
        _ => Err(ApiError::validation(field, "Must be an http or https URL of 2048 bytes at most.")),
    }
}

fn mimetype(field: &str, mimetype: String) -> Result<String, ApiError> {
    if media_type::is_media_type(&mimetype) {
        Ok(mimetype)
    } else {
        Err(ApiError::validation(field, "Must be a media type, such as image/jpeg."))
    }
}

fn filename(field: &str, filename: String) -> Result<String, ApiError> {
    let filename = line(field, filename, limits::MAX_FILENAME_CHARS)?;
    if filename.contains(['/', '\\']) || matches!(filename.as_str(), "." | "..") {
        return Err(ApiError::validation(field, "Must be a name without folders."));
    }
    Ok(filename)
}
