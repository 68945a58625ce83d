//! Every way WhatsApp can end a connection: what the session says, what it does by itself, and that its pairing
//! outlives everything but an unlink. Each fault hits one phone's device only, so these share the sandbox.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use crate::harness::{Patience, Session, eventually, tests};

tests![
    a_close_with_a_code,
    a_dropped_connection,
    a_garbage_frame,
    a_truncated_frame,
    stream_error_503,
    stream_error_515,
    stream_error_429,
    stream_error_401,
    the_device_removed_conflict,
    the_replaced_conflict_is_retried_once_and_never_fought,
    failure_401,
    failure_402,
    failure_403,
    failure_405,
    failure_406,
    failure_500,
    failure_503,
    a_silent_connection_is_replaced,
    a_session_that_is_started_all_the_time_is_watched_all_the_same,
    restarts_in_the_middle_of_traffic_lose_and_repeat_nothing,
];

/// What follows when the fault is over.
enum Then {
    /// It works again by itself.
    Recovers,
    /// It stays as it is until it is started; the pairing is kept.
    NeedsStart,
    /// WhatsApp unlinked the device: it has to be paired again.
    NeedsPairing,
}

/// When a fault strikes.
enum Strikes {
    Now,
    /// At the next login.
    AtLogin,
}

const WITHIN: Patience = Patience::seconds(60);
/// The delay after a 429 begins at up to a minute.
const PATIENT: Patience = Patience::seconds(90);
/// None of these ends quietly: a session notices at once.
const NOTICED: Patience = Patience::seconds(20);

async fn case(name: &str, fault: Value, strikes: Strikes, status: &str, code: &str, then: Then) {
    let (session, phone) = Session::working().await;
    let before = phone.device().await;
    let row = session.row().await;
    phone.fault(fault).await;
    if let Strikes::AtLogin = strikes {
        session.post(":restart").await.expect(200);
    }
    let began = Instant::now();
    let other = phone.simulator.phone().await;
    // A client that has half a frame waits for the rest: something has to come.
    let missed = other.text(&phone.number, "through all of this").await;
    let hit = session
        .wait_for(&format!("{status} ({code})"), NOTICED, |row| {
            row["status"] == status && row["statusReason"]["code"] == code
        })
        .await;
    let seen = began.elapsed();
    let reason = &hit["statusReason"];
    assert!(reason["message"].as_str().is_some_and(|text| text.len() > 10), "{reason}");
    let by_itself = matches!(then, Then::Recovers);
    assert_eq!(reason["actionRequired"], !by_itself, "{reason}");
    match then {
        Then::Recovers => {}
        Then::NeedsStart => {
            assert_eq!((&hit["waJid"], &hit["phoneNumber"]), (&row["waJid"], &row["phoneNumber"]));
            assert_eq!(session.get("/me").await.expect(200)["connected"], false);
            session.post(":start").await.expect(200);
        }
        Then::NeedsPairing => {
            assert_eq!((&hit["waJid"], &hit["phoneNumber"]), (&Value::Null, &Value::Null));
            session.get("/me").await.expect_error(404, "not_found");
            session.post(":start").await.expect(200);
            session.pair(&phone).await;
        }
    }
    let back = session.wait_for_status("working", PATIENT).await;
    let working = began.elapsed();
    assert!(back["epoch"].as_u64() > row["epoch"].as_u64());
    if !matches!(then, Then::NeedsPairing) {
        assert_eq!(back["waJid"], row["waJid"]);
        let device = phone.device().await;
        assert_eq!(device["jid"], before["jid"], "paired again");
        let codes = session.events("auth.qr").await.len();
        assert_eq!(codes, 1, "a paired session showed a code");
        session.event_of("message", &missed).await;
        let told = session.events("message").await;
        assert_eq!(told.iter().filter(|event| event["payload"]["waMessageId"] == missed).count(), 1);
    }
    let id = other.text(&phone.number, "and on").await;
    session.event_of("message", &id).await;
    let reply = session.sent(&other.number, "received").await;
    other.received(&reply).await;
    let (seen, working) = (seen.as_secs_f64(), working.as_secs_f64());
    println!("    {name:<24} {status} ({code}) after {seen:5.2} s, working after {working:5.2} s");
}

async fn a_close_with_a_code() {
    let fault = json!({"kind": "close", "code": 1011});
    case("close 1011", fault, Strikes::Now, "starting", "network", Then::Recovers).await;
}

async fn a_dropped_connection() {
    case("drop", json!({"kind": "close"}), Strikes::Now, "starting", "network", Then::Recovers).await;
}

async fn a_garbage_frame() {
    let fault = json!({"kind": "garbage_frame"});
    case("garbage frame", fault, Strikes::Now, "starting", "undecodable", Then::Recovers).await;
}

async fn a_truncated_frame() {
    let fault = json!({"kind": "truncated_frame"});
    case("truncated frame", fault, Strikes::Now, "starting", "undecodable", Then::Recovers).await;
}

async fn stream_error_503() {
    let fault = json!({"kind": "stream_error", "code": 503});
    case("stream error 503", fault, Strikes::Now, "starting", "server_error", Then::Recovers).await;
}

async fn stream_error_515() {
    let fault = json!({"kind": "stream_error", "code": 515});
    case("stream error 515", fault, Strikes::Now, "starting", "restart_required", Then::Recovers).await;
}

async fn stream_error_429() {
    let fault = json!({"kind": "stream_error", "code": 429});
    case("stream error 429", fault, Strikes::Now, "starting", "rate_limited", Then::Recovers).await;
}

async fn stream_error_401() {
    let fault = json!({"kind": "stream_error", "code": 401});
    case("stream error 401", fault, Strikes::Now, "logged_out", "device_removed", Then::NeedsPairing).await;
}

async fn the_device_removed_conflict() {
    let fault = json!({"kind": "stream_error", "code": 401, "conflict": "device_removed"});
    case("conflict device_removed", fault, Strikes::Now, "logged_out", "device_removed", Then::NeedsPairing)
        .await;
}

async fn failure_401() {
    let fault = json!({"kind": "failure", "reason": 401});
    case("failure 401", fault, Strikes::AtLogin, "logged_out", "device_removed", Then::NeedsPairing).await;
}

async fn failure_402() {
    let fault = json!({"kind": "failure", "reason": 402});
    case("failure 402", fault, Strikes::AtLogin, "failed", "temporary_ban", Then::NeedsStart).await;
}

async fn failure_403() {
    let fault = json!({"kind": "failure", "reason": 403});
    case("failure 403", fault, Strikes::AtLogin, "failed", "account_locked", Then::NeedsStart).await;
}

async fn failure_405() {
    let fault = json!({"kind": "failure", "reason": 405});
    case("failure 405", fault, Strikes::AtLogin, "failed", "client_outdated", Then::NeedsStart).await;
}

async fn failure_406() {
    let fault = json!({"kind": "failure", "reason": 406});
    case("failure 406", fault, Strikes::AtLogin, "failed", "account_locked", Then::NeedsStart).await;
}

async fn failure_500() {
    let fault = json!({"kind": "failure", "reason": 500});
    case("failure 500", fault, Strikes::AtLogin, "starting", "server_error", Then::Recovers).await;
}

async fn failure_503() {
    let fault = json!({"kind": "failure", "reason": 503});
    case("failure 503", fault, Strikes::AtLogin, "starting", "server_error", Then::Recovers).await;
}

async fn the_replaced_conflict_is_retried_once_and_never_fought() {
    let (session, phone) = Session::working().await;
    let before = phone.device().await;
    let began = Instant::now();
    // Twice: now, and at the login of the one retry.
    phone.fault(json!({"kind": "stream_error", "code": 409, "conflict": "replaced", "count": 2})).await;
    let waits = session
        .wait_for("starting (replaced)", WITHIN, |row| row["statusReason"]["code"] == "replaced")
        .await;
    assert_eq!(waits["status"], "starting");
    assert!(waits["statusReason"]["retryAt"].is_u64(), "{waits}");
    let device = phone.device().await;
    assert_eq!(device["logins"], before["logins"], "came back at once: that is a fight");
    let failed = session.wait_for_status("failed", Patience::seconds(90)).await;
    let gave_up = began.elapsed();
    assert!(gave_up > Duration::from_secs(50), "retried after {gave_up:?}");
    let reason = &failed["statusReason"];
    assert_eq!((&reason["code"], &reason["actionRequired"]), (&json!("replaced"), &json!(true)));
    assert_eq!(reason["retryAt"], Value::Null);
    session.post(":start").await.expect(200);
    session.wait_for_status("working", WITHIN).await;
    assert_eq!(phone.device().await["jid"], before["jid"]);
    println!(
        "    {:<24} one retry, failed (replaced) after {:.2} s",
        "conflict replaced",
        gave_up.as_secs_f64()
    );
}

/// A watchdog that starts what is started must not keep the heartbeat from coming.
async fn a_session_that_is_started_all_the_time_is_watched_all_the_same() {
    let (session, phone) = Session::working().await;
    let fault = phone.fault(json!({"kind": "stall"})).await;
    eventually("the silence to be noticed", WITHIN, async || {
        let row = session.post(":start").await.json();
        let log = session.get("/timeline?limit=10").await.expect(200);
        let stalled = log["data"].as_array().unwrap().iter().any(|stretch| stretch["code"] == "stalled");
        if stalled { Ok(()) } else { Err(row.to_string()) }
    })
    .await;
    phone.simulator.clear(&fault).await;
    session.wait_for_status("working", WITHIN).await;
}

/// What was decrypted and acked by a connection that is being closed is told all the same.
async fn restarts_in_the_middle_of_traffic_lose_and_repeat_nothing() {
    let (session, phone) = Session::working().await;
    let other = phone.simulator.phone().await;
    let talk = async {
        let mut ids = Vec::new();
        for number in 0..60 {
            ids.push(other.text(&phone.number, &format!("text {number}")).await);
        }
        ids
    };
    let restart = async {
        for _ in 0..3 {
            session.post(":restart").await.expect(200);
            session.wait_for_status("working", WITHIN).await;
        }
        session.post(":stop").await.expect(200);
        session.post(":start").await.expect(200);
    };
    let (mut sent, ()) = futures::join!(talk, restart);
    session.wait_for_status("working", WITHIN).await;
    let last = other.text(&phone.number, "the last").await;
    session.event_of("message", &last).await;
    sent.push(last);
    let mut told: Vec<String> = Vec::new();
    eventually("every text to be told", WITHIN, async || {
        told = session
            .events("message")
            .await
            .iter()
            .map(|event| event["payload"]["waMessageId"].as_str().unwrap().to_owned())
            .collect();
        if told.len() >= sent.len() { Ok(()) } else { Err(format!("{} of {}", told.len(), sent.len())) }
    })
    .await;
    told.sort_unstable();
    sent.sort_unstable();
    assert_eq!(told, sent);
}

async fn a_silent_connection_is_replaced() {
    let (session, phone) = Session::working().await;
    let (row, before) = (session.row().await, phone.device().await);
    let other = phone.simulator.phone().await;
    let began = Instant::now();
    let fault = phone.fault(json!({"kind": "stall"})).await;
    let missed = other.text(&phone.number, "into the silence").await;
    let found = session
        .wait_for("given up for stalled", WITHIN, |row| row["statusReason"]["code"] == "stalled")
        .await;
    let noticed = began.elapsed();
    assert_eq!(found["status"], "starting");
    phone.simulator.clear(&fault).await;
    let cleared = Instant::now();
    let back = session.wait_for_status("working", WITHIN).await;
    let working = cleared.elapsed();
    assert!(back["epoch"].as_u64() > row["epoch"].as_u64());
    assert_eq!(phone.device().await["jid"], before["jid"]);
    session.event_of("message", &missed).await;
    let told = session.events("message").await;
    assert_eq!(told.iter().filter(|event| event["payload"]["waMessageId"] == missed).count(), 1);
    let id = session.sent(&other.number, "back").await;
    other.received(&id).await;
    eventually("the queue to drain", WITHIN, async || {
        let device = phone.device().await;
        if device["queueLength"] == 0 { Ok(()) } else { Err(device.to_string()) }
    })
    .await;
    println!(
        "    {:<24} starting (stalled) after {:5.2} s, working {:.2} s after the silence ended",
        "silence",
        noticed.as_secs_f64(),
        working.as_secs_f64()
    );
}
