//! A message from what the control API asked for and what the phone knows.

use wacore::download::MediaType;
use wacore::proto_helpers::MessageExt as _;
use waproto::buffa::MessageField;
use waproto::whatsapp::message::poll_creation_message::Option as PollOption;
use waproto::whatsapp::message::{
    AlbumMessage, AudioMessage, ContactMessage, ContactsArrayMessage, DocumentMessage, ExtendedTextMessage,
    ImageMessage, LiveLocationMessage, LocationMessage, PollCreationMessage, StickerMessage, VideoMessage,
};
use waproto::whatsapp::message_association::AssociationType;
use waproto::whatsapp::{ContextInfo, Message, MessageAssociation, MessageContextInfo, MessageKey};

use super::about;
use super::addons::Names;
use super::media::File;
use super::request::Request;

pub type Made = Result<Message, &'static str>;

/// A file that is on a media host.
pub struct Uploaded {
    pub file: File,
    pub length: u64,
    pub url: String,
    pub sidecar: Option<Vec<u8>>,
}

/// A message the phone knows, and what it is called in this chat.
pub struct Target {
    pub key: MessageKey,
    pub message: Message,
    pub author: Names,
    /// The author's name in this chat.
    pub author_here: String,
}

/// What the phone adds of its own.
pub struct Circumstances {
    pub now_ms: i64,
    pub secret: Vec<u8>,
    /// The phone's own name in this chat.
    pub me: String,
    pub uploaded: Option<Uploaded>,
    pub target: Option<Target>,
    pub quoted: Option<Target>,
    pub album: Option<MessageKey>,
}

/// The message.
pub fn message(request: &Request, with: &Circumstances) -> Made {
    let kind = request.kind()?;
    let mut message = match kind {
        "protobuf" => return request.protobuf(),
        "text" if request.is_plain() => {
            return Ok(Message { conversation: request.text.clone(), ..Message::default() });
        }
        "text" => text(request),
        "image" | "video" | "audio" | "document" | "sticker" => file(kind, request, with)?,
        "album" | "location" | "liveLocation" | "contact" | "contacts" | "poll" => thing(kind, request)?,
        "pollVote" | "reaction" | "edit" | "revoke" | "forward" | "pin" => {
            return about::message(kind, request, with);
        }
        _ => return Err("a kind of message this phone can't write"),
    };
    if request.has_context() {
        message.set_context_info(context(request, with));
    }
    let association = with.album.as_ref().map(|parent| MessageAssociation {
        association_type: Some(AssociationType::MEDIA_ALBUM),
        parent_message_key: MessageField::some(parent.clone()),
        ..MessageAssociation::default()
    });
    message.message_context_info = MessageField::some(MessageContextInfo {
        message_secret: Some(with.secret.clone()),
        message_association: association.map(MessageField::some).unwrap_or_default(),
        ..MessageContextInfo::default()
    });
    Ok(message)
}

pub fn text(request: &Request) -> Message {
    if !request.has_context() {
        return Message { conversation: request.text.clone(), ..Message::default() };
    }
    let extended = ExtendedTextMessage { text: request.text.clone(), ..ExtendedTextMessage::default() };
    Message { extended_text_message: MessageField::some(extended), ..Message::default() }
}

fn context(request: &Request, with: &Circumstances) -> ContextInfo {
    let quoted = with.quoted.as_ref();
    ContextInfo {
        stanza_id: quoted.and_then(|quoted| quoted.key.id.clone()),
        participant: quoted.map(|quoted| quoted.author_here.clone()),
        quoted_message: quoted
            .map(|quoted| MessageField::from_box(quoted.message.prepare_for_quote()))
            .unwrap_or_default(),
        mentioned_jid: request.mentions.clone(),
        is_forwarded: request.forwarded,
        forwarding_score: request.forwarding_score,
        expiration: request.expiration,
        ..ContextInfo::default()
    }
}

fn file(kind: &str, request: &Request, circumstances: &Circumstances) -> Made {
    let uploaded = circumstances.uploaded.as_ref().ok_or("media needs data")?;
    let (file, mut message) = (&uploaded.file, Message::default());
    let seconds = circumstances.now_ms / 1000;
    macro_rules! media {
        ($type:ident { $($field:ident: $value:expr),* $(,)? }) => {
            MessageField::some($type {
                url: Some(uploaded.url.clone()),
                mimetype: Some(file.mimetype.clone()),
                file_sha256: Some(file.sha256.clone()),
                file_length: Some(uploaded.length),
                media_key: Some(file.media_key.clone()),
                file_enc_sha256: Some(file.enc_sha256.clone()),
                direct_path: Some(file.direct_path.clone()),
                media_key_timestamp: Some(seconds),
                $($field: $value,)*
                ..$type::default()
            })
        };
    }
    let (caption, width, height) = (request.caption.clone(), request.width, request.height);
    match kind {
        "image" => {
            message.image_message = media!(ImageMessage {
                caption: caption,
                width: width,
                height: height,
                jpeg_thumbnail: request.thumbnail()?,
                view_once: request.view_once,
            });
        }
        "video" => {
            let video = media!(VideoMessage {
                caption: caption,
                width: width,
                height: height,
                seconds: request.seconds,
                gif_playback: request.gif_playback,
                jpeg_thumbnail: request.thumbnail()?,
                streaming_sidecar: uploaded.sidecar.clone(),
                view_once: request.view_once,
            });
            let note = request.ptv == Some(true);
            *(if note { &mut message.ptv_message } else { &mut message.video_message }) = video;
        }
        "audio" => {
            message.audio_message = media!(AudioMessage {
                seconds: request.seconds,
                ptt: request.ptt,
                waveform: request.waveform()?,
                streaming_sidecar: uploaded.sidecar.clone(),
                view_once: request.view_once,
            });
        }
        "document" => {
            message.document_message = media!(DocumentMessage {
                caption: caption,
                file_name: request.file_name.clone(),
                title: request.title.clone(),
                page_count: request.page_count,
                jpeg_thumbnail: request.thumbnail()?,
            });
        }
        _ => {
            message.sticker_message = media!(StickerMessage {
                width: width,
                height: height,
                is_animated: request.animated,
                png_thumbnail: request.thumbnail()?,
            });
        }
    }
    Ok(message)
}

/// The type under which a kind's files are encrypted, and what they are unless the request says.
pub fn media_type(kind: &str) -> Option<(MediaType, &'static str)> {
    Some(match kind {
        "image" => (MediaType::Image, "image/jpeg"),
        "video" => (MediaType::Video, "video/mp4"),
        "audio" => (MediaType::Audio, "audio/ogg; codecs=opus"),
        "document" => (MediaType::Document, "application/octet-stream"),
        "sticker" => (MediaType::Sticker, "image/webp"),
        _ => return None,
    })
}

fn thing(kind: &str, request: &Request) -> Made {
    let mut message = Message::default();
    match kind {
        "album" => {
            message.album_message = MessageField::some(AlbumMessage {
                expected_image_count: request.expected_image_count,
                expected_video_count: request.expected_video_count,
                ..AlbumMessage::default()
            });
        }
        "location" => {
            message.location_message = MessageField::some(LocationMessage {
                degrees_latitude: request.latitude,
                degrees_longitude: request.longitude,
                name: request.name.clone(),
                address: request.address.clone(),
                url: request.url.clone(),
                accuracy_in_meters: request.accuracy,
                is_live: request.live,
                jpeg_thumbnail: request.thumbnail()?,
                ..LocationMessage::default()
            });
        }
        "liveLocation" => {
            message.live_location_message = MessageField::some(LiveLocationMessage {
                degrees_latitude: request.latitude,
                degrees_longitude: request.longitude,
                caption: request.caption.clone(),
                accuracy_in_meters: request.accuracy,
                ..LiveLocationMessage::default()
            });
        }
        "contact" => {
            message.contact_message = MessageField::some(ContactMessage {
                display_name: request.display_name.clone(),
                vcard: request.vcard.clone(),
                ..ContactMessage::default()
            });
        }
        "contacts" => {
            let card = |card: &super::request::Card| ContactMessage {
                display_name: card.display_name.clone(),
                vcard: card.vcard.clone(),
                ..ContactMessage::default()
            };
            message.contacts_array_message = MessageField::some(ContactsArrayMessage {
                display_name: request.display_name.clone(),
                contacts: request.contacts.iter().map(card).collect(),
                ..ContactsArrayMessage::default()
            });
        }
        _ => poll(request, &mut message)?,
    }
    Ok(message)
}

fn poll(request: &Request, message: &mut Message) -> Result<(), &'static str> {
    if request.options.len() < 2 {
        return Err("a poll needs a name and at least two options");
    }
    let option = |name: &String| PollOption { option_name: Some(name.clone()), ..PollOption::default() };
    let selectable = request.selectable_count.unwrap_or(0);
    let poll = MessageField::some(PollCreationMessage {
        name: request.name.clone(),
        options: request.options.iter().map(option).collect(),
        selectable_options_count: Some(selectable),
        ..PollCreationMessage::default()
    });
    // Like WhatsApp Web: 3 where only one option can be chosen, else 1.
    match request.version.unwrap_or(if selectable == 1 { 3 } else { 1 }) {
        1 => message.poll_creation_message = poll,
        2 => message.poll_creation_message_v2 = poll,
        3 => message.poll_creation_message_v3 = poll,
        5 => message.poll_creation_message_v5 = poll,
        6 => message.poll_creation_message_v6 = poll,
        _ => return Err("no such version of polls"),
    }
    Ok(())
}
