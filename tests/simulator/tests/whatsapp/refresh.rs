//! WhatsApp asks a companion to change the secret that its QR code shows, while the code is on the screen.

use serde_json::json;
use wacore::types::events::Event;
use whatsapp_rust::pair_code::PairCodeOptions;

use crate::support::{Companion, Simulated, simulator};

const ALICE: &str = "5511999990001";

async fn scan(simulated: &Simulated, qr: &str) -> (u16, Option<String>) {
    let body = Some(json!({ "qr": qr }));
    let (status, answer) = simulated.call("POST", &format!("/phones/{ALICE}/scan"), body).await;
    (status, answer["error"]["code"].as_str().map(ToOwned::to_owned))
}

fn reference(qr: &str) -> &str {
    qr.split(',').next().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_old_code_links_nothing_and_the_one_drawn_again_does() {
    for child in ["companion_reg_refresh", "pair-device-rotate-qr"] {
        let simulated = simulator().await;
        simulated.phone(ALICE).await;
        let companion = Companion::new(&simulated).await;
        let old = companion.qr().await;
        simulated.post("/registrations/refresh", json!({ "qr": old, "child": child })).await;
        let current = companion.qr().await;
        assert_eq!(reference(&old), reference(&current), "the same ref with another secret");
        assert_ne!(old, current);

        assert_eq!(scan(&simulated, &old).await, (422, Some("companion_refused".into())));
        companion.event("refusal", |event| matches!(event, Event::PairError(_)).then_some(())).await;
        assert_eq!(scan(&simulated, &current).await, (200, None));
        companion.connected().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_companion_that_is_there_can_be_asked() {
    let simulated = simulator().await;
    simulated.phone(ALICE).await;
    let companion = Companion::new(&simulated).await;
    let qr = companion.qr().await;
    let refresh = async |body| simulated.call("POST", "/registrations/refresh", Some(body)).await.0;
    assert_eq!(refresh(json!({})).await, 400);
    assert_eq!(refresh(json!({ "qr": qr, "child": "something-else" })).await, 400);
    let (_, rest) = qr.split_once(',').unwrap();
    assert_eq!(refresh(json!({ "qr": format!("2@unknown,{rest}") })).await, 404);
    assert_eq!(refresh(json!({ "phoneNumber": ALICE })).await, 404, "it shows no pairing code");
    let options = PairCodeOptions { phone_number: ALICE.to_owned(), ..Default::default() };
    let code = companion.client.pair_with_code(options).await.unwrap();
    assert_eq!(refresh(json!({ "phoneNumber": ALICE })).await, 204);
    assert_ne!(companion.qr().await, qr);
    simulated.post(&format!("/phones/{ALICE}/enter-code"), json!({ "code": code })).await;
    companion.connected().await;
    assert_eq!(refresh(json!({ "qr": qr })).await, 410);
}

/// whatsapp-rust 0.7.0 takes a new secret with every typed code, wrong ones too, and leaves the QR code on the screen
/// as it was.
#[tokio::test(flavor = "multi_thread")]
async fn a_mistyped_code_spoils_the_qr_code_beside_it() {
    let simulated = simulator().await;
    simulated.phone(ALICE).await;
    let companion = Companion::new(&simulated).await;
    let qr = companion.qr().await;
    let options = PairCodeOptions {
        phone_number: ALICE.to_owned(),
        custom_code: Some("ABCD1234".to_owned()),
        ..Default::default()
    };
    let code = companion.client.pair_with_code(options).await.unwrap();
    let body = Some(json!({ "code": "ABCD1235" }));
    let (status, _) = simulated.call("POST", &format!("/phones/{ALICE}/enter-code"), body).await;
    assert_eq!(status, 422);
    assert_eq!(scan(&simulated, &qr).await, (422, Some("companion_refused".into())));
    simulated.post(&format!("/phones/{ALICE}/enter-code"), json!({ "code": code })).await;
    companion.connected().await;
}
