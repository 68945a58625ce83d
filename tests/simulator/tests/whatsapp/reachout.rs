//! An account that may not write to strangers for a while.

use serde_json::{Value, json};
use wacore::types::events::Event;

use crate::support::{Companion, simulator};

const ALICE: &str = "5511999990001";
const BOB: &str = "5511999990002";
const CAROL: &str = "5511999990003";
const DAVE: &str = "5511999990004";
const FAR: u64 = 4_000_000_000;

/// What the client shows of the next change of the lock.
async fn told(companion: &Companion) -> Value {
    companion
        .event("word of the lock", |event| match event {
            Event::MexNotification(news) if news.op_name == "NotificationUserReachoutTimelockUpdate" => {
                Some(news.payload.clone())
            }
            _ => None,
        })
        .await["data"]["xwa2_notify_account_reachout_timelock"]
        .clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_cant_be_written_to_until_the_lock_ends_and_acquaintances_can() {
    let simulated = simulator().await;
    for number in [ALICE, BOB, CAROL, DAVE] {
        simulated.phone(number).await;
    }
    let (companion, _) = Companion::linked(&simulated, ALICE).await;
    let first = companion.send(BOB, "before the lock").await;
    companion.ack(&first).await;
    simulated.send(CAROL, ALICE, "Carol begins").await;
    companion.text("Carol begins").await;

    let free = companion.client.mex().fetch_reachout_timelock().await.unwrap();
    assert_eq!((free.is_active, free.time_enforcement_ends.as_deref()), (Some(false), Some("0")));
    let lock = simulated.fault(json!({ "kind": "reachout_timelock", "until": FAR, "target": ALICE })).await;
    assert_eq!(
        told(&companion).await,
        json!({ "is_active": true, "time_enforcement_ends": FAR.to_string(), "enforcement_type": "DEFAULT" })
    );
    let refused = companion.send(DAVE, "to a stranger").await;
    assert_eq!(companion.ack(&refused).await.error.as_deref(), Some("463"));
    let locked = companion.client.mex().fetch_reachout_timelock().await.unwrap();
    assert_eq!(locked.is_active, Some(true));
    assert_eq!(locked.time_enforcement_ends, Some(FAR.to_string()));
    for acquaintance in [BOB, CAROL] {
        let id = companion.send(acquaintance, "to somebody known").await;
        assert_eq!(companion.ack(&id).await.error, None);
        simulated.received(acquaintance, |message| message["messageId"] == id).await;
    }

    simulated.delete(&format!("/faults/{lock}")).await;
    assert_eq!(told(&companion).await["is_active"], false);
    let id = companion.send(DAVE, "a stranger no more").await;
    assert_eq!(companion.ack(&id).await.error, None);
    let arrived = simulated.received(DAVE, |message| message["fromMe"] == false).await;
    assert_eq!(arrived["text"], "a stranger no more", "what was refused has not been delivered");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_that_is_over_holds_nobody_and_one_of_another_account_neither() {
    let simulated = simulator().await;
    for number in [ALICE, BOB, CAROL] {
        simulated.phone(number).await;
    }
    let (companion, _) = Companion::linked(&simulated, ALICE).await;
    simulated.fault(json!({ "kind": "reachout_timelock", "until": 1, "target": ALICE })).await;
    simulated.fault(json!({ "kind": "reachout_timelock", "until": FAR, "target": BOB })).await;
    let state = companion.client.mex().fetch_reachout_timelock().await.unwrap();
    assert_eq!(state.is_active, Some(false));
    let id = companion.send(CAROL, "hello").await;
    assert_eq!(companion.ack(&id).await.error, None);
}
