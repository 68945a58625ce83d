//! Groups: who comes and goes, and what else changes.

use std::borrow::Cow;

use gateway_domain::event::GroupPayload;
use whatsapp_rust::types::events::GroupUpdate;
use whatsapp_rust::wacore::stanza::groups::{GroupNotificationAction as Action, GroupParticipantInfo};
use whatsapp_rust::wacore_binary::Node;

use super::{Told, millis};
use crate::names::WhoIs;

/// Where an invite code leads.
const INVITE: &str = "https://chat.whatsapp.com/";

/// `group.participant` where members change, else `group.update`; nothing for what is not known to change anything.
pub fn update(update: &GroupUpdate, who: &dyn WhoIs) -> Option<Told> {
    let mut payload = GroupPayload {
        group_jid: update.group_jid.to_non_ad_string(),
        sender: update.participant_pn.as_ref().or(update.participant.as_ref()).map(|jid| who.name(jid)),
        timestamp: Some(millis(update.timestamp)),
        ..GroupPayload::default()
    };
    let event = if members(&mut payload, &update.action, who) {
        "group.participant"
    } else if matches!(update.action, Action::Unknown { .. }) {
        return None;
    } else {
        settings(&mut payload, &update.action);
        "group.update"
    };
    // Several changes may come in one notification.
    let notification = update.notification_id.clone().unwrap_or_else(|| update.timestamp.to_string());
    let occasion = format!("group {} {notification} {}", payload.group_jid, update.action_index);
    Some(Told::new(event, &payload).once(occasion))
}

/// Whether it is about members.
fn members(payload: &mut GroupPayload, action: &Action, who: &dyn WhoIs) -> bool {
    let names = |people: &[GroupParticipantInfo]| Some(people.iter().map(|one| name(one, who)).collect());
    match action {
        Action::Add { participants, reason } => {
            payload.join = names(participants);
            payload.reason.clone_from(reason);
        }
        Action::Remove { participants, reason } => {
            payload.leave = names(participants);
            payload.reason.clone_from(reason);
        }
        Action::Promote { participants } => payload.promote = names(participants),
        Action::Demote { participants } => payload.demote = names(participants),
        _ => return false,
    }
    true
}

fn name(one: &GroupParticipantInfo, who: &dyn WhoIs) -> String {
    who.name(one.phone_number.as_ref().unwrap_or(&one.jid))
}

fn settings(payload: &mut GroupPayload, action: &Action) {
    match action {
        Action::Subject { subject, .. } => payload.subject = Some(subject.clone()),
        Action::Description { description, .. } => {
            payload.description = Some(description.clone().unwrap_or_default());
        }
        Action::Announce => payload.is_announce = Some(true),
        Action::NotAnnounce => payload.is_announce = Some(false),
        Action::Locked { .. } => payload.is_locked = Some(true),
        Action::Unlocked => payload.is_locked = Some(false),
        Action::Invite { code } => payload.new_invite_link = Some(format!("{INVITE}{code}")),
        Action::Delete { reason } => payload.reason.clone_from(reason),
        Action::Unlink { unlink_reason, .. } => payload.reason.clone_from(unlink_reason),
        Action::Create { raw } => payload.subject = subject(raw),
        _ => {}
    }
}

/// What a new group is called.
fn subject(created: &Node) -> Option<String> {
    let group = created.get_optional_child("group")?;
    group.attrs().optional_string("subject").map(Cow::into_owned)
}
