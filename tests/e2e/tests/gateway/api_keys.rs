//! API keys: made, shown once, changed, rotated, revoked; and what they can't do.

use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use reqwest::{Method, Response};
use rusqlite::params;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::time::{Instant, timeout};

use crate::harness::{Answer, Gateway, KeyState, Organization, Patience, Session, eventually, now_ms, tests};

tests![
    the_streams_of_a_revoked_key_end_within_a_minute,
    a_key_is_made_as_asked_and_works_at_once,
    a_secret_is_shown_once_and_kept_as_a_hash,
    bad_bodies_name_their_field,
    the_list_pages_through_all,
    a_damaged_cursor_or_limit_of_keys_is_refused,
    a_change_holds_from_the_next_request_on,
    a_deleted_key_is_refused_at_once,
    a_key_stops_working_when_it_expires,
    every_key_that_does_not_open_is_refused_alike,
    a_rotated_secret_works_on_for_the_overlap,
    a_second_rotation_waits_for_the_overlap_unless_told_otherwise,
    of_two_rotations_at_once_one_is_a_conflict,
    a_rotation_may_leave_no_overlap,
    a_key_may_rotate_itself,
    keys_are_managed_with_manage_only,
    nobody_grants_what_they_lack,
    keys_of_another_organization_do_not_exist,
    a_frontends_rows_work_as_they_are,
    the_last_use_is_noted_once_in_ten_minutes,
    the_tooling_mints_our_shape,
];

const KEYS: &str = "/api/v1/api-keys";
/// Everything a key can be allowed.
const ALL: [&str; 4] = ["manage", "send", "read", "events"];

/// A key as its owner sees it.
struct Key {
    id: String,
    secret: String,
}

impl Key {
    fn of(shown: &Value) -> Self {
        let text = |name: &str| shown[name].as_str().unwrap().to_owned();
        Self { id: text("id"), secret: text("key") }
    }

    fn path(&self) -> String {
        format!("{KEYS}/{}", self.id)
    }

    fn rotation(&self) -> String {
        format!("{KEYS}/{}:rotate", self.id)
    }
}

async fn make(organization: &Organization, body: &Value) -> Key {
    Key::of(&organization.post_json(KEYS, body).await.expect(201))
}

/// A key that may do everything.
async fn full(organization: &Organization) -> Key {
    make(organization, &json!({"name": "full", "permissions": ALL})).await
}

async fn rotate(organization: &Organization, key: &Key, overlap: u32) -> Value {
    organization.post_json(&key.rotation(), &json!({"overlapSeconds": overlap})).await.expect(200)
}

/// The organization seen with this secret.
fn with(organization: &Organization, secret: &str) -> Organization {
    Organization { key: secret.to_owned(), ..organization.clone() }
}

/// Whether a secret that may manage opens the door.
async fn knock(organization: &Organization, secret: &str) -> Answer {
    with(organization, secret).get(&format!("{KEYS}?limit=1")).await
}

/// Another letter at the end: our shape, but a wrong checksum.
fn damaged(secret: &str) -> String {
    let last = if secret.ends_with('0') { '1' } else { '0' };
    format!("{}{last}", &secret[..secret.len() - 1])
}

fn is_our_shape(secret: &str) -> bool {
    let parts: Vec<&str> = secret.split('_').collect();
    let letters =
        |text: &str, length| text.len() == length && text.chars().all(|c| c.is_ascii_alphanumeric());
    parts.len() == 3 && parts[0] == "wa" && letters(parts[1], 32) && letters(parts[2], 6)
}

fn hash(secret: &str) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(secret.as_bytes()))
}

async fn a_key_is_made_as_asked_and_works_at_once() {
    let organization = Organization::new();
    let before = now_ms();
    let body = json!({"name": "Bärbel's 🔑", "permissions": ["events", "manage"]});
    let mut shown = organization.post_json(KEYS, &body).await.expect(201);
    let key = Key::of(&shown);
    assert!(is_our_shape(&key.secret), "{}", key.secret);
    let at = shown["createdAt"].as_u64().unwrap();
    assert!((before..=now_ms()).contains(&at), "{at}");
    shown.as_object_mut().unwrap().remove("key");
    assert_eq!(
        shown,
        json!({
            "id": key.id, "organizationId": organization.name, "name": "Bärbel's 🔑",
            "start": &key.secret[..6], "prefix": "wa_", "permissions": ["manage", "events"], "enabled": true,
            "expiresAt": null, "lastUsedAt": null, "createdAt": at, "updatedAt": at, "previousExpiresAt": null,
        })
    );
    assert_eq!(organization.get(&key.path()).await.expect(200), shown);
    // It is the organization's, with what it was allowed.
    let seen = with(&organization, &key.secret);
    seen.session(&json!({"label": "made by a key that was made by a key"})).await;
    assert_eq!(organization.get("/api/v1/sessions").await.expect(200)["data"].as_array().unwrap().len(), 1);
    // `X-Api-Key` says the same.
    let request = organization.gateway.request(Method::GET, KEYS).header("x-api-key", &key.secret);
    assert_eq!(request.send().await.unwrap().status(), 200);
    // Made switched off, and for a time.
    let until = now_ms() + 60_000;
    let body = json!({"name": "later", "permissions": ["manage"], "enabled": false, "expiresAt": until});
    let shown = organization.post_json(KEYS, &body).await.expect(201);
    assert_eq!((&shown["enabled"], &shown["expiresAt"]), (&json!(false), &json!(until)));
    knock(&organization, &Key::of(&shown).secret).await.expect_error(401, "unauthorized");
}

async fn a_secret_is_shown_once_and_kept_as_a_hash() {
    let organization = Organization::new();
    let key = full(&organization).await;
    let rotated = Key::of(&rotate(&organization, &key, 3_600).await);
    let answers = [
        organization.get(KEYS).await,
        organization.get(&key.path()).await,
        organization.patch(&key.path(), &json!({"name": "renamed"})).await,
    ];
    for answer in answers {
        answer.expect(200);
        for secret in [&key.secret, &rotated.secret] {
            let text = answer.text();
            let kept = hash(secret);
            assert!(!text.contains(&secret[6..]) && !text.contains(&kept), "{}: {text}", answer.call);
        }
    }
    let row = Gateway::shared()
        .directory()
        .query_row("SELECT key, previous_key FROM apikey WHERE id = ?1", [&key.id], |row| {
            Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?))
        })
        .unwrap();
    assert_eq!(row, (hash(&rotated.secret), hash(&key.secret)));
}

async fn bad_bodies_name_their_field() {
    let organization = Organization::new();
    let now = now_ms();
    let key = full(&organization).await;
    let shown = organization.get(&key.path()).await.expect(200);
    for (field, at, value) in [
        ("name", "name", json!("")),
        ("name", "name", json!("x".repeat(101))),
        ("name", "name", json!("a\nb")),
        ("name", "name", json!(1)),
        ("permissions", "permissions", json!([])),
        ("permissions", "permissions", json!(["read", "read"])),
        ("permissions", "permissions", json!("read")),
        ("permissions", "permissions[1]", json!(["read", "fly"])),
        ("permissions", "permissions[0]", json!(["super_admin"])),
        ("permissions", "permissions[0]", json!(["READ"])),
        ("permissions", "permissions", json!({"gateway": ["read"]})),
        ("enabled", "enabled", json!("true")),
        ("enabled", "enabled", json!(1)),
        ("expiresAt", "expiresAt", json!(0)),
        ("expiresAt", "expiresAt", json!(now)),
        ("expiresAt", "expiresAt", json!(-1)),
        ("expiresAt", "expiresAt", json!(1.5)),
        ("expiresAt", "expiresAt", json!("2030-01-01")),
        ("expiresAt", "expiresAt", json!(9_000_000_000_000_000_u64)),
        ("organizationId", "organizationId", json!("org")),
        ("key", "key", json!("wa_mine")),
        ("lastUsedAt", "lastUsedAt", json!(1)),
    ] {
        let mut body = json!({"name": "a key", "permissions": ["read"]});
        body[field] = value;
        organization.post_json(KEYS, &body).await.expect_invalid(at);
        organization.patch(&key.path(), &json!({ field: body[field] })).await.expect_invalid(at);
    }
    organization.post_json(KEYS, &json!({"permissions": ["read"]})).await.expect_invalid("name");
    organization.post_json(KEYS, &json!({"name": "x"})).await.expect_invalid("permissions");
    organization.post(KEYS).await.expect_error(400, "validation_error");
    organization.patch(&key.path(), &json!([1])).await.expect_error(400, "validation_error");
    for overlap in [json!(-1), json!(604_801), json!("1"), json!(1.5)] {
        let body = json!({"overlapSeconds": overlap});
        organization.post_json(&key.rotation(), &body).await.expect_invalid("overlapSeconds");
    }
    organization.post_json(&key.rotation(), &json!({"overlap": 1})).await.expect_invalid("overlap");
    organization.post_json(&key.rotation(), &json!({"endPrevious": 1})).await.expect_invalid("endPrevious");
    assert_eq!(organization.get(&key.path()).await.expect(200), shown, "a refused call changed the key");
    knock(&organization, &key.secret).await.expect(200);
}

async fn the_list_pages_through_all() {
    let organization = Organization::new();
    for number in 0..5 {
        make(&organization, &json!({"name": format!("number {number}"), "permissions": ["read"]})).await;
    }
    let ids = |page: &Value| -> Vec<String> {
        page["data"].as_array().unwrap().iter().map(|key| key["id"].as_str().unwrap().to_owned()).collect()
    };
    let all = organization.get(KEYS).await.expect(200);
    assert_eq!(all["nextCursor"], Value::Null);
    let names: Vec<&str> =
        all["data"].as_array().unwrap().iter().filter_map(|key| key["name"].as_str()).collect();
    assert_eq!(names, ["number 0", "number 1", "number 2", "number 3", "number 4"]);
    // Besides those of the harness.
    let all = ids(&all);
    assert!(all.len() > 5 && all.is_sorted(), "{all:?}");
    for limit in [1, 4, all.len()] {
        let mut seen = Vec::new();
        let mut cursor = String::new();
        loop {
            let page = organization.get(&format!("{KEYS}?limit={limit}{cursor}")).await.expect(200);
            let listed = ids(&page);
            assert!(!listed.is_empty() && listed.len() <= limit, "limit {limit}: {listed:?}");
            seen.extend(listed);
            let Some(next) = page["nextCursor"].as_str() else { break };
            cursor = format!("&cursor={next}");
        }
        assert_eq!(seen, all, "limit {limit}");
    }
}

async fn a_damaged_cursor_or_limit_of_keys_is_refused() {
    let organization = Organization::new();
    let page = organization.get(&format!("{KEYS}?limit=1")).await.expect(200);
    let cursor = page["nextCursor"].as_str().unwrap();
    let damaged = [&cursor[1..], &cursor[..cursor.len() - 1], &format!("{cursor}A"), "", "%00", "💥", "null"];
    for damaged in damaged {
        organization.get(&format!("{KEYS}?cursor={damaged}")).await.expect_invalid("cursor");
    }
    for limit in ["0", "201", "-1", "1.5", "x", ""] {
        organization.get(&format!("{KEYS}?limit={limit}")).await.expect_invalid("limit");
    }
}

async fn a_change_holds_from_the_next_request_on() {
    let organization = Organization::new();
    let key = full(&organization).await;
    let change = async |body: Value| organization.patch(&key.path(), &body).await.expect(200);
    knock(&organization, &key.secret).await.expect(200);
    let shown = change(json!({"enabled": false})).await;
    assert_eq!(shown["enabled"], false);
    knock(&organization, &key.secret).await.expect_error(401, "unauthorized");
    let shown = change(json!({"enabled": true, "name": "on again"})).await;
    assert_eq!((&shown["enabled"], &shown["name"]), (&json!(true), &json!("on again")));
    knock(&organization, &key.secret).await.expect(200);
    let shown = change(json!({"permissions": ["events", "read"]})).await;
    assert_eq!(shown["permissions"], json!(["read", "events"]));
    let error = knock(&organization, &key.secret).await.expect_error(403, "forbidden");
    assert_eq!(error["details"]["capability"], "manage");
    let until = now_ms() + 3_600_000;
    let shown = change(json!({"expiresAt": until, "permissions": ["manage"]})).await;
    assert_eq!(shown["expiresAt"], until);
    knock(&organization, &key.secret).await.expect(200);
    // What is absent stays; null is never.
    let shown = change(json!({"name": "still"})).await;
    assert_eq!((&shown["expiresAt"], &shown["permissions"]), (&json!(until), &json!(["manage"])));
    let shown = change(json!({"expiresAt": null})).await;
    assert_eq!((&shown["expiresAt"], &shown["name"]), (&Value::Null, &json!("still")));
    assert!(shown["updatedAt"].as_u64() > shown["createdAt"].as_u64(), "{shown}");
    let shown = change(json!({})).await;
    let mut read = organization.get(&key.path()).await.expect(200);
    read["lastUsedAt"] = shown["lastUsedAt"].clone();
    assert_eq!(read, shown);
}

async fn a_deleted_key_is_refused_at_once() {
    let organization = Organization::new();
    let key = full(&organization).await;
    knock(&organization, &key.secret).await.expect(200);
    organization.delete(&key.path()).await.expect(204);
    knock(&organization, &key.secret).await.expect_error(401, "unauthorized");
    organization.delete(&key.path()).await.expect_error(404, "not_found");
    organization.get(&key.path()).await.expect_error(404, "not_found");
    organization.patch(&key.path(), &json!({"name": "x"})).await.expect_error(404, "not_found");
    organization.post(&key.rotation()).await.expect_error(404, "not_found");
    // A key may delete itself.
    let key = full(&organization).await;
    with(&organization, &key.secret).delete(&key.path()).await.expect(204);
    knock(&organization, &key.secret).await.expect_error(401, "unauthorized");
}

async fn a_key_stops_working_when_it_expires() {
    let organization = Organization::new();
    let until = now_ms() + 2_000;
    let body = json!({"name": "brief", "permissions": ["manage"], "expiresAt": until});
    let key = make(&organization, &body).await;
    knock(&organization, &key.secret).await.expect(200);
    eventually("the key to expire", Patience::seconds(10), async || {
        match knock(&organization, &key.secret).await.status {
            401 if now_ms() >= until => Ok(()),
            status => Err(status.to_string()),
        }
    })
    .await;
    // It can be given more time.
    organization.patch(&key.path(), &json!({"expiresAt": null})).await.expect(200);
    knock(&organization, &key.secret).await.expect(200);
}

async fn every_key_that_does_not_open_is_refused_alike() {
    let organization = Organization::new();
    let brief = json!({"name": "brief", "permissions": ALL, "expiresAt": now_ms() + 1_000});
    let [known, deleted, disabled, rotated, expired] = futures::join!(
        full(&organization),
        full(&organization),
        full(&organization),
        full(&organization),
        make(&organization, &brief),
    )
    .into();
    organization.delete(&deleted.path()).await.expect(204);
    organization.patch(&disabled.path(), &json!({"enabled": false})).await.expect(200);
    rotate(&organization, &rotated, 0).await;
    eventually("the key to expire", Patience::seconds(10), async || {
        match knock(&organization, &expired.secret).await.status {
            401 => Ok(()),
            status => Err(status.to_string()),
        }
    })
    .await;
    let refused: Vec<(&str, String)> = vec![
        ("unknown, a frontend's shape", format!("wa_{}", "aZ".repeat(32))),
        ("our shape, a letter wrong", damaged(&known.secret)),
        ("our shape, letters swapped", known.secret.chars().rev().collect()),
        ("cut", known.secret[..known.secret.len() - 1].to_owned()),
        ("in lower case", known.secret.to_lowercase()),
        ("deleted", deleted.secret.clone()),
        ("disabled", disabled.secret.clone()),
        ("rotated out", rotated.secret.clone()),
        ("expired", expired.secret.clone()),
        ("the harness's disabled", organization.with_key(&[], KeyState::Disabled).key),
        ("the harness's expired", organization.with_key(&[], KeyState::Expired).key),
        ("a hash", hash(&known.secret)),
        ("an id", known.id.clone()),
        ("no key at all", "x".to_owned()),
        ("huge", format!("wa_{}", "x".repeat(5_000))),
    ];
    // Ours and minted nowhere: the zeros' checksum is the right one.
    let unknown = "wa_00000000000000000000000000000000_2pnHq1";
    let wanted = knock(&organization, unknown).await;
    wanted.expect_error(401, "unauthorized");
    for (what, secret) in refused {
        assert_eq!(knock(&organization, &secret).await.fingerprint(), wanted.fingerprint(), "{what}");
        let request = organization.gateway.request(Method::GET, KEYS).header("x-api-key", &secret);
        assert_eq!(request.send().await.unwrap().status(), 401, "{what}");
    }
    // Both headers at once and contradicting.
    let request = with(&organization, &known.secret).request(Method::GET, KEYS);
    assert_eq!(request.header("x-api-key", unknown).send().await.unwrap().status(), 401);
    knock(&organization, &known.secret).await.expect(200);
}

async fn a_rotated_secret_works_on_for_the_overlap() {
    let organization = Organization::new();
    let key = full(&organization).await;
    let before = now_ms();
    let shown = organization.post(&key.rotation()).await.expect(200);
    let rotated = Key::of(&shown);
    assert_eq!(rotated.id, key.id);
    assert!(rotated.secret != key.secret && is_our_shape(&rotated.secret));
    assert_eq!(shown["start"], rotated.secret[..6]);
    // A day when nothing is said.
    let until = shown["previousExpiresAt"].as_u64().unwrap();
    assert!((before + 86_400_000..=now_ms() + 86_400_000).contains(&until), "{until}");
    for secret in [&key.secret, &rotated.secret] {
        knock(&organization, secret).await.expect(200);
    }
    // For a moment.
    let key = full(&organization).await;
    let rotated = Key::of(&rotate(&organization, &key, 2).await);
    knock(&organization, &key.secret).await.expect(200);
    eventually("the overlap to end", Patience::seconds(10), async || {
        match knock(&organization, &key.secret).await.status {
            401 => Ok(()),
            status => Err(status.to_string()),
        }
    })
    .await;
    knock(&organization, &rotated.secret).await.expect(200);
    assert_eq!(organization.get(&key.path()).await.expect(200)["previousExpiresAt"], Value::Null);
    // A key that is switched off has no way in by its old secret.
    let key = full(&organization).await;
    let rotated = Key::of(&rotate(&organization, &key, 3_600).await);
    organization.patch(&key.path(), &json!({"enabled": false})).await.expect(200);
    for secret in [&key.secret, &rotated.secret] {
        knock(&organization, secret).await.expect_error(401, "unauthorized");
    }
}

async fn a_second_rotation_waits_for_the_overlap_unless_told_otherwise() {
    let organization = Organization::new();
    let first = full(&organization).await;
    let shown = rotate(&organization, &first, 3_600).await;
    let second = Key::of(&shown);
    // Who heard no answer asks again, and must not end the secret that is in use.
    for body in [json!({}), json!({"overlapSeconds": 0}), json!({"endPrevious": false})] {
        let error = organization.post_json(&first.rotation(), &body).await.expect_error(409, "conflict");
        assert_eq!(error["details"], json!({"previousExpiresAt": shown["previousExpiresAt"]}));
    }
    organization.post(&first.rotation()).await.expect_error(409, "conflict");
    for secret in [&first.secret, &second.secret] {
        knock(&organization, secret).await.expect(200);
    }
    let body = json!({"overlapSeconds": 3_600, "endPrevious": true});
    let third = Key::of(&organization.post_json(&first.rotation(), &body).await.expect(200));
    knock(&organization, &first.secret).await.expect_error(401, "unauthorized");
    for secret in [&second.secret, &third.secret] {
        knock(&organization, secret).await.expect(200);
    }
}

async fn of_two_rotations_at_once_one_is_a_conflict() {
    let organization = Organization::new();
    for round in 0..5 {
        let key = full(&organization).await;
        let rotation = key.rotation();
        let body = json!({"overlapSeconds": 3_600});
        let answers = (0..4).map(|_| organization.post_json(&rotation, &body));
        let answers = futures::future::join_all(answers).await;
        let (done, refused): (Vec<Answer>, Vec<Answer>) =
            answers.into_iter().partition(|answer| answer.status == 200);
        assert_eq!(done.len(), 1, "round {round}: {refused:?}");
        for answer in &refused {
            answer.expect_error(409, "conflict");
        }
        for secret in [&key.secret, &Key::of(&done[0].json()).secret] {
            knock(&organization, secret).await.expect(200);
        }
    }
}

async fn a_rotation_may_leave_no_overlap() {
    let organization = Organization::new();
    let first = full(&organization).await;
    let second = Key::of(&rotate(&organization, &first, 3_600).await);
    let body = json!({"overlapSeconds": 0, "endPrevious": true});
    let shown = organization.post_json(&first.rotation(), &body).await.expect(200);
    assert_eq!(shown["previousExpiresAt"], Value::Null);
    for secret in [&first.secret, &second.secret] {
        knock(&organization, secret).await.expect_error(401, "unauthorized");
    }
    knock(&organization, &Key::of(&shown).secret).await.expect(200);
}

async fn a_key_may_rotate_itself() {
    let organization = Organization::new();
    let key = full(&organization).await;
    let rotated = Key::of(&rotate(&with(&organization, &key.secret), &key, 0).await);
    knock(&organization, &key.secret).await.expect_error(401, "unauthorized");
    knock(&organization, &rotated.secret).await.expect(200);
}

/// Every operation on a key, with a body that would be right.
async fn every_operation(organization: &Organization, id: &str) -> Vec<Answer> {
    vec![
        organization.get(&format!("{KEYS}/{id}")).await,
        organization.patch(&format!("{KEYS}/{id}"), &json!({"name": "mine", "permissions": ["read"]})).await,
        organization.patch(&format!("{KEYS}/{id}"), &json!({"enabled": false})).await,
        organization.post(&format!("{KEYS}/{id}:rotate")).await,
        organization.post_json(&format!("{KEYS}/{id}:rotate"), &json!({"overlapSeconds": 0})).await,
        organization.delete(&format!("{KEYS}/{id}")).await,
    ]
}

async fn keys_are_managed_with_manage_only() {
    let organization = Organization::new();
    let key = full(&organization).await;
    let shown = organization.get(&key.path()).await.expect(200);
    for permissions in [vec!["read"], vec!["send"], vec!["events"], vec![]] {
        let caller = organization.with_key(&permissions, KeyState::Valid);
        let mut answers = every_operation(&caller, &key.id).await;
        answers.push(caller.get(KEYS).await);
        answers.push(caller.post_json(KEYS, &json!({"name": "x", "permissions": permissions})).await);
        for answer in answers {
            let error = answer.expect_error(403, "forbidden");
            assert_eq!(error["details"]["capability"], "manage", "{permissions:?}");
        }
    }
    assert_eq!(organization.get(&key.path()).await.expect(200), shown);
}

async fn nobody_grants_what_they_lack() {
    let organization = Organization::new();
    let stronger = full(&organization).await;
    let weak = make(&organization, &json!({"name": "weak", "permissions": ["manage", "read"]})).await;
    let weak = with(&organization, &weak.secret);
    let lacks = |answer: Answer, capability: &str| {
        let error = answer.expect_error(403, "forbidden");
        assert_eq!(error["details"]["capability"], capability, "{}", answer.call);
    };
    for (permissions, lacking) in [
        (json!(["send"]), "send"),
        (json!(["read", "events"]), "events"),
        (json!(["manage", "send", "read", "events"]), "send"),
    ] {
        lacks(weak.post_json(KEYS, &json!({"name": "x", "permissions": permissions})).await, lacking);
    }
    let own = make(&weak, &json!({"name": "x", "permissions": ["manage", "read"]})).await;
    lacks(weak.patch(&own.path(), &json!({"permissions": ["manage", "events"]})).await, "events");
    assert_eq!(weak.get(&own.path()).await.expect(200)["permissions"], json!(["read", "manage"]));
    weak.patch(&own.path(), &json!({"permissions": ["read"], "expiresAt": now_ms() + 60_000}))
        .await
        .expect(200);
    weak.post(&own.rotation()).await.expect(200);
    // Of a key that may do more, the secret, more time and the switch are out of reach …
    let shown = weak.get(&stronger.path()).await.expect(200);
    lacks(weak.post(&stronger.rotation()).await, "send");
    lacks(weak.patch(&stronger.path(), &json!({"enabled": true})).await, "send");
    lacks(weak.patch(&stronger.path(), &json!({"expiresAt": null})).await, "send");
    lacks(weak.patch(&stronger.path(), &json!({"permissions": ["read", "events"]})).await, "events");
    let mut after = weak.get(&stronger.path()).await.expect(200);
    assert_eq!(after, shown, "a refused call changed the key");
    // … but taking away is always allowed.
    let body = json!({"enabled": false, "name": "switched off"});
    after = weak.patch(&stronger.path(), &body).await.expect(200);
    assert_eq!((&after["enabled"], &after["name"]), (&json!(false), &json!("switched off")));
    knock(&organization, &stronger.secret).await.expect_error(401, "unauthorized");
    lacks(weak.patch(&stronger.path(), &json!({"enabled": true})).await, "send");
    weak.patch(&stronger.path(), &json!({"permissions": ["read"]})).await.expect(200);
    weak.delete(&stronger.path()).await.expect(204);
}

async fn keys_of_another_organization_do_not_exist() {
    let (ours, theirs) = (Organization::new(), Organization::new());
    let key = full(&theirs).await;
    let shown = theirs.get(&key.path()).await.expect(200);
    let unknown = every_operation(&ours, "01ARZ3NDEKTSV4RRFFQ69G5FAV").await;
    let foreign = every_operation(&ours, &key.id).await;
    for (unknown, foreign) in unknown.iter().zip(&foreign) {
        unknown.expect_error(404, "not_found");
        assert_eq!(foreign.fingerprint(), unknown.fingerprint(), "{}", foreign.call);
    }
    let odd = ["x", "%20", "%00", "%FF", "..%2F..", "💥", "' OR 1=1 --", &"x".repeat(2_000)];
    for odd in odd {
        for answer in every_operation(&ours, odd).await {
            assert_eq!(answer.status, 404, "{}", answer.call);
        }
    }
    assert_eq!(theirs.get(&key.path()).await.expect(200), shown);
    let list = ours.get(KEYS).await.expect(200);
    assert!(list["data"].as_array().unwrap().iter().all(|key| key["organizationId"] == ours.name.as_str()));
    // A cursor of theirs says nothing about their keys.
    let cursor = theirs.get(&format!("{KEYS}?limit=1")).await.expect(200)["nextCursor"].clone();
    let page = ours.get(&format!("{KEYS}?cursor={}", cursor.as_str().unwrap())).await.expect(200);
    assert!(page["data"].as_array().unwrap().iter().all(|key| key["organizationId"] == ours.name.as_str()));
    // Their key opens their door only.
    let made = with(&theirs, &key.secret).session(&json!({})).await;
    ours.get(&made.path("")).await.expect_error(404, "not_found");
}

/// A row as better-auth's api-key plugin writes it over SQLite: its own shape of secret, dates in ISO 8601.
fn better_auth(organization: &Organization, id: &str, secret: &str, expires_at: Option<&str>) {
    let permissions = json!({"files": ["write"], "gateway": ["manage", "read"]}).to_string();
    let statement = "INSERT INTO apikey (id, config_id, name, start, reference_id, prefix, key, enabled, rate_limit_enabled, \
         rate_limit_time_window, rate_limit_max, request_count, expires_at, created_at, updated_at, permissions, \
         metadata) VALUES (?1, 'default', NULL, ?2, ?3, 'wa_', ?4, 1, 1, 86400000, 10, 0, ?5, \
         '2026-01-02T03:04:05.678Z', '2026-01-02T03:04:05.678Z', ?6, 'null')";
    let row = params![id, &secret[..6], organization.name, hash(secret), expires_at, permissions];
    Gateway::shared().directory().execute(statement, row).unwrap();
}

async fn a_frontends_rows_work_as_they_are() {
    let organization = Organization::new();
    // Its ids and secrets are letters of its own.
    let token = organization.name.trim_start_matches("org-").to_owned();
    let (id, secret) = (format!("ba{token}"), format!("wa_{token}{token}"));
    better_auth(&organization, &id, &secret, Some("2099-01-01T00:00:00.000Z"));
    knock(&organization, &secret).await.expect(200);
    let path = format!("{KEYS}/{id}");
    let mut shown = organization.get(&path).await.expect(200);
    assert!(shown["lastUsedAt"].take().is_u64());
    assert_eq!(
        shown,
        json!({
            "id": id, "organizationId": organization.name, "name": null, "start": &secret[..6], "prefix": "wa_",
            "permissions": ["read", "manage"], "enabled": true, "expiresAt": 4_070_908_800_000_u64,
            "lastUsedAt": null, "createdAt": 1_767_323_045_678_u64, "updatedAt": 1_767_323_045_678_u64,
            "previousExpiresAt": null,
        })
    );
    let list = organization.get(KEYS).await.expect(200);
    assert!(list["data"].as_array().unwrap().iter().any(|key| key["id"] == id.as_str()), "{list}");
    // What it may do elsewhere is none of our business and stays.
    organization.patch(&path, &json!({"permissions": ["manage"]})).await.expect(200);
    let kept = Gateway::shared()
        .directory()
        .query_row("SELECT permissions FROM apikey WHERE id = ?1", [&id], |row| row.get::<_, String>(0))
        .unwrap();
    let kept: Value = serde_json::from_str(&kept).unwrap();
    assert_eq!(kept, json!({"files": ["write"], "gateway": ["manage"]}));
    // It can be rotated like any other.
    let rotated = organization.post(&format!("{path}:rotate")).await.expect(200);
    for secret in [&secret, rotated["key"].as_str().unwrap()] {
        knock(&organization, secret).await.expect(200);
    }
    // Over at a moment in text.
    let (id, secret) = (format!("bb{token}"), format!("wa_x{token}{token}"));
    better_auth(&organization, &id, &secret, Some("2026-01-03T00:00:00.000Z"));
    knock(&organization, &secret).await.expect_error(401, "unauthorized");
    organization.delete(&format!("{KEYS}/{id}")).await.expect(204);
}

async fn the_last_use_is_noted_once_in_ten_minutes() {
    let organization = Organization::new();
    let key = full(&organization).await;
    let used = async || organization.get(&key.path()).await.expect(200)["lastUsedAt"].clone();
    assert_eq!(used().await, Value::Null);
    let before = now_ms();
    knock(&organization, &key.secret).await.expect(200);
    let first = used().await.as_u64().unwrap();
    assert!((before..=now_ms()).contains(&first), "{first}");
    for _ in 0..3 {
        knock(&organization, &key.secret).await.expect(200);
    }
    assert_eq!(used().await, first);
    for earlier in [json!(first - 601_000), json!("2026-01-02T03:04:05.678Z")] {
        let earlier = earlier.as_str().map_or_else(|| earlier.to_string(), str::to_owned);
        let statement = "UPDATE apikey SET last_request = ?1 WHERE id = ?2";
        Gateway::shared().directory().execute(statement, params![earlier, key.id]).unwrap();
        knock(&organization, &key.secret).await.expect(200);
        assert!(used().await.as_u64() >= Some(first), "after {earlier}");
    }
    // A refused key is not used.
    organization.patch(&key.path(), &json!({"enabled": false})).await.expect(200);
    Gateway::shared()
        .directory()
        .execute("UPDATE apikey SET last_request = 1 WHERE id = ?1", params![key.id])
        .unwrap();
    knock(&organization, &key.secret).await.expect_error(401, "unauthorized");
    assert_eq!(used().await, 1);
}

async fn the_tooling_mints_our_shape() {
    let organization = Organization::new();
    let secret = std::env::var("GATEWAY_API_KEY").unwrap();
    assert!(is_our_shape(&secret), "{secret}");
    // A checksum that is not what the gateway computes would be refused.
    knock(&organization, &secret).await.expect(200);
    knock(&organization, &damaged(&secret)).await.expect_error(401, "unauthorized");
}

/// How long a stream goes on.
async fn end(mut stream: Response, patience: Duration) -> Option<Duration> {
    let began = Instant::now();
    let read = async { while let Ok(Some(_)) = stream.chunk().await {} };
    timeout(patience, read).await.ok().map(|()| began.elapsed())
}

async fn the_streams_of_a_revoked_key_end_within_a_minute() {
    let organization = Organization::new();
    let session: Session = organization.session(&json!({"start": true})).await;
    let open = async |key: &Key| {
        let request = with(&organization, &key.secret).request(Method::GET, &session.path("/events"));
        let request = request.header("accept", "text/event-stream").timeout(Duration::from_mins(10));
        let stream = request.send().await.unwrap();
        assert_eq!(stream.status(), 200);
        stream
    };
    let brief = json!({"name": "brief", "permissions": ["events"], "expiresAt": now_ms() + 8_000});
    let brief = make(&organization, &brief).await;
    let keys = [
        ("deleted", full(&organization).await),
        ("disabled", full(&organization).await),
        ("without events", full(&organization).await),
        ("rotated out", full(&organization).await),
        ("expired", brief),
        ("valid", full(&organization).await),
        ("rotated with an overlap", full(&organization).await),
    ];
    let mut streams = Vec::new();
    for (what, key) in &keys {
        streams.push((*what, open(key).await));
    }
    for (what, key) in &keys {
        match *what {
            "deleted" => assert_eq!(organization.delete(&key.path()).await.status, 204),
            "disabled" => drop(organization.patch(&key.path(), &json!({"enabled": false})).await.expect(200)),
            "without events" => {
                organization.patch(&key.path(), &json!({"permissions": ["read"]})).await.expect(200);
            }
            "rotated out" => drop(rotate(&organization, key, 0).await),
            "rotated with an overlap" => drop(rotate(&organization, key, 3_600).await),
            _ => {}
        }
    }
    let ends = streams.into_iter().map(|(what, stream)| async move {
        let goes_on = ["valid", "rotated with an overlap"].contains(&what);
        match end(stream, Duration::from_mins(1)).await {
            Some(after) => assert!(!goes_on, "{what}: ended after {after:?}"),
            None => assert!(goes_on, "{what}: still open after a minute"),
        }
    });
    futures::future::join_all(ends).await;
}
