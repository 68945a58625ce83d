//! Media types as people name them, and the names of files.

use percent_encoding::percent_decode_str;
use url::Url;

use crate::message::limits::{MAX_FILENAME_CHARS, MAX_MIMETYPE_CHARS};

/// How files of a type end; the first of a type is what one is called that has no name.
const EXTENSIONS: [(&str, &str); 27] = [
    ("pdf", "application/pdf"),
    ("docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
    ("xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
    ("pptx", "application/vnd.openxmlformats-officedocument.presentationml.presentation"),
    ("doc", "application/msword"),
    ("xls", "application/vnd.ms-excel"),
    ("ppt", "application/vnd.ms-powerpoint"),
    ("odt", "application/vnd.oasis.opendocument.text"),
    ("ods", "application/vnd.oasis.opendocument.spreadsheet"),
    ("epub", "application/epub+zip"),
    ("rtf", "application/rtf"),
    ("zip", "application/zip"),
    ("json", "application/json"),
    ("xml", "application/xml"),
    ("txt", "text/plain"),
    ("csv", "text/csv"),
    ("html", "text/html"),
    ("ics", "text/calendar"),
    ("jpg", "image/jpeg"),
    ("jpeg", "image/jpeg"),
    ("png", "image/png"),
    ("gif", "image/gif"),
    ("webp", "image/webp"),
    ("svg", "image/svg+xml"),
    ("mp4", "video/mp4"),
    ("mp3", "audio/mpeg"),
    ("wav", "audio/wav"),
];

/// Types whose files always begin alike, so that other bytes are something else.
const CERTAIN: [&str; 14] = [
    "image/jpeg",
    "image/png",
    "image/gif",
    "image/webp",
    "image/heic",
    "image/avif",
    "video/mp4",
    "video/3gpp",
    "video/webm",
    "audio/ogg",
    "audio/mp4",
    "audio/amr",
    "audio/wav",
    "application/pdf",
];

/// How the names of types begin that are zip archives.
const ARCHIVES: [&str; 3] = [
    "application/vnd.openxmlformats-officedocument.",
    "application/vnd.oasis.opendocument.",
    "application/epub+zip",
];

/// Whether a text is a media type (RFC 6838, 4.2), with or without parameters.
#[must_use]
pub fn is_media_type(text: &str) -> bool {
    let is_name = |name: &str| {
        (1..=127).contains(&name.len())
            && name.starts_with(|letter: char| letter.is_ascii_alphanumeric())
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&byte))
    };
    let (essence, parameters) = text.split_once(';').unwrap_or((text, ""));
    let halves = essence.trim_end_matches(' ').split_once('/');
    text.len() <= MAX_MIMETYPE_CHARS
        && halves.is_some_and(|(kind, subtype)| is_name(kind) && is_name(subtype))
        && parameters.bytes().all(|byte| (0x20..=0x7e).contains(&byte))
}

/// The type without parameters, under the name that is used here.
fn essence(mimetype: &str) -> String {
    let essence = mimetype.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let usual = match essence.as_str() {
        "image/jpg" | "image/pjpeg" => "image/jpeg",
        "image/x-png" => "image/png",
        "image/heif" => "image/heic",
        "audio/opus" | "application/ogg" => "audio/ogg",
        "audio/mp3" | "audio/mpeg3" | "audio/x-mpeg" | "audio/x-mp3" => "audio/mpeg",
        "audio/m4a" | "audio/x-m4a" => "audio/mp4",
        "audio/aacp" | "audio/x-aac" => "audio/aac",
        "audio/wave" | "audio/x-wav" | "audio/vnd.wave" => "audio/wav",
        "audio/3gpp" | "video/3gp" | "video/3gpp2" => "video/3gpp",
        "audio/webm" => "video/webm",
        "video/x-m4v" => "video/mp4",
        "application/x-pdf" => "application/pdf",
        _ => return essence,
    };
    usual.to_owned()
}

/// Whether a file can't be what its sender says it is: its bytes are known to be something else, or bytes of that type
/// are always known. What the gateway can't tell apart is believed.
#[must_use]
pub fn contradicts(declared: &str, sniffed: Option<&str>) -> bool {
    let declared = essence(declared);
    let Some(sniffed) = sniffed.map(essence) else { return CERTAIN.contains(&declared.as_str()) };
    // One container for all of them; what is in it is often named after another.
    let is_movie = |name: &str| {
        matches!(name, "video/mp4" | "audio/mp4" | "video/3gpp" | "video/quicktime") || name == "audio/aac"
    };
    let is_archive =
        |name: &str| name == "application/zip" || ARCHIVES.iter().any(|start| name.starts_with(start));
    if is_archive(&declared) {
        return !is_archive(&sniffed);
    }
    let is_known =
        CERTAIN.contains(&declared.as_str()) || matches!(declared.as_str(), "audio/mpeg" | "audio/aac");
    is_known && declared != sniffed && !(is_movie(&declared) && is_movie(&sniffed))
}

/// The type that a file of this name has.
#[must_use]
pub fn of_name(filename: &str) -> Option<&'static str> {
    let (_, extension) = filename.rsplit_once('.')?;
    EXTENSIONS.into_iter().find_map(|(known, kind)| known.eq_ignore_ascii_case(extension).then_some(kind))
}

/// How the name of a file of this type ends.
#[must_use]
pub fn extension(mimetype: &str) -> Option<&'static str> {
    let essence = essence(mimetype);
    EXTENSIONS.into_iter().find_map(|(extension, kind)| (kind == essence).then_some(extension))
}

/// The name of a file at the end of a URL's path, if there is one.
#[must_use]
pub fn name_in(url: &str) -> Option<String> {
    let url = Url::parse(url).ok()?;
    let last = url.path_segments()?.next_back()?.to_owned();
    let name = percent_decode_str(&last).decode_utf8().ok()?.into_owned();
    let (stem, extension) = name.rsplit_once('.')?;
    let is_name = !stem.is_empty()
        && (1..=8).contains(&extension.len())
        && extension.bytes().all(|byte| byte.is_ascii_alphanumeric())
        && name.chars().count() <= MAX_FILENAME_CHARS
        && !name.chars().any(|letter| letter.is_control() || matches!(letter, '/' | '\\'));
    is_name.then_some(name)
}
