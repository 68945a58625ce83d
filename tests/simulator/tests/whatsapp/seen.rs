//! Receipts for what was read and played, to whoever wrote it and to the reader's own devices.

use serde_json::json;
use wacore::types::events::Event;
use wacore::types::presence::ReceiptType;
use wacore_binary::Jid;

use crate::group_messages::{self, CAROL};
use crate::kinds_sent::{ALICE, BOB, bob, talking};
use crate::support::{Companion, simulator};

fn pn(number: &str) -> String {
    format!("{number}@s.whatsapp.net")
}

/// The next receipt of this type for this message: the chat it came from, and whose it is.
async fn receipt(companion: &Companion, kind: ReceiptType, id: &str) -> (Jid, Jid) {
    companion
        .event("receipt", |event| match event {
            Event::Receipt(receipt)
                if receipt.r#type == kind && receipt.message_ids.iter().any(|known| *known == id) =>
            {
                Some((receipt.source.chat.clone(), receipt.source.sender.clone()))
            }
            _ => None,
        })
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_voice_note_is_played() {
    let (simulated, companion) = talking().await;
    let id = companion.send(BOB, "pretend this is a voice note").await;
    simulated.received(BOB, |message| message["messageId"] == id).await;
    simulated.post(&format!("/phones/{BOB}/played"), json!({ "chat": ALICE, "messageIds": [id] })).await;
    assert_eq!(receipt(&companion, ReceiptType::Played, &id).await, (bob(), bob()));
    let played = simulated.receipt(ALICE, |receipt| receipt["type"] == "played").await;
    assert_eq!((&played["from"], &played["chat"]), (&json!(pn(BOB)), &json!(pn(BOB))));

    let id = simulated.say(BOB, json!({ "to": ALICE, "kind": "audio", "data": "AAAA", "ptt": true })).await;
    companion.message("note", |incoming| incoming.id == id).await;
    companion.client.mark_as_played(&bob(), None, &[&id]).await.unwrap();
    let played = simulated.receipt(BOB, |receipt| receipt["type"] == "played").await;
    assert_eq!((&played["from"], &played["messageIds"]), (&json!(pn(ALICE)), &json!([id])));
}

#[tokio::test(flavor = "multi_thread")]
async fn in_a_group_each_reader_counts_and_each_writer_hears_of_their_own() {
    let (simulated, group) = group_messages::group().await;
    let (alice, _) = Companion::linked(&simulated, ALICE).await;
    let mine = group_messages::say(&alice, &group, "read me").await;
    let bobs = simulated.send(BOB, &group.to_string(), "and me").await;
    for number in [BOB, CAROL] {
        simulated.received(number, |message| message["messageId"] == mine).await;
        let delivered = |receipt: &serde_json::Value| {
            receipt["type"] == "delivery"
                && receipt["messageIds"] == json!([mine])
                && receipt["from"] == pn(number)
        };
        assert_eq!(simulated.receipt(ALICE, delivered).await["chat"], json!(group.to_string()));
    }
    simulated.received(CAROL, |message| message["messageId"] == bobs).await;
    let body = json!({ "chat": group.to_string(), "messageIds": [mine, bobs] });
    simulated.post(&format!("/phones/{CAROL}/read"), body).await;
    let carol: Jid = simulated.phone(CAROL).await["lid"].as_str().unwrap().parse().unwrap();
    assert_eq!(receipt(&alice, ReceiptType::Read, &mine).await, (group.clone(), carol));
    let read = simulated.receipt(BOB, |receipt| receipt["type"] == "read").await;
    assert_eq!((&read["from"], &read["messageIds"]), (&json!(pn(CAROL)), &json!([bobs])));

    let got = alice.text("and me").await;
    alice.client.mark_as_read(&group, Some(&got.sender), &[&got.id]).await.unwrap();
    let by_alice = |receipt: &serde_json::Value| receipt["type"] == "read" && receipt["from"] == pn(ALICE);
    assert_eq!(simulated.receipt(BOB, by_alice).await["chat"], json!(group.to_string()));
    alice.client.mark_as_played(&group, Some(&got.sender), &[&got.id]).await.unwrap();
    simulated.receipt(BOB, |receipt| receipt["type"] == "played" && receipt["from"] == pn(ALICE)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_device_has_read_the_others_know() {
    let (simulated, web) = talking().await;
    let (desktop, _) = Companion::linked(&simulated, ALICE).await;
    let id = simulated.send(BOB, ALICE, "read this").await;
    let got = web.text("read this").await;
    desktop.text("read this").await;
    web.client.mark_as_read(&got.chat, None, &[&got.id]).await.unwrap();
    let (from, _) = receipt(&desktop, ReceiptType::Read, &id).await;
    assert_eq!((from.user.as_str(), from.device), (ALICE, 1));
    let own = simulated.receipt(ALICE, |receipt| receipt["messageIds"] == json!([id])).await;
    assert_eq!(
        (&own["type"], &own["from"], &own["chat"]),
        (&json!("read"), &json!(pn(ALICE)), &json!(pn(BOB)))
    );
    // And what the phone has read, all companions.
    let id = simulated.send(BOB, ALICE, "and this").await;
    simulated.received(ALICE, |message| message["messageId"] == id).await;
    simulated.post(&format!("/phones/{ALICE}/read"), json!({ "chat": BOB, "messageIds": [id] })).await;
    for companion in [&web, &desktop] {
        let (from, _) = receipt(companion, ReceiptType::Read, &id).await;
        assert_eq!((from.user.as_str(), from.device), (ALICE, 0));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_shows_nobody_what_they_have_read_tells_their_own_devices_all_the_same() {
    let simulated = simulator().await;
    simulated.phone(ALICE).await;
    simulated.phone(BOB).await;
    let privacy = json!({ "readReceipts": false });
    simulated.call("PUT", &format!("/phones/{ALICE}/privacy"), Some(privacy.clone())).await;
    assert_eq!(simulated.get(&format!("/phones/{ALICE}/privacy")).await, privacy);
    let (web, _) = Companion::linked(&simulated, ALICE).await;
    let (desktop, _) = Companion::linked(&simulated, ALICE).await;
    // The client learns of it in the background.
    web.client.fetch_privacy_settings().await.unwrap();
    let id = simulated.send(BOB, ALICE, "secretly read").await;
    let got = web.text("secretly read").await;
    crate::support::until("the setting to be known", async || {
        web.client.mark_as_read(&got.chat, None, &[&got.id]).await.unwrap();
        let receipts = simulated.get(&format!("/phones/{ALICE}/receipts")).await;
        receipts["receipts"]
            .as_array()
            .unwrap()
            .iter()
            .any(|receipt| receipt["type"] == "read-self")
            .then_some(())
    })
    .await;
    receipt(&desktop, ReceiptType::ReadSelf, &id).await;
}
