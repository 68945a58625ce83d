//! Every fault does what it says, to whom it says, as often as it says.

use std::time::Duration;

use serde_json::json;
use wacore::types::events::{Event, TempBanReason};

use crate::support::{Companion, Simulated, simulator, until};

const ALICE: &str = "5511999990001";
const BOB: &str = "5511999990002";

async fn talking() -> (Simulated, Companion, String) {
    let simulated = simulator().await;
    simulated.phone(ALICE).await;
    simulated.phone(BOB).await;
    let (companion, jid) = Companion::linked(&simulated, ALICE).await;
    simulated.until_device(&jid, |device| device["queueLength"] == 0).await;
    (simulated, companion, jid)
}

async fn logins(simulated: &Simulated, jid: &str) -> u64 {
    simulated.device(jid).await.unwrap()["logins"].as_u64().unwrap()
}

/// Waits for the login after the first `before`.
async fn back(simulated: &Simulated, jid: &str, before: u64) {
    simulated
        .until_device(jid, |device| device["logins"].as_u64() > Some(before) && device["connected"] == true)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn close_ends_the_socket_once() {
    let (simulated, companion, jid) = talking().await;
    for fault in [json!({ "kind": "close", "code": 1011 }), json!({ "kind": "close", "target": ALICE })] {
        let before = logins(&simulated, &jid).await;
        simulated.fault(fault).await;
        back(&simulated, &jid, before).await;
        assert_eq!(simulated.get("/faults").await["faults"], json!([]));
    }
    companion.connected().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_spares_everybody_else() {
    let (simulated, _alice, alice_jid) = talking().await;
    let (_bob, bob_jid) = Companion::linked(&simulated, BOB).await;
    let before = (logins(&simulated, &alice_jid).await, logins(&simulated, &bob_jid).await);
    simulated.fault(json!({ "kind": "close", "code": 1001, "target": bob_jid })).await;
    back(&simulated, &bob_jid, before.1).await;
    assert_eq!(logins(&simulated, &alice_jid).await, before.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_and_truncated_frames_make_a_connection_useless_but_lose_nothing() {
    for kind in ["garbage_frame", "truncated_frame"] {
        let (simulated, companion, jid) = talking().await;
        simulated.fault(json!({ "kind": kind, "target": jid })).await;
        // A frame that can't be decrypted, and half a frame that takes the next one for its rest, both leave the
        // client deaf; whatsapp-rust notices only by its keepalive, so the next connection is forced here.
        simulated.send(BOB, ALICE, "push it through").await;
        simulated.until_device(&jid, |device| device["queueLength"] == 1).await;
        assert!(companion.quiet(Duration::from_millis(200)).await, "{kind}");
        let before = logins(&simulated, &jid).await;
        simulated.fault(json!({ "kind": "close" })).await;
        back(&simulated, &jid, before).await;
        companion.text("push it through").await;
        simulated.until_device(&jid, |device| device["queueLength"] == 0).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stall_answers_nothing_until_it_is_cleared() {
    let (simulated, companion, jid) = talking().await;
    let warm = companion.send(BOB, "first, so that a session is there").await;
    companion.ack(&warm).await;
    let fault = simulated.fault(json!({ "kind": "stall", "target": jid })).await;
    let id = companion.send(BOB, "into the void").await;
    simulated.send(BOB, ALICE, "nor the other way").await;
    simulated.until_device(&jid, |device| device["queueLength"].as_u64() >= Some(1)).await;
    assert!(companion.quiet(Duration::from_millis(300)).await, "something came through");
    simulated.delete(&format!("/faults/{fault}")).await;
    companion.text("nor the other way").await;
    simulated.received(BOB, |message| message["messageId"] == id).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stall_holds_at_its_stage() {
    let (simulated, companion, jid) = talking().await;
    let mut companion = companion.stop().await;
    for stage in ["upgrade", "handshake", "login"] {
        let before = simulated.get("/connections").await;
        let fault = simulated.fault(json!({ "kind": "stall", "stage": stage })).await;
        let started = companion.start().await;
        until("the connection to get that far", async || {
            let now = simulated.get("/connections").await;
            let more = |what: &str| now["handshakes"][what].as_u64() > before["handshakes"][what].as_u64();
            match stage {
                "upgrade" => Some(()),
                "handshake" => more("started").then_some(()),
                _ => more("finished").then_some(()),
            }
        })
        .await;
        assert!(started.quiet(Duration::from_millis(200)).await, "{stage}");
        simulated.delete(&format!("/faults/{fault}")).await;
        started.connected().await;
        companion = started.stop().await;
    }
    drop(companion);
    simulated.until_device(&jid, |device| device["logins"].as_u64() >= Some(4)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stream_errors_are_what_clients_know_them_for() {
    let (simulated, companion, jid) = talking().await;
    // 515: come back at once. 503: come back.
    for code in [515, 503] {
        let before = logins(&simulated, &jid).await;
        simulated.fault(json!({ "kind": "stream_error", "code": code })).await;
        back(&simulated, &jid, before).await;
    }
    simulated.fault(json!({ "kind": "stream_error", "code": 409, "conflict": "replaced" })).await;
    companion.replaced().await;
    let companion = companion.stop().await.start().await;
    companion.connected().await;
    simulated.fault(json!({ "kind": "stream_error", "code": 401 })).await;
    companion.logged_out().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_strikes_at_the_next_login_and_only_then() {
    let (simulated, companion, jid) = talking().await;
    let companion = companion.stop().await;
    simulated.fault(json!({ "kind": "failure", "reason": 503, "target": jid })).await;
    let companion = companion.start().await;
    companion.event("refusal", |event| matches!(event, Event::ConnectFailure(_)).then_some(())).await;
    companion.connected().await;
    let companion = companion.stop().await;
    simulated.fault(json!({ "kind": "failure", "reason": 401 })).await;
    let companion = companion.start().await;
    companion.logged_out().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ban_for_a_time_says_what_for_and_how_long() {
    let (simulated, companion, jid) = talking().await;
    let companion = companion.stop().await;
    let fault = json!({ "kind": "failure", "reason": 402, "code": 101, "expire": 3600, "target": jid });
    simulated.fault(fault).await;
    let companion = companion.start().await;
    let told = companion.event("ban", |event| match event {
        Event::TemporaryBan(ban) => Some((ban.code.clone(), ban.expire.num_seconds())),
        _ => None,
    });
    assert_eq!(told.await, (TempBanReason::SentToTooManyPeople, 3600));
    // Only half of it is no ban to a client, and a refusal all the same.
    let companion = companion.stop().await;
    simulated.fault(json!({ "kind": "failure", "reason": 402, "expire": 3600 })).await;
    let companion = companion.start().await;
    companion.event("refusal", |event| matches!(event, Event::ConnectFailure(_)).then_some(())).await;
    companion.stop().await.start().await.connected().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn acks_come_late_twice_swapped_never_or_with_an_error() {
    let (simulated, companion, _) = talking().await;
    let warm = companion.send(BOB, "first, so that sessions are there").await;
    companion.ack(&warm).await;

    simulated.fault(json!({ "kind": "ack_delay", "ms": 400, "count": 1 })).await;
    let before = std::time::UNIX_EPOCH.elapsed().unwrap();
    let id = companion.send(BOB, "late").await;
    companion.ack(&id).await;
    assert!(
        std::time::UNIX_EPOCH.elapsed().unwrap().checked_sub(before).unwrap() >= Duration::from_millis(400)
    );

    simulated.fault(json!({ "kind": "ack_duplicate", "count": 1 })).await;
    let id = companion.send(BOB, "twice").await;
    companion.ack(&id).await;
    companion.ack(&id).await;

    simulated.fault(json!({ "kind": "ack_reorder", "count": 2 })).await;
    // The client hands acks to its listeners in any order; what shows is that the first waits for the second.
    let first = companion.send(BOB, "one").await;
    assert!(companion.quiet(Duration::from_millis(200)).await, "the first ack is held back");
    let second = companion.send(BOB, "two").await;
    let mut acked = [companion.any_ack().await, companion.any_ack().await];
    let mut sent = [first, second];
    acked.sort();
    sent.sort();
    assert_eq!(acked, sent);

    simulated.fault(json!({ "kind": "ack_error", "code": 479, "count": 1 })).await;
    let refused = companion.send(BOB, "refused").await;
    assert_eq!(companion.ack(&refused).await.error.as_deref(), Some("479"));

    simulated.fault(json!({ "kind": "ack_drop", "count": 1 })).await;
    let dropped = companion.send(BOB, "unacked").await;
    let next = companion.send(BOB, "acked").await;
    assert_eq!(companion.any_ack().await, next);
    simulated.received(BOB, |message| message["messageId"] == dropped).await;
    let all = simulated.get(&format!("/phones/{BOB}/messages")).await;
    let arrived =
        |id: &str| all["messages"].as_array().unwrap().iter().any(|message| message["messageId"] == id);
    assert!(!arrived(&refused), "a refused message is not delivered");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_connection_gets_no_http_answer() {
    let simulated = simulator().await;
    simulated.fault(json!({ "kind": "connection_refused", "count": 1 })).await;
    let refused = tokio_tungstenite::connect_async(simulated.running.chat_url()).await;
    assert!(
        !matches!(&refused, Ok(_) | Err(tokio_tungstenite::tungstenite::Error::Http(_))),
        "{:?}",
        refused.map(|_| ())
    );
    assert_eq!(simulated.get("/connections").await["refused"], 1);
    assert!(tokio_tungstenite::connect_async(simulated.running.chat_url()).await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn compressed_frames_are_read_like_others() {
    let (simulated, companion, _) = talking().await;
    simulated.fault(json!({ "kind": "compressed_frames" })).await;
    simulated.send(BOB, ALICE, "smaller").await;
    companion.text("smaller").await;
    let id = companion.send(BOB, "and back").await;
    companion.ack(&id).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fault_for_a_sleeper_waits_for_it() {
    let (simulated, companion, jid) = talking().await;
    let companion = companion.stop().await;
    simulated.until_device(&jid, |device| device["connected"] == false).await;
    simulated.fault(json!({ "kind": "close", "code": 1013, "target": jid })).await;
    assert_eq!(simulated.get("/faults").await["faults"].as_array().unwrap().len(), 1);
    let before = logins(&simulated, &jid).await;
    let _companion = companion.start().await;
    back(&simulated, &jid, before + 1).await;
    assert_eq!(simulated.get("/faults").await["faults"], json!([]));
}
