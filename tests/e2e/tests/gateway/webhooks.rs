//! Webhooks: what is delivered, in which order, what happens to what can't be, and who can't be made to knock where.
//! That the signatures verify is shown with the official library in tests/interop.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::{Value, json};

use crate::harness::{
    Delivery, Organization, Patience, Phone, Receiver, Reply, Sandbox, Session, eventually, now_ms, tests,
};

tests![
    a_webhook_shows_its_secret_once_and_can_be_changed,
    what_is_no_webhook_is_refused,
    every_event_is_delivered_once_in_order_as_it_is_in_the_log,
    a_webhook_gets_only_the_events_and_the_session_it_asks_for,
    a_failed_delivery_is_repeated_with_the_same_id_and_holds_up_only_its_session,
    retry_after_is_waited_for,
    what_fails_for_good_is_a_dead_letter_and_can_be_delivered_again,
    a_range_of_a_session_can_be_delivered_again,
    a_test_delivery_goes_the_same_way,
    gone_disables_the_webhook_and_says_so,
    what_fails_for_too_long_is_switched_off_and_says_so,
    a_redirect_is_not_followed,
    receivers_that_misbehave_are_failures_and_cost_nobody_else,
    a_webhook_of_a_deleted_session_is_gone,
    a_deleted_webhook_leaves_no_alarm_behind,
    nothing_is_sent_to_private_addresses,
];

const SOON: Patience = Patience::seconds(30);
/// An attempt may take 15 s.
const SLOW: Patience = Patience::seconds(60);

async fn webhook(organization: &Organization, body: &Value) -> Value {
    organization.post_json("/api/v1/webhooks", body).await.expect(201)
}

fn path(webhook: &Value, rest: &str) -> String {
    format!("/api/v1/webhooks/{}{rest}", webhook["id"].as_str().unwrap())
}

/// Quick retries, so that tests see many.
fn quick(attempts: u32) -> Value {
    json!({ "policy": "constant", "delaySeconds": 1, "attempts": attempts })
}

async fn deliveries(organization: &Organization, webhook: &Value, query: &str) -> Vec<Value> {
    let page = organization.get(&path(webhook, &format!("/deliveries?limit=200{query}"))).await.expect(200);
    page["data"].as_array().unwrap().clone()
}

fn message_id(delivery: &Delivery) -> Option<String> {
    delivery.json()["payload"]["waMessageId"].as_str().map(str::to_owned)
}

/// Waits until a text was taken.
async fn taken(receiver: &Receiver, id: &str) -> Delivery {
    receiver
        .wait(id, SOON, |delivery| {
            delivery.status.is_some_and(|status| status < 300) && message_id(delivery).as_deref() == Some(id)
        })
        .await
}

/// A session in an organization with a webhook for texts.
async fn texts_to(receiver: &Receiver, attempts: u32) -> (Organization, Value, Session, Phone, Phone) {
    let organization = Organization::new();
    let body = json!({ "url": receiver.url("/hook"), "events": ["message"], "retryPolicy": quick(attempts) });
    let webhook = webhook(&organization, &body).await;
    let (session, me) = Session::working_in(&organization).await;
    let friend = me.simulator.phone().await;
    (organization, webhook, session, me, friend)
}

async fn a_webhook_shows_its_secret_once_and_can_be_changed() {
    let organization = Organization::new();
    let receiver = Receiver::good().await;
    let made = webhook(&organization, &json!({ "url": receiver.url("/") })).await;
    assert!(made["secret"].as_str().unwrap().starts_with("whsec_"), "{made}");
    assert_eq!(
        (&made["events"], &made["active"], &made["sessionId"]),
        (&json!(["*"]), &json!(true), &Value::Null)
    );
    let policy = json!({ "policy": "exponential", "delaySeconds": 2, "attempts": 15 });
    assert_eq!(made["retryPolicy"], policy);
    let shown = organization.get(&path(&made, "")).await.expect(200);
    assert_eq!(shown["secret"], Value::Null);
    let mut without = made.clone();
    without.as_object_mut().unwrap().remove("secret");
    assert_eq!(shown, without);
    let list = organization.get("/api/v1/webhooks").await.expect(200);
    assert_eq!(list["data"], json!([shown]));

    let change = json!({ "events": ["message"], "active": false, "customHeaders": {"X-Tenant": "seven"} });
    let changed = organization.patch(&path(&made, ""), &change).await.expect(200);
    assert_eq!((&changed["events"], &changed["active"]), (&json!(["message"]), &json!(false)));
    assert_eq!((&changed["customHeaders"]["X-Tenant"], &changed["url"]), (&json!("seven"), &made["url"]));
    organization.delete(&path(&made, "")).await.expect(204);
    organization.delete(&path(&made, "")).await.expect_error(404, "not_found");
    organization.get(&path(&made, "")).await.expect_error(404, "not_found");
    assert_eq!(organization.get("/api/v1/webhooks").await.expect(200)["data"], json!([]));
}

async fn what_is_no_webhook_is_refused() {
    let organization = Organization::new();
    let good = json!({ "url": "https://example.com/hook" });
    let long = format!("https://example.com/{}", "x".repeat(3_000));
    let many: serde_json::Map<String, Value> =
        (0..21).map(|number| (format!("x-{number}"), json!("v"))).collect();
    let bad = [
        ("url", json!({})),
        ("url", json!({"url": ""})),
        ("url", json!({"url": "nonsense"})),
        ("url", json!({"url": "ftp://example.com"})),
        ("url", json!({"url": "https://user:secret@example.com"})),
        ("url", json!({"url": long})),
        ("url", json!({"url": 7})),
        ("events", json!({"events": ["nope"]})),
        ("events", json!({"events": []})),
        ("events", json!({"events": "*"})),
        ("active", json!({"active": "yes"})),
        ("secret", json!({"secret": ""})),
        ("secret", json!({"secret": "short"})),
        ("secret", json!({"secret": "whsec_!!!"})),
        ("secret", json!({"secret": "x".repeat(256)})),
        ("customHeaders", json!({"customHeaders": {"X-A": "one\r\nX-B: two"}})),
        ("customHeaders", json!({"customHeaders": {"X-A\n": "v"}})),
        ("customHeaders", json!({"customHeaders": {"": "v"}})),
        ("customHeaders", json!({"customHeaders": {"Host": "v"}})),
        ("customHeaders", json!({"customHeaders": {"content-length": "5"}})),
        ("customHeaders", json!({"customHeaders": {"Transfer-Encoding": "chunked"}})),
        ("customHeaders", json!({"customHeaders": {"webhook-signature": "v1,AAAA"}})),
        ("customHeaders", json!({"customHeaders": {"X-Webhook-Hmac": "00"}})),
        ("customHeaders", json!({"customHeaders": many})),
        ("retryPolicy", json!({"retryPolicy": {"policy": "never"}})),
        ("retryPolicy", json!({"retryPolicy": {"attempts": 0}})),
        ("retryPolicy", json!({"retryPolicy": {"delaySeconds": -1}})),
    ];
    for (field, change) in bad {
        let mut body = if field == "url" { json!({}) } else { good.clone() };
        body.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        let error =
            organization.post_json("/api/v1/webhooks", &body).await.expect_error(400, "validation_error");
        let named = error["details"]["field"].as_str().unwrap_or_default();
        assert!(named.starts_with(field), "{body}: {error}");
    }
    let foreign = Organization::new().session(&json!({})).await;
    for session in [foreign.id.as_str(), "01ARZ3NDEKTSV4RRFFQ69G5FAV"] {
        let body = json!({ "url": "https://example.com/hook", "sessionId": session });
        organization.post_json("/api/v1/webhooks", &body).await.expect_error(404, "not_found");
    }
    assert_eq!(organization.get("/api/v1/webhooks").await.expect(200)["data"], json!([]));
}

async fn every_event_is_delivered_once_in_order_as_it_is_in_the_log() {
    let organization = Organization::new();
    let receiver = Receiver::good().await;
    let headers = json!({ "X-Tenant": "seven" });
    webhook(&organization, &json!({ "url": receiver.url("/hook?a=1"), "customHeaders": headers })).await;
    let (session, me) = Session::working_in(&organization).await;
    let friend = me.simulator.phone().await;
    for number in 0..20 {
        friend.text(&me.number, &format!("number {number}")).await;
    }
    let reply = session.sent(&friend.number, "reply").await;
    friend.received(&reply).await;
    eventually("the whole log at the receiver", SOON, async || {
        let log = session.log().await;
        let got: Vec<Value> = receiver.all().iter().map(Delivery::json).collect();
        if got == log { Ok(()) } else { Err(format!("{} of {}", got.len(), log.len())) }
    })
    .await;
    for delivery in receiver.all() {
        let event = delivery.json();
        assert_eq!(delivery.path, "/hook?a=1");
        assert_eq!(delivery.header("webhook-id"), event["id"]);
        let seconds: u64 = delivery.header("webhook-timestamp").parse().unwrap();
        assert!(now_ms() / 1_000 - seconds < 60);
        let milliseconds: u64 = delivery.header("x-webhook-timestamp").parse().unwrap();
        assert_eq!(milliseconds / 1_000, seconds);
        assert!(delivery.header("webhook-signature").starts_with("v1,"));
        assert_eq!(delivery.header("x-webhook-hmac").len(), 128);
        assert_eq!(delivery.header("x-webhook-hmac-algorithm"), "sha512");
        assert_eq!(delivery.header("content-type"), "application/json");
        assert_eq!(delivery.header("x-tenant"), "seven");
    }
    let requests: HashSet<String> =
        receiver.all().iter().map(|delivery| delivery.header("x-webhook-request-id").to_owned()).collect();
    assert_eq!(requests.len(), receiver.all().len());
}

async fn a_webhook_gets_only_the_events_and_the_session_it_asks_for() {
    let organization = Organization::new();
    let (session, me) = Session::working_in(&organization).await;
    let (_other, other_phone) = Session::working_in(&organization).await;
    let friend = me.simulator.phone().await;
    let receiver = Receiver::good().await;
    let body = json!({ "url": receiver.url("/"), "events": ["message"], "sessionId": session.id });
    let made = webhook(&organization, &body).await;
    friend.text(&other_phone.number, "another session's").await;
    session.sent(&friend.number, "another event").await;
    let id = friend.text(&me.number, "this one").await;
    taken(&receiver, &id).await;
    // Nothing from before it was made, nothing it did not ask for.
    assert_eq!(receiver.all().len(), 1, "{:?}", receiver.all());
    organization.patch(&path(&made, ""), &json!({ "active": false })).await.expect(200);
    friend.text(&me.number, "while it is off").await;
    let body = json!({ "active": true, "sessionId": null });
    organization.patch(&path(&made, ""), &body).await.expect(200);
    let id = friend.text(&other_phone.number, "on again, and for all").await;
    taken(&receiver, &id).await;
    // Nobody kept what came meanwhile: that is said, and can't be sent.
    let dead = deliveries(&organization, &made, "&status=dead").await;
    let [gap] = &dead[..] else { panic!("{dead:?}") };
    assert_eq!(
        (&gap["event"], &gap["attempts"], &gap["session"]),
        (&json!("webhook.gap"), &json!(0), &json!(""))
    );
    assert!(gap["lastError"].as_str().unwrap().contains("not in the organization's log"), "{gap}");
    let replayed = organization.post_json(&path(&made, ":replay"), &json!({ "status": "dead" })).await;
    assert_eq!(replayed.expect(202), json!({ "queued": 0 }));
}

async fn a_failed_delivery_is_repeated_with_the_same_id_and_holds_up_only_its_session() {
    let receiver = Receiver::good().await;
    let (organization, _webhook, session, me, friend) = texts_to(&receiver, 30).await;
    let (_other, other_phone) = Session::working_in(&organization).await;
    let blocked = session.id.clone();
    receiver.becomes(move |delivery| {
        if delivery.json()["session"] == blocked { Reply::Status(500) } else { Reply::Status(200) }
    });
    let mut held_up = Vec::new();
    for number in 0..3 {
        held_up.push(friend.text(&me.number, &format!("held up {number}")).await);
    }
    for number in 0..3 {
        let id = friend.text(&other_phone.number, &format!("passes {number}")).await;
        taken(&receiver, &id).await;
    }
    let first = held_up[0].clone();
    eventually("the first to be tried again", SOON, async || {
        let tries = receiver.all().iter().filter(|one| message_id(one).as_ref() == Some(&first)).count();
        if tries >= 3 { Ok(()) } else { Err(tries.to_string()) }
    })
    .await;
    // The others wait behind it.
    assert!(receiver.all().iter().all(|one| message_id(one).is_none_or(|id| !held_up[1..].contains(&id))));
    receiver.becomes(|_| Reply::Status(200));
    taken(&receiver, held_up.last().unwrap()).await;
    let of_blocked: Vec<Delivery> =
        receiver.all().into_iter().filter(|one| one.json()["session"] == session.id).collect();
    let ids: HashSet<&str> = of_blocked
        .iter()
        .filter(|one| message_id(one).as_ref() == Some(&first))
        .map(|one| one.header("webhook-id"))
        .collect();
    assert_eq!(ids.len(), 1, "a retry under another id");
    let order: Vec<String> =
        of_blocked.iter().filter(|one| one.status == Some(200)).filter_map(message_id).collect();
    assert_eq!(order, held_up);
}

async fn retry_after_is_waited_for() {
    let receiver = Receiver::good().await;
    let (_organization, _webhook, _session, me, friend) = texts_to(&receiver, 30).await;
    let tries = Arc::new(AtomicU32::new(0));
    receiver.becomes(move |_| match tries.fetch_add(1, Ordering::Relaxed) {
        0 => Reply::With(429, "retry-after: 5", String::new()),
        _ => Reply::Status(200),
    });
    let id = friend.text(&me.number, "not so fast").await;
    let second = taken(&receiver, &id).await;
    let first = receiver.all()[0].at;
    assert!(second.at - first >= 5_000, "{} ms", second.at - first);
}

async fn what_fails_for_good_is_a_dead_letter_and_can_be_delivered_again() {
    let receiver = Receiver::that(|_| Reply::With(503, "x: y", "try later".to_owned())).await;
    let (organization, webhook, session, me, friend) = texts_to(&receiver, 2).await;
    let ids = [friend.text(&me.number, "first").await, friend.text(&me.number, "second").await];
    let dead = eventually("both to be dead", SOON, async || {
        let dead = deliveries(&organization, &webhook, "&status=dead").await;
        if dead.len() == 2 { Ok(dead) } else { Err(dead.len().to_string()) }
    })
    .await;
    for letter in &dead {
        assert_eq!((&letter["attempts"], &letter["lastStatus"]), (&json!(2), &json!(503)), "{letter}");
        assert_eq!((&letter["response"], &letter["session"]), (&json!("try later"), &json!(session.id)));
        assert!(letter["latencyMs"].as_u64().is_some() && letter["deliveredAt"] == Value::Null, "{letter}");
    }
    receiver.becomes(|_| Reply::Status(200));
    for (field, body) in [
        ("body", json!({})),
        ("status", json!({"status": "pending"})),
        ("deliveries", json!({"deliveries": []})),
        ("toSeq", json!({"session": session.id, "fromSeq": 5, "toSeq": 4})),
    ] {
        let answer = organization.post_json(&path(&webhook, ":replay"), &body).await;
        assert_eq!(answer.status, 400, "{field}: {}", answer.text());
    }
    let replayed = organization.post_json(&path(&webhook, ":replay"), &json!({ "status": "dead" })).await;
    assert_eq!(replayed.expect(202), json!({ "queued": 2 }));
    for id in &ids {
        let delivery = taken(&receiver, id).await;
        let before = receiver.all().into_iter().find(|one| message_id(one).as_ref() == Some(id)).unwrap();
        assert_eq!(delivery.header("webhook-id"), before.header("webhook-id"));
    }
    eventually("no dead letter", SOON, async || {
        let dead = deliveries(&organization, &webhook, "&status=dead").await;
        if dead.is_empty() { Ok(()) } else { Err(dead.len().to_string()) }
    })
    .await;
    let delivered = deliveries(&organization, &webhook, "&status=delivered").await;
    assert!(
        delivered.iter().all(|one| one["lastStatus"] == 200 && one["deliveredAt"].is_u64()),
        "{delivered:?}"
    );
}

async fn a_range_of_a_session_can_be_delivered_again() {
    let receiver = Receiver::good().await;
    let (organization, webhook, session, me, friend) = texts_to(&receiver, 5).await;
    let mut ids = Vec::new();
    for number in 0..4 {
        ids.push(friend.text(&me.number, &format!("number {number}")).await);
    }
    taken(&receiver, &ids[3]).await;
    let log = session.log().await;
    let seq_of = |id: &str| {
        let event = log.iter().find(|event| event["payload"]["waMessageId"] == id).unwrap();
        event["seq"].as_u64().unwrap()
    };
    let known = receiver.all().len();
    let body = json!({ "session": session.id, "fromSeq": seq_of(&ids[1]), "toSeq": seq_of(&ids[2]) });
    let replayed = organization.post_json(&path(&webhook, ":replay"), &body).await.expect(202);
    assert_eq!(replayed, json!({ "queued": 2 }));
    eventually("the two again", SOON, async || {
        let all = receiver.all();
        if all.len() == known + 2 { Ok(()) } else { Err(all.len().to_string()) }
    })
    .await;
    let again: Vec<String> = receiver.all()[known..].iter().filter_map(message_id).collect();
    assert_eq!(again, ids[1..3]);
    let foreign = Organization::new().session(&json!({})).await;
    let body = json!({ "session": foreign.id, "fromSeq": 1, "toSeq": 2 });
    organization.post_json(&path(&webhook, ":replay"), &body).await.expect_error(404, "not_found");
}

async fn a_test_delivery_goes_the_same_way() {
    let organization = Organization::new();
    let receiver = Receiver::good().await;
    let made = webhook(&organization, &json!({ "url": receiver.url("/t"), "events": ["message"] })).await;
    let told = organization.post(&path(&made, ":test")).await.expect(202);
    assert_eq!((&told["event"], &told["webhookId"]), (&json!("webhook.test"), &made["id"]));
    let delivery = receiver.wait("the test", SOON, |one| one.json()["event"] == "webhook.test").await;
    assert_eq!(delivery.header("webhook-id"), told["eventId"]);
    eventually("it to be delivered", SOON, async || {
        let all = deliveries(&organization, &made, "").await;
        if all[0]["status"] == "delivered" { Ok(()) } else { Err(all[0].to_string()) }
    })
    .await;
}

async fn gone_disables_the_webhook_and_says_so() {
    let receiver = Receiver::that(|_| Reply::Status(410)).await;
    let (organization, webhook, _session, me, friend) = texts_to(&receiver, 5).await;
    let another = Receiver::good().await;
    let body = json!({ "url": another.url("/"), "events": ["*"] });
    organization.post_json("/api/v1/webhooks", &body).await.expect(201);
    let id = friend.text(&me.number, "to nobody").await;
    let row = eventually("it to be disabled", SOON, async || {
        let row = organization.get(&path(&webhook, "")).await.expect(200);
        if row["active"] == false { Ok(row) } else { Err(row.to_string()) }
    })
    .await;
    assert_eq!(row["disabledReason"], "gone", "{row}");
    assert!(row["disabledAt"].is_u64(), "{row}");
    let event = another.wait("webhook.disabled", SOON, |one| one.json()["event"] == "webhook.disabled").await;
    assert_eq!(event.json()["payload"]["webhookId"], webhook["id"]);
    // Nothing is lost: once it is on again, it goes on.
    receiver.becomes(|_| Reply::Status(200));
    organization.patch(&path(&webhook, ""), &json!({ "active": true })).await.expect(200);
    taken(&receiver, &id).await;
}

async fn what_fails_for_too_long_is_switched_off_and_says_so() {
    // 1.7 s.
    let sandbox = Sandbox::start_with(&["--var", "WEBHOOK_FAILING_DAYS=0.00002"]).await;
    let organization = Organization::on(&sandbox);
    let receiver = Receiver::that(|_| Reply::Status(500)).await;
    let another = Receiver::good().await;
    let (session, me) = Session::working_in(&organization).await;
    let body = json!({ "url": receiver.url("/"), "events": ["message"], "sessionId": session.id,
                       "retryPolicy": quick(30) });
    let failing = webhook(&organization, &body).await;
    let events = json!(["webhook.disabled"]);
    webhook(&organization, &json!({ "url": another.url("/"), "events": events })).await;
    let id = me.simulator.phone().await.text(&me.number, "in vain").await;
    let event = another.wait("webhook.disabled", SOON, |_| true).await.json();
    let payload = json!({ "webhookId": failing["id"], "reason": "failing" });
    assert_eq!(
        (&event["event"], &event["payload"], &event["session"], &event["seq"]),
        (&json!("webhook.disabled"), &payload, &json!(""), &json!(0)),
        "{event}"
    );
    let row = organization.get(&path(&failing, "")).await.expect(200);
    assert_eq!((&row["active"], &row["disabledReason"]), (&json!(false), &json!("failing")), "{row}");
    let attempts = receiver.all();
    let disabled_at = row["disabledAt"].as_u64().unwrap();
    assert!(attempts.len() >= 2 && attempts.iter().all(|one| one.at <= disabled_at), "{attempts:?}");
    assert!(disabled_at - attempts[0].at >= 1_500, "so soon: {attempts:?}");
    // What waits stays, and goes when it is on again.
    let waiting = deliveries(&organization, &failing, "&status=pending").await;
    assert_eq!(waiting.len(), 1, "{waiting:?}");
    receiver.becomes(|_| Reply::Status(200));
    let row = organization.patch(&path(&failing, ""), &json!({ "active": true })).await.expect(200);
    assert_eq!((&row["active"], &row["disabledReason"]), (&json!(true), &Value::Null), "{row}");
    taken(&receiver, &id).await;
    assert_eq!(another.all().len(), 1, "told once");
}

async fn a_redirect_is_not_followed() {
    let inside = Receiver::good().await;
    let target = format!("location: {}", inside.url("/secret"));
    let receiver = Receiver::good().await;
    let (organization, webhook, _session, me, friend) = texts_to(&receiver, 2).await;
    let target: &'static str = Box::leak(target.into_boxed_str());
    receiver.becomes(move |_| Reply::With(307, target, String::new()));
    friend.text(&me.number, "where to?").await;
    eventually("it to be dead", SOON, async || {
        let dead = deliveries(&organization, &webhook, "&status=dead").await;
        if dead.len() == 1 && dead[0]["lastStatus"] == 307 { Ok(()) } else { Err(format!("{dead:?}")) }
    })
    .await;
    assert!(inside.all().is_empty());
}

async fn receivers_that_misbehave_are_failures_and_cost_nobody_else() {
    let bad = [Reply::Hang, Reply::Drip, Reply::Endless, Reply::CloseEarly, Reply::Nonsense];
    let cases = bad.into_iter().map(async |reply| {
        let receiver = Receiver::good().await;
        let (organization, webhook, session, me, friend) = texts_to(&receiver, 20).await;
        let good = Receiver::good().await;
        let body = json!({ "url": good.url("/"), "events": ["message"] });
        organization.post_json("/api/v1/webhooks", &body).await.expect(201);
        let how = reply.clone();
        receiver.becomes(move |_| how.clone());
        let id = friend.text(&me.number, "through all of this").await;
        // The other webhook has it at once.
        taken(&good, &id).await;
        let pending = eventually("an attempt to fail", SLOW, async || {
            let all = deliveries(&organization, &webhook, "").await;
            match all.first() {
                Some(one) if one["lastError"].is_string() || one["status"] == "delivered" => Ok(one.clone()),
                other => Err(format!("{other:?}")),
            }
        })
        .await;
        // 200 is 200, however much follows, and however slowly: it is not read.
        if matches!(reply, Reply::Endless | Reply::Drip) {
            assert_eq!(pending["status"], "delivered", "{reply:?}: {pending}");
        } else {
            assert_eq!(pending["status"], "pending", "{reply:?}: {pending}");
            receiver.becomes(|_| Reply::Status(200));
            taken(&receiver, &id).await;
        }
        assert_eq!(session.row().await["status"], "working", "{reply:?}");
    });
    futures::future::join_all(cases).await;
}

async fn a_webhook_of_a_deleted_session_is_gone() {
    let organization = Organization::new();
    let session = organization.session(&json!({})).await;
    let receiver = Receiver::good().await;
    let scoped = webhook(&organization, &json!({ "url": receiver.url("/"), "sessionId": session.id })).await;
    let whole = webhook(&organization, &json!({ "url": receiver.url("/") })).await;
    session.delete().await.expect(204);
    organization.get(&path(&scoped, "")).await.expect_error(404, "not_found");
    organization.get(&path(&whole, "")).await.expect(200);
}

/// When a webhook's object is to be woken, as workerd has stored it.
fn alarms(organization: &Organization, webhook: &Value) -> Vec<i64> {
    let directory = organization.gateway.directory();
    let state = std::path::Path::new(directory.path().unwrap()).ancestors().nth(3).unwrap();
    let file = state.join("do/whatsapp-gateway-Webhook/metadata.sqlite");
    let database = rusqlite::Connection::open(file).unwrap();
    database.busy_timeout(std::time::Duration::from_secs(5)).unwrap();
    let statement = "SELECT scheduled_time FROM _cf_ALARM WHERE actor_name = ?1";
    let mut found = database.prepare(statement).unwrap();
    let rows = found.query_map([webhook["id"].as_str().unwrap()], |row| row.get(0)).unwrap();
    rows.map(Result::unwrap).collect()
}

async fn a_deleted_webhook_leaves_no_alarm_behind() {
    let organization = Organization::new();
    let receiver = Receiver::good().await;
    for _ in 0..5 {
        let made = webhook(&organization, &json!({ "url": receiver.url("/") })).await;
        organization.post(&path(&made, ":test")).await.expect(202);
        eventually("an alarm", SOON, async || {
            if alarms(&organization, &made).is_empty() { Err(String::new()) } else { Ok(()) }
        })
        .await;
        organization.delete(&path(&made, "")).await.expect(204);
        eventually("no alarm", Patience::seconds(10), async || {
            let left = alarms(&organization, &made);
            if left.is_empty() { Ok(()) } else { Err(format!("{left:?}, now {}", now_ms())) }
        })
        .await;
    }
}

async fn nothing_is_sent_to_private_addresses() {
    // A resolver that says what it is asked to say.
    let resolver = Receiver::that(|delivery| {
        let private = delivery.path.replace("%2E", ".").contains("private.example");
        let address = if private { "127.0.0.1" } else { "8.8.8.8" };
        let answer = json!({ "Status": 0, "Answer": [{ "type": 1, "data": address, "TTL": 60 }] });
        Reply::With(200, "content-type: application/dns-json", answer.to_string())
    })
    .await;
    let dns = format!("DNS_OVER_HTTPS_URL={}", resolver.url("/dns-query"));
    let sandbox = Sandbox::start_with(&["--var", "ALLOW_PRIVATE_WEBHOOKS=false", "--var", &dns]).await;
    let organization = Organization::on(&sandbox);
    for url in [
        "http://example.com/",
        "https://127.0.0.1/",
        "https://127.1/",
        "https://2130706433/",
        "https://0x7f.0.0.1/",
        "https://0177.0.0.1/",
        "https://10.0.0.1/",
        "https://172.31.255.255/",
        "https://192.168.0.1:8443/",
        "https://100.64.0.1/",
        "https://169.254.169.254/latest/meta-data/",
        "https://0.0.0.0/",
        "https://[::1]/",
        "https://[::]/",
        "https://[::ffff:10.0.0.1]/",
        "https://[::ffff:7f00:1]/",
        "https://[64:ff9b::7f00:1]/",
        "https://[fe80::1]/",
        "https://[fd00::1]/",
        "https://localhost/",
        "https://LOCALHOST./",
        "https://a.localhost/",
        "https://metadata.google.internal/",
        "https://printer.local/",
        "https://intranet/",
        "https://user@example.com/",
    ] {
        let body = json!({ "url": url });
        organization.post_json("/api/v1/webhooks", &body).await.expect_invalid("url");
    }
    let body = json!({ "url": "https://private.example.com/", "events": ["*"], "retryPolicy": quick(2) });
    let made = webhook(&organization, &body).await;
    organization.post(&path(&made, ":test")).await.expect(202);
    let letter = eventually("the delivery to be refused", SOON, async || {
        let all = deliveries(&organization, &made, "").await;
        match all.first() {
            Some(one) if one["lastError"].is_string() => Ok(one.clone()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
    assert!(letter["lastError"].as_str().unwrap().contains("not on the internet"), "{letter}");
    assert!(!resolver.all().is_empty(), "the name was not looked up");
}
