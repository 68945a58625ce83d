//! What happens around the messages: to chats, people, groups and channels.

use serde::Serialize;
use utoipa::ToSchema;

/// `presence.update`. It comes of those only whose presence was asked for, and of whoever writes to this number
/// right now while it is online itself: that is what bounds it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PresenceStatus {
    /// Who.
    pub from: String,
    /// The chat they write in; missing when they are merely there or not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chat_jid: Option<String>,
    /// `unknown`, `available`, `unavailable`, `composing` or `paused`.
    pub state: String,
    /// What they compose: `text` or `audio`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub media: Option<String>,
    /// Whether they are not there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unavailable: Option<bool>,
    /// When they were last there, if they let that be seen; epoch milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_seen: Option<u64>,
}

/// `chat.update`
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ChatUpdatePayload {
    /// The chat.
    pub chat_jid: String,
    /// `archive`, `unarchive`, `pin`, `unpin`, `mute`, `unmute`, `read`, `unread`, `clear`, `delete` or `picture`.
    pub change: String,
    /// The new picture.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub picture_id: Option<String>,
    /// Whether the picture was taken away.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub removed: Option<bool>,
}

/// `contact.update`. With nothing but a JID: something of theirs has changed that WhatsApp does not hand along.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ContactUpdatePayload {
    /// Who.
    pub jid: String,
    /// Their first name in the address book.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_name: Option<String>,
    /// Their name in the address book.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub full_name: Option<String>,
    /// The name they gave themselves.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub push_name: Option<String>,
}

/// `group.update`, `group.participant`. With nothing but the group: something of it has changed that has no field here.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct GroupPayload {
    /// The group.
    pub group_jid: String,
    /// Who changed it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sender: Option<String>,
    /// What it is called now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// What it is about now; empty when that was taken away.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Whether only admins may write.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub is_announce: Option<bool>,
    /// Whether only admins may change it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub is_locked: Option<bool>,
    /// The link that leads into it now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub new_invite_link: Option<String>,
    /// Who came.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub join: Option<Vec<String>>,
    /// Who went.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub leave: Option<Vec<String>>,
    /// Who is an admin now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub promote: Option<Vec<String>>,
    /// Who is none any more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub demote: Option<Vec<String>>,
    /// Why, in WhatsApp's word: `invite` for who came by a link.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When, epoch milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<u64>,
}

/// `call.incoming`: somebody calls.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CallPayload {
    /// The call.
    pub call_id: String,
    /// Who calls.
    pub from: String,
    /// Whether it is a group that is called.
    pub is_group: bool,
    /// Which one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group_jid: Option<String>,
    /// When, epoch milliseconds.
    pub timestamp: u64,
}

/// `newsletter.update`
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct NewsletterPayload {
    /// The channel.
    pub jid: String,
    /// `join`, `leave` or `mute` (muted, or not any more).
    pub action: String,
}
