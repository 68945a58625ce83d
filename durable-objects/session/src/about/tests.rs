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

mod edits;
mod forwards;
mod quotes;
mod revocations;
mod targets;
mod votes;

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
