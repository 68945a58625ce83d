//! Linking without a camera: the code an owner types on the phone, and what becomes of it and of the QR code beside it.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::harness::{KeyState, Organization, Patience, Phone, Session, eventually, now_ms, send, tests};

tests![
    a_code_outlives_every_qr_code,
    what_is_used_up_is_said_and_nothing_loops,
    a_wrong_code_that_nobody_follows_up_is_given_up,
    a_number_is_paired_by_the_code_typed_on_its_phone,
    a_code_for_another_number_waits_until_the_first_is_withdrawn,
    two_who_ask_at_once_get_one_code,
    a_code_survives_a_change_of_the_secret,
    a_code_survives_the_loss_of_its_connection,
    a_code_survives_the_loss_of_its_object,
    a_wrong_code_is_refused_and_the_right_one_still_links,
    a_code_that_expired_on_the_phone_leaves_the_rest_alone,
    whatsapp_can_ask_for_another_code,
    whatsapps_refusal_of_a_code_is_passed_on,
    a_refused_code_leaves_a_session_that_says_what_it_does,
    a_refusal_after_the_code_was_typed_asks_for_another,
    the_qr_code_works_beside_the_pairing_code,
    only_a_number_that_can_be_one_is_asked_for,
    a_pairing_code_takes_the_right_to_manage,
    a_pairing_code_is_written_down_nowhere,
    a_changed_secret_is_shown_at_once_and_the_old_code_is_worthless,
];

const SOON: Patience = Patience::seconds(30);
const PAIRING: Patience = Patience::seconds(40);
/// WhatsApp's letters: nothing that can be taken for something else.
const LETTERS: &str = "123456789ABCDEFGHJKLMNPQRSTVWXYZ";
/// How long a code is good.
const LASTS_MS: u64 = 180_000;

/// A session that nobody has started, and somebody's phone.
async fn new() -> (Session, Phone) {
    let organization = Organization::new();
    let phone = organization.gateway.simulator().phone().await;
    (organization.session(&json!({})).await, phone)
}

async fn links(session: &Session, phone: &Phone, code: &str) {
    phone.enter(code).await.expect(200);
    let row = session.wait_for_status("working", PAIRING).await;
    assert_eq!(row["phoneNumber"], phone.number.as_str());
    assert_eq!(row["waLid"], phone.lid.as_str());
}

/// Another code that looks the same.
fn mistyped(code: &str) -> String {
    let (start, last) = code.split_at(code.len() - 1);
    format!("{start}{}", if last == "7" { "8" } else { "7" })
}

async fn a_number_is_paired_by_the_code_typed_on_its_phone() {
    let (session, phone) = new().await;
    let began = Instant::now();
    let asked = now_ms();
    let shown = session.ask_pairing_code(&phone.number).await.expect(200);
    let got = began.elapsed();
    assert_eq!(shown.as_object().unwrap().len(), 2, "{shown}");
    let code = shown["code"].as_str().unwrap();
    let (first, second) = code.split_once('-').unwrap();
    assert_eq!((first.len(), second.len()), (4, 4), "{code}");
    assert!(first.chars().chain(second.chars()).all(|letter| LETTERS.contains(letter)), "{code}");
    let expires_at = shown["expiresAt"].as_u64().unwrap();
    assert!((asked + LASTS_MS - 1_000..=now_ms() + LASTS_MS).contains(&expires_at), "{shown} at {asked}");
    let known = phone.pairing_code().await;
    assert_eq!((&known["platformDisplay"], &known["expired"]), (&json!("Chrome (Linux)"), &json!(false)));
    assert_eq!(session.row().await["status"], "scan_qr_code");
    for _ in 0..3 {
        assert_eq!(session.ask_pairing_code(&phone.number).await.expect(200), shown, "asked again");
    }
    assert_eq!(phone.pairing_code().await, known, "registered again");
    let typed = Instant::now();
    links(&session, &phone, code).await;
    let linked = typed.elapsed();
    let paired = session.events("auth.code").await;
    assert_eq!(paired.len(), 1, "{paired:?}");
    let other = phone.simulator.phone().await;
    let id = session.sent(&other.number, "typed in").await;
    other.received(&id).await;
    session.ask_pairing_code(&phone.number).await.expect_invalid("session");
    session.post(":stop").await.expect(200);
    session.ask_pairing_code(&phone.number).await.expect_invalid("session");
    let (got, linked) = (got.as_secs_f64(), linked.as_secs_f64());
    println!("    a code {got:.2} s after it was asked for, working {linked:.2} s after it was typed");
}

async fn a_code_for_another_number_waits_until_the_first_is_withdrawn() {
    let (session, phone) = new().await;
    let other = phone.simulator.phone().await;
    let first = session.pairing_code(&phone).await;
    let refused = session.ask_pairing_code(&other.number).await;
    let error = refused.expect_error(409, "conflict");
    let after = error["details"]["retryAfterSeconds"].as_u64().unwrap();
    assert!((150..=180).contains(&after), "{error}");
    assert_eq!(refused.header("retry-after"), Some(after.to_string().as_str()));
    assert!(!refused.text().contains(&first) && !refused.text().contains(&phone.number), "{error}");

    session.post(":stop").await.expect(200);
    let second = session.pairing_code(&other).await;
    assert_ne!(first, second);
    // The first number's code is still typed: nobody answers for it.
    let late = phone.enter(&first).await;
    assert!([404, 408, 410, 422].contains(&late.status), "{} {}", late.status, late.text());
    assert_eq!(session.row().await["status"], "scan_qr_code");
    links(&session, &other, &second).await;
}

async fn two_who_ask_at_once_get_one_code() {
    for started in [false, true] {
        let (session, phone) = new().await;
        if started {
            session.code().await;
        }
        let ask = async || session.ask_pairing_code(&phone.number).await.expect(200);
        let (left, right, third) = futures::join!(ask(), ask(), ask());
        assert_eq!((&left, &left), (&right, &third));
        links(&session, &phone, left["code"].as_str().unwrap()).await;
    }
}

async fn a_code_survives_a_change_of_the_secret() {
    let (session, phone) = new().await;
    let code = session.pairing_code(&phone).await;
    let before = session.code().await;
    phone.simulator.refresh_registration(&before).await;
    eventually("another QR code", SOON, async || {
        let now = session.code().await;
        if now == before { Err(now) } else { Ok(()) }
    })
    .await;
    assert_eq!(session.pairing_code(&phone).await, code);
    links(&session, &phone, &code).await;
}

/// The connection that shows a code ends when somebody else's passkey is declined; nothing else ends just this one.
async fn a_code_survives_the_loss_of_its_connection() {
    let (session, phone) = new().await;
    let shown = session.ask_pairing_code(&phone.number).await.expect(200);
    let before = (session.row().await, phone.pairing_code().await);
    super::passkey::decline_another(&session).await;
    let row = session
        .wait_for("shown again", SOON, |row| {
            row["status"] == "scan_qr_code" && row["epoch"].as_u64() > before.0["epoch"].as_u64()
        })
        .await;
    registered_again(&phone, &before.1).await;
    assert_eq!(session.ask_pairing_code(&phone.number).await.expect(200), shown);
    links(&session, &phone, shown["code"].as_str().unwrap()).await;
    println!("    the code of epoch {} linked epoch {}", before.0["epoch"], row["epoch"]);
}

async fn a_code_survives_the_loss_of_its_object() {
    let (session, phone) = new().await;
    let shown = session.ask_pairing_code(&phone.number).await.expect(200);
    let before = phone.pairing_code().await;
    let path = format!("/simulator/sessions/{}/vanish", session.id);
    assert_eq!(send(session.organization.request(Method::POST, &path)).await.status, 204);
    // Somebody asks, and so it is there again.
    let began = Instant::now();
    let again = eventually("a code", SOON, async || {
        let answer = session.ask_pairing_code(&phone.number).await;
        if answer.status == 200 { Ok(answer.json()) } else { Err(answer.text()) }
    })
    .await;
    assert_eq!(again, shown);
    registered_again(&phone, &before).await;
    let back = began.elapsed().as_secs_f64();
    links(&session, &phone, shown["code"].as_str().unwrap()).await;
    println!("    an object that lost everything had its code out again after {back:.2} s");
}

/// The new connection has told WhatsApp of the code too.
async fn registered_again(phone: &Phone, before: &Value) {
    eventually("the code to be registered again", SOON, async || {
        let known = phone.pairing_code().await;
        if known["ref"] == before["ref"] { Err(known.to_string()) } else { Ok(()) }
    })
    .await;
}

async fn a_wrong_code_is_refused_and_the_right_one_still_links() {
    let (session, phone) = new().await;
    let code = session.pairing_code(&phone).await;
    for _ in 0..2 {
        phone.enter(&mistyped(&code)).await.expect_error(422, "code_mismatch");
        assert_eq!(phone.devices().await, Vec::<Value>::new());
        let row = session.row().await;
        assert_eq!((&row["status"], &row["statusReason"]), (&json!("scan_qr_code"), &Value::Null));
    }
    assert_eq!(session.pairing_code(&phone).await, code);
    links(&session, &phone, &code).await;
}

/// A minute after it was typed nothing has come of it: the code is no good any more, and the session says so for as
/// long as that is what its owner has to know.
async fn a_wrong_code_that_nobody_follows_up_is_given_up() {
    let (session, phone) = new().await;
    let code = session.pairing_code(&phone).await;
    // On a machine that is busy for 20 s the library gives its connection up, and the next knows nothing of what was
    // typed: then it is typed again.
    let (began, row) = loop {
        let epoch = session.row().await["epoch"].clone();
        phone.enter(&mistyped(&code)).await.expect_error(422, "code_mismatch");
        let began = Instant::now();
        let is_told = |row: &Value| row["statusReason"]["code"] == "pairing_code_refresh";
        let is_over =
            |row: &Value| is_told(row) || (row["epoch"] != epoch && row["status"] == "scan_qr_code");
        let row = session.wait_for("told of the code", Patience::seconds(80), is_over).await;
        if is_told(&row) {
            break (began, row);
        }
    };
    assert_eq!(
        (&row["status"], &row["statusReason"]["actionRequired"]),
        (&json!("scan_qr_code"), &json!(true))
    );
    let noticed = began.elapsed().as_secs_f64();
    // It is said also beside the next QR code.
    let codes = session.events("auth.qr").await.len();
    eventually("another QR code", Patience::seconds(60), async || {
        let now = session.events("auth.qr").await.len();
        if now > codes { Ok(()) } else { Err(format!("{now} codes")) }
    })
    .await;
    assert_eq!(session.row().await["statusReason"], row["statusReason"], "forgotten with the next QR code");
    let next = session.pairing_code(&phone).await;
    assert_ne!(next, code);
    assert_eq!(session.row().await["statusReason"], Value::Null, "there is a code again");
    links(&session, &phone, &next).await;
    println!("    a code nobody could use was given up after {noticed:.1} s");
}

async fn a_code_that_expired_on_the_phone_leaves_the_rest_alone() {
    let (session, phone) = new().await;
    let code = session.pairing_code(&phone).await;
    phone.expire_pairing_code().await;
    phone.enter(&code).await.expect_error(410, "stale_code");
    assert_eq!(session.row().await["status"], "scan_qr_code");
    // Nobody was told; whoever knows better begins again.
    session.post(":restart").await.expect(200);
    let next = session.pairing_code(&phone).await;
    assert_ne!(next, code);
    links(&session, &phone, &next).await;
}

async fn whatsapp_can_ask_for_another_code() {
    let (session, phone) = new().await;
    let first = session.pairing_code(&phone).await;
    phone.refresh_pairing_code().await;
    let row = session.wait_for_reason("pairing_code_refresh", SOON).await;
    assert_eq!(
        (&row["status"], &row["statusReason"]["actionRequired"]),
        (&json!("scan_qr_code"), &json!(true))
    );
    let second = session.pairing_code(&phone).await;
    assert_ne!(first, second);
    assert_eq!(session.row().await["statusReason"], Value::Null, "there is a code again");
    links(&session, &phone, &second).await;
}

async fn whatsapps_refusal_of_a_code_is_passed_on() {
    let (session, phone) = new().await;
    let refusals = [
        (400, 429, "rate_limited"),
        (403, 409, "conflict"),
        (429, 429, "rate_limited"),
        (452, 409, "conflict"),
        (500, 503, "gateway_unavailable"),
        (418, 409, "conflict"),
    ];
    let mut messages = BTreeSet::new();
    for (whatsapp, status, code) in refusals {
        for backoff in [None, Some(7)] {
            phone.fault(json!({"kind": "pair_code_error", "code": whatsapp, "backoff": backoff})).await;
            let answer = session.ask_pairing_code(&phone.number).await;
            let error = answer.expect_error(status, code);
            let details = &error["details"];
            assert_eq!(details["whatsappCode"], whatsapp.to_string(), "{error}");
            let after = backoff.unwrap_or(60);
            assert_eq!(details["retryAfterSeconds"], after, "{whatsapp}: {error}");
            assert_eq!(answer.header("retry-after"), Some(after.to_string().as_str()), "{whatsapp}");
            messages.insert(error["message"].as_str().unwrap().to_owned());
        }
    }
    assert_eq!(messages.len(), refusals.len(), "{messages:?}");
    // A number that is not on WhatsApp.
    let error = session.ask_pairing_code("49100000001").await.expect_error(429, "rate_limited");
    assert_eq!(error["details"]["whatsappCode"], "400");
    // None of that stands in the way of the next.
    let code = session.pairing_code(&phone).await;
    assert_eq!(session.row().await["epoch"], 1);
    links(&session, &phone, &code).await;
}

/// Pairing has begun all the same, and everything says so.
async fn a_refused_code_leaves_a_session_that_says_what_it_does() {
    let (session, phone) = new().await;
    phone.fault(json!({"kind": "pair_code_error", "code": 429})).await;
    session.ask_pairing_code(&phone.number).await.expect_error(429, "rate_limited");
    let row = session.row().await;
    assert_eq!((&row["status"], &row["epoch"]), (&json!("scan_qr_code"), &json!(1)));
    assert_eq!(row["statusReason"], Value::Null);
    let timeline = session.get("/timeline").await.expect(200);
    assert_eq!(timeline["data"][0]["status"], "scan_qr_code");
    session.pair(&phone).await;
}

async fn a_refusal_after_the_code_was_typed_asks_for_another() {
    let (session, phone) = new().await;
    let code = session.pairing_code(&phone).await;
    phone.fault(json!({"kind": "pair_code_error", "code": 500, "stage": "companion_finish"})).await;
    let (typed, row) =
        futures::join!(phone.enter(&code), session.wait_for_reason("pairing_code_refresh", SOON));
    assert!(typed.status >= 400, "{} {}", typed.status, typed.text());
    assert_eq!(
        (&row["status"], &row["statusReason"]["actionRequired"]),
        (&json!("scan_qr_code"), &json!(true))
    );
    assert_eq!(session.row().await["statusReason"], row["statusReason"], "forgotten at once");
    let next = session.pairing_code(&phone).await;
    assert_ne!(next, code);
    links(&session, &phone, &next).await;
}

async fn the_qr_code_works_beside_the_pairing_code() {
    let (session, phone) = new().await;
    let code = session.pairing_code(&phone).await;
    session.pair(&phone).await;
    let late = phone.enter(&code).await;
    assert!(late.status >= 400, "{} {}", late.status, late.text());
    assert_eq!(phone.devices().await.len(), 1);
    assert_eq!(session.row().await["status"], "working");
}

async fn only_a_number_that_can_be_one_is_asked_for() {
    let (session, phone) = new().await;
    let bad = [
        json!(""),
        json!("123456"),
        json!("1234567890123456"),
        json!(format!("+{}", phone.number)),
        json!(format!("0{}", phone.number)),
        json!(format!("00{}", phone.number)),
        json!("49 151 1234567"),
        json!("49-151-1234567"),
        json!("(49)1511234567"),
        json!("٤٩١٥١١٢٣٤٥٦"),
        json!("491511234567a"),
        json!("1e10000"),
        json!("-4915112345"),
        json!("4915112345.0"),
        json!("0x4915112345"),
        json!(phone.jid),
        json!(phone.lid),
        json!(format!("{}\n", phone.number)),
        json!(format!(" {}", phone.number)),
        json!(format!("{}\u{0}", phone.number)),
        json!("💥💥💥💥💥💥💥💥"),
        json!("9".repeat(10_000)),
        json!(4_915_112_345_678_u64),
        json!(null),
        json!(true),
        json!([]),
        json!({}),
        json!([phone.number]),
    ];
    for phone in &bad {
        let body = json!({ "phone": phone });
        let answer = session.organization.post_json(&session.path("/pairing-code"), &body).await;
        answer.expect_invalid("phone");
    }
    let refused = async |body: Value, field: &str| {
        session.organization.post_json(&session.path("/pairing-code"), &body).await.expect_invalid(field);
    };
    refused(json!({}), "body").await;
    refused(json!({"phone": phone.number, "code": "ABCD1234"}), "code").await;
    refused(json!({"phoneNumber": phone.number}), "phoneNumber").await;
    session.post("/pairing-code").await.expect_error(400, "validation_error");
    let row = session.row().await;
    assert_eq!(
        (&row["status"], &row["epoch"]),
        (&json!("stopped"), &json!(0)),
        "a refused call began pairing"
    );
    println!("    {} phones that are none", bad.len());
}

async fn a_pairing_code_takes_the_right_to_manage() {
    let (session, phone) = new().await;
    let shown = session.pairing_code(&phone).await;
    for permissions in [&["send"][..], &["read"], &["events"], &[]] {
        let member = session.organization.with_key(permissions, KeyState::Valid);
        let member = Session::of(&member, &session.id);
        let refused = member.ask_pairing_code(&phone.number).await;
        refused.expect_error(403, "forbidden");
        assert!(!refused.text().contains(&shown));
        member.get("/passkey").await.expect_error(403, "forbidden");
        let body = json!({"confirmed": true});
        let answer = member.organization.post_json(&member.path("/passkey"), &body).await;
        answer.expect_error(403, "forbidden");
    }
    let stranger = Session::of(&Organization::new(), &session.id);
    stranger.ask_pairing_code(&phone.number).await.expect_error(404, "not_found");
    stranger.get("/passkey").await.expect_error(404, "not_found");
}

async fn a_pairing_code_is_written_down_nowhere() {
    let (session, phone) = new().await;
    let code = session.pairing_code(&phone).await;
    let bare = code.replace('-', "");
    let everywhere = async |when: &str| {
        let organization = &session.organization;
        let log = serde_json::to_string(&session.log().await).unwrap();
        assert!(!log.contains(&code) && !log.contains(&bare), "{when}: in the log");
        let paths = ["/api/v1/audit-log".to_owned(), "/api/v1/sessions".to_owned()];
        let own = ["", "/timeline", "/qr", "/me"].map(|rest| session.path(rest));
        for path in paths.iter().chain(&own) {
            let answer = organization.get(path).await;
            assert!([200, 400, 404].contains(&answer.status), "{path}: {}", answer.text());
            let text = answer.text();
            assert!(!text.contains(&code) && !text.contains(&bare), "{when}: {path} tells the code");
        }
    };
    everywhere("while it is out").await;
    let audited = session.organization.get("/api/v1/audit-log").await.expect(200);
    assert!(audited.to_string().contains("sessionPairingCode"), "{audited}");
    links(&session, &phone, &code).await;
    everywhere("after it linked").await;
}

async fn a_changed_secret_is_shown_at_once_and_the_old_code_is_worthless() {
    let (session, phone) = new().await;
    let before = session.code().await;
    let position = session.position().await;
    let first = session.events("auth.qr").await[0].clone();
    phone.simulator.refresh_registration(&before).await;
    let began = Instant::now();
    let pushed = session.event(position, "auth.qr", |_| true).await;
    let took = began.elapsed().as_secs_f64();
    let after = pushed["payload"]["code"].as_str().unwrap();
    assert_ne!(after, before);
    assert_eq!(session.code().await, after);
    // The same ref: its end has not moved by more than the clock's grain.
    let ends = |event: &Value| event["payload"]["expiresAt"].as_u64().unwrap();
    assert!(ends(&first).abs_diff(ends(&pushed)) < 1_500, "{first} {pushed}");
    let answer = phone.scan(&before).await;
    assert_eq!(answer.status, 422, "{}", answer.text());
    phone.scan(&session.code().await).await.expect(200);
    session.wait_for_status("working", PAIRING).await;
    println!("    a changed secret was pushed after {took:.2} s");
}

/// Follows the QR codes until there are no more: each has its time and is never shown after it.
async fn use_up(session: &Session) -> Vec<Value> {
    eventually("all QR codes to be used up", Patience::seconds(190), async || {
        let asked = now_ms();
        let row = session.row().await;
        if row["status"] == "scan_qr_code" {
            let answer = session.get("/qr").await;
            if answer.status == 200 {
                let qr = answer.json();
                assert!(qr["expiresAt"].as_u64().unwrap() > asked, "an expired code: {qr} at {asked}");
            }
        }
        let codes = session.events("auth.qr").await;
        let last = codes.last().map_or(u64::MAX, |code| code["payload"]["expiresAt"].as_u64().unwrap());
        if codes.len() >= 6 && now_ms() > last + 500 { Ok(()) } else { Err(format!("{} codes", codes.len())) }
    })
    .await;
    let told = session.events("auth.qr").await;
    let codes: BTreeSet<&str> = told.iter().map(|code| code["payload"]["code"].as_str().unwrap()).collect();
    assert_eq!((codes.len(), told.len()), (6, 6));
    for code in &told {
        let expires_at = code["payload"]["expiresAt"].as_u64().unwrap();
        let timestamp = code["timestamp"].as_u64().unwrap();
        let lasts = expires_at - timestamp;
        assert!((15_000..=60_500).contains(&lasts), "{code}");
    }
    told
}

async fn a_code_outlives_every_qr_code() {
    let (session, phone) = new().await;
    let code = session.pairing_code(&phone).await;
    use_up(&session).await;
    session.get("/qr").await.expect_error(404, "not_found");
    let row = session.row().await;
    assert_eq!((&row["status"], &row["epoch"]), (&json!("scan_qr_code"), &json!(1)));
    links(&session, &phone, &code).await;
}

async fn what_is_used_up_is_said_and_nothing_loops() {
    let began = Instant::now();
    let (coded, phone) = new().await;
    let (plain, _) = new().await;
    plain.code().await;
    let code = coded.pairing_code(&phone).await;
    let ended = async |session: &Session, patience: u64| {
        let row = session.wait_for_status("stopped", Patience::seconds(patience)).await;
        let reason = &row["statusReason"];
        assert_eq!((&reason["code"], &reason["actionRequired"]), (&json!("qr_expired"), &json!(true)));
        assert_eq!((&reason["retryAt"], &row["epoch"]), (&Value::Null, &json!(1)));
        began.elapsed().as_secs_f64()
    };
    let (without, with) = futures::join!(ended(&plain, 190), ended(&coded, 220));
    // The code kept its connection until its own end.
    assert!(with > 175.0 && without < 175.0, "{without} {with}");
    let late = phone.enter(&code).await;
    assert!(late.status >= 400, "{} {}", late.status, late.text());
    for session in [&plain, &coded] {
        assert_eq!(session.events("auth.qr").await.len(), 6);
        assert_eq!(session.row().await["status"], "stopped");
    }
    // Whoever asks begins again.
    let next = coded.pairing_code(&phone).await;
    assert_ne!(next, code);
    links(&coded, &phone, &next).await;
    plain.code().await;
    println!("    stopped (qr_expired) after {without:.0} s, with a pairing code out after {with:.0} s");
}
