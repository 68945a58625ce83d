//! How a link ends: by the phone, by the companion, or because somebody else came with the same keys.

use serde_json::json;

use crate::support::{Companion, simulator};

const ALICE: &str = "5511999990001";
const BOB: &str = "5511999990002";

#[tokio::test(flavor = "multi_thread")]
async fn an_unlinked_companion_is_told_and_not_let_in_again() {
    let simulated = simulator().await;
    simulated.phone(ALICE).await;
    let (companion, jid) = Companion::linked(&simulated, ALICE).await;
    simulated.delete(&format!("/phones/{ALICE}/devices/1")).await;
    companion.logged_out().await;
    assert_eq!(simulated.device(&jid).await, None);
    let companion = companion.stop().await.start().await;
    companion.logged_out().await;
    assert_eq!(simulated.call("DELETE", &format!("/phones/{ALICE}/devices/1"), None).await.0, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_companion_that_logs_out_is_unlinked() {
    let simulated = simulator().await;
    simulated.phone(ALICE).await;
    simulated.phone(BOB).await;
    let (companion, jid) = Companion::linked(&simulated, ALICE).await;
    companion.client.logout().await;
    companion.logged_out().await;
    assert_eq!(simulated.device(&jid).await, None);
    simulated.send(BOB, ALICE, "only to the phone").await;
    simulated.received(ALICE, |message| message["text"] == "only to the phone").await;
    let companion = companion.stop().await.start().await;
    companion.logged_out().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_login_of_a_device_closes_the_first() {
    let simulated = simulator().await;
    simulated.phone(ALICE).await;
    let (first, jid) = Companion::linked(&simulated, ALICE).await;
    let second = first.twin().await;
    second.connected().await;
    first.replaced().await;
    let device = simulated.until_device(&jid, |device| device["connected"] == true).await;
    assert_eq!(device["logins"].as_u64(), Some(2), "{device}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_comes_with_another_key_is_not_let_in() {
    let simulated = simulator().await;
    simulated.phone(ALICE).await;
    let (companion, jid) = Companion::linked(&simulated, ALICE).await;
    let stranger = companion.stop().await.with_another_noise_key().await.start().await;
    stranger.logged_out().await;
    assert_eq!(simulated.device(&jid).await.unwrap()["logins"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_is_scanned_once_and_only_while_it_is_shown() {
    let simulated = simulator().await;
    simulated.phone(ALICE).await;
    let companion = Companion::new(&simulated).await;
    let qr = companion.qr().await;
    let scan = async |qr: &str| {
        let (status, body) =
            simulated.call("POST", &format!("/phones/{ALICE}/scan"), Some(json!({ "qr": qr }))).await;
        (status, body["error"]["code"].as_str().map(ToOwned::to_owned))
    };
    assert_eq!(scan("nonsense").await, (400, Some("malformed_code".into())));
    let (_, rest) = qr.split_once(',').unwrap();
    assert_eq!(scan(&format!("2@unknown,{rest}")).await, (404, Some("unknown_ref".into())));
    assert_eq!(scan(&qr).await, (200, None));
    companion.connected().await;
    assert_eq!(scan(&qr).await.0 / 100, 4, "a used code");

    let gone = Companion::new(&simulated).await;
    let qr = gone.qr().await;
    gone.stop().await;
    crate::support::until("the registration to end", async || {
        (simulated.get("/connections").await["registrationsWaiting"] == 0).then_some(())
    })
    .await;
    assert_eq!(scan(&qr).await, (410, Some("stale_ref".into())));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ref_expires_while_the_next_one_is_good() {
    use std::time::Duration;
    use wa_simulator::{Config, RefLifetime};
    let ref_lifetime = RefLifetime { first: Duration::ZERO, next: Duration::from_mins(1) };
    let simulated = crate::support::with_config(Config { ref_lifetime, ..Config::default() }).await;
    simulated.phone(ALICE).await;
    let companion = Companion::new(&simulated).await;
    let qr = companion.qr().await;
    let (status, body) =
        simulated.call("POST", &format!("/phones/{ALICE}/scan"), Some(json!({ "qr": qr }))).await;
    assert_eq!((status, body["error"]["code"].as_str()), (410, Some("stale_ref")));
}
