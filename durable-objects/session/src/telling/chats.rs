//! Chats as the owner arranges them on the phone, their pictures, and channels.

use gateway_domain::event::{ChatUpdatePayload, NewsletterPayload};
use whatsapp_rust::Jid;
use whatsapp_rust::chrono::{DateTime, Utc};
use whatsapp_rust::types::events::{Event, MexNotification};

use super::{Told, millis};
use crate::names::WhoIs;

/// `chat.update`, for everything that changes a chat.
pub fn change(event: &Event, who: &dyn WhoIs) -> Option<Told> {
    if let Event::PictureUpdate(update) = event {
        let payload = ChatUpdatePayload {
            chat_jid: who.name(&update.jid),
            change: "picture".to_owned(),
            picture_id: update.picture_id.clone(),
            removed: Some(update.removed),
        };
        return Some(told(&payload, update.timestamp));
    }
    let (jid, change, timestamp) = arranged(event)?;
    let payload = ChatUpdatePayload {
        chat_jid: who.name(jid),
        change: change.to_owned(),
        ..ChatUpdatePayload::default()
    };
    Some(told(&payload, timestamp))
}

/// What was done to which chat; nothing for the state after a pairing, in which nobody did anything.
fn arranged(event: &Event) -> Option<(&Jid, &'static str, DateTime<Utc>)> {
    let either = |is: Option<bool>, yes, no| if is == Some(false) { no } else { yes };
    let (jid, change, timestamp, is_state) = match event {
        Event::ArchiveUpdate(update) => {
            let change = either(update.action.archived, "archive", "unarchive");
            (&update.jid, change, update.timestamp, update.from_full_sync)
        }
        Event::PinUpdate(update) => {
            let change = either(update.action.pinned, "pin", "unpin");
            (&update.jid, change, update.timestamp, update.from_full_sync)
        }
        Event::MuteUpdate(update) => {
            let change = either(update.action.muted, "mute", "unmute");
            (&update.jid, change, update.timestamp, update.from_full_sync)
        }
        Event::MarkChatAsReadUpdate(update) => {
            let change = either(update.action.read, "read", "unread");
            (&update.jid, change, update.timestamp, update.from_full_sync)
        }
        Event::ClearChatUpdate(update) => (&update.jid, "clear", update.timestamp, update.from_full_sync),
        Event::DeleteChatUpdate(update) => (&update.jid, "delete", update.timestamp, update.from_full_sync),
        _ => return None,
    };
    (!is_state).then_some((jid, change, timestamp))
}

fn told(payload: &ChatUpdatePayload, timestamp: DateTime<Utc>) -> Told {
    let (chat, change, at) = (&payload.chat_jid, &payload.change, millis(timestamp));
    let picture = payload.picture_id.as_deref().unwrap_or_default();
    Told::new("chat.update", payload).once(format!("chat {chat} {change} {picture} {at}"))
}

/// `newsletter.update`: joining, leaving and muting a channel, on whichever device. It comes as an answer of the
/// server's own query language, which the library hands on as it is.
pub fn newsletter(told: &MexNotification) -> Option<Told> {
    let actions = [("join", "join"), ("leave", "leave"), ("mute_change", "mute")];
    let (jid, action) = actions.into_iter().find_map(|(name, action)| {
        let id = told.payload.pointer(&format!("/data/xwa2_notify_newsletter_on_{name}/id"))?;
        Some((id.as_str()?.parse::<Jid>().ok()?, action))
    })?;
    let payload = NewsletterPayload { jid: jid.to_non_ad_string(), action: action.to_owned() };
    let event = Told::new("newsletter.update", &payload);
    Some(match &told.stanza_id {
        Some(id) => event.once(format!("newsletter {} {action} {id}", payload.jid)),
        None => event,
    })
}
