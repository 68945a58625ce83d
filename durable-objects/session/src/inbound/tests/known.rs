//! Messages that meet what is known: nothing is told twice, only who may changes anything, votes are read.

use gateway_sql::Sql;
use gateway_sql::native::NativeSql;
use serde_json::{Value, json};
use whatsapp_rust::types::message::{EditAttribute, MessageInfo};
use whatsapp_rust::wacore::poll::{compute_option_hash, encrypt_poll_vote_with_secret};
use whatsapp_rust::waproto::buffa::MessageField;
use whatsapp_rust::waproto::whatsapp::message::{
    ImageMessage, PollCreationMessage, ReactionMessage, poll_creation_message,
};
use whatsapp_rust::waproto::whatsapp::{ContextInfo, Message, MessageContextInfo};

use super::about::{edit, revocation, vote};
use super::{answer, bob, info, key, own, text, with_id};
use crate::inbound::{normalise, take_in};
use crate::journal::Journal;
use crate::library::contacts::Person;

pub(super) const GROUP: &str = "1@g.us";
const SECRET: [u8; 32] = [7; 32];

pub(super) fn journal() -> Journal<NativeSql> {
    Journal::open(NativeSql::in_memory().unwrap()).unwrap()
}

/// What is told when this number, 49700, takes the message in.
pub(super) fn take(
    journal: &Journal<NativeSql>,
    message: &Message,
    info: &MessageInfo,
) -> Vec<(&'static str, Value)> {
    let me = Person { lid: Some("700@lid".into()), phone: Some("49700".into()), ..Person::default() };
    let mut inbound = normalise(message, info).unwrap();
    let told = take_in(journal, &me, message, &mut inbound).unwrap();
    told.iter().map(|told| (told.event, serde_json::from_str(&told.payload).unwrap())).collect()
}

/// Robert becomes known: Bob, as he called himself once.
pub(super) fn meet(journal: &Journal<NativeSql>) {
    let robert = "INSERT INTO contact (jid, phone, push_name, source, first_seen, last_seen) \
                  VALUES ('777@lid', '4915', 'Robert', 'dm', 1, 1)";
    journal.sql().query(robert, &[]).unwrap();
}

fn body(journal: &Journal<NativeSql>, chat: &str, id: &str) -> Option<String> {
    journal.messages().find([Some(chat), None], id).unwrap().pop().unwrap().body
}

#[test]
fn what_is_delivered_again_is_told_once() {
    let reaction = ReactionMessage { key: key("T"), text: Some("👍".into()), ..ReactionMessage::default() };
    let reaction = Message { reaction_message: MessageField::some(reaction), ..Message::default() };
    let journal = journal();
    for (id, message) in [
        ("A", text("hi")),
        ("B", reaction),
        ("C", edit("A", text("ho"))),
        ("D", revocation("A")),
        ("E", vote("A", vec![1; 50], &[1; 12])),
    ] {
        let info = with_id(id, bob());
        assert_eq!(
            (take(&journal, &message, &info).len(), take(&journal, &message, &info).len()),
            (1, 0),
            "{id}"
        );
    }
}

#[test]
fn the_same_message_under_the_other_name_is_no_second_one() {
    let journal = journal();
    let mut by_lid = info("777@lid", "777@lid");
    by_lid.source.sender_alt = Some("4915@s.whatsapp.net".parse().unwrap());
    assert_eq!(take(&journal, &text("hi"), &by_lid).len(), 1);
    meet(&journal);
    let by_lid_only = info("777@lid", "777@lid");
    assert!(take(&journal, &text("hi"), &by_lid_only).is_empty());
    let later = take(&journal, &text("ho"), &with_id("B", by_lid_only));
    assert_eq!(later[0].1["chatJid"], "4915@s.whatsapp.net", "the chat has one name");
    assert_eq!(later[0].1["senderLid"], "777@lid");
}

#[test]
fn a_quote_is_completed_by_the_message_it_quotes() {
    let journal = journal();
    let mut ann = info(GROUP, "777@lid");
    ann.source.sender_alt = Some("4917@s.whatsapp.net".parse().unwrap());
    take(&journal, &text("who comes?"), &with_id("Q", ann));
    let quoting = |participant: Option<&str>, id: &str| ContextInfo {
        stanza_id: Some(id.into()),
        participant: participant.map(str::to_owned),
        ..ContextInfo::default()
    };
    let quoted = |told: &[(&'static str, Value)]| {
        let fields = ["quotedBody", "quotedFromMe", "quotedSenderJid", "quotedSenderLid"];
        json!(fields.map(|field| told[0].1.get(field).cloned().unwrap_or_default()))
    };
    let whole = json!(["who comes?", false, "4917@s.whatsapp.net", "777@lid"]);
    for (place, participant) in [None, Some("777@lid"), Some("4917@s.whatsapp.net")].into_iter().enumerate() {
        let info = with_id(&format!("A{place}"), info(GROUP, "4918@s.whatsapp.net"));
        assert_eq!(quoted(&take(&journal, &answer("I", quoting(participant, "Q")), &info)), whole);
    }
    // Of this number, and not known any more.
    let info = with_id("B", info(GROUP, "4918@s.whatsapp.net"));
    let told = take(&journal, &answer("I", quoting(Some("700@lid"), "old")), &info);
    assert_eq!(quoted(&told), json!([null, true, "700@lid", "700@lid"]));
}

#[test]
fn an_edit_changes_the_stored_text_if_its_author_sends_it() {
    let journal = journal();
    take(&journal, &text("hi"), &with_id("A", info(GROUP, "4915@s.whatsapp.net")));
    let forged =
        take(&journal, &edit("A", text("forged")), &with_id("B", info(GROUP, "4916@s.whatsapp.net")));
    assert!(forged.is_empty());
    assert_eq!(body(&journal, GROUP, "A").as_deref(), Some("hi"));
    let told = take(&journal, &edit("A", text("ho")), &with_id("C", info(GROUP, "4915@s.whatsapp.net")));
    assert_eq!((told[0].0, &told[0].1["body"]), ("message.edited", &json!("ho")));
    assert_eq!(body(&journal, GROUP, "A").as_deref(), Some("ho"));
    // Of a message that is not known WhatsApp's word is taken.
    assert_eq!(
        take(&journal, &edit("Z", text("x")), &with_id("D", info(GROUP, "4916@s.whatsapp.net"))).len(),
        1
    );
}

#[test]
fn an_edited_caption_keeps_its_picture() {
    let journal = journal();
    let picture = |caption: &str, mimetype: Option<&str>| {
        let image = ImageMessage {
            caption: Some(caption.into()),
            mimetype: mimetype.map(str::to_owned),
            ..ImageMessage::default()
        };
        Message { image_message: MessageField::some(image), ..Message::default() }
    };
    take(&journal, &picture("hi", Some("image/jpeg")), &with_id("A", bob()));
    let told = take(&journal, &edit("A", picture("ho", None)), &with_id("B", bob()));
    assert_eq!(told[0].1["media"], json!({"mimetype": "image/jpeg"}));
    let told = take(&journal, &edit("A", text("he")), &with_id("C", bob()));
    assert_eq!(told[0].1["hasMedia"], true);
}

#[test]
fn a_message_is_revoked_by_its_author_or_an_admin() {
    let journal = journal();
    take(&journal, &text("hi"), &with_id("A", info(GROUP, "4915@s.whatsapp.net")));
    let other = info(GROUP, "4916@s.whatsapp.net");
    assert!(take(&journal, &revocation("A"), &with_id("B", other.clone())).is_empty());
    let admin = MessageInfo { edit: EditAttribute::AdminRevoke, ..with_id("C", other) };
    let told = take(&journal, &revocation("A"), &admin);
    assert_eq!((told[0].0, &told[0].1["senderJid"]), ("message.revoked", &json!("4916@s.whatsapp.net")));
    assert_eq!(take(&journal, &revocation("A"), &with_id("D", info(GROUP, "4915@s.whatsapp.net"))).len(), 1);
    // In a chat of two there are no admins.
    take(&journal, &text("mine"), &with_id("M", own(info("4915@s.whatsapp.net", "49700@s.whatsapp.net"))));
    let forged = MessageInfo { edit: EditAttribute::AdminRevoke, ..with_id("N", bob()) };
    assert!(take(&journal, &revocation("M"), &forged).is_empty());
}

pub(super) fn poll() -> Message {
    let option = |name: &str| poll_creation_message::Option {
        option_name: Some(name.into()),
        ..poll_creation_message::Option::default()
    };
    let poll = PollCreationMessage {
        name: Some("Lunch?".into()),
        options: vec![option("Soup"), option("Salad")],
        ..PollCreationMessage::default()
    };
    let context =
        MessageContextInfo { message_secret: Some(SECRET.to_vec()), ..MessageContextInfo::default() };
    Message {
        poll_creation_message_v3: MessageField::some(poll),
        message_context_info: MessageField::some(context),
        ..Message::default()
    }
}

pub(super) fn ballot(options: &[&str], creator: &str, voter: &str) -> Message {
    let hashes: Vec<Vec<u8>> = options.iter().map(|option| compute_option_hash(option).to_vec()).collect();
    let (payload, iv) = encrypt_poll_vote_with_secret(&hashes, &SECRET, "P", creator, voter).unwrap();
    vote("P", payload, &iv)
}

#[test]
fn a_vote_is_read_under_whatever_names_it_was_cast() {
    let journal = journal();
    let member = |id: &str, lid: &str, phone: &str| {
        let mut info = with_id(id, info(GROUP, lid));
        info.source.sender_alt = Some(phone.parse().unwrap());
        info
    };
    take(&journal, &poll(), &member("P", "777@lid", "4917@s.whatsapp.net"));
    let cid = |id: &str| member(id, "778@lid", "4918@s.whatsapp.net");
    let chosen = |message: &Message, info: &MessageInfo| {
        let told = take(&journal, message, info);
        assert_eq!((told[0].0, &told[0].1["targetId"]), ("poll.vote", &json!("P")));
        told[0].1.get("selectedOptions").cloned().unwrap_or_default()
    };
    assert_eq!(chosen(&ballot(&["Salad"], "777@lid", "778@lid"), &cid("A")), json!(["Salad"]));
    let by_number = ballot(&["Soup", "Salad"], "4917@s.whatsapp.net", "4918@s.whatsapp.net");
    assert_eq!(chosen(&by_number, &cid("B")), json!(["Soup", "Salad"]));
    assert_eq!(chosen(&ballot(&[], "777@lid", "778@lid"), &cid("C")), json!([]), "taken back");
    assert_eq!(chosen(&ballot(&["Cake"], "777@lid", "778@lid"), &cid("D")), Value::Null, "added later");
    assert_eq!(chosen(&ballot(&["Soup"], "777@lid", "999@lid"), &cid("E")), Value::Null, "somebody else's");
    let mine = own(member("F", "700@lid", "49700@s.whatsapp.net"));
    assert_eq!(chosen(&ballot(&["Soup"], "777@lid", "700@lid"), &mine), json!(["Soup"]));
}

#[test]
fn a_vote_in_a_poll_of_this_number_is_read() {
    let journal = journal();
    take(&journal, &poll(), &with_id("P", own(info("4915@s.whatsapp.net", "49700:2@s.whatsapp.net"))));
    let told = take(&journal, &ballot(&["Soup"], "700@lid", "4915@s.whatsapp.net"), &bob());
    assert_eq!(told[0].1["selectedOptions"], json!(["Soup"]));
}

#[test]
fn a_new_name_is_told_as_an_update_of_the_contact() {
    let journal = journal();
    meet(&journal);
    let told = take(&journal, &text("hi"), &bob());
    assert_eq!(told.len(), 2);
    assert_eq!(told[1], ("contact.update", json!({"jid": "4915@s.whatsapp.net", "pushName": "Bob"})));
}

#[test]
fn who_is_mentioned_is_named() {
    let journal = journal();
    meet(&journal);
    let context = ContextInfo { mentioned_jid: vec!["777@lid".into()], ..ContextInfo::default() };
    let told = take(&journal, &answer("@777", context), &info(GROUP, "4916@s.whatsapp.net"));
    assert_eq!(told[0].1["mentions"], json!({"777@lid": {"pushName": "Robert"}}));
}
