//! Who gets a message, when, and what happens when it can't be read.

use std::sync::Arc;

use serde_json::json;

use crate::support::{Companion, simulator, until};

const ALICE: &str = "5511999990001";
const BOB: &str = "5511999990002";

#[tokio::test(flavor = "multi_thread")]
async fn a_message_reaches_all_devices_of_both_accounts_but_the_one_that_sent_it() {
    let simulated = simulator().await;
    simulated.phone(ALICE).await;
    simulated.phone(BOB).await;
    let (alice_web, _) = Companion::linked(&simulated, ALICE).await;
    let (alice_desktop, _) = Companion::linked(&simulated, ALICE).await;
    let (bob_web, bob_jid) = Companion::linked(&simulated, BOB).await;

    // Linked after Alice's web client had asked who Alice is: it learns of its sibling by notification.
    let id = alice_web.send(BOB, "from the web").await;
    let copy = alice_desktop.text("from the web").await;
    assert_eq!((copy.id.as_str(), copy.from_me, copy.chat.user.as_str()), (id.as_str(), true, BOB));
    assert_eq!(bob_web.text("from the web").await.id, id);
    simulated.received(BOB, |message| message["messageId"] == id).await;
    let own = simulated.received(ALICE, |message| message["messageId"] == id).await;
    assert_eq!((&own["fromMe"], &own["chat"]), (&json!(true), &json!(format!("{BOB}@s.whatsapp.net"))));

    let id = simulated.send(ALICE, BOB, "typed on the phone").await;
    for companion in [&alice_web, &alice_desktop] {
        let copy = companion.text("typed on the phone").await;
        assert_eq!((copy.from_me, copy.chat.user.as_str()), (true, BOB));
    }
    assert_eq!(bob_web.text("typed on the phone").await.id, id);

    // And a device linked just now gets the next one: Alice's clients are told, since they asked for Bob's devices.
    let (bob_desktop, _) = Companion::linked(&simulated, BOB).await;
    alice_web.send(BOB, "to the new one too").await;
    bob_desktop.text("to the new one too").await;
    simulated.until_device(&bob_jid, |device| device["queueLength"] == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lid_is_an_address_like_a_number() {
    let simulated = simulator().await;
    let alice = simulated.phone(ALICE).await;
    simulated.phone(BOB).await;
    let (companion, _) = Companion::linked(&simulated, ALICE).await;
    let id = simulated.send(BOB, alice["lid"].as_str().unwrap(), "to your lid").await;
    let text = companion.text("to your lid").await;
    assert_eq!((text.id, text.sender.is_lid()), (id.clone(), true));
    simulated.receipt(BOB, |receipt| receipt["messageIds"] == json!([id])).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn offline_messages_come_at_the_next_login_in_order() {
    let simulated = simulator().await;
    simulated.phone(ALICE).await;
    simulated.phone(BOB).await;
    let (companion, jid) = Companion::linked(&simulated, ALICE).await;
    let companion = companion.stop().await;
    simulated.until_device(&jid, |device| device["connected"] == false).await;
    for number in 0..5 {
        simulated.send(BOB, ALICE, &format!("while you were out {number}")).await;
    }
    simulated.until_device(&jid, |device| device["queueLength"].as_u64() >= Some(5)).await;
    let companion = companion.start().await;
    for number in 0..5 {
        companion.text(&format!("while you were out {number}")).await;
    }
    simulated.until_device(&jid, |device| device["queueLength"] == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_backlog_comes_in_as_many_batches_as_it_takes() {
    let simulated = simulator().await;
    simulated.phone(ALICE).await;
    simulated.phone(BOB).await;
    let (companion, jid) = Companion::linked(&simulated, ALICE).await;
    let companion = companion.stop().await;
    simulated.until_device(&jid, |device| device["connected"] == false).await;
    // The client asks for two hundred at a time.
    for number in 0..250 {
        simulated.send(BOB, ALICE, &format!("number {number}")).await;
    }
    let companion = companion.start().await;
    for number in 0..250 {
        companion.text(&format!("number {number}")).await;
    }
    simulated.until_device(&jid, |device| device["queueLength"] == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stored_message_is_dropped_only_on_its_receipt() {
    let simulated = simulator().await;
    simulated.phone(ALICE).await;
    simulated.phone(BOB).await;
    let (companion, jid) = Companion::linked(&simulated, ALICE).await;
    simulated.until_device(&jid, |device| device["queueLength"] == 0).await;
    // The client reads it, but its receipt never leaves the machine.
    companion.mute();
    simulated.send(BOB, ALICE, "did you get this").await;
    companion.text("did you get this").await;
    assert_eq!(simulated.device(&jid).await.unwrap()["queueLength"], 1);
    let companion = companion.stop().await;
    simulated.until_device(&jid, |device| device["connected"] == false).await;
    assert_eq!(simulated.device(&jid).await.unwrap()["queueLength"], 1);
    let companion = companion.start().await;
    companion.connected().await;
    simulated.until_device(&jid, |device| device["queueLength"] == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_companion_that_cant_decrypt_asks_and_the_phone_sends_again() {
    let simulated = simulator().await;
    simulated.phone(ALICE).await;
    simulated.phone(BOB).await;
    let (companion, jid) = Companion::linked(&simulated, ALICE).await;
    simulated.fault(json!({ "kind": "corrupt_ciphertext", "target": jid })).await;
    let id = simulated.send(BOB, ALICE, "garbled at first").await;
    assert_eq!(companion.text("garbled at first").await.id, id);
    assert_eq!(simulated.get("/faults").await["faults"], json!([]), "the first ciphertext was broken");
    simulated.until_device(&jid, |device| device["queueLength"] == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_phone_that_cant_decrypt_asks_and_the_companion_sends_again() {
    let simulated = simulator().await;
    simulated.phone(ALICE).await;
    simulated.phone(BOB).await;
    let (companion, _) = Companion::linked(&simulated, ALICE).await;
    simulated.fault(json!({ "kind": "corrupt_ciphertext", "target": BOB })).await;
    let id = companion.send(BOB, "garbled at first").await;
    let received = simulated.received(BOB, |message| message["text"] == "garbled at first").await;
    assert_eq!(received["messageId"], id);
    assert_eq!(simulated.get("/faults").await["faults"], json!([]), "the first ciphertext was broken");
}

#[tokio::test(flavor = "multi_thread")]
async fn read_receipts_go_both_ways() {
    let simulated = simulator().await;
    simulated.phone(ALICE).await;
    simulated.phone(BOB).await;
    let (companion, _) = Companion::linked(&simulated, ALICE).await;

    let id = companion.send(BOB, "read me").await;
    simulated.received(BOB, |message| message["messageId"] == id).await;
    simulated.post(&format!("/phones/{BOB}/read"), json!({ "chat": ALICE, "messageIds": [id] })).await;
    companion.read_receipt(&id).await;
    simulated
        .receipt(ALICE, |receipt| receipt["type"] == "read" && receipt["messageIds"] == json!([id]))
        .await;

    let id = simulated.send(BOB, ALICE, "and you me").await;
    let text = companion.text("and you me").await;
    companion.client.mark_as_read(&text.chat, None, &[&text.id]).await.unwrap();
    simulated.receipt(BOB, |receipt| receipt["type"] == "read" && receipt["messageIds"] == json!([id])).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_stanza_under_the_same_id_is_acked_and_dropped() {
    let simulated = simulator().await;
    simulated.phone(ALICE).await;
    simulated.phone(BOB).await;
    let (companion, _) = Companion::linked(&simulated, ALICE).await;
    let (bob_web, bob_jid) = Companion::linked(&simulated, BOB).await;
    // Bob's phone would hide a second delivery; what his companion has been owed can't be hidden.
    simulated.until_device(&bob_jid, |device| device["queueLength"] == 0).await;
    bob_web.mute();
    for text in ["the first", "the second"] {
        let id = companion.send_as(BOB, text, "3EB0AAAAAAAAAAAAAAAAAA").await;
        companion.ack(&id).await;
    }
    companion.send(BOB, "the last").await;
    simulated.received(BOB, |message| message["text"] == "the last").await;
    let all = simulated.get(&format!("/phones/{BOB}/messages")).await;
    let texts: Vec<_> = all["messages"].as_array().unwrap().iter().map(|message| &message["text"]).collect();
    assert_eq!(texts, ["the first", "the last"]);
    assert_eq!(simulated.device(&bob_jid).await.unwrap()["queueLength"], 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_time_prekeys_are_used_up_and_asked_for() {
    let simulated = simulator().await;
    simulated.phone(ALICE).await;
    let (_companion, jid) = Companion::linked(&simulated, ALICE).await;
    let before = simulated.until_device(&jid, |device| device["oneTimePreKeys"].as_u64() >= Some(10)).await;
    let before = before["oneTimePreKeys"].as_u64().unwrap();
    let mut lowest = before;
    // Each stranger opens a session with a key of its own.
    for number in 0..before {
        let stranger = format!("55118888{number:05}");
        simulated.phone(&stranger).await;
        simulated.send(&stranger, ALICE, "hi").await;
        lowest = lowest.min(simulated.device(&jid).await.unwrap()["oneTimePreKeys"].as_u64().unwrap());
    }
    assert!(lowest < before, "keys are used up");
    until("an upload", async || {
        let now = simulated.device(&jid).await?["oneTimePreKeys"].as_u64()?;
        (now >= 10).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_companions_link_and_listen_at_once() {
    let simulated = Arc::new(simulator().await);
    simulated.phone(BOB).await;
    let mut companions = tokio::task::JoinSet::new();
    for number in 0..25 {
        let (simulated, number) = (simulated.clone(), format!("55117777{number:05}"));
        companions.spawn(async move {
            simulated.phone(&number).await;
            let (companion, _) = Companion::linked(&simulated, &number).await;
            let id = companion.send(BOB, &format!("from {number}")).await;
            companion.ack(&id).await;
            simulated.send(BOB, &number, "to all of you").await;
            companion.text("to all of you").await;
        });
    }
    companions.join_all().await;
    // The ack says that the server has it; the phone works through its mail one after the other.
    for number in 0..25 {
        simulated.received(BOB, |message| message["text"] == format!("from 55117777{number:05}")).await;
    }
}
