//! What a session answers with: the message that is meant stands in the answer, and no other.

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::files::{base64, mp4, opus, png, webp};
use crate::harness::place::{Place, id_of};
use crate::harness::tests;

tests![
    every_type_can_answer_and_say_whom_it_means,
    what_is_told_of_an_answer_has_all_that_is_known_of_what_it_answers,
    a_message_of_another_chat_is_not_quoted,
];

async fn every_type_can_answer_and_say_whom_it_means() {
    for place in Place::both().await {
        let author = place.others.last().unwrap();
        let theirs = author.text(place.for_others(), "shall we?").await;
        place.session.event_of("message", &theirs).await;
        let own = place.session.sent(&place.jid, "we shall").await;
        let image = json!({ "data": base64(&png(9, 9)) });
        let bodies = [
            json!({ "type": "text", "text": "yes @you" }),
            json!({ "type": "poll", "name": "When?", "options": ["now", "then"] }),
            json!({ "type": "location", "latitude": 1, "longitude": 2 }),
            json!({ "type": "contact", "contact": { "name": "Jane", "phone": "4915112345678" } }),
            json!({ "type": "image", "media": image, "caption": "this" }),
            json!({ "type": "video", "media": { "data": base64(&mp4(8, 8, 500, 900)) } }),
            json!({ "type": "audio", "media": { "data": base64(&opus(900)) } }),
            json!({ "type": "document", "media": { "data": "aGVsbG8=" }, "caption": "that" }),
            json!({ "type": "sticker", "media": { "data": base64(&webp(512, 512)) } }),
            json!({ "type": "album", "medias": [image, image] }),
        ];
        for body in bodies {
            let kind = body["type"].as_str().unwrap();
            let means_people = ["text", "image", "video", "document", "album"].contains(&kind);
            for (id, by, said) in [(&theirs, author, "shall we?"), (&own, &place.me, "we shall")] {
                let mut body = body.clone();
                body["replyTo"] = json!(id);
                if means_people {
                    body["mentions"] = json!([author.number, place.me.lid]);
                }
                let sent = place.send(&body).await;
                let message = place.received(id_of(&sent)).await;
                let content = &message["content"];
                let quoted = json!({ "id": id, "participant": place.named(by),
                    "message": { "kind": "text", "text": said, "content": {} } });
                assert_eq!((&message["kind"], &content["quoted"]), (&json!(kind), &quoted), "{message}");
                let mentions = if means_people { json!([author.jid, place.me.lid]) } else { Value::Null };
                assert_eq!(content["mentions"], mentions, "{message}");
                if kind == "text" {
                    assert_eq!(message["text"], "yes @you");
                }
            }
        }
        // Of what nobody has seen only its id is known.
        let sent = place.send(&json!({ "type": "text", "text": "to what?", "replyTo": "3EB0UNKNOWN" })).await;
        let message = place.received(id_of(&sent)).await;
        assert_eq!(message["content"]["quoted"]["id"], "3EB0UNKNOWN", "{message}");
        // A file is quoted as what it is, a text that was changed as it is now.
        let picture = place.send(&json!({ "type": "image", "media": image, "caption": "before" })).await;
        place.about(Method::PATCH, id_of(&picture), "", json!({ "text": "after" })).await;
        let sent = place
            .send(&json!({ "type": "text", "text": "this one", "replyTo": picture["waMessageId"] }))
            .await;
        let message = place.received(id_of(&sent)).await;
        let quoted = &message["content"]["quoted"]["message"];
        assert_eq!(
            (&quoted["kind"], &quoted["content"]["caption"]),
            (&json!("image"), &json!("after")),
            "{message}"
        );
        assert_eq!(quoted["content"]["messageSecret"], Value::Null, "a secret is not told again");
    }
}

async fn what_is_told_of_an_answer_has_all_that_is_known_of_what_it_answers() {
    let mut wrong = Vec::new();
    for place in Place::both().await {
        let author = place.others.last().unwrap();
        let theirs = author.text(place.for_others(), "shall we?").await;
        place.session.event_of("message", &theirs).await;
        let own = place.session.sent(&place.jid, "we shall").await;
        for (id, by, said) in [(&theirs, author, "shall we?"), (&own, &place.me, "we shall")] {
            let picture =
                json!({ "type": "image", "media": { "data": base64(&png(9, 9)) }, "caption": "yes @you" });
            for mut body in [json!({ "type": "text", "text": "yes @you" }), picture] {
                body["replyTo"] = json!(id);
                body["mentions"] = json!([author.number, place.me.lid]);
                let sent = place.send(&body).await;
                let told = place.session.event_of("message.from_me", id_of(&sent)).await;
                let payload = &told["payload"];
                let quoted = json!({
                    "id": payload["quotedMessageId"], "body": payload["quotedBody"],
                    "fromMe": payload["quotedFromMe"], "jid": payload["quotedSenderJid"],
                });
                let is_own = by.number == place.me.number;
                let expected = json!({ "id": id, "body": said, "fromMe": is_own, "jid": by.jid });
                if quoted != expected {
                    wrong.push(format!("{quoted} and not {expected}"));
                }
                let mut named: Vec<&String> = payload["mentions"].as_object().unwrap().keys().collect();
                let mut expected = [&author.jid, &place.me.lid];
                named.sort();
                expected.sort();
                assert_eq!(named, expected, "{told}");
                let shown = place.shown(id_of(&sent)).await;
                assert_eq!(shown["quotedMessageId"], id.as_str(), "{shown}");
            }
        }
    }
    assert!(wrong.is_empty(), "told:\n{}", wrong.join("\n"));
}

async fn a_message_of_another_chat_is_not_quoted() {
    let [two, group] = Place::both().await;
    let other = two.me.simulator.phone().await;
    let own = two.session.sent(&other.number, "secret, of ours").await;
    other.received(&own).await;
    let theirs = other.text(&two.me.jid, "secret, of theirs").await;
    two.session.event_of("message", &theirs).await;
    let in_group = group.session.sent(&group.jid, "secret, of the group").await;
    let in_two = two.session.sent(&two.jid, "secret, of the two").await;
    let picture = json!({ "data": base64(&png(9, 9)) });
    for (place, ids) in [(&two, [&own, &theirs, &in_group]), (&group, [&own, &theirs, &in_two])] {
        for id in ids {
            for mut body in [
                json!({ "type": "text", "text": "what was that?" }),
                json!({ "type": "image", "media": picture }),
                json!({ "type": "poll", "name": "What?", "options": ["this", "that"] }),
            ] {
                body["replyTo"] = json!(id);
                let sent = place.send(&body).await;
                let message = place.received(id_of(&sent)).await;
                // Its id, which the caller named, and nothing of what it says or who wrote it.
                let quoted = &message["content"]["quoted"];
                assert_eq!(quoted["id"], id.as_str(), "{message}");
                assert_eq!(
                    quoted["message"],
                    json!({ "kind": "text", "text": "", "content": {} }),
                    "{message}"
                );
                let author = if place.is_group() { Value::Null } else { json!(place.jid) };
                assert_eq!(quoted["participant"], author, "{message}");
                let told = place.session.event_of("message.from_me", id_of(&sent)).await;
                for leak in ["secret", other.number.as_str(), other.lid.as_str()] {
                    assert!(!message.to_string().contains(leak), "{leak}: {message}");
                    assert!(!told.to_string().contains(leak), "{leak}: {told}");
                    let shown = place.shown(id_of(&sent)).await;
                    assert!(!shown.to_string().contains(leak), "{leak}: {shown}");
                }
            }
        }
    }
}
