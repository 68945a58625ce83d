//! What is told of groups.

use serde_json::{Value, json};
use whatsapp_rust::NodeBuilder;
use whatsapp_rust::types::events::{Event, GroupUpdate};
use whatsapp_rust::wacore::stanza::groups::{GroupNotificationAction as Action, GroupParticipantInfo};

use super::{AT, Ann, at, jid, told};
use crate::telling::tell;

pub(super) fn group(action: Action) -> Event {
    let update = GroupUpdate::builder()
        .group_jid(jid("1@g.us"))
        .notification_id("N1".into())
        .participant(jid("778@lid"))
        .participant_pn(jid("4918@s.whatsapp.net"))
        .timestamp(at())
        .is_lid_addressing_mode(true)
        .action(action);
    Event::GroupUpdate(update.build())
}

/// What is told of a group besides the group, who changed it and when.
fn told_of_group(action: Action) -> (&'static str, Value) {
    let (event, mut payload) = told(&group(action));
    for (field, usual) in
        [("groupJid", json!("1@g.us")), ("sender", json!("4918@s.whatsapp.net")), ("timestamp", json!(AT))]
    {
        assert_eq!(payload.as_object_mut().unwrap().remove(field), Some(usual));
    }
    (event, payload)
}

#[test]
fn who_comes_and_goes_in_a_group_is_told() {
    let people = || {
        let participant = |jid: &str, phone_number: Option<&str>| GroupParticipantInfo {
            jid: super::jid(jid),
            phone_number: phone_number.map(super::jid),
            display_name: None,
            r#type: None,
            lid: None,
            username: None,
            join_time: None,
            group_history_sent_state: None,
        };
        vec![
            participant("777@lid", None),
            participant("779@lid", Some("4919@s.whatsapp.net")),
            participant("780@lid", None),
        ]
    };
    let names = json!(["4917@s.whatsapp.net", "4919@s.whatsapp.net", "780@lid"]);
    for (action, payload) in [
        (
            Action::Add { participants: people(), reason: Some("invite".into()) },
            json!({"join": names, "reason": "invite"}),
        ),
        (Action::Remove { participants: people(), reason: None }, json!({"leave": names})),
        (Action::Promote { participants: people() }, json!({"promote": names})),
        (Action::Demote { participants: people() }, json!({"demote": names})),
    ] {
        assert_eq!(told_of_group(action), ("group.participant", payload));
    }
}

#[test]
fn what_changes_about_a_group_is_told() {
    let description =
        |text: Option<&str>| Action::Description { id: "D".into(), description: text.map(str::to_owned) };
    let created =
        NodeBuilder::new("create").children([NodeBuilder::new("group").attr("subject", "Choir").build()]);
    for (action, payload) in [
        (
            Action::Subject { subject: "Choir".into(), subject_owner: None, subject_time: None },
            json!({"subject": "Choir"}),
        ),
        (description(Some("We sing")), json!({"description": "We sing"})),
        (description(None), json!({"description": ""})),
        (Action::Announce, json!({"isAnnounce": true})),
        (Action::NotAnnounce, json!({"isAnnounce": false})),
        (Action::Locked { threshold: None }, json!({"isLocked": true})),
        (Action::Unlocked, json!({"isLocked": false})),
        (Action::Invite { code: "AbC".into() }, json!({"newInviteLink": "https://chat.whatsapp.com/AbC"})),
        (Action::Create { raw: created.build() }, json!({"subject": "Choir"})),
        (Action::Delete { reason: Some("gone".into()) }, json!({"reason": "gone"})),
        (Action::RevokeInvite, json!({})),
        (Action::MembershipApprovalMode { enabled: true }, json!({})),
    ] {
        assert_eq!(told_of_group(action), ("group.update", payload));
    }
    assert!(tell(&group(Action::Unknown { tag: "x".into() }), &Ann).is_none());
}
