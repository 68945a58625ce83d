//! What is passed on.

use super::*;

fn forward(journal: &Journal<NativeSql>, id: &str) -> Result<Message, Refused> {
    let forward = Forward { chat: BOB.into(), sender: None, to: GROUP.into() };
    about(journal).forward(id, &forward, NEW_SECRET)
}

/// Bob's message, passed on.
fn forwarded(message: &Message) -> Message {
    let journal = journal();
    take(&journal, BOB, "F", &[BOB], message);
    forward(&journal, "F").unwrap()
}

fn passed_on(score: u32) -> ContextInfo {
    ContextInfo { is_forwarded: Some(true), forwarding_score: Some(score), ..ContextInfo::default() }
}

#[test]
fn what_is_passed_on_says_so_and_how_often() {
    let context = |score, is_forwarded| ContextInfo {
        forwarding_score: Some(score),
        is_forwarded: Some(is_forwarded),
        ..ContextInfo::default()
    };
    for (before, score) in [
        (ContextInfo::default(), 0),
        (context(0, true), 1),
        (context(3, true), 4),
        (context(4, true), 127),
        (context(127, true), 127),
    ] {
        let message = forwarded(&extended("hi", before));
        assert_eq!(content::context(&message), Some(&passed_on(score)));
    }
}

#[test]
fn a_text_is_passed_on_without_what_it_answered_whom_it_mentioned_and_how_long_it_was_to_stay() {
    for message in [text("hi"), extended("hi", busy_context()), disappearing(text("hi"))] {
        let message = forwarded(&message);
        assert_eq!(message.text_content(), Some("hi"));
        assert_eq!(content::context(&message), Some(&passed_on(0)));
        assert_eq!(content::secret(&message), Some(NEW_SECRET.as_slice()));
        assert_eq!(message.conversation, None);
    }
    let preview = forwarded(&extended("hi", busy_context()));
    assert_eq!(preview.extended_text_message.as_option().unwrap().title.as_deref(), Some("A preview"));
}

#[test]
fn media_go_by_reference() {
    let before = ImageMessage { context_info: MessageField::some(busy_context()), ..image(Some("look")) };
    let message = forwarded(&picture(before));
    let expected = ImageMessage { context_info: MessageField::some(passed_on(0)), ..image(Some("look")) };
    assert_eq!(message.image_message.as_option(), Some(&expected));
    assert_eq!(content::secret(&message), Some(NEW_SECRET.as_slice()));
    assert!(!message.message_context_info.as_option().unwrap().message_association.is_set());
    // A caption of a document is in a wrapper, as where it is written.
    let message = forwarded(&document(Some("look")));
    assert!(message.document_with_caption_message.is_set() && !message.document_message.is_set());
    let inner = content::unwrap(&message).document_message.as_option().unwrap();
    assert_eq!((inner.caption.as_deref(), inner.file_name.as_deref()), (Some("look"), Some("a.pdf")));
    assert_eq!(inner.context_info.as_option(), Some(&passed_on(0)));
    assert_eq!(content::secret(&message), Some(NEW_SECRET.as_slice()));
    assert!(forwarded(&document(None)).document_message.is_set());
}

#[test]
fn a_poll_is_asked_anew() {
    let message = forwarded(&poll(None));
    let poll = message.poll_creation_message.as_option().unwrap();
    assert_eq!((poll.options.len(), poll.context_info.as_option()), (3, Some(&passed_on(0))));
    assert_eq!(content::secret(&message), Some(NEW_SECRET.as_slice()));
}

#[test]
fn what_was_changed_is_passed_on_as_it_is_now() {
    for message in [
        text("hi"),
        extended("hi", busy_context()),
        picture(image(Some("hi"))),
        video(Some("hi")),
        document(Some("hi")),
    ] {
        let journal = journal();
        take(&journal, BOB, "F", &[BOB], &message);
        mark(&journal, "F", BOB, "better");
        let message = forward(&journal, "F").unwrap();
        let words = message.text_content().or(message.get_caption());
        assert_eq!(words, Some("better"));
        assert_eq!(content::context(content::unwrap(&message)), Some(&passed_on(0)));
        if let Some(text) = message.extended_text_message.as_option() {
            assert_eq!(
                (&text.title, &text.matched_text),
                (&None, &None),
                "the preview was of the text before"
            );
        }
    }
}

#[test]
fn what_can_t_be_passed_on_is_refused() {
    let journal = conversation();
    let flagged = ImageMessage { view_once: Some(true), ..image(None) };
    for (id, message, why) in [
        ("wrapped", viewed_once(picture(image(None))), "viewed once"),
        ("flagged", picture(flagged), "viewed once"),
        ("large", too_large(), "too large"),
        ("revoked", text("hi"), "taken back"),
        ("failed", text("hi"), "not sent"),
        ("pending", text("hi"), "not been sent"),
    ] {
        sent(&journal, BOB, id, &message);
        if ["revoked", "failed", "pending"].contains(&id) {
            mark(&journal, id, BOB, id);
        }
        let error = refused(forward(&journal, id));
        assert_eq!(error.error.code, ErrorCode::Conflict, "{id}");
        assert!(error.error.message.contains(why), "{error:?}");
    }
    sent_bare(&journal, OWN, "album", "album");
    let error = refused(forward(&journal, "album"));
    assert!(error.error.message.contains("one by one"), "{error:?}");
    assert_eq!(code(forward(&journal, "new")), ErrorCode::NotFound);
}

#[test]
fn whose_message_is_passed_on_can_be_said_and_must_be_known() {
    let journal = journal();
    take(&journal, GROUP, "same", &[BOB_LID, BOB], &text("bob's"));
    take(&journal, GROUP, "same", &[ANN], &text("ann's"));
    take(&journal, GROUP, "by number", &[OWN], &text("mine"));
    take(&journal, GROUP, "by hidden id", &[OWN_LID], &text("mine"));
    let by = |id: &str, sender: &str| {
        let forward = Forward { chat: GROUP.into(), sender: Some(sender.into()), to: BOB.into() };
        about(&journal).forward(id, &forward, NEW_SECRET)
    };
    for (id, sender, text) in [
        ("same", BOB, "bob's"),
        ("same", BOB_LID, "bob's"),
        ("same", ANN, "ann's"),
        ("by number", OWN, "mine"),
        ("by number", OWN_LID, "mine"),
        ("by hidden id", OWN, "mine"),
        ("by hidden id", OWN_LID, "mine"),
    ] {
        assert_eq!(by(id, sender).unwrap().text_content(), Some(text), "{id} {sender}");
    }
    assert_eq!(code(by("same", HIDDEN)), ErrorCode::NotFound);
}
