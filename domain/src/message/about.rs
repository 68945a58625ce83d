//! What a caller may do with a message: change it, take it back, react to it, pass it on, vote in it. The message is
//! `{mid}` of the path, within `chat` of the body.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::error::ApiError;
use crate::event::PollData;
use crate::jid::Server;

use super::compose::poll_options;
use super::emoji::is_emoji;
use super::fields::{chat, person, required, text};
use super::limits;
use super::request::from_objects_only;

/// What an edit takes.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, remote = "Self")]
pub struct EditMessageInputBody {
    /// The chat the message is in. Required.
    pub chat: Option<String>,
    /// The new text or caption, 1 to 65536 characters. Required.
    pub text: Option<String>,
}

/// What a revocation takes.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, remote = "Self")]
pub struct RevokeMessageInputBody {
    /// The chat the message is in. Required.
    pub chat: Option<String>,
    /// Who wrote it, when an admin takes back somebody else's message in a group.
    pub sender: Option<String>,
}

/// What a reaction, and taking one back, takes.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, remote = "Self")]
pub struct ReactionInputBody {
    /// The chat the message is in. Required.
    pub chat: Option<String>,
    /// One emoji. Required to react; without meaning when a reaction is taken back.
    pub emoji: Option<String>,
    /// Who wrote the message, where the gateway can't know: in a group, before it was there.
    pub sender: Option<String>,
}

/// What passing a message on takes.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, remote = "Self")]
pub struct ForwardInputBody {
    /// The chat the message is in. Required.
    pub chat: Option<String>,
    /// Who wrote it, where the gateway can't know.
    pub sender: Option<String>,
    /// The chat it goes to. Required.
    pub to: Option<String>,
}

/// What a vote takes.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, remote = "Self")]
pub struct VoteInputBody {
    /// The chat the poll is in. Required.
    pub chat: Option<String>,
    /// The options that are voted for, as the poll has them; none takes the vote back. Required.
    pub options: Option<Vec<String>>,
    /// Who made the poll, where the gateway can't know.
    pub sender: Option<String>,
}

from_objects_only!(
    EditMessageInputBody,
    RevokeMessageInputBody,
    ReactionInputBody,
    ForwardInputBody,
    VoteInputBody,
);

/// A message gets another text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Edit {
    /// The chat's canonical JID.
    pub chat: String,
    /// The new text, or caption.
    pub text: String,
}

/// A message is taken back, for everyone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revoke {
    /// The chat's canonical JID.
    pub chat: String,
    /// Who wrote it, if the caller says so; a canonical JID.
    pub sender: Option<String>,
}

/// A message gets a reaction, or loses it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reaction {
    /// The chat's canonical JID.
    pub chat: String,
    /// One emoji; empty, as WhatsApp wants it, when the reaction is taken back.
    pub emoji: String,
    /// Who wrote the message, if the caller says so; a canonical JID.
    pub sender: Option<String>,
}

/// A message is passed on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Forward {
    /// The canonical JID of the chat it is in.
    pub chat: String,
    /// Who wrote it, if the caller says so; a canonical JID.
    pub sender: Option<String>,
    /// The canonical JID of the chat it goes to.
    pub to: String,
}

/// A vote in a poll.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vote {
    /// The chat's canonical JID.
    pub chat: String,
    /// What is voted for; nothing when the vote is taken back.
    pub options: Vec<String>,
    /// Who made the poll, if the caller says so; a canonical JID.
    pub sender: Option<String>,
}

impl EditMessageInputBody {
    /// Checks the body.
    ///
    /// # Errors
    /// `validation_error` naming the field; `not_implemented` for a channel.
    pub fn into_edit(self) -> Result<Edit, ApiError> {
        let chat = no_channel(self.chat)?;
        Ok(Edit { chat, text: text("text", required("text", self.text)?, limits::MAX_TEXT_CHARS)? })
    }
}

impl RevokeMessageInputBody {
    /// Checks the body.
    ///
    /// # Errors
    /// `validation_error` naming the field; `not_implemented` for a channel.
    pub fn into_revoke(self) -> Result<Revoke, ApiError> {
        Ok(Revoke { chat: no_channel(self.chat)?, sender: written_by(self.sender)? })
    }
}

impl ReactionInputBody {
    /// Checks the body of a reaction.
    ///
    /// # Errors
    /// `validation_error` naming the field; `not_implemented` for a channel.
    pub fn into_reaction(self) -> Result<Reaction, ApiError> {
        let chat = no_channel(self.chat)?;
        let emoji = required("emoji", self.emoji)?;
        if !is_emoji(&emoji) {
            return Err(ApiError::validation("emoji", "Must be one emoji."));
        }
        Ok(Reaction { chat, emoji, sender: written_by(self.sender)? })
    }

    /// Checks the body of taking a reaction back. The schema is the same; which emoji it was doesn't matter.
    ///
    /// # Errors
    /// `validation_error` naming the field; `not_implemented` for a channel.
    pub fn into_removal(self) -> Result<Reaction, ApiError> {
        if self.emoji.is_some_and(|emoji| !emoji.is_empty() && !is_emoji(&emoji)) {
            return Err(ApiError::validation("emoji", "Must be one emoji, or nothing."));
        }
        Ok(Reaction { chat: no_channel(self.chat)?, emoji: String::new(), sender: written_by(self.sender)? })
    }
}

impl ForwardInputBody {
    /// Checks the body.
    ///
    /// # Errors
    /// `validation_error` naming the field; `not_implemented` for a channel to forward to.
    pub fn into_forward(self) -> Result<Forward, ApiError> {
        let (within, sender) = (within(self.chat)?, written_by(self.sender)?);
        let to = chat("to", &required("to", self.to)?)?;
        if to.server == Server::Newsletter {
            let error = ApiError::not_implemented("This version does not forward to channels.");
            return Err(error.with("field", "to"));
        }
        Ok(Forward { chat: within, sender, to: to.to_string() })
    }
}

impl VoteInputBody {
    /// Checks the body, as far as it can be without the poll.
    ///
    /// # Errors
    /// `validation_error` naming the field; `not_implemented` for a poll in a channel.
    pub fn into_vote(self) -> Result<Vote, ApiError> {
        let chat = no_channel(self.chat)?;
        let options = required("options", self.options)?;
        if options.len() > limits::MAX_POLL_OPTIONS {
            return Err(ApiError::validation("options", "Must be 12 at most."));
        }
        let options = poll_options(options)?;
        Ok(Vote { chat, options, sender: written_by(self.sender)? })
    }
}

impl Vote {
    /// Checks the vote against its poll.
    ///
    /// # Errors
    /// `validation_error` naming the option the poll doesn't have, or `options` when they are too many; `conflict` when
    /// the poll is closed.
    pub fn check(&self, poll: &PollData, now: u64) -> Result<(), ApiError> {
        if poll.end_time.is_some_and(|ends| ends <= now) {
            return Err(ApiError::conflict("The poll is closed."));
        }
        if let Some(index) = self.options.iter().position(|option| !poll.options.contains(option)) {
            return Err(ApiError::validation(&format!("options[{index}]"), "Is no option of this poll."));
        }
        let most = usize::try_from(poll.selectable_count).unwrap_or(usize::MAX);
        if most > 0 && self.options.len() > most {
            return Err(ApiError::validation("options", format!("Must be {most} at most in this poll.")));
        }
        Ok(())
    }
}

/// An id names a message within its chat only.
fn within(given: Option<String>) -> Result<String, ApiError> {
    Ok(chat("chat", &required("chat", given)?)?.to_string())
}

/// The same where something is said about the message: in a channel that goes another way, and would be a post of its own.
fn no_channel(given: Option<String>) -> Result<String, ApiError> {
    let chat = chat("chat", &required("chat", given)?)?;
    if chat.server == Server::Newsletter {
        let error = "This version can't change posts of channels, react to them or vote in them.";
        return Err(ApiError::not_implemented(error).with("field", "chat"));
    }
    Ok(chat.to_string())
}

fn written_by(sender: Option<String>) -> Result<Option<String>, ApiError> {
    sender.map(|sender| person("sender", &sender)).transpose()
}
