//! What `POST …/messages` takes.

use serde::de::{Deserializer, Visitor};
use serde::{Deserialize, Serialize, forward_to_deserialize_any};
use utoipa::ToSchema;

/// What `POST …/messages` takes, discriminated by `type`: each type has fields of its own, and no other's are taken. It is
/// read from what [`SendBody`](super::SendBody) leaves of a body: `data` is the number of a file there.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, remote = "Self")]
pub struct SendRequest {
    /// A JID, or the digits of a phone number.
    #[schema(required = true, nullable = false)]
    pub to: Option<String>,
    /// The kind of message.
    #[schema(required = true, nullable = false)]
    pub r#type: Option<MessageType>,
    /// `text`: the text, 1 to 65536 characters.
    pub text: Option<String>,
    /// The WhatsApp id of the message this one answers, in the same chat. Not in channels.
    pub reply_to: Option<String>,
    /// `text`, and types with a caption: who is mentioned, as JIDs or phone numbers, 1024 at most. WhatsApp highlights
    /// those whose number or LID stands in the text after an `@`; the others are notified all the same.
    pub mentions: Option<Vec<String>>,
    /// `poll`: the question, 1 to 255 characters. `location`: what the place is called, 1 to 1000.
    pub name: Option<String>,
    /// `poll`: 2 to 12 different options of 1 to 100 characters.
    pub options: Option<Vec<String>>,
    /// `poll`: how many may be chosen; 0, which is the default, is any number.
    pub selectable_count: Option<i64>,
    /// `poll`: when it closes, epoch milliseconds, in the future.
    pub poll_end_time: Option<i64>,
    /// `poll`: hide who voted for what.
    pub poll_hide_votes: Option<bool>,
    /// `location`: degrees north, -90 to 90.
    pub latitude: Option<f64>,
    /// `location`: degrees east, -180 to 180.
    pub longitude: Option<f64>,
    /// `contact`: the card.
    pub contact: Option<ContactCard>,
    /// `image`, `video`, `audio`, `document`, `sticker`: the file.
    pub media: Option<MediaPayload>,
    /// `album`: 2 to 30 files.
    pub medias: Option<Vec<AlbumMediaPayload>>,
    /// `image`, `video`, `document`, `album`: the caption, 1 to 1024 characters.
    pub caption: Option<String>,
}

/// A file to send: exactly one of `data` and `url`.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, remote = "Self")]
pub struct MediaPayload {
    /// The file in base64, standard or URL-safe; 64 MiB at most when decoded, an image 16 MiB, a sticker 1 MiB.
    pub data: Option<String>,
    /// Where to fetch it, by http or https; as large as `data` may be. With `async=true` it is fetched when its turn comes.
    pub url: Option<String>,
    /// Its media type; told from the file where it is missing, and refused where the file is something else.
    pub mimetype: Option<String>,
    /// What it is called. WhatsApp shows that of documents only.
    pub filename: Option<String>,
    /// The caption, here instead of beside `media`.
    pub caption: Option<String>,
}

/// A file of an album: exactly one of `data` and `url`.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, remote = "Self")]
pub struct AlbumMediaPayload {
    /// What it is; told from `mimetype` or from `data` where it is missing.
    pub r#type: Option<AlbumMediaType>,
    /// The file in base64, standard or URL-safe; an image 16 MiB at most when decoded, all `data` of an album together 64 MiB.
    pub data: Option<String>,
    /// Where to fetch it, by http or https; an image 16 MiB at most, a video 64 MiB.
    pub url: Option<String>,
    /// Its media type; told from the file where it is missing.
    pub mimetype: Option<String>,
}

/// What an album is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "the names say it")]
pub enum AlbumMediaType {
    Image,
    Video,
}

/// A person to share: a `vcard`, or a `name` and a `phone` to make one of.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, remote = "Self")]
pub struct ContactCard {
    /// What the card is called, 1 to 256 characters; of a `vcard` its `FN` where it is missing.
    pub name: Option<String>,
    /// The digits of an international phone number, 7 to 15 of them.
    pub phone: Option<String>,
    /// A whole vCard, 64 KiB at most.
    pub vcard: Option<String>,
}

/// The kinds of message of the contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "the names say it")]
pub enum MessageType {
    Text,
    Poll,
    Location,
    Contact,
    Image,
    Video,
    Audio,
    Document,
    Sticker,
    Album,
}

impl MessageType {
    /// The type, as callers see it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Poll => "poll",
            Self::Location => "location",
            Self::Contact => "contact",
            Self::Image => "image",
            Self::Video => "video",
            Self::Audio => "audio",
            Self::Document => "document",
            Self::Sticker => "sticker",
            Self::Album => "album",
        }
    }
}

impl SendRequest {
    /// A field that is given though messages of this type have none.
    pub(super) fn foreign_field(&self, kind: MessageType) -> Option<&'static str> {
        use MessageType::{Album, Contact, Document, Image, Location, Poll, Text, Video};
        let captioned = matches!(kind, Image | Video | Document | Album);
        let is_file = matches!(kind, Image | Video | Document | MessageType::Audio | MessageType::Sticker);
        let given_and_wanted = [
            ("text", self.text.is_some(), kind == Text),
            ("mentions", self.mentions.is_some(), kind == Text || captioned),
            ("name", self.name.is_some(), matches!(kind, Poll | Location)),
            ("options", self.options.is_some(), kind == Poll),
            ("selectableCount", self.selectable_count.is_some(), kind == Poll),
            ("pollEndTime", self.poll_end_time.is_some(), kind == Poll),
            ("pollHideVotes", self.poll_hide_votes.is_some(), kind == Poll),
            ("latitude", self.latitude.is_some(), kind == Location),
            ("longitude", self.longitude.is_some(), kind == Location),
            ("contact", self.contact.is_some(), kind == Contact),
            ("media", self.media.is_some(), is_file),
            ("medias", self.medias.is_some(), kind == Album),
            ("caption", self.caption.is_some(), captioned),
        ];
        given_and_wanted.into_iter().find_map(|(field, given, wanted)| (given && !wanted).then_some(field))
    }
}

/// Reads an object from an object only. What serde derives for a struct takes a list of its fields as well, in their order,
/// which nobody means: `["Jane", null, null]` is no contact.
pub(super) struct ObjectOnly<D>(pub D);

impl<'de, D: Deserializer<'de>> Deserializer<'de> for ObjectOnly<D> {
    type Error = D::Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.0.deserialize_map(visitor)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

/// Makes types readable from objects only; each derives `Deserialize` with `remote = "Self"`.
macro_rules! from_objects_only {
    ($($type:ty),* $(,)?) => {
        $(impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                // Not this one: the one that is derived.
                Self::deserialize($crate::message::request::ObjectOnly(deserializer))
            }
        })*
    };
}
pub(super) use from_objects_only;

from_objects_only!(SendRequest, MediaPayload, AlbumMediaPayload, ContactCard);
