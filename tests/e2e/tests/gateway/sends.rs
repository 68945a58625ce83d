//! Everything a session can say, as the people in the chat get it, field by field and byte for byte, and as the gateway
//! itself tells and shows it; and what the media hosts may do to it.

use std::time::Duration;

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD as BASE64, BASE64_URL_SAFE_NO_PAD};
use futures::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::time::Instant;

use crate::harness::files::{FileServer, base64, large, mp4, opus, pdf, png, webp};
use crate::harness::{Patience, Phone, Session, eventually, now_ms, send, tests, with_json};

tests![
    without_media_hosts_what_nobody_waits_for_is_tried_until_it_arrives_once,
    what_has_no_files_arrives_as_it_was_said,
    files_arrive_byte_for_byte_from_the_request_and_from_a_url,
    an_album_arrives_as_one,
    every_type_can_answer_and_say_whom_it_means,
    what_is_told_of_an_answer_has_all_that_is_known_of_what_it_answers,
    a_text_and_captions_can_be_changed,
    a_message_can_be_taken_back_and_an_admin_takes_back_anybodys,
    a_reaction_is_set_replaced_and_taken_back,
    what_is_passed_on_is_marked_and_its_file_is_not_uploaded_again,
    a_vote_is_cast_changed_and_taken_back,
    votes_in_a_poll_that_was_sent_are_told,
    a_status_only_rises_from_pending_to_played,
    a_file_goes_to_the_other_host_when_one_fails,
    expired_credentials_of_the_media_hosts_are_renewed,
    a_large_upload_that_is_cut_off_arrives_whole,
    without_media_hosts_who_waits_hears_so_and_nothing_is_sent,
    typing_takes_its_time_and_the_text_arrives,
    a_group_one_is_not_in_takes_nothing,
    a_file_sent_again_under_its_key_is_one_message,
];

const SOON: Patience = Patience::seconds(30);

/// A chat of a session's, with everybody in it.
struct Place {
    session: Session,
    me: Phone,
    others: Vec<Phone>,
    jid: String,
}

impl Place {
    /// A chat of two.
    async fn of_two() -> Self {
        let (session, me) = Session::working().await;
        let friend = me.simulator.phone().await;
        Self { session, me, jid: friend.jid.clone(), others: vec![friend] }
    }

    /// A chat of two and a group of three, of one session.
    async fn both() -> [Self; 2] {
        let two = Self::of_two().await;
        let group = two.beside().await;
        [two, group]
    }

    /// A group of the same session, with two others; the first made it.
    async fn beside(&self) -> Self {
        let (session, me) = (self.session.clone(), self.me.clone());
        let others = vec![me.simulator.phone().await, me.simulator.phone().await];
        let jid = group(&others[0], &json!({ "participants": [me.number, others[1].number] })).await;
        Self { session, me, others, jid }
    }

    fn is_group(&self) -> bool {
        self.jid.ends_with("@g.us")
    }

    /// How somebody is named in a message about theirs.
    fn named(&self, author: &Phone) -> String {
        if self.is_group() { author.lid.clone() } else { author.jid.clone() }
    }

    /// The key of a message of somebody in here.
    fn key(&self, author: &Phone, id: &str) -> Value {
        let mut key = json!({ "id": id, "fromMe": author.number == self.me.number, "remoteJid": self.jid });
        if self.is_group() {
            key["participant"] = json!(author.lid);
        }
        key
    }

    /// What others write `to` to reach this chat.
    fn for_others(&self) -> &str {
        if self.is_group() { &self.jid } else { &self.me.jid }
    }

    async fn send(&self, body: &Value) -> Value {
        let mut body = body.clone();
        body["to"] = json!(self.jid);
        let sent = self.session.organization.post_json(&self.session.path("/messages"), &body).await;
        let sent = sent.expect(200);
        assert_eq!((&sent["mode"], &sent["status"]), (&json!("sync"), &json!("sent")), "{sent}");
        sent
    }

    /// Does something with a message in here.
    async fn about(&self, method: Method, id: &str, what: &str, mut body: Value) -> Value {
        body["chat"] = json!(self.jid);
        let path = self.session.path(&format!("/messages/{id}{what}"));
        let done = self.session.organization.call(method, &path, Some(&body)).await.expect(200);
        assert_eq!((&done["mode"], &done["status"]), (&json!("sync"), &json!("sent")), "{done}");
        done
    }

    /// What everybody received, which must be the same: `{kind, text, content}`. The own phone has it as its own.
    async fn received(&self, id: &str) -> Value {
        let all = self.others.iter().chain([&self.me]).map(async |phone| {
            let message = phone.received(id).await;
            let is_own = phone.number == self.me.number;
            assert_eq!(
                (&message["from"], &message["fromMe"]),
                (&json!(self.me.jid), &json!(is_own)),
                "{message}"
            );
            if self.is_group() || is_own {
                assert_eq!(message["chat"], self.jid.as_str(), "{message}");
            }
            json!({ "kind": message["kind"], "text": message["text"], "content": message["content"] })
        });
        let all = join_all(all).await;
        assert!(all.iter().all(|message| *message == all[0]), "{all:?}");
        all[0].clone()
    }

    /// A message of its own that everybody received, without its secret.
    async fn message(&self, id: &str) -> Value {
        let mut message = self.received(id).await;
        let secret = taken(&mut message["content"], "messageSecret");
        let secret = BASE64.decode(secret.as_str().unwrap()).unwrap();
        assert_eq!(secret.len(), 32, "{message}");
        message
    }

    /// What is about a message, without a secret: the library gives some of them one, which nobody needs.
    async fn said_about(&self, id: &str) -> Value {
        let mut message = self.received(id).await;
        message["content"].as_object_mut().unwrap().remove("messageSecret");
        message
    }

    /// The same with a file, without what is new with each upload; the file is what it must be.
    async fn with_file(&self, id: &str, file: &[u8]) -> Value {
        let mut message = self.message(id).await;
        check_file(&self.me, &mut message["content"], file).await;
        message
    }

    /// What the event of this type tells of it, all of it.
    async fn told(&self, event: &str, sent: &Value, rest: Value) {
        let id = sent["waMessageId"].as_str().unwrap();
        let told = self.session.event_of(event, id).await;
        let mut expected = json!({
            "waMessageId": id, "chatJid": self.jid, "senderJid": self.me.jid, "senderLid": self.me.lid,
            "fromMe": true, "hasMedia": false, "media": {}, "timestamp": sent["timestamp"],
        });
        extend(&mut expected, rest);
        assert_eq!(told["payload"], expected, "{event}");
    }

    async fn shown(&self, id: &str) -> Value {
        self.session.get(&format!("/messages/{id}?chat={}", self.jid)).await.expect(200)
    }
}

/// A group that somebody makes; its JID.
async fn group(creator: &Phone, more: &Value) -> String {
    let mut body = json!({ "subject": "Sends", "creator": creator.number });
    extend(&mut body, more.clone());
    let made = creator.simulator.call(Method::POST, "/groups", Some(&body)).await.expect(201);
    made["jid"].as_str().unwrap().to_owned()
}

fn extend(object: &mut Value, more: Value) {
    let Value::Object(more) = more else { panic!("{more}") };
    object.as_object_mut().unwrap().extend(more);
}

fn taken(object: &mut Value, name: &str) -> Value {
    let taken = object.as_object_mut().unwrap().remove(name);
    taken.unwrap_or_else(|| panic!("no {name} in {object}"))
}

fn id_of(sent: &Value) -> &str {
    sent["waMessageId"].as_str().unwrap()
}

/// A hash of a message as it stands in the media hosts' paths.
fn in_path(hash: &Value) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(BASE64.decode(hash.as_str().unwrap()).unwrap())
}

/// What a message says of its file must be true; only what differs between kinds is left of it.
async fn check_file(phone: &Phone, content: &mut Value, file: &[u8]) {
    assert_eq!(taken(content, "fileLength"), file.len());
    assert_eq!(taken(content, "fileSha256"), BASE64.encode(Sha256::digest(file)));
    let key = BASE64.decode(taken(content, "mediaKey").as_str().unwrap()).unwrap();
    assert_eq!(key.len(), 32);
    let made = taken(content, "mediaKeyTimestamp").as_u64().unwrap();
    assert!(made.abs_diff(now_ms() / 1_000) < 120, "{made}");
    let path = taken(content, "directPath");
    assert!(taken(content, "url").as_str().unwrap().ends_with(path.as_str().unwrap()), "{path}");
    let hash = in_path(&taken(content, "fileEncSha256"));
    let opened = phone.simulator.call(Method::GET, &format!("/media/{hash}"), None).await;
    assert_eq!(opened.status, 200, "{}", opened.text());
    assert!(opened.bytes == file, "{} bytes of {}", opened.bytes.len(), file.len());
}

/// A picture's preview: a JPEG, small.
fn check_thumbnail(content: &mut Value) -> Vec<u8> {
    let thumbnail = BASE64.decode(taken(content, "thumbnail").as_str().unwrap()).unwrap();
    assert!(thumbnail.starts_with(b"\xff\xd8\xff") && thumbnail.ends_with(b"\xff\xd9"));
    assert!(thumbnail.len() <= 5 * 1_024, "{}", thumbnail.len());
    thumbnail
}

/// What lets one play a file before all of it is there: ten bytes for each 64 KiB.
fn check_sidecar(content: &mut Value) {
    let sidecar = BASE64.decode(taken(content, "streamingSidecar").as_str().unwrap()).unwrap();
    assert!(!sidecar.is_empty() && sidecar.len().is_multiple_of(10), "{}", sidecar.len());
}

fn media_of(mimetype: &str, file: &[u8]) -> Value {
    json!({ "mimetype": mimetype, "size": file.len() })
}

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
            json!({ "name": "Which?", "options": options, "selectableCount": 0, "version": 1 }),
            json!({ "body": "Which?", "poll": {
                "name": "Which?", "options": options, "selectableCount": 0, "hideVotes": true } }),
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
        let url = server.file("/second", "video/mp4", &files[1]);
        let body = json!({ "type": "album", "caption": "three of them", "medias": [
            { "data": base64(&files[0]) }, { "type": "video", "url": url }, { "data": base64(&files[2]), "type": "image" },
        ] });
        let sent = place.send(&body).await;
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
        for (number, (message, file)) in received.iter().zip(&files).enumerate() {
            let id = message["messageId"].as_str().unwrap();
            let mut message = place.with_file(id, file).await;
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
}

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
        for (id, kind) in [(text, "text"), (picture, "image"), (own, "document")] {
            let mut original = from.me.received(&id).await["content"].clone();
            let sent = from.about(Method::POST, &id, "/forward", json!({ "to": to.jid })).await;
            assert_ne!(sent["waMessageId"], id.as_str());
            let mut message = to.message(id_of(&sent)).await;
            assert_eq!(message["kind"], kind);
            let content = &mut message["content"];
            assert_eq!(taken(content, "forwarded"), true);
            assert_eq!(taken(content, "forwardingScore"), 0);
            original.as_object_mut().unwrap().remove("messageSecret");
            assert_eq!(*content, original, "{kind}");
            assert_eq!(message["text"].is_null(), kind != "text");
            if kind != "text" {
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

/// How often faults of this kind are still armed for a number.
async fn armed(phone: &Phone, kind: &str) -> usize {
    let faults = phone.simulator.get("/faults").await;
    let faults = faults["faults"].as_array().unwrap().iter();
    faults.filter(|fault| fault["kind"] == kind && fault["target"] == phone.number.as_str()).count()
}

async fn a_file_goes_to_the_other_host_when_one_fails() {
    let place = Place::of_two().await;
    for host in [1, 2] {
        for status in [json!(500), json!(404), Value::Null] {
            let mut fault = json!({ "kind": "media_error", "host": host, "on": "upload" });
            if !status.is_null() {
                fault["status"] = status;
            }
            let fault = place.me.fault(fault).await;
            let file = png(11, 12);
            let sent = place.send(&json!({ "type": "image", "media": { "data": base64(&file) } })).await;
            place.with_file(id_of(&sent), &file).await;
            place.me.simulator.clear(&fault).await;
        }
    }
}

async fn expired_credentials_of_the_media_hosts_are_renewed() {
    let place = Place::of_two().await;
    for round in 0..2 {
        place.me.fault(json!({ "kind": "media_auth_expired" })).await;
        let file = pdf(2_000 + round);
        let sent = place.send(&json!({ "type": "document", "media": { "data": base64(&file) } })).await;
        place.with_file(id_of(&sent), &file).await;
        assert_eq!(armed(&place.me, "media_auth_expired").await, 0, "nobody was told that they had expired");
    }
}

async fn a_large_upload_that_is_cut_off_arrives_whole() {
    let _turn = large().await;
    let place = Place::of_two().await;
    for (kind, bytes) in [("video", 3_000_000), ("document", 5_500_000)] {
        place.me.fault(json!({ "kind": "media_cut", "bytes": bytes, "count": 1 })).await;
        let length = 6 * 1_024 * 1_024;
        let file = if kind == "video" { mp4(64, 48, 9_000, length) } else { pdf(length) };
        let sent = place.send(&json!({ "type": kind, "media": { "data": base64(&file) } })).await;
        place.with_file(id_of(&sent), &file).await;
        assert_eq!(armed(&place.me, "media_cut").await, 0, "it was not cut off");
    }
}

async fn without_media_hosts_who_waits_hears_so_and_nothing_is_sent() {
    let place = Place::of_two().await;
    let friend = &place.others[0];
    for status in [json!(503), Value::Null] {
        let mut fault = json!({ "kind": "media_error", "on": "upload" });
        if !status.is_null() {
            fault["status"] = status;
        }
        let fault = place.me.fault(fault).await;
        let body = json!({ "type": "image", "to": place.jid, "media": { "data": base64(&png(3, 3)) } });
        let path = place.session.path("/messages");
        let error =
            place.session.organization.post_json(&path, &body).await.expect_error(503, "gateway_unavailable");
        // With an outbox entry it would be sent later.
        assert_eq!(error["details"]["outboxId"], Value::Null, "{error}");
        place.me.simulator.clear(&fault).await;
        let id = error["details"]["waMessageId"].as_str().unwrap();
        let shown = place.shown(id).await;
        assert_eq!((&shown["status"], &shown["ackLevel"]), (&json!("failed"), &json!(-1)), "{shown}");
        assert!(shown["error"].is_string(), "{shown}");
    }
    let text = place.session.sent(&place.jid, "hosts or not").await;
    friend.received(&text).await;
    assert_eq!(friend.messages().await.len(), 1);
    assert_eq!(place.session.events("message.from_me").await.len(), 1);
}

async fn without_media_hosts_what_nobody_waits_for_is_tried_until_it_arrives_once() {
    let place = Place::of_two().await;
    let friend = &place.others[0];
    // Two attempts at two hosts.
    place.me.fault(json!({ "kind": "media_error", "status": 503, "on": "upload", "count": 4 })).await;
    let file = png(21, 22);
    let body = json!({ "type": "image", "to": place.jid, "media": { "data": base64(&file) } });
    let path = place.session.path("/messages?async=true");
    let queued = place.session.organization.post_json(&path, &body).await.expect(202);
    let id = id_of(&queued);
    assert_eq!(place.shown(id).await["status"], "pending");
    let entry = format!("/outbox/{}", queued["outboxId"].as_str().unwrap());
    eventually("it to be sent", Patience::seconds(90), async || {
        let shown = place.session.get(&entry).await.expect(200);
        if shown["status"] == "sent" { Ok(()) } else { Err(shown.to_string()) }
    })
    .await;
    assert_eq!(armed(&place.me, "media_error").await, 0, "it was sent although no host takes files");
    place.with_file(id, &file).await;
    assert_eq!(friend.messages().await.len(), 1);
    let stanzas = place.me.simulator.get(&format!("/sent/{id}")).await["stanzas"].clone();
    assert_eq!((&stanzas[0]["received"], &stanzas[0]["delivered"]), (&json!(1), &json!(1)), "{stanzas}");
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

async fn a_file_sent_again_under_its_key_is_one_message() {
    let place = Place::of_two().await;
    let file = pdf(30_000);
    let body = json!({ "type": "document", "to": place.jid, "caption": "once",
        "media": { "data": base64(&file), "filename": "once.pdf" } });
    let ask = async |body: &Value| {
        let request = place.session.organization.request(Method::POST, &place.session.path("/messages"));
        send(with_json(request.header("idempotency-key", "a-file-once"), body)).await
    };
    // At once: whoever comes second is told to wait.
    let both = join_all([ask(&body), ask(&body)]).await;
    let answered: Vec<_> = both.iter().filter(|answer| answer.status == 200).collect();
    assert!(!answered.is_empty(), "{both:?}");
    for late in both.iter().filter(|answer| answer.status != 200) {
        late.expect_error(409, "conflict");
        assert!(late.header("retry-after").is_some(), "{}", late.text());
    }
    let first = answered[0].json();
    let id = id_of(&first);
    let again = ask(&body).await.expect(200);
    assert_eq!((&again["waMessageId"], &again["replayed"]), (&json!(id), &json!(true)), "{again}");
    let mut other = body.clone();
    other["caption"] = json!("twice");
    ask(&other).await.expect_error(409, "conflict");
    place.with_file(id, &file).await;
    let barrier = place.session.sent(&place.jid, "barrier").await;
    place.others[0].received(&barrier).await;
    assert_eq!(place.others[0].messages().await.len(), 2);
    let stanzas = place.me.simulator.get(&format!("/sent/{id}")).await["stanzas"].clone();
    assert_eq!((&stanzas[0]["received"], &stanzas[0]["delivered"]), (&json!(1), &json!(1)), "{stanzas}");
    let media = place.me.simulator.get("/media").await;
    let own = place.me.device().await["jid"].clone();
    let uploaded = media["media"].as_array().unwrap().iter().filter(|one| one["uploadedBy"] == own).count();
    assert_eq!(uploaded, 1, "uploaded more than once");
}
