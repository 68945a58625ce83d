//! A number that WhatsApp lets start no new chats (463): what is refused says until when, and nothing else is.

use serde_json::{Value, json};
use tokio::time::Instant;

use crate::harness::{Patience, Phone, Session, now_ms, tests};

tests![
    new_chats_are_refused_until_the_true_end_and_known_ones_are_not,
    a_known_chat_is_known_under_every_spelling_of_its_number,
    a_text_to_oneself_begins_no_chat,
    a_lock_that_was_there_first_is_learned_from_the_refusal,
    a_lock_ends_by_itself,
    a_lock_outlives_a_restart_of_the_session,
];

const SOON: Patience = Patience::seconds(30);

async fn locked(session: &Session) -> Value {
    session.wait_for_reason("reachout_timelock", SOON).await
}

async fn unlocked(session: &Session, patience: Patience) -> Value {
    session
        .wait_for("free again", patience, |row| {
            row["status"] == "working" && row["statusReason"] == Value::Null
        })
        .await
}

fn in_seconds(seconds: u64) -> u64 {
    now_ms() / 1_000 + seconds
}

/// A text to somebody new is refused with the true end of the lock.
async fn refused(session: &Session, to: &str, until: u64) -> Value {
    let answer = session.text(to, "who are you?").await;
    let now = now_ms();
    let error = answer.expect_error(429, "rate_limited");
    let details = &error["details"];
    assert_eq!((&details["expiresAt"], &details["whatsappCode"]), (&json!(until * 1_000), &json!("463")));
    let after = details["retryAfterSeconds"].as_u64().unwrap();
    assert!(after.abs_diff((until * 1_000 - now).div_ceil(1_000)) <= 2, "{error} at {now}");
    assert_eq!(answer.header("retry-after"), Some(after.to_string().as_str()));
    error
}

async fn arrives(session: &Session, to: &Phone) {
    let id = session.sent(&to.number, "to somebody known").await;
    to.received(&id).await;
}

async fn new_chats_are_refused_until_the_true_end_and_known_ones_are_not() {
    let (session, me) = Session::working().await;
    let simulator = &me.simulator;
    let (written, writes, stranger) =
        (simulator.phone().await, simulator.phone().await, simulator.phone().await);
    arrives(&session, &written).await;
    let id = writes.text(&me.number, "hello").await;
    session.event_of("message", &id).await;
    let before = session.row().await;

    let until = in_seconds(3_600);
    let began = Instant::now();
    let fault = me.fault(json!({"kind": "reachout_timelock", "until": until})).await;
    let row = locked(&session).await;
    let told = began.elapsed().as_secs_f64();
    let reason = &row["statusReason"];
    assert_eq!((&row["status"], &row["epoch"]), (&json!("working"), &before["epoch"]));
    assert_eq!((&reason["expiresAt"], &reason["retryAt"]), (&json!(until * 1_000), &Value::Null));
    for to in [&stranger.number, &stranger.lid, &format!("+{}", stranger.number)] {
        let error = refused(&session, to, until).await;
        assert_eq!(error["details"]["waMessageId"], Value::Null, "{to}: it was sent to WhatsApp: {error}");
    }
    for known in [&written, &writes] {
        arrives(&session, known).await;
    }
    // A stranger who writes first is none any more.
    let second = simulator.phone().await;
    refused(&session, &second.number, until).await;
    let id = second.text(&me.number, "me first").await;
    session.event_of("message", &id).await;
    arrives(&session, &second).await;
    assert_eq!(session.row().await["statusReason"], row["statusReason"]);

    let began = Instant::now();
    simulator.clear(&fault).await;
    let row = unlocked(&session, SOON).await;
    let freed = began.elapsed().as_secs_f64();
    assert_eq!(row["epoch"], before["epoch"]);
    arrives(&session, &stranger).await;
    assert_eq!(stranger.messages().await.len(), 1, "what was refused was delivered");
    println!("    the lock was known after {told:.2} s, its end after {freed:.2} s");
}

async fn a_known_chat_is_known_under_every_spelling_of_its_number() {
    let (session, me) = Session::working().await;
    let (known, by_lid) = (me.simulator.phone().await, me.simulator.phone().await);
    arrives(&session, &known).await;
    let id = session.sent(&by_lid.lid, "to a LID").await;
    by_lid.received(&id).await;
    let fault = me.fault(json!({"kind": "reachout_timelock", "until": in_seconds(3_600)})).await;
    locked(&session).await;
    let mut refused = Vec::new();
    // Who was only ever written to by LID is known by that.
    let number = &known.number;
    let spellings = [number.clone(), format!("+{number}"), format!("{number}@c.us"), known.lid.clone()];
    for to in spellings.iter().chain([&by_lid.lid]) {
        let answer = session.text(to, "known").await;
        if answer.status != 200 {
            refused.push(format!("{to}: {}", answer.status));
        }
    }
    me.simulator.clear(&fault).await;
    assert_eq!(refused, Vec::<String>::new(), "written to {} and to {} before", known.number, by_lid.lid);
}

async fn a_text_to_oneself_begins_no_chat() {
    let (session, me) = Session::working().await;
    let fault = me.fault(json!({"kind": "reachout_timelock", "until": in_seconds(3_600)})).await;
    locked(&session).await;
    for to in [&me.number, &me.lid] {
        let id = session.sent(to, "note to self").await;
        me.received(&id).await;
    }
    me.simulator.clear(&fault).await;
}

/// Armed before the number was linked: nobody tells, but the first refusal does.
async fn a_lock_that_was_there_first_is_learned_from_the_refusal() {
    let (session, me) = Session::working().await;
    let stranger = me.simulator.phone().await;
    session.post(":stop").await.expect(200);
    let until = in_seconds(3_600);
    let fault = me.fault(json!({"kind": "reachout_timelock", "until": until})).await;
    session.post(":start").await.expect(200);
    session.wait_for_status("working", SOON).await;
    refused(&session, &stranger.number, until).await;
    let row = locked(&session).await;
    assert_eq!(row["statusReason"]["expiresAt"], until * 1_000);
    refused(&session, &stranger.number, until).await;
    me.simulator.clear(&fault).await;
    unlocked(&session, SOON).await;
    arrives(&session, &stranger).await;
    assert_eq!(stranger.messages().await.len(), 1);
}

async fn a_lock_ends_by_itself() {
    let (session, me) = Session::working().await;
    let stranger = me.simulator.phone().await;
    let until = in_seconds(8);
    let fault = me.fault(json!({"kind": "reachout_timelock", "until": until})).await;
    locked(&session).await;
    refused(&session, &stranger.number, until).await;
    // Looked for with the heartbeat, every 15 s.
    unlocked(&session, Patience::seconds(45)).await;
    let late = now_ms().saturating_sub(until * 1_000);
    assert!(now_ms() >= until * 1_000, "free before its time");
    arrives(&session, &stranger).await;
    me.simulator.clear(&fault).await;
    #[allow(clippy::cast_precision_loss, reason = "seconds")]
    let late = late as f64 / 1_000.0;
    println!("    a lock that ended was taken off the session {late:.1} s later");
}

async fn a_lock_outlives_a_restart_of_the_session() {
    let (session, me) = Session::working().await;
    let (known, stranger) = (me.simulator.phone().await, me.simulator.phone().await);
    arrives(&session, &known).await;
    let until = in_seconds(3_600);
    let fault = me.fault(json!({"kind": "reachout_timelock", "until": until})).await;
    locked(&session).await;
    session.post(":restart").await.expect(200);
    let row = session.wait_for_status("working", SOON).await;
    assert_eq!(row["statusReason"]["code"], "reachout_timelock", "{row}");
    assert_eq!(row["statusReason"]["expiresAt"], until * 1_000);
    refused(&session, &stranger.number, until).await;
    arrives(&session, &known).await;
    me.simulator.clear(&fault).await;
    unlocked(&session, SOON).await;
}
