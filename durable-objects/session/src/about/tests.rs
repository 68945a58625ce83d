use super::*;
use gateway_domain::error::ErrorCode;
use gateway_sql::native::NativeSql;
use serde_json::{Value, json};
use whatsapp_rust::chrono::DateTime;
use whatsapp_rust::types::message::{MessageInfo, MessageSource};
use whatsapp_rust::wacore::poll::{PollVoteCiphertext, decrypt_poll_vote_with_secret};
use whatsapp_rust::waproto::whatsapp::message::{
    AudioMessage, DocumentMessage, FutureProofMessage, ImageMessage, LocationMessage, PollCreationMessage,
    StickerMessage, VideoMessage, poll_creation_message,
};
use whatsapp_rust::waproto::whatsapp::{DisappearingMode, MessageContextInfo};

use crate::inbound::{normalise, take_in};
use crate::journal::{Journal, MessageRow};
use crate::keystore::Keystore;
use crate::library::contacts::Person;

const OWN: &str = "49700@s.whatsapp.net";
const OWN_LID: &str = "700@lid";
const BOB: &str = "4915@s.whatsapp.net";
const BOB_LID: &str = "777@lid";
const ANN: &str = "4917@s.whatsapp.net";
/// Nobody knows their number.
const HIDDEN: &str = "779@lid";
const GROUP: &str = "1@g.us";
const NOW: u64 = 1_700_000_000_000;
const SECRET: Secret = [7; 32];
const NEW_SECRET: Secret = [8; 32];

/// A journal in which Bob's two names are known.
fn journal() -> Journal<NativeSql> {
    let journal = Journal::open(NativeSql::in_memory().unwrap()).unwrap();
    let bob = "INSERT INTO contact (jid, phone, push_name, source, first_seen, last_seen) \
               VALUES ('777@lid', '4915', 'Bob', 'dm', 1, 1)";
    journal.sql().query(bob, &[]).unwrap();
    journal
}

fn about(journal: &Journal<NativeSql>) -> About<'_, NativeSql> {
    About {
        messages: journal.messages(),
        names: journal.names(),
        own_jid: OWN.into(),
        own_lid: Some(OWN_LID.into()),
        now: NOW,
    }
}

/// Takes a message in of somebody whom the stanza names once or twice; what is told of it.
fn take(journal: &Journal<NativeSql>, chat: &str, id: &str, names: &[&str], message: &Message) -> Value {
    let info = MessageInfo {
        source: MessageSource {
            chat: chat.parse().unwrap(),
            sender: names[0].parse().unwrap(),
            sender_alt: names.get(1).map(|name| name.parse().unwrap()),
            is_from_me: [OWN, OWN_LID].contains(&names[0]),
            is_group: chat.ends_with("@g.us"),
            ..MessageSource::default()
        },
        id: id.into(),
        timestamp: DateTime::from_timestamp_millis(i64::try_from(NOW).unwrap()).unwrap(),
        ..MessageInfo::default()
    };
    let me = Person { lid: Some(OWN_LID.into()), phone: Some("49700".into()), ..Person::default() };
    let mut inbound = normalise(message, &info).unwrap();
    let told = take_in(journal, &me, message, &mut inbound).unwrap();
    told.first().map(|told| serde_json::from_str(&told.payload).unwrap()).unwrap_or_default()
}

/// The same of this number.
fn sent(journal: &Journal<NativeSql>, chat: &str, id: &str, message: &Message) -> Value {
    take(journal, chat, id, &[OWN, OWN_LID], message)
}

/// A message of this number in a chat with Bob of which there is but a row.
fn sent_bare(journal: &Journal<NativeSql>, sender: &str, id: &str, kind: &str) {
    let row = MessageRow {
        chat: BOB.into(),
        sender: sender.into(),
        id: id.into(),
        from_me: true,
        kind: kind.into(),
        body: Some("hi".into()),
        status: Some("sent".into()),
        timestamp: NOW,
    };
    journal.insert_message(&row).unwrap();
}

fn mark(journal: &Journal<NativeSql>, id: &str, chat: &str, mark: &str) {
    let messages = journal.messages();
    let known = messages.find([Some(chat), None], id).unwrap().pop().unwrap();
    match mark {
        "revoked" => messages.revoke(&known, NOW + 1).unwrap(),
        "failed" | "pending" => {
            let update = "UPDATE message SET status = ?2 WHERE id = ?1";
            journal.sql().query(update, &[id.into(), mark.into()]).unwrap();
        }
        body => messages.edit(&known, Some(body), NOW + 1).unwrap(),
    }
}

/// The error of what is refused.
fn refused(result: Result<Message, Refused>) -> ApiError {
    match result.unwrap_err() {
        Refused::With(error) => error,
        Refused::Sql(error) => panic!("{error}"),
    }
}

fn code(result: Result<Message, Refused>) -> ErrorCode {
    refused(result).error.code
}

/// Gives it a secret, as everything has that is sent.
fn secretly(message: Message) -> Message {
    finish(message, Around { secret: SECRET, ..Around::default() })
}

fn text(text: &str) -> Message {
    secretly(words(text))
}

fn extended(text: &str, context: ContextInfo) -> Message {
    let text = ExtendedTextMessage {
        text: Some(text.into()),
        context_info: MessageField::some(context),
        matched_text: Some("https://example.org".into()),
        title: Some("A preview".into()),
        ..ExtendedTextMessage::default()
    };
    secretly(Message { extended_text_message: MessageField::some(text), ..Message::default() })
}

/// A context with everything that is of one message or one chat only.
fn busy_context() -> ContextInfo {
    ContextInfo {
        stanza_id: Some("3EB0Q".into()),
        participant: Some(ANN.into()),
        remote_jid: Some(GROUP.into()),
        quoted_message: MessageField::some(words("nested")),
        mentioned_jid: vec![ANN.into()],
        expiration: Some(86_400),
        ephemeral_setting_timestamp: Some(1),
        ephemeral_shared_secret: Some(vec![1]),
        disappearing_mode: MessageField::some(DisappearingMode {
            initiated_by_me: Some(true),
            ..DisappearingMode::default()
        }),
        ..ContextInfo::default()
    }
}

fn image(caption: Option<&str>) -> ImageMessage {
    ImageMessage {
        url: Some("https://mmg.whatsapp.net/a".into()),
        direct_path: Some("/a".into()),
        media_key: Some(vec![1; 32]),
        file_sha256: Some(vec![2; 32]),
        file_enc_sha256: Some(vec![3; 32]),
        file_length: Some(1_234),
        mimetype: Some("image/jpeg".into()),
        jpeg_thumbnail: Some(vec![4; 9]),
        caption: caption.map(str::to_owned),
        ..ImageMessage::default()
    }
}

fn picture(image: ImageMessage) -> Message {
    secretly(Message { image_message: MessageField::some(image), ..Message::default() })
}

fn video(caption: Option<&str>) -> Message {
    let video = VideoMessage { caption: caption.map(str::to_owned), ..VideoMessage::default() };
    secretly(Message { video_message: MessageField::some(video), ..Message::default() })
}

fn document(caption: Option<&str>) -> Message {
    let document = DocumentMessage {
        caption: caption.map(str::to_owned),
        file_name: Some("a.pdf".into()),
        media_key: Some(vec![1; 32]),
        ..DocumentMessage::default()
    };
    secretly(Message { document_message: MessageField::some(document), ..Message::default() })
}

fn sticker() -> Message {
    secretly(Message { sticker_message: MessageField::some(StickerMessage::default()), ..Message::default() })
}

fn poll(ends: Option<u64>) -> Message {
    let option = |name: &str| poll_creation_message::Option {
        option_name: Some(name.into()),
        ..poll_creation_message::Option::default()
    };
    let poll = PollCreationMessage {
        name: Some("Lunch?".into()),
        options: vec![option("Soup"), option("Salad"), option("Cake")],
        selectable_options_count: Some(2),
        end_time: ends.map(|ends| i64::try_from(ends / 1_000).unwrap()),
        ..PollCreationMessage::default()
    };
    secretly(Message { poll_creation_message: MessageField::some(poll), ..Message::default() })
}

fn viewed_once(message: Message) -> Message {
    let inner = FutureProofMessage { message: MessageField::some(message) };
    Message { view_once_message_v2: MessageField::some(inner), ..Message::default() }
}

fn disappearing(message: Message) -> Message {
    let inner = FutureProofMessage { message: MessageField::some(message) };
    Message { ephemeral_message: MessageField::some(inner), ..Message::default() }
}

fn too_large() -> Message {
    picture(ImageMessage { jpeg_thumbnail: Some(vec![0; 300 * 1024]), ..image(Some("look")) })
}

fn key(chat: &str, id: &str, from_me: bool, participant: Option<&str>) -> MessageKey {
    MessageKey {
        remote_jid: Some(chat.into()),
        from_me: Some(from_me),
        id: Some(id.into()),
        participant: participant.map(str::to_owned),
    }
}

/// Messages of everybody, in a chat of two and in a group.
fn conversation() -> Journal<NativeSql> {
    let journal = journal();
    take(&journal, BOB, "bobs", &[BOB], &text("hi"));
    sent(&journal, BOB, "mine", &text("hi"));
    take(&journal, GROUP, "bobs", &[BOB_LID, BOB], &text("hi"));
    take(&journal, GROUP, "anns", &[ANN], &text("hi"));
    take(&journal, GROUP, "hidden", &[HIDDEN], &text("hi"));
    sent(&journal, GROUP, "mine", &text("hi"));
    take(&journal, GROUP, "by number", &[OWN], &text("hi"));
    journal
}

mod targets {
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

    fn target(
        about: &About<'_, NativeSql>,
        chat: &str,
        id: &str,
        sender: Option<&str>,
    ) -> Option<MessageKey> {
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
        assert_eq!(
            target(&about, GROUP, "hers", Some("778@lid")),
            Some(key(GROUP, "hers", false, Some(ANN)))
        );
        let expected = key(GROUP, "new", false, Some("778@lid"));
        assert_eq!(target(&about, GROUP, "new", Some(ANN)), Some(expected));
        std::fs::remove_file(file).unwrap();
    }
}

mod edits {
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
}

mod revocations {
    use super::*;

    fn revoke(
        journal: &Journal<NativeSql>,
        chat: &str,
        id: &str,
        sender: Option<&str>,
    ) -> Result<Message, Refused> {
        let sender = sender.map(str::to_owned);
        about(journal).revoke(id, &Revoke { chat: chat.into(), sender })
    }

    #[test]
    fn ones_own_message_is_taken_back_anywhere_and_another_s_in_a_group() {
        let journal = conversation();
        for (chat, id, sender, from_me, participant) in [
            (BOB, "mine", None, true, None),
            (BOB_LID, "mine", None, true, None),
            (GROUP, "mine", None, true, None),
            (GROUP, "mine", Some(OWN), true, None),
            (BOB, "new", Some(OWN), true, None),
            (GROUP, "new", Some(OWN_LID), true, None),
            (GROUP, "bobs", None, false, Some(BOB_LID)),
            (GROUP, "bobs", Some(BOB), false, Some(BOB_LID)),
            (GROUP, "anns", None, false, Some(ANN)),
            (GROUP, "new", Some(HIDDEN), false, Some(HIDDEN)),
        ] {
            let message = revoke(&journal, chat, id, sender).unwrap();
            let expected = ProtocolMessage {
                key: MessageField::some(key(chat, id, from_me, participant)),
                r#type: Some(Type::REVOKE),
                ..ProtocolMessage::default()
            };
            assert_eq!(message.protocol_message.as_option(), Some(&expected), "{chat} {id} {sender:?}");
        }
        sent(&journal, GROUP, "R", &revoke(&journal, GROUP, "mine", None).unwrap());
        assert!(journal.messages().find([Some(GROUP), None], "mine").unwrap()[0].revoked);
    }

    #[test]
    fn another_s_message_can_t_be_taken_back_in_a_chat_of_two_and_an_unknown_one_nowhere() {
        let journal = conversation();
        for (chat, id, sender, expected) in [
            (BOB, "bobs", None, ErrorCode::Conflict),
            (BOB, "bobs", Some(BOB), ErrorCode::Conflict),
            (BOB_LID, "bobs", None, ErrorCode::Conflict),
            (BOB, "new", Some(BOB), ErrorCode::Conflict),
            (BOB, "new", None, ErrorCode::NotFound),
            (GROUP, "new", None, ErrorCode::NotFound),
        ] {
            assert_eq!(code(revoke(&journal, chat, id, sender)), expected, "{chat} {id} {sender:?}");
        }
    }
}

mod forwards {
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
}

mod votes {
    use super::*;

    fn vote(
        journal: &Journal<NativeSql>,
        chat: &str,
        id: &str,
        options: &[&str],
    ) -> Result<Message, Refused> {
        let options = options.iter().map(|option| (*option).to_owned()).collect();
        about(journal).vote(id, &Vote { chat: chat.into(), options, sender: None })
    }

    /// What a vote is for, to somebody who knows the poll's secret and by which names it was made.
    fn opened(message: &Message, id: &str, creator: &str, voter: &str) -> Option<Vec<Vec<u8>>> {
        let vote = message.poll_update_message.as_option()?.vote.as_option()?;
        let sealed =
            PollVoteCiphertext { enc_payload: vote.enc_payload.as_deref()?, enc_iv: vote.enc_iv.as_deref()? };
        decrypt_poll_vote_with_secret(sealed, &SECRET, id, creator, voter).ok()
    }

    fn hashes(options: &[&str]) -> Vec<Vec<u8>> {
        options.iter().map(|option| compute_option_hash(option).to_vec()).collect()
    }

    #[test]
    fn a_vote_is_read_by_who_asked_under_names_of_one_kind() {
        let journal = journal();
        for (chat, id, names, from_me, participant, creator, voter) in [
            (BOB, "bobs", &[BOB][..], false, None, BOB, OWN),
            (BOB, "mine", &[OWN, OWN_LID], true, None, OWN, OWN),
            (GROUP, "bobs", &[BOB_LID, BOB], false, Some(BOB_LID), BOB_LID, OWN_LID),
            (GROUP, "anns", &[ANN], false, Some(ANN), ANN, OWN),
            (GROUP, "hidden", &[HIDDEN], false, Some(HIDDEN), HIDDEN, OWN_LID),
            (GROUP, "mine", &[OWN, OWN_LID], true, Some(OWN_LID), OWN_LID, OWN_LID),
            (HIDDEN, "theirs", &[HIDDEN], false, None, HIDDEN, OWN_LID),
        ] {
            take(&journal, chat, id, names, &poll(None));
            for options in [&["Salad"][..], &["Cake", "Soup"], &[]] {
                let message = vote(&journal, chat, id, options).unwrap();
                let update = message.poll_update_message.as_option().unwrap();
                let expected = key(chat, id, from_me, participant);
                assert_eq!(update.poll_creation_message_key.as_option(), Some(&expected), "{chat} {id}");
                assert_eq!(update.sender_timestamp_ms, Some(1_700_000_000_000));
                assert_eq!(opened(&message, id, creator, voter), Some(hashes(options)), "{chat} {id}");
                let told = sent(&journal, chat, &format!("{chat}{id}{}", options.len()), &message);
                assert_eq!((&told["targetId"], &told["selectedOptions"]), (&json!(id), &json!(options)));
            }
        }
    }

    #[test]
    fn a_number_without_a_hidden_id_votes_under_its_number() {
        let journal = journal();
        take(&journal, GROUP, "bobs", &[BOB_LID, BOB], &poll(None));
        let vote = Vote { chat: GROUP.into(), options: vec!["Soup".into()], sender: None };
        let message = About { own_lid: None, ..about(&journal) }.vote("bobs", &vote).unwrap();
        assert_eq!(opened(&message, "bobs", BOB, OWN), Some(hashes(&["Soup"])));
    }

    #[test]
    fn a_vote_the_poll_doesn_t_take_is_refused() {
        let journal = conversation();
        take(&journal, BOB, "poll", &[BOB], &poll(None));
        let error = refused(vote(&journal, BOB, "poll", &["Soup", "Pie"]));
        let named = error.error.details.get("field");
        assert_eq!((error.error.code, named), (ErrorCode::ValidationError, Some(&json!("options[1]"))));
        let error = refused(vote(&journal, BOB, "poll", &["Soup", "Salad", "Cake"]));
        let named = error.error.details.get("field");
        assert_eq!((error.error.code, named), (ErrorCode::ValidationError, Some(&json!("options"))));
        take(&journal, BOB, "closed", &[BOB], &poll(Some(NOW)));
        take(&journal, BOB, "open", &[BOB], &poll(Some(NOW + 1_000)));
        assert_eq!(code(vote(&journal, BOB, "closed", &["Soup"])), ErrorCode::Conflict);
        assert!(vote(&journal, BOB, "open", &["Soup"]).is_ok());
        for id in ["bobs", "new"] {
            assert_eq!(code(vote(&journal, BOB, id, &["Soup"])), ErrorCode::NotFound, "{id}");
        }
        mark(&journal, "open", BOB, "revoked");
        assert_eq!(code(vote(&journal, BOB, "open", &["Soup"])), ErrorCode::Conflict);
    }

    #[test]
    fn a_poll_whose_secret_is_not_known_can_t_be_voted_in() {
        let journal = journal();
        let secretless = Message { message_context_info: MessageField::none(), ..poll(None) };
        take(&journal, BOB, "secretless", &[BOB], &secretless);
        take(&journal, BOB, "gone", &[BOB], &poll(None));
        journal.sql().query("UPDATE message_detail SET raw = NULL WHERE id = 'gone'", &[]).unwrap();
        for id in ["secretless", "gone"] {
            assert_eq!(code(vote(&journal, BOB, id, &["Soup"])), ErrorCode::Conflict, "{id}");
        }
    }
}

mod quotes {
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
}

/// It would be heard of before it comes.
#[test]
fn what_whatsapp_does_not_have_is_neither_taken_back_nor_reacted_to() {
    let journal = journal();
    for status in ["pending", "failed"] {
        sent(&journal, BOB, status, &text("hi"));
        mark(&journal, status, BOB, status);
        let revoke = Revoke { chat: BOB.into(), sender: None };
        let reaction = Reaction { chat: BOB.into(), emoji: "👍".into(), sender: None };
        for result in [about(&journal).revoke(status, &revoke), about(&journal).reaction(status, &reaction)] {
            assert_eq!(refused(result).error.code, ErrorCode::Conflict, "{status}");
        }
    }
}
