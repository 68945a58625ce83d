//! What a killed simulator still knows of groups' keys, of files, and of what messages are about.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD as BASE64;
use serde_json::json;
use wacore::download::MediaType;
use wacore_binary::Jid;
use waproto::buffa::MessageField;
use waproto::whatsapp::Message;
use waproto::whatsapp::message::ImageMessage;

use crate::group_messages::{ALICE, BOB, CAROL, say};
use crate::media::{about_the_file, file, opened, upload};
use crate::restart::{Process, State};
use crate::support::Companion;

#[tokio::test(flavor = "multi_thread")]
async fn groups_go_on_under_the_same_keys_and_files_and_polls_are_still_there() {
    let state = State::new("content");
    let process = Process::start(&state, None).await;
    let simulated = &process.simulated;
    for number in [ALICE, BOB, CAROL] {
        simulated.phone(number).await;
    }
    let body = json!({ "subject": "Picnic", "creator": ALICE, "participants": [BOB, CAROL] });
    let group: Jid = simulated.post("/groups", body).await["jid"].as_str().unwrap().parse().unwrap();
    let (alice, jid) = Companion::linked(simulated, ALICE).await;
    let said = say(&alice, &group, "out, before").await;
    simulated.received(CAROL, |message| message["messageId"] == said).await;
    simulated.send(BOB, &group.to_string(), "in, before").await;
    let theirs = alice.text("in, before").await;
    let body = json!({ "to": group.to_string(), "kind": "poll", "name": "?", "options": ["A", "B"] });
    let poll = simulated.say(BOB, body).await;
    let got = alice.message("the poll", |incoming| incoming.id == poll).await;
    let data = file(40_000, 1);
    let uploaded = upload(&alice, data.clone(), MediaType::Image).await;
    let image = about_the_file!(ImageMessage, uploaded, "image/jpeg");
    let message = Message { image_message: MessageField::some(image), ..Message::default() };
    let image = alice.client.send_message(&group, message).await.unwrap().message_id;
    let before = simulated.received(CAROL, |message| message["messageId"] == image).await;
    simulated.until_device(&jid, |device| device["queueLength"] == 0).await;
    let alice = alice.stop().await;

    let process = process.killed(&state).await;
    let simulated = &process.simulated;
    let alice = alice.start().await;
    alice.connected().await;
    assert_eq!(simulated.received(CAROL, |message| message["messageId"] == image).await, before);
    assert_eq!(opened(simulated, &uploaded.file_sha256).await, data);
    let said = say(&alice, &group, "out, after").await;
    let got_it = simulated.received(CAROL, |message| message["messageId"] == said).await;
    assert_eq!(got_it["text"], "out, after");
    simulated.send(BOB, &group.to_string(), "in, after").await;
    alice.text("in, after").await;
    let secret = got.message.message_context_info.message_secret.clone().unwrap();
    let choice = ["B".to_owned()];
    let vote = alice.client.polls().vote(&group, &poll, &got.sender, &secret, &choice).await.unwrap();
    for number in [BOB, CAROL] {
        let vote = simulated.received(number, |message| message["messageId"] == vote.message_id).await;
        assert_eq!(vote["content"]["selected"][0]["name"], "B");
    }
    let body = json!({ "to": group.to_string(), "kind": "reaction", "target": theirs.id, "text": "👍" });
    simulated.say(CAROL, body).await;
    alice.message("the reaction", |incoming| incoming.message.reaction_message.is_set()).await;
    // The hosts want credentials of this life; the client asks for them.
    let again = upload(&alice, data, MediaType::Image).await;
    assert_ne!(again.file_enc_sha256, uploaded.file_enc_sha256, "under another key");
    let listed = simulated.get("/media").await;
    assert_eq!(listed["media"].as_array().unwrap().len(), 2);
    assert_eq!(before["content"]["fileSha256"], json!(BASE64.encode(again.file_sha256)));
}
