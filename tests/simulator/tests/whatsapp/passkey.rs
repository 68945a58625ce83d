//! Accounts that ask for their passkey before they take a companion, with an unmodified whatsapp-rust client and a
//! software authenticator in the owner's hand.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use wa_simulator::Config;
use wacore::types::events::{Event, PairPasskeyConfirmation};
use whatsapp_rust::pair_code::PairCodeOptions;
use whatsapp_rust::passkey::{Assertion, CallbackAuthenticator, parse_request_options};

use crate::support::{Companion, Simulated, simulator, until, with_config};

const ALICE: &str = "5511999990001";
const BOB: &str = "5511999990002";

async fn guarded(simulated: &Simulated) -> Companion {
    for number in [ALICE, BOB] {
        simulated.phone(number).await;
    }
    let shown = put(simulated, true).await;
    assert_eq!((&shown["required"], &shown["rpId"]), (&json!(true), &json!("whatsapp.com")));
    Companion::new(simulated).await
}

async fn put(simulated: &Simulated, required: bool) -> Value {
    let path = format!("/phones/{ALICE}/passkey");
    let (status, shown) = simulated.call("PUT", &path, Some(json!({ "required": required }))).await;
    assert_eq!(status, 200, "{shown}");
    shown
}

/// Scans: nothing is linked yet.
async fn scan(simulated: &Simulated, qr: &str) {
    let (status, answer) =
        simulated.call("POST", &format!("/phones/{ALICE}/scan"), Some(json!({ "qr": qr }))).await;
    assert_eq!((status, &answer["passkey"]), (202, &json!("requested")), "{answer}");
}

async fn options(companion: &Companion) -> String {
    companion
        .event("passkey request", |event| match event {
            Event::PairPasskeyRequest(request) => Some(request.request_options_json.clone()),
            _ => None,
        })
        .await
}

async fn confirmation(companion: &Companion) -> PairPasskeyConfirmation {
    companion
        .event("confirmation", |event| match event {
            Event::PairPasskeyConfirmation(confirmation) => Some(confirmation.clone()),
            _ => None,
        })
        .await
}

/// What somebody's browser makes of the options.
async fn asserted(simulated: &Simulated, number: &str, options: &str, origin: Option<&str>) -> Value {
    let body = json!({ "options": options, "origin": origin });
    simulated.post(&format!("/phones/{number}/passkey/assert"), body).await
}

fn assertion(json: &Value) -> Assertion {
    let credential_id = BASE64_URL_SAFE_NO_PAD.decode(json["rawId"].as_str().unwrap()).unwrap();
    Assertion { assertion_json: json.to_string().into_bytes(), credential_id }
}

/// Where the link stands once it stands like this.
async fn stage(simulated: &Simulated, stage: &str) -> Value {
    until(stage, async || {
        let link = simulated.get(&format!("/phones/{ALICE}/passkey")).await["link"].clone();
        (link["stage"] == stage).then_some(link)
    })
    .await
}

async fn confirm(simulated: &Simulated, body: Value) -> u16 {
    simulated.call("POST", &format!("/phones/{ALICE}/passkey/confirm"), Some(body)).await.0
}

/// The owner uses the passkey, compares the codes and agrees.
async fn go_through_with_it(simulated: &Simulated, companion: &Companion) {
    let asked = options(companion).await;
    let json = asserted(simulated, ALICE, &asked, None).await;
    companion.client.send_passkey_response(assertion(&json)).await.unwrap();
    let shown = confirmation(companion).await;
    assert!(!shown.skip_handoff_ux);
    assert_eq!(stage(simulated, "confirmation").await["code"], shown.code);
    assert_eq!(confirm(simulated, json!({ "code": shown.code })).await, 204);
    companion.client.send_passkey_confirmation().await.unwrap();
    companion.connected().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scanned_companion_is_linked_once_the_passkey_and_the_codes_agree() {
    let simulated = simulator().await;
    let companion = guarded(&simulated).await;
    scan(&simulated, &companion.qr().await).await;
    assert_eq!(simulated.get("/devices").await["devices"], json!([]));
    assert_eq!(confirm(&simulated, json!({})).await, 409, "nothing to compare yet");
    go_through_with_it(&simulated, &companion).await;
    let linked = stage(&simulated, "linked").await;
    assert_eq!(linked["deviceJid"], format!("{ALICE}:1@s.whatsapp.net"));
    companion.send(BOB, "hello Bob").await;
    simulated.received(BOB, |message| message["text"] == "hello Bob").await;

    put(&simulated, false).await;
    let (second, _) = Companion::linked(&simulated, ALICE).await;
    second.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_typed_code_leads_to_the_passkey_too() {
    let simulated = simulator().await;
    let companion = guarded(&simulated).await;
    companion.qr().await;
    let options = PairCodeOptions { phone_number: ALICE.to_owned(), ..Default::default() };
    let code = companion.client.pair_with_code(options).await.unwrap();
    let path = format!("/phones/{ALICE}/enter-code");
    let (status, answer) = simulated.call("POST", &path, Some(json!({ "code": code }))).await;
    assert_eq!((status, &answer["passkey"]), (202, &json!("requested")), "{answer}");
    go_through_with_it(&simulated, &companion).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_owners_passkey_used_on_whatsapps_page_for_this_link_will_do() {
    let simulated = simulator().await;
    let companion = guarded(&simulated).await;
    let qr = companion.qr().await;
    scan(&simulated, &qr).await;
    let asked = options(&companion).await;
    let good = asserted(&simulated, ALICE, &asked, None).await;
    let elsewhere = asserted(&simulated, ALICE, &asked, Some("https://gateway.example")).await;
    let theirs = asserted(&simulated, BOB, &asked, None).await;
    let mut old: Value = serde_json::from_str(&asked).unwrap();
    old["challenge"] = json!(BASE64_URL_SAFE_NO_PAD.encode([7; 32]));
    let old = asserted(&simulated, ALICE, &old.to_string(), None).await;
    let mut forged = good.clone();
    forged["response"]["signature"] = elsewhere["response"]["signature"].clone();
    for wrong in [elsewhere, theirs, old, forged] {
        let refused = companion.client.send_passkey_response(assertion(&wrong)).await;
        assert!(refused.unwrap_err().to_string().contains("passkey_prologue iq failed"));
        assert_eq!(stage(&simulated, "assertion").await["version"], 1);
    }
    companion.client.send_passkey_response(assertion(&good)).await.unwrap();
    confirmation(&companion).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_owner_who_sees_another_code_declines_and_can_begin_again() {
    let simulated = simulator().await;
    let companion = guarded(&simulated).await;
    let qr = companion.qr().await;
    for body in [json!({ "code": "AAAA-AAAA" }), json!({ "accept": false })] {
        scan(&simulated, &qr).await;
        let asked = options(&companion).await;
        let json = asserted(&simulated, ALICE, &asked, None).await;
        companion.client.send_passkey_response(assertion(&json)).await.unwrap();
        confirmation(&companion).await;
        stage(&simulated, "confirmation").await;
        assert_eq!(confirm(&simulated, body.clone()).await, if body["code"].is_string() { 422 } else { 204 });
        assert_eq!(stage(&simulated, "refused").await["reason"], "declined");
        // No word of it reaches whatsapp-rust before it asks; until then it takes no new challenge.
        assert!(companion.client.send_passkey_confirmation().await.is_err());
    }
    scan(&simulated, &qr).await;
    go_through_with_it(&simulated, &companion).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_waits_for_an_owner_for_ever() {
    let config = Config { passkey_lifetime: Some(Duration::ZERO), ..Config::default() };
    let simulated = with_config(config).await;
    let companion = guarded(&simulated).await;
    scan(&simulated, &companion.qr().await).await;
    let asked = options(&companion).await;
    assert_eq!(stage(&simulated, "refused").await["reason"], "timed_out");
    assert_eq!(simulated.call("POST", &format!("/phones/{ALICE}/passkey/expire"), None).await.0, 404);
    let late = assertion(&asserted(&simulated, ALICE, &asked, None).await);
    assert!(companion.client.send_passkey_response(late).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_owners_time_can_be_cut_short() {
    let simulated = simulator().await;
    let companion = guarded(&simulated).await;
    let qr = companion.qr().await;
    scan(&simulated, &qr).await;
    options(&companion).await;
    assert_eq!(simulated.call("POST", &format!("/phones/{ALICE}/passkey/expire"), None).await.0, 204);
    assert_eq!(stage(&simulated, "refused").await["reason"], "timed_out");
    scan(&simulated, &qr).await;
    go_through_with_it(&simulated, &companion).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_companion_that_leaves_ends_the_ceremony() {
    let simulated = simulator().await;
    let companion = guarded(&simulated).await;
    scan(&simulated, &companion.qr().await).await;
    options(&companion).await;
    companion.stop().await;
    assert_eq!(stage(&simulated, "refused").await["reason"], "companion_gone");
}

/// With an authenticator at hand the client answers by itself, and one that was linked before needs no code at all.
#[tokio::test(flavor = "multi_thread")]
async fn a_companion_that_was_linked_before_needs_nobody_to_compare_codes() {
    let simulated = Arc::new(simulator().await);
    let companion = guarded(&simulated).await;
    companion
        .client
        .persistence_manager()
        .modify_device(|device| {
            device.account = Some(waproto::whatsapp::ADVSignedDeviceIdentity::default().into());
        })
        .await;
    let browser = simulated.clone();
    let authenticator = CallbackAuthenticator::new(move |request| {
        let browser = browser.clone();
        Box::pin(async move {
            assert_eq!(
                parse_request_options(&request.raw_options_json).unwrap().challenge,
                request.challenge
            );
            Ok(assertion(&asserted(&browser, ALICE, &request.raw_options_json, None).await))
        })
    });
    companion.client.set_passkey_authenticator(Arc::new(authenticator)).await;
    scan(&simulated, &companion.qr().await).await;
    assert!(confirmation(&companion).await.skip_handoff_ux);
    companion.connected().await;
    stage(&simulated, "linked").await;
}
