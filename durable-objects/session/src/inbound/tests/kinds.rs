//! Every kind of message.

use serde_json::{Value, json};
use whatsapp_rust::waproto::buffa::MessageField;
use whatsapp_rust::waproto::whatsapp::message::buttons_response_message::Response;
use whatsapp_rust::waproto::whatsapp::message::template_message::HydratedFourRowTemplate;
use whatsapp_rust::waproto::whatsapp::message::{
    AudioMessage, ButtonsResponseMessage, ContactMessage, ContactsArrayMessage, DeviceSentMessage,
    DocumentMessage, EventMessage, FutureProofMessage, ImageMessage, LiveLocationMessage, LocationMessage,
    PollCreationMessage, ProtocolMessage, StickerMessage, TemplateMessage, VideoMessage,
    poll_creation_message,
};
use whatsapp_rust::waproto::whatsapp::message_association::AssociationType;
use whatsapp_rust::waproto::whatsapp::{ContextInfo, Message, MessageAssociation, MessageContextInfo};

use super::{answer, bob, info, own, protocol, text, told};
use crate::inbound::normalise;

fn wrapped(message: Message) -> MessageField<FutureProofMessage> {
    MessageField::some(FutureProofMessage { message: MessageField::some(message) })
}

/// What Bob's message tells, all of it a `message`.
fn message(message: &Message) -> Value {
    let (event, payload) = told(message, &bob()).unwrap();
    assert_eq!(event, "message");
    payload
}

fn image() -> Message {
    let image = ImageMessage {
        mimetype: Some("image/jpeg".into()),
        file_length: Some(1234),
        caption: Some("look".into()),
        ..ImageMessage::default()
    };
    Message { image_message: MessageField::some(image), ..Message::default() }
}

#[test]
fn media_is_told_with_its_type_and_caption() {
    let meta = json!({"mimetype": "image/jpeg", "size": 1234});
    assert_eq!(message(&image()), json!({"type": "image", "body": "look", "hasMedia": true, "media": meta}));
    let video = VideoMessage { mimetype: Some("video/mp4".into()), ..VideoMessage::default() };
    let note = Message { ptv_message: MessageField::some(video), ..Message::default() };
    let meta = json!({"mimetype": "video/mp4"});
    assert_eq!(message(&note), json!({"type": "video", "hasMedia": true, "media": meta}));
    let audio = AudioMessage { file_length: Some(u64::MAX), ..AudioMessage::default() };
    let audio = Message { audio_message: MessageField::some(audio), ..Message::default() };
    assert_eq!(message(&audio), json!({"type": "audio", "hasMedia": true}));
    let sticker = StickerMessage { mimetype: Some("image/webp".into()), ..StickerMessage::default() };
    let sticker = Message { sticker_message: MessageField::some(sticker), ..Message::default() };
    let meta = json!({"mimetype": "image/webp"});
    assert_eq!(message(&sticker), json!({"type": "sticker", "hasMedia": true, "media": meta}));
}

#[test]
fn wrappers_are_taken_off() {
    let document = DocumentMessage {
        mimetype: Some("application/pdf".into()),
        file_name: Some("a.pdf".into()),
        caption: Some("the bill".into()),
        ..DocumentMessage::default()
    };
    let document = Message { document_message: MessageField::some(document), ..Message::default() };
    let captioned = Message { document_with_caption_message: wrapped(document), ..Message::default() };
    let disappearing = Message { ephemeral_message: wrapped(captioned), ..Message::default() };
    let meta = json!({"filename": "a.pdf", "mimetype": "application/pdf"});
    assert_eq!(
        message(&disappearing),
        json!({"type": "document", "body": "the bill", "hasMedia": true, "media": meta})
    );
    for once in [
        Message { view_once_message: wrapped(image()), ..Message::default() },
        Message { view_once_message_v2: wrapped(image()), ..Message::default() },
        Message { view_once_message_v2_extension: wrapped(image()), ..Message::default() },
        Message { edited_message: wrapped(image()), ..Message::default() },
    ] {
        assert_eq!(message(&once), message(&image()));
    }
}

#[test]
fn a_place_is_told_with_its_coordinates() {
    let place = LocationMessage {
        degrees_latitude: Some(52.5),
        degrees_longitude: Some(-13.25),
        name: Some("Gate".into()),
        address: Some("Pariser Platz".into()),
        ..LocationMessage::default()
    };
    let place = Message { location_message: MessageField::some(place), ..Message::default() };
    let data = json!({"latitude": 52.5, "longitude": -13.25, "name": "Gate", "address": "Pariser Platz"});
    assert_eq!(message(&place), json!({"type": "location", "location": data}));
    let live = |latitude| LiveLocationMessage {
        degrees_latitude: Some(latitude),
        degrees_longitude: Some(13.0),
        caption: Some("on my way".into()),
        ..LiveLocationMessage::default()
    };
    let at = |latitude| Message {
        live_location_message: MessageField::some(live(latitude)),
        ..Message::default()
    };
    let data = json!({"latitude": 52.0, "longitude": 13.0});
    assert_eq!(message(&at(52.0)), json!({"type": "location", "body": "on my way", "location": data}));
    assert_eq!(message(&at(f64::NAN)), json!({"type": "location", "body": "on my way"}));
}

#[test]
fn people_are_told_with_their_vcards() {
    let person = |name: &str| ContactMessage {
        display_name: Some(name.into()),
        vcard: Some(format!("BEGIN:VCARD\nFN:{name}\nEND:VCARD")),
        ..ContactMessage::default()
    };
    let one = Message { contact_message: MessageField::some(person("Ann")), ..Message::default() };
    let card = "BEGIN:VCARD\nFN:Ann\nEND:VCARD";
    let data = json!({"displayName": "Ann", "vcard": card});
    assert_eq!(message(&one), json!({"type": "contact", "contact": data}));
    let several = ContactsArrayMessage {
        display_name: Some("2 contacts".into()),
        contacts: vec![person("Ann"), person("Cid")],
        ..ContactsArrayMessage::default()
    };
    let several = Message { contacts_array_message: MessageField::some(several), ..Message::default() };
    let data =
        json!({"displayName": "2 contacts", "vcard": format!("{card}\nBEGIN:VCARD\nFN:Cid\nEND:VCARD")});
    assert_eq!(message(&several), json!({"type": "contact", "contact": data}));
}

#[test]
fn a_poll_is_told_with_its_options() {
    let option = |name: &str| poll_creation_message::Option {
        option_name: Some(name.into()),
        ..poll_creation_message::Option::default()
    };
    let poll = |end_time| PollCreationMessage {
        name: Some("Lunch?".into()),
        options: vec![option("Soup"), option("Salad")],
        selectable_options_count: Some(1),
        end_time,
        hide_participant_name: Some(true),
        ..PollCreationMessage::default()
    };
    let data = json!({"name": "Lunch?", "options": ["Soup", "Salad"], "selectableCount": 1,
        "endTime": 1_700_000_100_000_u64, "hideVotes": true});
    let expected = json!({"type": "poll", "body": "Lunch?", "poll": data});
    for ends in [1_700_000_100, 1_700_000_100_000] {
        let field = || MessageField::some(poll(Some(ends)));
        for message_of in [
            Message { poll_creation_message: field(), ..Message::default() },
            Message { poll_creation_message_v3: field(), ..Message::default() },
            Message {
                poll_creation_message_v4: wrapped(Message {
                    poll_creation_message_v5: field(),
                    ..Message::default()
                }),
                ..Message::default()
            },
        ] {
            assert_eq!(message(&message_of), expected);
        }
    }
    let open = Message { poll_creation_message_v2: MessageField::some(poll(Some(-1))), ..Message::default() };
    assert_eq!(message(&open)["poll"].get("endTime"), None);
}

#[test]
fn an_answer_tells_what_it_quotes_and_whom_it_mentions() {
    let context = ContextInfo {
        stanza_id: Some("3EB0Q".into()),
        participant: Some("777:2@lid".into()),
        quoted_message: MessageField::some(image()),
        mentioned_jid: vec!["778@lid".into(), "no jid".into(), "4916:1@s.whatsapp.net".into()],
        ..ContextInfo::default()
    };
    let quoted = json!({"type": "text", "body": "@778 see", "quotedMessageId": "3EB0Q", "quotedBody": "look",
        "quotedSenderJid": "777@lid", "mentions": {"778@lid": {}, "4916@s.whatsapp.net": {}}});
    assert_eq!(message(&answer("@778 see", context.clone())), quoted);
    let sticker = StickerMessage { context_info: MessageField::some(context), ..StickerMessage::default() };
    let sticker = Message { sticker_message: MessageField::some(sticker), ..Message::default() };
    assert_eq!(message(&sticker)["quotedMessageId"], "3EB0Q");
}

#[test]
fn what_businesses_dress_up_is_told_as_its_text() {
    let template = HydratedFourRowTemplate {
        hydrated_content_text: Some("Your code is 123".into()),
        ..HydratedFourRowTemplate::default()
    };
    let template =
        TemplateMessage { hydrated_template: MessageField::some(template), ..TemplateMessage::default() };
    let template = Message { template_message: MessageField::some(template), ..Message::default() };
    assert_eq!(message(&template), json!({"type": "text", "body": "Your code is 123"}));
    let chosen = ButtonsResponseMessage {
        response: Some(Response::SelectedDisplayText("Yes".into())),
        ..ButtonsResponseMessage::default()
    };
    let chosen = Message { buttons_response_message: MessageField::some(chosen), ..Message::default() };
    assert_eq!(message(&chosen), json!({"type": "text", "body": "Yes"}));
    let event = EventMessage { name: Some("Party".into()), ..EventMessage::default() };
    let event = Message { event_message: MessageField::some(event), ..Message::default() };
    assert_eq!(message(&event), json!({"type": "event", "body": "Party"}));
}

#[test]
fn a_person_addressed_by_lid_is_the_same_chat() {
    let mut by_lid = info("777@lid", "777:3@lid");
    by_lid.source.sender_alt = Some("4915:3@s.whatsapp.net".parse().unwrap());
    let (_, payload) = told(&text("hi"), &by_lid).unwrap();
    assert_eq!(payload, json!({"type": "text", "body": "hi", "senderLid": "777@lid"}));
}

#[test]
fn what_the_phone_sent_is_told_as_from_me() {
    let sent = DeviceSentMessage {
        message: MessageField::some(text("typed on the phone")),
        ..DeviceSentMessage::default()
    };
    let sent = Message { device_sent_message: MessageField::some(sent), ..Message::default() };
    let info = own(info("4916@s.whatsapp.net", "4915@s.whatsapp.net"));
    let (event, payload) = told(&sent, &info).unwrap();
    assert_eq!(event, "message.from_me");
    assert_eq!(
        payload,
        json!({"type": "text", "body": "typed on the phone", "fromMe": true, "chatJid": "4916@s.whatsapp.net"})
    );
}

#[test]
fn a_status_is_a_message_of_the_chat_of_statuses() {
    let (_, payload) = told(&text("at the sea"), &info("status@broadcast", "4915@s.whatsapp.net")).unwrap();
    assert_eq!(payload, json!({"type": "text", "body": "at the sea", "chatJid": "status@broadcast"}));
}

#[test]
fn a_file_of_an_album_is_a_message_like_any_other() {
    let association = MessageAssociation {
        association_type: Some(AssociationType::MEDIA_ALBUM),
        ..MessageAssociation::default()
    };
    let context = MessageContextInfo {
        message_association: MessageField::some(association),
        ..MessageContextInfo::default()
    };
    let message = Message {
        associated_child_message: wrapped(image()),
        message_context_info: MessageField::some(context),
        ..Message::default()
    };
    assert_eq!(told(&message, &bob()), told(&image(), &bob()));
}

#[test]
fn protocol_messages_are_nobodys_messages() {
    for message in [
        protocol(ProtocolMessage::default()),
        Message::default(),
        // The status of a group, and the second copy of a picture.
        Message { group_status_message_v2: wrapped(text("x")), ..Message::default() },
        Message { associated_child_message: wrapped(image()), ..Message::default() },
    ] {
        assert!(normalise(&message, &bob()).is_none());
    }
}
