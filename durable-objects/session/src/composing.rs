//! A message to send, as WhatsApp's protocol has it.
//!
//! Shapes follow what WhatsApp Web sends. A message is made once, with its secret, and its bytes are what goes out however
//! often (docs/decisions/outbox.md).

use gateway_domain::event::{ContactData, LocationData, PollData};
use gateway_domain::message::{Content, Facts, Media, MediaKind};
use whatsapp_rust::proto_helpers::MessageExt;
use whatsapp_rust::waproto::buffa::MessageField;
use whatsapp_rust::waproto::whatsapp::message::poll_creation_message::Option as PollOption;
use whatsapp_rust::waproto::whatsapp::message::{
    AlbumMessage, AudioMessage, ContactMessage, DocumentMessage, FutureProofMessage, ImageMessage,
    LocationMessage, PollCreationMessage, StickerMessage, VideoMessage,
};
use whatsapp_rust::waproto::whatsapp::message_association::AssociationType;
use whatsapp_rust::waproto::whatsapp::{
    ContextInfo, Message, MessageAssociation, MessageContextInfo, MessageKey,
};

#[cfg(test)]
mod tests;

/// What votes, reactions and edits of a message are encrypted with.
pub type Secret = [u8; 32];

/// A file that lies on WhatsApp's media host, and what is told beside it.
#[derive(Clone, Debug, Default)]
pub struct Uploaded {
    /// Where.
    pub url: String,
    /// Where, without the host.
    pub direct_path: String,
    /// What it is encrypted with.
    pub media_key: Vec<u8>,
    /// SHA-256 of the file.
    pub file_sha256: Vec<u8>,
    /// SHA-256 of what lies there.
    pub file_enc_sha256: Vec<u8>,
    /// The file's bytes.
    pub file_length: u64,
    /// When the key was made, epoch seconds.
    pub media_key_timestamp: i64,
    /// What lets one play it before all of it is there.
    pub streaming_sidecar: Option<Vec<u8>>,
    /// What the file says of itself.
    pub facts: Facts,
    /// A small JPEG of a picture.
    pub thumbnail: Option<Vec<u8>>,
}

/// What goes along with what a message says.
#[derive(Clone, Debug, Default)]
pub struct Around {
    /// What it answers, and whom it mentions.
    pub context: ContextInfo,
    /// Its secret.
    pub secret: Secret,
    /// The album it is part of.
    pub album: Option<MessageKey>,
}

/// A message without files; `None` for one with.
#[must_use]
pub fn message(content: &Content, around: Around) -> Option<Message> {
    let message = match content {
        Content::Text(text) => Message { conversation: Some(text.clone()), ..Message::default() },
        Content::Poll(data) => poll(data),
        Content::Location(place) => location(place),
        Content::Contact(person) => contact(person),
        Content::Media(_) | Content::Album(_) => return None,
    };
    Some(finish(message, around))
}

/// The message that stands before an album's files.
#[must_use]
pub fn album(medias: &[Media], around: Around) -> Message {
    let count = |kind| {
        let count = medias.iter().filter(|media| media.kind == kind).count();
        Some(u32::try_from(count).unwrap_or(u32::MAX))
    };
    let album = AlbumMessage {
        expected_image_count: count(MediaKind::Image),
        expected_video_count: count(MediaKind::Video),
        ..AlbumMessage::default()
    };
    finish(Message { album_message: MessageField::some(album), ..Message::default() }, around)
}

/// A message with a file.
#[must_use]
pub fn file(media: &Media, uploaded: Uploaded, around: Around) -> Message {
    let Facts { mimetype, filename, voice_note, dimensions, seconds, animated } = uploaded.facts;
    let (width, height) = dimensions.unzip();
    let caption = media.caption.clone();
    let mut message = Message::default();
    macro_rules! lying_there {
        ($type:ident { $($field:ident: $value:expr),* $(,)? }) => {
            MessageField::some($type {
                url: Some(uploaded.url),
                direct_path: Some(uploaded.direct_path),
                media_key: Some(uploaded.media_key),
                file_sha256: Some(uploaded.file_sha256),
                file_enc_sha256: Some(uploaded.file_enc_sha256),
                file_length: Some(uploaded.file_length),
                media_key_timestamp: Some(uploaded.media_key_timestamp),
                mimetype: Some(mimetype),
                $($field: $value,)*
                ..$type::default()
            })
        };
    }
    match media.kind {
        MediaKind::Image => {
            message.image_message = lying_there!(ImageMessage {
                caption: caption,
                width: width,
                height: height,
                jpeg_thumbnail: uploaded.thumbnail,
            });
        }
        MediaKind::Video => {
            message.video_message = lying_there!(VideoMessage {
                caption: caption,
                width: width,
                height: height,
                seconds: seconds,
                streaming_sidecar: uploaded.streaming_sidecar,
            });
        }
        MediaKind::Audio => {
            message.audio_message = lying_there!(AudioMessage {
                seconds: seconds,
                ptt: Some(voice_note),
                streaming_sidecar: uploaded.streaming_sidecar,
            });
        }
        MediaKind::Document => {
            message.document_message = lying_there!(DocumentMessage {
                caption: caption,
                title: filename.clone(),
                file_name: filename,
            });
        }
        MediaKind::Sticker => {
            message.sticker_message =
                lying_there!(StickerMessage { width: width, height: height, is_animated: Some(animated) });
        }
    }
    finish(message, around)
}

/// Gives a message its context and its secret, and the wrapper that its kind has.
#[must_use]
pub fn finish(mut message: Message, around: Around) -> Message {
    if around.context != ContextInfo::default() {
        if let Some(album) = message.album_message.as_option_mut() {
            album.context_info = MessageField::some(around.context);
        } else {
            message.set_context_info(around.context);
        }
    }
    if message.document_message.as_option().is_some_and(|document| document.caption.is_some()) {
        // Clients that are older than captions of documents show nothing of it, rather than half.
        let inner = FutureProofMessage { message: MessageField::some(message) };
        message = Message { document_with_caption_message: MessageField::some(inner), ..Message::default() };
    }
    let association = around.album.map(|parent| MessageAssociation {
        association_type: Some(AssociationType::MEDIA_ALBUM),
        parent_message_key: MessageField::some(parent),
        ..MessageAssociation::default()
    });
    if association.is_some() {
        // As WhatsApp Web does. Without the wrapper the library would write a second context beside this one in groups,
        // and clients differ in which of the two they read.
        let inner = FutureProofMessage { message: MessageField::some(message) };
        message = Message { associated_child_message: MessageField::some(inner), ..Message::default() };
    }
    message.message_context_info = MessageField::some(MessageContextInfo {
        message_secret: Some(around.secret.to_vec()),
        message_association: association.map(MessageField::some).unwrap_or_default(),
        ..MessageContextInfo::default()
    });
    message
}

fn poll(data: &PollData) -> Message {
    let option = |name: &String| PollOption { option_name: Some(name.clone()), ..PollOption::default() };
    let poll = MessageField::some(PollCreationMessage {
        name: Some(data.name.clone()),
        options: data.options.iter().map(option).collect(),
        selectable_options_count: Some(data.selectable_count),
        // In seconds, as the other times of these messages; no client that can be asked here tells.
        end_time: data.end_time.and_then(|ends| i64::try_from(ends.div_ceil(1_000)).ok()),
        hide_participant_name: data.hide_votes,
        ..PollCreationMessage::default()
    });
    // WhatsApp Web's versions: the third is for one choice, the first for several.
    if data.selectable_count == 1 {
        Message { poll_creation_message_v3: poll, ..Message::default() }
    } else {
        Message { poll_creation_message: poll, ..Message::default() }
    }
}

fn location(place: &LocationData) -> Message {
    let location = LocationMessage {
        degrees_latitude: Some(place.latitude),
        degrees_longitude: Some(place.longitude),
        name: place.name.clone(),
        address: place.address.clone(),
        ..LocationMessage::default()
    };
    Message { location_message: MessageField::some(location), ..Message::default() }
}

fn contact(person: &ContactData) -> Message {
    let contact = ContactMessage {
        display_name: person.display_name.clone(),
        vcard: person.vcard.clone(),
        ..ContactMessage::default()
    };
    Message { contact_message: MessageField::some(contact), ..Message::default() }
}
