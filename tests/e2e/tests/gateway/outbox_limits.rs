//! The outbox where things go wrong slowly: answers that get lost or come late, sessions that end, limits with a queue behind
//! them, and whom a message is for.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::harness::{Patience, Session, eventually, send, tests, with_json};

tests![
    a_receipt_is_the_acknowledgement_that_was_lost,
    a_late_ack_tells_no_less_than_a_receipt_did,
    who_comes_back_at_the_time_they_were_told_is_let_through_before_the_queue,
    what_never_left_is_refused_at_once_when_the_session_has_ended,
    a_message_may_take_long_to_the_socket,
    a_refusal_is_one_also_after_a_connection_that_was_lost,
    a_number_that_is_not_on_whatsapp_is_refused_before_anything_leaves,
];

impl Session {
    async fn asynchronously(&self, to: &str, text: &str) -> Value {
        let body = json!({ "type": "text", "to": to, "text": text });
        self.organization.post_json(&self.path("/messages?async=true"), &body).await.expect(202)
    }

    async fn entry(&self, entry: &Value, patience: u64, wanted: impl Fn(&Value) -> bool) -> Value {
        let path = format!("/outbox/{}", entry["outboxId"].as_str().unwrap());
        eventually(&path, Patience::seconds(patience), async || {
            let shown = self.get(&path).await.expect(200);
            if wanted(&shown) { Ok(shown) } else { Err(shown.to_string()) }
        })
        .await
    }

    /// What was told of a message, and of whom, in its order.
    async fn statuses(&self, id: &str) -> Vec<(String, Value)> {
        let events = self.events("message.status").await.into_iter();
        let of = events.filter(|event| event["payload"]["messageIds"] == json!([id]));
        of.map(|event| {
            let payload = &event["payload"];
            (payload["status"].as_str().unwrap().to_owned(), payload["senderJid"].clone())
        })
        .collect()
    }

    async fn status(&self, id: &str, status: &str) {
        self.event(0, "message.status", |event| {
            event["payload"]["messageIds"] == json!([id]) && event["payload"]["status"] == status
        })
        .await;
    }
}

async fn a_receipt_is_the_acknowledgement_that_was_lost() {
    let (session, me) = Session::working().await;
    let friend = me.simulator.phone().await;
    me.fault(json!({ "kind": "ack_drop", "count": 2 })).await;
    let asked = Instant::now();
    let id = session.sent(&friend.number, "somebody waits").await;
    assert!(asked.elapsed() < Duration::from_secs(15), "{:?}", asked.elapsed());
    session.event_of("message.from_me", &id).await;
    let queued = session.asynchronously(&friend.number, "nobody waits").await;
    let sent = session.entry(&queued, 15, |entry| entry["status"] == "sent").await;
    let id = sent["waMessageId"].as_str().unwrap();
    let told = session.statuses(id).await;
    assert_eq!(told.iter().map(|(status, _)| status.as_str()).collect::<Vec<_>>(), ["delivered"]);
    assert_eq!(friend.messages().await.len(), 2);
    let stanzas = me.simulator.get(&format!("/sent/{id}")).await["stanzas"].clone();
    assert_eq!(stanzas[0]["dropped"], 0, "it went twice: {stanzas}");
}

async fn a_late_ack_tells_no_less_than_a_receipt_did() {
    let (session, me) = Session::working().await;
    let friend = me.simulator.phone().await;
    session.sent(&friend.number, "so that a Signal session is there").await;
    me.fault(json!({ "kind": "ack_delay", "ms": 3_000, "count": 1 })).await;
    let queued = session.asynchronously(&friend.number, "read at once").await;
    let id = queued["waMessageId"].as_str().unwrap();
    session.status(id, "delivered").await;
    friend.read(&me.jid, &[id]).await;
    session.status(id, "read").await;
    // Its ack is there by then.
    tokio::time::sleep(Duration::from_secs(4)).await;
    session.sent(&friend.number, "behind it").await;
    let told = session.statuses(id).await;
    assert_eq!(told.iter().map(|(status, _)| status.as_str()).collect::<Vec<_>>(), ["delivered", "read"]);
}

async fn who_comes_back_at_the_time_they_were_told_is_let_through_before_the_queue() {
    let (session, me) = Session::working().await;
    let friend = me.simulator.phone().await;
    session.organization.patch(&session.path(""), &json!({ "ratePerMin": 1 })).await.expect(200);
    session.sent(&friend.number, "the one").await;
    let queued = session.asynchronously(&friend.number, "waits").await;
    let refused = session.text(&friend.number, "waits not").await.expect_error(429, "rate_limited");
    let wait = refused["details"]["retryAfterSeconds"].as_u64().unwrap();
    assert!((50..=61).contains(&wait), "{refused}");
    tokio::time::sleep(Duration::from_secs(wait)).await;
    session.text(&friend.number, "at the time").await.expect(200);
    // The next is the queue's, and they are told so.
    let refused = session.text(&friend.number, "and once more").await.expect_error(429, "rate_limited");
    let next = refused["details"]["retryAfterSeconds"].as_u64().unwrap();
    assert!((110..=121).contains(&next), "{refused}");
    session.entry(&queued, 75, |entry| entry["status"] == "sent").await;
}

async fn what_never_left_is_refused_at_once_when_the_session_has_ended() {
    let (session, me) = Session::working().await;
    let friend = me.simulator.phone().await;
    let hold = async |point: Option<&str>| {
        let path = format!("/simulator/sessions/{}/hold", session.id);
        session.organization.post_json(&path, &json!({ "point": point })).await.expect(200)
    };
    hold(Some("stored")).await;
    let body = json!({ "type": "text", "to": friend.number, "text": "never" });
    let asks = async || {
        let request = session.organization.request(Method::POST, &session.path("/messages"));
        send(with_json(request.header("idempotency-key", "never"), &body)).await
    };
    let ends = async {
        eventually("a send to stand", Patience::seconds(20), async || {
            let standing = hold(Some("stored")).await;
            if standing["held"] == 1 { Ok(()) } else { Err(standing.to_string()) }
        })
        .await;
        session.post(":stop").await.expect(200);
        // Its caller is cut off, and the Worker asks for them again.
        let path = format!("/simulator/sessions/{}/evict", session.id);
        session.organization.post(&path).await.expect(204);
        Instant::now()
    };
    let (answer, ended) = futures::join!(asks(), ends);
    let error = answer.expect_error(409, "conflict");
    assert_eq!(error["details"]["status"], "stopped", "{error}");
    assert!(ended.elapsed() < Duration::from_secs(10), "{:?}", ended.elapsed());
    // No key is stuck on it.
    session.post(":start").await.expect(200);
    session.wait_for_status("working", Patience::seconds(60)).await;
    let sent = asks().await.expect(200);
    friend.received(sent["waMessageId"].as_str().unwrap()).await;
    assert_eq!(friend.messages().await.len(), 1);
}

async fn a_message_may_take_long_to_the_socket() {
    let (session, me) = Session::working().await;
    let friend = me.simulator.phone().await;
    // Every time, as it is with the keys of hundreds of members.
    let slow = me.fault(json!({ "kind": "answer_delay", "ms": 23_000, "xmlns": "encrypt" })).await;
    let queued = session.asynchronously(&friend.number, "at last").await;
    session.entry(&queued, 85, |entry| entry["status"] == "sent").await;
    me.simulator.clear(&slow).await;
    assert_eq!(friend.messages().await.len(), 1);
}

async fn a_refusal_is_one_also_after_a_connection_that_was_lost() {
    let (session, me) = Session::working().await;
    me.fault(json!({ "kind": "answer_delay", "ms": 4_000, "xmlns": "w:g2", "count": 1 })).await;
    let queued = session.asynchronously("120363000000000001@g.us", "is anybody there?").await;
    session.entry(&queued, 10, |entry| entry["status"] == "sending").await;
    me.fault(json!({ "kind": "close" })).await;
    let failed = session.entry(&queued, 40, |entry| entry["status"] == "failed").await;
    assert_eq!(failed["error"]["code"], "conflict", "{failed}");
    session.status(queued["waMessageId"].as_str().unwrap(), "failed").await;
}

async fn a_number_that_is_not_on_whatsapp_is_refused_before_anything_leaves() {
    let (session, me) = Session::working().await;
    let error = session.text("4915100000000", "anybody?").await.expect_error(409, "conflict");
    assert_eq!(error["details"]["field"], "to", "{error}");
    assert!(error["message"].as_str().unwrap().contains("not on WhatsApp"), "{error}");
    let id = error["details"]["waMessageId"].as_str().unwrap();
    assert_eq!(me.simulator.get(&format!("/sent/{id}")).await["stanzas"], json!([]));
    let queued = session.asynchronously("4915100000000", "anybody?").await;
    let failed = session.entry(&queued, 20, |entry| entry["status"] == "failed").await;
    assert_eq!(failed["error"]["code"], "conflict", "{failed}");
}
