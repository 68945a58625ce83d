//! What a session is asked to send: something new, or something about a message.

use serde::{Deserialize, Serialize};

use super::about::{Edit, Forward, Reaction, Revoke, Vote};
use super::outgoing::Outgoing;

/// What a session is asked to send. Of what is about a message, `id` is that message's id on WhatsApp.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "the fields of a variant are its id and what the variant is named for")]
pub enum Task {
    /// A message.
    Say(Outgoing),
    /// A message gets another text.
    Edit { id: String, edit: Edit },
    /// A message is taken back.
    Revoke { id: String, revoke: Revoke },
    /// A message gets a reaction, or loses it.
    React { id: String, reaction: Reaction },
    /// A message is passed on.
    Forward { id: String, forward: Forward },
    /// A vote in a poll.
    Vote { id: String, vote: Vote },
}

impl Task {
    /// The chat it goes to.
    #[must_use]
    pub fn to(&self) -> &str {
        match self {
            Self::Say(outgoing) => &outgoing.to,
            Self::Edit { edit, .. } => &edit.chat,
            Self::Revoke { revoke, .. } => &revoke.chat,
            Self::React { reaction, .. } => &reaction.chat,
            Self::Forward { forward, .. } => &forward.to,
            Self::Vote { vote, .. } => &vote.chat,
        }
    }

    /// Whether it has files, given or to be fetched: that takes its time.
    #[must_use]
    pub fn has_files(&self) -> bool {
        matches!(self, Self::Say(outgoing) if !outgoing.content.medias().is_empty())
    }
}
