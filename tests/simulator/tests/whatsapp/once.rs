//! Exactly once: what is refused, lost or said twice, and how a test can tell.

use serde_json::{Value, json};

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
