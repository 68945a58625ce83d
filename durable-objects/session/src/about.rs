//! What is said about a message: a reaction, another text, that it is taken back, passed on, voted in, answered. Made of
//! what is known of that message; what can't be done with it is refused.

use gateway_domain::error::ApiError;
use gateway_domain::message::limits::{EDIT_WINDOW_MS, MAX_CAPTION_CHARS};
use gateway_domain::message::{Edit, Forward, Reaction, Revoke, Vote};
use gateway_sql::{Sql, SqlError};
use whatsapp_rust::proto_helpers::MessageExt;
use whatsapp_rust::wacore::poll::{compute_option_hash, encrypt_poll_vote_with_secret};
use whatsapp_rust::waproto::buffa::MessageField;
use whatsapp_rust::waproto::whatsapp::message::protocol_message::Type;
use whatsapp_rust::waproto::whatsapp::message::{
    ExtendedTextMessage, PollEncValue, PollUpdateMessage, ProtocolMessage, ReactionMessage,
};
use whatsapp_rust::waproto::whatsapp::{ContextInfo, Message, MessageKey};

use crate::composing::{Around, Secret, finish};
use crate::inbound::content;
use crate::messages::{Messages, Stored};
use crate::names::{Names, WhoIs};

#[cfg(test)]
mod tests;

/// Why there is no message.
#[derive(Debug)]
pub enum Refused {
    /// It can't be done.
    With(ApiError),
    /// The database fails.
    Sql(SqlError),
}

impl From<SqlError> for Refused {
    fn from(error: SqlError) -> Self {
        Self::Sql(error)
    }
}

impl From<ApiError> for Refused {
    fn from(error: ApiError) -> Self {
        Self::With(error)
    }
}

/// What is at hand: the messages, people's names, this number's own.
pub struct About<'a, S: Sql> {
    /// The messages.
    pub messages: Messages<'a, S>,
    /// People's names.
    pub names: Names<'a, S>,
    /// This number's JID.
    pub own_jid: String,
    /// Its hidden id.
    pub own_lid: Option<String>,
    /// When this is.
    pub now: u64,
}

/// A message that is meant, known or not.
struct Target<'a> {
    chat: &'a str,
    id: &'a str,
    from_me: bool,
    /// Who wrote it, by the name they have in the chat.
    author: Option<String>,
}

impl Target<'_> {
    /// The key others know it by.
    fn key(&self) -> MessageField<MessageKey> {
        let participant = self.author.clone().filter(|_| self.chat.ends_with("@g.us"));
        MessageField::some(MessageKey {
            remote_jid: Some(self.chat.to_owned()),
            from_me: Some(self.from_me),
            id: Some(self.id.to_owned()),
            participant,
        })
    }
}

impl<S: Sql> About<'_, S> {
    /// A reaction, or that it is taken back.
    ///
    /// # Errors
    /// 404 for a message that is not known and whose author isn't named.
    pub fn reaction(&self, id: &str, reaction: &Reaction) -> Result<Message, Refused> {
        let target = self.target(&reaction.chat, id, reaction.sender.as_deref())?;
        let reaction = ReactionMessage {
            key: target.key(),
            text: Some(reaction.emoji.clone()),
            sender_timestamp_ms: i64::try_from(self.now).ok(),
            ..ReactionMessage::default()
        };
        Ok(Message { reaction_message: MessageField::some(reaction), ..Message::default() })
    }

    /// Another text.
    ///
    /// # Errors
    /// 404 for a message that is not known; 409 for one that is somebody else's, has no text, or is too old.
    pub fn edit(&self, id: &str, edit: &Edit) -> Result<Message, Refused> {
        let known = self.known(&edit.chat, id, None)?;
        if !known.from_me {
            return Err(ApiError::conflict("Only who wrote a message can change it.").into());
        }
        if self.now.saturating_sub(known.timestamp) > EDIT_WINDOW_MS {
            return Err(ApiError::conflict("WhatsApp lets a message be changed for 15 minutes only.").into());
        }
        let edited = match known.kind.as_str() {
            "text" => Message { conversation: Some(edit.text.clone()), ..Message::default() },
            "image" | "video" | "document" => {
                if edit.text.chars().count() > MAX_CAPTION_CHARS {
                    let error = format!("A caption must be {MAX_CAPTION_CHARS} characters at most.");
                    return Err(ApiError::validation("text", error).into());
                }
                let raw = self.whole(&known)?;
                let mut edited = content::unwrap(&raw).clone();
                edited.message_context_info = MessageField::none();
                // What may be viewed once must not come out of its wrapper, and video notes have no caption.
                if raw.is_view_once() || !set_words(&mut edited, &edit.text) {
                    return Err(ApiError::conflict("This message has no caption to change.").into());
                }
                edited
            }
            kind => {
                let error = ApiError::conflict(format!("A message of type {kind} has no text to change."));
                return Err(error.into());
            }
        };
        let target = self.target_of(&edit.chat, id, &known);
        let protocol = ProtocolMessage {
            key: target.key(),
            r#type: Some(Type::MESSAGE_EDIT),
            edited_message: MessageField::some(edited),
            timestamp_ms: i64::try_from(self.now).ok(),
            ..ProtocolMessage::default()
        };
        Ok(Message { protocol_message: MessageField::some(protocol), ..Message::default() })
    }

    /// That it is taken back: one's own, or as an admin another's in a group.
    ///
    /// # Errors
    /// 404 for a message that is not known and whose author isn't named; 409 for another's in a chat of two.
    pub fn revoke(&self, id: &str, revoke: &Revoke) -> Result<Message, Refused> {
        let mut target = self.target(&revoke.chat, id, revoke.sender.as_deref())?;
        if target.from_me {
            // Who it is from says `fromMe`, also in groups.
            target.author = None;
        } else if !revoke.chat.ends_with("@g.us") {
            let error = "In a chat of two only who wrote a message can take it back.";
            return Err(ApiError::conflict(error).into());
        }
        let protocol =
            ProtocolMessage { key: target.key(), r#type: Some(Type::REVOKE), ..ProtocolMessage::default() };
        Ok(Message { protocol_message: MessageField::some(protocol), ..Message::default() })
    }

    /// The message once more, as WhatsApp marks what is passed on. Media go by reference.
    ///
    /// # Errors
    /// 404 for a message that is not known; 409 for one that can't be passed on.
    pub fn forward(&self, id: &str, forward: &Forward, secret: Secret) -> Result<Message, Refused> {
        let known = self.known(&forward.chat, id, forward.sender.as_deref())?;
        if known.kind == "album" {
            return Err(ApiError::conflict("Forward the files of an album one by one.").into());
        }
        let raw = self.whole(&known)?;
        if raw.is_view_once() {
            return Err(ApiError::conflict("What may be viewed once can't be forwarded.").into());
        }
        let mut copy = *content::unwrap(&raw).prepare_for_forward();
        if known.edited
            && let Some(body) = &known.body
        {
            set_words(&mut copy, body);
        }
        // For how long messages stay is for the chat it goes to.
        let mut context = ContextInfo {
            expiration: None,
            ephemeral_setting_timestamp: None,
            ephemeral_shared_secret: None,
            disappearing_mode: MessageField::none(),
            ..content::context(&copy).cloned().unwrap_or_default()
        };
        self.let_vanish(&forward.to, &mut context)?;
        Ok(finish(copy, Around { context, secret, album: None }))
    }

    /// A vote, encrypted with the poll's secret.
    ///
    /// # Errors
    /// 404 for a message that is not known or no poll; what [`Vote::check`] refuses; 409 when its secret is not known.
    pub fn vote(&self, id: &str, vote: &Vote) -> Result<Message, Refused> {
        let known = self.known(&vote.chat, id, vote.sender.as_deref())?;
        let poll = known.detail.poll.as_ref().ok_or_else(ApiError::not_found)?;
        vote.check(poll, self.now)?;
        let raw = self.messages.raw(&known)?;
        let secret = raw.as_ref().and_then(content::secret);
        let unreadable =
            || ApiError::conflict("This poll's votes can't be encrypted: its secret is not known.");
        let secret = secret.ok_or_else(unreadable)?;
        // Both names are part of the key, and must be of one kind.
        let target = self.target_of(&vote.chat, id, &known);
        let (creator, voter) = match (&target.author, &self.own_lid) {
            (Some(author), Some(own)) if author.ends_with("@lid") => (author.clone(), own.clone()),
            _ => (known.sender.clone(), self.own_jid.clone()),
        };
        let hashes: Vec<Vec<u8>> =
            vote.options.iter().map(|option| compute_option_hash(option).to_vec()).collect();
        let sealed = encrypt_poll_vote_with_secret(&hashes, secret, id, &creator, &voter);
        let (payload, iv) = sealed.map_err(|_| unreadable())?;
        let update = PollUpdateMessage {
            poll_creation_message_key: target.key(),
            vote: MessageField::some(PollEncValue { enc_payload: Some(payload), enc_iv: Some(iv.to_vec()) }),
            sender_timestamp_ms: i64::try_from(self.now).ok(),
            ..PollUpdateMessage::default()
        };
        Ok(Message { poll_update_message: MessageField::some(update), ..Message::default() })
    }

    /// What a message that answers another, or mentions people, has beside what it says. One that is not known is quoted
    /// by its id alone.
    ///
    /// # Errors
    /// When the database fails.
    pub fn context(
        &self,
        chat: &str,
        reply_to: Option<&str>,
        mentions: &[String],
    ) -> Result<ContextInfo, SqlError> {
        let mut context = ContextInfo { mentioned_jid: mentions.to_vec(), ..ContextInfo::default() };
        self.let_vanish(chat, &mut context)?;
        let Some(id) = reply_to else { return Ok(context) };
        context.stanza_id = Some(id.to_owned());
        let Some(known) = self.find(chat, id, None)? else {
            context.participant = (!chat.ends_with("@g.us")).then(|| chat.to_owned());
            context.quoted_message = MessageField::some(words(""));
            return Ok(context);
        };
        context.participant = self.target_of(chat, id, &known).author;
        // What was taken back is not said again, and what may be viewed once not shown again.
        let body = known.body.as_deref().filter(|_| !known.revoked);
        let raw = self.messages.raw(&known)?.filter(|raw| !known.revoked && !raw.is_view_once());
        let mut quoted = raw.map_or_else(
            || words(body.unwrap_or_default()),
            |raw| *content::unwrap(&raw).prepare_for_quote(),
        );
        quoted.message_context_info = MessageField::none();
        if known.edited
            && let Some(body) = body
        {
            set_words(&mut quoted, body);
        }
        context.quoted_message = MessageField::some(quoted);
        Ok(context)
    }

    /// Where messages vanish after a time, so does this one; else the others would be told that it stays.
    fn let_vanish(&self, chat: &str, context: &mut ContextInfo) -> Result<(), SqlError> {
        if let Some((seconds, since)) = self.messages.expiration(chat)? {
            context.expiration = Some(seconds);
            context.ephemeral_setting_timestamp = since;
        }
        Ok(())
    }

    /// The message a caller means. Without their word only one that is known.
    fn target<'a>(&self, chat: &'a str, id: &'a str, sender: Option<&str>) -> Result<Target<'a>, Refused> {
        if let Some(known) = self.find(chat, id, sender)?.filter(|known| !known.revoked) {
            reached(&known)?;
            return Ok(self.target_of(chat, id, &known));
        }
        let author = sender.ok_or_else(ApiError::not_found)?;
        let from_me = author == self.own_jid || Some(author) == self.own_lid.as_deref();
        let hidden = self.alias(author).filter(|alias| alias.ends_with("@lid") && chat.ends_with("@g.us"));
        Ok(Target { chat, id, from_me, author: hidden.or_else(|| Some(author.to_owned())) })
    }

    fn target_of<'a>(&self, chat: &'a str, id: &'a str, known: &Stored) -> Target<'a> {
        let own = self.own_lid.as_ref().filter(|_| known.from_me);
        let hidden = known.detail.sender_lid.as_ref().or(own);
        // Groups know their members by hidden id, chats of two their partners by number.
        let author = match hidden {
            Some(hidden) if chat.ends_with("@g.us") => hidden.clone(),
            _ => known.sender.clone(),
        };
        Target { chat, id, from_me: known.from_me, author: Some(author).filter(|name| !name.is_empty()) }
    }

    fn known(&self, chat: &str, id: &str, sender: Option<&str>) -> Result<Stored, Refused> {
        let known = self.find(chat, id, sender)?.ok_or_else(ApiError::not_found)?;
        if known.revoked {
            return Err(ApiError::conflict("The message was taken back.").into());
        }
        reached(&known)?;
        Ok(known)
    }

    /// A message as it came.
    fn whole(&self, known: &Stored) -> Result<Message, Refused> {
        let raw = self.messages.raw(known)?;
        Ok(raw.ok_or_else(|| ApiError::conflict("The message was too large to be kept whole."))?)
    }

    /// The message of that id in a chat, by whatever name it goes. Of several that sender's where one is named, else this
    /// number's: nobody gets between it and its own messages by using their ids.
    fn find(&self, chat: &str, id: &str, sender: Option<&str>) -> Result<Option<Stored>, SqlError> {
        let alias = self.alias(chat);
        let mut found = self.messages.find([Some(chat), alias.as_deref()], id)?;
        if let Some(sender) = sender {
            let alias = self.alias(sender);
            found.retain(|one| one.is_by(Some(sender), alias.as_deref()));
        }
        Ok(found.into_iter().min_by_key(|one| !one.from_me))
    }

    /// Somebody's other name.
    fn alias(&self, jid: &str) -> Option<String> {
        if jid == self.own_jid {
            return self.own_lid.clone();
        }
        if Some(jid) == self.own_lid.as_deref() {
            return Some(self.own_jid.clone());
        }
        if jid.ends_with("@lid") { self.names.phone_of(jid) } else { self.names.lid_of(jid) }
    }
}

/// What WhatsApp doesn't have can't be talked about: it would be heard of before it comes.
fn reached(known: &Stored) -> Result<(), ApiError> {
    match known.status.as_deref() {
        Some("failed") => Err(ApiError::conflict("The message was not sent.")),
        Some("pending") => Err(ApiError::conflict("The message has not been sent yet.")),
        _ => Ok(()),
    }
}

fn words(text: &str) -> Message {
    Message { conversation: Some(text.to_owned()), ..Message::default() }
}

/// Gives a message another text, or another caption; `false` for one that has neither.
fn set_words(message: &mut Message, text: &str) -> bool {
    let text = Some(text.to_owned());
    if let Some(it) = message.image_message.as_option_mut() {
        it.caption = text;
    } else if let Some(it) = message.video_message.as_option_mut() {
        it.caption = text;
    } else if let Some(it) = message.document_message.as_option_mut() {
        it.caption = text;
    } else if let Some(it) = message.extended_text_message.as_option_mut() {
        // What its preview showed was of the text before.
        let context_info = it.context_info.take().map(MessageField::some).unwrap_or_default();
        *it = ExtendedTextMessage { text, context_info, ..ExtendedTextMessage::default() };
    } else if message.conversation.is_some() {
        message.conversation = text;
    } else {
        return false;
    }
    true
}
