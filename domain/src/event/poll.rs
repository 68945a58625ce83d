//! Polls.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A question to vote on, as its message has it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PollData {
    /// The question.
    pub name: String,
    /// What can be voted for.
    pub options: Vec<String>,
    /// How many of them one may choose; 0 is any number.
    pub selectable_count: u32,
    /// When the vote closes, epoch milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end_time: Option<u64>,
    /// Whether it stays hidden who voted for what.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hide_votes: Option<bool>,
}

/// `poll.recap`: how a poll ended that had an `endTime`, told once, some seconds after it. It counts the votes this session
/// has seen and could read; WhatsApp has no list of them. A session that is not connected then tells it when it is again,
/// but no later than in an hour.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PollRecapPayload {
    /// The chat.
    pub chat_jid: String,
    /// The poll's message.
    pub poll_message_id: String,
    /// The question.
    pub name: String,
    /// How many options one could choose; 0 is any number.
    pub selectable_count: u32,
    /// When the vote closed, epoch milliseconds.
    pub end_time: u64,
    /// Whether it stays hidden who voted for what.
    pub hide_votes: bool,
    /// How many votes each option got.
    pub options: Vec<PollRecapOption>,
    /// How many people voted.
    pub total_votes: u64,
    /// Who voted for what, as many as fit; left out when that is hidden.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub voters: Option<Vec<PollRecapVoter>>,
}

/// An option of a poll that ended.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct PollRecapOption {
    /// The option.
    pub option: String,
    /// How many voted for it.
    pub count: u64,
}

/// Somebody who voted in a poll that ended.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PollRecapVoter {
    /// Their JID.
    pub voter_id: String,
    /// What they are called.
    pub display_name: String,
    /// What they voted for.
    pub selected_options: Vec<String>,
}
