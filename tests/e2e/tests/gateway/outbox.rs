//! The outbox: exactly once over crashes, in order, within the limits, and never more than there is room for.

use futures::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::harness::files::{base64, png};
use crate::harness::{
    Organization, Patience, Phone, Sandbox, Session, eventually, now_ms, send, tests, with_json,
};

tests![
    an_asynchronous_send_is_shown_until_its_end_and_told,
    a_chat_keeps_the_order_of_its_asynchronous_sends,
    what_is_accepted_while_connecting_is_sent_once_connected,
    what_whatsapp_refuses_later_is_told_and_shown,
    an_ack_that_never_comes_is_asked_for_again_under_the_same_id,
    a_full_outbox_takes_no_more_and_the_rest_is_sent,
    what_waits_outlives_a_stop_and_a_delete_ends_it,
    new_chats_wait_for_the_timelock_and_known_ones_do_not,
    nothing_that_waits_is_sent_by_the_number_that_is_linked_next,
    a_key_may_be_used_again_after_what_has_passed,
    an_album_sent_in_part_is_not_sent_again,
    a_logout_with_bytes_on_their_way_is_no_conflict,
    a_connection_that_is_lost_meanwhile_is_waited_for,
    an_answer_to_who_wrote_meanwhile_does_not_wait_for_the_timelock,
    what_waits_is_neither_edited_nor_taken_back,
    a_number_begins_no_more_chats_a_day_than_the_deployment_lets_it,
];

/// A text as it is asked for.
pub fn text(to: &Phone, text: &str) -> Value {
    json!({ "type": "text", "to": to.number, "text": text })
}

async fn an_asynchronous_send_is_shown_until_its_end_and_told() {
    let (session, me) = Session::working().await;
    let friend = me.simulator.phone().await;
    let queued = session.later(&text(&friend, "when you have time")).await;
    assert_eq!((&queued["mode"], &queued["status"]), (&json!("async"), &json!("queued")), "{queued}");
    let id = queued["waMessageId"].as_str().unwrap();
    let sent = session.entry_is(&queued, "sent", Patience::seconds(30)).await;
    assert_eq!((&sent["waMessageId"], &sent["mode"]), (&json!(id), &json!("async")));
    assert!(sent["timestamp"].as_u64().is_some_and(|at| at <= now_ms() + 2_000), "{sent}");
    assert_eq!(friend.received(id).await["text"], "when you have time");
    let told = session
        .event(0, "message.status", |event| {
            event["payload"]["messageIds"] == json!([id]) && event["payload"]["status"] == "sent"
        })
        .await;
    assert_eq!(told["payload"]["chatJid"], friend.jid.as_str());
    session.event_of("message.from_me", id).await;
    // Nobody else's, and none that never was.
    let entry = queued["outboxId"].as_str().unwrap();
    for unknown in ["01ARZ3NDEKTSV4RRFFQ69G5FAV", "x", id] {
        session.get(&format!("/outbox/{unknown}")).await.expect_error(404, "not_found");
    }
    let (other, _) = Session::working_in(&session.organization).await;
    other.get(&format!("/outbox/{entry}")).await.expect_error(404, "not_found");
    let path = session.path("/messages?async=maybe");
    session.organization.post_json(&path, &text(&friend, "x")).await.expect_invalid("async");
}

async fn a_chat_keeps_the_order_of_its_asynchronous_sends() {
    let (session, me) = Session::working().await;
    let friends = join_all((0..3).map(|_| me.simulator.phone())).await;
    // The first is lost on its way: what follows in its chat waits for it, what is for others doesn't.
    me.fault(json!({ "kind": "message_lost", "count": 1 })).await;
    for number in 0..8 {
        for friend in &friends {
            session.later(&text(friend, &format!("number {number}"))).await;
        }
    }
    let wanted: Vec<Value> = (0..8).map(|number| json!(format!("number {number}"))).collect();
    for friend in &friends {
        eventually("all to arrive", Patience::seconds(60), async || {
            let messages = friend.messages().await;
            let texts: Vec<Value> = messages.iter().map(|message| message["text"].clone()).collect();
            if texts == wanted { Ok(()) } else { Err(format!("{texts:?}")) }
        })
        .await;
    }
}

async fn what_is_accepted_while_connecting_is_sent_once_connected() {
    let (session, me) = Session::working().await;
    let friend = me.simulator.phone().await;
    let stall = me.fault(json!({ "kind": "stall", "stage": "login" })).await;
    session.post(":restart").await.expect(200);
    session.text(&friend.number, "now").await.expect_error(503, "gateway_unavailable");
    let queued = session.later(&text(&friend, "when you are back")).await;
    assert_eq!(session.outbox(&queued).await["status"], "queued");
    me.simulator.clear(&stall).await;
    let sent = session.entry_is(&queued, "sent", Patience::seconds(90)).await;
    friend.received(sent["waMessageId"].as_str().unwrap()).await;
}

async fn what_whatsapp_refuses_later_is_told_and_shown() {
    let (session, me) = Session::working().await;
    let friend = me.simulator.phone().await;
    me.fault(json!({ "kind": "ack_error", "code": 479, "count": 1 })).await;
    let queued = session.later(&text(&friend, "no")).await;
    let failed = session.entry_is(&queued, "failed", Patience::seconds(30)).await;
    assert_eq!(failed["error"]["code"], "conflict", "{failed}");
    assert_eq!(failed["error"]["details"]["whatsappCode"], "479", "{failed}");
    let id = queued["waMessageId"].as_str().unwrap();
    let told =
        session.event(0, "message.status", |event| event["payload"]["messageIds"] == json!([id])).await;
    assert_eq!(told["payload"]["status"], "failed");
    let shown = session.get(&format!("/messages/{id}")).await.expect(200);
    assert_eq!((&shown["status"], &shown["ackLevel"]), (&json!("failed"), &json!(-1)));
    assert!(shown["error"].as_str().is_some_and(|why| why.contains("479")), "{shown}");
    assert_eq!(session.events("message.from_me").await, Vec::<Value>::new());
    // And the chat is not held up by it.
    let queued = session.later(&text(&friend, "yes")).await;
    session.entry_is(&queued, "sent", Patience::seconds(30)).await;
}

async fn an_ack_that_never_comes_is_asked_for_again_under_the_same_id() {
    let (session, me) = Session::working().await;
    let friend = me.simulator.phone().await;
    me.fault(json!({ "kind": "ack_drop", "count": 1 })).await;
    me.fault(json!({ "kind": "receipt_drop" })).await;
    let began = Instant::now();
    let error = session.text(&friend.number, "into the void").await.expect_error(503, "gateway_unavailable");
    let took = began.elapsed();
    assert!((19..25).contains(&took.as_secs()), "who waits is answered after 20 s, not {took:?}");
    let entry = json!({ "outboxId": error["details"]["outboxId"] });
    let sent = session.entry_is(&entry, "sent", Patience::seconds(60)).await;
    let id = error["details"]["waMessageId"].as_str().unwrap();
    assert_eq!(sent["waMessageId"], id);
    let told = session
        .event(0, "message.status", |event| {
            event["payload"]["messageIds"] == json!([id]) && event["payload"]["status"] == "sent"
        })
        .await;
    assert_eq!(told["payload"]["chatJid"], friend.jid.as_str());
    assert_eq!(friend.messages().await.len(), 1);
    let stanzas = me.simulator.get(&format!("/sent/{id}")).await["stanzas"].clone();
    assert_eq!((&stanzas[0]["delivered"], &stanzas[0]["dropped"]), (&json!(1), &json!(1)), "{stanzas}");
}

async fn a_full_outbox_takes_no_more_and_the_rest_is_sent() {
    let (session, me) = Session::working().await;
    let friend = me.simulator.phone().await;
    // Nothing goes: one an hour is used up.
    session.organization.patch(&session.path(""), &json!({ "ratePerHour": 1 })).await.expect(200);
    session.sent(&friend.number, "the one").await;
    let path = session.path("/messages?async=true");
    // Eight ask at the same time, each one thing after the other.
    let ask = async |asker: usize| {
        let mut taken: Vec<String> = Vec::new();
        let mut refused = 0;
        for number in 0..126 {
            let words = format!("{asker} {number}");
            let answer = session.organization.post_json(&path, &text(&friend, &words)).await;
            if answer.status == 202 {
                taken.push(words);
                continue;
            }
            let error = answer.expect_error(429, "rate_limited");
            assert!(error["details"]["retryAfterSeconds"].as_u64().is_some_and(|wait| wait > 0));
            refused += 1;
        }
        (taken, refused)
    };
    let asked = join_all((0..8).map(ask)).await;
    let taken: usize = asked.iter().map(|(taken, _)| taken.len()).sum();
    let refused: usize = asked.iter().map(|(_, refused)| refused).sum();
    assert_eq!((taken, refused), (1_000, 8));
    session.organization.patch(&session.path(""), &json!({ "ratePerHour": 0 })).await.expect(200);
    let began = Instant::now();
    // Looked at without a copy of all of them each time.
    let last = format!("/phones/{}/messages?after={taken}&wait=5", friend.number);
    eventually("all that was taken", Patience::seconds(150), async || {
        let last = me.simulator.get(&last).await;
        if last["messages"] == json!([]) { Err("not yet".to_owned()) } else { Ok(()) }
    })
    .await;
    println!("    {taken} texts of a full outbox, in one chat: {:.1} s", began.elapsed().as_secs_f64());
    let came = friend.messages().await;
    assert_eq!(came.len(), taken + 1);
    for (asker, (taken, _)) in asked.iter().enumerate() {
        let theirs = came.iter().filter_map(|message| message["text"].as_str());
        let theirs: Vec<&str> = theirs.filter(|text| text.starts_with(&format!("{asker} "))).collect();
        assert_eq!(theirs, *taken, "in the order in which they were asked for");
    }
}

async fn what_waits_outlives_a_stop_and_a_delete_ends_it() {
    let (session, me) = Session::working().await;
    let friend = me.simulator.phone().await;
    session.organization.patch(&session.path(""), &json!({ "ratePerMin": 1 })).await.expect(200);
    session.sent(&friend.number, "the one").await;
    let queued = session.later(&text(&friend, "waits")).await;
    session.post(":stop").await.expect(200);
    assert_eq!(session.outbox(&queued).await["status"], "queued");
    // A stopped session takes nothing new.
    let path = session.path("/messages?async=true");
    session.organization.post_json(&path, &text(&friend, "x")).await.expect_error(409, "conflict");
    session.organization.patch(&session.path(""), &json!({ "ratePerMin": 0 })).await.expect(200);
    session.post(":start").await.expect(200);
    session.entry_is(&queued, "sent", Patience::seconds(60)).await;
    session.delete().await.expect(204);
    session
        .get(&format!("/outbox/{}", queued["outboxId"].as_str().unwrap()))
        .await
        .expect_error(404, "not_found");
}

async fn new_chats_wait_for_the_timelock_and_known_ones_do_not() {
    let (session, me) = Session::working().await;
    let (known, stranger) = (me.simulator.phone().await, me.simulator.phone().await);
    session.sent(&known.number, "hello").await;
    let until = now_ms() / 1_000 + 3_600;
    let lock = me.fault(json!({ "kind": "reachout_timelock", "until": until })).await;
    session.wait_for_reason("reachout_timelock", Patience::seconds(30)).await;
    let waits = session.later(&text(&stranger, "hello, stranger")).await;
    let goes = session.later(&text(&known, "hello again")).await;
    session.entry_is(&goes, "sent", Patience::seconds(30)).await;
    assert_eq!(session.outbox(&waits).await["status"], "queued");
    // Lifted long before its end: nobody waits for that end.
    me.simulator.clear(&lock).await;
    session.entry_is(&waits, "sent", Patience::seconds(30)).await;
    assert_eq!(stranger.messages().await.len(), 1);
}

async fn nothing_that_waits_is_sent_by_the_number_that_is_linked_next() {
    let (session, me) = Session::working().await;
    let friend = me.simulator.phone().await;
    session.organization.patch(&session.path(""), &json!({ "ratePerMin": 1 })).await.expect(200);
    session.sent(&friend.number, "the one").await;
    let waits = session.later(&text(&friend, "from the old number")).await;
    session.post(":logout").await.expect(200);
    let failed = session.entry_is(&waits, "failed", Patience::seconds(30)).await;
    assert_eq!(failed["error"]["code"], "conflict", "{failed}");
    let id = &waits["waMessageId"];
    let told =
        session.event(0, "message.status", |event| event["payload"]["messageIds"] == json!([id])).await;
    assert_eq!(told["payload"]["status"], "failed");
    session.organization.patch(&session.path(""), &json!({ "ratePerMin": 0 })).await.expect(200);
    let other = me.simulator.phone().await;
    session.post(":start").await.expect(200);
    session.pair(&other).await;
    session.sent(&friend.number, "from the new number").await;
    let texts: Vec<Value> = friend.messages().await.iter().map(|message| message["text"].clone()).collect();
    assert_eq!(texts, ["the one", "from the new number"]);
}

async fn a_key_may_be_used_again_after_what_has_passed() {
    let (session, me) = Session::working().await;
    let friend = me.simulator.phone().await;
    let body = json!({ "type": "document", "to": friend.number, "media": { "data": "aGVsbG8=" } });
    let ask = async || {
        let request = session.organization.request(Method::POST, &session.path("/messages"));
        send(with_json(request.header("idempotency-key", "again"), &body)).await
    };
    let down = me.fault(json!({ "kind": "media_error", "on": "upload" })).await;
    let error = ask().await.expect_error(503, "gateway_unavailable");
    assert_eq!(error["details"]["outboxId"], Value::Null, "it will be sent after all: {error}");
    ask().await.expect_error(503, "gateway_unavailable");
    me.simulator.clear(&down).await;
    let sent = ask().await.expect(200);
    friend.received(sent["waMessageId"].as_str().unwrap()).await;
    assert_eq!(ask().await.expect(200)["replayed"], true);
    assert_eq!(friend.messages().await.len(), 1);
}

async fn an_album_sent_in_part_is_not_sent_again() {
    let (session, me) = Session::working().await;
    let picture = || json!({ "data": base64(&png(3, 3)) });
    for is_async in [false, true] {
        let friend = me.simulator.phone().await;
        let body = json!({ "type": "album", "to": friend.number, "medias": [picture(), picture()] });
        let ask = async || {
            let path = session.path(if is_async { "/messages?async=true" } else { "/messages" });
            let request = session.organization.request(Method::POST, &path);
            send(with_json(request.header("idempotency-key", format!("album-{is_async}")), &body)).await
        };
        // The album itself and its first picture are taken, the second is not.
        me.fault(json!({ "kind": "ack_error", "code": 479, "to": friend.number, "skip": 2, "count": 1 }))
            .await;
        let answer = ask().await;
        let error = if is_async {
            session.entry_is(&answer.expect(202), "failed", Patience::seconds(30)).await["error"].clone()
        } else {
            answer.expect_error(503, "gateway_unavailable")
        };
        assert_eq!(error["code"], "gateway_unavailable", "{error}");
        assert!(error["message"].as_str().unwrap().starts_with("A part of the album was sent."), "{error}");
        // Something was sent: it is no failure after which one begins anew.
        let details = &error["details"];
        assert!(details["outboxId"].is_string(), "{error}");
        assert_eq!(details["whatsappCode"], "479", "{error}");
        let again = ask().await;
        if is_async {
            assert_eq!(again.expect(202)["replayed"], true);
        } else {
            assert_eq!(again.expect_error(503, "gateway_unavailable"), error);
        }
        session.sent(&friend.number, "barrier").await;
        friend.received_text("barrier").await;
        let came = friend.messages().await;
        let kinds: Vec<&Value> = came.iter().map(|message| &message["kind"]).collect();
        assert_eq!(kinds, ["album", "image", "text"], "{came:?}");
        assert_eq!(came[0]["messageId"], details["waMessageId"]);
        for message in &came {
            let stanzas = me.simulator.stanzas(message["messageId"].as_str().unwrap()).await;
            assert_eq!((&stanzas["received"], &stanzas["delivered"]), (&json!(1), &json!(1)), "{stanzas}");
        }
        // What is told and shown as failed is the one that is missing.
        let told = session.events("message.status").await;
        let mut told = told
            .iter()
            .map(|event| &event["payload"])
            .filter(|told| told["status"] == "failed" && told["chatJid"] == friend.jid.as_str());
        let missing = told.next().unwrap()["messageIds"].as_array().unwrap().clone();
        assert!(told.next().is_none() && missing.len() == 1, "{missing:?}");
        assert!(came.iter().all(|message| message["messageId"] != missing[0]), "{missing:?}");
        let shown = session.get(&format!("/messages/{}", missing[0].as_str().unwrap())).await.expect(200);
        assert_eq!(shown["status"], "failed", "{shown}");
    }
}

async fn a_logout_with_bytes_on_their_way_is_no_conflict() {
    let (session, me) = Session::working().await;
    let (friend, other) = (me.simulator.phone().await, me.simulator.phone().await);
    me.fault(json!({ "kind": "ack_drop" })).await;
    me.fault(json!({ "kind": "receipt_drop" })).await;
    let body = text(&friend, "waited for");
    let ask = async || {
        let request = session.organization.request(Method::POST, &session.path("/messages"));
        send(with_json(request.header("idempotency-key", "logout"), &body)).await
    };
    let logout = async {
        let later = session.later(&text(&other, "not waited for")).await;
        friend.received_text("waited for").await;
        other.received_text("not waited for").await;
        session.post(":logout").await.expect(200);
        later
    };
    let began = Instant::now();
    let (waited, later) = futures::join!(ask(), logout);
    assert!(began.elapsed().as_secs() < 19, "it was not the logout that ended it");
    // After a conflict the key would be free, and who asks again would send twice.
    let error = waited.expect_error(503, "gateway_unavailable");
    assert!(error["message"].as_str().unwrap().contains("logged out"), "{error}");
    assert_eq!(ask().await.expect_error(503, "gateway_unavailable"), error);
    let entry = "SELECT resource_id FROM idempotency WHERE organization_id = ?1 AND key = 'logout'";
    let entry: String = session
        .organization
        .gateway
        .directory()
        .query_row(entry, [&session.organization.name], |row| row.get(0))
        .unwrap();
    for entry in [json!({ "outboxId": entry }), later] {
        let failed = session.outbox(&entry).await;
        assert_eq!(
            (&failed["status"], &failed["error"]["code"]),
            (&json!("failed"), &json!("gateway_unavailable")),
            "{failed}"
        );
    }
    // Nor does the number that is linked next send it.
    let next = me.simulator.phone().await;
    session.post(":start").await.expect(200);
    session.pair(&next).await;
    assert_eq!(ask().await.expect_error(503, "gateway_unavailable"), error);
    for phone in [&friend, &other] {
        session.sent(&phone.number, "from the next number").await;
        phone.received_text("from the next number").await;
        assert_eq!(phone.messages().await.len(), 2, "sent a second time");
    }
}

async fn a_connection_that_is_lost_meanwhile_is_waited_for() {
    let (session, me) = Session::working().await;
    let friend = me.simulator.phone().await;
    session.sent(&friend.number, "so that a Signal session is there").await;
    me.fault(json!({ "kind": "ack_drop", "count": 1 })).await;
    me.fault(json!({ "kind": "receipt_drop" })).await;
    let cut = async {
        friend.received_text("in flight").await;
        me.fault(json!({ "kind": "close" })).await;
    };
    let (answer, ()) = futures::join!(session.text(&friend.number, "in flight"), cut);
    let id = answer.expect(200)["waMessageId"].as_str().unwrap().to_owned();
    assert_eq!(friend.messages().await.len(), 2);
    session.event_of("message.from_me", &id).await;
}

async fn an_answer_to_who_wrote_meanwhile_does_not_wait_for_the_timelock() {
    let (session, me) = Session::working().await;
    let stranger = me.simulator.phone().await;
    let until = now_ms() / 1_000 + 3_600;
    me.fault(json!({ "kind": "reachout_timelock", "until": until })).await;
    session.wait_for_reason("reachout_timelock", Patience::seconds(30)).await;
    let waits = session.later(&text(&stranger, "hello, stranger")).await;
    // It has had its turn, and not got it.
    let other = session.later(&text(&stranger, "and more")).await;
    assert_eq!(session.outbox(&waits).await["status"], "queued");
    let id = stranger.text(&me.number, "me first").await;
    session.event_of("message", &id).await;
    for entry in [&waits, &other] {
        session.entry_is(entry, "sent", Patience::seconds(30)).await;
    }
}

async fn what_waits_is_neither_edited_nor_taken_back() {
    let (session, me) = Session::working().await;
    let friend = me.simulator.phone().await;
    session.sent(&friend.number, "so that a Signal session is there").await;
    me.fault(json!({ "kind": "message_lost", "count": 1 })).await;
    let waits = session.later(&text(&friend, "on its way")).await;
    session.entry_is(&waits, "sending", Patience::seconds(30)).await;
    let path = session.path(&format!("/messages/{}", waits["waMessageId"].as_str().unwrap()));
    let chat = json!({ "chat": friend.number });
    let edit = json!({ "chat": friend.number, "text": "another" });
    session.organization.call(Method::DELETE, &path, Some(&chat)).await.expect_error(409, "conflict");
    session.organization.patch(&path, &edit).await.expect_error(409, "conflict");
    session.entry_is(&waits, "sent", Patience::seconds(60)).await;
    session.organization.patch(&path, &edit).await.expect(200);
    session.organization.call(Method::DELETE, &path, Some(&chat)).await.expect(200);
}

async fn a_number_begins_no_more_chats_a_day_than_the_deployment_lets_it() {
    let sandbox = Sandbox::start_with(&["--var", "NEW_CHATS_PER_DAY=1"]).await;
    let organization = Organization::on(&sandbox);
    let (session, me) = Session::working_in(&organization).await;
    let friends = join_all((0..3).map(|_| me.simulator.phone())).await;
    for text in ["hello", "and more"] {
        session.sent(&friends[0].number, text).await;
    }
    let error = session.text(&friends[1].number, "hello").await.expect_error(429, "rate_limited");
    let wait = error["details"]["retryAfterSeconds"].as_u64().unwrap();
    assert!((86_300..=86_401).contains(&wait), "{error}");
    let waits = session.later(&text(&friends[1], "hello")).await;
    // Over a restart, too.
    organization.post(&format!("/simulator/sessions/{}/evict", session.id)).await.expect(204);
    session.wait_for_status("working", Patience::seconds(60)).await;
    session.text(&friends[2].number, "hello").await.expect_error(429, "rate_limited");
    assert_eq!(session.outbox(&waits).await["status"], "queued");
    // Who wrote first is no new chat, and what is said to them counts for none.
    let id = friends[2].text(&me.number, "me first").await;
    session.event_of("message", &id).await;
    session.sent(&friends[2].number, "hello").await;
    session.text(&friends[1].number, "hello").await.expect_error(429, "rate_limited");
}
