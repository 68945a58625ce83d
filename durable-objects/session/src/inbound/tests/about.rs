//! What is told of other messages: reactions, edits, revocations, votes.

use serde_json::json;
use whatsapp_rust::types::message::EditAttribute;
use whatsapp_rust::waproto::buffa::MessageField;
use whatsapp_rust::waproto::whatsapp::Message;
use whatsapp_rust::waproto::whatsapp::message::protocol_message::Type;
use whatsapp_rust::waproto::whatsapp::message::{
    FutureProofMessage, PollEncValue, PollUpdateMessage, ProtocolMessage, ReactionMessage,
};

use super::{bob, info, key, protocol, text, told};
use crate::inbound::normalise;

#[test]
fn a_reaction_is_told_and_that_it_was_taken_back() {
    for (emoji, told_as) in [(Some("👍"), "👍"), (Some(""), ""), (None, "")] {
        let reaction = ReactionMessage {
            key: key("3EB0T"),
            text: emoji.map(str::to_owned),
            ..ReactionMessage::default()
        };
        let message = Message { reaction_message: MessageField::some(reaction), ..Message::default() };
        let expected = json!({"type": "reaction", "targetId": "3EB0T", "reaction": told_as});
        assert_eq!(told(&message, &bob()).unwrap(), ("message.reaction", expected));
    }
    let to_nothing = ReactionMessage { text: Some("👍".into()), ..ReactionMessage::default() };
    let message = Message { reaction_message: MessageField::some(to_nothing), ..Message::default() };
    assert!(normalise(&message, &bob()).is_none());
}

pub(super) fn edit(id: &str, content: Message) -> Message {
    protocol(ProtocolMessage {
        key: key(id),
        r#type: Some(Type::MESSAGE_EDIT),
        edited_message: MessageField::some(content),
        ..ProtocolMessage::default()
    })
}

#[test]
fn an_edit_is_told_with_the_new_text() {
    let plain = edit("3EB0T", text("better"));
    let wrapped = Message {
        edited_message: MessageField::some(FutureProofMessage { message: MessageField::some(plain.clone()) }),
        ..Message::default()
    };
    let expected = json!({"type": "text", "targetId": "3EB0T", "body": "better"});
    for message in [plain, wrapped] {
        assert_eq!(told(&message, &bob()).unwrap(), ("message.edited", expected.clone()));
    }
}

pub(super) fn revocation(id: &str) -> Message {
    protocol(ProtocolMessage { key: key(id), r#type: Some(Type::REVOKE), ..ProtocolMessage::default() })
}

#[test]
fn a_revocation_is_told() {
    let expected = json!({"type": "revoked", "targetId": "3EB0T"});
    assert_eq!(told(&revocation("3EB0T"), &bob()).unwrap(), ("message.revoked", expected));
}

#[test]
fn a_channel_edits_and_revokes_under_the_messages_own_id() {
    let mut channel = info("12@newsletter", "12@newsletter");
    channel.edit = EditAttribute::AdminEdit;
    let (event, payload) = told(&text("better"), &channel).unwrap();
    assert_eq!(event, "message.edited");
    assert_eq!(
        payload,
        json!({"type": "text", "targetId": "3EB0A", "body": "better", "chatJid": "12@newsletter", "senderJid": "12@newsletter"})
    );
    channel.edit = EditAttribute::AdminRevoke;
    let (event, payload) = told(&Message::default(), &channel).unwrap();
    assert_eq!((event, &payload["targetId"]), ("message.revoked", &json!("3EB0A")));
}

pub(super) fn vote(id: &str, payload: Vec<u8>, iv: &[u8]) -> Message {
    let value = PollEncValue { enc_payload: Some(payload), enc_iv: Some(iv.to_vec()) };
    let update = PollUpdateMessage {
        poll_creation_message_key: key(id),
        vote: MessageField::some(value),
        ..PollUpdateMessage::default()
    };
    Message { poll_update_message: MessageField::some(update), ..Message::default() }
}

#[test]
fn a_vote_in_a_poll_nobody_knows_is_told_without_its_options() {
    let expected = json!({"type": "poll_vote", "targetId": "3EB0T"});
    assert_eq!(told(&vote("3EB0T", vec![1; 50], &[2; 12]), &bob()).unwrap(), ("poll.vote", expected));
}
