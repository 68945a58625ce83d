//! A message about another one: a vote, a reaction, an edit, a deletion, a copy.

use wacore::proto_helpers::MessageExt as _;
use waproto::buffa::MessageField;
use waproto::whatsapp::message::protocol_message::Type;
use waproto::whatsapp::message::{PinInChatMessage, ProtocolMessage, ReactionMessage, pin_in_chat_message};
use waproto::whatsapp::{Message, MessageContextInfo};

use super::addons::{self, Parent};
use super::make::{Circumstances, Made, text};
use super::request::Request;

/// How long a pinned message stays so.
const PINNED_SECONDS: u32 = 86_400;

pub fn message(kind: &str, request: &Request, with: &Circumstances) -> Made {
    let target = with.target.as_ref().ok_or("this needs a target")?;
    let key = target.key.clone();
    let id = key.id.clone().unwrap_or_default();
    let parent = Parent { id: &id, message: &target.message, author: target.author.clone() };
    let names = (target.author_here.as_str(), with.me.as_str());
    let protocol =
        |protocol| Message { protocol_message: MessageField::some(protocol), ..Message::default() };
    let made = match kind {
        "pollVote" => {
            return addons::cast(key, &parent, names, &request.options, with.now_ms)
                .ok_or("not a poll this phone can vote in");
        }
        "reaction" => Message {
            reaction_message: MessageField::some(ReactionMessage {
                key: MessageField::some(key),
                text: Some(request.text.clone().unwrap_or_default()),
                sender_timestamp_ms: Some(with.now_ms),
                ..ReactionMessage::default()
            }),
            ..Message::default()
        },
        "edit" => {
            let edit = protocol(ProtocolMessage {
                key: MessageField::some(key.clone()),
                r#type: Some(Type::MESSAGE_EDIT),
                edited_message: MessageField::some(edited(request, &target.message)),
                timestamp_ms: Some(with.now_ms),
                ..ProtocolMessage::default()
            });
            if !request.encrypted {
                return Ok(edit);
            }
            return addons::seal(&edit, key, &parent, names).ok_or("a message without a secret");
        }
        "revoke" => protocol(ProtocolMessage {
            key: MessageField::some(key),
            r#type: Some(Type::REVOKE),
            ..ProtocolMessage::default()
        }),
        "forward" => *super::unwrapped(&target.message).0.prepare_for_forward(),
        _ => Message {
            pin_in_chat_message: MessageField::some(PinInChatMessage {
                key: MessageField::some(key),
                r#type: Some(pin_in_chat_message::Type::PIN_FOR_ALL),
                sender_timestamp_ms: Some(with.now_ms),
            }),
            message_context_info: MessageField::some(MessageContextInfo {
                message_add_on_duration_in_secs: Some(PINNED_SECONDS),
                ..MessageContextInfo::default()
            }),
            ..Message::default()
        },
    };
    Ok(made)
}

/// What a message becomes: another text, or the same file under another caption.
fn edited(request: &Request, original: &Message) -> Message {
    let Some(caption) = &request.caption else { return text(request) };
    let mut edited = super::unwrapped(original).0.clone();
    edited.message_context_info = MessageField::default();
    macro_rules! caption {
        ($($field:ident),+) => {
            $(if let Some(media) = edited.$field.as_option_mut() {
                media.caption = Some(caption.clone());
            })+
        };
    }
    caption!(image_message, video_message, document_message);
    edited
}
