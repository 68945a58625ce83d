//! The audit log: who did what to which resource, when, from where, and how it ended.

use reqwest::Method;
use rusqlite::params;
use serde_json::{Value, json};

use crate::harness::{
    Gateway, KeyState, Organization, Patience, any_address, eventually, now_ms, send, tests, with_json,
};

tests![
    an_entry_says_who_did_what_when_from_where_and_how_it_ended,
    what_manages_is_logged_and_what_reads_or_sends_is_not,
    refused_and_failed_operations_are_logged,
    pages_are_newest_first_and_whole,
    an_organization_reads_its_own_log_only,
    no_secret_is_in_the_log,
    entries_cannot_be_changed_or_removed,
    nobody_fills_the_log_with_what_they_may_not_do,
    a_look_that_begins_a_pairing_is_logged_once,
];

const LOG: &str = "/api/v1/audit-log";
/// A ULID nobody was given.
const NEVER: &str = "01ARZ3NDEKTSV4RRFFQ69G5FAV";
/// More than two windows of `AUDITED_REFUSALS` in wrangler.toml take.
const TOO_MANY: usize = 150;

async fn log(organization: &Organization) -> Vec<Value> {
    organization.get(&format!("{LOG}?limit=200")).await.expect(200)["data"].as_array().unwrap().clone()
}

/// Operations in the order they were called.
async fn operations(organization: &Organization) -> Vec<String> {
    let log = log(organization).await;
    log.iter().rev().map(|entry| entry["operation"].as_str().unwrap().to_owned()).collect()
}

async fn an_entry_says_who_did_what_when_from_where_and_how_it_ended() {
    let organization = Organization::new();
    let address = any_address();
    let request = organization.gateway.request_from(&address, Method::POST, "/api/v1/sessions");
    let request = request.bearer_auth(&organization.key).header("x-request-id", "the-first");
    let before = now_ms();
    let session = send(with_json(request, &json!({"label": "x"}))).await.expect(201);
    let log = log(&organization).await;
    let [entry] = log.as_slice() else { panic!("{log:#?}") };
    let at = entry["timestamp"].as_u64().unwrap();
    assert!((before..=now_ms()).contains(&at), "{at}");
    let key =
        organization.get("/api/v1/api-keys").await.expect(200)["data"].as_array().unwrap().iter().find_map(
            |key| {
                (key["permissions"].as_array().unwrap().len() == 4
                    && key["enabled"] == true
                    && key["expiresAt"].is_null())
                .then(|| key["id"].clone())
            },
        );
    let expected = json!({
        "id": entry["id"], "organizationId": organization.name, "timestamp": at,
        "actor": {"type": "api_key", "id": key, "superAdmin": false},
        "operation": "createSession", "resource": format!("sessions/{}", session["id"].as_str().unwrap()),
        "address": address, "requestId": "the-first", "outcome": "success", "status": 201, "errorCode": null,
    });
    assert_eq!(*entry, expected);
}

async fn what_manages_is_logged_and_what_reads_or_sends_is_not() {
    let organization = Organization::new();
    let session = organization.session(&json!({})).await;
    session.row().await;
    organization.get("/api/v1/sessions").await.expect(200);
    organization.patch(&session.path(""), &json!({"label": "y"})).await.expect(200);
    session.text("4915112345678", "hi").await.expect_error(409, "conflict");
    session.get("/events").await.expect(200);
    session.post(":start").await.expect(200);
    session.get("/qr").await;
    session.post(":restart").await.expect(200);
    session.post(":stop").await.expect(200);
    session.post(":logout").await.expect(200);
    organization.delete(&session.path("")).await.expect(204);
    let key =
        organization.post_json("/api/v1/api-keys", &json!({"name": "k", "permissions": ["read"]})).await;
    let path = format!("/api/v1/api-keys/{}", key.expect(201)["id"].as_str().unwrap());
    organization.get(&path).await.expect(200);
    organization.patch(&path, &json!({"name": "l"})).await.expect(200);
    organization.post(&format!("{path}:rotate")).await.expect(200);
    organization.delete(&path).await.expect(204);
    let expected = [
        "createSession",
        "updateSession",
        "startSession",
        "restartSession",
        "stopSession",
        "logoutSession",
        "deleteSession",
        "createApiKey",
        "updateApiKey",
        "rotateApiKey",
        "deleteApiKey",
    ];
    assert_eq!(operations(&organization).await, expected);
    let mut log = log(&organization).await;
    log.reverse();
    let resources: Vec<&str> = log.iter().map(|entry| entry["resource"].as_str().unwrap()).collect();
    let session = format!("sessions/{}", session.id);
    assert!(resources[..7].iter().all(|resource| *resource == session), "{resources:?}");
    assert!(resources[7..].iter().all(|resource| path.ends_with(resource)), "{resources:?}");
    assert!(log.iter().all(|entry| entry["outcome"] == "success"), "{log:#?}");
}

async fn refused_and_failed_operations_are_logged() {
    let organization = Organization::new();
    let session = organization.session(&json!({})).await;
    let reader = organization.with_key(&["read"], KeyState::Valid);
    reader.delete(&session.path("")).await.expect_error(403, "forbidden");
    organization.delete("/api/v1/sessions/no-such-thing").await.expect_error(404, "not_found");
    organization.delete(&format!("/api/v1/sessions/{}", NEVER.to_lowercase())).await.expect(404);
    organization.patch(&session.path(""), &json!({"nope": 1})).await.expect_error(400, "validation_error");
    // Nobody known, nobody to name.
    organization.with_key(&[], KeyState::Expired).delete(&session.path("")).await.expect(401);
    let log = log(&organization).await;
    let ends: Vec<Value> = log
        .iter()
        .rev()
        .map(|entry| json!([entry["operation"], entry["outcome"], entry["status"], entry["errorCode"]]))
        .collect();
    let expected = json!([
        ["createSession", "success", 201, null],
        ["deleteSession", "denied", 403, "forbidden"],
        ["deleteSession", "failure", 404, "not_found"],
        ["deleteSession", "failure", 404, "not_found"],
        ["updateSession", "failure", 400, "validation_error"],
    ]);
    assert_eq!(json!(ends), expected);
    // Only what is an id, as the gateway writes it.
    assert_eq!(log[2]["resource"], Value::Null);
    assert_eq!(log[1]["resource"], format!("sessions/{NEVER}"));
    assert_ne!(log[3]["actor"]["id"], log[4]["actor"]["id"]);
}

async fn pages_are_newest_first_and_whole() {
    let organization = Organization::new();
    for _ in 0..5 {
        organization.session(&json!({})).await;
    }
    let whole: Vec<Value> = log(&organization).await.iter().map(|entry| entry["id"].clone()).collect();
    assert_eq!(whole.len(), 5);
    assert!(whole.is_sorted_by(|newer, older| newer.as_str() > older.as_str()), "{whole:?}");
    let (mut paged, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = organization.get(&format!("{LOG}?limit=2{cursor}")).await.expect(200);
        let data = page["data"].as_array().unwrap();
        assert!(data.len() <= 2);
        paged.extend(data.iter().map(|entry| entry["id"].clone()));
        let Some(next) = page["nextCursor"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(paged, whole);
    for bad in ["limit=0", "limit=201", "cursor=x", "cursor=YWZ0"] {
        let field = bad.split('=').next().unwrap();
        organization.get(&format!("{LOG}?{bad}")).await.expect_invalid(field);
    }
}

async fn an_organization_reads_its_own_log_only() {
    let (ours, theirs) = (Organization::new(), Organization::new());
    theirs.session(&json!({})).await;
    theirs.session(&json!({})).await;
    assert!(log(&ours).await.is_empty());
    // Touching another's things is in the log of who did, not of whose they are.
    let session = theirs.session(&json!({})).await;
    ours.delete(&session.path("")).await.expect_error(404, "not_found");
    assert_eq!(log(&theirs).await.len(), 3);
    assert_eq!(operations(&ours).await, ["deleteSession"]);
    let cursor = theirs.get(&format!("{LOG}?limit=1")).await.expect(200)["nextCursor"].clone();
    let page = ours.get(&format!("{LOG}?cursor={}", cursor.as_str().unwrap())).await.expect(200);
    assert!(
        page["data"].as_array().unwrap().iter().all(|entry| entry["organizationId"] == ours.name.as_str())
    );
    for lacking in ["read", "send", "events"] {
        let key = ours.with_key(&[lacking], KeyState::Valid);
        key.get(LOG).await.expect_error(403, "forbidden");
    }
}

async fn no_secret_is_in_the_log() {
    let organization = Organization::new();
    let made =
        organization.post_json("/api/v1/api-keys", &json!({"name": "k", "permissions": ["read"]})).await;
    let made = made.expect(201);
    let (id, secret) = (made["id"].as_str().unwrap(), made["key"].as_str().unwrap());
    let rotated = organization.post(&format!("/api/v1/api-keys/{id}:rotate")).await.expect(200);
    let query = format!("/api/v1/sessions/{id}:start?key={secret}");
    organization.post(&query).await.expect_error(404, "not_found");
    // Where an id belongs, as it is and disguised.
    let jwt = "eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiJ1In0.c2lnbmF0dXJl";
    let encoded: String = secret.bytes().fold(String::new(), |all, byte| format!("{all}%{byte:02x}"));
    for pasted in [secret, &organization.key, &secret.replace('_', "%5F"), &encoded, jwt] {
        organization.delete(&format!("/api/v1/api-keys/{pasted}")).await.expect(404);
        organization.post(&format!("/api/v1/api-keys/{pasted}:rotate")).await.expect(404);
        organization.post(&format!("/api/v1/sessions/{pasted}:stop")).await.expect(404);
    }
    let entries = log(&organization).await;
    assert!(entries[..15].iter().all(|entry| entry["resource"].is_null()), "{entries:#?}");
    // A key's id is its name however it is spelled.
    organization.delete(&format!("/api/v1/api-keys/%{:02x}{}", id.as_bytes()[0], &id[1..])).await.expect(204);
    assert_eq!(log(&organization).await[0]["resource"], format!("api-keys/{id}"));
    let text = organization.get(&format!("{LOG}?limit=200")).await.text();
    assert!(!text.contains(&encoded) && !text.contains("eyJ"), "{text}");
    for secret in [&organization.key, secret, rotated["key"].as_str().unwrap()] {
        assert!(!text.contains(secret), "{text}");
        assert!(!text.contains(&secret[..secret.len() / 2]), "{text}");
    }
}

async fn entries_cannot_be_changed_or_removed() {
    let organization = Organization::new();
    organization.session(&json!({})).await;
    let before = log(&organization).await;
    let database = Gateway::shared().directory();
    let refused = |statement: &str| {
        let failure = database.execute(statement, params![organization.name]).unwrap_err().to_string();
        assert!(failure.contains("audit log") || failure.contains("locked"), "{failure}");
        failure.contains("audit log").then_some(()).ok_or(failure)
    };
    for statement in [
        "UPDATE audit_log SET operation = 'nothing' WHERE organization_id = ?1",
        "DELETE FROM audit_log WHERE organization_id = ?1",
    ] {
        eventually("the database to refuse", Patience::seconds(20), async || refused(statement)).await;
    }
    // Another entry in the place of one that is there is not taken, nor said to be.
    let columns =
        "organization_id, at, actor_type, actor_id, actor_is_super_admin, operation, request_id, status";
    let values = "?1, at, actor_type, 'somebody else', 0, 'nothing', request_id, 200";
    let statements = ["REPLACE", "INSERT OR REPLACE", "INSERT OR IGNORE", "INSERT"].map(|insert| {
        [
            format!("{insert} INTO audit_log (id, {columns}) SELECT id, {values} FROM audit_log WHERE organization_id = ?1"),
            format!(
                "{insert} INTO audit_log (rowid, id, {columns}) SELECT rowid, id || 'x', {values} FROM audit_log \
                 WHERE organization_id = ?1"
            ),
        ]
    });
    let ignored = |statement: &str| match database.execute(statement, params![organization.name]) {
        Ok(changed) => {
            assert_eq!(changed, 0, "{statement}");
            Ok(())
        }
        Err(failure) if failure.to_string().contains("locked") => Err(failure.to_string()),
        Err(failure) => panic!("{statement}: {failure}"),
    };
    for statement in statements.as_flattened() {
        eventually("the database to ignore it", Patience::seconds(20), async || ignored(statement)).await;
    }
    for method in [Method::DELETE, Method::PATCH, Method::POST] {
        organization.call(method, LOG, None).await.expect(405);
    }
    assert_eq!(log(&organization).await, before);
}

async fn nobody_fills_the_log_with_what_they_may_not_do() {
    let organization = Organization::new();
    let reader = organization.with_key(&["read"], KeyState::Valid);
    let path = format!("/api/v1/sessions/{NEVER}");
    let denied = (0..TOO_MANY).map(async |_| reader.delete(&path).await.expect_error(403, "forbidden"));
    futures::future::join_all(denied).await;
    let failed = (0..TOO_MANY).map(async |_| organization.delete(&path).await.expect_error(404, "not_found"));
    futures::future::join_all(failed).await;
    // What is done is written all the same.
    let session = organization.session(&json!({})).await;
    let mut entries = log(&organization).await;
    let older = format!("{LOG}?limit=200&cursor={}", {
        let page = organization.get(&format!("{LOG}?limit=200")).await.expect(200);
        page["nextCursor"].as_str().unwrap_or_default().to_owned()
    });
    if entries.len() == 200 {
        entries.extend(organization.get(&older).await.expect(200)["data"].as_array().unwrap().clone());
    }
    assert_eq!(entries[0]["resource"], format!("sessions/{}", session.id));
    for outcome in ["denied", "failure"] {
        let written = entries.iter().filter(|entry| entry["outcome"] == outcome).count();
        println!("    {written} of {TOO_MANY} with outcome {outcome} are in the log");
        assert!((60..=120).contains(&written), "{outcome}: {written}");
    }
}

async fn a_look_that_begins_a_pairing_is_logged_once() {
    let organization = Organization::new();
    let session = organization.session(&json!({})).await;
    session.get("/qr").await.expect_error(404, "not_found");
    session.code().await;
    session.get("/qr").await.expect(200);
    let log = log(&organization).await;
    let [look, _] = log.as_slice() else { panic!("{log:#?}") };
    let said =
        json!([look["operation"], look["outcome"], look["status"], look["errorCode"], look["resource"]]);
    assert_eq!(said, json!(["sessionQR", "success", 404, null, format!("sessions/{}", session.id)]));
}
