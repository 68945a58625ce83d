//! Linking by a code that is typed on the phone, with an unmodified whatsapp-rust client.

use std::time::Duration;

use serde_json::{Value, json};
use wa_simulator::{Config, RefLifetime};
use wacore::types::events::Event;
use whatsapp_rust::pair_code::{PairCodeError, PairCodeOptions, PairCodeRejection, PairError};

use crate::support::{Companion, DEADLINE, Simulated, simulator, with_config};

const ALICE: &str = "5511999990001";
const BOB: &str = "5511999990002";

fn options(number: &str) -> PairCodeOptions {
    PairCodeOptions { phone_number: number.to_owned(), ..Default::default() }
}

/// A companion that shows a code for this number.
async fn showing(simulated: &Simulated, number: &str) -> (Companion, String) {
    let companion = Companion::new(simulated).await;
    let code = code_of(&companion, number).await;
    (companion, code)
}

async fn code_of(companion: &Companion, number: &str) -> String {
    companion.client.wait_for_socket(DEADLINE).await.unwrap();
    companion.client.pair_with_code(options(number)).await.unwrap()
}

/// Types a code on a phone: the status, and the JID of the device or the error's code.
async fn enter(simulated: &Simulated, number: &str, code: &str) -> (u16, String) {
    let body = Some(json!({ "code": code }));
    let (status, answer) = simulated.call("POST", &format!("/phones/{number}/enter-code"), body).await;
    let said = answer["deviceJid"].as_str().or(answer["error"]["code"].as_str());
    (status, said.unwrap_or_default().to_owned())
}

/// A code that isn't this one.
fn another(code: &str) -> String {
    code.chars().map(|letter| if letter == '7' { '8' } else { '7' }).collect()
}

async fn shown(simulated: &Simulated, number: &str) -> Value {
    simulated.get(&format!("/phones/{number}/codes")).await["codes"][0].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_companion_pairs_by_code_and_writes_and_is_written_to() {
    let simulated = simulator().await;
    simulated.phone(ALICE).await;
    simulated.phone(BOB).await;
    let (companion, code) = showing(&simulated, ALICE).await;
    let known = shown(&simulated, ALICE).await;
    assert_eq!((&known["platformDisplay"], &known["attempts"]), (&json!("Chrome (Linux)"), &json!(0)));
    assert!(!known.to_string().contains(&code), "the server never sees a code");

    let (first, second) = code.split_at(4);
    let written = format!("{first}-{second}").to_lowercase();
    assert_eq!(enter(&simulated, ALICE, &written).await, (200, format!("{ALICE}:1@s.whatsapp.net")));
    companion.connected().await;
    assert_eq!(simulated.get("/connections").await["registrationsWaiting"], 0);
    assert_eq!(shown(&simulated, ALICE).await, Value::Null);

    companion.send(BOB, "hello Bob").await;
    simulated.received(BOB, |message| message["text"] == "hello Bob").await;
    simulated.send(BOB, ALICE, "hello Alice").await;
    companion.text("hello Alice").await;
    assert_eq!(enter(&simulated, ALICE, &code).await, (404, "unknown_code".into()), "a used code");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_code_is_told_and_three_spend_it() {
    let simulated = simulator().await;
    simulated.phone(ALICE).await;
    let (companion, code) = showing(&simulated, ALICE).await;
    let wrong = another(&code);
    for typed in ["", "123", "OOOOOOOO"] {
        assert_eq!(enter(&simulated, ALICE, typed).await, (400, "malformed_code".into()));
    }
    assert_eq!(enter(&simulated, ALICE, &wrong).await, (422, "code_mismatch".into()));
    assert_eq!(shown(&simulated, ALICE).await["attempts"], 1);
    assert_eq!(enter(&simulated, ALICE, &code).await.0, 200, "it can still be typed rightly");
    companion.connected().await;

    let (_second, code) = showing(&simulated, ALICE).await;
    let wrong = another(&code);
    for _ in 0..3 {
        assert_eq!(enter(&simulated, ALICE, &wrong).await, (422, "code_mismatch".into()));
    }
    assert_eq!(enter(&simulated, ALICE, &code).await, (410, "code_spent".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_is_good_for_its_number_and_its_time() {
    let simulated = simulator().await;
    simulated.phone(ALICE).await;
    simulated.phone(BOB).await;
    let (_companion, code) = showing(&simulated, ALICE).await;
    assert_eq!(enter(&simulated, BOB, &code).await, (404, "unknown_code".into()));
    assert_eq!(enter(&simulated, "15550000000", &code).await, (404, "not_found".into()));
    simulated.call("POST", &format!("/phones/{ALICE}/codes/expire"), None).await;
    assert_eq!(enter(&simulated, ALICE, &code).await, (410, "stale_code".into()));

    let config = Config { code_lifetime: Some(Duration::ZERO), ..Config::default() };
    let simulated = with_config(config).await;
    simulated.phone(ALICE).await;
    let (_companion, code) = showing(&simulated, ALICE).await;
    assert_eq!(enter(&simulated, ALICE, &code).await, (410, "stale_code".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_outlives_the_qr_codes_on_the_same_socket() {
    let ref_lifetime = RefLifetime { first: Duration::ZERO, next: Duration::ZERO };
    let simulated = with_config(Config { ref_lifetime, ..Config::default() }).await;
    simulated.phone(ALICE).await;
    let (companion, code) = showing(&simulated, ALICE).await;
    let qr = companion.qr().await;
    simulated.post("/registrations/refresh", json!({ "qr": qr })).await;
    let rotated = companion.qr().await;
    assert_ne!(qr, rotated);
    let (status, answer) =
        simulated.call("POST", &format!("/phones/{ALICE}/scan"), Some(json!({ "qr": rotated }))).await;
    assert_eq!((status, answer["error"]["code"].as_str()), (410, Some("stale_ref")));
    assert_eq!(enter(&simulated, ALICE, &code).await.0, 200);
    companion.connected().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_phone_talks_to_the_companion_that_asked_last() {
    let simulated = simulator().await;
    simulated.phone(ALICE).await;
    let (first, old) = showing(&simulated, ALICE).await;
    let refused = first.client.pair_with_code(options(ALICE)).await;
    assert!(
        matches!(refused, Err(PairError::PairCode(PairCodeError::CodeAlreadyOutstanding { .. }))),
        "{refused:?}"
    );
    first.client.cancel_pair_code().await;
    let newer = code_of(&first, ALICE).await;
    let (second, newest) = showing(&simulated, ALICE).await;
    for code in [&old, &newer] {
        assert_eq!(enter(&simulated, ALICE, code).await, (422, "code_mismatch".into()));
    }
    assert_eq!(enter(&simulated, ALICE, &newest).await.0, 200);
    second.connected().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_refuses_a_code_on_demand() {
    let simulated = simulator().await;
    simulated.phone(ALICE).await;
    simulated.phone(BOB).await;
    let companion = Companion::new(&simulated).await;
    companion.client.wait_for_socket(DEADLINE).await.unwrap();
    let refusals = [
        (400, PairCodeRejection::BadRequest),
        (403, PairCodeRejection::Forbidden),
        (429, PairCodeRejection::RateOverlimit),
        (452, PairCodeRejection::FeatureNotAvailable),
        (500, PairCodeRejection::InternalServerError),
        (418, PairCodeRejection::Unknown(418)),
    ];
    for (code, rejection) in refusals {
        let backoff = (code == 429).then_some(90);
        let fault = json!({ "kind": "pair_code_error", "code": code, "backoff": backoff, "target": ALICE });
        simulated.fault(fault).await;
        let refused = companion.client.pair_with_code(options(ALICE)).await.unwrap_err();
        let wait = backoff.map(Duration::from_secs);
        assert_eq!((refused.rejection(), refused.backoff()), (Some(rejection), wait), "{refused}");
        let told = companion.event("error", |event| match event {
            Event::PairingCodeError(error) => Some((error.rejection, error.backoff)),
            _ => None,
        });
        assert_eq!(told.await, (Some(rejection), wait));
    }
    let fault = simulated.fault(json!({ "kind": "pair_code_error", "code": 403, "target": BOB })).await;
    let code = code_of(&companion, ALICE).await;
    simulated.delete(&format!("/faults/{fault}")).await;

    // At the second step, when the code has been typed.
    let stage = "companion_finish";
    simulated.fault(json!({ "kind": "pair_code_error", "code": 500, "stage": stage, "target": ALICE })).await;
    let entry = enter(&simulated, ALICE, &code);
    let told = companion.event("error", |event| match event {
        Event::PairingCodeError(error) => Some(error.rejection),
        _ => None,
    });
    tokio::select! {
        told = told => assert_eq!(told, Some(PairCodeRejection::InternalServerError)),
        entered = entry => panic!("{entered:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_refuses_what_whatsapp_refuses() {
    let simulated = simulator().await;
    simulated.phone(ALICE).await;
    let companion = Companion::new(&simulated).await;
    companion.client.wait_for_socket(DEADLINE).await.unwrap();
    let system = |name: &str| PairCodeOptions { display_os: Some(name.to_owned()), ..options(ALICE) };
    for refused in [system("My Shop"), options("15550000000"), options("5511999990001999")] {
        let error = companion.client.pair_with_code(refused).await.unwrap_err();
        assert_eq!(error.rejection(), Some(PairCodeRejection::BadRequest));
    }
    let code = companion.client.pair_with_code(system("Ubuntu")).await.unwrap();
    assert_eq!(shown(&simulated, ALICE).await["platformDisplay"], "Chrome (Ubuntu)");
    assert_eq!(enter(&simulated, ALICE, &code).await.0, 200);
    companion.connected().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_wants_another_code() {
    let simulated = simulator().await;
    simulated.phone(ALICE).await;
    let (companion, mut code) = showing(&simulated, ALICE).await;
    for force in [true, false] {
        let path = format!("/phones/{ALICE}/codes/refresh");
        let (status, _) = simulated.call("POST", &path, Some(json!({ "forceManual": force }))).await;
        assert_eq!(status, 204);
        let asked = companion.event("refresh", |event| match event {
            Event::PairingCodeRefresh(refresh) => Some(refresh.force_manual),
            _ => None,
        });
        assert_eq!(asked.await, force);
        assert_eq!(enter(&simulated, ALICE, &code).await, (410, "stale_code".into()));
        code = code_of(&companion, ALICE).await;
    }
    assert_eq!(enter(&simulated, ALICE, &code).await.0, 200);
    companion.connected().await;
}
