//! The files of a request.

use url::Url;

use crate::error::ApiError;

use super::examine::too_large;
use super::fields::{line, text};
use super::limits;
use super::media_type;
use super::outgoing::{Media, MediaKind, Source};
use super::request::{AlbumMediaPayload, AlbumMediaType, MediaPayload};
use super::send_body::FileFound;

/// The one file of a message. A caption stands beside it or in it.
pub(super) fn file(
    media: MediaPayload,
    kind: MediaKind,
    caption: Option<String>,
    files: &[FileFound],
) -> Result<Media, ApiError> {
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
    Ok(Media {
        kind,
        mimetype: media.mimetype.map(|named| mimetype("media.mimetype", named)).transpose()?,
        filename: media.filename.map(|named| filename("media.filename", named)).transpose()?,
        source: source("media", media.data, media.url, files, kind.max_bytes())?,
        caption,
    })
}

/// The files of an album; the first gets the caption.
pub(super) fn album(
    payloads: Vec<AlbumMediaPayload>,
    caption: Option<String>,
    files: &[FileFound],
) -> Result<Vec<Media>, ApiError> {
    if !(limits::MIN_ALBUM_MEDIAS..=limits::MAX_ALBUM_MEDIAS).contains(&payloads.len()) {
        return Err(ApiError::validation("medias", "Must be 2 to 30."));
    }
    let mut caption =
        caption.map(|caption| text("caption", caption, limits::MAX_CAPTION_CHARS)).transpose()?;
    let mut room = limits::MAX_FILE_BYTES as u64;
    let mut medias = Vec::with_capacity(payloads.len());
    for (index, payload) in payloads.into_iter().enumerate() {
        let path = format!("medias[{index}]");
        let declared =
            payload.mimetype.map(|named| mimetype(&format!("{path}.mimetype"), named)).transpose()?;
        let source = source(&path, payload.data, payload.url, files, limits::MAX_FILE_BYTES)?;
        let found = source.file().and_then(|file| files.get(file));
        let kind = album_kind(&path, payload.r#type, declared.as_deref(), found)?;
        if let Some(found) = found {
            let field = format!("{path}.data");
            if found.length > kind.max_bytes() as u64 {
                return Err(too_large(&field, kind.max_bytes()));
            }
            room = room.checked_sub(found.length).ok_or_else(|| {
                let most = limits::MAX_FILE_BYTES;
                let message = format!("All data of an album together must be {most} bytes at most.");
                ApiError::validation(&field, message).with("maxBytes", most)
            })?;
        }
        medias.push(Media { kind, source, mimetype: declared, caption: caption.take(), filename: None });
    }
    Ok(medias)
}

/// What a file of an album is: what it is said to be, else what its media type or its bytes say.
fn album_kind(
    path: &str,
    said: Option<AlbumMediaType>,
    mimetype: Option<&str>,
    found: Option<&FileFound>,
) -> Result<MediaKind, ApiError> {
    let of_bytes = found.and_then(|file| media_type::sniff(&file.head));
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

fn source(
    path: &str,
    data: Option<String>,
    url: Option<String>,
    files: &[FileFound],
    most: usize,
) -> Result<Source, ApiError> {
    match (data, url) {
        (Some(data), None) => given(&format!("{path}.data"), &data, files, most).map(Source::Data),
        (None, Some(url)) => address(&format!("{path}.url"), url).map(Source::Url),
        (None, None) => Err(ApiError::validation(&format!("{path}.data"), "Is required, or url instead.")),
        (Some(_), Some(_)) => {
            Err(ApiError::validation(&format!("{path}.url"), "Must not be there beside data."))
        }
    }
}

/// The number of a file that came along.
fn given(field: &str, data: &str, files: &[FileFound], most: usize) -> Result<usize, ApiError> {
    let number = data.parse::<usize>().map_err(|_| ApiError::internal())?;
    let file = files.get(number).ok_or_else(ApiError::internal)?;
    if file.is_too_large || (file.length > most as u64 && !file.is_damaged) {
        return Err(too_large(field, most));
    }
    if file.is_damaged {
        let message = "Must be base64, without white space and without a data: prefix.";
        return Err(ApiError::validation(field, message));
    }
    if file.length == 0 {
        return Err(ApiError::validation(field, "Must not be empty."));
    }
    Ok(number)
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
