//! A number stays connected while nobody asks for anything (the "Facts to settle").

use std::time::Duration;

use futures::future::join_all;
use serde_json::json;
use tokio::time::Instant;

use crate::harness::{Organization, Patience, Session, eventually, tests};

tests![
    a_session_stays_connected_through_five_minutes_without_a_request,
    a_session_that_hears_something_now_and_then_is_not_taken_for_a_silent_one,
];

const SILENCE: Duration = Duration::from_mins(5);
/// Longer than a connection in good order is ever silent: the client looks every 15 to 30 s and lets a look pass when
/// it heard something in the 15 s before.
const NOW_AND_THEN: Duration = Duration::from_secs(48);
/// So many, and so often, that some silence is nearly as long as it can be.
const LISTENERS: usize = 12;

async fn a_session_stays_connected_through_five_minutes_without_a_request() {
    let (session, phone) = Session::working().await;
    let before = phone.device().await;
    let epoch = session.row().await["epoch"].clone();
    let began = Instant::now();
    // Only the simulator is asked, and at every look it must have the very same connection.
    eventually("five minutes to pass", Patience(SILENCE + Duration::from_secs(30)), async || {
        let device = phone.device().await;
        for field in ["logins", "connectedAt", "connected"] {
            assert_eq!(device[field], before[field], "{field} changed after {:?}", began.elapsed());
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        if began.elapsed() >= SILENCE { Ok(()) } else { Err(format!("{:?}", began.elapsed())) }
    })
    .await;
    let other = phone.simulator.phone().await;
    let sent = Instant::now();
    let id = other.text(&phone.number, "anybody there?").await;
    eventually("the text to be taken in", Patience::seconds(5), async || {
        let device = phone.device().await;
        if device["queueLength"] == 0 { Ok(()) } else { Err(device.to_string()) }
    })
    .await;
    let took = sent.elapsed();
    let event = session.event_of("message", &id).await;
    assert_eq!((&event["epoch"], &session.row().await["epoch"]), (&epoch, &epoch));
    assert_eq!(phone.device().await["logins"], before["logins"]);
    println!("    {:?} of silence, then a text was taken in within {took:?}", began.elapsed());
}

async fn a_session_that_hears_something_now_and_then_is_not_taken_for_a_silent_one() {
    let organization = Organization::new();
    let friend = organization.gateway.simulator().phone().await;
    let listeners = join_all((0..LISTENERS).map(|_| Session::working_in(&organization))).await;
    // Whether WhatsApp pings, and how often, is its own affair: a client does not count on it.
    for (_, phone) in &listeners {
        phone.fault(json!({"kind": "no_pings"})).await;
    }
    let devices = async || join_all(listeners.iter().map(|(_, phone)| phone.device())).await;
    let before = devices().await;
    let began = Instant::now();
    while began.elapsed() < SILENCE {
        for (_, phone) in &listeners {
            friend.text(&phone.number, "still there?").await;
        }
        let said = Instant::now();
        eventually("the silence after it", Patience(NOW_AND_THEN + Duration::from_secs(30)), async || {
            for (now, before) in devices().await.iter().zip(&before) {
                assert_eq!(now["logins"], before["logins"], "{} connected again", now["jid"]);
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
            if said.elapsed() >= NOW_AND_THEN { Ok(()) } else { Err(format!("{:?}", said.elapsed())) }
        })
        .await;
    }
}
