//! A decrypted message is put where the person at the phone sees it.

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use wacore::messages::unwrap_device_sent;
use wacore_binary::Jid;
use waproto::whatsapp::Message;

use super::Phone;
use super::inbox::Received;
use super::memory::Known;
use super::receiving::Incoming;
use crate::account::Account;
use crate::content::addons::{self, Names, Parent};
use crate::content::{self, Shown};
use crate::stanza;
use crate::world::World;

/// What a companion wants of its phone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    AppStateKey,
}

/// Takes a message in, unless it is a word between devices.
pub fn take_in(
    world: &World,
    account: &Account,
    phone: &mut Phone,
    incoming: &Incoming<'_>,
    message: Message,
) -> Result<Option<Request>> {
    let sender = &incoming.sender;
    let own = sender.number == account.number;
    if let Some(protocol) = message.protocol_message.as_option()
        && own
        && protocol.app_state_sync_key_request.is_set()
    {
        return Ok(Some(Request::AppStateKey));
    }
    if stanza::attr(incoming.stanza, "category") == "peer" {
        return Ok(None);
    }
    let (received, known) = shown(world, account, phone, incoming, message)?;
    if let Some(file) = content::file(&known.message) {
        world.media.learn(&file);
    }
    account.received.push(received);
    phone.memory.keep(&phone.shelf, &incoming.id, known);
    Ok(None)
}

/// A message as the phone shows it, and as it remembers it.
pub fn shown(
    world: &World,
    account: &Account,
    phone: &Phone,
    incoming: &Incoming<'_>,
    message: Message,
) -> Result<(Received, Known)> {
    let sender = &incoming.sender;
    let mut chat = incoming.group.clone().unwrap_or_else(|| sender.pn());
    let mut message = message;
    if let Some(copy) = message.device_sent_message.as_option() {
        copy.message.as_option().context("an empty copy")?;
        let destination = copy.destination_jid.as_deref().and_then(|jid| jid.parse::<Jid>().ok());
        // Shown under the phone number even when the companion addressed the LID.
        chat =
            destination.map_or(chat, |jid| world.resolve(&jid).map_or(jid.clone(), |account| account.pn()));
        message = unwrap_device_sent(message);
    }
    let Shown { kind, text, content } = phone.read(world, account, sender, &message);
    let received = Received {
        from: sender.pn().to_string(),
        chat: chat.to_string(),
        message_id: incoming.id.clone(),
        text,
        timestamp: stanza::attr(incoming.stanza, "t").parse().unwrap_or_default(),
        from_device: incoming.author.device,
        from_me: sender.number == account.number,
        kind: kind.to_owned(),
        content,
    };
    Ok((received, Known { chat, author: sender.number.clone(), message }))
}

impl Phone {
    /// What a message says, with what can only be read by whoever has the message it is about.
    fn read(&self, world: &World, account: &Account, sender: &Account, message: &Message) -> Shown {
        let mut shown = content::shown(message);
        let Some(id) = addons::parent_id(message) else { return shown };
        let known = self.known(&account.number, &id);
        let parent = known.as_ref().and_then(|known| {
            let author = names(&*world.account(&known.author)?);
            Some(Parent { id: &id, message: &known.message, author })
        });
        let sender = names(sender);
        if let Some(edit) = parent.as_ref().and_then(|parent| addons::edit(message, parent, &sender)) {
            shown = content::shown(&edit);
            add(&mut shown.content, "encrypted", json!(true));
        }
        if shown.kind == "pollVote" {
            let chosen = parent.as_ref().and_then(|parent| addons::vote(message, parent, &sender));
            add(&mut shown.content, "decrypted", json!(chosen.is_some()));
            add(&mut shown.content, "selected", chosen.unwrap_or_else(|| json!([])));
        }
        shown
    }
}

fn add(content: &mut Value, name: &str, value: Value) {
    if let Some(fields) = content.as_object_mut() {
        fields.insert(name.to_owned(), value);
    }
}

fn names(account: &Account) -> Names {
    Names { pn: account.pn().to_string(), lid: account.lid().to_string() }
}
