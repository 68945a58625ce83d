//! Every way WhatsApp can end a connection: what the session says, what it does by itself, and that its pairing
//! outlives everything but an unlink. Each fault hits one phone's device only, so these share the sandbox.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use crate::harness::matrix::{self, BY_ITSELF, Fault};
use crate::harness::{Patience, Phone, Session, eventually, now_ms, tests};

tests![
    a_close_with_a_code,
    a_dropped_connection,
    a_garbage_frame,
    a_truncated_frame,
    stream_error_500,
    stream_error_502,
    stream_error_503,
    stream_error_515,
    stream_error_429,
    stream_error_401,
    stream_error_516,
    the_device_removed_conflict,
    the_replaced_conflict_is_retried_once_and_never_fought,
    stream_error_440_is_waited_out_and_not_fought,
    failure_401,
    failure_402,
    a_ban_for_a_time_ends_by_itself,
    failure_403,
    failure_405,
    failure_406,
    failure_408,
    failure_418,
    failure_428,
    failure_429,
    failure_500,
    failure_501,
    failure_502,
    failure_503,
    a_silent_connection_is_replaced,
    a_session_that_is_started_all_the_time_is_watched_all_the_same,
    restarts_in_the_middle_of_traffic_lose_and_repeat_nothing,
    restarts_that_overlap_lose_and_repeat_nothing,
    an_evicted_object_comes_back_by_its_own_alarm,
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
    let by = match then {
        Then::Recovers => BY_ITSELF,
        Then::NeedsStart => "a start",
        Then::NeedsPairing => "a pairing",
    };
    note(name, (status, code), seen, working, by);
}

fn note(name: &str, (status, code): (&str, &str), seen: Duration, working: Duration, by: &'static str) {
    matrix::note(Fault {
        name: name.to_owned(),
        said: BTreeSet::from([format!("{status} ({code})")]),
        seen: Some(seen.as_secs_f64()),
        working: vec![working.as_secs_f64()],
        by,
    });
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

async fn stream_error_500() {
    let fault = json!({"kind": "stream_error", "code": 500});
    case("stream error 500", fault, Strikes::Now, "starting", "server_error", Then::Recovers).await;
}

async fn stream_error_502() {
    let fault = json!({"kind": "stream_error", "code": 502});
    case("stream error 502", fault, Strikes::Now, "starting", "server_error", Then::Recovers).await;
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

async fn stream_error_516() {
    let fault = json!({"kind": "stream_error", "code": 516});
    case("stream error 516", fault, Strikes::Now, "logged_out", "device_removed", Then::NeedsPairing).await;
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

async fn failure_408() {
    let fault = json!({"kind": "failure", "reason": 408});
    case("failure 408", fault, Strikes::AtLogin, "starting", "network", Then::Recovers).await;
}

/// One of those that nobody has given a meaning of its own.
async fn failure_418() {
    let fault = json!({"kind": "failure", "reason": 418});
    case("failure 418", fault, Strikes::AtLogin, "failed", "refused", Then::NeedsStart).await;
}

async fn failure_428() {
    let fault = json!({"kind": "failure", "reason": 428});
    case("failure 428", fault, Strikes::AtLogin, "starting", "network", Then::Recovers).await;
}

async fn failure_429() {
    let fault = json!({"kind": "failure", "reason": 429});
    case("failure 429", fault, Strikes::AtLogin, "starting", "rate_limited", Then::Recovers).await;
}

async fn failure_500() {
    let fault = json!({"kind": "failure", "reason": 500});
    case("failure 500", fault, Strikes::AtLogin, "starting", "server_error", Then::Recovers).await;
}

async fn failure_501() {
    let fault = json!({"kind": "failure", "reason": 501});
    case("failure 501", fault, Strikes::AtLogin, "starting", "server_error", Then::Recovers).await;
}

async fn failure_502() {
    let fault = json!({"kind": "failure", "reason": 502});
    case("failure 502", fault, Strikes::AtLogin, "starting", "server_error", Then::Recovers).await;
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
    let seen = waits_as_replaced(&session, &phone, &before, began).await;
    let failed = session.wait_for_status("failed", Patience::seconds(90)).await;
    let gave_up = began.elapsed();
    assert!(gave_up > Duration::from_secs(50), "retried after {gave_up:?}");
    let reason = &failed["statusReason"];
    assert_eq!((&reason["code"], &reason["actionRequired"]), (&json!("replaced"), &json!(true)));
    assert_eq!(reason["retryAt"], Value::Null);
    session.post(":start").await.expect(200);
    session.wait_for_status("working", WITHIN).await;
    assert_eq!(phone.device().await["jid"], before["jid"]);
    note("conflict replaced, twice", ("failed", "replaced"), seen, began.elapsed(), "a start");
}

/// Replaced: it says when it tries again, a minute from now, and does nothing until then. How soon it said so.
async fn waits_as_replaced(session: &Session, phone: &Phone, before: &Value, began: Instant) -> Duration {
    let waits = session.wait_for_reason("replaced", WITHIN).await;
    let (seen, now) = (began.elapsed(), now_ms());
    assert_eq!(waits["status"], "starting");
    let retry_at = waits["statusReason"]["retryAt"].as_u64().unwrap();
    assert!((now + 50_000..=now + 60_000).contains(&retry_at), "{waits} at {now}");
    assert_eq!(waits["statusReason"]["actionRequired"], false);
    let device = phone.device().await;
    assert_eq!(device["logins"], before["logins"], "came back at once: that is a fight");
    seen
}

async fn stream_error_440_is_waited_out_and_not_fought() {
    let (session, phone) = Session::working().await;
    let before = phone.device().await;
    let other = phone.simulator.phone().await;
    let began = Instant::now();
    phone.fault(json!({"kind": "stream_error", "code": 440})).await;
    let seen = waits_as_replaced(&session, &phone, &before, began).await;
    let missed = other.text(&phone.number, "while somebody else was here").await;
    session.wait_for_status("working", Patience::seconds(90)).await;
    let working = began.elapsed();
    assert!(working > Duration::from_secs(50), "retried after {working:?}");
    assert_eq!(phone.device().await["jid"], before["jid"]);
    session.event_of("message", &missed).await;
    note("stream error 440", ("starting", "replaced"), seen, working, BY_ITSELF);
}

/// One that lasts, and one so short that it is not taken at its word: no login before a minute has passed.
async fn a_ban_for_a_time_ends_by_itself() {
    futures::join!(banned_for(65), banned_for(1));
}

/// Nobody calls anything but GETs, and while the ban lasts not even these.
async fn banned_for(seconds: u64) {
    let (session, phone) = Session::working().await;
    let (row, before) = (session.row().await, phone.device().await);
    let other = phone.simulator.phone().await;
    phone.fault(json!({"kind": "failure", "reason": 402, "code": 101, "expire": seconds})).await;
    let (began, began_at) = (Instant::now(), now_ms());
    phone.fault(json!({"kind": "close"})).await;
    let banned = session.wait_for_status("failed", NOTICED).await;
    let (seen, seen_at) = (began.elapsed(), now_ms());
    let reason = &banned["statusReason"];
    assert_eq!((&reason["code"], &reason["actionRequired"]), (&json!("temporary_ban"), &json!(false)));
    assert!(reason["message"].as_str().is_some_and(|text| text.len() > 10), "{reason}");
    let lasts = seconds.max(60) * 1_000;
    let ends_at = reason["expiresAt"].as_u64().unwrap();
    assert!((began_at + lasts..=seen_at + lasts).contains(&ends_at), "{reason} at {seen_at}");
    assert_eq!(reason["retryAt"], reason["expiresAt"]);
    assert_eq!((&banned["waJid"], &banned["phoneNumber"]), (&row["waJid"], &row["phoneNumber"]));
    let missed = other.text(&phone.number, "to somebody banned").await;

    let patience = Patience(Duration::from_millis(lasts + 20_000));
    eventually("the banned one to log in again", patience, async || {
        let device = phone.device().await;
        if device["logins"] == before["logins"] { Err(device.to_string()) } else { Ok(()) }
    })
    .await;
    let (working, back_at) = (began.elapsed(), now_ms());
    assert!(back_at >= ends_at, "{} ms before the ban was over", ends_at - back_at);
    let back = session.wait_for_status("working", NOTICED).await;
    assert_eq!((&back["waJid"], &back["statusReason"]), (&row["waJid"], &Value::Null));
    assert_eq!(phone.device().await["jid"], before["jid"], "paired again");
    session.event_of("message", &missed).await;
    let log = session.log().await;
    let times = |kind: &str| log.iter().filter(|event| event["event"] == kind).count();
    assert_eq!((times("auth.qr"), times("auth.code")), (1, 1), "a paired session was paired again");
    assert_eq!(times("message"), 1);
    note(&format!("failure 402 for {seconds} s"), ("failed", "temporary_ban"), seen, working, BY_ITSELF);
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
    restarted_under_traffic(async |session| {
        for _ in 0..3 {
            session.post(":restart").await.expect(200);
            session.wait_for_status("working", WITHIN).await;
        }
        session.post(":stop").await.expect(200);
        session.post(":start").await.expect(200);
    })
    .await;
}

async fn restarts_that_overlap_lose_and_repeat_nothing() {
    restarted_under_traffic(async |session| {
        for _ in 0..3 {
            let restarts = [session.post(":restart"), session.post(":restart"), session.post(":restart")];
            for restarted in futures::future::join_all(restarts).await {
                restarted.expect(200);
            }
            session.wait_for_status("working", WITHIN).await;
        }
    })
    .await;
}

async fn an_evicted_object_comes_back_by_its_own_alarm() {
    let (session, phone) = Session::working().await;
    let before = phone.device().await;
    let organization = &session.organization;
    let path = format!("/simulator/sessions/{}/evict", session.id);
    let began = Instant::now();
    organization.post(&path).await.expect(204);
    // Looked at from WhatsApp only: a call to the object would wake it.
    eventually("it to log in again", WITHIN, async || {
        let device = phone.device().await;
        let is_back = device["logins"].as_u64() > before["logins"].as_u64() && device["connected"] == true;
        if is_back { Ok(()) } else { Err(device.to_string()) }
    })
    .await;
    let working = began.elapsed().as_secs_f64();
    assert_eq!(phone.device().await["jid"], before["jid"], "paired again");
    session.wait_for_status("working", WITHIN).await;
    let said = ["starting (restarted)".to_owned()].into();
    matrix::note(Fault { name: "eviction".into(), said, seen: None, working: vec![working], by: BY_ITSELF });
}

/// Texts flow while the session is restarted; in the end each was told once.
async fn restarted_under_traffic(restart: impl AsyncFn(&Session)) {
    let (session, phone) = Session::working().await;
    let other = phone.simulator.phone().await;
    let talk = async {
        let mut ids = Vec::new();
        for number in 0..60 {
            ids.push(other.text(&phone.number, &format!("text {number}")).await);
        }
        ids
    };
    let (mut sent, ()) = futures::join!(talk, restart(&session));
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
    assert_eq!(phone.devices().await.len(), 1, "paired again");
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
    note("silence (working: since its end)", ("starting", "stalled"), noticed, working, BY_ITSELF);
}
