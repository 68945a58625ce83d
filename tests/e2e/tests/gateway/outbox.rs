//! The outbox: exactly once over crashes, in order, within the limits, and never more than there is room for.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::StreamExt as _;
use futures::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::harness::{
    Answer, Organization, Patience, Phone, Sandbox, Session, eventually, now_ms, send, tests, with_json,
};

tests![
    a_send_killed_between_any_two_steps_reaches_the_person_exactly_once,
    limits_hold_over_restarts_and_what_waits_goes_when_its_time_has_come,
    a_limit_refuses_who_waits_with_the_true_time,
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
    a_connection_that_is_lost_meanwhile_is_waited_for,
    an_answer_to_who_wrote_meanwhile_does_not_wait_for_the_timelock,
    what_waits_is_neither_edited_nor_taken_back,
    a_number_begins_no_more_chats_a_day_than_the_deployment_lets_it,
];

/// One white pixel, PNG.
const PICTURE: &str =
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg==";
/// Everything a send passes, in its order.
const STEPS: [&str; 6] = ["asked", "stored", "fixed", "begun", "left", "acknowledged"];

impl Session {
    /// Puts something into the outbox; what the answer says of it.
    async fn later(&self, body: &Value) -> Value {
        let path = self.path("/messages?async=true");
        self.organization.post_json(&path, body).await.expect(202)
    }

    async fn outbox(&self, entry: &Value) -> Value {
        self.get(&format!("/outbox/{}", entry["outboxId"].as_str().unwrap())).await.expect(200)
    }

    /// Waits until an entry has this status.
    async fn entry_is(&self, entry: &Value, status: &str, patience: Patience) -> Value {
        eventually(&format!("{entry} to be {status}"), patience, async || {
            let shown = self.outbox(entry).await;
            if shown["status"] == status { Ok(shown) } else { Err(shown.to_string()) }
        })
        .await
    }
}

impl Phone {
    /// Waits until a text of these words arrives.
    async fn received_text(&self, text: &str) {
        eventually(text, Patience::seconds(20), async || {
            let messages = self.messages().await;
            let is_there = messages.iter().any(|message| message["text"] == text);
            if is_there { Ok(()) } else { Err(format!("{} other messages", messages.len())) }
        })
        .await;
    }
}

fn text(to: &Phone, text: &str) -> Value {
    json!({ "type": "text", "to": to.number, "text": text })
}

/// One session whose send is killed at one step.
struct Victim {
    session: Session,
    friend: Phone,
    step: &'static str,
    is_async: bool,
    body: Value,
    key: String,
    /// How many messages it becomes.
    messages: usize,
}

impl Victim {
    async fn new(sandbox: &Sandbox, organization: &Organization, step: &'static str, is_async: bool) -> Self {
        let (session, _) = Session::working_in(organization).await;
        let friend = sandbox.simulator().phone().await;
        let said = format!("{step} {}", if is_async { "asynchronous" } else { "synchronous" });
        // Where the file counts there is one: it is uploaded before its message's bytes are fixed.
        let file = json!({ "data": "aGVsbG8=", "filename": "a.txt", "mimetype": "text/plain" });
        let picture = json!({ "data": PICTURE });
        let body = match step {
            "stored" | "fixed" => {
                json!({ "type": "document", "to": friend.number, "caption": said, "media": file })
            }
            // Killed behind the first of its three messages.
            "album" => {
                json!({ "type": "album", "to": friend.number, "caption": said, "medias": [picture, picture] })
            }
            _ => text(&friend, &said),
        };
        let (step, messages) = if step == "album" { ("left", 3) } else { (step, 1) };
        let key = format!("kill {step} {is_async} {messages}").replace(' ', "-");
        Self { session, friend, step, is_async, body, key, messages }
    }

    async fn ask(&self) -> Answer {
        let path = self.session.path(if self.is_async { "/messages?async=true" } else { "/messages" });
        let request = self.session.organization.request(Method::POST, &path);
        send(with_json(request.header("idempotency-key", &self.key), &self.body)).await
    }

    async fn hold(&self, point: Option<&str>) -> Value {
        let path = format!("/simulator/sessions/{}/hold", self.session.id);
        self.session.organization.post_json(&path, &json!({ "point": point })).await.expect(200)
    }

    /// Asks and waits until it stands where it is to be killed. What nobody waits for is answered before.
    async fn ask_and_stand(&self) {
        self.hold(Some(self.step)).await;
        let (session, path, key, body) = (
            self.session.clone(),
            self.session.path(if self.is_async { "/messages?async=true" } else { "/messages" }),
            self.key.clone(),
            self.body.clone(),
        );
        tokio::spawn(async move {
            let request = session.organization.request(Method::POST, &path).header("idempotency-key", key);
            // It is cut off.
            let _ = with_json(request, &body).send().await;
        });
        eventually(&format!("a send to stand at {}", self.step), Patience::seconds(40), async || {
            let held = self.hold(Some(self.step)).await;
            if held["held"] == true { Ok(()) } else { Err(held.to_string()) }
        })
        .await;
    }

    /// Asks the same until there is an answer: 409 while the attempt that was killed still has the key.
    async fn ask_until_answered(&self) -> Value {
        eventually(&format!("an answer to {}", self.key), Patience::seconds(170), async || {
            let path = self.session.path(if self.is_async { "/messages?async=true" } else { "/messages" });
            let request = self.session.organization.request(Method::POST, &path);
            let request = with_json(request.header("idempotency-key", &self.key), &self.body);
            let answer = request.send().await.map_err(|error| error.to_string())?;
            let (status, text) = (answer.status().as_u16(), answer.text().await.unwrap_or_default());
            match status {
                200 | 202 => Ok(serde_json::from_str(&text).unwrap()),
                409 | 500 | 503 => Err(format!("{status} {text}")),
                _ => panic!("{}: {status} {text}", self.key),
            }
        })
        .await
    }

    /// What the friend received of it, and how often WhatsApp took it.
    async fn received_once(&self, answer: &Value) {
        let id = answer["waMessageId"].as_str().unwrap_or_else(|| panic!("{}: {answer}", self.key));
        self.friend.received(id).await;
        let received = self.friend.messages().await;
        assert_eq!(received.len(), self.messages, "{}: {received:?}", self.key);
        assert_eq!(received[0]["messageId"], id, "{}: {received:?}", self.key);
        for message in &received {
            let id = message["messageId"].as_str().unwrap();
            let sent = self.session.organization.gateway.simulator().get(&format!("/sent/{id}")).await;
            let stanzas = sent["stanzas"].as_array().unwrap();
            let delivered: Vec<&Value> = stanzas.iter().map(|one| &one["delivered"]).collect();
            assert_eq!(delivered, [&json!(1)], "{}: {sent}", self.key);
        }
        let own = self.session.events("message.from_me").await;
        let told: Vec<&Value> = own.iter().map(|event| &event["payload"]["waMessageId"]).collect();
        let wanted: Vec<&Value> = received.iter().map(|message| &message["messageId"]).collect();
        assert_eq!(told, wanted, "{}", self.key);
        let failed = self.session.events("message.status").await;
        assert!(
            failed.iter().all(|event| event["payload"]["status"] != "failed"),
            "{}: {failed:?}",
            self.key
        );
    }
}

async fn a_send_killed_between_any_two_steps_reaches_the_person_exactly_once() {
    let sandbox = Sandbox::start().await;
    let organization = Organization::on(&sandbox);
    // Nobody waits behind the last step of what is asynchronous.
    let asynchronous = STEPS.iter().take(5).map(|step| (*step, true));
    let albums = [("album", false), ("album", true)];
    let cases: Vec<(&'static str, bool)> =
        STEPS.iter().map(|step| (*step, false)).chain(asynchronous).chain(albums).collect();
    let victims: Vec<Victim> = futures::stream::iter(cases)
        .map(|(step, is_async)| Victim::new(&sandbox, &organization, step, is_async))
        .buffer_unordered(4)
        .collect()
        .await;
    join_all(victims.iter().map(Victim::ask_and_stand)).await;
    let killed = sandbox.kill_workerd();
    eventually("another workerd", Patience::seconds(30), async || {
        if sandbox.workerd() == killed { Err("the same".to_owned()) } else { Ok(()) }
    })
    .await;
    // As if the 90 s of those who were killed with their keys were over.
    sandbox.directory().execute("UPDATE idempotency SET leased_until = 0", []).unwrap();
    let answers = join_all(victims.iter().map(Victim::ask_until_answered)).await;
    for (victim, answer) in victims.iter().zip(&answers) {
        if victim.is_async {
            victim.session.entry_is(answer, "sent", Patience::seconds(60)).await;
        }
        victim.received_once(answer).await;
        // Once more the same answer, and nothing is sent.
        let again = victim.ask().await;
        assert_eq!(again.json()["waMessageId"], answer["waMessageId"], "{}", again.text());
        assert_eq!(again.json()["replayed"], true, "{}", again.text());
    }
    join_all(victims.iter().zip(&answers).map(|(victim, answer)| victim.received_once(answer))).await;
    println!("    killed at {} steps, synchronous and asynchronous: each received once", STEPS.len());
}

async fn limits_hold_over_restarts_and_what_waits_goes_when_its_time_has_come() {
    const LIMIT: usize = 5;
    const TEXTS: usize = 12;
    let (session, me) = Session::working().await;
    let friend = me.simulator.phone().await;
    session.organization.patch(&session.path(""), &json!({ "ratePerMin": LIMIT })).await.expect(200);
    for number in 0..TEXTS {
        session.later(&text(&friend, &format!("number {number}"))).await;
    }
    // When each arrived, by one clock.
    let mut arrived: BTreeMap<String, Instant> = BTreeMap::new();
    let began = Instant::now();
    let mut restarts = 0;
    while arrived.len() < TEXTS {
        assert!(began.elapsed() < Duration::from_secs(200), "{} of {TEXTS} came", arrived.len());
        for message in friend.messages().await {
            let id = message["messageId"].as_str().unwrap().to_owned();
            arrived.entry(id).or_insert_with(Instant::now);
        }
        // The object loses its memory while some wait.
        if restarts < 2 && arrived.len() >= (restarts + 1) * LIMIT {
            restarts += 1;
            let path = format!("/simulator/sessions/{}/evict", session.id);
            session.organization.post(&path).await.expect(204);
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let mut times: Vec<f64> = arrived.values().map(|at| at.duration_since(began).as_secs_f64()).collect();
    times.sort_by(f64::total_cmp);
    for (earlier, later) in times.iter().zip(times.iter().skip(LIMIT)) {
        // What is counted is when it goes (`turn` shows that to the millisecond). It arrives later, on a busy machine by
        // seconds; one too many would be there at once.
        assert!(
            later - earlier > 50.0,
            "{LIMIT} a minute, and {} within {:.1} s",
            LIMIT + 1,
            later - earlier
        );
    }
    assert_eq!(restarts, 2);
    let texts: Vec<Value> = friend.messages().await.iter().map(|message| message["text"].clone()).collect();
    let wanted: Vec<Value> = (0..TEXTS).map(|number| json!(format!("number {number}"))).collect();
    assert_eq!(texts, wanted, "in order");
    let took = times.last().unwrap() - times.first().unwrap();
    println!(
        "    {TEXTS} texts at {LIMIT} a minute, 2 restarts: {took:.1} s from the first to the last (at best 120)"
    );
}

async fn a_limit_refuses_who_waits_with_the_true_time() {
    let (session, me) = Session::working().await;
    let friend = me.simulator.phone().await;
    let limits = json!({ "ratePerMin": 2, "ratePerHour": 100 });
    session.organization.patch(&session.path(""), &limits).await.expect(200);
    let first = session.text(&friend.number, "one").await;
    first.expect(200);
    assert_eq!(first.header("ratelimit-policy"), Some("\"permin\";q=2;w=60, \"perhr\";q=100;w=3600"));
    let standing = first.header("ratelimit").unwrap();
    assert!(standing.starts_with("\"permin\";r=1;t="), "{standing}");
    session.text(&friend.number, "two").await.expect(200);
    let refused = session.text(&friend.number, "three").await;
    let error = refused.expect_error(429, "rate_limited");
    let wait = error["details"]["retryAfterSeconds"].as_u64().unwrap();
    assert!((50..=61).contains(&wait), "{error}");
    assert_eq!(refused.header("retry-after"), Some(wait.to_string().as_str()));
    assert!(refused.header("ratelimit").is_some_and(|standing| standing.starts_with("\"permin\";r=0;t=")));
    // What is about a message is sent, too.
    let id = friend.text(&me.number, "react to me").await;
    session.event_of("message", &id).await;
    let body = json!({ "chat": friend.number, "emoji": "👍" });
    let path = session.path(&format!("/messages/{id}/reaction"));
    session.organization.post_json(&path, &body).await.expect_error(429, "rate_limited");
    // Nothing of what was refused is left behind.
    assert_eq!(session.events("message.from_me").await.len(), 2);
    session.organization.patch(&session.path(""), &json!({ "ratePerMin": 0 })).await.expect(200);
    session.text(&friend.number, "no limit any more").await.expect(200);
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
    let error = session.text(&friend.number, "into the void").await.expect_error(503, "gateway_unavailable");
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
    // Nothing goes: one a minute is used up.
    session.organization.patch(&session.path(""), &json!({ "ratePerMin": 1 })).await.expect(200);
    session.sent(&friend.number, "the one").await;
    let path = session.path("/messages?async=true");
    let body = text(&friend, "waits");
    let answers: Vec<u16> = futures::stream::iter(0..1_010)
        .map(async |_| session.organization.post_json(&path, &body).await)
        .buffer_unordered(8)
        .map(|answer| {
            if answer.status == 429 {
                let error = answer.expect_error(429, "rate_limited");
                assert!(error["details"]["retryAfterSeconds"].as_u64().is_some_and(|wait| wait > 0));
            }
            answer.status
        })
        .collect()
        .await;
    let taken = answers.iter().filter(|status| **status == 202).count();
    let refused = answers.iter().filter(|status| **status == 429).count();
    assert_eq!((taken, refused), (1_000, 10));
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
