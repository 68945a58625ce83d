//! Whatever a companion says, the phone at the other end has it field by field.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD as BASE64;
use serde_json::{Value, json};
use wacore_binary::Jid;
use waproto::buffa::MessageField;
use waproto::whatsapp::message::{
    AlbumMessage, ContactMessage, ContactsArrayMessage, ExtendedTextMessage, LocationMessage,
};
use waproto::whatsapp::{ContextInfo, Message, MessageKey};
use whatsapp_rust::send::{PinDuration, RevokeType};

use crate::support::{Companion, DEADLINE, Simulated, simulator};

pub const ALICE: &str = "5511999990001";
pub const BOB: &str = "5511999990002";

pub fn bob() -> Jid {
    Jid::pn(BOB)
}

pub async fn talking() -> (Simulated, Companion) {
    let simulated = simulator().await;
    simulated.phone(ALICE).await;
    simulated.phone(BOB).await;
    let (companion, _) = Companion::linked(&simulated, ALICE).await;
    (simulated, companion)
}

/// Sends it to Bob: its id, and what Bob's phone has of it. Alice's own phone must have the same.
pub async fn say(simulated: &Simulated, companion: &Companion, message: Message) -> (String, Value) {
    let sent = tokio::time::timeout(DEADLINE, companion.client.send_message(bob(), message)).await;
    let id = sent.expect("send hangs").unwrap().message_id.clone();
    let got = heard(simulated, &id).await;
    (id, got)
}

/// The message on Bob's phone, and on Alice's as her own.
pub async fn heard(simulated: &Simulated, id: &str) -> Value {
    let got = simulated.received(BOB, |message| message["messageId"] == id).await;
    assert_eq!((&got["from"], &got["fromMe"]), (&json!(format!("{ALICE}@s.whatsapp.net")), &json!(false)));
    let own = simulated.received(ALICE, |message| message["messageId"] == id).await;
    assert_eq!((&own["chat"], &own["fromMe"]), (&json!(format!("{BOB}@s.whatsapp.net")), &json!(true)));
    assert_eq!((&got["kind"], &got["content"]), (&own["kind"], &own["content"]), "{id} differs");
    got
}

fn key(id: &str, from_me: bool) -> MessageKey {
    MessageKey {
        remote_jid: Some(bob().to_string()),
        from_me: Some(from_me),
        id: Some(id.to_owned()),
        ..MessageKey::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn texts_with_everything_they_can_carry() {
    let (simulated, companion) = talking().await;
    let id = companion.send(BOB, "plain").await;
    let got = heard(&simulated, &id).await;
    assert_eq!((&got["kind"], &got["text"]), (&json!("text"), &json!("plain")));

    simulated.send(BOB, ALICE, "what is it?").await;
    let question = companion.text("what is it?").await.message.as_ref().clone();
    let quoted = ContextInfo {
        stanza_id: Some("QUESTION".to_owned()),
        participant: Some(bob().to_string()),
        quoted_message: MessageField::some(question),
        mentioned_jid: vec![bob().to_string()],
        is_forwarded: Some(true),
        forwarding_score: Some(3),
        expiration: Some(86_400),
        ..ContextInfo::default()
    };
    let extended = ExtendedTextMessage {
        text: Some("an answer".to_owned()),
        context_info: MessageField::some(quoted),
        ..ExtendedTextMessage::default()
    };
    let message = Message { extended_text_message: MessageField::some(extended), ..Message::default() };
    let (_, got) = say(&simulated, &companion, message).await;
    assert_eq!((&got["kind"], &got["text"]), (&json!("text"), &json!("an answer")));
    let content = &got["content"];
    assert_eq!(content["quoted"]["id"], "QUESTION");
    assert_eq!(content["quoted"]["participant"], json!(bob().to_string()));
    assert_eq!(content["quoted"]["message"]["text"], "what is it?");
    assert_eq!(content["mentions"], json!([bob().to_string()]));
    assert_eq!((&content["forwarded"], &content["forwardingScore"]), (&json!(true), &json!(3)));
    assert_eq!(content["expiration"], 86_400);
}

#[tokio::test(flavor = "multi_thread")]
async fn places_people_and_albums() {
    let (simulated, companion) = talking().await;
    let place = LocationMessage {
        degrees_latitude: Some(-23.561_414),
        degrees_longitude: Some(-46.655_881),
        name: Some("MASP".to_owned()),
        address: Some("Av. Paulista, 1578".to_owned()),
        ..LocationMessage::default()
    };
    let message = Message { location_message: MessageField::some(place), ..Message::default() };
    let (_, got) = say(&simulated, &companion, message).await;
    assert_eq!((&got["kind"], &got["text"]), (&json!("location"), &Value::Null));
    let content = &got["content"];
    assert_eq!((&content["latitude"], &content["longitude"]), (&json!(-23.561_414), &json!(-46.655_881)));
    assert_eq!((&content["name"], &content["address"]), (&json!("MASP"), &json!("Av. Paulista, 1578")));

    let card = |name: &str| ContactMessage {
        display_name: Some(name.to_owned()),
        vcard: Some(format!("BEGIN:VCARD\nVERSION:3.0\nFN:{name}\nEND:VCARD")),
        ..ContactMessage::default()
    };
    let message = Message { contact_message: MessageField::some(card("Carol")), ..Message::default() };
    let (_, got) = say(&simulated, &companion, message).await;
    assert_eq!((&got["kind"], &got["content"]["displayName"]), (&json!("contact"), &json!("Carol")));
    assert_eq!(got["content"]["vcard"], "BEGIN:VCARD\nVERSION:3.0\nFN:Carol\nEND:VCARD");
    let both = ContactsArrayMessage {
        display_name: Some("2 contacts".to_owned()),
        contacts: vec![card("Carol"), card("Dave")],
        ..ContactsArrayMessage::default()
    };
    let message = Message { contacts_array_message: MessageField::some(both), ..Message::default() };
    let (_, got) = say(&simulated, &companion, message).await;
    assert_eq!(got["kind"], "contacts");
    assert_eq!(got["content"]["contacts"][1]["displayName"], "Dave");

    let album = AlbumMessage {
        expected_image_count: Some(2),
        expected_video_count: Some(1),
        ..AlbumMessage::default()
    };
    let message = Message { album_message: MessageField::some(album), ..Message::default() };
    let (_, got) = say(&simulated, &companion, message).await;
    let content = &got["content"];
    assert_eq!(got["kind"], "album");
    assert_eq!((&content["expectedImageCount"], &content["expectedVideoCount"]), (&json!(2), &json!(1)));
}

#[tokio::test(flavor = "multi_thread")]
async fn polls_and_votes_with_what_was_voted_for() {
    let (simulated, companion) = talking().await;
    let options = ["Pizza", "Sushi", "Tacos"].map(str::to_owned);
    for (selectable, version) in [(1, 3), (2, 1)] {
        let polls = companion.client.polls();
        let (sent, secret) = polls.create(bob(), "Lunch?", &options, selectable).await.unwrap();
        let got = heard(&simulated, &sent.message_id).await;
        let content = &got["content"];
        assert_eq!((&got["kind"], &content["name"]), (&json!("poll"), &json!("Lunch?")));
        assert_eq!(content["options"], json!(options));
        assert_eq!((&content["selectableCount"], &content["version"]), (&json!(selectable), &json!(version)));
        assert_eq!(content["messageSecret"], json!(BASE64.encode(&secret)));

        let own = Jid::pn(ALICE);
        let choice = &options[1..=1];
        let vote = polls.vote(bob(), &sent.message_id, &own, &secret, choice).await.unwrap();
        let got = heard(&simulated, &vote.message_id).await;
        let content = &got["content"];
        assert_eq!((&got["kind"], &content["decrypted"]), (&json!("pollVote"), &json!(true)));
        assert_eq!(content["target"]["id"], json!(sent.message_id));
        assert_eq!(content["selected"][0]["name"], "Sushi");
        let hash = BASE64.encode(wacore::poll::compute_option_hash("Sushi"));
        assert_eq!(content["selected"], json!([{ "hash": hash, "name": "Sushi" }]));
        // A vote that is taken back.
        let vote = polls.vote(bob(), &sent.message_id, &own, &secret, &[]).await.unwrap();
        let got = heard(&simulated, &vote.message_id).await;
        assert_eq!((&got["content"]["decrypted"], &got["content"]["selected"]), (&json!(true), &json!([])));
    }
    // And in a poll of the other side's.
    let poll = json!({ "to": ALICE, "kind": "poll", "name": "Where?", "options": ["Here", "There"],
                       "selectableCount": 1 });
    let id = simulated.say(BOB, poll).await;
    let poll = companion.message("poll", |incoming| incoming.id == id).await.message;
    let secret = poll.message_context_info.message_secret.clone().unwrap();
    let choice = ["There".to_owned()];
    let vote = companion.client.polls().vote(bob(), &id, &bob(), &secret, &choice).await.unwrap();
    let got = heard(&simulated, &vote.message_id).await;
    assert_eq!(got["content"]["selected"][0]["name"], "There");
}

#[tokio::test(flavor = "multi_thread")]
async fn reactions_edits_and_deletions_say_what_they_are_about() {
    let (simulated, companion) = talking().await;
    let theirs = simulated.send(BOB, ALICE, "hello").await;
    companion.text("hello").await;
    for emoji in ["👍", ""] {
        let sent = companion.client.send_reaction(bob(), key(&theirs, false), emoji).await.unwrap();
        let got = heard(&simulated, &sent.message_id).await;
        let content = &got["content"];
        assert_eq!((&got["kind"], &content["text"]), (&json!("reaction"), &json!(emoji)));
        let target = json!({ "id": theirs, "fromMe": false, "remoteJid": bob().to_string() });
        assert_eq!(content["target"], target);
    }

    let id = companion.send(BOB, "tpyo").await;
    heard(&simulated, &id).await;
    let corrected = Message { conversation: Some("typo".to_owned()), ..Message::default() };
    companion.client.edit_message(bob(), &id, corrected.clone()).await.unwrap();
    let got = simulated.received(BOB, |message| message["kind"] == "edit").await;
    assert_ne!(got["messageId"], json!(id), "an edit has an id of its own");
    assert_eq!(got["content"]["target"]["id"], json!(id));
    assert_eq!(got["content"]["edited"]["text"], "typo");
    assert_eq!(got["content"]["encrypted"], Value::Null);

    // The same under the secret of the original.
    let secret = BASE64.decode(heard(&simulated, &id).await["content"]["messageSecret"].as_str().unwrap());
    companion.client.edit_message_encrypted(bob(), &id, &secret.unwrap(), corrected).await.unwrap();
    let sealed = |message: &Value| message["content"]["encrypted"] == true;
    let got = simulated.received(BOB, sealed).await;
    assert_eq!((&got["kind"], &got["content"]["target"]["id"]), (&json!("edit"), &json!(id)));
    assert_eq!(got["content"]["edited"]["text"], "typo");

    companion.client.revoke_message(bob(), &id, RevokeType::Sender).await.unwrap();
    let got = simulated.received(BOB, |message| message["kind"] == "revoke").await;
    assert_eq!((&got["content"]["target"]["id"], &got["text"]), (&json!(id), &Value::Null));

    let original = Message { conversation: Some("pass it on".to_owned()), ..Message::default() };
    let sent = companion.client.forward_message(bob(), &original).await.unwrap();
    let got = heard(&simulated, &sent.message_id).await;
    assert_eq!((&got["text"], &got["content"]["forwarded"]), (&json!("pass it on"), &json!(true)));

    companion.client.pin_message(bob(), key(&theirs, false), PinDuration::Days7).await.unwrap();
    let got = simulated.received(BOB, |message| message["kind"] == "other").await;
    assert_eq!(got["content"]["type"], "pinInChatMessage");
    assert!(!BASE64.decode(got["content"]["protobuf"].as_str().unwrap()).unwrap().is_empty());
}
