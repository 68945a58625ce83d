//! What can't be done with a message, and with which session nothing can. The answer says why, nothing reaches anybody, and
//! the session works on.

use std::collections::BTreeSet;

use futures::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::desk::{
    Desk, EDIT, FORWARD, OPERATIONS, Operation, REACT, REVOKE, TAKE_BACK, VOTE, smallest, with,
};
use crate::harness::{Organization, Patience, Session, eventually, now_ms, tests};

tests![
    operations_name_what_is_wrong_with_them,
    null_is_no_sender_and_no_emoji,
    an_id_has_128_characters_at_most,
    operations_on_what_is_not_there_are_not_found,
    operations_on_what_does_not_allow_them_are_conflicts,
    a_session_that_cannot_send_refuses_every_operation,
];

const SOON: Patience = Patience::seconds(30);

async fn operations_name_what_is_wrong_with_them() {
    let desk = Desk::new().await;
    let chat = desk.friend.number.clone();
    let poll = desk.taken(&smallest("poll")).await["messageId"].as_str().unwrap().to_owned();
    let text = desk.session.sent(&chat, "hi").await;
    desk.friend.received(&text).await;
    for operation in &OPERATIONS {
        let id = if operation.name == "vote" { &poll } else { &text };
        let body = operation.body(&chat);
        for wrong in [json!(null), json!(""), json!("x"), json!("status@broadcast"), json!(1), json!([chat])]
        {
            desk.about(operation, id, &with(&body, "/chat", &wrong)).await.expect_invalid("chat");
        }
        desk.about(operation, id, &with(&body, "/colour", &json!("red"))).await.expect_invalid("colour");
        for wrong in [json!(""), json!("x"), json!("120363041234567890@g.us"), json!(1)] {
            // Only one's own messages can be changed.
            desk.about(operation, id, &with(&body, "/sender", &wrong)).await.expect_invalid("sender");
        }
        for wrong in [json!("x"), json!(1), json!([])] {
            desk.about(operation, id, &wrong).await.expect_error(400, "validation_error");
        }
    }
    let long = "x".repeat(65_537);
    for (operation, path, values, field) in [
        (&EDIT, "/text", vec![json!(null), json!(""), json!(" \n"), json!(1), json!(long)], "text"),
        (
            &REACT,
            "/emoji",
            vec![
                json!(null),
                json!(""),
                json!("x"),
                json!("👍👍"),
                json!("👍 "),
                json!("🇩🇪🇫🇷"),
                json!(1),
                json!(["👍"]),
            ],
            "emoji",
        ),
        (&TAKE_BACK, "/emoji", vec![json!("x"), json!("👍👍"), json!(1)], "emoji"),
        (
            &FORWARD,
            "/to",
            vec![json!(null), json!(""), json!("x@g.us"), json!("status@broadcast"), json!([chat])],
            "to",
        ),
        (&VOTE, "/options", vec![json!(null), json!("yes"), json!({})], "options"),
        (&VOTE, "/options", vec![json!([1]), json!([""]), json!(["perhaps"])], "options[0]"),
        (&VOTE, "/options", vec![json!(["yes", "yes"]), json!(["no", "maybe"])], "options[1]"),
    ] {
        let id = if operation.name == "vote" { &poll } else { &text };
        for value in values {
            desk.about(operation, id, &with(&operation.body(&chat), path, &value))
                .await
                .expect_invalid(field);
        }
    }
    let channel = json!("120363041234567890@newsletter");
    let error = desk.about(&FORWARD, &text, &with(&FORWARD.body(&chat), "/to", &channel)).await;
    error.expect_error(501, "not_implemented");
    // One choice is one choice.
    let body = json!({ "type": "poll", "name": "One?", "options": ["yes", "no"], "selectableCount": 1 });
    let poll = desk.taken(&body).await["messageId"].as_str().unwrap().to_owned();
    let both = with(&VOTE.body(&chat), "/options", &json!(["yes", "no"]));
    desk.about(&VOTE, &poll, &both).await.expect_invalid("options");
    desk.works(3).await;
    // However many code points it has, it is one emoji.
    for emoji in ["❤️", "👍🏽", "👨‍👩‍👧‍👦", "🏴󠁧󠁢󠁥󠁮󠁧󠁿", "🇩🇪", "1️⃣"]
    {
        let body = with(&REACT.body(&chat), "/emoji", &json!(emoji));
        let done = desk.about(&REACT, &text, &body).await.expect(200);
        let message = desk.friend.received(done["waMessageId"].as_str().unwrap()).await;
        assert_eq!(message["content"]["text"], emoji);
    }
}

async fn null_is_no_sender_and_no_emoji() {
    let desk = Desk::new().await;
    let chat = desk.friend.number.clone();
    let poll = desk.taken(&smallest("poll")).await["messageId"].as_str().unwrap().to_owned();
    let text = desk.session.sent(&chat, "hi").await;
    desk.friend.received(&text).await;
    let mut arrived = 2;
    for operation in [&VOTE, &FORWARD, &REACT, &TAKE_BACK, &REVOKE] {
        let id = if operation.name == "vote" { &poll } else { &text };
        let mut body = operation.body(&chat);
        body["sender"] = Value::Null;
        if operation.name == "take back" {
            body["emoji"] = Value::Null;
        }
        let done = desk.about(operation, id, &body).await.expect(200);
        let message = desk.friend.received(done["waMessageId"].as_str().unwrap()).await;
        arrived += 1;
        if operation.name != "forward" {
            assert_eq!(message["content"]["target"]["id"], id.as_str(), "{message}");
        }
    }
    assert_eq!(desk.friend.messages().await.len(), arrived);
    assert_eq!(desk.session.row().await["status"], "working");
}

async fn an_id_has_128_characters_at_most() {
    let desk = Desk::new().await;
    let (longest, longer) = ("I".repeat(128), "I".repeat(129));
    // Of somebody who is named also what isn't known can be reacted to.
    let body = json!({ "chat": desk.friend.number, "emoji": "👍", "sender": desk.friend.number });
    let done = desk.about(&REACT, &longest, &body).await.expect(200);
    let message = desk.friend.received(done["waMessageId"].as_str().unwrap()).await;
    assert_eq!(message["content"]["target"]["id"], longest, "{message}");
    desk.about(&REACT, &longer, &body).await.expect_error(404, "not_found");
    // And what is there is found by it.
    for (id, status) in [(&longest, 200), (&longer, 404)] {
        let text = json!({ "to": desk.me.jid, "text": "hi", "id": id });
        desk.friend.writes(&text).await;
        desk.session.event_of("message", id).await;
        assert_eq!(desk.session.get(&format!("/messages/{id}")).await.status, status, "{id}");
        for operation in [&REACT, &TAKE_BACK, &FORWARD] {
            let answer = desk.about(operation, id, &operation.body(&desk.friend.number)).await;
            assert_eq!(answer.status, status, "{}: {}", answer.call, answer.text());
        }
        for operation in [&EDIT, &REVOKE, &VOTE] {
            let answer = desk.about(operation, id, &operation.body(&desk.friend.number)).await;
            // Another's is known, and not changed.
            let known = if operation.name == "vote" { 404 } else { 409 };
            assert_eq!(answer.status, if status == 200 { known } else { 404 }, "{}", answer.call);
        }
    }
    assert_eq!(desk.session.row().await["status"], "working");
}

async fn operations_on_what_is_not_there_are_not_found() {
    let desk = Desk::new().await;
    let chat = desk.friend.number.clone();
    let other = desk.me.simulator.phone().await;
    let poll = desk.taken(&smallest("poll")).await["messageId"].as_str().unwrap().to_owned();
    let text = desk.session.sent(&chat, "hi").await;
    let elsewhere = desk.session.sent(&other.number, "elsewhere").await;
    let stranger = Desk { session: Session::of(&Organization::new(), &desk.session.id), ..Desk::new().await };
    let neighbour = Desk::on(&desk.session.organization).await;
    let group = json!({ "subject": "x", "creator": desk.friend.number, "participants": [desk.me.number] });
    let group = desk.me.simulator.call(Method::POST, "/groups", Some(&group)).await.expect(201);
    let group = group["jid"].as_str().unwrap();
    let long = "x".repeat(200);
    for operation in &OPERATIONS {
        let id = if operation.name == "vote" { &poll } else { &text };
        let not_there = async |desk: &Desk, id: &str, chat: &str| {
            let answer = desk.about(operation, id, &operation.body(chat)).await;
            assert_eq!(answer.status, 404, "{} {id} in {chat}: {}", operation.name, answer.text());
            answer.expect_error(404, "not_found");
            answer
        };
        for unknown in ["3EB0000000000000", "%00", &long, &desk.session.id] {
            not_there(&desk, unknown, &chat).await;
        }
        // In another chat there is none of this id.
        not_there(&desk, id, &other.number).await;
        not_there(&desk, id, group).await;
        not_there(&desk, &elsewhere, &chat).await;
        // Nor in another session of the organization's.
        not_there(&neighbour, id, &chat).await;
        // Another organization's session is like none at all.
        let foreign = not_there(&stranger, id, &chat).await;
        let path = format!("/api/v1/sessions/01ARZ3NDEKTSV4RRFFQ69G5FAV/messages/{id}{}", operation.path);
        let (method, body) = (operation.method.clone(), operation.body(&chat));
        let none = stranger.session.organization.call(method, &path, Some(&body)).await;
        assert_eq!(foreign.fingerprint(), none.fingerprint());
    }
    // A text is no poll.
    desk.about(&VOTE, &text, &VOTE.body(&chat)).await.expect_error(404, "not_found");
    assert_eq!(other.messages().await.len(), 1);
    desk.works(2).await;
}

async fn operations_on_what_does_not_allow_them_are_conflicts() {
    let desk = Desk::new().await;
    let chat = desk.friend.number.clone();
    let refused = async |operation: &Operation, id: &str| {
        let answer = desk.about(operation, id, &operation.body(&chat)).await;
        assert_eq!(answer.status, 409, "{} {id}: {}", operation.name, answer.text());
        answer.expect_error(409, "conflict");
    };
    // Another's is not changed, and in a chat of two not taken back.
    let theirs = desk.friend.text(&desk.me.number, "mine").await;
    desk.session.event_of("message", &theirs).await;
    refused(&EDIT, &theirs).await;
    refused(&REVOKE, &theirs).await;
    // What has no words has none to change.
    let mut arrived = 0;
    for kind in ["poll", "location", "contact", "audio", "sticker"] {
        let sent = desk.taken(&smallest(kind)).await;
        refused(&EDIT, sent["messageId"].as_str().unwrap()).await;
        arrived += 1;
    }
    // What was not sent, and what was taken back.
    desk.me.fault(json!({ "kind": "ack_error", "code": 479, "count": 1 })).await;
    let error = desk.send(&smallest("text")).await.expect_error(409, "conflict");
    let failed = error["details"]["waMessageId"].as_str().unwrap();
    refused(&EDIT, failed).await;
    refused(&FORWARD, failed).await;
    let gone = desk.session.sent(&chat, "gone").await;
    desk.friend.received(&gone).await;
    let revoke = desk.about(&REVOKE, &gone, &REVOKE.body(&chat)).await.expect(200);
    desk.friend.received(revoke["waMessageId"].as_str().unwrap()).await;
    refused(&EDIT, &gone).await;
    refused(&FORWARD, &gone).await;
    // A poll that is over takes no votes.
    let mut poll = smallest("poll");
    poll["pollEndTime"] = json!(now_ms() + 1_500);
    let poll = desk.taken(&poll).await["messageId"].as_str().unwrap().to_owned();
    eventually("the poll to close", SOON, async || {
        let answer =
            desk.about(&VOTE, &poll, &with(&VOTE.body(&chat), "/options", &json!(["perhaps"]))).await;
        // An option that it doesn't have is refused as such while it is open.
        match answer.status {
            400 => Err("open".to_owned()),
            _ => Ok(answer.expect_error(409, "conflict")),
        }
    })
    .await;
    assert_eq!(desk.friend.messages().await.len(), arrived + 3);
    assert_eq!(desk.session.row().await["status"], "working");
}

async fn a_session_that_cannot_send_refuses_every_operation() {
    let organization = Organization::new();
    let refused = async |session: &Session, state: &str| {
        let mut messages = BTreeSet::new();
        let desk = |path: &str, method: &Method, body: Value| {
            let (path, method) = (session.path(path), method.clone());
            async move { session.organization.call(method, &path, Some(&body)).await }
        };
        let mut answers = Vec::new();
        for kind in ["text", "image", "poll"] {
            let body = with(&smallest(kind), "/to", &json!("4915112345678"));
            answers.push(desk("/messages", &Method::POST, body.clone()).await);
            answers.push(desk("/messages?async=true", &Method::POST, body).await);
        }
        let chat = "4915112345678";
        answers.extend(
            join_all(OPERATIONS.iter().map(|operation| {
                desk(&format!("/messages/3EB0{}", operation.path), &operation.method, operation.body(chat))
            }))
            .await,
        );
        for answer in answers {
            let error = answer.expect_error(409, "conflict");
            assert_eq!(error["details"]["status"], state, "{}: {error}", answer.call);
            messages.insert(error["message"].as_str().unwrap().to_owned());
        }
        assert_eq!(messages.len(), 1, "{state}: {messages:?}");
        // What is wrong with the request itself is said all the same.
        desk("/messages", &Method::POST, json!({ "type": "text", "to": chat })).await.expect_invalid("text");
        messages.pop_first().unwrap()
    };
    let session = organization.session(&json!({})).await;
    let never_started = refused(&session, "stopped").await;
    session.code().await;
    let not_paired = refused(&session, "scan_qr_code").await;

    let (session, _phone) = Session::working_in(&organization).await;
    session.post(":stop").await.expect(200);
    let stopped = refused(&session, "stopped").await;
    assert_eq!(never_started, stopped);
    session.post(":start").await.expect(200);
    session.wait_for_status("working", SOON).await;
    session.post(":logout").await.expect(200);
    let logged_out = refused(&session, "logged_out").await;
    let all: BTreeSet<&String> = [&stopped, &not_paired, &logged_out].into();
    assert_eq!(all.len(), 3, "{all:?}");
}
