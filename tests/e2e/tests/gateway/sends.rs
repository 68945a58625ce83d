//! Everything a session can say, as the people in the chat get it, field by field and byte for byte, and as the gateway
//! itself tells and shows it.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::harness::files::{FileServer, base64, mp4, opus, pdf, png, webp};
use crate::harness::place::{Place, check_sidecar, check_thumbnail, extend, group, id_of, media_of, taken};
use crate::harness::{Patience, eventually, now_ms, tests};

tests![
    what_has_no_files_arrives_as_it_was_said,
    files_arrive_byte_for_byte_from_the_request_and_from_a_url,
    an_album_arrives_as_one,
    a_status_only_rises_from_pending_to_played,
    typing_takes_its_time_and_the_text_arrives,
    a_group_one_is_not_in_takes_nothing,
];

const SOON: Patience = Patience::seconds(30);

async fn what_has_no_files_arrives_as_it_was_said() {
    let ends = (now_ms() / 1_000 + 3_600) * 1_000 + 1;
    let options = json!(["Soup", "Salad 🥗", "Cake"]);
    let card = "BEGIN:VCARD\nVERSION:3.0\nFN:Ünï Cöde\nTEL:+1\nEND:VCARD";
    let made = "BEGIN:VCARD\nVERSION:3.0\nN:;Doe\\, Jane;;;\nFN:Doe\\, Jane\n\
                TEL;type=CELL;type=VOICE;waid=4915112345678:+4915112345678\nEND:VCARD";
    // What is asked for, the kind, what the phones get, what is told.
    let cases = [
        (
            json!({ "type": "text", "text": "hi 👋\nthere" }),
            "text",
            json!({}),
            json!({ "body": "hi 👋\nthere" }),
        ),
        (
            json!({ "type": "poll", "name": "Lunch?", "options": options, "selectableCount": 1, "pollEndTime": ends }),
            "poll",
            json!({ "name": "Lunch?", "options": options, "selectableCount": 1, "version": 3, "endTime": ends / 1_000 + 1 }),
            json!({ "body": "Lunch?", "poll": {
                "name": "Lunch?", "options": options, "selectableCount": 1, "endTime": (ends / 1_000 + 1) * 1_000 } }),
        ),
        (
            json!({ "type": "poll", "name": "Which?", "options": options, "pollHideVotes": true }),
            "poll",
            json!({ "name": "Which?", "options": options, "selectableCount": 0, "version": 1, "hideVotes": true }),
            json!({ "body": "Which?", "poll": {
                "name": "Which?", "options": options, "selectableCount": 0, "hideVotes": true } }),
        ),
        (
            json!({ "type": "poll", "name": "Two?", "options": options, "selectableCount": 2, "pollHideVotes": false }),
            "poll",
            json!({ "name": "Two?", "options": options, "selectableCount": 2, "version": 1, "hideVotes": false }),
            json!({ "body": "Two?", "poll": {
                "name": "Two?", "options": options, "selectableCount": 2, "hideVotes": false } }),
        ),
        (
            json!({ "type": "location", "latitude": 52.516_272, "longitude": -13.377_722, "name": "Gate" }),
            "location",
            json!({ "latitude": 52.516_272, "longitude": -13.377_722, "name": "Gate" }),
            json!({ "location": { "latitude": 52.516_272, "longitude": -13.377_722, "name": "Gate" } }),
        ),
        (
            json!({ "type": "location", "latitude": 0, "longitude": 180 }),
            "location",
            json!({ "latitude": 0.0, "longitude": 180.0 }),
            json!({ "location": { "latitude": 0.0, "longitude": 180.0 } }),
        ),
        (
            json!({ "type": "contact", "contact": { "name": "Doe, Jane", "phone": "+4915112345678" } }),
            "contact",
            json!({ "displayName": "Doe, Jane", "vcard": made }),
            json!({ "contact": { "displayName": "Doe, Jane", "vcard": made } }),
        ),
        (
            json!({ "type": "contact", "contact": { "vcard": card } }),
            "contact",
            json!({ "displayName": "Ünï Cöde", "vcard": card }),
            json!({ "contact": { "displayName": "Ünï Cöde", "vcard": card } }),
        ),
        (
            json!({ "type": "contact", "contact": { "vcard": card, "name": "Nick" } }),
            "contact",
            json!({ "displayName": "Nick", "vcard": card }),
            json!({ "contact": { "displayName": "Nick", "vcard": card } }),
        ),
    ];
    for place in Place::both().await {
        for (body, kind, content, told) in &cases {
            let sent = place.send(body).await;
            let message = place.message(id_of(&sent)).await;
            let expected = json!({ "kind": kind, "text": body["text"], "content": content });
            assert_eq!(message, expected, "{body}");
            let mut told = told.clone();
            told["type"] = json!(kind);
            place.told("message.from_me", &sent, told.clone()).await;
            let shown = place.shown(id_of(&sent)).await;
            assert_eq!((&shown["type"], &shown["body"]), (&json!(kind), &told["body"]), "{shown}");
            assert_eq!(
                (&shown["direction"], &shown["edited"], &shown["deleted"]),
                (&json!("out"), &json!(false), &json!(false)),
                "{shown}"
            );
        }
    }
}

/// A file of each kind: what is asked for beside it, what the phones get beside it, its media type.
struct Sample {
    kind: &'static str,
    file: Vec<u8>,
    mimetype: &'static str,
    asked: Value,
    content: Value,
    /// The name of a document in the place of the one that the URL has.
    filename: Option<&'static str>,
}

impl Sample {
    fn all() -> Vec<Self> {
        let of = |kind, file, mimetype, asked, content, filename| Self {
            kind,
            file,
            mimetype,
            asked,
            content,
            filename,
        };
        let sized = |width: u32, height: u32| json!({ "width": width, "height": height });
        let mut movie = sized(640, 360);
        extend(&mut movie, json!({ "seconds": 3, "caption": "in motion" }));
        let mut sticker = sized(512, 512);
        extend(&mut sticker, json!({ "animated": false }));
        vec![
            of("image", png(300, 200), "image/png", json!({}), sized(300, 200), None),
            of(
                "image",
                png(31, 17),
                "image/png",
                json!({ "caption": "look 👀" }),
                json!({ "width": 31, "height": 17, "caption": "look 👀" }),
                None,
            ),
            of(
                "video",
                mp4(640, 360, 2_600, 150_000),
                "video/mp4",
                json!({ "caption": "in motion" }),
                movie,
                None,
            ),
            of(
                "audio",
                opus(61_700),
                "audio/ogg; codecs=opus",
                json!({}),
                json!({ "seconds": 62, "ptt": true }),
                None,
            ),
            of(
                "audio",
                [b"\xff\xfb\x90\x64", &pdf(5_000)[..]].concat(),
                "audio/mpeg",
                json!({}),
                json!({ "ptt": false }),
                None,
            ),
            of("document", pdf(4_097), "application/pdf", json!({}), json!({}), Some("Ünï \"x\".pdf")),
            of(
                "document",
                b"a;b\n1;2\n".to_vec(),
                "text/csv",
                json!({ "caption": "numbers" }),
                json!({ "caption": "numbers", "envelopes": ["documentWithCaption"] }),
                Some("numbers.csv"),
            ),
            of("sticker", webp(512, 512), "image/webp", json!({}), sticker, None),
        ]
    }
}

async fn files_arrive_byte_for_byte_from_the_request_and_from_a_url() {
    let server = FileServer::start().await;
    for place in Place::both().await {
        for (number, sample) in Sample::all().into_iter().enumerate() {
            let Sample { kind, file, mimetype, .. } = &sample;
            let ending = mimetype.rsplit(['/', '=']).next().unwrap();
            let path = format!("/{}/{number}/file%20%C3%A4.{ending}?x=1", place.others.len());
            let in_url = format!("file ä.{ending}");
            let url = server.file(&path, "application/octet-stream", file);
            let mut of_data = json!({ "data": base64(file) });
            if let Some(filename) = sample.filename {
                of_data["filename"] = json!(filename);
            }
            let of_url = json!({ "url": url, "mimetype": mimetype });
            for (media, named) in [(of_data, sample.filename), (of_url, Some(in_url.as_str()))] {
                let is_document = *kind == "document";
                let mut body = json!({ "type": kind, "media": media });
                extend(&mut body, sample.asked.clone());
                let sent = place.send(&body).await;
                let id = id_of(&sent);
                let mut message = place.with_file(id, file).await;
                if *kind == "image" {
                    check_thumbnail(&mut message["content"]);
                }
                if ["video", "audio"].contains(kind) {
                    check_sidecar(&mut message["content"]);
                }
                let mut content = sample.content.clone();
                content["mimetype"] = json!(mimetype);
                let mut told = media_of(mimetype, file);
                if is_document {
                    extend(&mut content, json!({ "fileName": named, "title": named }));
                    told["filename"] = json!(named);
                }
                assert_eq!(message, json!({ "kind": kind, "text": null, "content": content }));
                let mut rest = json!({ "type": kind, "hasMedia": true, "media": told });
                if let Some(caption) = sample.asked.get("caption") {
                    rest["body"] = caption.clone();
                }
                place.told("message.from_me", &sent, rest).await;
                let shown = place.shown(id).await;
                assert_eq!((&shown["hasMedia"], &shown["media"]), (&json!(true), &told), "{shown}");
                // And back through the gateway.
                let fetched = place.session.get(&format!("/messages/{id}/media")).await;
                assert!(fetched.status == 200 && fetched.bytes == *file, "{kind}: {}", fetched.status);
            }
            assert_eq!(server.asked(&path).len(), 1, "fetched once");
        }
    }
    // A JPEG of our own making: the preview of a picture.
    let place = Place::of_two().await;
    let sent = place.send(&json!({ "type": "image", "media": { "data": base64(&png(640, 480)) } })).await;
    let mut message = place.message(id_of(&sent)).await;
    let jpeg = check_thumbnail(&mut message["content"]);
    let sent = place.send(&json!({ "type": "image", "media": { "data": base64(&jpeg) } })).await;
    let mut message = place.with_file(id_of(&sent), &jpeg).await;
    check_thumbnail(&mut message["content"]);
    let expected = json!({ "mimetype": "image/jpeg", "width": 96, "height": 72 });
    assert_eq!(message["content"], expected);
}

async fn an_album_arrives_as_one() {
    let server = FileServer::start().await;
    for place in Place::both().await {
        let files = [png(40, 30), mp4(320, 240, 1_400, 2_000), png(30, 40)];
        let url = |path: &str, file: &[u8]| {
            server.file(&format!("/{}/{path}", place.others.len()), "application/octet-stream", file)
        };
        let [first, second, third] = &files;
        let mixed = json!([
            { "data": base64(first) }, { "type": "video", "url": url("second", second) },
            { "data": base64(third), "type": "image", "mimetype": "image/png" },
        ]);
        // What they are is told by the type, by the media type, or by both.
        let fetched = json!([
            { "type": "image", "url": url("1", first) }, { "mimetype": "video/mp4", "url": url("2", second) },
            { "type": "image", "mimetype": "image/png", "url": url("3", third) },
        ]);
        for medias in [&mixed, &fetched] {
            an_album_of(&place, medias, &files).await;
        }
        let asked =
            ["second", "1", "2", "3"].map(|path| server.asked(&format!("/{}/{path}", place.others.len())));
        assert!(asked.iter().all(|asked| asked.len() == 1), "{asked:?}");
    }
}

async fn an_album_of(place: &Place, medias: &Value, files: &[Vec<u8>; 3]) {
    let sent = place.send(&json!({ "type": "album", "caption": "three of them", "medias": medias })).await;
    let album = place.message(id_of(&sent)).await;
    let content = json!({ "expectedImageCount": 2, "expectedVideoCount": 1 });
    assert_eq!(album, json!({ "kind": "album", "text": null, "content": content }));
    let told = place.session.event_of("message.from_me", id_of(&sent)).await;
    assert_eq!(
        (&told["payload"]["type"], &told["payload"]["body"]),
        (&json!("album"), &json!("three of them")),
        "{told}"
    );
    let parent = json!({ "id": id_of(&sent), "fromMe": true, "remoteJid": place.jid });
    let received = eventually("the album's files", SOON, async || {
        let mut messages = place.others[0].messages().await;
        messages.retain(|message| message["content"]["album"] == parent);
        if messages.len() == 3 { Ok(messages) } else { Err(format!("{messages:?}")) }
    })
    .await;
    for (number, (message, file)) in received.iter().zip(files).enumerate() {
        let id = message["messageId"].as_str().unwrap();
        let mut message = place.with_file(id, file).await;
        let answer = place.session.get(&format!("/messages/{id}/media")).await;
        assert_eq!((answer.status, &answer.bytes), (200, file));
        let content = &mut message["content"];
        assert_eq!(taken(content, "album"), parent);
        let (kind, mimetype) = if number == 1 { ("video", "video/mp4") } else { ("image", "image/png") };
        let mut expected = match number {
            0 => json!({ "width": 40, "height": 30, "caption": "three of them" }),
            1 => json!({ "width": 320, "height": 240, "seconds": 1 }),
            _ => json!({ "width": 30, "height": 40 }),
        };
        extend(&mut expected, json!({ "mimetype": mimetype, "envelopes": ["associatedChild"] }));
        if number == 1 {
            check_sidecar(content);
        } else {
            check_thumbnail(content);
        }
        assert_eq!((&message["kind"], &message["content"]), (&json!(kind), &expected));
        let mut rest = json!({ "type": kind, "hasMedia": true, "media": media_of(mimetype, file) });
        if number == 0 {
            rest["body"] = json!("three of them");
        }
        let told = place.session.event_of("message.from_me", id).await;
        let at = told["payload"]["timestamp"].clone();
        place.told("message.from_me", &json!({ "waMessageId": id, "timestamp": at }), rest).await;
    }
    eventually("all of it to be delivered", SOON, async || {
        for id in received.iter().map(|message| &message["messageId"]).chain([&sent["waMessageId"]]) {
            let shown = place.shown(id.as_str().unwrap()).await;
            if shown["status"] != "delivered" {
                return Err(shown.to_string());
            }
        }
        Ok(())
    })
    .await;
}

async fn a_status_only_rises_from_pending_to_played() {
    const LEVELS: [&str; 5] = ["pending", "sent", "delivered", "read", "played"];
    let place = Place::of_two().await;
    let friend = &place.others[0];
    place.me.fault(json!({ "kind": "media_delay", "ms": 1_500, "on": "upload", "count": 1 })).await;
    let path = place.session.path("/messages?async=true");
    let body = json!({ "type": "audio", "to": place.jid, "media": { "data": base64(&opus(2_000)) } });
    let queued = place.session.organization.post_json(&path, &body).await.expect(202);
    let id = id_of(&queued);
    let mut seen: Vec<String> = Vec::new();
    let mut until = async |wanted: &str| {
        eventually(&format!("it to be {wanted}"), SOON, async || {
            let shown = place.shown(id).await;
            let status = shown["status"].as_str().unwrap().to_owned();
            let level = LEVELS.iter().position(|level| *level == status).unwrap();
            assert_eq!(shown["ackLevel"], level, "{shown}");
            if seen.last() != Some(&status) {
                seen.push(status.clone());
            }
            if status == wanted { Ok(()) } else { Err(status) }
        })
        .await;
    };
    until("pending").await;
    until("delivered").await;
    friend.read(&place.me.jid, &[id]).await;
    until("read").await;
    let played = async || {
        let body = json!({ "chat": place.me.jid, "messageIds": [id] });
        let path = format!("/phones/{}/played", friend.number);
        place.me.simulator.call(Method::POST, &path, Some(&body)).await.expect(204);
    };
    played().await;
    until("played").await;
    // Read once more, and what was to be told of it has been told.
    friend.read(&place.me.jid, &[id]).await;
    played().await;
    let barrier = friend.text(&place.me.number, "barrier").await;
    place.session.event_of("message", &barrier).await;
    until("played").await;
    let mut rising = seen.clone();
    rising.sort_by_key(|status| LEVELS.iter().position(|level| level == status));
    assert_eq!(seen, rising);
    let told = place.session.events("message.status").await;
    let told: Vec<&Value> = told.iter().map(|event| &event["payload"]["status"]).collect();
    assert_eq!(told, ["sent", "delivered", "read", "played"]);
}

async fn typing_takes_its_time_and_the_text_arrives() {
    let [two, group] = Place::both().await;
    two.session.sent(&two.jid, "so that a Signal session is there").await;
    let settings = json!({ "presenceTyping": true });
    two.session.organization.patch(&two.session.path(""), &settings).await.expect(200);
    for place in [&two, &group] {
        // A hundred characters and more are typed for four seconds, a fifth more or less.
        let text = "typed by hand ".repeat(10);
        let began = Instant::now();
        let id = place.session.sent(&place.jid, &text).await;
        let took = began.elapsed();
        assert!(took >= Duration::from_millis(3_200), "typed within {took:?}");
        assert_eq!(place.received(&id).await["text"], text);
    }
    let typing = two.me.simulator.get(&format!("/phones/{}/typing", two.others[0].number)).await;
    let shown: Vec<(&Value, &Value)> =
        typing["typing"].as_array().unwrap().iter().map(|one| (&one["from"], &one["state"])).collect();
    let me = json!(two.me.jid);
    assert_eq!(shown, [(&me, &json!("composing")), (&me, &json!("paused"))]);
}

async fn a_group_one_is_not_in_takes_nothing() {
    let place = Place::of_two().await;
    let stranger = place.me.simulator.phone().await;
    let jid = group(&stranger, &json!({ "participants": [place.others[0].number] })).await;
    let picture = json!({ "type": "image", "media": { "data": base64(&png(4, 4)) } });
    for mut body in [json!({ "type": "text", "text": "let me in" }), picture] {
        body["to"] = json!(jid);
        let path = place.session.path("/messages");
        let error = place.session.organization.post_json(&path, &body).await.expect_error(409, "conflict");
        assert_eq!(error["details"]["whatsappCode"], "403", "{error}");
        let id = error["details"]["waMessageId"].as_str().unwrap();
        let shown = place.session.get(&format!("/messages/{id}")).await.expect(200);
        assert_eq!(shown["status"], "failed", "{shown}");
    }
    let text = place.session.sent(&place.jid, "still here").await;
    place.others[0].received(&text).await;
    assert_eq!(place.others[0].messages().await.len(), 1);
    assert_eq!(stranger.messages().await, Vec::<Value>::new());
}
