//! Another text.

use super::*;

fn edit(about: &About<'_, NativeSql>, chat: &str, id: &str) -> Result<Message, Refused> {
    about.edit(id, &Edit { chat: chat.into(), text: "better".into() })
}

/// What an edit has in place of the message.
fn edited(message: &Message) -> &Message {
    message.protocol_message.as_option().unwrap().edited_message.as_option().unwrap()
}

#[test]
fn a_text_of_ones_own_is_changed() {
    let journal = conversation();
    for (chat, participant) in [(BOB, None), (BOB_LID, None), (GROUP, Some(OWN_LID))] {
        let message = edit(&about(&journal), chat, "mine").unwrap();
        let expected = ProtocolMessage {
            key: MessageField::some(key(chat, "mine", true, participant)),
            r#type: Some(Type::MESSAGE_EDIT),
            edited_message: MessageField::some(words("better")),
            timestamp_ms: Some(1_700_000_000_000),
            ..ProtocolMessage::default()
        };
        assert_eq!(message.protocol_message.as_option(), Some(&expected));
    }
    let message = edit(&about(&journal), GROUP, "mine").unwrap();
    let told = sent(&journal, GROUP, "E", &message);
    assert_eq!((&told["targetId"], &told["body"]), (&json!("mine"), &json!("better")));
    let known = journal.messages().find([Some(GROUP), None], "mine").unwrap().remove(0);
    assert_eq!((known.body.as_deref(), known.edited), (Some("better"), true));
}

#[test]
fn a_caption_is_changed_and_its_file_stays_without_the_secret() {
    let journal = journal();
    let better = Some("better");
    for (id, before, after) in [
        ("image", picture(image(Some("look"))), picture(image(better))),
        ("bare", picture(image(None)), picture(image(better))),
        ("video", video(Some("look")), video(better)),
        ("document", document(Some("look")), document(better)),
    ] {
        sent(&journal, BOB, id, &before);
        let message = edit(&about(&journal), BOB, id).unwrap();
        let mut expected = content::unwrap(&after).clone();
        expected.message_context_info = MessageField::none();
        assert_eq!(edited(&message), &expected, "{id}");
        let told = sent(&journal, BOB, &format!("E{id}"), &message);
        assert_eq!((&told["targetId"], &told["body"]), (&json!(id), &json!("better")));
        // And once more, though what is kept is the message as it was.
        assert_eq!(edited(&edit(&about(&journal), BOB, id).unwrap()), &expected, "{id}");
    }
}

#[test]
fn a_message_can_be_changed_for_15_minutes() {
    let journal = conversation();
    let after = |minutes: u64, more: u64| {
        let about = About { now: NOW + minutes * 60_000 + more, ..about(&journal) };
        edit(&about, BOB, "mine")
    };
    assert!(after(15, 0).is_ok());
    let late = refused(after(15, 1));
    assert_eq!(late.error.code, ErrorCode::Conflict);
    assert!(late.error.message.contains("15 minutes"), "{late:?}");
}

#[test]
fn what_can_t_be_changed_is_refused() {
    let journal = conversation();
    let note = Message { ptv_message: video(None).video_message, ..Message::default() };
    for (id, message) in [
        ("sticker", sticker()),
        ("poll", poll(None)),
        (
            "audio",
            Message { audio_message: MessageField::some(AudioMessage::default()), ..Message::default() },
        ),
        (
            "place",
            Message {
                location_message: MessageField::some(LocationMessage::default()),
                ..Message::default()
            },
        ),
        ("note", note),
        ("once", viewed_once(picture(image(Some("look"))))),
        ("large", too_large()),
        ("revoked", text("hi")),
        ("failed", text("hi")),
        ("pending", text("hi")),
    ] {
        sent(&journal, BOB, id, &message);
        if ["revoked", "failed", "pending"].contains(&id) {
            mark(&journal, id, BOB, id);
        }
        assert_eq!(code(edit(&about(&journal), BOB, id)), ErrorCode::Conflict, "{id}");
    }
    for (chat, id, expected) in [
        (BOB, "bobs", ErrorCode::Conflict),
        (GROUP, "bobs", ErrorCode::Conflict),
        (GROUP, "hidden", ErrorCode::Conflict),
        (BOB, "new", ErrorCode::NotFound),
        (ANN, "mine", ErrorCode::NotFound),
    ] {
        assert_eq!(code(edit(&about(&journal), chat, id)), expected, "{chat} {id}");
    }
}

#[test]
fn a_caption_is_no_longer_than_one_that_is_sent() {
    let journal = journal();
    sent(&journal, BOB, "picture", &picture(image(Some("look"))));
    let edit = |length: usize| {
        let edit = Edit { chat: BOB.into(), text: "é".repeat(length) };
        about(&journal).edit("picture", &edit)
    };
    assert!(edit(1_024).is_ok());
    assert_eq!(refused(edit(1_025)).error.details["field"], "text");
}

#[test]
fn nobody_gets_between_this_number_and_its_message_by_its_id() {
    let journal = journal();
    take(&journal, GROUP, "same", &[BOB_LID, BOB], &text("hi"));
    sent(&journal, GROUP, "same", &text("hi"));
    assert_eq!(edited(&edit(&about(&journal), GROUP, "same").unwrap()), &words("better"));
}
