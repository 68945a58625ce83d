//! The cron: who is gone in silence is woken, what was cut off is finished, the version of WhatsApp is kept fresh. It
//! looks after everybody's sessions, so it has a sandbox of its own.

use reqwest::Method;
use rusqlite::params;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::harness::matrix::{self, Fault};
use crate::harness::{
    Answer, Gateway, Organization, Patience, Phone, Sandbox, Session, eventually, now_ms, send, tests,
    with_json,
};

tests![
    the_cron_looks_after_everybody,
    a_new_version_is_claimed_and_ends_what_the_old_one_began,
    the_metrics_count_and_name_nobody,
];

const SOON: Patience = Patience::seconds(20);
const MINUTE_MS: u64 = 60_000;
const METRICS_TOKEN: &str = "the token of a test's metrics";

/// A run of the cron, to its end.
async fn run_cron(gateway: &Gateway) {
    let ran = gateway.get("/cdn-cgi/local/scheduled?cron=*/5+*+*+*+*").await;
    assert_eq!((ran.status, ran.text().as_str()), (200, "ok"));
}

/// What the directory says of a session, without asking its object.
fn in_directory(session: &Session, column: &str) -> Value {
    let statement = format!("SELECT json_array({column}) FROM session WHERE id = ?1");
    let database = session.organization.gateway.directory();
    let text: String = database.query_row(&statement, params![session.id], |row| row.get(0)).unwrap();
    let mut values: Vec<Value> = serde_json::from_str(&text).unwrap();
    values.pop().unwrap()
}

fn write(gateway: &Gateway, statement: &str, values: impl rusqlite::Params) {
    assert_eq!(gateway.directory().execute(statement, values).unwrap(), 1, "{statement}");
}

async fn set_observed_at(session: &Session, at: u64) {
    let request =
        session.organization.request(Method::PUT, &format!("/simulator/sessions/{}/observed-at", session.id));
    assert_eq!(send(with_json(request, &json!({ "at": at }))).await.status, 204);
}

async fn projected(session: &Session, status: &str) {
    eventually(&format!("{status} in the directory"), SOON, async || {
        let found = in_directory(session, "status");
        if found == status { Ok(()) } else { Err(found.to_string()) }
    })
    .await;
}

async fn is_connected(phone: &Phone, wanted: bool) {
    eventually(&format!("connected: {wanted}"), SOON, async || {
        let device = phone.device().await;
        if device["connected"] == wanted { Ok(()) } else { Err(device.to_string()) }
    })
    .await;
}

async fn the_cron_looks_after_everybody() {
    let sandbox = Sandbox::start().await;
    let organization = Organization::on(&sandbox);
    let (lost, lost_phone) = Session::working_in(&organization).await;
    let (fresh, fresh_phone) = Session::working_in(&organization).await;
    let (stopped, _) = Session::working_in(&organization).await;
    stopped.post(":stop").await.expect(200);
    projected(&lost, "working").await;
    projected(&fresh, "working").await;
    projected(&stopped, "stopped").await;

    // Gone in silence: the directory still says that it works, and nothing brings it back.
    let before = lost_phone.device().await;
    let fresh_logins = fresh_phone.device().await["logins"].clone();
    let path = format!("/simulator/sessions/{}/vanish", lost.id);
    assert_eq!(send(organization.request(Method::POST, &path)).await.status, 204);
    is_connected(&lost_phone, false).await;
    run_cron(&sandbox).await;
    assert_eq!(in_directory(&lost, "swept_at"), 0, "it was heard of a moment ago");
    assert_eq!(lost_phone.device().await["connected"], false);
    assert_eq!(in_directory(&lost, "status"), "working");

    // A bad one before it: there is no such region, so its object can't be called.
    set_observed_at(&stopped, 1).await;
    write(
        &sandbox,
        "UPDATE session SET status = 'working', region = 'nowhere' WHERE id = ?1",
        params![stopped.id],
    );
    set_observed_at(&lost, now_ms() - 16 * MINUTE_MS).await;
    let observed = in_directory(&fresh, "observed_at");
    let (began, since) = (Instant::now(), now_ms());
    run_cron(&sandbox).await;
    is_connected(&lost_phone, true).await;
    lost.wait_for_status("working", SOON).await;
    matrix::note(Fault {
        name: "alarm, socket and memory lost".to_owned(),
        said: lost.said(&(since..now_ms())).await,
        seen: None,
        working: vec![began.elapsed().as_secs_f64()],
        by: "the cron",
    });
    let after = lost_phone.device().await;
    assert_eq!((&after["jid"], &after["device"]), (&before["jid"], &before["device"]), "paired again");
    assert_eq!(lost.events("auth.code").await.len(), 1, "paired again");
    assert!(in_directory(&stopped, "swept_at").as_u64() > Some(0), "the bad one was not even tried");
    assert_eq!(in_directory(&fresh, "swept_at"), 0, "a fresh one was called");
    assert_eq!(in_directory(&fresh, "observed_at"), observed);
    assert_eq!(fresh_phone.device().await["logins"], fresh_logins, "a fresh one was disturbed");
    let id = lost.sent(&fresh_phone.number, "back again").await;
    fresh.event_of("message", &id).await;

    // What owners asked for and no object has heard: to connect, and to be gone.
    let statement = "UPDATE session SET desired = ?2, desired_at = ?3, observed_at = ?3 - 1 WHERE id = ?1";
    let asked_at = i64::try_from(now_ms() - 2 * MINUTE_MS).unwrap();
    let unheard = organization.session(&json!({})).await;
    write(&sandbox, statement, params![unheard.id, "connected", asked_at]);
    write(&sandbox, statement, params![fresh.id, "deleted", asked_at]);
    run_cron(&sandbox).await;
    unheard.wait_for_status("scan_qr_code", SOON).await;
    fresh.get("").await.expect_error(404, "not_found");
    eventually("the deleted one to be unlinked", SOON, async || {
        let devices = fresh_phone.devices().await;
        if devices.is_empty() { Ok(()) } else { Err(format!("{devices:?}")) }
    })
    .await;

    // A wish that was lost on its way to an object that has shown itself since: it lives, and has not heard.
    let deaf = organization.session(&json!({})).await;
    deaf.code().await;
    projected(&deaf, "scan_qr_code").await;
    let statement = "UPDATE session SET desired = 'stopped', desired_at = ?2, observed_at = ?2 + 1, swept_at = 0 \
                     WHERE id = ?1";
    write(&sandbox, statement, params![deaf.id, asked_at]);
    run_cron(&sandbox).await;
    deaf.wait_for_status("stopped", SOON).await;
    eventually("the object to say that it has heard", SOON, async || {
        let heard = in_directory(&deaf, "heard_at >= desired_at");
        if heard == 1 { Ok(()) } else { Err(heard.to_string()) }
    })
    .await;

    // A call that found the row before it was gone comes late, and makes nothing anew.
    let statement = "INSERT INTO session (id, organization_id, created_at, updated_at, epoch) \
                     VALUES (?1, ?2, 1, 1, 1)";
    write(&sandbox, statement, params![fresh.id, fresh.organization.name]);
    fresh.post(":start").await.expect_error(404, "not_found");
    fresh.get("").await.expect_error(404, "not_found");
    assert_eq!(in_directory(&fresh, "status"), "stopped", "a deleted object wrote to the directory");
}

/// What the simulated page and its logins have seen.
async fn page(gateway: &Gateway) -> Value {
    gateway.simulator().get("/whatsapp-version").await
}

async fn set_page(gateway: &Gateway, revision: Option<u32>, oldest: u32) {
    let body = json!({ "revision": revision, "oldest": oldest });
    let changed: Answer = gateway.simulator().call(Method::PUT, "/whatsapp-version", Some(&body)).await;
    assert_eq!(changed.status, 204, "{}", changed.text());
}

fn version(gateway: &Gateway, column: &str) -> Value {
    let statement = format!("SELECT json_array({column}) FROM whatsapp_version");
    let text: String = gateway.directory().query_row(&statement, [], |row| row.get(0)).unwrap();
    let mut values: Vec<Value> = serde_json::from_str(&text).unwrap();
    values.pop().unwrap()
}

async fn a_new_version_is_claimed_and_ends_what_the_old_one_began() {
    const OLD: u32 = 1_042_742_400;
    const NEW: u32 = 1_042_742_500;
    let sandbox = Sandbox::start().await;
    set_page(&sandbox, Some(OLD), 0).await;
    run_cron(&sandbox).await;
    assert_eq!(version(&sandbox, "fetched"), format!("2.3000.{OLD}"));
    let asked = page(&sandbox).await["asked"].clone();

    // One fetch for all.
    let organization = Organization::on(&sandbox);
    let (session, phone) = Session::working_in(&organization).await;
    let (other, other_phone) = Session::working_in(&organization).await;
    run_cron(&sandbox).await;
    let seen = page(&sandbox).await;
    assert_eq!(seen["asked"], asked, "asked again although it is known");
    for phone in [&phone, &other_phone] {
        assert_eq!(seen["claimed"][&phone.number], OLD, "{seen}");
    }

    // WhatsApp refuses the old version: the next run asks again, and starts who was refused. Only those.
    set_page(&sandbox, Some(NEW), NEW).await;
    other.post(":stop").await.expect(200);
    let banned = other_phone.fault(json!({"kind": "failure", "reason": 403})).await;
    other.post(":start").await.expect(200);
    other.wait_for_status("failed", SOON).await;
    phone.fault(json!({"kind": "close"})).await;
    let failed = session.wait_for_status("failed", SOON).await;
    assert_eq!(failed["statusReason"]["code"], "client_outdated");
    projected(&session, "failed").await;
    projected(&other, "failed").await;
    let device = phone.device().await;
    run_cron(&sandbox).await;
    session.wait_for_status("working", SOON).await;
    let seen = page(&sandbox).await;
    assert_eq!(seen["claimed"][&phone.number], NEW, "{seen}");
    assert_eq!(seen["asked"].as_u64(), asked.as_u64().map(|asked| asked + 1));
    assert_eq!(phone.device().await["jid"], device["jid"], "paired again");
    assert_eq!(
        other.row().await["statusReason"]["code"],
        "account_locked",
        "it was not refused for its version"
    );
    sandbox.simulator().clear(&banned).await;

    // The page is down for a day: the old answer is kept.
    let (fetched, fetched_at) = (version(&sandbox, "fetched"), version(&sandbox, "fetched_at"));
    set_page(&sandbox, None, NEW).await;
    let day = 24 * 60 * MINUTE_MS;
    let long_ago = i64::try_from(fetched_at.as_u64().unwrap() - day).unwrap();
    write(&sandbox, "UPDATE whatsapp_version SET fetched_at = ?1, checked_at = ?1", params![long_ago]);
    run_cron(&sandbox).await;
    assert_eq!((version(&sandbox, "fetched"), version(&sandbox, "fetched_at")), (fetched, json!(long_ago)));
    assert!(version(&sandbox, "checked_at").as_u64() > fetched_at.as_u64(), "the page was not asked");

    // The directory forgets: who knew goes on with what it knew.
    write(&sandbox, "DELETE FROM whatsapp_version", []);
    let asked = page(&sandbox).await["asked"].clone();
    session.post(":restart").await.expect(200);
    session.wait_for_status("working", SOON).await;
    let seen = page(&sandbox).await;
    assert_eq!((&seen["claimed"][&phone.number], &seen["asked"]), (&json!(NEW), &asked), "{seen}");
}

async fn the_metrics_count_and_name_nobody() {
    Gateway::shared().get("/metrics").await.expect_error(404, "not_found");
    let sandbox = Sandbox::start_with(&[&format!("--var=METRICS_TOKEN={METRICS_TOKEN}")]).await;
    let ask = async |token: &str| send(sandbox.request(Method::GET, "/metrics").bearer_auth(token)).await;
    sandbox.get("/metrics").await.expect_error(401, "unauthorized");
    let organization = Organization::on(&sandbox);
    for wrong in ["", "the token of a test's metric", organization.key.as_str()] {
        ask(wrong).await.expect_error(401, "unauthorized");
    }
    run_cron(&sandbox).await;
    let (session, phone) = Session::working_in(&organization).await;
    let (outdated, refused) = Session::working_in(&organization).await;
    refused.fault(json!({"kind": "failure", "reason": 405})).await;
    refused.fault(json!({"kind": "close"})).await;
    outdated.wait_for_status("failed", SOON).await;
    projected(&session, "working").await;
    projected(&outdated, "failed").await;
    set_observed_at(&session, now_ms() - 16 * MINUTE_MS).await;
    let answer = ask(METRICS_TOKEN).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    let text = answer.text();
    for line in [
        r#"wa_gateway_sessions{status="working"} 1"#,
        r#"wa_gateway_sessions{status="failed"} 1"#,
        r#"wa_gateway_sessions_by_reason{status="failed",code="client_outdated"} 1"#,
        "wa_gateway_sessions_stale 1",
        "wa_gateway_sessions_client_outdated 1",
        r#"wa_gateway_whatsapp_version_info{source="fetched",version="2.3000.1042742319"} 1"#,
        r#"wa_gateway_whatsapp_version_stale{reason="not_refreshed"} 0"#,
        r#"wa_gateway_whatsapp_version_stale{reason="pinned_behind"} 0"#,
    ] {
        assert!(text.lines().any(|found| found == line), "no {line} in\n{text}");
    }
    let long_ago = i64::try_from(now_ms() - 5 * 24 * 60 * MINUTE_MS).unwrap();
    write(&sandbox, "UPDATE whatsapp_version SET fetched_at = ?1", params![long_ago]);
    let text = ask(METRICS_TOKEN).await.text();
    assert!(text.contains("wa_gateway_whatsapp_version_stale{reason=\"not_refreshed\"} 1\n"), "{text}");
    assert!(text.contains("\nwa_gateway_whatsapp_version_age_seconds 4320"), "{text}");
    for secret in [&organization.name, &session.id, &phone.number, &outdated.id, &refused.number] {
        assert!(!text.contains(secret.as_str()), "{secret} is in\n{text}");
    }
}
