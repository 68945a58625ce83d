//! A message to send, right by construction. It waits in an outbox and goes to the session's object as JSON; its files lie
//! beside it.

use serde::{Deserialize, Serialize};

use crate::error::ApiError;
use crate::event::{ContactData, LocationData, PollData};

use super::limits;
use super::media_type::File;
use super::request::AlbumMediaType;

/// A message to send.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Outgoing {
    /// The chat's canonical JID.
    pub to: String,
    /// What is said.
    pub content: Content,
    /// The message this one answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<String>,
    /// The canonical JIDs of those who are mentioned, each once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mentions: Vec<String>,
}

/// What a message says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Content {
    /// A text.
    Text(String),
    /// A question to vote on.
    Poll(PollData),
    /// A place.
    Location(LocationData),
    /// A person; `vcard` is always there.
    Contact(ContactData),
    /// A file.
    Media(Media),
    /// Pictures and videos shown as one; the first has the caption.
    Album(Vec<Media>),
}

/// A file, and how it is shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Media {
    /// How it is shown.
    pub kind: MediaKind,
    /// The file, or where it is.
    pub source: Source,
    /// What its sender says it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mimetype: Option<String>,
    /// What is written under it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub caption: Option<String>,
    /// What its sender calls it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filename: Option<String>,
}

/// The file, or where it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// The number of a file that came with the request.
    Data(usize),
    /// Where to fetch it: an http or https URL. Whether it may be asked depends on the deployment
    /// ([`OutboundAddress`](crate::outbound_address::OutboundAddress)).
    Url(String),
}

/// How a file is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "the names say it")]
pub enum MediaKind {
    Image,
    Video,
    Audio,
    Document,
    Sticker,
}

impl MediaKind {
    /// The kind, as callers see it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Image => "image",
            Self::Video => "video",
            Self::Audio => "audio",
            Self::Document => "document",
            Self::Sticker => "sticker",
        }
    }

    /// The largest file that is sent as this, in bytes.
    #[must_use]
    pub const fn max_bytes(self) -> usize {
        match self {
            Self::Sticker => limits::MAX_STICKER_BYTES,
            Self::Image => limits::MAX_IMAGE_BYTES,
            Self::Video | Self::Audio | Self::Document => limits::MAX_FILE_BYTES,
        }
    }
}

impl From<AlbumMediaType> for MediaKind {
    fn from(kind: AlbumMediaType) -> Self {
        match kind {
            AlbumMediaType::Image => Self::Image,
            AlbumMediaType::Video => Self::Video,
        }
    }
}

impl Content {
    /// The type, as callers see it.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Text(_) => "text",
            Self::Poll(_) => "poll",
            Self::Location(_) => "location",
            Self::Contact(_) => "contact",
            Self::Media(media) => media.kind.name(),
            Self::Album(_) => "album",
        }
    }

    /// What a message of it says: the text, the question, the caption. The same as of one that comes in.
    #[must_use]
    pub fn body(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Poll(poll) => Some(&poll.name),
            Self::Location(_) | Self::Contact(_) => None,
            Self::Media(media) => media.caption.as_deref(),
            Self::Album(medias) => medias.first().and_then(|media| media.caption.as_deref()),
        }
    }

    /// The files.
    #[must_use]
    pub fn medias(&self) -> &[Media] {
        match self {
            Self::Media(media) => std::slice::from_ref(media),
            Self::Album(medias) => medias,
            _ => &[],
        }
    }

    /// What a request calls the `index`-th file.
    #[must_use]
    pub fn path(&self, index: usize) -> String {
        match self {
            Self::Album(_) => format!("medias[{index}]"),
            _ => "media".to_owned(),
        }
    }
}

impl Outgoing {
    /// Looks at the files that came with the request, one after the other.
    ///
    /// # Errors
    /// `validation_error` naming the first that is not as it should be; and when one can't be had.
    pub fn examine<F: File>(
        &self,
        mut file: impl FnMut(usize) -> Result<F, ApiError>,
    ) -> Result<(), ApiError> {
        for (index, media) in self.content.medias().iter().enumerate() {
            if let Some(number) = media.source.file() {
                media.examine(&file(number)?, &self.content.path(index), None)?;
            }
        }
        Ok(())
    }
}

impl Source {
    /// The number of the file among those that came with the request.
    #[must_use]
    pub const fn file(&self) -> Option<usize> {
        match self {
            Self::Data(number) => Some(*number),
            Self::Url(_) => None,
        }
    }
}
