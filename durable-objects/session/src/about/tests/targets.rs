//! Which message is meant.

use super::*;

fn react(
    about: &About<'_, NativeSql>,
    chat: &str,
    id: &str,
    sender: Option<&str>,
) -> Result<Message, Refused> {
    let sender = sender.map(str::to_owned);
    about.reaction(id, &Reaction { chat: chat.into(), emoji: "👍".into(), sender })
}

fn target(about: &About<'_, NativeSql>, chat: &str, id: &str, sender: Option<&str>) -> Option<MessageKey> {
    let message = react(about, chat, id, sender).ok()?;
    message.reaction_message.as_option()?.key.as_option().cloned()
}

#[test]
fn a_reaction_names_its_message_and_when_it_was_made() {
    let journal = conversation();
    for emoji in ["👍", ""] {
        let reaction = Reaction { chat: BOB.into(), emoji: emoji.into(), sender: None };
        let message = about(&journal).reaction("bobs", &reaction).unwrap();
        let expected = ReactionMessage {
            key: MessageField::some(key(BOB, "bobs", false, None)),
            text: Some(emoji.into()),
            sender_timestamp_ms: Some(1_700_000_000_000),
            ..ReactionMessage::default()
        };
        assert_eq!(message.reaction_message.as_option(), Some(&expected));
        let told = sent(&journal, BOB, &format!("R{emoji}"), &message);
        assert_eq!((&told["targetId"], &told["reaction"]), (&json!("bobs"), &json!(emoji)));
    }
}

#[test]
fn a_known_message_is_named_as_its_chat_knows_it() {
    let journal = conversation();
    let about = about(&journal);
    for (chat, id, sender, from_me, participant) in [
        (BOB, "bobs", None, false, None),
        (BOB, "bobs", Some(BOB), false, None),
        (BOB, "bobs", Some(BOB_LID), false, None),
        (BOB_LID, "bobs", None, false, None),
        (BOB, "mine", None, true, None),
        (BOB, "mine", Some(OWN), true, None),
        (BOB_LID, "mine", Some(OWN_LID), true, None),
        (GROUP, "bobs", None, false, Some(BOB_LID)),
        (GROUP, "bobs", Some(BOB), false, Some(BOB_LID)),
        (GROUP, "bobs", Some(BOB_LID), false, Some(BOB_LID)),
        (GROUP, "anns", None, false, Some(ANN)),
        (GROUP, "hidden", None, false, Some(HIDDEN)),
        (GROUP, "mine", None, true, Some(OWN_LID)),
        (GROUP, "mine", Some(OWN), true, Some(OWN_LID)),
        (GROUP, "mine", Some(OWN_LID), true, Some(OWN_LID)),
        (GROUP, "by number", None, true, Some(OWN_LID)),
    ] {
        let expected = key(chat, id, from_me, participant);
        assert_eq!(target(&about, chat, id, sender), Some(expected), "{chat} {id} {sender:?}");
    }
    let nameless = About { own_lid: None, ..about };
    assert_eq!(target(&nameless, BOB, "mine", None), Some(key(BOB, "mine", true, None)));
}

#[test]
fn a_message_that_is_not_known_is_who_wrote_it_s_that_the_caller_names() {
    let journal = conversation();
    let about = about(&journal);
    for (chat, id, sender, from_me, participant) in [
        (BOB, "new", BOB, false, None),
        (BOB, "new", OWN, true, None),
        (BOB, "new", OWN_LID, true, None),
        (GROUP, "new", ANN, false, Some(ANN)),
        (GROUP, "new", HIDDEN, false, Some(HIDDEN)),
        (GROUP, "new", BOB, false, Some(BOB_LID)),
        (GROUP, "new", BOB_LID, false, Some(BOB_LID)),
        (GROUP, "new", OWN, true, Some(OWN_LID)),
        (GROUP, "new", OWN_LID, true, Some(OWN_LID)),
        // The id is somebody else's.
        (GROUP, "bobs", ANN, false, Some(ANN)),
        (GROUP, "mine", BOB, false, Some(BOB_LID)),
    ] {
        let expected = key(chat, id, from_me, participant);
        assert_eq!(target(&about, chat, id, Some(sender)), Some(expected), "{chat} {id} {sender}");
    }
    for (chat, id) in [(BOB, "new"), (GROUP, "new"), (BOB, "anns"), (ANN, "bobs"), (BOB_LID, "hidden")] {
        assert_eq!(code(react(&about, chat, id, None)), ErrorCode::NotFound, "{chat} {id}");
    }
}

#[test]
fn what_was_taken_back_is_not_known_any_more() {
    let journal = conversation();
    mark(&journal, "bobs", GROUP, "revoked");
    let about = about(&journal);
    assert_eq!(code(react(&about, GROUP, "bobs", None)), ErrorCode::NotFound);
    assert_eq!(target(&about, GROUP, "bobs", Some(ANN)), Some(key(GROUP, "bobs", false, Some(ANN))));
}

#[test]
fn of_two_messages_of_one_id_the_named_ones_is_meant_or_else_ones_own() {
    let journal = journal();
    take(&journal, GROUP, "same", &[BOB_LID, BOB], &text("hi"));
    sent(&journal, GROUP, "same", &text("hi"));
    take(&journal, GROUP, "same", &[ANN], &text("hi"));
    let about = about(&journal);
    for (sender, from_me, participant) in [
        (None, true, OWN_LID),
        (Some(OWN), true, OWN_LID),
        (Some(BOB), false, BOB_LID),
        (Some(ANN), false, ANN),
    ] {
        let expected = key(GROUP, "same", from_me, Some(participant));
        assert_eq!(target(&about, GROUP, "same", sender), Some(expected));
    }
}

#[test]
fn the_keys_memory_of_names_is_asked_too() {
    let file = std::env::temp_dir().join(format!("gateway-about-{}.sqlite", std::process::id()));
    let open = || NativeSql::open(&file).unwrap();
    let journal = Journal::open(open()).unwrap();
    Keystore::open(open()).unwrap();
    let learned = "INSERT INTO key_lid_mapping (lid, phone_number, created_at, updated_at, learning_source) \
                   VALUES ('778', '4917', 1, 1, 'usync')";
    journal.sql().query(learned, &[]).unwrap();
    take(&journal, ANN, "anns", &[ANN], &text("hi"));
    take(&journal, GROUP, "hers", &[ANN], &text("hi"));
    let about = about(&journal);
    let expected = key("778@lid", "anns", false, None);
    assert_eq!(target(&about, "778@lid", "anns", Some("778@lid")), Some(expected));
    assert_eq!(target(&about, GROUP, "hers", Some("778@lid")), Some(key(GROUP, "hers", false, Some(ANN))));
    let expected = key(GROUP, "new", false, Some("778@lid"));
    assert_eq!(target(&about, GROUP, "new", Some(ANN)), Some(expected));
    std::fs::remove_file(file).unwrap();
}
