//! Polls that end, and what is told of them then.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD as BASE64;
use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{Patience, Phone, Session, eventually, now_ms, tests};

tests![
    a_poll_of_the_own_phone_is_told_when_it_has_ended,
    a_poll_is_told_once_also_by_an_object_that_was_evicted_meanwhile,
    polls_that_were_sent_are_told_once_with_the_votes_of_both_sides,
];

const SOON: Patience = Patience::seconds(40);
/// From a poll to its end: time for the votes, and for an eviction.
const OPEN_SECONDS: u64 = 20;
/// Until it is told: a session that was evicted comes back by its next tick first.
const TOLD: Patience = Patience::seconds(90);

/// A group that somebody makes; its JID.
async fn group(creator: &Phone, others: &[&Phone]) -> String {
    let others: Vec<&String> = others.iter().map(|phone| &phone.number).collect();
    let body = json!({ "subject": "Lunch", "creator": creator.number, "participants": others });
    let made = creator.simulator.call(Method::POST, "/groups", Some(&body)).await.expect(201);
    made["jid"].as_str().unwrap().to_owned()
}

/// A field with bytes, as protobuf writes it.
fn bytes(field: u64, value: &[u8]) -> Vec<u8> {
    let mut written = varint(field << 3 | 2);
    written.extend(varint(value.len() as u64));
    written.extend(value);
    written
}

/// A field with a number.
fn number(field: u64, value: u64) -> Vec<u8> {
    [varint(field << 3), varint(value)].concat()
}

fn varint(mut value: u64) -> Vec<u8> {
    let mut written = Vec::new();
    while value >= 0x80 {
        written.push(u8::try_from(value & 0x7f).unwrap() | 0x80);
        value >>= 7;
    }
    written.push(u8::try_from(value).unwrap());
    written
}

/// Somebody asks what is for lunch, until then: `pollCreationMessageV3` and, in `messageContextInfo`, the secret of the
/// votes. The message's id.
async fn asks(phone: &Phone, chat: &str, end_time: u64) -> String {
    let option = |name: &str| bytes(3, &bytes(1, name.as_bytes()));
    let poll = [
        bytes(2, b"Lunch?"),
        option("Soup"),
        option("Salad"),
        option("Cake"),
        number(4, 1),
        number(9, end_time),
    ]
    .concat();
    let message = [bytes(64, &poll), bytes(35, &bytes(3, &[7; 32]))].concat();
    phone.writes(&json!({ "to": chat, "message": BASE64.encode(message) })).await
}

/// Votes, and waits until that is told.
async fn votes(session: &Session, phone: &Phone, chat: &str, poll: &str, options: &[&str]) {
    let vote = casts(phone, chat, poll, options).await;
    let told = session.event_of("poll.vote", &vote).await;
    assert_eq!(told["payload"]["selectedOptions"], json!(options), "{told}");
}

async fn casts(phone: &Phone, chat: &str, poll: &str, options: &[&str]) -> String {
    phone.writes(&json!({ "to": chat, "kind": "pollVote", "target": poll, "options": options })).await
}

async fn recap(session: &Session) -> Value {
    eventually("the recap of the poll", TOLD, async || {
        session.events("poll.recap").await.pop().ok_or_else(|| "nothing".to_owned())
    })
    .await
}

fn counts(recap: &Value) -> Value {
    let options = recap["payload"]["options"].as_array().unwrap().iter();
    options.map(|option| json!([option["option"], option["count"]])).collect()
}

/// Who voted for what, in the order of their JIDs.
fn voters(votes: &[(&str, &str)]) -> Value {
    let mut votes = votes.to_vec();
    votes.sort_unstable();
    votes.iter().map(|(jid, option)| json!([jid, [option]])).collect()
}

fn told_voters(recap: &Value) -> Value {
    let voters = recap["payload"]["voters"].as_array().unwrap().iter();
    voters.map(|voter| json!([voter["voterId"], voter["selectedOptions"]])).collect()
}

/// Its object loses memory and socket, and has not come back yet.
async fn evict(session: &Session) {
    let path = format!("/simulator/sessions/{}/evict", session.id);
    session.organization.post(&path).await.expect(204);
}

async fn logged_in_again(phone: &Phone, before: &Value) {
    eventually("it to log in again", SOON, async || {
        let device = phone.device().await;
        let is_back = device["logins"].as_u64() > before["logins"].as_u64() && device["connected"] == true;
        if is_back { Ok(()) } else { Err(device.to_string()) }
    })
    .await;
}

async fn a_poll_of_the_own_phone_is_told_when_it_has_ended() {
    let (session, me) = Session::working().await;
    let friend = me.simulator.phone().await;
    let end_time = now_ms() + OPEN_SECONDS * 1_000;
    let poll = asks(&me, &friend.jid, end_time).await;
    let told = session.event_of("message.from_me", &poll).await;
    assert_eq!(told["payload"]["poll"]["endTime"], end_time, "{told}");
    friend.received(&poll).await;
    votes(&session, &friend, &me.jid, &poll, &["Soup"]).await;
    votes(&session, &me, &friend.jid, &poll, &["Cake"]).await;
    votes(&session, &friend, &me.jid, &poll, &["Salad"]).await;
    votes(&session, &me, &friend.jid, &poll, &[]).await;
    assert!(session.events("poll.recap").await.is_empty(), "told before its end");
    let recap = recap(&session).await;
    assert!(recap["timestamp"].as_u64().unwrap() >= end_time, "{recap}");
    let mut payload = recap["payload"].clone();
    let voter = payload["voters"][0].as_object_mut().unwrap();
    // The name depends on whether the library has met them by now.
    let name = voter.remove("displayName").unwrap();
    assert!([&friend.push_name, &friend.number].iter().any(|known| name == known.as_str()), "{name}");
    assert_eq!(
        payload,
        json!({
            "chatJid": friend.jid, "pollMessageId": poll, "name": "Lunch?", "selectableCount": 1,
            "endTime": end_time, "hideVotes": false, "totalVotes": 1,
            "options": [{"option": "Soup", "count": 0}, {"option": "Salad", "count": 1}, {"option": "Cake", "count": 0}],
            "voters": [{"voterId": friend.jid, "selectedOptions": ["Salad"]}],
        })
    );
    // Whoever votes now is too late.
    votes(&session, &me, &friend.jid, &poll, &["Soup"]).await;
    assert_eq!(session.events("poll.recap").await.len(), 1);
}

async fn a_poll_is_told_once_also_by_an_object_that_was_evicted_meanwhile() {
    let (session, me) = Session::working().await;
    let (ann, ben) = (me.simulator.phone().await, me.simulator.phone().await);
    let group = &group(&ann, &[&me, &ben]).await;
    // In seconds, as some clients write it.
    let end_time = now_ms() / 1_000 + OPEN_SECONDS;
    let poll = asks(&ann, group, end_time).await;
    session.event_of("message", &poll).await;
    ben.received(&poll).await;
    me.received(&poll).await;
    votes(&session, &ben, group, &poll, &["Soup"]).await;
    votes(&session, &ann, group, &poll, &["Salad"]).await;

    // What was voted before is kept; what is voted meanwhile waits at WhatsApp.
    let before = me.device().await;
    evict(&session).await;
    casts(&ben, group, &poll, &["Salad"]).await;
    casts(&me, group, &poll, &["Cake"]).await;
    logged_in_again(&me, &before).await;
    let recap = recap(&session).await;
    assert_eq!(recap["payload"]["endTime"], end_time * 1_000, "{recap}");
    assert_eq!(counts(&recap), json!([["Soup", 0], ["Salad", 2], ["Cake", 1]]), "{recap}");
    assert_eq!(recap["payload"]["totalVotes"], 3);
    let expected = voters(&[(&ann.jid, "Salad"), (&ben.jid, "Salad"), (&me.jid, "Cake")]);
    assert_eq!(told_voters(&recap), expected, "{recap}");

    // It is told by now, whoever looks.
    let before = me.device().await;
    evict(&session).await;
    logged_in_again(&me, &before).await;
    session.wait_for_status("working", SOON).await;
    let last = ann.text(group, "done").await;
    session.event_of("message", &last).await;
    assert_eq!(session.events("poll.recap").await.len(), 1);
}

async fn polls_that_were_sent_are_told_once_with_the_votes_of_both_sides() {
    let (session, me) = Session::working().await;
    let friend = me.simulator.phone().await;
    let group = group(&friend, &[&me]).await;
    let end_time = now_ms() + OPEN_SECONDS * 1_000;
    let mut expected = Vec::new();
    // Where the gateway sends it, and where the friend votes.
    for (chat, for_friend) in [(&friend.jid, &me.jid), (&group, &group)] {
        for hide_votes in [None, Some(true), Some(false)] {
            let name = format!("Lunch? {hide_votes:?}");
            let mut body = json!({
                "type": "poll", "to": chat, "name": name, "options": ["Soup", "Salad", "Cake"],
                "selectableCount": 2, "pollEndTime": end_time,
            });
            if let Some(hide_votes) = hide_votes {
                body["pollHideVotes"] = json!(hide_votes);
            }
            let sent = session.organization.post_json(&session.path("/messages"), &body).await.expect(200);
            let poll = sent["waMessageId"].as_str().unwrap();
            friend.received(poll).await;
            votes(&session, &friend, for_friend, poll, &["Cake"]).await;
            votes(&session, &friend, for_friend, poll, &["Soup", "Salad"]).await;
            let path = session.path(&format!("/messages/{poll}/vote"));
            let body = json!({ "chat": chat, "options": ["Salad"] });
            session.organization.post_json(&path, &body).await.expect(200);
            let is_hidden = hide_votes == Some(true);
            let mut recap = json!({
                "chatJid": chat, "pollMessageId": poll, "name": name, "selectableCount": 2,
                "endTime": end_time.div_ceil(1_000) * 1_000, "hideVotes": is_hidden, "totalVotes": 2,
                "options": [{"option": "Soup", "count": 1}, {"option": "Salad", "count": 2}, {"option": "Cake", "count": 0}],
            });
            if !is_hidden {
                let mut both = [(&friend.jid, json!(["Soup", "Salad"])), (&me.jid, json!(["Salad"]))];
                both.sort_by_key(|(jid, _)| *jid);
                let voters =
                    both.iter().map(|(jid, options)| json!({"voterId": jid, "selectedOptions": options}));
                recap["voters"] = voters.collect();
            }
            expected.push(recap);
        }
    }
    assert!(now_ms() < end_time, "they ended before all votes were in");
    let before = me.device().await;
    evict(&session).await;
    logged_in_again(&me, &before).await;
    let told = eventually("the recaps of all polls", TOLD, async || {
        let told = session.events("poll.recap").await;
        if told.len() >= expected.len() { Ok(told) } else { Err(format!("{} of them", told.len())) }
    })
    .await;
    let last = friend.text(&me.jid, "done").await;
    session.event_of("message", &last).await;
    assert_eq!(session.events("poll.recap").await.len(), expected.len(), "one each");
    let mut payloads: Vec<Value> = told.iter().map(|event| event["payload"].clone()).collect();
    for payload in &mut payloads {
        for voter in payload.get_mut("voters").and_then(Value::as_array_mut).into_iter().flatten() {
            voter.as_object_mut().unwrap().remove("displayName").unwrap();
        }
    }
    for payloads in [&mut payloads, &mut expected] {
        payloads.sort_by_key(|payload| payload["pollMessageId"].to_string());
    }
    assert_eq!(payloads, expected);
}
