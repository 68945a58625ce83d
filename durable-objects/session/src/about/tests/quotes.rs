//! What an answer quotes.

use super::*;

fn quote(journal: &Journal<NativeSql>, chat: &str, id: &str) -> ContextInfo {
    about(journal).context(chat, Some(id), &[]).unwrap()
}

fn quoted(context: &ContextInfo) -> &Message {
    context.quoted_message.as_option().unwrap()
}

#[test]
fn who_neither_answers_nor_mentions_has_no_context() {
    let journal = conversation();
    assert_eq!(about(&journal).context(BOB, None, &[]).unwrap(), ContextInfo::default());
    let mentions = [ANN.to_owned(), HIDDEN.to_owned()];
    let expected = ContextInfo { mentioned_jid: mentions.to_vec(), ..ContextInfo::default() };
    assert_eq!(about(&journal).context(GROUP, None, &mentions).unwrap(), expected);
    let both = about(&journal).context(GROUP, Some("anns"), &mentions).unwrap();
    assert_eq!((both.mentioned_jid, both.stanza_id.as_deref()), (expected.mentioned_jid, Some("anns")));
}

#[test]
fn a_known_message_is_quoted_with_what_it_said_and_who_wrote_it() {
    let journal = conversation();
    for (chat, id, participant) in [
        (BOB, "bobs", BOB),
        (BOB_LID, "bobs", BOB),
        (BOB, "mine", OWN),
        (GROUP, "bobs", BOB_LID),
        (GROUP, "anns", ANN),
        (GROUP, "hidden", HIDDEN),
        (GROUP, "mine", OWN_LID),
    ] {
        let expected = ContextInfo {
            stanza_id: Some(id.into()),
            participant: Some(participant.into()),
            quoted_message: MessageField::some(words("hi")),
            ..ContextInfo::default()
        };
        assert_eq!(quote(&journal, chat, id), expected, "{chat} {id}");
    }
}

#[test]
fn what_is_said_vanishes_where_others_say_that_messages_do() {
    let journal = journal();
    let vanishing = |expiration| {
        let context = ContextInfo {
            expiration: Some(expiration),
            ephemeral_setting_timestamp: Some(5),
            ..ContextInfo::default()
        };
        let text = ExtendedTextMessage {
            text: Some("hi".into()),
            context_info: MessageField::some(context),
            ..ExtendedTextMessage::default()
        };
        Message { extended_text_message: MessageField::some(text), ..Message::default() }
    };
    let said = || {
        let context = about(&journal).context(BOB, None, &[]).unwrap();
        (context.expiration, context.ephemeral_setting_timestamp)
    };
    assert_eq!(said(), (None, None));
    take(&journal, BOB, "A", &[BOB, BOB_LID], &vanishing(86_400));
    assert_eq!(said(), (Some(86_400), Some(5)));
    // Also behind what this number said, with or without it.
    sent(&journal, BOB, "B", &words("a part of an album"));
    assert_eq!(said(), (Some(86_400), Some(5)));
    let forward = Forward { chat: BOB.into(), sender: None, to: BOB.into() };
    let copy = about(&journal).forward("B", &forward, NEW_SECRET).unwrap();
    assert_eq!(content::context(&copy).unwrap().expiration, Some(86_400));
    // Until somebody says otherwise.
    take(&journal, BOB, "C", &[BOB, BOB_LID], &words("they stay now"));
    assert_eq!(said(), (None, None));
    assert_eq!(about(&journal).context(ANN, None, &[]).unwrap().expiration, None);
}

#[test]
fn a_quote_has_neither_quotes_nor_mentions_nor_secrets_nor_wrappers() {
    let journal = journal();
    let nested =
        picture(ImageMessage { context_info: MessageField::some(busy_context()), ..image(Some("look")) });
    for (id, message) in [("bare", nested.clone()), ("disappearing", disappearing(nested))] {
        take(&journal, BOB, id, &[BOB], &message);
        let context = quote(&journal, BOB, id);
        let inside = content::context(quoted(&context)).unwrap();
        assert_eq!((&inside.stanza_id, &inside.participant, &inside.remote_jid), (&None, &None, &None));
        assert!(!inside.quoted_message.is_set() && inside.mentioned_jid.is_empty());
        let picture = quoted(&context).image_message.as_option().unwrap();
        assert_eq!(
            &ImageMessage { context_info: MessageField::none(), ..picture.clone() },
            &image(Some("look"))
        );
        assert_eq!(quoted(&context).message_context_info, MessageField::<MessageContextInfo>::none());
    }
}

#[test]
fn what_was_changed_is_quoted_as_it_is_now() {
    let journal = journal();
    for (id, message) in [
        ("text", text("hi")),
        ("extended", extended("hi", busy_context())),
        ("image", picture(image(Some("hi")))),
        ("document", document(Some("hi"))),
        ("large", too_large()),
    ] {
        take(&journal, BOB, id, &[BOB], &message);
        mark(&journal, id, BOB, "better");
        let context = quote(&journal, BOB, id);
        let words = quoted(&context).text_content().or(quoted(&context).get_caption());
        assert_eq!(words, Some("better"), "{id}");
    }
}

#[test]
fn what_was_not_kept_whole_or_may_be_viewed_once_is_quoted_by_its_text() {
    let journal = journal();
    for (id, message) in [("large", too_large()), ("once", viewed_once(picture(image(Some("look")))))] {
        take(&journal, BOB, id, &[BOB], &message);
        assert_eq!(quoted(&quote(&journal, BOB, id)), &words("look"), "{id}");
    }
}

#[test]
fn what_was_taken_back_is_quoted_without_its_text() {
    let journal = journal();
    for (id, message) in [("revoked", text("hi")), ("changed", text("hi")), ("large", too_large())] {
        take(&journal, BOB, id, &[BOB], &message);
        if id == "changed" {
            mark(&journal, id, BOB, "better");
        }
        mark(&journal, id, BOB, "revoked");
        let context = quote(&journal, BOB, id);
        assert_eq!((context.participant.as_deref(), quoted(&context)), (Some(BOB), &words("")), "{id}");
    }
}

#[test]
fn a_message_of_which_there_is_but_a_row_is_quoted_with_what_that_has() {
    let journal = journal();
    for (sender, participant) in [(OWN, Some(OWN)), ("", None)] {
        sent_bare(&journal, sender, sender, "text");
        let context = quote(&journal, BOB, sender);
        assert_eq!((context.participant.as_deref(), quoted(&context)), (participant, &words("hi")));
    }
}

#[test]
fn a_message_of_another_chat_is_quoted_by_its_id_alone() {
    let journal = journal();
    let secret = picture(image(Some("secret")));
    take(&journal, ANN, "anns", &[ANN], &text("secret"));
    take(&journal, ANN, "picture", &[ANN], &secret);
    sent(&journal, ANN, "mine", &text("secret"));
    take(&journal, GROUP, "in the group", &[BOB_LID, BOB], &text("secret"));
    take(&journal, BOB, "with bob", &[BOB], &text("secret"));
    take(&journal, HIDDEN, "hidden", &[HIDDEN], &text("secret"));
    sent_bare(&journal, OWN, "bare", "text");
    for (chat, participant, ids) in [
        (BOB, Some(BOB), &["anns", "picture", "mine", "in the group", "hidden"][..]),
        (BOB_LID, Some(BOB_LID), &["anns", "picture", "mine", "in the group", "hidden"]),
        (ANN, Some(ANN), &["in the group", "with bob", "hidden", "bare"]),
        (GROUP, None, &["anns", "picture", "mine", "with bob", "hidden", "bare"]),
    ] {
        for id in ids {
            let expected = ContextInfo {
                stanza_id: Some((*id).into()),
                participant: participant.map(str::to_owned),
                quoted_message: MessageField::some(words("")),
                ..ContextInfo::default()
            };
            assert_eq!(quote(&journal, chat, id), expected, "{id} in {chat}");
        }
    }
    // One of the same id in the chat is the one that is meant.
    take(&journal, BOB, "anns", &[BOB], &text("hi"));
    assert_eq!(quoted(&quote(&journal, BOB, "anns")), &words("hi"));
    assert_eq!(quoted(&quote(&journal, ANN, "anns")), &words("secret"));
}

#[test]
fn a_message_that_is_not_known_is_quoted_by_its_id() {
    let journal = conversation();
    for (chat, participant) in [(BOB, Some(BOB)), (HIDDEN, Some(HIDDEN)), (GROUP, None)] {
        let expected = ContextInfo {
            stanza_id: Some("new".into()),
            participant: participant.map(str::to_owned),
            quoted_message: MessageField::some(words("")),
            ..ContextInfo::default()
        };
        assert_eq!(quote(&journal, chat, "new"), expected);
    }
}
