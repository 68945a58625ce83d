//! A number stays connected while nobody asks for anything (the "Facts to settle").

use std::time::Duration;

use tokio::time::Instant;

use crate::harness::{Patience, Session, eventually, tests};

tests![a_session_stays_connected_through_five_minutes_without_a_request];

const SILENCE: Duration = Duration::from_mins(5);

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
