//! The control API by itself: statuses, errors, and that the seed decides everything.

use serde_json::{Value, json};
use wa_simulator::Config;

use crate::support::{Simulated, simulator, with_config};

const ALICE: &str = "5511999990001";
const BOB: &str = "5511999990002";

#[tokio::test]
async fn a_phone_is_made_once_and_never_renamed() {
    let simulated = simulator().await;
    let body = |name: &str| Some(json!({ "phoneNumber": ALICE, "pushName": name }));
    let (status, phone) = simulated.call("POST", "/phones", body("Alice")).await;
    assert_eq!((status, &phone["jid"]), (201, &json!(format!("{ALICE}@s.whatsapp.net"))));
    let (status, again) = simulated.call("POST", "/phones", body("Alice")).await;
    assert_eq!((status, again["lid"].clone()), (200, phone["lid"].clone()));
    let (status, error) = simulated.call("POST", "/phones", body("Mallory")).await;
    assert_eq!((status, &error["error"]["code"]), (409, &json!("phone_exists")));
}

#[tokio::test]
async fn what_cant_be_done_is_said_in_json() {
    let simulated = simulator().await;
    simulated.phone(ALICE).await;
    let cases = [
        ("GET", "/nowhere", None, 404),
        ("PUT", "/phones", None, 405),
        ("POST", "/phones", Some(json!({ "phoneNumber": "abc" })), 400),
        ("POST", "/phones", Some(json!([])), 400),
        ("GET", "/phones/123456/messages", None, 404),
        ("GET", "/phones/5511999990001/messages?after=x", None, 400),
        ("POST", "/phones/5511999990001/messages", Some(json!({ "to": "999999", "text": "?" })), 404),
        ("POST", "/phones/5511999990001/read", Some(json!({ "chat": ALICE, "messageIds": [] })), 400),
        ("DELETE", "/phones/5511999990001/devices/x", None, 400),
        ("DELETE", "/phones/5511999990001/devices/9", None, 404),
        ("POST", "/faults", Some(json!({ "kind": "earthquake" })), 400),
        ("POST", "/faults", Some(json!({ "kind": "connection_refused", "target": ALICE })), 400),
        ("DELETE", "/faults/fault-99", None, 404),
        ("GET", "/ws/chat", None, 400),
    ];
    for (method, path, body, expected) in cases {
        let (status, answer) = simulated.call(method, path, body).await;
        assert_eq!(status, expected, "{method} {path}: {answer}");
        assert!(
            answer["error"]["code"].is_string() && answer["error"]["message"].is_string(),
            "{path}: {answer}"
        );
    }
}

#[tokio::test]
async fn the_same_seed_gives_the_same_world_whatever_the_order() {
    let world = async |seed, numbers: [&str; 2]| -> (Value, Value, [u8; 32]) {
        let simulated = with_config(Config { seed, ..Config::default() }).await;
        for number in numbers {
            simulated.phone(number).await;
        }
        let id = simulated.send(ALICE, BOB, "hi").await;
        let phones = simulated.get("/phones").await;
        (phones, json!(id), simulated.running.root_public_key)
    };
    let first = world(1, [ALICE, BOB]).await;
    assert_eq!(first, world(1, [BOB, ALICE]).await);
    let other = world(2, [ALICE, BOB]).await;
    assert_ne!(first.0, other.0);
    assert_ne!(first.1, other.1);
    assert_ne!(first.2, other.2);
}

#[tokio::test]
async fn phones_talk_to_each_other_without_any_companion() {
    let simulated = simulator().await;
    simulated.phone(ALICE).await;
    simulated.phone(BOB).await;
    for (number, (from, to)) in [(ALICE, BOB), (BOB, ALICE), (ALICE, BOB)].into_iter().enumerate() {
        let id = simulated.send(from, to, &format!("turn {number}")).await;
        let received = simulated.received(to, |message| message["messageId"] == id).await;
        assert_eq!(received["text"], format!("turn {number}"));
        let receipt = simulated.receipt(from, |receipt| receipt["messageIds"] == json!([id])).await;
        assert_eq!(receipt["type"], "delivery");
    }
    let log = simulated.get(&format!("/phones/{BOB}/messages")).await;
    let numbers: Vec<_> =
        log["messages"].as_array().unwrap().iter().map(|m| m["seq"].as_u64().unwrap()).collect();
    assert_eq!(numbers, [1, 2]);
}

#[tokio::test]
async fn a_reset_leaves_an_empty_world() {
    let simulated = simulator().await;
    simulated.phone(ALICE).await;
    simulated.fault(json!({ "kind": "ack_drop" })).await;
    reset(&simulated).await;
    assert_eq!(simulated.get("/phones").await, json!({ "phones": [] }));
    assert_eq!(simulated.get("/faults").await, json!({ "faults": [] }));
    assert_eq!(simulated.get("/healthz").await["status"], "ok");
}

async fn reset(simulated: &Simulated) {
    assert_eq!(simulated.call("POST", "/reset", None).await.0, 204);
}
