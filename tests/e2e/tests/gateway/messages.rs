//! Texts out and in, receipts, and what a caller is told when one can't be sent.

use std::collections::BTreeSet;
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::harness::{Organization, Patience, Session, eventually, now_ms, tests};

tests![
    a_message_is_shown_with_what_became_of_it,
    a_text_reaches_the_phone_under_every_spelling_of_its_number,
    a_text_arrives_byte_for_byte,
    a_text_to_oneself_arrives,
    a_number_nobody_has_is_answered_clearly,
    the_answer_waits_for_the_servers_ack,
    an_ack_that_never_comes_is_said_and_the_session_stays_usable,
    a_refused_message_says_whatsapps_code,
    a_doubled_ack_makes_no_second_event,
    swapped_acks_find_their_messages,
    a_session_that_cannot_send_says_why,
    an_inbound_text_is_one_event_with_all_that_is_known,
    inbound_texts_keep_their_order,
    a_text_typed_on_the_own_phone_is_from_me,
    receipts_raise_the_status_and_never_lower_it,
    auto_read_sends_the_read_receipt_and_only_then,
    two_sessions_talk,
    reading_a_chat_sends_the_read_receipts,
];

const SOON: Patience = Patience::seconds(30);

async fn a_text_reaches_the_phone_under_every_spelling_of_its_number() {
    let (session, me) = Session::working().await;
    let other = me.simulator.phone().await;
    let number = &other.number;
    let spellings = [
        number.clone(),
        format!("+{number}"),
        format!("{number}@s.whatsapp.net"),
        format!("{number}@c.us"),
        other.lid.clone(),
    ];
    for to in spellings {
        let text = format!("to {to}");
        let before = now_ms();
        let sent = session.text(&to, &text).await.expect(200);
        let id = sent["waMessageId"].as_str().unwrap();
        assert_eq!((&sent["mode"], &sent["status"]), (&json!("sync"), &json!("sent")), "{to}");
        let timestamp = sent["timestamp"].as_u64().unwrap();
        assert!(timestamp + 2_000 >= before && timestamp <= now_ms() + 2_000, "{to}: {sent}");
        let message = other.received(id).await;
        assert_eq!((&message["text"], &message["from"]), (&json!(text), &json!(me.jid)), "{to}");
        assert_eq!(message["fromMe"], false);
        let event = session.event_of("message.from_me", id).await;
        assert_eq!(event["payload"]["body"], text.as_str());
        assert_eq!(event["payload"]["fromMe"], true);
    }
}

async fn a_text_arrives_byte_for_byte() {
    let (session, me) = Session::working().await;
    let other = me.simulator.phone().await;
    let long = "ö".repeat(65_536);
    let texts = [
        "plain",
        "👩‍👩‍👧‍👦 🏳️‍🌈 👍🏽 🇩🇪 1️⃣",
        "שלום עולם, \u{202e}مرحبا\u{202c} 123",
        "e\u{301} ≠ é, zero\u{200b}width, nbsp\u{a0}",
        " leading, trailing and\r\nlines\ttabs \n",
        "\"quotes\" \\back\\slashes </script> %00 \u{1} \u{7f} \u{fffd} \u{10ffff}",
        &long,
    ];
    for text in texts {
        let id = session.sent(&other.number, text).await;
        let message = other.received(&id).await;
        assert!(message["text"] == text, "changed on its way out: {:.100}", message["text"].to_string());
        let id = other.text(&me.number, text).await;
        let event = session.event_of("message", &id).await;
        let body = &event["payload"]["body"];
        assert!(body == text, "changed on its way in: {:.100}", body.to_string());
    }
    session.text(&other.number, &"ö".repeat(65_537)).await.expect_invalid("text");
}

async fn a_text_to_oneself_arrives() {
    let (session, me) = Session::working().await;
    let id = session.sent(&me.number, "note to self").await;
    let message = me.received(&id).await;
    assert_eq!((&message["text"], &message["fromMe"]), (&json!("note to self"), &json!(true)));
}

async fn a_number_nobody_has_is_answered_clearly() {
    let (session, _me) = Session::working().await;
    let answer = session.text("49100000001", "hello?").await;
    assert!((400..500).contains(&answer.status), "{}: {} {}", answer.call, answer.status, answer.text());
    answer.expect_error(answer.status, answer.json()["error"]["code"].as_str().unwrap());
}

async fn the_answer_waits_for_the_servers_ack() {
    let (session, me) = Session::working().await;
    let other = me.simulator.phone().await;
    session.sent(&other.number, "so that a Signal session is there").await;
    let delay = Duration::from_secs(3);
    me.fault(json!({"kind": "ack_delay", "ms": 3000, "count": 1})).await;
    me.fault(json!({"kind": "receipt_drop"})).await;
    let began = Instant::now();
    let id = session.sent(&other.number, "late").await;
    let took = began.elapsed();
    assert!(took >= delay, "answered after {took:?}, the ack came after {delay:?}");
    other.received(&id).await;
    // A receipt would have been an answer, too (`outbox_limits`). That it was sent is told once.
    session.event_of("message.from_me", &id).await;
    assert_eq!(session.events("message.from_me").await.len(), 2);
}

async fn an_ack_that_never_comes_is_said_and_the_session_stays_usable() {
    let (session, me) = Session::working().await;
    let other = me.simulator.phone().await;
    me.fault(json!({"kind": "message_lost", "count": 1})).await;
    let error = session.text(&other.number, "into the void").await.expect_error(503, "gateway_unavailable");
    let id = error["details"]["waMessageId"].as_str().unwrap();
    assert!(id.starts_with("3EB0"), "{error}");
    let second = session.sent(&other.number, "and on").await;
    other.received(&second).await;
    assert_eq!(session.row().await["status"], "working");
}

async fn a_refused_message_says_whatsapps_code() {
    let (session, me) = Session::working().await;
    let other = me.simulator.phone().await;
    for code in [463, 479, 400] {
        me.fault(json!({"kind": "ack_error", "code": code, "count": 1})).await;
        let error = session.text(&other.number, "no").await.expect_error(409, "conflict");
        assert_eq!(error["details"]["whatsappCode"], code.to_string(), "{error}");
        let id = error["details"]["waMessageId"].as_str().unwrap();
        let failed =
            session.event(0, "message.status", |event| event["payload"]["messageIds"][0] == id).await;
        assert_eq!(failed["payload"]["status"], "failed");
    }
    let id = session.sent(&other.number, "yes").await;
    other.received(&id).await;
    assert_eq!(session.events("message.from_me").await.len(), 1, "a refused message was told as sent");
}

async fn a_doubled_ack_makes_no_second_event() {
    let (session, me) = Session::working().await;
    let other = me.simulator.phone().await;
    me.fault(json!({"kind": "ack_duplicate", "count": 1})).await;
    let id = session.sent(&other.number, "once").await;
    other.received(&id).await;
    // What comes after both acks has been told: so have they.
    let barrier = session.sent(&other.number, "barrier").await;
    session.event_of("message.from_me", &barrier).await;
    let told = session.events("message.from_me").await;
    let ids: Vec<&Value> = told.iter().map(|event| &event["payload"]["waMessageId"]).collect();
    assert_eq!(ids, [&json!(id), &json!(barrier)]);
}

async fn swapped_acks_find_their_messages() {
    let (session, me) = Session::working().await;
    let others = [me.simulator.phone().await, me.simulator.phone().await];
    me.fault(json!({"kind": "ack_reorder", "count": 2})).await;
    let ids = futures::join!(
        session.sent(&others[0].number, "to the first"),
        session.sent(&others[1].number, "to the second"),
    );
    assert_eq!(others[0].received(&ids.0).await["text"], "to the first");
    assert_eq!(others[1].received(&ids.1).await["text"], "to the second");
    let told = session.events("message.from_me").await;
    assert_eq!(told.len(), 2, "{told:?}");
}

async fn a_session_that_cannot_send_says_why() {
    let organization = Organization::new();
    let refused = async |session: &Session, status: u16, code: &str, state: &str| {
        let error = session.text("4915112345678", "hi").await.expect_error(status, code);
        assert_eq!(error["details"]["status"], state, "{error}");
        error["message"].as_str().unwrap().to_owned()
    };
    let mut messages = BTreeSet::new();
    let session = organization.session(&json!({})).await;
    messages.insert(refused(&session, 409, "conflict", "stopped").await);
    session.code().await;
    messages.insert(refused(&session, 409, "conflict", "scan_qr_code").await);
    session.post(":stop").await.expect(200);
    let stopped = refused(&session, 409, "conflict", "stopped").await;
    assert!(messages.contains(&stopped), "stopped and never started say different things");

    let (session, phone) = Session::working_in(&organization).await;
    let fault = phone.fault(json!({"kind": "stall", "stage": "login"})).await;
    session.post(":restart").await.expect(200);
    messages.insert(refused(&session, 503, "gateway_unavailable", "starting").await);
    session.post(":stop").await.expect(200);
    phone.simulator.clear(&fault).await;
    phone.fault(json!({"kind": "failure", "reason": 403})).await;
    session.post(":start").await.expect(200);
    session.wait_for_status("failed", SOON).await;
    messages.insert(refused(&session, 409, "conflict", "failed").await);
    session.post(":start").await.expect(200);
    session.wait_for_status("working", SOON).await;
    session.post(":logout").await.expect(200);
    messages.insert(refused(&session, 409, "conflict", "logged_out").await);
    assert_eq!(messages.len(), 5, "{messages:?}");
}

async fn an_inbound_text_is_one_event_with_all_that_is_known() {
    let (session, me) = Session::working().await;
    let other = me.simulator.phone().await;
    let row = session.row().await;
    for to in [&me.number, &me.jid, &me.lid] {
        let before = now_ms();
        let id = other.text(to, "hello 👋").await;
        let event = session.event_of("message", &id).await;
        let payload = &event["payload"];
        let timestamp = payload["timestamp"].as_u64().unwrap();
        assert!(timestamp + 2_000 >= before && timestamp <= now_ms() + 2_000, "{event}");
        assert_eq!(
            *payload,
            json!({
                "waMessageId": id, "chatJid": other.jid, "senderJid": other.jid, "senderLid": other.lid,
                "fromMe": false, "pushName": other.push_name, "type": "text", "body": "hello 👋",
                "hasMedia": false, "media": {}, "timestamp": timestamp,
            }),
            "addressed to {to}"
        );
        assert_eq!(event["schema"], "v1");
        assert_eq!(event["session"], session.id.as_str());
        assert_eq!(event["organization"], session.organization.name.as_str());
        assert_eq!(event["epoch"], row["epoch"]);
        assert!(event["id"].as_str().unwrap().strip_prefix("evt_").is_some_and(|id| id.len() == 26));
    }
    assert_eq!(session.events("message").await.len(), 3);
    eventually("the queue to drain", SOON, async || {
        let device = me.device().await;
        if device["queueLength"] == 0 { Ok(()) } else { Err(device.to_string()) }
    })
    .await;
}

async fn inbound_texts_keep_their_order() {
    let (session, me) = Session::working().await;
    let other = me.simulator.phone().await;
    let mut sent = Vec::new();
    for number in 0..30 {
        sent.push(other.text(&me.number, &format!("number {number}")).await);
    }
    session.event_of("message", sent.last().unwrap()).await;
    let told: Vec<String> = session
        .events("message")
        .await
        .iter()
        .map(|event| event["payload"]["waMessageId"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(told, sent);
}

async fn a_text_typed_on_the_own_phone_is_from_me() {
    let (session, me) = Session::working().await;
    let other = me.simulator.phone().await;
    let id = me.text(&other.number, "typed by hand").await;
    let event = session.event_of("message.from_me", &id).await;
    let payload = &event["payload"];
    assert_eq!(
        (&payload["chatJid"], &payload["senderJid"], &payload["fromMe"], &payload["body"]),
        (&json!(other.jid), &json!(me.jid), &json!(true), &json!("typed by hand"))
    );
    assert_eq!(session.events("message").await, Vec::<Value>::new());
}

async fn receipts_raise_the_status_and_never_lower_it() {
    let (session, me) = Session::working().await;
    let other = me.simulator.phone().await;
    let id = session.sent(&other.number, "did you get it?").await;
    let of = async |status: &str| {
        session
            .event(0, "message.status", |event| {
                event["payload"]["messageIds"] == json!([id]) && event["payload"]["status"] == status
            })
            .await
    };
    let delivered = of("delivered").await;
    other.read(&me.jid, &[&id]).await;
    let read = of("read").await;
    assert!(delivered["seq"].as_u64() < read["seq"].as_u64());
    for event in [&delivered, &read] {
        let payload = &event["payload"];
        assert_eq!((&payload["chatJid"], &payload["senderJid"]), (&json!(other.jid), &json!(other.jid)));
        assert!(payload["timestamp"].as_u64().is_some_and(|at| at > 0 && at <= now_ms() + 2_000), "{event}");
    }
    // Read again, and a message after it: what was to be told has been told then.
    other.read(&me.jid, &[&id]).await;
    let barrier = other.text(&me.number, "barrier").await;
    session.event_of("message", &barrier).await;
    let statuses: Vec<Value> = session
        .events("message.status")
        .await
        .into_iter()
        .filter(|event| event["payload"]["messageIds"] == json!([id]))
        .map(|event| event["payload"]["status"].clone())
        .collect();
    assert_eq!(statuses, ["delivered", "read"]);
}

async fn auto_read_sends_the_read_receipt_and_only_then() {
    let (session, me) = Session::working().await;
    let other = me.simulator.phone().await;
    let read = async |id: &str| {
        let receipts = other.receipts().await;
        receipts.iter().any(|receipt| {
            receipt["type"] == "read" && receipt["messageIds"].as_array().unwrap().contains(&json!(id))
        })
    };
    let unread = other.text(&me.number, "not read").await;
    session.event_of("message", &unread).await;
    let path = session.path("");
    session.organization.patch(&path, &json!({"autoRead": true})).await.expect(200);
    let id = other.text(&me.number, "read by itself").await;
    session.event_of("message", &id).await;
    eventually("the read receipt", SOON, async || {
        if read(&id).await { Ok(()) } else { Err(format!("{:?}", other.receipts().await)) }
    })
    .await;
    assert!(!read(&unread).await, "read although nobody asked for it");
}

async fn two_sessions_talk() {
    let ((left, left_phone), (right, right_phone)) = futures::join!(Session::working(), Session::working());
    for round in 0..3 {
        let there = left.sent(&right_phone.number, &format!("ping {round}")).await;
        let event = right.event_of("message", &there).await;
        assert_eq!(event["payload"]["body"], format!("ping {round}"));
        assert_eq!(event["payload"]["senderJid"], left_phone.jid.as_str());
        let back = right.sent(&left_phone.number, &format!("pong {round}")).await;
        let event = left.event_of("message", &back).await;
        assert_eq!(event["payload"]["body"], format!("pong {round}"));
    }
    let status = left.event(0, "message.status", |event| event["payload"]["status"] == "delivered").await;
    assert_eq!(status["payload"]["chatJid"], right_phone.jid.as_str());
    // Neither organization sees the other's log.
    assert!(left.log().await.iter().all(|event| event["organization"] == left.organization.name.as_str()));
    assert!(right.log().await.iter().all(|event| event["organization"] == right.organization.name.as_str()));
}

async fn a_message_is_shown_with_what_became_of_it() {
    let (session, me) = Session::working().await;
    let other = me.simulator.phone().await;
    let sent = session.sent(&other.number, "out").await;
    other.received(&sent).await;
    let shown = eventually("it to be delivered", Patience::seconds(20), async || {
        let shown = session.get(&format!("/messages/{sent}")).await.expect(200);
        if shown["status"] == "delivered" { Ok(shown) } else { Err(shown.to_string()) }
    })
    .await;
    assert_eq!(
        (&shown["direction"], &shown["body"], &shown["ackLevel"]),
        (&json!("out"), &json!("out"), &json!(2))
    );
    assert_eq!((&shown["sessionId"], &shown["waMessageId"]), (&json!(session.id), &json!(sent)));

    let got = other.text(&me.number, "in").await;
    session.event_of("message", &got).await;
    let shown = session.get(&format!("/messages/{got}")).await.expect(200);
    assert_eq!(
        (&shown["direction"], &shown["body"], &shown["fromMe"]),
        (&json!("in"), &json!("in"), &json!(false))
    );
    assert_eq!((&shown["status"], &shown["hasMedia"]), (&Value::Null, &json!(false)));
    let chat = shown["chatJid"].as_str().unwrap();
    session.get(&format!("/messages/{got}?chat={chat}")).await.expect(200);
    session
        .get(&format!("/messages/{got}?chat=120363000000000000@g.us"))
        .await
        .expect_error(404, "not_found");
    session.get(&format!("/messages/{got}?chat=nonsense")).await.expect_invalid("chat");
    // A text has no media; what never was has nothing.
    session.get(&format!("/messages/{got}/media")).await.expect_error(404, "not_found");
    for unknown in ["3EB0000000000000", "%00", &"x".repeat(200)] {
        session.get(&format!("/messages/{unknown}")).await.expect_error(404, "not_found");
        session.get(&format!("/messages/{unknown}/media")).await.expect_error(404, "not_found");
    }
    let stranger = Session::of(&Organization::new(), &session.id);
    stranger.get(&format!("/messages/{got}")).await.expect_error(404, "not_found");
}

async fn reading_a_chat_sends_the_read_receipts() {
    let (session, me) = Session::working().await;
    let (other, third) = (me.simulator.phone().await, me.simulator.phone().await);
    let body =
        json!({ "subject": "Friends", "creator": other.number, "participants": [me.number, third.number] });
    let group = me.simulator.call(Method::POST, "/groups", Some(&body)).await.expect(201);
    let group = group["jid"].as_str().unwrap();
    let mut ids = Vec::new();
    for (from, to) in [(&other, me.number.as_str()), (&other, &me.number), (&other, group), (&third, group)] {
        let id = from.text(to, "read me").await;
        session.event_of("message", &id).await;
        ids.push(id);
    }
    let read = async |phone: &crate::harness::Phone, id: &str| {
        let receipts = phone.receipts().await;
        receipts.iter().any(|receipt| {
            receipt["type"] == "read" && receipt["messageIds"].as_array().unwrap().contains(&json!(id))
        })
    };
    let path = |chat: &str| session.path(&format!("/chats/{chat}/read"));
    let chat = session.organization.post(&path(&other.number)).await.expect(200);
    assert_eq!((&chat["jid"], &chat["type"]), (&json!(other.jid), &json!("dm")), "{chat}");
    assert_eq!((&chat["unreadCount"], &chat["sessionId"]), (&json!(0), &json!(session.id)), "{chat}");
    let chat = session.organization.post(&path(group)).await.expect(200);
    assert_eq!((&chat["jid"], &chat["type"]), (&json!(group), &json!("group")), "{chat}");
    for (author, id) in [(&other, &ids[0]), (&other, &ids[1]), (&other, &ids[2]), (&third, &ids[3])] {
        eventually("the read receipt", SOON, async || {
            if read(author, id).await { Ok(()) } else { Err(format!("{id}: {:?}", author.receipts().await)) }
        })
        .await;
    }
    // Again is nothing new, and a chat nobody had is none.
    session.organization.post(&path(&other.lid)).await.expect(200);
    for nobody in ["4915100000000", "nonsense", "120363000000000000@g.us"] {
        session.organization.post(&path(nobody)).await.expect_error(404, "not_found");
    }
}
