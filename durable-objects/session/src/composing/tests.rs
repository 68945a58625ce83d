use super::*;
use gateway_domain::event::{MediaMeta, MessagePayload};
use gateway_domain::message::Source;
use whatsapp_rust::types::message::{MessageInfo, MessageSource};
use whatsapp_rust::waproto::codec;
use whatsapp_rust::waproto::whatsapp::message::ExtendedTextMessage;

use crate::inbound::{content, normalise};

const SECRET: Secret = [7; 32];
const CAPTION: &str = "look";

fn around() -> Around {
    Around { secret: SECRET, ..Around::default() }
}

/// An answer that mentions somebody.
fn answering() -> Around {
    let context = ContextInfo {
        stanza_id: Some("3EB0Q".into()),
        mentioned_jid: vec!["4917@s.whatsapp.net".into()],
        ..ContextInfo::default()
    };
    Around { context, ..around() }
}

fn key() -> MessageKey {
    MessageKey {
        remote_jid: Some("1@g.us".into()),
        from_me: Some(true),
        id: Some("3EB0P".into()),
        participant: None,
    }
}

fn lunch(selectable_count: u32) -> PollData {
    PollData {
        name: "Lunch?".into(),
        options: vec!["Soup".into(), "Salad".into(), "Cake".into()],
        selectable_count,
        end_time: Some(1_700_000_100_000),
        hide_votes: Some(true),
    }
}

fn gate() -> LocationData {
    LocationData {
        latitude: 52.516_272,
        longitude: -13.377_722,
        name: Some("Gate".into()),
        address: Some("Pariser Platz".into()),
    }
}

fn ann() -> ContactData {
    let vcard = "BEGIN:VCARD\nVERSION:3.0\nFN:Ann\nEND:VCARD";
    ContactData { display_name: Some("Ann".into()), vcard: Some(vcard.into()) }
}

fn without_files() -> [Content; 6] {
    [
        Content::Text("hi".into()),
        Content::Poll(lunch(1)),
        Content::Poll(lunch(0)),
        Content::Location(gate()),
        Content::Location(LocationData { name: None, address: None, ..gate() }),
        Content::Contact(ann()),
    ]
}

fn media(kind: MediaKind, caption: Option<&str>) -> Media {
    Media {
        kind,
        source: Source::Data(0),
        mimetype: None,
        caption: caption.map(str::to_owned),
        filename: None,
    }
}

fn all_media() -> [Media; 8] {
    [
        media(MediaKind::Image, None),
        media(MediaKind::Image, Some(CAPTION)),
        media(MediaKind::Video, None),
        media(MediaKind::Video, Some(CAPTION)),
        media(MediaKind::Audio, None),
        media(MediaKind::Document, None),
        media(MediaKind::Document, Some(CAPTION)),
        media(MediaKind::Sticker, None),
    ]
}

/// A file of which everything is known; whatever of it doesn't belong to a kind must not be told.
fn uploaded() -> Uploaded {
    Uploaded {
        url: "https://mmg.whatsapp.net/a?b=c".into(),
        direct_path: "/a?b=c".into(),
        media_key: vec![1; 32],
        file_sha256: vec![2; 32],
        file_enc_sha256: vec![3; 32],
        file_length: 1_234,
        media_key_timestamp: 1_700_000_000,
        streaming_sidecar: Some(vec![4; 10]),
        facts: Facts {
            mimetype: "a/b".into(),
            filename: Some("a.b".into()),
            voice_note: true,
            dimensions: Some((640, 480)),
            seconds: Some(9),
            animated: true,
        },
        thumbnail: Some(vec![5; 20]),
    }
}

/// What lies on the host, as every kind tells it.
macro_rules! lying_there {
    ($type:ident { $($field:ident: $value:expr),* $(,)? }) => {
        Some(&$type {
            url: Some("https://mmg.whatsapp.net/a?b=c".into()),
            direct_path: Some("/a?b=c".into()),
            media_key: Some(vec![1; 32]),
            file_sha256: Some(vec![2; 32]),
            file_enc_sha256: Some(vec![3; 32]),
            file_length: Some(1_234),
            media_key_timestamp: Some(1_700_000_000),
            mimetype: Some("a/b".into()),
            $($field: $value,)*
            ..$type::default()
        })
    };
}

fn made(content: &Content, around: Around) -> Message {
    message(content, around).unwrap()
}

/// What whoever gets these bytes is told; nothing of what is no message by itself.
fn understood(message: &Message) -> Option<MessagePayload> {
    let bob = "4915@s.whatsapp.net".parse().unwrap();
    let info = MessageInfo {
        source: MessageSource {
            chat: "4915@s.whatsapp.net".parse().unwrap(),
            sender: bob,
            ..MessageSource::default()
        },
        id: "3EB0A".into(),
        ..MessageInfo::default()
    };
    let received = codec::message_decode(&codec::message_to_vec(message)).unwrap();
    Some(normalise(&received, &info)?.payload)
}

/// Every message there is, with what is around it.
fn everything(around: &Around) -> Vec<Message> {
    let plain = without_files().map(|content| made(&content, around.clone()));
    let files = all_media().map(|media| file(&media, uploaded(), around.clone()));
    plain.into_iter().chain(files).collect()
}

#[test]
fn a_text_alone_is_bare_and_one_with_a_context_is_extended() {
    let text = Content::Text("hi".into());
    let bare = made(&text, around());
    assert_eq!((bare.conversation.as_deref(), bare.extended_text_message.is_set()), (Some("hi"), false));
    let answer = made(&text, answering());
    let extended = ExtendedTextMessage {
        text: Some("hi".into()),
        context_info: MessageField::some(answering().context),
        ..ExtendedTextMessage::default()
    };
    assert_eq!((answer.conversation, answer.extended_text_message.as_option()), (None, Some(&extended)));
}

#[test]
fn a_poll_for_one_choice_is_of_the_third_version_and_any_other_of_the_first() {
    for selectable in [0, 1, 2, 3] {
        let poll = made(&Content::Poll(lunch(selectable)), around());
        let (first, third) =
            (poll.poll_creation_message.as_option(), poll.poll_creation_message_v3.as_option());
        assert_eq!((first.is_some(), third.is_some()), (selectable != 1, selectable == 1), "{selectable}");
        let poll = first.or(third).unwrap();
        let options: Vec<_> = poll.options.iter().map(|option| option.option_name.as_deref()).collect();
        assert_eq!(options, [Some("Soup"), Some("Salad"), Some("Cake")]);
        assert_eq!((poll.name.as_deref(), poll.selectable_options_count), (Some("Lunch?"), Some(selectable)));
    }
}

#[test]
fn a_poll_closes_at_a_whole_second_and_hides_its_votes_if_told_so() {
    for (end_time, seconds) in [
        (None, None),
        (Some(1_700_000_100_000), Some(1_700_000_100)),
        (Some(1_700_000_100_001), Some(1_700_000_101)),
        (Some(1_700_000_100_999), Some(1_700_000_101)),
    ] {
        for hide_votes in [None, Some(false), Some(true)] {
            let poll = PollData { end_time, hide_votes, ..lunch(1) };
            let poll = made(&Content::Poll(poll), around());
            let poll = poll.poll_creation_message_v3.as_option().unwrap();
            assert_eq!((poll.end_time, poll.hide_participant_name), (seconds, hide_votes));
        }
    }
}

#[test]
fn a_place_and_a_person_are_told_whole() {
    let place = LocationMessage {
        degrees_latitude: Some(52.516_272),
        degrees_longitude: Some(-13.377_722),
        name: Some("Gate".into()),
        address: Some("Pariser Platz".into()),
        ..LocationMessage::default()
    };
    assert_eq!(made(&Content::Location(gate()), around()).location_message.as_option(), Some(&place));
    let person =
        ContactMessage { display_name: ann().display_name, vcard: ann().vcard, ..ContactMessage::default() };
    assert_eq!(made(&Content::Contact(ann()), around()).contact_message.as_option(), Some(&person));
}

#[test]
fn a_file_is_told_with_all_of_its_kind_and_nothing_else() {
    let of = |kind, caption| file(&media(kind, caption), uploaded(), around());
    let caption = || Some(CAPTION.to_owned());
    assert_eq!(
        of(MediaKind::Image, Some(CAPTION)).image_message.as_option(),
        lying_there!(ImageMessage {
            caption: caption(),
            width: Some(640),
            height: Some(480),
            jpeg_thumbnail: Some(vec![5; 20]),
        })
    );
    assert_eq!(
        of(MediaKind::Video, Some(CAPTION)).video_message.as_option(),
        lying_there!(VideoMessage {
            caption: caption(),
            width: Some(640),
            height: Some(480),
            seconds: Some(9),
            streaming_sidecar: Some(vec![4; 10]),
        })
    );
    assert_eq!(
        of(MediaKind::Audio, None).audio_message.as_option(),
        lying_there!(AudioMessage {
            seconds: Some(9),
            ptt: Some(true),
            streaming_sidecar: Some(vec![4; 10]),
        })
    );
    assert_eq!(
        of(MediaKind::Document, None).document_message.as_option(),
        lying_there!(DocumentMessage { title: Some("a.b".into()), file_name: Some("a.b".into()) })
    );
    assert_eq!(
        of(MediaKind::Sticker, None).sticker_message.as_option(),
        lying_there!(StickerMessage { width: Some(640), height: Some(480), is_animated: Some(true) })
    );
}

#[test]
fn what_is_not_known_of_a_file_is_left_out() {
    let of = |kind, voice_note, animated| {
        let facts = Facts { mimetype: "a/b".into(), voice_note, animated, ..Facts::default() };
        let bare = Uploaded { facts, streaming_sidecar: None, thumbnail: None, ..uploaded() };
        file(&media(kind, None), bare, around())
    };
    let plain = |kind| of(kind, false, false);
    assert_eq!(plain(MediaKind::Image).image_message.as_option(), lying_there!(ImageMessage {}));
    assert_eq!(plain(MediaKind::Video).video_message.as_option(), lying_there!(VideoMessage {}));
    assert_eq!(plain(MediaKind::Document).document_message.as_option(), lying_there!(DocumentMessage {}));
    for said in [true, false] {
        let audio = of(MediaKind::Audio, said, !said);
        assert_eq!(audio.audio_message.as_option(), lying_there!(AudioMessage { ptt: Some(said) }));
        let sticker = of(MediaKind::Sticker, !said, said);
        let expected = lying_there!(StickerMessage { is_animated: Some(said) });
        assert_eq!(sticker.sticker_message.as_option(), expected);
    }
}

#[test]
fn a_document_with_a_caption_is_wrapped_with_its_context_in_it_and_its_secret_around_it() {
    let wrapped = file(&media(MediaKind::Document, Some(CAPTION)), uploaded(), answering());
    assert!(!wrapped.document_message.is_set());
    let inner = wrapped.document_with_caption_message.as_option().unwrap().message.as_option().unwrap();
    assert_eq!(
        inner.document_message.as_option(),
        lying_there!(DocumentMessage {
            caption: Some(CAPTION.into()),
            title: Some("a.b".into()),
            file_name: Some("a.b".into()),
            context_info: MessageField::some(answering().context),
        })
    );
    assert!(!inner.message_context_info.is_set());
    assert_eq!(wrapped.message_context_info.as_option().unwrap().message_secret, Some(SECRET.to_vec()));
    let bare = file(&media(MediaKind::Document, None), uploaded(), around());
    assert!(!bare.document_with_caption_message.is_set());
}

#[test]
fn an_album_counts_its_files_and_has_the_context() {
    let [image, video] = [MediaKind::Image, MediaKind::Video].map(|kind| media(kind, None));
    for (medias, images, videos) in [
        (vec![image.clone(), video.clone(), image.clone()], 2, 1),
        (vec![image.clone(), image], 2, 0),
        (vec![video.clone(), video], 0, 2),
    ] {
        let expected = AlbumMessage {
            expected_image_count: Some(images),
            expected_video_count: Some(videos),
            context_info: MessageField::some(answering().context),
        };
        let album = album(&medias, answering());
        assert_eq!(album.album_message.as_option(), Some(&expected));
        assert_eq!(content::secret(&album), Some(SECRET.as_slice()));
        assert!(understood(&album).is_none(), "its files are what is told");
    }
    assert!(!album(&[], around()).album_message.as_option().unwrap().context_info.is_set());
}

#[test]
fn a_file_of_an_album_names_the_album_and_any_other_names_none() {
    let association = |message: &Message| {
        let context = message.message_context_info.as_option().unwrap();
        context.message_association.as_option().cloned()
    };
    for media in all_media() {
        let child = file(&media, uploaded(), Around { album: Some(key()), ..around() });
        let expected = MessageAssociation {
            association_type: Some(AssociationType::MEDIA_ALBUM),
            parent_message_key: MessageField::some(key()),
            ..MessageAssociation::default()
        };
        assert_eq!(association(&child), Some(expected));
        assert!(child.associated_child_message.is_set());
        assert_eq!(content::secret(&child), Some(SECRET.as_slice()));
    }
    assert!(everything(&around()).iter().all(|message| association(message).is_none()));
}

#[test]
fn everything_has_its_secret_and_its_context() {
    for message in everything(&around()) {
        assert_eq!(content::secret(&message), Some(SECRET.as_slice()));
        assert_eq!(content::context(content::unwrap(&message)), None);
    }
    for message in everything(&answering()) {
        assert_eq!(content::secret(&message), Some(SECRET.as_slice()));
        assert_eq!(content::context(content::unwrap(&message)), Some(&answering().context));
        let told = understood(&message).unwrap();
        assert_eq!(told.quoted_message_id.as_deref(), Some("3EB0Q"));
        assert!(told.mentions.contains_key("4917@s.whatsapp.net"));
    }
}

#[test]
fn what_has_files_is_not_made_without_them() {
    let album = Content::Album(vec![media(MediaKind::Image, None), media(MediaKind::Image, None)]);
    for content in all_media().map(Content::Media).into_iter().chain([album]) {
        assert_eq!(message(&content, around()), None);
    }
}

#[test]
fn what_is_sent_reads_back_as_what_was_meant() {
    for content in without_files() {
        let told = understood(&made(&content, around())).unwrap();
        let (mut poll, mut location, mut contact) = (None, None, None);
        match &content {
            Content::Poll(data) => poll = Some(data.clone()),
            Content::Location(place) => location = Some(place.clone()),
            Content::Contact(person) => contact = Some(person.clone()),
            _ => {}
        }
        assert_eq!((told.r#type.as_str(), told.body.as_deref()), (content.kind(), content.body()));
        assert_eq!((told.poll, told.location, told.contact), (poll, location, contact));
        assert!(!told.has_media);
    }
    for media in all_media() {
        let content = Content::Media(media.clone());
        let told = understood(&file(&media, uploaded(), around())).unwrap();
        assert_eq!((told.r#type.as_str(), told.body.as_deref()), (content.kind(), content.body()));
        let filename = (media.kind == MediaKind::Document).then(|| "a.b".to_owned());
        let meta = MediaMeta { filename, mimetype: Some("a/b".into()), size: Some(1_234) };
        assert_eq!((told.has_media, told.media), (true, meta), "{media:?}");
    }
}
