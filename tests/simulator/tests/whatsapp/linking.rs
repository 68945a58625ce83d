//! Linking a companion and talking through it, with an unmodified whatsapp-rust client.

use crate::support::{Companion, simulator};
use serde_json::json;

const ALICE: &str = "5511999990001";
const BOB: &str = "5511999990002";

#[tokio::test(flavor = "multi_thread")]
async fn a_companion_pairs_by_qr_and_reconnects_with_ik() {
    let simulated = simulator().await;
    simulated.phone(ALICE).await;
    let (companion, jid) = Companion::linked(&simulated, ALICE).await;
    assert_eq!(jid, format!("{ALICE}:1@s.whatsapp.net"));
    assert_eq!(companion.client.persistence_manager().get_device_snapshot().push_name, format!("P {ALICE}"));

    let companion = companion.stop().await;
    simulated.until_device(&jid, |device| device["connected"] == false).await;
    let companion = companion.start().await;
    companion.connected().await;
    let device = simulated.until_device(&jid, |device| device["connected"] == true).await;
    assert_eq!(device["lastHandshake"], "IK");
    let handshakes = simulated.get("/connections").await["handshakes"].clone();
    assert_eq!((&handshakes["failed"], &handshakes["IK"]), (&json!(0), &json!(1)));
}

#[tokio::test(flavor = "multi_thread")]
async fn texts_go_both_ways_encrypted_and_are_receipted() {
    let simulated = simulator().await;
    simulated.phone(ALICE).await;
    simulated.phone(BOB).await;
    let (companion, jid) = Companion::linked(&simulated, ALICE).await;

    let id = companion.send(BOB, "hello Bob").await;
    assert_eq!(companion.ack(&id).await.error, None);
    let received = simulated.received(BOB, |message| message["text"] == "hello Bob").await;
    assert_eq!(received["from"], format!("{ALICE}@s.whatsapp.net"));
    assert_eq!(received["fromDevice"], 1);
    assert_eq!(received["messageId"], id);
    // Bob's phone confirms to all of Alice's devices.
    simulated.receipt(ALICE, |receipt| receipt["messageIds"] == json!([id])).await;

    let id = simulated.send(BOB, ALICE, "hello Alice").await;
    let text = companion.text("hello Alice").await;
    assert_eq!((text.id.as_str(), text.from_me), (id.as_str(), false));
    simulated.receipt(BOB, |receipt| receipt["messageIds"] == json!([id])).await;
    simulated.until_device(&jid, |device| device["queueLength"] == 0).await;
}
