//! Files both ways: every byte, and every field that goes with them.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD as BASE64;
use serde_json::{Value, json};
use wacore::download::{Downloadable, MediaType};
use waproto::buffa::MessageField;
use waproto::whatsapp::message::{
    AlbumMessage, AudioMessage, DocumentMessage, FutureProofMessage, ImageMessage, StickerMessage,
    VideoMessage,
};
use waproto::whatsapp::message_association::AssociationType;
use waproto::whatsapp::{Message, MessageAssociation, MessageContextInfo, MessageKey};
use whatsapp_rust::upload::{UploadOptions, UploadResponse};

use crate::http::exchange;
use crate::kinds_sent::{ALICE, BOB, bob, say, talking};
use crate::support::{Companion, Simulated};

/// A file of this size that is like no other.
pub fn file(size: usize, seed: u8) -> Vec<u8> {
    (0..size).map(|index| u8::try_from(index % 251).unwrap() ^ seed).collect()
}

pub async fn upload(companion: &Companion, data: Vec<u8>, kind: MediaType) -> UploadResponse {
    companion.client.upload(data, kind, UploadOptions::new()).await.unwrap()
}

/// What the simulator finds in a file when it opens it with what a phone was told.
pub async fn opened(simulated: &Simulated, sha256: &[u8]) -> Vec<u8> {
    let authority = simulated.running.address.to_string();
    let answer =
        exchange(&authority, "GET", &format!("/media/{}", hex::encode(sha256)), &[], &[]).await.unwrap();
    assert_eq!(answer.status, 200, "{}", answer.json());
    answer.body
}

macro_rules! about_the_file {
    ($type:ident, $uploaded:expr, $mimetype:expr) => {
        $type {
            url: Some($uploaded.url.clone()),
            direct_path: Some($uploaded.direct_path.clone()),
            media_key: Some($uploaded.media_key.to_vec()),
            file_sha256: Some($uploaded.file_sha256.to_vec()),
            file_enc_sha256: Some($uploaded.file_enc_sha256.to_vec()),
            file_length: Some($uploaded.file_length),
            media_key_timestamp: Some($uploaded.media_key_timestamp),
            mimetype: Some($mimetype.to_owned()),
            ..$type::default()
        }
    };
}
pub(crate) use about_the_file;

/// What is the same about all media.
fn describes(content: &Value, uploaded: &UploadResponse, mimetype: &str) {
    assert_eq!(content["mimetype"], json!(mimetype));
    assert_eq!(content["fileLength"], json!(uploaded.file_length));
    assert_eq!(content["fileSha256"], json!(BASE64.encode(uploaded.file_sha256)));
    assert_eq!(content["fileEncSha256"], json!(BASE64.encode(uploaded.file_enc_sha256)));
    assert_eq!(content["mediaKey"], json!(BASE64.encode(uploaded.media_key)));
    assert_eq!(content["mediaKeyTimestamp"], json!(uploaded.media_key_timestamp));
    assert_eq!(content["directPath"], json!(uploaded.direct_path));
    assert_eq!(content["url"], json!(uploaded.url));
}

#[tokio::test(flavor = "multi_thread")]
async fn images_videos_and_stickers_of_a_companion() {
    let (simulated, companion) = talking().await;
    let data = file(70_001, 1);
    let uploaded = upload(&companion, data.clone(), MediaType::Image).await;
    let image = ImageMessage {
        caption: Some("look".to_owned()),
        width: Some(640),
        height: Some(480),
        jpeg_thumbnail: Some(vec![0xFF, 0xD8, 1]),
        ..about_the_file!(ImageMessage, uploaded, "image/png")
    };
    let message = Message { image_message: MessageField::some(image), ..Message::default() };
    let (_, got) = say(&simulated, &companion, message).await;
    assert_eq!((&got["kind"], &got["text"]), (&json!("image"), &Value::Null));
    let content = &got["content"];
    describes(content, &uploaded, "image/png");
    assert_eq!(
        (&content["caption"], &content["width"], &content["height"]),
        (&json!("look"), &json!(640), &json!(480))
    );
    assert_eq!(content["thumbnail"], json!(BASE64.encode([0xFF, 0xD8, 1])));
    assert_eq!(opened(&simulated, &uploaded.file_sha256).await, data);

    let data = file(200_000, 2);
    let uploaded = upload(&companion, data.clone(), MediaType::Video).await;
    let video = VideoMessage {
        seconds: Some(7),
        gif_playback: Some(true),
        streaming_sidecar: uploaded.streaming_sidecar.clone(),
        ..about_the_file!(VideoMessage, uploaded, "video/mp4")
    };
    let message = Message { video_message: MessageField::some(video), ..Message::default() };
    let (_, got) = say(&simulated, &companion, message).await;
    let content = &got["content"];
    describes(content, &uploaded, "video/mp4");
    assert_eq!(
        (&got["kind"], &content["seconds"], &content["gifPlayback"]),
        (&json!("video"), &json!(7), &json!(true))
    );
    assert_eq!(opened(&simulated, &uploaded.file_enc_sha256).await, data);

    let uploaded = upload(&companion, file(900, 3), MediaType::Sticker).await;
    let sticker =
        StickerMessage { is_animated: Some(true), ..about_the_file!(StickerMessage, uploaded, "image/webp") };
    let message = Message { sticker_message: MessageField::some(sticker), ..Message::default() };
    let (_, got) = say(&simulated, &companion, message).await;
    describes(&got["content"], &uploaded, "image/webp");
    assert_eq!((&got["kind"], &got["content"]["animated"]), (&json!("sticker"), &json!(true)));
    assert_eq!(opened(&simulated, &uploaded.file_sha256).await, file(900, 3));
}

#[tokio::test(flavor = "multi_thread")]
async fn voice_notes_and_documents_of_a_companion() {
    let (simulated, companion) = talking().await;
    let data = file(12_345, 4);
    let uploaded = upload(&companion, data.clone(), MediaType::Audio).await;
    let note = AudioMessage {
        seconds: Some(3),
        ptt: Some(true),
        waveform: Some(vec![1, 2, 3]),
        ..about_the_file!(AudioMessage, uploaded, "audio/ogg; codecs=opus")
    };
    let message = Message { audio_message: MessageField::some(note), ..Message::default() };
    let (_, got) = say(&simulated, &companion, message).await;
    let content = &got["content"];
    describes(content, &uploaded, "audio/ogg; codecs=opus");
    assert_eq!(
        (&got["kind"], &content["ptt"], &content["seconds"]),
        (&json!("audio"), &json!(true), &json!(3))
    );
    assert_eq!(content["waveform"], json!(BASE64.encode([1, 2, 3])));
    assert_eq!(opened(&simulated, &uploaded.file_sha256).await, data);

    // An empty file is one as well; and a caption puts a document into an envelope.
    let uploaded = upload(&companion, Vec::new(), MediaType::Document).await;
    let document = DocumentMessage {
        file_name: Some("empty.txt".to_owned()),
        title: Some("empty".to_owned()),
        page_count: Some(0),
        caption: Some("nothing".to_owned()),
        ..about_the_file!(DocumentMessage, uploaded, "text/plain")
    };
    let inner = Message { document_message: MessageField::some(document), ..Message::default() };
    let envelope = FutureProofMessage { message: MessageField::some(inner) };
    let message =
        Message { document_with_caption_message: MessageField::some(envelope), ..Message::default() };
    let (_, got) = say(&simulated, &companion, message).await;
    let content = &got["content"];
    describes(content, &uploaded, "text/plain");
    assert_eq!((&got["kind"], &content["fileName"]), (&json!("document"), &json!("empty.txt")));
    assert_eq!((&content["caption"], &content["pageCount"]), (&json!("nothing"), &json!(0)));
    assert_eq!(content["envelopes"], json!(["documentWithCaption"]));
    assert_eq!(opened(&simulated, &uploaded.file_sha256).await, Vec::<u8>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_albums_children_say_whose_they_are() {
    let (simulated, companion) = talking().await;
    let album = AlbumMessage { expected_image_count: Some(2), ..AlbumMessage::default() };
    let message = Message { album_message: MessageField::some(album), ..Message::default() };
    let (album, _) = say(&simulated, &companion, message).await;
    for seed in 0..2 {
        let uploaded = upload(&companion, file(1_000, seed), MediaType::Image).await;
        let key = MessageKey {
            remote_jid: Some(bob().to_string()),
            from_me: Some(true),
            id: Some(album.clone()),
            ..MessageKey::default()
        };
        let association = MessageAssociation {
            association_type: Some(AssociationType::MEDIA_ALBUM),
            parent_message_key: MessageField::some(key),
            ..MessageAssociation::default()
        };
        let message = Message {
            image_message: MessageField::some(about_the_file!(ImageMessage, uploaded, "image/jpeg")),
            message_context_info: MessageField::some(MessageContextInfo {
                message_association: MessageField::some(association),
                ..MessageContextInfo::default()
            }),
            ..Message::default()
        };
        let (_, got) = say(&simulated, &companion, message).await;
        assert_eq!((&got["kind"], &got["content"]["album"]["id"]), (&json!("image"), &json!(album)));
    }
    // And an album of the phone's.
    let id = simulated.say(BOB, json!({ "to": ALICE, "kind": "album", "expectedImageCount": 1 })).await;
    let data = BASE64.encode(file(10, 9));
    let child = json!({ "to": ALICE, "kind": "image", "data": data, "album": id });
    let child = simulated.say(BOB, child).await;
    let got = companion.message("a picture of the album", |incoming| incoming.id == child).await.message;
    let association = &got.message_context_info.message_association;
    assert_eq!(association.parent_message_key.id.as_deref(), Some(id.as_str()));
}

#[tokio::test(flavor = "multi_thread")]
async fn files_of_a_phone_are_what_its_companion_friend_downloads() {
    let (simulated, companion) = talking().await;
    let data = file(150_000, 5);
    let encoded = BASE64.encode(&data);
    let thumbnail = BASE64.encode([9, 9]);
    let cases = [
        json!({ "kind": "image", "mimetype": "image/png", "caption": "c", "width": 3, "height": 4,
                "thumbnail": thumbnail }),
        json!({ "kind": "video", "seconds": 5, "caption": "c" }),
        json!({ "kind": "audio", "ptt": true, "seconds": 2, "waveform": thumbnail }),
        json!({ "kind": "document", "fileName": "a.pdf", "mimetype": "application/pdf", "pageCount": 2 }),
        json!({ "kind": "sticker", "animated": false }),
    ];
    for mut body in cases {
        let kind = body["kind"].as_str().unwrap().to_owned();
        (body["to"], body["data"]) = (json!(ALICE), json!(encoded));
        let id = simulated.say(BOB, body).await;
        let message = companion.message(&kind, |incoming| incoming.id == id).await.message;
        let downloadable: &dyn Downloadable = match kind.as_str() {
            "image" => {
                let image = &*message.image_message;
                assert_eq!(
                    (image.mimetype.as_deref(), image.caption.as_deref()),
                    (Some("image/png"), Some("c"))
                );
                assert_eq!((image.width, image.height), (Some(3), Some(4)));
                assert_eq!(image.jpeg_thumbnail.as_deref(), Some([9, 9].as_slice()));
                image
            }
            "video" => {
                assert_eq!(message.video_message.seconds, Some(5));
                assert!(message.video_message.streaming_sidecar.is_some());
                &*message.video_message
            }
            "audio" => {
                let audio = &*message.audio_message;
                assert_eq!(
                    (audio.ptt, audio.seconds, audio.waveform.as_deref()),
                    (Some(true), Some(2), Some([9, 9].as_slice()))
                );
                audio
            }
            "document" => {
                let document = &*message.document_message;
                assert_eq!((document.file_name.as_deref(), document.page_count), (Some("a.pdf"), Some(2)));
                document
            }
            _ => &*message.sticker_message,
        };
        assert_eq!(companion.client.download(downloadable).await.unwrap(), data, "{kind}");
        assert_eq!(downloadable.file_length(), Some(150_000));
    }
}
