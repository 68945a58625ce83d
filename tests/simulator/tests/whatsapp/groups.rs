//! Groups as a companion learns of them: by asking, and by being told.

use serde_json::{Value, json};
use wacore::iq::groups::ParticipantType;
use wacore::stanza::groups::GroupNotificationAction as Action;
use wacore::types::events::Event;
use wacore::types::message::AddressingMode;
use wacore_binary::Jid;

use crate::support::{Companion, Simulated, simulator};

const ALICE: &str = "5511999990001";
const BOB: &str = "5511999990002";
const CAROL: &str = "5511999990003";

/// Who was named in an action, as phone numbers.
fn people(action: &Action) -> Vec<String> {
    match action {
        Action::Add { participants, .. } | Action::Remove { participants, .. } => participants
            .iter()
            .map(|participant| {
                assert!(participant.jid.is_lid());
                participant.phone_number.as_ref().unwrap().user.to_string()
            })
            .collect(),
        other => panic!("nobody is named in {other:?}"),
    }
}

/// The next change of that kind in this group, and who made it.
async fn told(companion: &Companion, group: &Jid, tag: &str) -> (Action, String) {
    companion
        .event(tag, |event| match event {
            Event::GroupUpdate(update) if update.group_jid == *group && update.action.tag_name() == tag => {
                assert!(update.is_lid_addressing_mode);
                Some((update.action.clone(), update.participant_pn.as_ref()?.user.to_string()))
            }
            _ => None,
        })
        .await
}

async fn three_phones(simulated: &Simulated) {
    for number in [ALICE, BOB, CAROL] {
        simulated.phone(number).await;
    }
}

fn jid(group: &Value) -> Jid {
    group["jid"].as_str().unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_companion_reads_everything_about_its_groups() {
    let simulated = simulator().await;
    three_phones(&simulated).await;
    let (companion, _) = Companion::linked(&simulated, ALICE).await;
    assert!(companion.client.groups().get_participating().await.unwrap().is_empty());
    let group = simulated
        .post(
            "/groups",
            json!({ "subject": "Picnic", "creator": BOB, "participants": [ALICE, CAROL], "admins": [ALICE],
                    "description": "Sunday, noon", "announce": true, "locked": true, "ephemeral": 86_400 }),
        )
        .await;
    simulated.post("/groups", json!({ "subject": "Without Alice", "creator": BOB })).await;
    let jid = jid(&group);
    let (action, by) = told(&companion, &jid, "create").await;
    assert!(matches!(action, Action::Create { .. }));
    assert_eq!(by, BOB);

    let groups = companion.client.groups().get_participating().await.unwrap();
    assert_eq!(groups.keys().collect::<Vec<_>>(), [&jid]);
    let bob: Jid = simulated.phone(BOB).await["lid"].as_str().unwrap().parse().unwrap();
    for metadata in [groups[&jid].clone(), companion.client.groups().get_metadata(&jid).await.unwrap()] {
        assert_eq!((metadata.id, metadata.subject.as_str()), (jid.clone(), "Picnic"));
        assert_eq!((&metadata.creator, &metadata.subject_owner), (&Some(bob.clone()), &Some(bob.clone())));
        assert_eq!(metadata.subject_owner_pn.unwrap().user, BOB);
        assert_eq!(metadata.creation_time, group["creation"].as_u64());
        assert_eq!(metadata.subject_time, group["subjectTime"].as_u64());
        assert_eq!(metadata.addressing_mode, AddressingMode::Lid);
        assert_eq!(metadata.description.as_deref(), Some("Sunday, noon"));
        assert!(metadata.description_id.is_some());
        assert!(metadata.is_announcement && metadata.is_locked);
        assert_eq!(metadata.ephemeral.unwrap().expiration, Some(86_400));
        assert_eq!(metadata.size, Some(3));
        let participants: Vec<_> = metadata
            .participants
            .iter()
            .map(|known| {
                assert!(known.jid.is_lid());
                (known.phone_number.as_ref().unwrap().user.to_string(), known.participant_type)
            })
            .collect();
        let expected = [
            (BOB.to_owned(), ParticipantType::SuperAdmin),
            (ALICE.to_owned(), ParticipantType::Admin),
            (CAROL.to_owned(), ParticipantType::Member),
        ];
        assert_eq!(participants, expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn members_are_told_what_changes_and_strangers_are_told_nothing() {
    let simulated = simulator().await;
    three_phones(&simulated).await;
    let (alice, _) = Companion::linked(&simulated, ALICE).await;
    let (carol, _) = Companion::linked(&simulated, CAROL).await;
    let body = json!({ "subject": "Picnic", "creator": BOB, "participants": [ALICE] });
    let group = simulated.post("/groups", body).await;
    let jid = jid(&group);
    let path = format!("/groups/{jid}");
    told(&alice, &jid, "create").await;
    let refused = carol.client.groups().get_metadata(&jid).await.unwrap_err().to_string();
    assert!(refused.contains("403"), "{refused}");
    let unknown: Jid = "120363000000000000@g.us".parse().unwrap();
    let refused = alice.client.groups().get_metadata(&unknown).await.unwrap_err().to_string();
    assert!(refused.contains("404"), "{refused}");

    simulated.post(&format!("{path}/participants"), json!({ "participants": [CAROL], "by": ALICE })).await;
    let (action, by) = told(&alice, &jid, "add").await;
    assert_eq!((people(&action), by.as_str()), (vec![CAROL.to_owned()], ALICE));
    told(&carol, &jid, "create").await;
    assert_eq!(carol.client.groups().get_metadata(&jid).await.unwrap().participants.len(), 3);

    let renamed = simulated.call("PATCH", &path, Some(json!({ "subject": "Barbecue", "by": ALICE }))).await;
    assert_eq!((renamed.0, &renamed.1["subject"]), (200, &json!("Barbecue")));
    let (action, _) = told(&carol, &jid, "subject").await;
    assert!(matches!(action, Action::Subject { subject, .. } if subject == "Barbecue"));
    // One after the other: the client may look at two notifications in any order.
    let changes = [
        (json!({ "description": "Bring salad" }), "description"),
        (json!({ "announce": true }), "announcement"),
        (json!({ "announce": false }), "not_announcement"),
        (json!({ "locked": true }), "locked"),
        (json!({ "ephemeral": 60 }), "ephemeral"),
    ];
    for (change, tag) in changes {
        simulated.call("PATCH", &path, Some(change)).await;
        told(&carol, &jid, tag).await;
    }

    // Told while asleep, like everything else.
    let alice = alice.stop().await;
    simulated.call("DELETE", &format!("{path}/participants/{ALICE}"), None).await;
    let (action, by) = told(&carol, &jid, "remove").await;
    assert_eq!((people(&action), by.as_str()), (vec![ALICE.to_owned()], BOB));
    let alice = alice.start().await;
    told(&alice, &jid, "remove").await;
    alice.client.groups().get_metadata(&jid).await.unwrap_err();
    assert!(alice.client.groups().get_participating().await.unwrap().is_empty());
    assert_eq!(simulated.get(&path).await["participants"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn groups_of_nobody_and_acts_of_strangers_are_refused() {
    let simulated = simulator().await;
    three_phones(&simulated).await;
    let group = simulated.post("/groups", json!({ "subject": "Two", "creator": BOB })).await;
    let path = format!("/groups/{}", jid(&group));
    let people = format!("{path}/participants");
    let cases = [
        ("GET", "/groups/120363@g.us", None, 404, "not_found"),
        ("POST", "/groups", Some(json!({ "subject": "?", "creator": "999999" })), 404, "not_on_whatsapp"),
        ("POST", "/groups", Some(json!({ "creator": BOB })), 400, "invalid_request"),
        ("POST", &people, Some(json!({ "participants": ["999999"] })), 404, "not_on_whatsapp"),
        ("POST", &people, Some(json!({ "participants": [CAROL], "by": ALICE })), 403, "not_in_group"),
        ("DELETE", &format!("{people}/{CAROL}"), None, 404, "not_found"),
    ];
    for (method, path, body, status, code) in cases {
        let (answered, body) = simulated.call(method, path, body).await;
        assert_eq!((answered, &body["error"]["code"]), (status, &json!(code)), "{method} {path}");
    }
    assert_eq!(simulated.get("/groups").await, json!({ "groups": [group] }));
}
