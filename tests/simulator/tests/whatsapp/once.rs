//! Exactly once: what is refused, lost or said twice, and how a test can tell.

use serde_json::{Value, json};

use waproto::whatsapp::Message;
use whatsapp_rust::SendOptions;

use crate::group_messages::{self, CAROL};
use crate::kinds_sent::{ALICE, BOB, talking};
use crate::support::{Companion, Simulated};

const ID: &str = "3EB0AAAAAAAAAAAAAAAAAA";

/// The counts of a message that one device has sent.
async fn counts(simulated: &Simulated, id: &str) -> Value {
    let sent = simulated.get(&format!("/sent/{id}")).await;
    let stanzas = sent["stanzas"].as_array().unwrap();
    assert_eq!(stanzas.len(), 1, "{sent}");
    assert_eq!(stanzas[0]["from"], json!(format!("{ALICE}:1@s.whatsapp.net")));
    stanzas[0].clone()
}

async fn texts(simulated: &Simulated, number: &str) -> Vec<String> {
    let all = simulated.get(&format!("/phones/{number}/messages")).await;
    let text = |message: &Value| message["text"].as_str().map(str::to_owned);
    all["messages"].as_array().unwrap().iter().filter_map(text).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_second_stanza_under_an_id_is_acked_dropped_and_counted() {
    let (simulated, companion) = talking().await;
    for text in ["the first", "the second", "the third"] {
        companion.send_as(BOB, text, ID).await;
        assert_eq!(companion.ack(ID).await.error, None);
    }
    companion.send(BOB, "the last").await;
    simulated.received(BOB, |message| message["text"] == "the last").await;
    assert_eq!(texts(&simulated, BOB).await, ["the first", "the last"]);
    let counts = counts(&simulated, ID).await;
    assert_eq!(
        (&counts["received"], &counts["delivered"], &counts["dropped"]),
        (&json!(3), &json!(1), &json!(2))
    );
    assert_eq!(counts["to"], json!(format!("{BOB}@s.whatsapp.net")));
    let at: Vec<u64> = counts["at"].as_array().unwrap().iter().map(|at| at.as_u64().unwrap()).collect();
    assert!(at.len() == 3 && at.is_sorted(), "{at:?}");
    // What it would have been can be looked at, and the phone reads on.
    let dropped = simulated.get(&format!("/phones/{BOB}/dropped")).await["messages"].clone();
    let dropped: Vec<_> =
        dropped.as_array().unwrap().iter().map(|one| (&one["messageId"], &one["text"])).collect();
    assert_eq!(dropped, [(&json!(ID), &json!("the second")), (&json!(ID), &json!("the third"))]);
    assert_eq!(simulated.get("/sent/3EB0NEVER").await["stanzas"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_id_of_a_refused_message_can_be_used_again() {
    let (simulated, companion) = talking().await;
    for code in [463, 479] {
        simulated.fault(json!({ "kind": "ack_error", "code": code, "count": 1 })).await;
        companion.send_as(BOB, "now?", ID).await;
        assert_eq!(companion.ack(ID).await.error, Some(code.to_string()));
    }
    companion.send_as(BOB, "now!", ID).await;
    assert_eq!(companion.ack(ID).await.error, None);
    simulated.received(BOB, |message| message["text"] == "now!").await;
    assert_eq!(texts(&simulated, BOB).await, ["now!"]);
    let counts = counts(&simulated, ID).await;
    assert_eq!((&counts["refused"], &counts["delivered"]), (&json!([463, 479]), &json!(1)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_whose_ack_is_lost_is_there_and_a_lost_message_is_not() {
    let (simulated, companion) = talking().await;
    simulated.fault(json!({ "kind": "ack_drop", "count": 1 })).await;
    companion.send_as(BOB, "acked into the void", ID).await;
    simulated.received(BOB, |message| message["messageId"] == ID).await;
    // Sent again, because nobody said that it had arrived.
    companion.send_as(BOB, "acked into the void", ID).await;
    companion.ack(ID).await;
    let lost = "3EB0BBBBBBBBBBBBBBBBBB";
    simulated.fault(json!({ "kind": "message_lost", "target": ALICE })).await;
    companion.send_as(BOB, "into the void itself", lost).await;
    companion.send_as(BOB, "into the void itself", lost).await;
    companion.ack(lost).await;
    simulated.received(BOB, |message| message["messageId"] == lost).await;
    assert_eq!(texts(&simulated, BOB).await, ["acked into the void", "into the void itself"]);
    let (acked, lost) = (counts(&simulated, ID).await, counts(&simulated, lost).await);
    assert_eq!((&acked["received"], &acked["dropped"]), (&json!(2), &json!(1)));
    assert_eq!((&lost["received"], &lost["lost"], &lost["delivered"]), (&json!(2), &json!(1), &json!(1)));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_dropped_in_a_group_is_opened_too() {
    let (simulated, group) = group_messages::group().await;
    let (alice, _) = Companion::linked(&simulated, ALICE).await;
    for text in ["the first", "the second"] {
        let options = SendOptions::default().with_message_id(ID.to_owned());
        let message = Message { conversation: Some(text.to_owned()), ..Message::default() };
        alice.client.send_message_with_options(group.clone(), message, options).await.unwrap();
        assert_eq!(alice.ack(ID).await.error, None);
    }
    let last = group_messages::say(&alice, &group, "the last").await;
    for number in [BOB, CAROL, ALICE] {
        simulated.received(number, |message| message["messageId"] == last).await;
        assert_eq!(texts(&simulated, number).await, ["the first", "the last"]);
        let dropped = simulated.get(&format!("/phones/{number}/dropped")).await["messages"].clone();
        assert_eq!(dropped[0]["text"], "the second", "{dropped}");
        assert_eq!(dropped[0]["chat"], json!(group.to_string()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fault_can_let_some_pass_and_hit_one_chat_only() {
    let (simulated, companion) = talking().await;
    simulated.phone(CAROL).await;
    simulated.fault(json!({ "kind": "ack_drop", "to": BOB, "skip": 1 })).await;
    let acked = companion.send(BOB, "acked").await;
    companion.ack(&acked).await;
    companion.send(BOB, "not acked").await;
    let to_carol = companion.send(CAROL, "acked").await;
    assert_eq!(companion.any_ack().await, to_carol);
    let refused = json!({ "kind": "close", "skip": 1 });
    assert_eq!(simulated.call("POST", "/faults", Some(refused)).await.0, 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_can_be_for_one_chat_only() {
    let (simulated, group) = group_messages::group().await;
    let (alice, _) = Companion::linked(&simulated, ALICE).await;
    let bobs_lid = simulated.phone(BOB).await["lid"].as_str().unwrap().to_owned();
    for (to, code) in [(BOB.to_owned(), 463), (bobs_lid, 479), (format!("{BOB}@s.whatsapp.net"), 400)] {
        let fault = json!({ "kind": "ack_error", "code": code, "to": to, "target": ALICE });
        let fault = simulated.fault(fault).await;
        let to_carol = alice.send(CAROL, "hello").await;
        assert_eq!(alice.ack(&to_carol).await.error, None);
        let to_group = group_messages::say(&alice, &group, "hello").await;
        assert_eq!(alice.ack(&to_group).await.error, None);
        let to_bob = alice.send(BOB, "hello").await;
        assert_eq!(alice.ack(&to_bob).await.error, Some(code.to_string()));
        simulated.delete(&format!("/faults/{fault}")).await;
    }
    simulated.fault(json!({ "kind": "ack_error", "code": 420, "to": group.to_string() })).await;
    let to_group = group_messages::say(&alice, &group, "hello?").await;
    assert_eq!(alice.ack(&to_group).await.error.as_deref(), Some("420"));
    let to_bob = alice.send(BOB, "hello?").await;
    assert_eq!(alice.ack(&to_bob).await.error, None);
}
