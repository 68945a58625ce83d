//! Who may do what: organizations don't see each other, keys do what they are allowed to and nothing else.

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use crate::harness::{Answer, KeyState, Organization, Patience, Session, send, tests, with_json};

tests![
    every_operation_on_another_organizations_things_answers_as_if_they_never_existed,
    another_organizations_session_answers_like_one_that_never_existed,
    the_list_shows_no_foreign_session,
    a_key_does_what_it_is_allowed_to_and_nothing_else,
    a_capability_is_asked_for_before_the_session_is_looked_for,
    whoever_has_no_valid_key_gets_one_and_the_same_answer,
    a_key_is_taken_from_either_header,
];

/// A ULID nobody was given.
const NEVER: &str = "01ARZ3NDEKTSV4RRFFQ69G5FAV";

/// Every operation on a session, with a body where it takes one and the capability it needs.
fn operations() -> Vec<(Method, &'static str, Option<Value>, &'static str)> {
    let text = json!({"type": "text", "to": "4915112345678", "text": "hi"});
    vec![
        (Method::GET, "", None, "manage"),
        (Method::PATCH, "", Some(json!({"label": "mine now"})), "manage"),
        (Method::GET, "/qr", None, "manage"),
        (Method::GET, "/me", None, "manage"),
        (Method::POST, ":start", None, "manage"),
        (Method::POST, ":stop", None, "manage"),
        (Method::POST, ":restart", None, "manage"),
        (Method::POST, ":logout", None, "manage"),
        (Method::POST, "/messages", Some(text), "send"),
        (Method::GET, "/messages/3EB0", None, "read"),
        (Method::GET, "/messages/3EB0/media", None, "read"),
        (Method::GET, "/events", None, "events"),
        (Method::GET, "/events?after=5&wait=3&types=message", None, "events"),
        (Method::DELETE, "", None, "manage"),
    ]
}

async fn call(
    organization: &Organization,
    session: &str,
    operation: &(Method, &'static str, Option<Value>, &'static str),
) -> Answer {
    let (method, rest, body, _) = operation;
    organization.call(method.clone(), &format!("/api/v1/sessions/{session}{rest}"), body.as_ref()).await
}

/// What to send where a body is taken: what the operation would do for its owner.
fn body_of(operation: &str) -> Option<Value> {
    match operation {
        "createSession" => Some(json!({"label": "mine"})),
        "updateSession" => Some(json!({"label": "mine now"})),
        "sendMessage" => Some(json!({"type": "text", "to": "4915112345678", "text": "hi"})),
        "sessionPairingCode" => Some(json!({"phone": "4915112345678"})),
        "submitPasskey" => Some(json!({"confirmed": true})),
        "createApiKey" => Some(json!({"name": "mine", "permissions": ["read"]})),
        "updateApiKey" => Some(json!({"name": "mine now"})),
        "rotateApiKey" | "rotateWebhookSecret" => Some(json!({"overlapSeconds": 0})),
        "createWebhook" => Some(json!({"url": "http://127.0.0.1:9/"})),
        "updateWebhook" => Some(json!({"active": false})),
        "replayWebhook" => Some(json!({"status": "dead"})),
        "editMessage" => Some(json!({"chat": "4915112345678", "text": "theirs"})),
        "revokeMessage" | "removeReaction" => Some(json!({"chat": "4915112345678"})),
        "addReaction" => Some(json!({"chat": "4915112345678", "emoji": "👍"})),
        "forwardMessage" => Some(json!({"chat": "4915112345678", "to": "4915112345678"})),
        "voteMessage" => Some(json!({"chat": "4915112345678", "options": []})),
        "createRealtimeTicket" => Some(json!({"types": ["message"]})),
        _ => None,
    }
}

async fn every_operation_on_another_organizations_things_answers_as_if_they_never_existed() {
    let (session, phone) = Session::working().await;
    let owner = &session.organization;
    let message = phone.simulator.phone().await.text(&phone.number, "for the owner").await;
    session.event_of("message", &message).await;
    session.get(&format!("/messages/{message}")).await.expect(200);
    let linking = owner.session(&json!({"start": true})).await;
    linking.code().await;
    let key = owner.post_json("/api/v1/api-keys", &json!({"name": "theirs", "permissions": ["read"]})).await;
    let key = key.expect(201)["id"].as_str().unwrap().to_owned();
    let webhook = owner.post_json("/api/v1/webhooks", &json!({"url": "http://127.0.0.1:9/"})).await;
    let webhook = webhook.expect(201)["id"].as_str().unwrap().to_owned();
    // Two, because what a stranger asks for stands in the stranger's own audit log.
    let (stranger, quiet_stranger) = (Organization::new(), Organization::new());
    let theirs = [session.id.as_str(), &linking.id, &key, &webhook, &message, &owner.name];
    let shown = async || {
        let mut rows = vec![
            owner.get(&format!("/api/v1/api-keys/{key}")).await.expect(200),
            owner.get(&format!("/api/v1/webhooks/{webhook}")).await.expect(200),
        ];
        for session in [&session, &linking] {
            let mut row = session.row().await;
            // Moves when the directory catches up with the pairing.
            row["updatedAt"].take();
            rows.push(row);
        }
        rows
    };
    let before = shown().await;
    let document = stranger.gateway.get("/api/v1/openapi.json").await.expect(200);
    let (mut on_things, mut on_none) = (0, 0);
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let method: Method = method.to_uppercase().parse().unwrap();
            let id = operation["operationId"].as_str().unwrap();
            let body = body_of(id);
            assert_eq!(operation["requestBody"].is_object(), body.is_some(), "{id}: what body does it take?");
            let call = async |path: &str| stranger.call(method.clone(), path, body.as_ref()).await;
            let things = match path.split('/').find(|segment| segment.starts_with('{')) {
                Some(segment) if segment.starts_with("{session}") => vec![&session.id, &linking.id],
                Some(segment) if segment.starts_with("{id}") && path.contains("/api-keys/") => vec![&key],
                Some(segment) if segment.starts_with("{id}") && path.contains("/webhooks/") => vec![&webhook],
                Some(other) => panic!("{path}: what is {other}? One of it has to be walked over."),
                None => {
                    on_none += 1;
                    let text = quiet_stranger.call(method.clone(), path, body.as_ref()).await.text();
                    let leaked = theirs.iter().find(|theirs| text.contains(**theirs));
                    assert!(leaked.is_none(), "{id} shows a stranger {leaked:?}");
                    continue;
                }
            };
            for thing in things {
                let at = |id: &str| {
                    let path = path.replace("{session}", id).replace("{id}", id);
                    path.replace("{mid}", &message)
                        .replace("{outboxId}", NEVER)
                        .replace("{cid}", "4915112345678")
                };
                let (foreign, nowhere) = (call(&at(thing)).await, call(&at(NEVER)).await);
                // A key is told that it may not before anything is looked for.
                match operation["x-capability"].as_str() {
                    Some("super_admin") => foreign.expect_error(403, "forbidden"),
                    _ => foreign.expect_error(404, "not_found"),
                };
                assert_eq!(foreign.fingerprint(), nowhere.fingerprint(), "{id}: {}", foreign.call);
                on_things += 1;
            }
        }
    }
    assert_eq!(shown().await, before, "a stranger changed something");
    println!("    {on_things} calls on another organization's things, {on_none} operations on none");
}

async fn another_organizations_session_answers_like_one_that_never_existed() {
    let (session, _phone) = Session::working().await;
    let stranger = Organization::new();
    let before = session.row().await;
    for operation in operations() {
        let foreign = call(&stranger, &session.id, &operation).await;
        let nowhere = call(&stranger, NEVER, &operation).await;
        foreign.expect_error(404, "not_found");
        assert_eq!(foreign.fingerprint(), nowhere.fingerprint(), "{}", foreign.call);
    }
    for accept in ["text/event-stream", "image/png", "image/svg+xml"] {
        let answer = async |id: &str, rest: &str| {
            let path = format!("/api/v1/sessions/{id}{rest}");
            send(stranger.request(Method::GET, &path).header("accept", accept)).await
        };
        for rest in ["/events", "/qr"] {
            let (foreign, nowhere) = (answer(&session.id, rest).await, answer(NEVER, rest).await);
            foreign.expect_error(404, "not_found");
            assert_eq!(foreign.fingerprint(), nowhere.fingerprint(), "{} as {accept}", foreign.call);
        }
    }
    // Named beside the path.
    for call in ["/api/v1/events?session=", "/api/v1/events?wait=1&session="] {
        let answer = async |id: &str| stranger.get(&format!("{call}{id}")).await;
        let (foreign, nowhere) = (answer(&session.id).await, answer(NEVER).await);
        foreign.expect_error(404, "not_found");
        assert_eq!(foreign.fingerprint(), nowhere.fingerprint(), "{}", foreign.call);
    }
    let url = "http://127.0.0.1:9/";
    for (path, field, rest) in [
        ("/api/v1/realtime/ticket", "session", json!({})),
        ("/api/v1/webhooks", "sessionId", json!({ "url": url })),
    ] {
        let answer = async |id: &str| {
            let mut body = rest.clone();
            body[field] = json!(id);
            stranger.post_json(path, &body).await
        };
        let (foreign, nowhere) = (answer(&session.id).await, answer(NEVER).await);
        foreign.expect_error(404, "not_found");
        assert_eq!(foreign.fingerprint(), nowhere.fingerprint(), "{}", foreign.call);
    }
    // Nor does a webhook of one's own lead to another's session.
    let own = stranger.post_json("/api/v1/webhooks", &json!({ "url": url })).await.expect(201);
    let own = format!("/api/v1/webhooks/{}", own["id"].as_str().unwrap());
    let stretch = |id: &str| json!({ "session": id, "fromSeq": 1, "toSeq": 9 });
    let replay = async |id: &str| stranger.post_json(&format!("{own}:replay"), &stretch(id)).await;
    let change = async |id: &str| stranger.call(Method::PATCH, &own, Some(&json!({ "sessionId": id }))).await;
    for (foreign, nowhere) in
        [(replay(&session.id).await, replay(NEVER).await), (change(&session.id).await, change(NEVER).await)]
    {
        foreign.expect_error(404, "not_found");
        assert_eq!(foreign.fingerprint(), nowhere.fingerprint(), "{}", foreign.call);
    }
    // What is wrong in the request is said of both alike.
    for body in [json!({"nope": 1}), json!({"type": "text", "to": "x", "text": ""})] {
        let answer =
            async |id: &str| stranger.post_json(&format!("/api/v1/sessions/{id}/messages"), &body).await;
        assert_eq!(answer(&session.id).await.fingerprint(), answer(NEVER).await.fingerprint());
    }
    let after = session.row().await;
    // `updatedAt` also moves when the directory catches up with the pairing.
    for (field, value) in before.as_object().unwrap().iter().filter(|(field, _)| *field != "updatedAt") {
        assert_eq!(after[field], *value, "a stranger changed {field}");
    }
}

async fn the_list_shows_no_foreign_session() {
    let (mine, theirs) = (Organization::new(), Organization::new());
    let session = mine.session(&json!({})).await;
    theirs.session(&json!({})).await;
    let page = mine.get("/api/v1/sessions").await.expect(200);
    let ids: Vec<&Value> = page["data"].as_array().unwrap().iter().map(|row| &row["id"]).collect();
    assert_eq!(ids, [session.id.as_str()]);
    // Another organization's cursor leads to the own sessions only.
    for _ in 0..2 {
        theirs.session(&json!({})).await;
    }
    let cursor = theirs.get("/api/v1/sessions?limit=1").await.expect(200)["nextCursor"].clone();
    let page = mine.get(&format!("/api/v1/sessions?cursor={}", cursor.as_str().unwrap())).await.expect(200);
    for row in page["data"].as_array().unwrap() {
        assert_eq!(row["organizationId"], mine.name.as_str());
    }
}

async fn a_key_does_what_it_is_allowed_to_and_nothing_else() {
    let (owner, phone) = Session::working().await;
    let other = phone.simulator.phone().await;
    for capability in ["manage", "send", "read", "events", ""] {
        let granted: Vec<&str> = [capability].into_iter().filter(|name| !name.is_empty()).collect();
        let key = owner.organization.with_key(&granted, KeyState::Valid);
        for operation in operations() {
            let (method, rest, body, needed) = &operation;
            // The session is needed for the next one; starting and stopping is tried elsewhere.
            if *needed == capability && (*method == Method::DELETE || *rest == ":logout" || *rest == ":stop")
            {
                continue;
            }
            let body = body.clone().map(|mut body| {
                if body["to"].is_string() {
                    body["to"] = json!(other.number);
                }
                body
            });
            let answer = key.call(method.clone(), &owner.path(rest), body.as_ref()).await;
            if *needed != capability {
                let error = answer.expect_error(403, "forbidden");
                assert_eq!(error["details"]["capability"], *needed, "{}", answer.call);
            } else if *rest == "/qr" {
                answer.expect_error(400, "validation_error");
            } else if rest.starts_with("/messages/") {
                answer.expect_error(404, "not_found");
            } else {
                answer.expect(200);
            }
            owner.wait_for_status("working", Patience::seconds(30)).await;
        }
        let list = key.get("/api/v1/sessions").await;
        let made = key.post_json("/api/v1/sessions", &json!({})).await;
        if capability == "manage" {
            list.expect(200);
            let id = made.expect(201)["id"].as_str().unwrap().to_owned();
            key.delete(&format!("/api/v1/sessions/{id}")).await.expect(204);
        } else {
            list.expect_error(403, "forbidden");
            made.expect_error(403, "forbidden");
        }
    }
}

async fn a_capability_is_asked_for_before_the_session_is_looked_for() {
    let session = Organization::new().session(&json!({})).await;
    let stranger = Organization::new().with_key(&["read"], KeyState::Valid);
    for operation in operations().into_iter().filter(|(_, _, _, needed)| *needed != "read") {
        let foreign = call(&stranger, &session.id, &operation).await;
        foreign.expect_error(403, "forbidden");
        assert_eq!(foreign.fingerprint(), call(&stranger, NEVER, &operation).await.fingerprint());
    }
}

async fn whoever_has_no_valid_key_gets_one_and_the_same_answer() {
    let organization = Organization::new();
    let session = organization.session(&json!({})).await;
    let disabled = organization.with_key(&[], KeyState::Disabled).key;
    let expired = organization.with_key(&[], KeyState::Expired).key;
    let (key, long) = (&organization.key, "wa_".to_owned() + &"x".repeat(4_000));
    let attempts: Vec<(&str, Vec<(&str, String)>)> = vec![
        ("no key", vec![]),
        ("an empty bearer", vec![("authorization", "Bearer ".into())]),
        ("an empty key", vec![("x-api-key", String::new())]),
        ("an unknown key", vec![("x-api-key", "wa_nobody_has_this_one".into())]),
        ("an unknown bearer", vec![("authorization", "Bearer wa_nobody_has_this_one".into())]),
        ("a long key", vec![("x-api-key", long)]),
        ("a disabled key", vec![("x-api-key", disabled.clone())]),
        ("a disabled bearer", vec![("authorization", format!("Bearer {disabled}"))]),
        ("an expired key", vec![("x-api-key", expired.clone())]),
        ("an expired bearer", vec![("authorization", format!("Bearer {expired}"))]),
        ("another scheme", vec![("authorization", format!("Basic {key}"))]),
        ("no scheme", vec![("authorization", key.clone())]),
        ("half a key", vec![("x-api-key", key[..key.len() - 1].to_owned())]),
        ("a key in capitals", vec![("x-api-key", key.to_uppercase())]),
        (
            "contradicting headers",
            vec![("authorization", format!("Bearer {key}")), ("x-api-key", "wa_x".into())],
        ),
        (
            "two bearers",
            vec![("authorization", format!("Bearer {key}")), ("authorization", format!("Bearer {key}x"))],
        ),
        ("SQL", vec![("x-api-key", "' OR 1=1 --".into())]),
    ];
    let calls = [
        (Method::GET, "/api/v1/sessions".to_owned()),
        (Method::POST, "/api/v1/sessions".to_owned()),
        (Method::GET, session.path("")),
        (Method::GET, session.path("/events")),
        (Method::POST, session.path("/messages")),
        (Method::DELETE, session.path("")),
    ];
    let mut seen: Option<String> = None;
    for (name, headers) in &attempts {
        for (method, path) in &calls {
            let mut request = organization.gateway.request(method.clone(), path);
            for (header, value) in headers {
                request = request.header(*header, value);
            }
            let answer = send(request).await;
            answer.expect_error(401, "unauthorized");
            let seen = seen.get_or_insert_with(|| answer.fingerprint());
            assert_eq!(answer.fingerprint(), *seen, "{name} at {method} {path}");
        }
    }
    println!("    {} ways to have no valid key at {} operations", attempts.len(), calls.len());
    session.row().await;
}

async fn a_key_is_taken_from_either_header() {
    let organization = Organization::new();
    let request = || organization.gateway.request(Method::GET, "/api/v1/sessions");
    let key = &organization.key;
    let ways: Vec<RequestBuilder> = vec![
        request().header("authorization", format!("Bearer {key}")),
        request().header("authorization", format!("bearer {key}")),
        request().header("x-api-key", key),
        request().header("authorization", format!("Bearer {key}")).header("x-api-key", key),
    ];
    for way in ways {
        send(way).await.expect(200);
    }
    // And a body is read with it.
    let made = with_json(organization.gateway.request(Method::POST, "/api/v1/sessions"), &json!({}));
    send(made.header("x-api-key", key)).await.expect(201);
    for open in ["/healthz", "/readyz", "/api/v1/openapi.json"] {
        organization.gateway.get(open).await.expect(200);
    }
}
