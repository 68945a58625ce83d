//! Whatever a phone says, a companion has it field by field.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD as BASE64;
use serde_json::{Value, json};
use wacore::poll::PollVoteCiphertext;
use waproto::whatsapp::message::protocol_message::Type;

use crate::kinds_sent::{ALICE, BOB, bob, talking};
use crate::support::{Companion, Incoming, Simulated};

/// What Bob's phone says to Alice, as her companion has it.
async fn told(simulated: &Simulated, companion: &Companion, message: Value) -> Incoming {
    let mut message = message;
    message["to"] = json!(ALICE);
    let id = simulated.say(BOB, message).await;
    companion.message("what Bob said", |incoming| incoming.id == id).await
}

#[tokio::test(flavor = "multi_thread")]
async fn texts_with_everything_they_can_carry() {
    let (simulated, companion) = talking().await;
    let plain = told(&simulated, &companion, json!({ "text": "plain" })).await;
    assert_eq!(plain.message.conversation.as_deref(), Some("plain"));
    assert!(plain.message.message_context_info.is_unset(), "a text is what it was before there were kinds");
    let question = companion.send(BOB, "what is it?").await;
    simulated.received(BOB, |message| message["messageId"] == question).await;
    let body = json!({ "kind": "text", "text": "an answer", "quoted": question, "forwardingScore": 2,
                       "forwarded": true, "mentions": [format!("{ALICE}@s.whatsapp.net")] });
    let answer = told(&simulated, &companion, body).await;
    let context = &answer.message.extended_text_message.context_info;
    assert_eq!(answer.text().as_deref(), Some("an answer"));
    assert_eq!(context.stanza_id.as_deref(), Some(question.as_str()));
    assert_eq!(context.participant.as_deref(), Some(format!("{ALICE}@s.whatsapp.net").as_str()));
    assert_eq!(context.quoted_message.conversation.as_deref(), Some("what is it?"));
    assert_eq!(context.mentioned_jid, [format!("{ALICE}@s.whatsapp.net")]);
    assert_eq!((context.is_forwarded, context.forwarding_score), (Some(true), Some(2)));
}

#[tokio::test(flavor = "multi_thread")]
async fn places_people_polls_and_albums() {
    let (simulated, companion) = talking().await;
    let body = json!({ "kind": "location", "latitude": 1.5, "longitude": -2.5, "name": "Here", "address": "Street" });
    let place = told(&simulated, &companion, body).await.message;
    let place = &place.location_message;
    assert_eq!((place.degrees_latitude, place.degrees_longitude), (Some(1.5), Some(-2.5)));
    assert_eq!((place.name.as_deref(), place.address.as_deref()), (Some("Here"), Some("Street")));
    let body = json!({ "kind": "contact", "displayName": "Carol", "vcard": "BEGIN:VCARD\nEND:VCARD" });
    let contact = told(&simulated, &companion, body).await.message;
    assert_eq!(contact.contact_message.display_name.as_deref(), Some("Carol"));
    assert_eq!(contact.contact_message.vcard.as_deref(), Some("BEGIN:VCARD\nEND:VCARD"));
    let body =
        json!({ "kind": "contacts", "displayName": "2", "contacts": [{ "displayName": "A", "vcard": "V" }] });
    let contacts = told(&simulated, &companion, body).await.message;
    assert_eq!(contacts.contacts_array_message.contacts[0].display_name.as_deref(), Some("A"));
    let body = json!({ "kind": "album", "expectedImageCount": 2 });
    let album = told(&simulated, &companion, body).await.message;
    assert_eq!(album.album_message.expected_image_count, Some(2));
    for (selectable, version) in [(1, None), (0, None), (1, Some(5))] {
        let body = json!({ "kind": "poll", "name": "Lunch?", "options": ["Pizza", "Sushi"],
                           "selectableCount": selectable, "version": version });
        let message = told(&simulated, &companion, body).await.message;
        let poll = match (selectable, version) {
            (_, Some(_)) => &message.poll_creation_message_v5,
            (1, _) => &message.poll_creation_message_v3,
            _ => &message.poll_creation_message,
        };
        assert_eq!((poll.name.as_deref(), poll.options.len()), (Some("Lunch?"), 2));
        assert_eq!(message.message_context_info.message_secret.as_ref().map(Vec::len), Some(32));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn votes_reactions_edits_and_deletions_are_about_what_they_say() {
    let (simulated, companion) = talking().await;
    let options = ["Pizza", "Sushi"].map(str::to_owned);
    let (poll, secret) = companion.client.polls().create(bob(), "Lunch?", &options, 1).await.unwrap();
    let poll = poll.message_id;
    simulated.received(BOB, |message| message["messageId"] == poll).await;
    let body = json!({ "kind": "pollVote", "target": poll, "options": ["Sushi"] });
    let vote = told(&simulated, &companion, body).await;
    let update = &vote.message.poll_update_message;
    assert_eq!(update.poll_creation_message_key.id.as_deref(), Some(poll.as_str()));
    let (payload, iv) = (update.vote.enc_payload.as_ref().unwrap(), update.vote.enc_iv.as_ref().unwrap());
    let own = companion.client.pn().unwrap();
    let ciphertext = PollVoteCiphertext { enc_payload: payload, enc_iv: iv };
    let hashes = companion.client.polls().decrypt_vote(ciphertext, &secret, &poll, &own, &vote.sender).await;
    assert_eq!(hashes.unwrap(), [wacore::poll::compute_option_hash("Sushi").to_vec()]);

    let mine = companion.send(BOB, "hello").await;
    simulated.received(BOB, |message| message["messageId"] == mine).await;
    let reaction =
        told(&simulated, &companion, json!({ "kind": "reaction", "target": mine, "text": "👍" })).await;
    let reaction = &reaction.message.reaction_message;
    assert_eq!((reaction.text.as_deref(), reaction.key.from_me), (Some("👍"), Some(false)));
    assert_eq!(reaction.key.id.as_deref(), Some(mine.as_str()));

    let theirs = told(&simulated, &companion, json!({ "kind": "text", "text": "tpyo" })).await;
    let edit =
        told(&simulated, &companion, json!({ "kind": "edit", "target": theirs.id, "text": "typo" })).await;
    let protocol = &edit.message.protocol_message;
    assert_eq!(
        (protocol.r#type, protocol.key.id.as_deref()),
        (Some(Type::MESSAGE_EDIT), Some(theirs.id.as_str()))
    );
    assert_eq!(protocol.edited_message.conversation.as_deref(), Some("typo"));
    let body = json!({ "kind": "edit", "target": theirs.id, "text": "typo!", "encrypted": true });
    let edit = told(&simulated, &companion, body).await;
    // The client has opened it by itself: it has the original's secret.
    let protocol = &edit.message.protocol_message;
    assert_eq!(protocol.edited_message.conversation.as_deref(), Some("typo!"));
    let revoke = told(&simulated, &companion, json!({ "kind": "revoke", "target": theirs.id })).await;
    let protocol = &revoke.message.protocol_message;
    assert_eq!((protocol.r#type, protocol.key.id.as_deref()), (Some(Type::REVOKE), Some(theirs.id.as_str())));
    let forward = told(&simulated, &companion, json!({ "kind": "forward", "target": theirs.id })).await;
    assert_eq!(forward.message.extended_text_message.context_info.is_forwarded, Some(true));
    let pin = told(&simulated, &companion, json!({ "kind": "pin", "target": mine })).await;
    assert_eq!(pin.message.pin_in_chat_message.key.id.as_deref(), Some(mine.as_str()));

    let protobuf = waproto::whatsapp::Message { conversation: Some("raw".to_owned()), ..Default::default() };
    let encoded = BASE64.encode(waproto::codec::message_to_vec(&protobuf));
    assert_eq!(
        told(&simulated, &companion, json!({ "message": encoded })).await.text().as_deref(),
        Some("raw")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cant_be_said_is_refused() {
    let (simulated, _companion) = talking().await;
    let path = format!("/phones/{BOB}/messages");
    let cases = [
        (json!({ "to": ALICE }), 400, "invalid_request"),
        (json!({ "to": ALICE, "kind": "telegram" }), 400, "invalid_request"),
        (json!({ "to": ALICE, "kind": "image" }), 400, "invalid_request"),
        (json!({ "to": ALICE, "kind": "image", "data": "!" }), 400, "invalid_request"),
        (
            json!({ "to": ALICE, "kind": "reaction", "target": "NOWHERE", "text": "?" }),
            400,
            "invalid_request",
        ),
        (json!({ "to": ALICE, "kind": "poll", "name": "?", "options": ["one"] }), 400, "invalid_request"),
        (json!({ "to": "999999", "text": "?" }), 404, "not_on_whatsapp"),
        (json!({ "to": "120363000000000000@g.us", "text": "?" }), 404, "not_found"),
    ];
    for (body, status, code) in cases {
        let (answered, answer) = simulated.call("POST", &path, Some(body.clone())).await;
        assert_eq!((answered, &answer["error"]["code"]), (status, &json!(code)), "{body}");
    }
}
