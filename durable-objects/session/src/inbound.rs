//! An inbound message, as the client library hands it over, turned into what we store and tell.
//!
//! In two steps: [`normalise`] reads the message, all by itself, and [`take_in`] adds what is known already, stores
//! it and says what is told. What WhatsApp sends as a message may also be a reaction, an edit, a revocation or a vote.

mod addresses;
pub(crate) mod content;
mod kinds;
mod limits;
mod quote;
#[cfg(test)]
mod tests;
mod vote;
mod words;

mod taking_in;

use gateway_domain::event::MessagePayload;
use whatsapp_rust::Server;
use whatsapp_rust::types::message::{EditAttribute, MessageInfo};
use whatsapp_rust::waproto::whatsapp::Message;
use whatsapp_rust::waproto::whatsapp::message::ProtocolMessage;
use whatsapp_rust::waproto::whatsapp::message::protocol_message::Type;

use addresses::Addresses;
pub use taking_in::{complete, take_in};
use vote::Ballot;

/// A message and the event that tells of it.
#[derive(Clone, Debug)]
pub struct Inbound {
    /// The event's type.
    pub event: &'static str,
    /// What is told.
    pub payload: MessagePayload,
    /// What it does to what is stored.
    change: Change,
    /// The chat's hidden id, where it is a person's and the stanza tells it.
    chat_lid: Option<String>,
    /// The chat of what it quotes, if that is another.
    quoted_chat: Option<String>,
}

/// What a message does.
#[derive(Clone, Debug, PartialEq)]
enum Change {
    /// It is one more.
    New,
    /// It is about another, which stays as it is.
    Reaction,
    /// Another gets a new text.
    Edit,
    /// Another is taken back: by who sent it, or by an admin of the group.
    Revoke { by_admin: bool, author: Option<String> },
    /// A vote in a poll.
    Vote(Ballot),
}

impl Inbound {
    /// Whether it is a message of its own, which can be read and answered.
    #[must_use]
    pub fn is_message(&self) -> bool {
        self.change == Change::New
    }

    /// Its chat.
    #[must_use]
    pub fn chat_jid(&self) -> &str {
        &self.payload.chat_jid
    }

    fn of(info: &MessageInfo) -> Self {
        let source = &info.source;
        let chat = addresses::chat(source);
        let chat_jid = chat.name().unwrap_or_else(|| source.chat.to_non_ad_string());
        let sender = Addresses::of(&source.sender, source.sender_alt.as_ref());
        let payload = MessagePayload {
            wa_message_id: info.id.clone(),
            sender_jid: Some(sender.name().unwrap_or_else(|| chat_jid.clone())),
            chat_jid,
            sender_lid: sender.lid,
            from_me: source.is_from_me,
            push_name: limits::name(Some(&info.push_name)),
            timestamp: u64::try_from(info.timestamp.timestamp_millis()).unwrap_or(0),
            ..MessagePayload::default()
        };
        let event = if source.is_from_me { "message.from_me" } else { "message" };
        Self { event, payload, change: Change::New, chat_lid: chat.lid, quoted_chat: None }
    }

    /// The names of its chat.
    fn chat(&self) -> [Option<&str>; 2] {
        [Some(self.payload.chat_jid.as_str()), self.chat_lid.as_deref()]
    }

    /// What is told of another message: a reaction, an edit, a revocation, a vote.
    fn about(mut self, event: &'static str, kind: &str, target: String, change: Change) -> Self {
        self.event = event;
        kind.clone_into(&mut self.payload.r#type);
        self.payload.target_id = Some(target);
        self.change = change;
        self
    }

    /// Fills in what a message says; nothing for what is no message of anybody's.
    fn saying(mut self, content: &Message) -> Option<Self> {
        if !kinds::fill(&mut self.payload, content) {
            return None;
        }
        if let Some(context) = content::context(content) {
            self.quoted_chat = quote::fill(&mut self.payload, context);
            self.payload.mentions = quote::mentions(context);
        }
        Some(self)
    }
}

/// Normalises a message; `None` for what only concerns the protocol: keys, history, receipts in disguise.
#[must_use]
pub fn normalise(message: &Message, info: &MessageInfo) -> Option<Inbound> {
    let (content, inbound) = (content::unwrap(message), Inbound::of(info));
    if info.source.chat.server == Server::Newsletter && info.edit != EditAttribute::Empty {
        return in_channel(inbound, content, info);
    }
    if let Some(protocol) = content.protocol_message.as_option() {
        return protocol_message(inbound, protocol, info);
    }
    if let Some(reaction) = content.reaction_message.as_option() {
        let target = limits::target(reaction.key.as_option())?;
        let mut inbound = inbound.about("message.reaction", "reaction", target, Change::Reaction);
        inbound.payload.reaction = Some(limits::emoji(reaction.text.as_ref()));
        return Some(inbound);
    }
    if let Some(update) = content.poll_update_message.as_option() {
        let target = limits::target(update.poll_creation_message_key.as_option())?;
        let ballot = Ballot::of(update.vote.as_option()?);
        return Some(inbound.about("poll.vote", "poll_vote", target, Change::Vote(ballot)));
    }
    inbound.saying(content)
}

/// An edit, or a revocation.
fn protocol_message(inbound: Inbound, protocol: &ProtocolMessage, info: &MessageInfo) -> Option<Inbound> {
    let key = protocol.key.as_option();
    if let Some(edited) = protocol.edited_message.as_option() {
        let (target, edited) = (limits::target(key)?, content::unwrap(edited));
        return inbound.about("message.edited", "", target, Change::Edit).saying(edited);
    }
    if protocol.r#type != Some(Type::REVOKE) {
        return None;
    }
    // That it comes from an admin is written on the envelope, where WhatsApp's server checks it.
    let by_admin = info.edit == EditAttribute::AdminRevoke && info.source.chat.server == Server::Group;
    let author = key.and_then(|key| key.participant.as_deref()).and_then(limits::jid);
    let change = Change::Revoke { by_admin, author: author.filter(|_| by_admin) };
    Some(inbound.about("message.revoked", "revoked", limits::target(key)?, change))
}

/// In a channel an edit or a revocation has the id of the message it is about, and says so on its envelope only.
fn in_channel(inbound: Inbound, content: &Message, info: &MessageInfo) -> Option<Inbound> {
    let (target, revoke) = (info.id.clone(), Change::Revoke { by_admin: false, author: None });
    match info.edit {
        EditAttribute::AdminEdit | EditAttribute::MessageEdit => {
            let protocol = content.protocol_message.as_option();
            let edited = protocol.and_then(|protocol| protocol.edited_message.as_option());
            let edited = edited.map_or(content, content::unwrap);
            inbound.about("message.edited", "", target, Change::Edit).saying(edited)
        }
        EditAttribute::AdminRevoke | EditAttribute::SenderRevoke => {
            Some(inbound.about("message.revoked", "revoked", target, revoke))
        }
        _ => None,
    }
}
