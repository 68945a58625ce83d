//! What a session says about messages, as the people in the chat get it and as the gateway itself tells and shows it: edits,
//! revocations, reactions, forwards, votes.

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::files::{base64, mp4, pdf, png, webp};
use crate::harness::place::{Place, group, id_of, taken};
use crate::harness::{now_ms, tests};

tests![
    a_text_and_captions_can_be_changed,
    a_message_can_be_taken_back_and_an_admin_takes_back_anybodys,
    a_reaction_is_set_replaced_and_taken_back,
    what_is_passed_on_is_marked_and_its_file_is_not_uploaded_again,
    a_vote_is_cast_changed_and_taken_back,
    votes_in_a_poll_that_was_sent_are_told,
];

async fn a_text_and_captions_can_be_changed() {
    for place in Place::both().await {
        let sent = place.send(&json!({ "type": "text", "text": "tpyo" })).await;
        let id = id_of(&sent);
        for text in ["typo", "no typo"] {
            let before = now_ms();
            let edit = place.about(Method::PATCH, id, "", json!({ "text": text })).await;
            assert_ne!(edit["waMessageId"], sent["waMessageId"]);
            let mut message = place.said_about(id_of(&edit)).await;
            let at = taken(&mut message["content"], "timestampMs").as_u64().unwrap();
            assert!(at.abs_diff(before) < 30_000, "{at}");
            let edited = json!({ "kind": "text", "text": text, "content": {} });
            assert_eq!(
                message,
                json!({ "kind": "edit", "text": null,
                    "content": { "target": place.key(&place.me, id), "edited": edited } })
            );
            let told = json!({ "type": "text", "body": text, "targetId": id });
            place.told("message.edited", &edit, told).await;
            let shown = place.shown(id).await;
            assert_eq!((&shown["edited"], &shown["body"]), (&json!(true), &json!(text)), "{shown}");
        }
        for (kind, file) in
            [("image", png(20, 10)), ("video", mp4(20, 10, 1_000, 500)), ("document", pdf(100))]
        {
            let body = json!({ "type": kind, "media": { "data": base64(&file) }, "caption": "tpyo" });
            let sent = place.send(&body).await;
            let original = place.message(id_of(&sent)).await;
            let edit = place.about(Method::PATCH, id_of(&sent), "", json!({ "text": "typo" })).await;
            let message = place.said_about(id_of(&edit)).await;
            let edited = &message["content"]["edited"];
            assert_eq!(message["content"]["target"], place.key(&place.me, id_of(&sent)));
            let mut expected = original["content"].clone();
            expected["caption"] = json!("typo");
            expected.as_object_mut().unwrap().remove("envelopes");
            assert_eq!((&edited["kind"], &edited["content"]), (&json!(kind), &expected), "the same file");
            let told = place.session.event_of("message.edited", id_of(&edit)).await;
            let payload = &told["payload"];
            assert_eq!(
                (&payload["body"], &payload["targetId"], &payload["hasMedia"]),
                (&json!("typo"), &sent["waMessageId"], &json!(true)),
                "{told}"
            );
            let shown = place.shown(id_of(&sent)).await;
            assert_eq!((&shown["edited"], &shown["body"]), (&json!(true), &json!("typo")), "{shown}");
        }
    }
}

async fn a_message_can_be_taken_back_and_an_admin_takes_back_anybodys() {
    let [two, group_of_three] = Place::both().await;
    for place in [&two, &group_of_three] {
        let picture = json!({ "type": "image", "media": { "data": base64(&png(5, 5)) }, "caption": "oops" });
        for body in [json!({ "type": "text", "text": "oops" }), picture] {
            let sent = place.send(&body).await;
            let id = id_of(&sent);
            place.received(id).await;
            let revoke = place.about(Method::DELETE, id, "", json!({})).await;
            let message = place.said_about(id_of(&revoke)).await;
            let target = json!({ "id": id, "fromMe": true, "remoteJid": place.jid });
            assert_eq!(message, json!({ "kind": "revoke", "text": null, "content": { "target": target } }));
            place.told("message.revoked", &revoke, json!({ "type": "revoked", "targetId": id })).await;
            let shown = place.shown(id).await;
            assert_eq!((&shown["deleted"], &shown["edited"]), (&json!(true), &json!(false)), "{shown}");
        }
    }
    // Another's: in a chat of two nobody can, in a group its admins can.
    let theirs = two.others[0].text(&two.me.jid, "mine").await;
    two.session.event_of("message", &theirs).await;
    let delete = async |place: &Place, id: &str, body: Value| {
        let path = place.session.path(&format!("/messages/{id}"));
        place.session.organization.call(Method::DELETE, &path, Some(&body)).await
    };
    delete(&two, &theirs, json!({ "chat": two.jid })).await.expect_error(409, "conflict");

    let place = &group_of_three;
    let theirs = place.others[1].text(&place.jid, "mine").await;
    place.session.event_of("message", &theirs).await;
    let refused = delete(place, &theirs, json!({ "chat": place.jid })).await.expect_error(409, "conflict");
    assert_eq!(refused["details"]["whatsappCode"], "403", "{refused}");
    assert_eq!(place.shown(&theirs).await["deleted"], false);

    let body = json!({ "participants": [two.me.number, place.others[1].number], "admins": [two.me.number] });
    let jid = group(&place.others[0], &body).await;
    let (session, me, others) = (two.session.clone(), two.me.clone(), place.others.clone());
    let place = Place { session, me, others, jid };
    for is_named in [false, true] {
        let theirs = place.others[1].text(&place.jid, "mine").await;
        place.session.event_of("message", &theirs).await;
        let body = if is_named { json!({ "sender": place.others[1].number }) } else { json!({}) };
        let revoke = place.about(Method::DELETE, &theirs, "", body).await;
        let message = place.said_about(id_of(&revoke)).await;
        let target = place.key(&place.others[1], &theirs);
        assert_eq!(message["content"], json!({ "target": target }), "{message}");
        place.told("message.revoked", &revoke, json!({ "type": "revoked", "targetId": theirs })).await;
        assert_eq!(place.shown(&theirs).await["deleted"], true);
    }
}

async fn a_reaction_is_set_replaced_and_taken_back() {
    for place in Place::both().await {
        let author = place.others.last().unwrap();
        let theirs = author.text(place.for_others(), "a joke").await;
        place.session.event_of("message", &theirs).await;
        let own = place.session.sent(&place.jid, "a better joke").await;
        for (id, by) in [(&theirs, author), (&own, &place.me)] {
            for emoji in ["👍", "👩🏻‍❤️‍💋‍👨🏼", ""] {
                let before = now_ms();
                let done = if emoji.is_empty() {
                    place.about(Method::DELETE, id, "/reaction", json!({})).await
                } else {
                    place.about(Method::POST, id, "/reaction", json!({ "emoji": emoji })).await
                };
                let mut message = place.said_about(id_of(&done)).await;
                let at = taken(&mut message["content"], "senderTimestampMs").as_u64().unwrap();
                assert!(at.abs_diff(before) < 30_000, "{at}");
                let content = json!({ "target": place.key(by, id), "text": emoji });
                assert_eq!(message, json!({ "kind": "reaction", "text": null, "content": content }));
                let told = json!({ "type": "reaction", "targetId": id, "reaction": emoji });
                place.told("message.reaction", &done, told).await;
            }
        }
        // What was not there when it was written can be reacted to by naming its author.
        let before = json!({ "emoji": "🎉", "sender": author.number });
        let done = place.about(Method::POST, "3EB0BEFOREALL", "/reaction", before).await;
        let message = place.said_about(id_of(&done)).await;
        assert_eq!(message["content"]["target"], place.key(author, "3EB0BEFOREALL"), "{message}");
    }
}

async fn what_is_passed_on_is_marked_and_its_file_is_not_uploaded_again() {
    let [two, group] = Place::both().await;
    for (from, to) in [(&two, &group), (&group, &two), (&two, &two)] {
        let author = from.others.last().unwrap();
        let text = author.text(from.for_others(), "have you heard?").await;
        let file = png(25, 35);
        let picture =
            json!({ "to": from.for_others(), "kind": "image", "data": base64(&file), "caption": "seen" });
        let picture = author.writes(&picture).await;
        from.session.event_of("message", &picture).await;
        let own = json!({ "type": "document", "media": { "data": base64(&pdf(50)), "filename": "a.pdf" } });
        let own = from.send(&own).await["waMessageId"].as_str().unwrap().to_owned();
        let card = "BEGIN:VCARD\nVERSION:3.0\nFN:Jane\nEND:VCARD";
        let theirs = [
            json!({ "kind": "video", "data": base64(&mp4(9, 9, 1_000, 700)), "caption": "moving", "seconds": 1 }),
            json!({ "kind": "sticker", "data": base64(&webp(64, 64)) }),
            json!({ "kind": "location", "latitude": 1.5, "longitude": -2.5, "name": "Here" }),
            json!({ "kind": "contact", "displayName": "Jane", "vcard": card }),
            json!({ "kind": "poll", "name": "Tea?", "options": ["yes", "no"], "selectableCount": 1 }),
        ];
        let mut all = vec![(text, "text", None), (picture, "image", None), (own, "document", None)];
        for (mut body, sender) in
            theirs.into_iter().zip([&author.number, &author.jid, &author.lid].into_iter().cycle())
        {
            body["to"] = json!(from.for_others());
            let id = author.writes(&body).await;
            from.session.event_of("message", &id).await;
            let kind = ["video", "sticker", "location", "contact", "poll"]
                .into_iter()
                .find(|kind| body["kind"] == *kind);
            all.push((id, kind.unwrap(), Some(sender)));
        }
        for (id, kind, sender) in all {
            let mut original = from.me.received(&id).await["content"].clone();
            let mut body = json!({ "to": to.jid });
            if let Some(sender) = sender {
                body["sender"] = json!(sender);
            }
            let sent = from.about(Method::POST, &id, "/forward", body).await;
            assert_ne!(sent["waMessageId"], id.as_str());
            let mut message = to.message(id_of(&sent)).await;
            assert_eq!(message["kind"], kind);
            let content = &mut message["content"];
            assert_eq!(taken(content, "forwarded"), true);
            assert_eq!(taken(content, "forwardingScore"), 0);
            original.as_object_mut().unwrap().remove("messageSecret");
            assert_eq!(*content, original, "{kind}");
            assert_eq!(message["text"].is_null(), kind != "text");
            if ["image", "video", "document", "sticker"].contains(&kind) {
                let media = two.me.simulator.get("/media").await;
                let mut media = media["media"].as_array().unwrap().clone();
                media.retain(|one| one["directPath"] == message["content"]["directPath"]);
                assert_eq!((media.len(), &media[0]["uploads"]), (1, &json!(1)), "{media:?}");
            }
            let told = to.session.event_of("message.from_me", id_of(&sent)).await;
            assert_eq!(
                (&told["payload"]["chatJid"], &told["payload"]["type"]),
                (&json!(to.jid), &json!(kind)),
                "{told}"
            );
            // Once more, and that is counted.
            let (passed_on, back) = (id_of(&sent), json!({ "to": from.jid }));
            let sent = to.about(Method::POST, passed_on, "/forward", back).await;
            let message = from.message(id_of(&sent)).await;
            assert_eq!(message["content"]["forwardingScore"], 1, "{message}");
        }
    }
}

/// What was voted for, by the names of the options; the phones could read it.
fn voted(message: &Value, target: &Value) -> Value {
    let content = &message["content"];
    assert_eq!((&message["kind"], &content["decrypted"]), (&json!("pollVote"), &json!(true)), "{message}");
    assert_eq!(content["target"], *target, "{message}");
    content["selected"].as_array().unwrap().iter().map(|selected| selected["name"].clone()).collect()
}

async fn a_vote_is_cast_changed_and_taken_back() {
    let options = json!(["Soup", "Salad", "Cake"]);
    for place in Place::both().await {
        let author = place.others.last().unwrap();
        let theirs = json!({ "to": place.for_others(), "kind": "poll", "name": "Lunch?", "options": options,
            "selectableCount": 2 });
        let theirs = author.writes(&theirs).await;
        place.session.event_of("message", &theirs).await;
        for phone in place.others.iter().filter(|phone| phone.number != author.number) {
            phone.received(&theirs).await;
        }
        let own = place.send(&json!({ "type": "poll", "name": "Lunch?", "options": options })).await;
        for (id, by) in [(theirs.as_str(), author), (id_of(&own), &place.me)] {
            place.me.received(id).await;
            for choice in [json!(["Soup"]), json!(["Cake", "Salad"]), json!([])] {
                let vote = place.about(Method::POST, id, "/vote", json!({ "options": choice })).await;
                let message = place.received(id_of(&vote)).await;
                let mut selected = voted(&message, &place.key(by, id)).as_array().unwrap().clone();
                selected.sort_by_key(Value::to_string);
                let mut wanted = choice.as_array().unwrap().clone();
                wanted.sort_by_key(Value::to_string);
                assert_eq!(selected, wanted, "{message}");
                let told = place.session.event_of("poll.vote", id_of(&vote)).await;
                let payload = &told["payload"];
                assert_eq!(
                    (&payload["fromMe"], &payload["targetId"], &payload["senderJid"], &payload["chatJid"]),
                    (&json!(true), &json!(id), &json!(place.me.jid), &json!(place.jid)),
                    "{told}"
                );
                let mut selected = payload["selectedOptions"].as_array().unwrap().clone();
                selected.sort_by_key(Value::to_string);
                assert_eq!(selected, wanted, "{told}");
            }
        }
    }
}

async fn votes_in_a_poll_that_was_sent_are_told() {
    for place in Place::both().await {
        for selectable in [1, 0] {
            let body = json!({ "type": "poll", "name": "Lunch?", "options": ["Soup", "Salad", "Cake"],
                "selectableCount": selectable });
            let sent = place.send(&body).await;
            let id = id_of(&sent);
            place.received(id).await;
            for phone in &place.others {
                for choice in [json!(["Cake"]), json!(["Salad"]), json!([])] {
                    let vote = json!({ "to": place.for_others(), "kind": "pollVote", "target": id, "options": choice });
                    let vote = phone.writes(&vote).await;
                    let told = place.session.event_of("poll.vote", &vote).await;
                    let payload = &told["payload"];
                    assert_eq!(
                        (&payload["selectedOptions"], &payload["targetId"], &payload["fromMe"]),
                        (&choice, &json!(id), &json!(false)),
                        "{told}"
                    );
                    assert_eq!(
                        (&payload["senderJid"], &payload["chatJid"]),
                        (&json!(phone.jid), &json!(place.jid)),
                        "{told}"
                    );
                }
            }
        }
    }
}
