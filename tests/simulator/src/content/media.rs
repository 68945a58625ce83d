//! Media: what a message says about its file, and how the file is kept on a media host.

use wacore::download::MediaType;
use waproto::whatsapp::Message;

use super::fields::Fields;
use super::unwrapped;

/// The file a message is about.
#[derive(Clone, Debug)]
pub struct File {
    pub kind: MediaType,
    pub mimetype: String,
    pub direct_path: String,
    pub media_key: Vec<u8>,
    pub enc_sha256: Vec<u8>,
    pub sha256: Vec<u8>,
}

/// The fields every kind of media has under the same names.
macro_rules! common {
    ($media:expr, $fields:expr) => {{
        let (media, fields) = ($media, $fields);
        fields.put("mimetype", media.mimetype.as_ref());
        fields.put("fileLength", media.file_length);
        fields.bytes("fileSha256", media.file_sha256.as_ref());
        fields.bytes("fileEncSha256", media.file_enc_sha256.as_ref());
        fields.bytes("mediaKey", media.media_key.as_ref());
        fields.put("mediaKeyTimestamp", media.media_key_timestamp);
        fields.put("directPath", media.direct_path.as_ref());
        fields.put("url", media.url.as_ref());
    }};
}

/// The kind of a media message, with its fields.
pub fn read(message: &Message, fields: &mut Fields) -> Option<&'static str> {
    if let Some(image) = message.image_message.as_option() {
        common!(image, &mut *fields);
        fields.put("caption", image.caption.as_ref());
        fields.put("width", image.width);
        fields.put("height", image.height);
        fields.bytes("thumbnail", image.jpeg_thumbnail.as_ref());
        fields.put("viewOnce", image.view_once);
        return Some("image");
    }
    let note = message.ptv_message.as_option();
    if let Some(video) = message.video_message.as_option().or(note) {
        common!(video, &mut *fields);
        fields.put("caption", video.caption.as_ref());
        fields.put("width", video.width);
        fields.put("height", video.height);
        fields.put("seconds", video.seconds);
        fields.put("gifPlayback", video.gif_playback);
        fields.put("ptv", note.is_some().then_some(true));
        fields.bytes("thumbnail", video.jpeg_thumbnail.as_ref());
        fields.bytes("streamingSidecar", video.streaming_sidecar.as_ref());
        fields.put("viewOnce", video.view_once);
        return Some("video");
    }
    if let Some(audio) = message.audio_message.as_option() {
        common!(audio, &mut *fields);
        fields.put("seconds", audio.seconds);
        fields.put("ptt", audio.ptt);
        fields.bytes("waveform", audio.waveform.as_ref());
        fields.bytes("streamingSidecar", audio.streaming_sidecar.as_ref());
        fields.put("viewOnce", audio.view_once);
        return Some("audio");
    }
    if let Some(document) = message.document_message.as_option() {
        common!(document, &mut *fields);
        fields.put("caption", document.caption.as_ref());
        fields.put("fileName", document.file_name.as_ref());
        fields.put("title", document.title.as_ref());
        fields.put("pageCount", document.page_count);
        fields.bytes("thumbnail", document.jpeg_thumbnail.as_ref());
        return Some("document");
    }
    let sticker = message.sticker_message.as_option()?;
    common!(sticker, &mut *fields);
    fields.put("width", sticker.width);
    fields.put("height", sticker.height);
    fields.put("animated", sticker.is_animated);
    fields.bytes("thumbnail", sticker.png_thumbnail.as_ref());
    Some("sticker")
}

/// The file a message is about; none when it has none, or names no key for it.
pub fn file(message: &Message) -> Option<File> {
    let message = unwrapped(message).0;
    macro_rules! file {
        ($media:expr, $kind:expr) => {
            if let Some(media) = $media {
                return Some(File {
                    kind: $kind,
                    mimetype: media.mimetype.clone().unwrap_or_default(),
                    direct_path: media.direct_path.clone().unwrap_or_default(),
                    media_key: media.media_key.clone()?,
                    enc_sha256: media.file_enc_sha256.clone()?,
                    sha256: media.file_sha256.clone().unwrap_or_default(),
                });
            }
        };
    }
    file!(message.image_message.as_option(), MediaType::Image);
    file!(message.video_message.as_option(), MediaType::Video);
    file!(message.ptv_message.as_option(), MediaType::Video);
    file!(message.audio_message.as_option(), MediaType::Audio);
    file!(message.document_message.as_option(), MediaType::Document);
    file!(message.sticker_message.as_option(), MediaType::Sticker);
    None
}

/// The same message about a file that is somewhere else by now.
pub fn moved(message: &mut Message, direct_path: &str) {
    macro_rules! moved {
        ($($field:ident),+) => {
            $(if let Some(media) = message.$field.as_option_mut() {
                media.direct_path = Some(direct_path.to_owned());
            })+
        };
    }
    moved!(image_message, video_message, ptv_message, audio_message, document_message, sticker_message);
}
