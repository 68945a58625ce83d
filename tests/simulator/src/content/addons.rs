//! Messages that only those can read who have the message they are about: votes and encrypted edits, under keys that
//! come from its secret and from who wrote what.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD as BASE64;
use serde_json::{Value, json};
use wacore::message_edit::{MessageEditContext, decrypt_message_edit, encrypt_message_edit};
use wacore::poll::{
    PollVoteCiphertext, compute_option_hash, decrypt_poll_vote_with_secret, encrypt_poll_vote_with_secret,
};
use waproto::buffa::MessageField;
use waproto::whatsapp::message::secret_encrypted_message::SecretEncType;
use waproto::whatsapp::message::{PollEncValue, PollUpdateMessage, SecretEncryptedMessage};
use waproto::whatsapp::{Message, MessageKey};

use super::read::{options, poll};
use super::unwrapped;

/// Somebody, under both of their names.
#[derive(Clone, Debug)]
pub struct Names {
    pub pn: String,
    pub lid: String,
}

/// The message an addon is about, and its author.
pub struct Parent<'m> {
    pub id: &'m str,
    pub message: &'m Message,
    pub author: Names,
}

/// The id of the message that this one can't be read without.
pub fn parent_id(message: &Message) -> Option<String> {
    let message = unwrapped(message).0;
    let vote =
        message.poll_update_message.as_option().and_then(|vote| vote.poll_creation_message_key.as_option());
    let edit = message.secret_encrypted_message.as_option();
    let edit = edit.and_then(|edit| edit.target_message_key.as_option());
    vote.or(edit)?.id.clone()
}

/// The secret of a message.
pub fn secret(message: &Message) -> Option<&Vec<u8>> {
    let inner = unwrapped(message).0;
    [message, inner]
        .into_iter()
        .find_map(|message| message.message_context_info.as_option()?.message_secret.as_ref())
}

/// Both namespaces first, then what clients that mix them up may have used.
fn namings<'n>(author: &'n Names, sender: &'n Names) -> [(&'n str, &'n str); 4] {
    let (a, s) = (author, sender);
    [(&a.lid, &s.lid), (&a.pn, &s.pn), (&a.lid, &s.pn), (&a.pn, &s.lid)]
        .map(|(a, s)| (a.as_str(), s.as_str()))
}

/// What somebody voted for: the options' hashes with the names they stand for; none when it can't be read.
pub fn vote(message: &Message, parent: &Parent<'_>, voter: &Names) -> Option<Value> {
    let vote = unwrapped(message).0.poll_update_message.as_option()?.vote.as_option()?;
    let (payload, iv) = (vote.enc_payload.as_ref()?, vote.enc_iv.as_ref()?);
    let secret = secret(parent.message)?;
    let ciphertext = PollVoteCiphertext { enc_payload: payload, enc_iv: iv };
    let hashes = namings(&parent.author, voter).into_iter().find_map(|(author, voter)| {
        decrypt_poll_vote_with_secret(ciphertext, secret, parent.id, author, voter).ok()
    })?;
    let known = poll(parent.message).map(|(_, poll)| options(poll)).unwrap_or_default();
    let chosen = hashes.into_iter().map(|hash| {
        let name = known.iter().find(|name| compute_option_hash(name).as_slice() == hash);
        json!({ "hash": BASE64.encode(&hash), "name": name })
    });
    Some(chosen.collect())
}

/// The edit inside an encrypted one.
pub fn edit(message: &Message, parent: &Parent<'_>, editor: &Names) -> Option<Message> {
    let edit = unwrapped(message).0.secret_encrypted_message.as_option()?;
    if edit.secret_enc_type != Some(SecretEncType::MESSAGE_EDIT) {
        return None;
    }
    let (payload, iv) = (edit.enc_payload.as_ref()?, edit.enc_iv.as_ref()?);
    let secret = secret(parent.message)?;
    namings(&parent.author, editor).into_iter().find_map(|(author, editor)| {
        let context = MessageEditContext {
            original_msg_id: parent.id,
            original_sender_jid: author,
            editor_jid: editor,
        };
        decrypt_message_edit(payload, iv, secret, &context).ok()
    })
}

/// A vote for these options, under the names that go with the chat.
pub fn cast(
    key: MessageKey,
    parent: &Parent<'_>,
    names: (&str, &str),
    chosen: &[String],
    at: i64,
) -> Option<Message> {
    let hashes: Vec<Vec<u8>> = chosen.iter().map(|name| compute_option_hash(name).to_vec()).collect();
    let secret = secret(parent.message)?;
    let (payload, iv) = encrypt_poll_vote_with_secret(&hashes, secret, parent.id, names.0, names.1).ok()?;
    let vote = PollEncValue { enc_payload: Some(payload), enc_iv: Some(iv.to_vec()) };
    let update = PollUpdateMessage {
        poll_creation_message_key: MessageField::some(key),
        vote: MessageField::some(vote),
        sender_timestamp_ms: Some(at),
        ..Default::default()
    };
    Some(Message { poll_update_message: MessageField::some(update), ..Default::default() })
}

/// An edit that only those can read who have the original.
pub fn seal(edit: &Message, key: MessageKey, parent: &Parent<'_>, names: (&str, &str)) -> Option<Message> {
    let context =
        MessageEditContext { original_msg_id: parent.id, original_sender_jid: names.0, editor_jid: names.1 };
    let (payload, iv) = encrypt_message_edit(edit, secret(parent.message)?, &context).ok()?;
    let sealed = SecretEncryptedMessage {
        target_message_key: MessageField::some(key),
        enc_payload: Some(payload),
        enc_iv: Some(iv.to_vec()),
        secret_enc_type: Some(SecretEncType::MESSAGE_EDIT),
        ..Default::default()
    };
    Some(Message { secret_encrypted_message: MessageField::some(sealed), ..Default::default() })
}
