//! Foreign bytes never panic, and never make a row that can't be stored.

use gateway_sql::native::NativeSql;
use whatsapp_rust::types::message::{EditAttribute, MessageInfo};
use whatsapp_rust::waproto::buffa::MessageField;
use whatsapp_rust::waproto::codec;
use whatsapp_rust::waproto::whatsapp::message::{
    ContactMessage, FutureProofMessage, LocationMessage, PollCreationMessage, ReactionMessage, VideoMessage,
    poll_creation_message,
};
use whatsapp_rust::waproto::whatsapp::{ContextInfo, Message};

use super::about::{edit, revocation, vote};
use super::{answer, bob, info, key, text};
use crate::inbound::{normalise, take_in};
use crate::journal::Journal;
use crate::library::contacts::Person;

/// What a row of the object's database may have.
const MAX_ROW: usize = 2_000_000;

/// A fixed sequence of numbers without any order (Marsaglia's xorshift).
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap()
    }
}

fn samples() -> Vec<Message> {
    let context = ContextInfo {
        stanza_id: Some("Q".into()),
        participant: Some("7@lid".into()),
        quoted_message: MessageField::some(text("quoted")),
        mentioned_jid: vec!["7@lid".into()],
        ..ContextInfo::default()
    };
    let option = poll_creation_message::Option {
        option_name: Some("a".into()),
        ..poll_creation_message::Option::default()
    };
    let poll =
        PollCreationMessage { options: vec![option], end_time: Some(9), ..PollCreationMessage::default() };
    let place = LocationMessage { degrees_latitude: Some(1.0), ..LocationMessage::default() };
    let video = VideoMessage { file_length: Some(9), mimetype: Some("v".into()), ..VideoMessage::default() };
    let video = Message { video_message: MessageField::some(video), ..Message::default() };
    let reaction = ReactionMessage { key: key("A"), text: Some("x".into()), ..ReactionMessage::default() };
    let person = ContactMessage { vcard: Some("v".into()), ..ContactMessage::default() };
    let once = FutureProofMessage { message: MessageField::some(video) };
    vec![
        text("hi"),
        answer("an answer", context),
        Message { poll_creation_message: MessageField::some(poll), ..Message::default() },
        Message { location_message: MessageField::some(place), ..Message::default() },
        Message { reaction_message: MessageField::some(reaction), ..Message::default() },
        Message { contact_message: MessageField::some(person), ..Message::default() },
        Message { view_once_message: MessageField::some(once), ..Message::default() },
        edit("A", text("edited")),
        revocation("A"),
        vote("A", vec![1; 40], &[2; 12]),
    ]
}

/// Reads and takes in whatever the bytes are; the rows it leads to.
fn feed(journal: &Journal<NativeSql>, bytes: &[u8], info: &MessageInfo) -> usize {
    let Ok(message) = codec::message_decode(bytes) else { return 0 };
    let Some(mut inbound) = normalise(&message, info) else { return 0 };
    let told = take_in(journal, &Person::default(), &message, &mut inbound).unwrap();
    assert!(told.iter().all(|told| told.payload.len() < MAX_ROW));
    told.len()
}

#[test]
fn damaged_messages_are_read_as_far_as_they_go() {
    let journal = Journal::open(NativeSql::in_memory().unwrap()).unwrap();
    let mut noise = Noise(0x9E37_79B9_7F4A_7C15);
    let mut number = 0;
    let mut next = |edit| {
        number += 1;
        let chat = ["1@g.us", "4915@s.whatsapp.net", "12@newsletter", "status@broadcast"][number % 4];
        MessageInfo { id: format!("N{}", number % 97), edit, ..info(chat, "7@lid") }
    };
    let mut told = 0;
    for sample in samples() {
        let whole = codec::message_to_vec(&sample);
        for end in 0..whole.len() {
            told += feed(&journal, &whole[..end], &next(EditAttribute::Empty));
        }
        for _ in 0..300 {
            let mut damaged = whole.clone();
            for _ in 0..=noise.next() % 4 {
                let place = noise.next() % damaged.len();
                damaged[place] = u8::try_from(noise.next() % 256).unwrap();
            }
            told += feed(&journal, &damaged, &next(EditAttribute::AdminRevoke));
            told += feed(&journal, &damaged, &next(EditAttribute::MessageEdit));
        }
    }
    for _ in 0..3_000 {
        let length = noise.next() % 200;
        let bytes: Vec<u8> = (0..length).map(|_| u8::try_from(noise.next() % 256).unwrap()).collect();
        told += feed(&journal, &bytes, &next(EditAttribute::Empty));
    }
    assert!(told > 100, "{told}: hardly any were messages at all");
}

#[test]
fn the_largest_message_is_a_row_that_can_be_stored() {
    let journal = Journal::open(NativeSql::in_memory().unwrap()).unwrap();
    // What grows most as JSON.
    let long = "\u{1}".repeat(3_000_000);
    let context = ContextInfo {
        stanza_id: Some("Q".into()),
        quoted_message: MessageField::some(text(&long)),
        mentioned_jid: (0..5_000).map(|number| format!("{number:060}@lid")).collect(),
        ..ContextInfo::default()
    };
    let options = (0..5_000).map(|_| poll_creation_message::Option {
        option_name: Some(long.get(..4_000).unwrap().to_owned()),
        ..poll_creation_message::Option::default()
    });
    let poll = PollCreationMessage { options: options.collect(), ..PollCreationMessage::default() };
    let person = ContactMessage { vcard: Some(long.clone()), ..ContactMessage::default() };
    let messages = [
        answer(&long, context),
        Message { poll_creation_message: MessageField::some(poll), ..Message::default() },
        Message { contact_message: MessageField::some(person), ..Message::default() },
    ];
    for (number, message) in messages.iter().enumerate() {
        let info = MessageInfo { id: format!("L{number}"), ..bob() };
        assert_eq!(feed(&journal, &codec::message_to_vec(message), &info), 1);
    }
}

#[test]
fn a_message_wrapped_without_end_is_left_alone() {
    let wrap = |message| {
        let wrapper = FutureProofMessage { message: MessageField::some(message) };
        Message { ephemeral_message: MessageField::some(wrapper), ..Message::default() }
    };
    let deep = (0..60).fold(text("hi"), |message, _| wrap(message));
    assert!(normalise(&deep, &bob()).is_none());
    assert!(normalise(&wrap(wrap(text("hi"))), &bob()).is_some());
}
