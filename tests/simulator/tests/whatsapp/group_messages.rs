//! Messages in groups: one ciphertext for everybody, and whoever can't read it asks.

use serde_json::{Value, json};
use wacore::types::events::Event;
use wacore_binary::Jid;
use waproto::whatsapp::{Message, MessageKey};
use whatsapp_rust::send::RevokeType;

use crate::support::{Companion, DEADLINE, Simulated, simulator};

pub const ALICE: &str = "5511999990001";
pub const BOB: &str = "5511999990002";
pub const CAROL: &str = "5511999990003";

fn pn(number: &str) -> String {
    format!("{number}@s.whatsapp.net")
}

/// Alice, Bob and Carol with their phones in a group that Alice founded.
pub async fn group() -> (Simulated, Jid) {
    let simulated = simulator().await;
    for number in [ALICE, BOB, CAROL] {
        simulated.phone(number).await;
    }
    let body = json!({ "subject": "Picnic", "creator": ALICE, "participants": [BOB, CAROL] });
    let group = simulated.post("/groups", body).await;
    (simulated, group["jid"].as_str().unwrap().parse().unwrap())
}

async fn lid(simulated: &Simulated, number: &str) -> Jid {
    simulated.phone(number).await["lid"].as_str().unwrap().parse().unwrap()
}

pub async fn say(companion: &Companion, group: &Jid, text: &str) -> String {
    let sent = tokio::time::timeout(DEADLINE, companion.client.send_text(group, text)).await;
    sent.expect("send hangs").unwrap().message_id.clone()
}

/// The message on a phone.
async fn heard(simulated: &Simulated, number: &str, group: &Jid, id: &str) -> Value {
    let got = simulated.received(number, |message| message["messageId"] == id).await;
    assert_eq!(got["chat"], json!(group.to_string()), "{number}");
    got
}

#[tokio::test(flavor = "multi_thread")]
async fn a_companion_is_read_by_everybody_and_its_own_phone() {
    let (simulated, group) = group().await;
    let (alice, _) = Companion::linked(&simulated, ALICE).await;
    let (alice_desktop, _) = Companion::linked(&simulated, ALICE).await;
    let (bob, _) = Companion::linked(&simulated, BOB).await;
    // The first brings the key, the others need none.
    for text in ["one", "two", "three"] {
        let id = say(&alice, &group, text).await;
        let ack = alice.ack(&id).await;
        assert_eq!(ack.error, None);
        for number in [BOB, CAROL, ALICE] {
            let got = heard(&simulated, number, &group, &id).await;
            assert_eq!((&got["text"], &got["from"]), (&json!(text), &json!(pn(ALICE))));
            assert_eq!((&got["fromMe"], &got["fromDevice"]), (&json!(number == ALICE), &json!(1)));
        }
        let got = bob.text(text).await;
        assert_eq!((&got.id, &got.chat, got.from_me), (&id, &group, false));
        assert_eq!(got.sender.to_non_ad(), lid(&simulated, ALICE).await);
        assert!(alice_desktop.text(text).await.from_me);
    }
    let all = simulated.get(&format!("/phones/{BOB}/messages")).await;
    assert_eq!(all["messages"].as_array().unwrap().len(), 3, "and once each");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_phone_is_read_by_companions_and_phones() {
    let (simulated, group) = group().await;
    let (alice, alice_jid) = Companion::linked(&simulated, ALICE).await;
    let (bob, _) = Companion::linked(&simulated, BOB).await;
    for text in ["one", "two"] {
        let id = simulated.send(BOB, &group.to_string(), text).await;
        let got = alice.text(text).await;
        assert_eq!((&got.id, &got.chat, got.from_me), (&id, &group, false));
        assert_eq!(got.sender, lid(&simulated, BOB).await);
        assert!(bob.text(text).await.from_me, "its own companion has it as its own");
        heard(&simulated, CAROL, &group, &id).await;
        simulated
            .receipt(BOB, |receipt| receipt["from"] == pn(ALICE) && receipt["messageIds"] == json!([id]))
            .await;
        simulated
            .receipt(BOB, |receipt| receipt["from"] == pn(CAROL) && receipt["messageIds"] == json!([id]))
            .await;
    }
    simulated.until_device(&alice_jid, |device| device["queueLength"] == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_goes_to_groups_too() {
    let (simulated, group) = group().await;
    let (alice, _) = Companion::linked(&simulated, ALICE).await;
    let to = group.to_string();
    // A poll of the phone's, in which the companion votes; and the other way round.
    let body = json!({ "to": to, "kind": "poll", "name": "When?", "options": ["Now", "Later"], "selectableCount": 1 });
    let poll = simulated.say(BOB, body).await;
    let got = alice.message("poll", |incoming| incoming.id == poll).await;
    let secret = got.message.message_context_info.message_secret.clone().unwrap();
    let choice = ["Later".to_owned()];
    let vote = alice.client.polls().vote(&group, &poll, &got.sender, &secret, &choice).await.unwrap();
    for number in [BOB, CAROL] {
        let vote = heard(&simulated, number, &group, &vote.message_id).await;
        assert_eq!(
            (&vote["content"]["decrypted"], &vote["content"]["selected"][0]["name"]),
            (&json!(true), &json!("Later"))
        );
    }
    let key = MessageKey {
        remote_jid: Some(to.clone()),
        from_me: Some(false),
        id: Some(poll.clone()),
        participant: Some(got.sender.to_non_ad_string()),
    };
    let reaction = alice.client.send_reaction(&group, key, "🎉").await.unwrap();
    let reaction = heard(&simulated, CAROL, &group, &reaction.message_id).await;
    assert_eq!(reaction["content"]["target"]["participant"], json!(lid(&simulated, BOB).await.to_string()));

    let id = say(&alice, &group, "tpyo").await;
    heard(&simulated, BOB, &group, &id).await;
    let corrected = Message { conversation: Some("typo".to_owned()), ..Message::default() };
    alice.client.edit_message(&group, &id, corrected).await.unwrap();
    let edit = simulated.received(CAROL, |message| message["kind"] == "edit").await;
    assert_eq!(
        (&edit["content"]["target"]["id"], &edit["content"]["edited"]["text"]),
        (&json!(id), &json!("typo"))
    );
    let body = json!({ "to": to, "kind": "text", "text": "an answer", "quoted": id });
    let answer = simulated.say(CAROL, body).await;
    let answer = alice.message("answer", |incoming| incoming.id == answer).await.message;
    let context = &answer.extended_text_message.context_info;
    assert_eq!(context.participant, Some(lid(&simulated, ALICE).await.to_string()));
    assert_eq!(context.quoted_message.conversation.as_deref(), Some("tpyo"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_admin_takes_back_what_others_said_and_a_member_cant() {
    let (simulated, group) = group().await;
    let (alice, _) = Companion::linked(&simulated, ALICE).await;
    let (bob, _) = Companion::linked(&simulated, BOB).await;
    let id = simulated.send(CAROL, &group.to_string(), "spam").await;
    let carol = alice.text("spam").await.sender;
    bob.text("spam").await;
    let admin = || RevokeType::Admin { original_sender: carol.clone() };
    alice.client.revoke_message(&group, &id, admin()).await.unwrap();
    let revoke = simulated.received(BOB, |message| message["kind"] == "revoke").await;
    let target = json!({ "id": id, "fromMe": false, "remoteJid": group.to_string(), "participant": carol.to_non_ad_string() });
    assert_eq!(revoke["content"]["target"], target);
    bob.client.revoke_message(&group, &id, admin()).await.unwrap();
    let error = bob.event("refusal", |event| match event {
        Event::ServerAck(ack) if ack.class.as_deref() == Some("message") => ack.error.clone(),
        _ => None,
    });
    assert_eq!(error.await, "403");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_joins_later_reads_what_comes_later() {
    let (simulated, group) = group().await;
    let dave = "5511999990004";
    simulated.phone(dave).await;
    let (alice, _) = Companion::linked(&simulated, ALICE).await;
    let before = say(&alice, &group, "before").await;
    simulated.send(BOB, &group.to_string(), "also before").await;
    heard(&simulated, CAROL, &group, &before).await;
    simulated.post(&format!("/groups/{group}/participants"), json!({ "participants": [dave] })).await;
    alice
        .event("the newcomer", |event| {
            matches!(event, Event::GroupUpdate(update) if update.action.tag_name() == "add").then_some(())
        })
        .await;
    let after = say(&alice, &group, "after").await;
    heard(&simulated, dave, &group, &after).await;
    let also = simulated.send(BOB, &group.to_string(), "also after").await;
    heard(&simulated, dave, &group, &also).await;
    let all = simulated.get(&format!("/phones/{dave}/messages")).await;
    let texts: Vec<_> = all["messages"].as_array().unwrap().iter().map(|message| &message["text"]).collect();
    assert_eq!(texts, ["after", "also after"]);
    // A device that is linked later as well.
    let (dave_web, _) = Companion::linked(&simulated, dave).await;
    let id = say(&alice, &group, "to all of you").await;
    assert_eq!(dave_web.text("to all of you").await.id, id);
    simulated.send(BOB, &group.to_string(), "and from me").await;
    dave_web.text("and from me").await;
    // And whoever has left neither reads nor writes.
    simulated.delete_any(&format!("/groups/{group}/participants/{dave}")).await;
    simulated.send(BOB, &group.to_string(), "he is gone").await;
    alice.text("he is gone").await;
    assert!(!dave_web.unasked().contains(&"he is gone".to_owned()));
    let body = json!({ "to": group.to_string(), "text": "let me in" });
    let (status, answer) = simulated.call("POST", &format!("/phones/{dave}/messages"), Some(body)).await;
    assert_eq!((status, &answer["error"]["code"]), (403, &json!("not_in_group")));
    // The client asks who is in the group before it writes there.
    let refused = dave_web.client.send_text(&group, "let me in").await.unwrap_err();
    assert!(refused.to_string().contains("403"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn in_a_group_of_announcements_only_admins_write() {
    let (simulated, group) = group().await;
    let (bob, _) = Companion::linked(&simulated, BOB).await;
    simulated.call("PATCH", &format!("/groups/{group}"), Some(json!({ "announce": true }))).await;
    let id = say(&bob, &group, "may I?").await;
    assert_eq!(bob.ack(&id).await.error.as_deref(), Some("403"));
    simulated.send(ALICE, &group.to_string(), "I may").await;
    bob.text("I may").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_cant_read_it_asks_and_gets_it_again() {
    let (simulated, group) = group().await;
    let (alice, alice_jid) = Companion::linked(&simulated, ALICE).await;
    let corrupt = |target: &str| json!({ "kind": "corrupt_ciphertext", "target": target });
    // The key itself, then a message under a key that is known; at a phone and at a companion.
    for text in ["with the key", "without"] {
        simulated.fault(corrupt(CAROL)).await;
        let id = say(&alice, &group, text).await;
        assert_eq!(heard(&simulated, CAROL, &group, &id).await["text"], text);
        heard(&simulated, BOB, &group, &id).await;
        simulated.fault(corrupt(&alice_jid)).await;
        let id = simulated.send(BOB, &group.to_string(), &format!("{text} too")).await;
        assert_eq!(alice.text(&format!("{text} too")).await.id, id);
        assert_eq!(simulated.get("/faults").await["faults"], json!([]));
        let sent = simulated.get(&format!("/sent/{id}")).await;
        assert_eq!(sent["stanzas"], json!([]), "phones aren't counted");
    }
    let id = say(&alice, &group, "and on").await;
    assert_eq!(heard(&simulated, CAROL, &group, &id).await["text"], "and on");
    simulated.send(BOB, &group.to_string(), "and on too").await;
    alice.text("and on too").await;
    for number in [BOB, CAROL] {
        let all = simulated.get(&format!("/phones/{number}/messages")).await;
        let mut ids: Vec<_> =
            all["messages"].as_array().unwrap().iter().map(|m| m["messageId"].to_string()).collect();
        let total = ids.len();
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), total, "nothing twice");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_hash_over_all_devices_is_the_servers() {
    let (simulated, group) = group().await;
    let (alice, _) = Companion::linked(&simulated, ALICE).await;
    let (_bob, _) = Companion::linked(&simulated, BOB).await;
    let node = alice.client.acquire_raw_node_forwarding();
    let id = say(&alice, &group, "hashed").await;
    let theirs = alice.event("ack", |event| match event {
        Event::RawNode(node) if node.get().tag == "ack" => {
            let node = node.get();
            let attr = |name| node.get_attr(name).map(|value| value.as_str().into_owned());
            (attr("id")? == id).then(|| attr("phash"))
        }
        _ => None,
    });
    let theirs = theirs.await.expect("a hash");
    drop(node);
    let mut devices = Vec::new();
    for (number, companions) in [(ALICE, vec![0, 1]), (BOB, vec![0, 1]), (CAROL, vec![0])] {
        let lid = lid(&simulated, number).await;
        devices.extend(companions.into_iter().map(|device| lid.with_device(device)));
    }
    assert_eq!(theirs, wacore::messages::MessageUtils::participant_list_hash(&devices).unwrap());
}
