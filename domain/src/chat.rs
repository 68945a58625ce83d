//! A chat, as it is kept and shown.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::jid::{ChatJid, Server};

/// What a chat is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ChatType {
    /// With one person.
    Dm,
    /// A group.
    Group,
    /// A channel.
    Newsletter,
    /// A list of recipients.
    Broadcast,
    /// Status updates.
    Status,
}

impl ChatType {
    /// The type of the chat with this JID.
    #[must_use]
    pub const fn of(jid: &ChatJid) -> Self {
        match jid.server {
            Server::Group => Self::Group,
            Server::Newsletter => Self::Newsletter,
            Server::Phone | Server::Lid => Self::Dm,
        }
    }
}

/// A chat.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Chat {
    /// Its number within the session.
    pub id: i64,
    /// The session.
    pub session_id: String,
    /// Its JID.
    pub jid: String,
    /// What it is.
    pub r#type: ChatType,
    /// What it is called: the name in the address book, the name somebody chose, a group's subject.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The other JIDs it goes by.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub aliases: Option<Vec<String>>,
    /// How many messages came that nobody has read, on this device or another.
    pub unread_count: i64,
    /// Whether the owner archived it on the phone, since the session was linked.
    pub archived: bool,
    /// Whether the owner pinned it on the phone, since the session was linked.
    pub pinned: bool,
    /// When its newest message was sent, epoch milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_message_at: Option<u64>,
    /// Until when the owner muted it, epoch milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub muted_until: Option<u64>,
}
