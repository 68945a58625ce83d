//! What is told of messages, pinned: built of the library's own types.

mod about;
mod foreign;
mod kinds;
mod known;
mod polls;

use serde_json::{Value, json};
use whatsapp_rust::chrono::DateTime;
use whatsapp_rust::types::message::{MessageInfo, MessageSource};
use whatsapp_rust::waproto::buffa::MessageField;
use whatsapp_rust::waproto::whatsapp::message::{ExtendedTextMessage, ProtocolMessage};
use whatsapp_rust::waproto::whatsapp::{ContextInfo, Message, MessageKey};

use super::{Inbound, normalise};

/// A message of somebody, in a chat of two or of a group, at a time of its own.
fn info(chat: &str, sender: &str) -> MessageInfo {
    let source = MessageSource {
        chat: chat.parse().unwrap(),
        sender: sender.parse().unwrap(),
        is_group: chat.ends_with("@g.us"),
        ..MessageSource::default()
    };
    MessageInfo {
        source,
        id: "3EB0A".into(),
        push_name: "Bob".into(),
        timestamp: DateTime::from_timestamp(1_700_000_000, 0).unwrap(),
        ..MessageInfo::default()
    }
}

/// Bob, in a chat of two.
fn bob() -> MessageInfo {
    info("4915@s.whatsapp.net", "4915:3@s.whatsapp.net")
}

fn own(mut info: MessageInfo) -> MessageInfo {
    info.source.is_from_me = true;
    info
}

fn with_id(id: &str, info: MessageInfo) -> MessageInfo {
    MessageInfo { id: id.into(), ..info }
}

fn text(body: &str) -> Message {
    Message { conversation: Some(body.to_owned()), ..Message::default() }
}

/// A text that answers or mentions.
fn answer(body: &str, context: ContextInfo) -> Message {
    let text = ExtendedTextMessage {
        text: Some(body.to_owned()),
        context_info: MessageField::some(context),
        ..ExtendedTextMessage::default()
    };
    Message { extended_text_message: MessageField::some(text), ..Message::default() }
}

fn key(id: &str) -> MessageField<MessageKey> {
    MessageField::some(MessageKey { id: Some(id.to_owned()), ..MessageKey::default() })
}

fn protocol(message: ProtocolMessage) -> Message {
    Message { protocol_message: MessageField::some(message), ..Message::default() }
}

/// Event and payload, without what every one of Bob's messages has.
fn told(message: &Message, info: &MessageInfo) -> Option<(&'static str, Value)> {
    let inbound = normalise(message, info)?;
    let mut payload = json!(inbound.payload);
    let fields = payload.as_object_mut().unwrap();
    let usual = json!({"waMessageId": "3EB0A", "chatJid": "4915@s.whatsapp.net", "senderJid": "4915@s.whatsapp.net",
        "fromMe": false, "pushName": "Bob", "hasMedia": false, "media": {}, "timestamp": 1_700_000_000_000_u64});
    fields.retain(|field, value| usual.get(field) != Some(value));
    Some((inbound.event, payload))
}

/// The whole payload of a plain message.
#[test]
fn a_text_becomes_a_message_event() {
    let Inbound { event, payload, .. } = normalise(&text("hi"), &bob()).unwrap();
    assert_eq!(event, "message");
    assert_eq!(
        json!(payload),
        json!({"waMessageId": "3EB0A", "chatJid": "4915@s.whatsapp.net", "senderJid": "4915@s.whatsapp.net",
            "fromMe": false, "pushName": "Bob", "type": "text", "body": "hi", "hasMedia": false, "media": {},
            "timestamp": 1_700_000_000_000_u64})
    );
}
