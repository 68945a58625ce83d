//! A look at a file before it is sent: whether it is what it is said to be, and what WhatsApp wants told of it.

use crate::error::ApiError;

use super::media_type::{self, File};
use super::outgoing::{Media, MediaKind, Source};

/// What is told beside a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// Its media type, as WhatsApp spells it.
    pub mimetype: String,
    /// What it is called; of a document always something.
    pub filename: Option<String>,
    /// Whether it is shown as a voice note: Opus in Ogg, which is what WhatsApp's own are.
    pub voice_note: bool,
    /// Width and height in pixels.
    pub dimensions: Option<(u32, u32)>,
    /// How long it plays, at least 1.
    pub seconds: Option<u32>,
    /// Whether it moves: of a sticker.
    pub animated: bool,
}

/// The error for a file that is larger than `most`.
#[must_use]
pub fn too_large(field: &str, most: usize) -> ApiError {
    ApiError::validation(field, format!("Must be {most} bytes at most.")).with("maxBytes", most)
}

impl Media {
    /// Looks at the file, be it given or fetched. `path` is what the request calls this media; `served` is the media type
    /// that the server gave along, which is believed only where nothing else tells.
    ///
    /// # Errors
    /// `validation_error` naming the field when it is too large, nothing WhatsApp shows as this kind, or not what
    /// `mimetype` says.
    pub fn examine(&self, file: &impl File, path: &str, served: Option<&str>) -> Result<Facts, ApiError> {
        let field = match self.source {
            Source::Data(_) => format!("{path}.data"),
            Source::Url(_) => format!("{path}.url"),
        };
        if file.length() > self.kind.max_bytes() as u64 {
            return Err(too_large(&field, self.kind.max_bytes()));
        }
        if file.length() == 0 {
            return Err(ApiError::validation(&field, "Must not be an empty file."));
        }
        let sniffed = media_type::sniff(file);
        if let Some(declared) = &self.mimetype
            && media_type::contradicts(declared, sniffed)
        {
            let really = sniffed.unwrap_or("something else");
            return Err(ApiError::validation(&format!("{path}.mimetype"), format!("The file is {really}.")));
        }
        let mimetype = if self.kind == MediaKind::Document {
            self.document_type(sniffed, served)
        } else {
            let shown = sniffed.filter(|found| takes(self.kind, found));
            shown.ok_or_else(|| not_shown(self.kind, &field, sniffed))?.to_owned()
        };
        let plays = matches!(self.kind, MediaKind::Video | MediaKind::Audio);
        Ok(Facts {
            voice_note: self.kind == MediaKind::Audio && mimetype == media_type::OPUS,
            filename: self.filename.clone().or_else(|| self.document_name(&mimetype)),
            dimensions: media_type::dimensions(file),
            seconds: media_type::duration_ms(file).filter(|_| plays).map(seconds),
            animated: self.kind == MediaKind::Sticker && media_type::is_animated(file),
            mimetype,
        })
    }

    fn document_type(&self, sniffed: Option<&'static str>, served: Option<&str>) -> String {
        let named = self.filename.as_deref().and_then(media_type::of_name);
        let url = || match &self.source {
            Source::Url(url) => media_type::name_in(url).and_then(|name| media_type::of_name(&name)),
            Source::Data(_) => None,
        };
        let served = || served.filter(|served| media_type::is_media_type(served));
        let told = self.mimetype.as_deref().or(sniffed).or(named).or_else(url).or_else(served);
        told.unwrap_or("application/octet-stream").to_owned()
    }

    fn document_name(&self, mimetype: &str) -> Option<String> {
        if self.kind != MediaKind::Document {
            return None;
        }
        let in_url = match &self.source {
            Source::Url(url) => media_type::name_in(url),
            Source::Data(_) => None,
        };
        let made = || match media_type::extension(mimetype) {
            Some(extension) => format!("document.{extension}"),
            None => "document".to_owned(),
        };
        Some(in_url.unwrap_or_else(made))
    }
}

/// What WhatsApp's clients show as a message of this kind (Cloud API, "Supported media types").
fn takes(kind: MediaKind, mimetype: &str) -> bool {
    match kind {
        MediaKind::Image => matches!(mimetype, "image/jpeg" | "image/png"),
        MediaKind::Video => matches!(mimetype, "video/mp4" | "video/3gpp"),
        MediaKind::Audio => {
            matches!(mimetype, media_type::OPUS | "audio/mpeg" | "audio/mp4" | "audio/aac" | "audio/amr")
        }
        MediaKind::Sticker => mimetype == "image/webp",
        MediaKind::Document => true,
    }
}

fn not_shown(kind: MediaKind, field: &str, sniffed: Option<&str>) -> ApiError {
    let wanted = match kind {
        MediaKind::Image => "JPEG or PNG",
        MediaKind::Video => "MP4 or 3GPP",
        MediaKind::Audio => "Opus in Ogg, MP3, M4A, AAC or AMR",
        MediaKind::Sticker => "WebP",
        MediaKind::Document => "a file",
    };
    let found = sniffed.map_or_else(String::new, |found| format!(", and this is {found}"));
    ApiError::validation(field, format!("Must be {wanted}{found}; a document can be anything."))
}

fn seconds(milliseconds: u64) -> u32 {
    u32::try_from(milliseconds.saturating_add(500) / 1_000).unwrap_or(u32::MAX).max(1)
}
