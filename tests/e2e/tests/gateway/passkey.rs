//! The passkey that WhatsApp asks some owners for before it links their number: asked for, handed in, confirmed,
//! refused, given up.

use serde_json::{Value, json};
use tokio::time::Instant;

use crate::harness::{Answer, Organization, Patience, Phone, Session, eventually, now_ms, tests};

tests![
    a_challenge_lasts_as_long_as_it_says,
    an_owner_who_declines_on_the_phone_last_is_waited_for_in_vain,
    a_typed_code_leads_to_the_passkey_and_leaves_its_owner_time,
    a_passkey_links_the_number_once_both_codes_agree,
    a_passkey_used_elsewhere_is_refused,
    an_owner_who_declines_here_begins_anew,
    an_owner_who_declines_on_the_phone_begins_anew,
    an_owner_who_takes_too_long_begins_anew,
    the_steps_come_in_their_order,
    an_assertion_that_is_none_is_refused_by_its_field,
    nobody_is_asked_without_a_reason,
];

const SOON: Patience = Patience::seconds(30);
const PAIRING: Patience = Patience::seconds(40);
const ORIGIN: &str = "https://web.whatsapp.com";

/// A session that shows its code, and somebody whom WhatsApp asks for the passkey.
async fn new() -> (Session, Phone) {
    let organization = Organization::new();
    let phone = organization.gateway.simulator().phone().await;
    phone.require_passkey().await;
    (organization.session(&json!({"start": true})).await, phone)
}

/// Scans, and waits until the session asks for the passkey; the challenge.
async fn challenged(session: &Session, phone: &Phone) -> Value {
    let answer = phone.scan(&session.code().await).await;
    assert_eq!(answer.status, 202, "{}", answer.text());
    asked(session).await
}

async fn asked(session: &Session) -> Value {
    let row = session.wait_for_reason("passkey_required", SOON).await;
    let reason = &row["statusReason"];
    assert_eq!(
        (&row["status"], &reason["actionRequired"]),
        (&json!("scan_qr_code"), &json!(true)),
        "{reason}"
    );
    assert!(reason["expiresAt"].as_u64().unwrap() > now_ms(), "{reason}");
    assert_eq!(reason["retryAt"], Value::Null);
    let challenge = session.get("/passkey").await.expect(200);
    assert_eq!((&challenge["stage"], &challenge["origin"]), (&json!("challenge"), &json!(ORIGIN)));
    assert_eq!((&challenge["code"], &challenge["expiresAt"]), (&Value::Null, &reason["expiresAt"]));
    let options = &challenge["options"];
    assert!(options["challenge"].as_str().is_some_and(|text| text.len() >= 43), "{options}");
    assert_eq!(options["rpId"], "whatsapp.com");
    challenge
}

async fn answer(session: &Session, body: &Value) -> Answer {
    session.organization.post_json(&session.path("/passkey"), body).await
}

/// Hands in what the owner's browser makes of the challenge on a page of this origin.
async fn assert_on(session: &Session, phone: &Phone, challenge: &Value, origin: &str) -> Answer {
    let assertion = phone.assert_passkey(&challenge["options"], origin).await;
    answer(session, &json!({ "assertion": assertion })).await
}

async fn stage(session: &Session, wanted: &str) -> Value {
    eventually(&format!("the passkey to be at {wanted}"), SOON, async || {
        let answer = session.get("/passkey").await;
        if answer.status == 200 && answer.json()["stage"] == wanted {
            Ok(answer.json())
        } else {
            Err(answer.text())
        }
    })
    .await
}

async fn on_phone(phone: &Phone, wanted: &str) -> Value {
    eventually(&format!("the phone to be at {wanted}"), SOON, async || {
        let link = phone.passkey_link().await;
        if link["stage"] == wanted { Ok(link) } else { Err(link.to_string()) }
    })
    .await
}

/// Signed by the owner; both ends show the same code, which is the answer.
async fn signed(session: &Session, phone: &Phone, challenge: &Value) -> String {
    let next = assert_on(session, phone, challenge, ORIGIN).await.expect(202);
    assert!(["submitted", "confirmation"].contains(&next["stage"].as_str().unwrap()), "{next}");
    let shown = stage(session, "confirmation").await;
    assert_eq!(shown["options"], Value::Null);
    assert!(shown["expiresAt"].as_u64().unwrap() > now_ms());
    let row = session.row().await;
    assert_eq!(row["statusReason"]["code"], "passkey_required");
    assert_eq!(row["statusReason"]["expiresAt"], shown["expiresAt"]);
    let link = on_phone(phone, "confirmation").await;
    let code = shown["code"].as_str().unwrap();
    assert_eq!((&link["code"], code.len(), &code[4..5]), (&json!(code), 9, "-"));
    code.to_owned()
}

/// The owner signs, compares and agrees, here and there.
async fn goes_through(session: &Session, phone: &Phone, challenge: &Value) {
    let code = signed(session, phone, challenge).await;
    phone.confirm_passkey(&json!({ "code": code })).await.expect(204);
    let next = answer(session, &json!({"confirmed": true})).await.expect(202);
    assert_eq!(next["stage"], "confirmed");
    let row = session.wait_for_status("working", PAIRING).await;
    assert_eq!(row["phoneNumber"], phone.number.as_str());
    on_phone(phone, "linked").await;
}

/// What follows a refusal: it is said, the challenge is gone, and a new code links.
async fn begins_anew(session: &Session, phone: &Phone) {
    session.get("/passkey").await.expect_error(404, "not_found");
    let challenge = challenged(session, phone).await;
    goes_through(session, phone, &challenge).await;
}

/// Somebody else scans this session's QR code and declines at its owner's end, which ends its connection.
pub async fn decline_another(session: &Session) {
    let other = session.organization.gateway.simulator().phone().await;
    other.require_passkey().await;
    let challenge = challenged(session, &other).await;
    signed(session, &other, &challenge).await;
    answer(session, &json!({"confirmed": false})).await.expect_error(409, "conflict");
}

async fn a_passkey_links_the_number_once_both_codes_agree() {
    let (session, phone) = new().await;
    let began = Instant::now();
    let challenge = challenged(&session, &phone).await;
    assert_eq!(phone.devices().await, Vec::<Value>::new(), "linked without the passkey");
    let code = signed(&session, &phone, &challenge).await;
    assert!(!serde_json::to_string(&session.log().await).unwrap().contains(&code), "the code is in the log");
    let next = answer(&session, &json!({"confirmed": true})).await.expect(202);
    assert_eq!(next["stage"], "confirmed");
    assert_eq!(phone.devices().await, Vec::<Value>::new(), "linked without the phone's word");
    phone.confirm_passkey(&json!({ "code": code })).await.expect(204);
    let row = session.wait_for_status("working", PAIRING).await;
    assert_eq!((&row["phoneNumber"], &row["statusReason"]), (&json!(phone.number), &Value::Null));
    let linked = began.elapsed().as_secs_f64();
    let jid = on_phone(&phone, "linked").await["deviceJid"].clone();
    assert_eq!(jid, row["waJid"]);
    session.get("/passkey").await.expect_error(404, "not_found");
    let other = phone.simulator.phone().await;
    let id = session.sent(&other.number, "with a passkey").await;
    other.received(&id).await;
    println!("    working {linked:.2} s after the scan, passkey and both confirmations included");
}

async fn a_typed_code_leads_to_the_passkey_and_leaves_its_owner_time() {
    let (session, phone) = new().await;
    let code = session.pairing_code(&phone).await;
    let typed = phone.enter(&code).await;
    assert_eq!(typed.status, 202, "{}", typed.text());
    let challenge = asked(&session).await;
    // A minute after a code was typed the library gives it up; the owner's time is longer.
    eventually("four QR codes", Patience::seconds(120), async || {
        let row = session.row().await;
        assert_eq!(row["statusReason"]["code"], "passkey_required", "{row}");
        assert_eq!(row["statusReason"]["expiresAt"], challenge["expiresAt"]);
        let codes = session.events("auth.qr").await.len();
        if codes >= 4 { Ok(()) } else { Err(format!("{codes} codes")) }
    })
    .await;
    assert_eq!(session.get("/passkey").await.expect(200), challenge);
    goes_through(&session, &phone, &challenge).await;
}

async fn a_passkey_used_elsewhere_is_refused() {
    let (session, phone) = new().await;
    let challenge = challenged(&session, &phone).await;
    let refused = assert_on(&session, &phone, &challenge, "https://gateway.example").await;
    refused.expect_error(409, "conflict");
    let row = session.wait_for_reason("passkey_failed", SOON).await;
    assert_eq!(
        (&row["status"], &row["statusReason"]["actionRequired"]),
        (&json!("scan_qr_code"), &json!(true))
    );
    // The phone waits for another signature; its owner closes that.
    phone.expire_passkey().await;
    begins_anew(&session, &phone).await;
}

async fn an_owner_who_declines_here_begins_anew() {
    let (session, phone) = new().await;
    let challenge = challenged(&session, &phone).await;
    let epoch = session.row().await["epoch"].as_u64();
    signed(&session, &phone, &challenge).await;
    answer(&session, &json!({"confirmed": false})).await.expect_error(409, "conflict");
    session.get("/passkey").await.expect_error(404, "not_found");
    let link = on_phone(&phone, "refused").await;
    assert_eq!(link["reason"], "companion_gone");
    let row = session
        .wait_for("shown again", SOON, |row| row["status"] == "scan_qr_code" && row["epoch"].as_u64() > epoch)
        .await;
    assert_eq!(row["waJid"], Value::Null);
    begins_anew(&session, &phone).await;
}

async fn an_owner_who_declines_on_the_phone_begins_anew() {
    let (session, phone) = new().await;
    let challenge = challenged(&session, &phone).await;
    signed(&session, &phone, &challenge).await;
    phone.confirm_passkey(&json!({"code": "AAAA-AAAA"})).await.expect_error(422, "code_mismatch");
    assert_eq!(on_phone(&phone, "refused").await["reason"], "declined");
    answer(&session, &json!({"confirmed": true})).await.expect_error(409, "conflict");
    session.wait_for_reason("passkey_failed", SOON).await;
    begins_anew(&session, &phone).await;
}

/// WhatsApp tells nobody: the session waits until its own time is over, says so and begins anew.
async fn an_owner_who_declines_on_the_phone_last_is_waited_for_in_vain() {
    let (session, phone) = new().await;
    let challenge = challenged(&session, &phone).await;
    signed(&session, &phone, &challenge).await;
    let epoch = session.row().await["epoch"].as_u64();
    answer(&session, &json!({"confirmed": true})).await.expect(202);
    let shown = session.get("/passkey").await.expect(200);
    phone.confirm_passkey(&json!({"accept": false})).await.expect(204);
    on_phone(&phone, "refused").await;
    let began = Instant::now();
    let row = session.wait_for("given up", Patience::seconds(160), |row| row["epoch"].as_u64() > epoch).await;
    assert!(["starting", "scan_qr_code"].contains(&row["status"].as_str().unwrap()), "{row}");
    assert!(now_ms() >= shown["expiresAt"].as_u64().unwrap(), "given up before its time");
    let took = began.elapsed().as_secs_f64();
    begins_anew(&session, &phone).await;
    println!("    a decline nobody was told of was given up after {took:.0} s");
}

async fn an_owner_who_takes_too_long_begins_anew() {
    let (session, phone) = new().await;
    let challenge = challenged(&session, &phone).await;
    phone.expire_passkey().await;
    assert_eq!(on_phone(&phone, "refused").await["reason"], "timed_out");
    assert_on(&session, &phone, &challenge, ORIGIN).await.expect_error(409, "conflict");
    session.wait_for_reason("passkey_failed", SOON).await;
    begins_anew(&session, &phone).await;
}

/// Whoever reads `expiresAt` may count on it, however many QR codes pass meanwhile.
async fn a_challenge_lasts_as_long_as_it_says() {
    let (session, phone) = new().await;
    let challenge = challenged(&session, &phone).await;
    let expires_at = challenge["expiresAt"].as_u64().unwrap();
    let began = Instant::now();
    // Longer than all QR codes of a connection together.
    eventually("the QR codes to be used up", Patience::seconds(200), async || {
        let row = session.row().await;
        let asks = row["statusReason"]["code"] == "passkey_required";
        let over = now_ms() >= expires_at;
        assert!(asks || over, "{} s before its time: {row}", (expires_at - now_ms()) / 1_000);
        let codes = session.events("auth.qr").await;
        let last = codes.last().map_or(u64::MAX, |code| code["payload"]["expiresAt"].as_u64().unwrap());
        if over || (codes.len() >= 6 && now_ms() > last + 5_000) {
            Ok(())
        } else {
            Err(format!("{} codes", codes.len()))
        }
    })
    .await;
    println!("    a challenge stood for {:.0} s", began.elapsed().as_secs_f64());
    if now_ms() < expires_at {
        goes_through(&session, &phone, &challenge).await;
    } else {
        begins_anew(&session, &phone).await;
    }
}

async fn the_steps_come_in_their_order() {
    let (session, phone) = new().await;
    let wrong = async |body: Value, stage: &str| {
        let error = answer(&session, &body).await.expect_error(409, "conflict");
        assert_eq!(error["details"]["stage"], stage, "{error}");
    };
    let challenge = challenged(&session, &phone).await;
    for confirmed in [true, false] {
        wrong(json!({ "confirmed": confirmed }), "challenge").await;
    }
    assert_eq!(session.get("/passkey").await.expect(200), challenge);
    let assertion = phone.assert_passkey(&challenge["options"], ORIGIN).await;
    let code = signed(&session, &phone, &challenge).await;
    wrong(json!({ "assertion": assertion }), "confirmation").await;
    answer(&session, &json!({"confirmed": true})).await.expect(202);
    for body in [json!({ "assertion": assertion }), json!({"confirmed": true}), json!({"confirmed": false})] {
        wrong(body, "confirmed").await;
    }
    assert_eq!(session.get("/passkey").await.expect(200)["stage"], "confirmed");
    phone.confirm_passkey(&json!({ "code": code })).await.expect(204);
    session.wait_for_status("working", PAIRING).await;
}

async fn an_assertion_that_is_none_is_refused_by_its_field() {
    let (session, phone) = new().await;
    let challenge = challenged(&session, &phone).await;
    let good = phone.assert_passkey(&challenge["options"], ORIGIN).await;
    let mut cases = 0;
    let mut refused = async |body: Value, field: &str| {
        cases += 1;
        answer(&session, &body).await.expect_invalid(field);
    };
    let long = "A".repeat(8_193);
    let bad = [json!(""), json!("!"), json!("a b"), json!("+/+/"), json!("A"), json!(long)];
    for (pointer, field) in [
        ("/rawId", "assertion.rawId"),
        ("/response/clientDataJSON", "assertion.response.clientDataJSON"),
        ("/response/authenticatorData", "assertion.response.authenticatorData"),
        ("/response/signature", "assertion.response.signature"),
    ] {
        for value in &bad {
            let mut assertion = good.clone();
            *assertion.pointer_mut(pointer).unwrap() = value.clone();
            refused(json!({ "assertion": assertion }), field).await;
        }
    }
    for kind in ["", "password", "Public-Key"] {
        let mut assertion = good.clone();
        assertion["type"] = json!(kind);
        refused(json!({ "assertion": assertion }), "assertion.type").await;
    }
    refused(json!({}), "body").await;
    refused(json!({"assertion": good, "confirmed": true}), "body").await;
    refused(json!({"assertion": null, "confirmed": null}), "body").await;
    refused(json!({"confirmed": "yes"}), "confirmed").await;
    refused(json!({"confirmed": true, "code": "AAAA-AAAA"}), "code").await;
    // Parts that are missing or of another kind: named as far as the reader knows.
    for (parent, name) in [("", "rawId"), ("", "type"), ("", "response"), ("/response", "signature")] {
        let mut assertion = good.clone();
        assertion.pointer_mut(parent).unwrap().as_object_mut().unwrap().remove(name);
        let error = answer(&session, &json!({ "assertion": assertion })).await;
        let field = error.expect_error(400, "validation_error")["details"]["field"].clone();
        assert!(field.as_str().unwrap().starts_with("assertion"), "{name}: {field}");
        cases += 1;
    }
    for assertion in [json!("x"), json!([]), json!(1)] {
        let error = answer(&session, &json!({ "assertion": assertion })).await;
        error.expect_invalid("assertion");
        cases += 1;
    }
    // None of them cost the owner the challenge.
    assert_eq!(session.get("/passkey").await.expect(200), challenge);
    goes_through(&session, &phone, &challenge).await;
    println!("    {cases} assertions that are none");
}

async fn nobody_is_asked_without_a_reason() {
    let organization = Organization::new();
    let session = organization.session(&json!({})).await;
    let none = async || {
        session.get("/passkey").await.expect_error(404, "not_found");
        answer(&session, &json!({"confirmed": true})).await.expect_error(404, "not_found");
    };
    none().await;
    assert_eq!(session.row().await["epoch"], 0, "asking began something");
    session.code().await;
    none().await;
    let phone = organization.gateway.simulator().phone().await;
    session.pair(&phone).await;
    none().await;
    session.post(":stop").await.expect(200);
    none().await;
}
