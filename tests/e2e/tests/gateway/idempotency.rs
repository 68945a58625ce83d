//! `Idempotency-Key`: an operation is done once for a key, its answer is repeated, and what a crash left is finished by
//! whoever asks again.

use std::collections::HashSet;
use std::time::Duration;

use futures::future::join_all;
use reqwest::{Method, RequestBuilder};
use rusqlite::params;
use serde_json::{Value, json};

use crate::harness::{
    Answer, Gateway, KeyState, Organization, Patience, Sandbox, Session, eventually, now_ms, send, tests,
    with_json,
};

tests![
    what_died_half_way_is_finished_by_the_next,
    a_session_is_made_once_and_its_answer_repeated,
    another_request_with_a_key_is_a_conflict,
    of_many_at_once_one_does_it,
    keys_of_two_organizations_do_not_meet,
    what_is_shown_once_is_not_repeated,
    what_is_no_key_is_refused,
    a_refusal_frees_the_key,
    reading_ignores_the_key,
    a_delete_is_repeated_as_done,
    a_send_is_repeated_and_says_so,
    a_replay_is_not_audited_and_is_for_who_may,
    large_bodies_keep_their_limit,
    every_operation_that_changes_something_documents_the_key,
];

const SESSIONS: &str = "/api/v1/sessions";
const KEYS: &str = "/api/v1/api-keys";
const WEBHOOKS: &str = "/api/v1/webhooks";
/// A lease, and how long a key is kept: docs/decisions/idempotency.md.
const LEASE_MS: i64 = 90_000;
const KEPT_MS: i64 = 24 * 60 * 60 * 1_000;

/// Epoch milliseconds, as SQLite has them.
fn now() -> i64 {
    i64::try_from(now_ms()).unwrap()
}

/// A request with a key.
fn keyed(
    organization: &Organization,
    method: Method,
    path: &str,
    key: &str,
    body: Option<&Value>,
) -> RequestBuilder {
    let request = organization.request(method, path).header("idempotency-key", key);
    match body {
        Some(body) => with_json(request, body),
        None => request,
    }
}

async fn post(organization: &Organization, path: &str, key: &str, body: &Value) -> Answer {
    send(keyed(organization, Method::POST, path, key, Some(body))).await
}

fn is_replay(answer: &Answer) -> bool {
    let says = answer.header("idempotency-replayed");
    assert!([None, Some("true")].contains(&says), "{says:?}");
    says.is_some()
}

/// The key is another request's, or somebody's who is at it; when to come back, if that is of use.
#[track_caller]
fn expect_conflict(answer: &Answer) -> Option<u64> {
    let error = answer.expect_error(409, "conflict");
    assert_eq!(error["details"]["field"], "Idempotency-Key", "{error}");
    let seconds = error["details"]["retryAfterSeconds"].as_u64();
    assert_eq!(answer.header("retry-after").map(str::to_owned), seconds.map(|seconds| seconds.to_string()));
    assert!(!is_replay(answer));
    seconds
}

async fn list(organization: &Organization, path: &str) -> Vec<Value> {
    organization.get(path).await.expect(200)["data"].as_array().unwrap().clone()
}

/// Operations in the audit log, in the order they were called.
async fn audited(organization: &Organization) -> Vec<String> {
    let log = list(organization, "/api/v1/audit-log?limit=200").await;
    let name = |entry: &Value| format!("{} {}", entry["operation"].as_str().unwrap(), entry["status"]);
    log.iter().rev().map(name).collect()
}

async fn a_session_is_made_once_and_its_answer_repeated() {
    let organization = Organization::new();
    let body = json!({"label": "once 📱", "ratePerMin": 7});
    let first = post(&organization, SESSIONS, "a-key", &body).await;
    let row = first.expect(201);
    assert!(!is_replay(&first));
    organization.patch(&format!("{SESSIONS}/{}", row["id"].as_str().unwrap()), &json!({"label": "y"})).await;
    for _ in 0..3 {
        let again = post(&organization, SESSIONS, "a-key", &body).await;
        assert_eq!((again.status, &again.bytes), (201, &first.bytes), "not letter for letter");
        assert_eq!(again.header("content-type"), first.header("content-type"));
        assert!(is_replay(&again));
    }
    assert_eq!(list(&organization, SESSIONS).await.len(), 1);
    // Another key is another session.
    let other = post(&organization, SESSIONS, "A-key", &body).await.expect(201);
    assert_ne!(other["id"], row["id"]);
    assert_eq!(list(&organization, SESSIONS).await.len(), 2);
}

async fn another_request_with_a_key_is_a_conflict() {
    let organization = Organization::new();
    let body = json!({"label": "a"});
    let first = post(&organization, SESSIONS, "k", &body).await;
    let session = Session::of(&organization, first.expect(201)["id"].as_str().unwrap());
    let others = [
        (Method::POST, SESSIONS.to_owned(), Some(json!({"label": "b"}))),
        (Method::POST, SESSIONS.to_owned(), None),
        (Method::POST, format!("{SESSIONS}?x=1"), Some(body.clone())),
        (Method::POST, WEBHOOKS.to_owned(), Some(body.clone())),
        (Method::PATCH, session.path(""), Some(body.clone())),
        (Method::POST, session.path(":start"), Some(body.clone())),
        (Method::DELETE, session.path(""), None),
    ];
    for (method, path, other) in &others {
        let answer = send(keyed(&organization, method.clone(), path, "k", other.as_ref())).await;
        assert_eq!(expect_conflict(&answer), None, "{}", answer.call);
    }
    // The method alone makes another request, and so does a space in the body.
    let restarted = send(keyed(&organization, Method::DELETE, &session.path(""), "m", None)).await;
    restarted.expect(204);
    expect_conflict(&send(keyed(&organization, Method::PATCH, &session.path(""), "m", None)).await);
    let request = organization.request(Method::POST, SESSIONS).header("idempotency-key", "k");
    let spaced = request.header("content-type", "application/json").body("{\"label\": \"a\"}");
    expect_conflict(&send(spaced).await);
    assert_eq!(post(&organization, SESSIONS, "k", &body).await.bytes, first.bytes);
    assert!(list(&organization, SESSIONS).await.is_empty());
}

async fn of_many_at_once_one_does_it() {
    let organization = Organization::new();
    let body = json!({"label": "many"});
    let (mut done, mut waiting, mut replays) = (0, 0, 0);
    let answers = join_all((0..20).map(|_| post(&organization, SESSIONS, "many", &body))).await;
    let mut ids = HashSet::new();
    for answer in &answers {
        if answer.status == 409 {
            assert!((1..=90).contains(&expect_conflict(answer).unwrap()), "{}", answer.text());
            waiting += 1;
            continue;
        }
        ids.insert(answer.expect(201)["id"].as_str().unwrap().to_owned());
        if is_replay(answer) { replays += 1 } else { done += 1 }
    }
    assert_eq!((done, ids.len()), (1, 1), "{waiting} were told to wait, {replays} heard the answer");
    // Who comes back when they were told to hears it too.
    let heard = eventually("the answer", Patience::seconds(20), async || {
        let answer = post(&organization, SESSIONS, "many", &body).await;
        if answer.status == 201 { Ok(answer) } else { Err(answer.text()) }
    })
    .await;
    assert!(is_replay(&heard) && ids.contains(heard.json()["id"].as_str().unwrap()));
    assert_eq!(list(&organization, SESSIONS).await.len(), 1);
    println!("    of 20 at once 1 did it, {waiting} were told to wait, {replays} heard the answer");
}

async fn keys_of_two_organizations_do_not_meet() {
    let (mine, theirs) = (Organization::new(), Organization::new());
    let body = json!({"label": "mine"});
    let first = post(&mine, SESSIONS, "shared", &body).await.expect(201);
    for other in [&body, &json!({"label": "theirs"})] {
        let answer = post(&theirs, SESSIONS, "shared", other).await;
        if *other == body {
            assert!(!is_replay(&answer));
            assert_ne!(answer.expect(201)["id"], first["id"]);
        } else {
            expect_conflict(&answer);
        }
    }
    let again = post(&mine, SESSIONS, "shared", &body).await;
    assert_eq!(again.expect(201), first);
    assert_eq!((list(&mine, SESSIONS).await.len(), list(&theirs, SESSIONS).await.len()), (1, 1));
    // All keys of one organization share its idempotency keys.
    let colleague = mine.with_key(&["manage"], KeyState::Valid);
    assert_eq!(post(&colleague, SESSIONS, "shared", &body).await.expect(201), first);
}

async fn what_is_shown_once_is_not_repeated() {
    let organization = Organization::new();
    let session = organization.session(&json!({"start": true})).await;
    session.code().await;
    let of = |answer: &Answer| answer.json()["id"].as_str().unwrap().to_owned();
    let key = post(&organization, KEYS, "1", &json!({"name": "x", "permissions": ["read"]})).await;
    let webhook = post(&organization, WEBHOOKS, "2", &json!({"url": "http://127.0.0.1:9/"})).await;
    let key_path = format!("{KEYS}/{}:rotate", of(&key));
    let webhook_path = format!("{WEBHOOKS}/{}:rotate-secret", of(&webhook));
    let phone = json!({"phone": organization.gateway.simulator().phone().await.number});
    let cases = [
        ("key", KEYS.to_owned(), "1", json!({"name": "x", "permissions": ["read"]}), Some(key)),
        ("secret", WEBHOOKS.to_owned(), "2", json!({"url": "http://127.0.0.1:9/"}), Some(webhook)),
        ("key", key_path, "3", json!({"overlapSeconds": 60}), None),
        ("secret", webhook_path, "4", json!({"overlapSeconds": 60}), None),
        ("ticket", "/api/v1/realtime/ticket".to_owned(), "5", json!({}), None),
        ("code", session.path("/pairing-code"), "6", phone, None),
    ];
    let mut secrets = Vec::new();
    for (field, path, name, body, first) in cases {
        let first = match first {
            Some(first) => first,
            None => post(&organization, &path, name, &body).await,
        };
        assert!(!is_replay(&first) && [200, 201].contains(&first.status), "{path}: {}", first.text());
        let again = post(&organization, &path, name, &body).await;
        let (mut shown, repeated) = (first.json(), again.expect(first.status));
        assert!(is_replay(&again), "{path}");
        let secret = shown.as_object_mut().unwrap().remove(field).unwrap();
        secrets.push(secret.as_str().unwrap().to_owned());
        assert_eq!(repeated, shown, "{path}: all of it but {field}");
    }
    // Nor is it kept anywhere.
    let database = organization.gateway.directory();
    let mut rows = database.prepare("SELECT body FROM idempotency WHERE organization_id = ?1").unwrap();
    let bodies = rows.query_map(params![organization.name], |row| row.get::<_, String>(0)).unwrap();
    let bodies: Vec<String> = bodies.collect::<Result<_, _>>().unwrap();
    assert_eq!(bodies.len(), secrets.len());
    for secret in &secrets {
        assert!(secret.len() > 8 && bodies.iter().all(|body| !body.contains(secret)), "{bodies:?}");
    }
    assert_eq!(list(&organization, WEBHOOKS).await.len(), 1);
}

async fn what_is_no_key_is_refused() {
    let organization = Organization::new();
    let (longest, long) = ("x".repeat(255), "x".repeat(256));
    for wrong in ["", "a b", "a\tb", &long] {
        let answer = post(&organization, SESSIONS, wrong, &json!({})).await;
        answer.expect_invalid("Idempotency-Key");
    }
    for keys in [["a", "b"], ["a", "a"], ["", "a"]] {
        let request = keyed(&organization, Method::POST, SESSIONS, keys[0], Some(&json!({})));
        send(request.header("idempotency-key", keys[1])).await.expect_invalid("Idempotency-Key");
    }
    // The runtime hands on no header beyond ASCII.
    let request = organization.request(Method::POST, SESSIONS).header("idempotency-key", &b"caf\xc3\xa9"[..]);
    send(with_json(request, &json!({}))).await.expect_error(400, "validation_error");
    assert!(list(&organization, SESSIONS).await.is_empty(), "a refused call made a session");
    for fine in ["!", "~", "\"8e03978e-40d5-43dd-bc93-6894a57f9324\"", "a,b;c=%20", "'--", &longest] {
        let first = post(&organization, SESSIONS, fine, &json!({})).await.expect(201);
        assert_eq!(post(&organization, SESSIONS, fine, &json!({})).await.expect(201), first, "{fine}");
    }
}

async fn a_refusal_frees_the_key() {
    let organization = Organization::new();
    post(&organization, SESSIONS, "k", &json!({"lable": "x"})).await.expect_invalid("lable");
    post(&organization, SESSIONS, "k", &json!({"label": ""})).await.expect_invalid("label");
    let row = post(&organization, SESSIONS, "k", &json!({"label": "x"})).await.expect(201);
    let again = post(&organization, SESSIONS, "k", &json!({"label": "x"})).await;
    assert!(is_replay(&again));
    assert_eq!(again.expect(201), row);
    expect_conflict(&post(&organization, SESSIONS, "k", &json!({"lable": "x"})).await);
    // Also for another operation.
    let nowhere = format!("{SESSIONS}/01ARZ3NDEKTSV4RRFFQ69G5FAV");
    send(keyed(&organization, Method::DELETE, &nowhere, "l", None)).await.expect_error(404, "not_found");
    let body = json!({"name": "x", "permissions": ["read"]});
    post(&organization, KEYS, "l", &body).await.expect(201);
}

async fn reading_ignores_the_key() {
    let organization = Organization::new();
    let get = async |key: &str| {
        let answer = send(keyed(&organization, Method::GET, SESSIONS, key, None)).await;
        assert!(!is_replay(&answer));
        answer.expect(200)["data"].as_array().unwrap().len()
    };
    assert_eq!(get("k").await, 0);
    post(&organization, SESSIONS, "k", &json!({})).await.expect(201);
    assert_eq!(get("k").await, 1);
    // It is not even looked at.
    assert_eq!(get("no key").await, 1);
    let head = send(keyed(&organization, Method::HEAD, SESSIONS, "k", None)).await;
    assert_eq!((head.status, is_replay(&head)), (200, false));
}

async fn a_delete_is_repeated_as_done() {
    let organization = Organization::new();
    let session = organization.session(&json!({})).await;
    let delete =
        async |key: &str| send(keyed(&organization, Method::DELETE, &session.path(""), key, None)).await;
    let first = delete("k").await;
    let again = delete("k").await;
    for (answer, replay) in [(&first, false), (&again, true)] {
        assert_eq!((answer.status, answer.bytes.len(), is_replay(answer)), (204, 0, replay));
        assert_eq!(answer.header("content-type"), None);
    }
    delete("l").await.expect_error(404, "not_found");
}

async fn a_send_is_repeated_and_says_so() {
    let (session, phone) = Session::working().await;
    let other = phone.simulator.phone().await;
    let organization = &session.organization;
    let body = json!({"type": "text", "to": other.number, "text": "only once"});
    let path = session.path("/messages");
    let first = post(organization, &path, "k", &body).await;
    let mut sent = first.expect(200);
    assert!(!is_replay(&first) && sent["replayed"] != true, "{sent}");
    other.received(sent["waMessageId"].as_str().unwrap()).await;
    for _ in 0..2 {
        let again = post(organization, &path, "k", &body).await;
        sent["replayed"] = json!(true);
        assert_eq!(again.expect(200), sent);
        assert!(is_replay(&again));
    }
    expect_conflict(
        &post(organization, &path, "k", &json!({"type": "text", "to": other.number, "text": "x"})).await,
    );
    // What is sent after it arrives after it.
    let last = session.sent(&other.number, "the last").await;
    other.received(&last).await;
    assert_eq!(other.messages().await.len(), 2);
}

async fn a_replay_is_not_audited_and_is_for_who_may() {
    let organization = Organization::new();
    let body = json!({"label": "x"});
    for status in [201, 201] {
        post(&organization, SESSIONS, "k", &body).await.expect(status);
    }
    let sender = organization.with_key(&["send"], KeyState::Valid);
    post(&sender, SESSIONS, "k", &body).await.expect_error(403, "forbidden");
    post(&organization.with_key(&[], KeyState::Disabled), SESSIONS, "k", &body)
        .await
        .expect_error(401, "unauthorized");
    // What may not be called takes no key either.
    post(&sender, SESSIONS, "l", &body).await.expect_error(403, "forbidden");
    post(&organization, SESSIONS, "l", &json!({"label": "y"})).await.expect(201);
    expect_conflict(&post(&organization, SESSIONS, "k", &json!({})).await);
    let expected = [
        "createSession 201",
        "createSession 403",
        "createSession 403",
        "createSession 201",
        "createSession 409",
    ];
    assert_eq!(audited(&organization).await, expected);
}

async fn large_bodies_keep_their_limit() {
    let organization = Organization::new();
    let large = |length: usize| {
        let request = organization.request(Method::POST, SESSIONS).header("idempotency-key", "k");
        request.header("content-type", "application/json").body(" ".repeat(length) + "{}")
    };
    send(large(1_048_576)).await.expect_invalid("body");
    let row = send(large(1_048_570)).await.expect(201);
    let again = send(large(1_048_570)).await;
    assert!(is_replay(&again));
    assert_eq!(again.json(), row);
    expect_conflict(&send(large(1_048_569)).await);
}

async fn every_operation_that_changes_something_documents_the_key() {
    let document = Gateway::shared().get("/api/v1/openapi.json").await.expect(200);
    let mut documented = 0;
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
            let header = parameters.iter().find(|parameter| parameter["name"] == "Idempotency-Key");
            let changes = ["post", "put", "patch", "delete"].contains(&method.as_str());
            let id = operation["operationId"].as_str().unwrap();
            let is_public = ["public", "ticket"].contains(&operation["x-capability"].as_str().unwrap());
            assert_eq!(header.is_some(), changes && !is_public, "{id}: {method} {path}");
            let Some(header) = header else { continue };
            documented += 1;
            assert_eq!((&header["in"], &header["required"]), (&json!("header"), &json!(false)), "{id}");
            let schema = &header["schema"];
            assert_eq!((&schema["minLength"], &schema["maxLength"]), (&json!(1), &json!(255)), "{id}");
            let responses = &operation["responses"];
            assert!(responses["400"].is_object() && responses["409"].is_object(), "{id}");
            let of_success =
                responses.as_object().unwrap().iter().find(|(status, _)| status.starts_with('2'));
            assert!(of_success.unwrap().1["headers"]["Idempotency-Replayed"].is_object(), "{id}");
        }
    }
    println!("    {documented} operations take the key");
}

/// Keys in a directory of a sandbox's own, which can be written to as no caller could.
struct Kept<'a> {
    gateway: &'a Gateway,
    organization: Organization,
}

impl<'a> Kept<'a> {
    fn new(gateway: &'a Gateway) -> Self {
        Self { gateway, organization: Organization::on(gateway) }
    }

    async fn post(&self, path: &str, key: &str, body: &Value) -> Answer {
        post(&self.organization, path, key, body).await
    }

    fn write(&self, statement: &str, values: impl rusqlite::Params) {
        assert_eq!(self.gateway.directory().execute(statement, values).unwrap(), 1, "{statement}");
    }

    /// A part of the directory that is gone, or back.
    fn rename(&self, from: &str, to: &str) {
        self.gateway.directory().execute_batch(&format!("ALTER TABLE {from} RENAME TO {to}")).unwrap();
    }

    /// As if the attempt that was answered had died before, with its lease over at this time.
    fn died(&self, key: &str, leased_until: i64) {
        let statement = "UPDATE idempotency SET status = NULL, content_type = NULL, body = NULL, leased_until = ?3 \
                         WHERE organization_id = ?1 AND key = ?2 AND leased_until IS NULL AND status IS NOT NULL";
        self.write(statement, params![self.organization.name, key, leased_until]);
    }

    fn ids(rows: &[Value]) -> Vec<&str> {
        rows.iter().map(|row| row["id"].as_str().unwrap()).collect()
    }

    async fn list(&self, path: &str) -> Vec<Value> {
        list(&self.organization, path).await
    }

    fn held(&self, key: &str) -> (String, String, i64) {
        let statement = "SELECT resource_id, holder, expires_at FROM idempotency \
                         WHERE organization_id = ?1 AND key = ?2";
        let values = params![self.organization.name, key];
        let read = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
        self.gateway.directory().query_row(statement, values, read).unwrap()
    }
}

async fn what_died_half_way_is_finished_by_the_next() {
    let sandbox = Sandbox::start().await;
    a_session_that_was_made_is_found(&Kept::new(&sandbox)).await;
    a_session_that_was_not_made_is_made(&Kept::new(&sandbox)).await;
    who_lives_is_waited_for(&Kept::new(&sandbox)).await;
    what_shows_a_secret_is_found_without_it(&Kept::new(&sandbox)).await;
    what_nobody_knows_is_tried_again_as_it_was(&Kept::new(&sandbox)).await;
    who_lost_the_key_changes_nothing(&Kept::new(&sandbox)).await;
    a_key_is_kept_for_a_day(&Kept::new(&sandbox)).await;
    without_the_directory_nothing_is_done(&Kept::new(&sandbox)).await;
    who_is_killed_is_followed(&sandbox).await;
}

async fn a_session_that_was_made_is_found(kept: &Kept<'_>) {
    let body = json!({"label": "made"});
    let row = kept.post(SESSIONS, "k", &body).await.expect(201);
    let (resource, first, _) = kept.held("k");
    assert_eq!((row["id"].as_str().unwrap(), &first), (resource.as_str(), &resource));
    kept.died("k", now() - 1);
    // Of the many that ask then one goes on.
    let answers = join_all((0..10).map(|_| kept.post(SESSIONS, "k", &body))).await;
    let went_on = answers.iter().filter(|answer| answer.status == 201 && !is_replay(answer));
    assert_eq!(went_on.count(), 1);
    for answer in answers {
        if answer.status == 409 {
            expect_conflict(&answer);
        } else {
            assert_eq!(answer.expect(201), row);
        }
    }
    let (again, second, _) = kept.held("k");
    assert!(again == resource && second != first, "{second} took the key of {first}");
    assert_eq!(Kept::ids(&kept.list(SESSIONS).await), [resource.as_str()]);
    let after = kept.post(SESSIONS, "k", &body).await;
    assert!(is_replay(&after));
    assert_eq!(after.expect(201), row);
}

async fn a_session_that_was_not_made_is_made(kept: &Kept<'_>) {
    let body = json!({"label": "not made", "start": true});
    let row = kept.post(SESSIONS, "k", &json!({"label": "x"})).await.expect(201);
    kept.write("DELETE FROM session WHERE id = ?1", params![row["id"].as_str()]);
    kept.died("k", now() - 1);
    // Nobody knows what came of it: the key is for that request only.
    assert_eq!(expect_conflict(&kept.post(SESSIONS, "k", &body).await), None);
    assert!(kept.list(SESSIONS).await.is_empty());
    let made = kept.post(SESSIONS, "k", &json!({"label": "x"})).await;
    assert!(!is_replay(&made));
    assert_eq!(made.expect(201)["id"], row["id"]);
    assert_eq!(kept.list(SESSIONS).await.len(), 1);
}

async fn who_lives_is_waited_for(kept: &Kept<'_>) {
    let row = kept.post(SESSIONS, "k", &json!({})).await.expect(201);
    kept.died("k", now() + LEASE_MS - 3_000);
    let seconds = expect_conflict(&kept.post(SESSIONS, "k", &json!({})).await).unwrap();
    assert!((3..=6).contains(&seconds), "as long again as it takes already: {seconds}");
    assert_eq!(expect_conflict(&kept.post(SESSIONS, "k", &json!({"label": "x"})).await), None);
    // The lease is over, and who died is waited for no longer.
    let statement = "UPDATE idempotency SET leased_until = ?2 WHERE organization_id = ?1";
    kept.write(statement, params![kept.organization.name, now() - 1]);
    assert_eq!(kept.post(SESSIONS, "k", &json!({})).await.expect(201), row);
    assert_eq!(kept.list(SESSIONS).await.len(), 1);
}

async fn what_shows_a_secret_is_found_without_it(kept: &Kept<'_>) {
    let before = kept.list(KEYS).await.len();
    for (path, field, body) in [
        (KEYS, "key", json!({"name": "made", "permissions": ["read"]})),
        (WEBHOOKS, "secret", json!({"url": "http://127.0.0.1:9/", "events": ["message"]})),
    ] {
        let mut row = kept.post(path, path, &body).await.expect(201);
        row.as_object_mut().unwrap().remove(field).unwrap();
        kept.died(path, now() - 1);
        for _ in 0..2 {
            let answer = kept.post(path, path, &body).await;
            assert!(is_replay(&answer), "what is shown was made before");
            assert_eq!(answer.expect(201), row);
        }
    }
    assert_eq!((kept.list(KEYS).await.len(), kept.list(WEBHOOKS).await.len()), (before + 1, 1));
    let log = audited(&kept.organization).await;
    let each = ["createApiKey 201", "createApiKey 201", "createWebhook 201", "createWebhook 201"];
    assert_eq!(log, each, "who goes on with something is audited, a replay is not");
}

async fn what_nobody_knows_is_tried_again_as_it_was(kept: &Kept<'_>) {
    let session = kept.organization.session(&json!({})).await;
    let start =
        async || send(keyed(&kept.organization, Method::POST, &session.path(":start"), "k", None)).await;
    // The keys are there, the sessions are not.
    kept.rename("session", "elsewhere");
    let (first, second) = (start().await, start().await);
    let other = kept.post(&session.path(":stop"), "k", &json!({})).await;
    kept.rename("elsewhere", "session");
    first.expect_error(503, "gateway_unavailable");
    second.expect_error(503, "gateway_unavailable");
    assert_eq!(expect_conflict(&other), None);
    let (resource, ..) = kept.held("k");
    // A refusal doesn't tell what came of the attempt before it.
    kept.write("UPDATE session SET desired = 'deleted' WHERE id = ?1", params![session.id]);
    start().await.expect_error(404, "not_found");
    expect_conflict(&kept.post(&session.path(":stop"), "k", &json!({})).await);
    kept.write("UPDATE session SET desired = 'stopped' WHERE id = ?1", params![session.id]);
    assert_eq!(start().await.expect(200)["status"], "starting");
    assert_eq!(kept.held("k").0, resource);
    assert!(is_replay(&start().await));
}

/// An attempt that took longer than its lease, and comes to its end when another one has the key.
async fn who_lost_the_key_changes_nothing(kept: &Kept<'_>) {
    let session = kept.organization.session(&json!({})).await;
    let start = || keyed(&kept.organization, Method::POST, &session.path(":start"), "k", None);
    let database = kept.gateway.directory();
    let is_held = || {
        let statement =
            "SELECT COUNT(*) FROM idempotency WHERE organization_id = ?1 AND leased_until IS NOT NULL";
        database.query_row(statement, params![kept.organization.name], |row| row.get::<_, i64>(0)).unwrap()
            > 0
    };
    // It takes a while to find out that the sessions are not there.
    kept.rename("session", "elsewhere");
    let status = eventually("an attempt to lose its key", Patience::seconds(30), async || {
        let attempt = tokio::spawn(start().send());
        while !is_held() && !attempt.is_finished() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let statement = "UPDATE idempotency SET holder = 'another' \
                         WHERE organization_id = ?1 AND leased_until IS NOT NULL";
        let lost = database.execute(statement, params![kept.organization.name]).unwrap();
        let status = attempt.await.unwrap().unwrap().status().as_u16();
        if lost == 1 { Ok(status) } else { Err(format!("over before: {status}")) }
    })
    .await;
    kept.rename("elsewhere", "session");
    assert_eq!((status, kept.held("k").1.as_str(), is_held()), (503, "another", true));
    assert!(expect_conflict(&send(start()).await).is_some());
}

async fn a_key_is_kept_for_a_day(kept: &Kept<'_>) {
    let before = now();
    let row = kept.post(SESSIONS, "k", &json!({})).await.expect(201);
    let (.., expires_at) = kept.held("k");
    assert!((before + KEPT_MS..=now() + KEPT_MS).contains(&expires_at), "{expires_at}");
    let expire = |at: i64| {
        let statement = "UPDATE idempotency SET expires_at = ?2 WHERE organization_id = ?1 AND key = 'k'";
        kept.write(statement, params![kept.organization.name, at]);
    };
    expire(now() + 60_000);
    assert_eq!(kept.post(SESSIONS, "k", &json!({})).await.expect(201), row);
    expire(now() - 1);
    let other = kept.post(SESSIONS, "k", &json!({"label": "another day"})).await;
    assert!(!is_replay(&other));
    let (resource, holder, _) = kept.held("k");
    let other = other.expect(201);
    assert_ne!(other["id"], row["id"]);
    assert_eq!((other["id"].as_str().unwrap(), &holder), (resource.as_str(), &resource));
    // The cron sweeps them out.
    kept.post(SESSIONS, "young", &json!({})).await.expect(201);
    expire(now() - 1);
    let ran = kept.gateway.get("/cdn-cgi/local/scheduled?cron=*/5+*+*+*+*").await;
    assert_eq!((ran.status, ran.text().as_str()), (200, "ok"));
    let statement = "SELECT group_concat(key) FROM idempotency WHERE organization_id = ?1";
    let database = kept.gateway.directory();
    let left = database.query_row(statement, params![kept.organization.name], |row| row.get::<_, String>(0));
    assert_eq!(left.unwrap(), "young");
}

async fn without_the_directory_nothing_is_done(kept: &Kept<'_>) {
    kept.rename("idempotency", "elsewhere");
    let down = kept.post(SESSIONS, "k", &json!({})).await;
    kept.rename("elsewhere", "idempotency");
    down.expect_error(503, "gateway_unavailable");
    assert!(down.header("retry-after").is_some());
    assert!(kept.list(SESSIONS).await.is_empty());
    kept.post(SESSIONS, "k", &json!({})).await.expect(201);
}

/// `kill -9` in the middle of an operation.
async fn who_is_killed_is_followed(sandbox: &Sandbox) {
    let (session, phone) = Session::working_in(&Organization::on(sandbox)).await;
    let kept = Kept { gateway: sandbox, organization: session.organization.clone() };
    let request = || keyed(&kept.organization, Method::POST, &session.path(":logout"), "k", None);
    let back = Patience::seconds(60);
    // WhatsApp doesn't confirm it, so that it takes a while.
    let fault = phone.fault(json!({"kind": "stall"})).await;
    let first = tokio::spawn(request().send());
    let leased_until = "SELECT MAX(leased_until) FROM idempotency WHERE organization_id = ?1";
    let leased = || {
        let values = params![kept.organization.name];
        sandbox.directory().query_row(leased_until, values, |row| row.get::<_, Option<i64>>(0)).unwrap()
    };
    eventually("the logout to be under way", back, async || leased().ok_or_else(|| "no key".to_owned()))
        .await;
    sandbox.kill_workerd();
    let died = first.await.unwrap().map(|response| response.status().as_u16());
    assert!(!died.as_ref().is_ok_and(|status| *status < 500), "it was done before it was killed: {died:?}");
    phone.simulator.clear(&fault).await;
    eventually("another workerd", back, async || {
        let answer = kept.organization.try_get(SESSIONS).await?;
        if answer.status == 200 { Ok(()) } else { Err(answer.text()) }
    })
    .await;
    assert!(expect_conflict(&send(request()).await).is_some_and(|seconds| seconds <= 90));
    let statement = "UPDATE idempotency SET leased_until = ?2 WHERE organization_id = ?1";
    kept.write(statement, params![kept.organization.name, now() - 1]);
    let done = eventually("the logout to be done", back, async || {
        let answer = send(request()).await;
        if answer.status == 200 { Ok(answer) } else { Err(answer.text()) }
    })
    .await;
    assert!(!is_replay(&done));
    assert_eq!(phone.devices().await, Vec::<Value>::new());
    assert!(is_replay(&send(request()).await));
}
