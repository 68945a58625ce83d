//! People: whether they are there, what they are called, and that they call.

use gateway_domain::event::{CallPayload, ContactUpdatePayload, PresenceStatus};
use whatsapp_rust::chrono::{DateTime, Utc};
use whatsapp_rust::types::call::{CallAction, IncomingCall};
use whatsapp_rust::types::events::{ChatPresenceUpdate, ContactUpdate, PresenceUpdate, PushNameUpdate};
use whatsapp_rust::types::presence::{ChatPresence, ChatPresenceMedia};
use whatsapp_rust::{Jid, Server};

use super::{Told, millis};
use crate::names::WhoIs;

/// Somebody is there, or not.
pub fn presence(update: &PresenceUpdate, who: &dyn WhoIs) -> Told {
    let payload = PresenceStatus {
        from: who.name(&update.from),
        state: if update.unavailable { "unavailable" } else { "available" }.to_owned(),
        unavailable: Some(update.unavailable),
        last_seen: update.last_seen.map(millis),
        ..PresenceStatus::default()
    };
    Told::new("presence.update", &payload)
}

/// Somebody writes, speaks, or has stopped.
pub fn chat_presence(update: &ChatPresenceUpdate, who: &dyn WhoIs) -> Told {
    let media = match update.media {
        ChatPresenceMedia::Text => "text",
        ChatPresenceMedia::Audio => "audio",
    };
    let is_composing = update.state == ChatPresence::Composing;
    let payload = PresenceStatus {
        from: who.name(&update.source.sender),
        chat_jid: Some(who.name(&update.source.chat)),
        state: if is_composing { "composing" } else { "paused" }.to_owned(),
        media: is_composing.then(|| media.to_owned()),
        ..PresenceStatus::default()
    };
    Told::new("presence.update", &payload)
}

/// An entry of the address book; nothing for the book as a whole.
pub fn in_address_book(update: &ContactUpdate, who: &dyn WhoIs) -> Option<Told> {
    if update.from_full_sync {
        return None;
    }
    let action = &update.action;
    let phone: Option<Jid> = action.pn_jid.as_ref().and_then(|jid| jid.parse().ok());
    let jid = who.name(phone.as_ref().filter(|jid| jid.server == Server::Pn).unwrap_or(&update.jid));
    let payload = ContactUpdatePayload {
        jid,
        first_name: action.first_name.clone(),
        full_name: action.full_name.clone(),
        push_name: None,
    };
    let occasion = format!("contact {} {}", payload.jid, millis(update.timestamp));
    Some(Told::new("contact.update", &payload).once(occasion))
}

/// Somebody calls themselves something else. The library has this event and never sends it (0.7.0): that it changed is
/// told when they next write, see `inbound::take_in`.
pub fn push_name(update: &PushNameUpdate, who: &dyn WhoIs) -> Told {
    let payload = ContactUpdatePayload {
        jid: who.name(&update.jid),
        push_name: Some(update.new_push_name.clone()),
        ..ContactUpdatePayload::default()
    };
    Told::new("contact.update", &payload)
}

/// Something of somebody has changed: their profile, their text about themselves, their number.
pub fn changed(jid: &Jid, timestamp: DateTime<Utc>, who: &dyn WhoIs) -> Told {
    let payload = ContactUpdatePayload { jid: who.name(jid), ..ContactUpdatePayload::default() };
    let occasion = format!("profile {} {}", payload.jid, millis(timestamp));
    Told::new("contact.update", &payload).once(occasion)
}

/// Somebody calls. Only that is told, not how the call goes on; WhatsApp may announce one call in two ways.
pub fn call(call: &IncomingCall, who: &dyn WhoIs) -> Option<Told> {
    let (call_id, creator, phone, is_group, group) = match &call.action {
        CallAction::Offer { call_id, call_creator, caller_pn, group_jid, .. } => {
            (call_id, call_creator, caller_pn.as_ref(), call.group.is_some(), group_jid.as_ref())
        }
        CallAction::OfferNotice { call_id, call_creator, is_group, .. } => {
            (call_id, call_creator, None, *is_group, None)
        }
        _ => return None,
    };
    let group = group.or(Some(&call.from)).filter(|jid| jid.server == Server::Group);
    let payload = CallPayload {
        call_id: call_id.clone(),
        from: who.name(phone.unwrap_or(creator)),
        is_group: is_group || group.is_some(),
        group_jid: group.map(Jid::to_non_ad_string),
        timestamp: millis(call.timestamp),
    };
    Some(Told::new("call.incoming", &payload).once(format!("call {call_id}")))
}
