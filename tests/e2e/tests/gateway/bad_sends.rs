//! What can't be sent: every rule of every type and operation, files that are none, and servers nobody should fetch from.
//! The answer names the field, nothing reaches anybody, and the session works on.

use std::collections::BTreeSet;
use std::time::Duration;

use futures::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::harness::files::{FileServer, Part, base64, large, mp4, opus, pdf, png, webp};
use crate::harness::{
    Answer, Organization, Patience, Phone, Receiver, Reply, Sandbox, Session, eventually, now_ms, tests,
};

tests![
    a_slow_server_is_given_up_and_holds_up_nobody_else,
    no_file_is_fetched_from_private_addresses,
    every_field_that_is_missing_empty_or_wrong_is_named,
    nothing_is_taken_that_does_not_belong_to_the_type,
    a_list_is_no_object,
    what_is_at_its_limit_is_taken_and_one_past_it_is_not,
    files_and_bodies_are_as_large_as_they_may_be,
    a_file_must_be_what_it_is_sent_as,
    a_file_at_a_url_is_taken_whole_or_not_at_all,
    a_url_leads_only_where_it_may,
    a_bad_url_of_what_nobody_waits_for_is_told_later,
    an_album_with_a_bad_file_is_refused_as_a_whole,
    operations_name_what_is_wrong_with_them,
    operations_on_what_is_not_there_are_not_found,
    operations_on_what_does_not_allow_them_are_conflicts,
    a_session_that_cannot_send_refuses_every_operation,
];

const SOON: Patience = Patience::seconds(30);
const MIB: usize = 1_024 * 1_024;
/// The largest file of a request, and of a URL.
const MAX_DATA: usize = 8 * MIB;
const MAX_URL: usize = 16 * MIB;

const KINDS: [&str; 10] =
    ["text", "poll", "location", "contact", "image", "video", "audio", "document", "sticker", "album"];

/// The smallest body of each type that is taken.
fn smallest(kind: &str) -> Value {
    let data = |file: &[u8]| json!({ "media": { "data": base64(file) } });
    let mut body = match kind {
        "text" => json!({ "text": "hi" }),
        "poll" => json!({ "name": "Tea?", "options": ["yes", "no"] }),
        "location" => json!({ "latitude": 52.5, "longitude": 13.4 }),
        "contact" => json!({ "contact": { "name": "Jane", "phone": "4915112345678" } }),
        "image" => data(&png(2, 2)),
        "video" => data(&mp4(2, 2, 500, 600)),
        "audio" => data(&opus(500)),
        "document" => data(&pdf(20)),
        "sticker" => data(&webp(512, 512)),
        _ => json!({ "medias": [{ "data": base64(&png(2, 2)) }, { "data": base64(&png(2, 2)) }] }),
    };
    body["type"] = json!(kind);
    body
}

/// A body with one member more, or another, or (for `null`) one less.
fn with(body: &Value, path: &str, value: &Value) -> Value {
    let mut changed = body.clone();
    let (parent, name) = path.rsplit_once('/').unwrap();
    match changed.pointer_mut(parent).unwrap() {
        Value::Object(object) if value.is_null() => drop(object.remove(name)),
        Value::Object(object) => drop(object.insert(name.to_owned(), value.clone())),
        Value::Array(list) => list[name.parse::<usize>().unwrap()] = value.clone(),
        other => panic!("{other} has no members"),
    }
    changed
}

fn letters(count: usize) -> Value {
    json!("é".repeat(count))
}

/// A session that works, and somebody to whom nothing of all that comes.
struct Desk {
    session: Session,
    me: Phone,
    friend: Phone,
}

impl Desk {
    async fn new() -> Self {
        Self::on(&Organization::new()).await
    }

    async fn on(organization: &Organization) -> Self {
        let (session, me) = Session::working_in(organization).await;
        let friend = me.simulator.phone().await;
        Self { session, me, friend }
    }

    /// Sends it to the friend, unless it says to whom.
    async fn send(&self, body: &Value) -> Answer {
        let mut body = body.clone();
        if let Some(fields) = body.as_object_mut() {
            fields.entry("to").or_insert_with(|| json!(self.friend.number));
        }
        self.session.organization.post_json(&self.session.path("/messages"), &body).await
    }

    /// What is sent must be refused, and name this field. What was begun is over.
    async fn refused(&self, body: &Value, field: &str) -> Value {
        let answer = self.send(body).await;
        let sent = body.to_string();
        let named = format!("{} after {} bytes: {sent:.300}", answer.text(), sent.len());
        assert_eq!(answer.status, 400, "{named}");
        let error = answer.expect_error(400, "validation_error");
        assert_eq!(error["details"]["field"], field, "{named}");
        if let Some(id) = error["details"]["waMessageId"].as_str() {
            let shown = self.session.get(&format!("/messages/{id}")).await.expect(200);
            assert_eq!(shown["status"], "failed", "{shown}");
        }
        error
    }

    /// It arrives.
    async fn taken(&self, body: &Value) -> Value {
        let answer = self.send(body).await;
        assert_eq!(answer.status, 200, "{}: {:.300}", answer.text(), body.to_string());
        self.friend.received(answer.json()["waMessageId"].as_str().unwrap()).await
    }

    /// Does something with a message.
    async fn about(&self, operation: &Operation, id: &str, body: &Value) -> Answer {
        let path = self.session.path(&format!("/messages/{id}{}", operation.path));
        self.session.organization.call(operation.method.clone(), &path, Some(body)).await
    }

    /// Only so many messages came through, and the next one does.
    async fn works(&self, arrived: usize) {
        assert_eq!(self.session.row().await["status"], "working");
        let id = self.session.sent(&self.friend.number, "still here").await;
        self.friend.received(&id).await;
        let messages = self.friend.messages().await;
        assert_eq!(messages.len(), arrived + 1, "something came through: {messages:?}");
        let mut told = self.session.events("message.from_me").await;
        told.retain(|event| event["payload"]["chatJid"] == self.friend.jid.as_str());
        assert_eq!(told.len(), arrived + 1, "{told:?}");
    }
}

async fn every_field_that_is_missing_empty_or_wrong_is_named() {
    let desk = Desk::new().await;
    let group = "120363041234567890@g.us";
    let none = Value::Null;
    // The type, where, what instead, the field that is named.
    for (kind, path, value, field) in [
        ("text", "/to", json!(""), "to"),
        ("text", "/to", json!(4_915_112_345_678_u64), "to"),
        ("text", "/to", json!([desk.friend.number]), "to"),
        ("image", "/to", json!("status@broadcast"), "to"),
        ("poll", "/to", json!("x@g.us"), "to"),
        ("location", "/to", json!("49-1@lid"), "to"),
        ("contact", "/to", json!("123456"), "to"),
        ("text", "/type", none.clone(), "type"),
        ("text", "/type", json!(1), "type"),
        ("text", "/text", none.clone(), "text"),
        ("text", "/text", json!(" \n\t"), "text"),
        ("text", "/text", json!(["hi"]), "text"),
        ("text", "/replyTo", json!(""), "replyTo"),
        ("text", "/replyTo", json!("3EB0 1"), "replyTo"),
        ("text", "/replyTo", json!({}), "replyTo"),
        ("text", "/mentions", json!(desk.friend.jid), "mentions"),
        ("text", "/mentions", json!([desk.friend.jid, 1]), "mentions[1]"),
        ("text", "/mentions", json!([desk.friend.jid, group]), "mentions[1]"),
        ("poll", "/name", none.clone(), "name"),
        ("poll", "/name", json!("two\nlines"), "name"),
        ("poll", "/options", none.clone(), "options"),
        ("poll", "/options", json!("yes"), "options"),
        ("poll", "/options", json!(["yes", null]), "options[1]"),
        ("poll", "/options", json!(["yes", ""]), "options[1]"),
        ("poll", "/options", json!(["yes", "no", "yes"]), "options[2]"),
        ("poll", "/selectableCount", json!("1"), "selectableCount"),
        ("poll", "/selectableCount", json!(1.5), "selectableCount"),
        ("poll", "/selectableCount", json!(-1), "selectableCount"),
        ("poll", "/pollEndTime", json!("tomorrow"), "pollEndTime"),
        ("poll", "/pollEndTime", json!(now_ms() - 1), "pollEndTime"),
        ("poll", "/pollHideVotes", json!(1), "pollHideVotes"),
        ("location", "/latitude", none.clone(), "latitude"),
        ("location", "/longitude", none.clone(), "longitude"),
        ("location", "/latitude", json!("52.5"), "latitude"),
        ("location", "/longitude", json!([13.4]), "longitude"),
        ("location", "/name", json!(""), "name"),
        ("contact", "/contact", none.clone(), "contact"),
        ("contact", "/contact", json!("Jane"), "contact"),
        ("contact", "/contact", json!({}), "contact.name"),
        ("contact", "/contact/name", json!(1), "contact.name"),
        ("contact", "/contact/phone", none.clone(), "contact.phone"),
        ("contact", "/contact/phone", json!("+49 151"), "contact.phone"),
        ("contact", "/contact", json!({ "vcard": "FN:Jane" }), "contact.vcard"),
        ("image", "/media", none.clone(), "media"),
        ("image", "/media", json!("https://example.com/"), "media"),
        ("image", "/media", json!({}), "media.data"),
        ("image", "/media/data", json!(""), "media.data"),
        ("image", "/media/data", json!([1, 2]), "media.data"),
        ("image", "/media/data", json!("data:image/png;base64,AAAA"), "media.data"),
        ("image", "/media/data", json!("AAAA\nAAAA"), "media.data"),
        ("image", "/media/data", json!("A"), "media.data"),
        ("image", "/media/data", json!("A+A_"), "media.data"),
        ("image", "/media/url", json!("https://example.com/"), "media.url"),
        ("image", "/media", json!({ "url": "" }), "media.url"),
        ("image", "/media", json!({ "url": ["https://example.com/"] }), "media.url"),
        ("image", "/media", json!({ "url": "ftp://example.com/" }), "media.url"),
        ("image", "/media", json!({ "url": "file:///etc/passwd" }), "media.url"),
        ("image", "/media", json!({ "url": "https://user@example.com/" }), "media.url"),
        ("image", "/media/mimetype", json!("picture"), "media.mimetype"),
        ("image", "/media/mimetype", json!(1), "media.mimetype"),
        ("image", "/caption", json!(""), "caption"),
        ("image", "/caption", json!(["look"]), "caption"),
        ("video", "/media/caption", json!(" "), "media.caption"),
        ("document", "/media/filename", json!("a/b"), "media.filename"),
        ("document", "/media/filename", json!(".."), "media.filename"),
        ("document", "/media/filename", json!("a\nb"), "media.filename"),
        ("document", "/media/filename", json!({}), "media.filename"),
        ("album", "/medias", none.clone(), "medias"),
        ("album", "/medias", json!({}), "medias"),
        ("album", "/medias/1", json!("x"), "medias[1]"),
        ("album", "/medias/1", json!({}), "medias[1].data"),
        ("album", "/medias/1/data", json!("?"), "medias[1].data"),
        ("album", "/medias/1/url", json!("http://example.com"), "medias[1].url"),
        ("album", "/medias/1/type", json!("audio"), "medias[1].type"),
        ("album", "/medias/1/mimetype", json!("image"), "medias[1].mimetype"),
        ("album", "/medias/1", json!({ "url": "http://example.com/" }), "medias[1].type"),
        ("album", "/caption", json!(" "), "caption"),
    ] {
        desk.refused(&with(&smallest(kind), path, &value), field).await;
    }
    for kind in KINDS {
        let mut body = smallest(kind);
        body["to"] = json!(null);
        desk.refused(&body, "to").await;
    }
    let mut captions = smallest("image");
    captions["caption"] = json!("beside");
    captions["media"]["caption"] = json!("within");
    desk.refused(&captions, "media.caption").await;
    desk.works(0).await;
}

async fn nothing_is_taken_that_does_not_belong_to_the_type() {
    let desk = Desk::new().await;
    let foreign = |kind: &str| match kind {
        "text" | "audio" | "sticker" => ("caption", json!("x")),
        "poll" | "location" => ("text", json!("x")),
        "contact" => ("name", json!("x")),
        "album" => ("media", smallest("image")["media"].clone()),
        _ => ("options", json!(["a", "b"])),
    };
    for kind in KINDS {
        let (field, value) = foreign(kind);
        desk.refused(&with(&smallest(kind), &format!("/{field}"), &value), field).await;
        desk.refused(&with(&smallest(kind), "/captoin", &json!("x")), "captoin").await;
    }
    for (kind, path, value, field) in [
        ("contact", "/contact/email", json!("a@example.com"), "contact.email"),
        ("audio", "/media/ptt", json!(true), "media.ptt"),
        ("sticker", "/media/caption", json!("x"), "media.caption"),
        ("album", "/medias/1/caption", json!("x"), "medias[1].caption"),
        ("contact", "/contact/vcard", json!("BEGIN:VCARD\nFN:J\nEND:VCARD"), "contact.phone"),
        // A channel has no members to answer or to mention, and takes no places.
        ("text", "/to", json!("120363041234567890@newsletter"), "replyTo"),
        ("location", "/to", json!("120363041234567890@newsletter"), "type"),
    ] {
        let mut body = with(&smallest(kind), path, &value);
        if field == "replyTo" {
            body["replyTo"] = json!("3EB0");
        }
        desk.refused(&body, field).await;
    }
    let mut picture = smallest("image");
    picture["to"] = json!("120363041234567890@newsletter");
    let error = desk.send(&picture).await.expect_error(501, "not_implemented");
    assert_eq!(error["details"]["field"], "to");
    desk.works(0).await;
}

async fn a_list_is_no_object() {
    let desk = Desk::new().await;
    let data = base64(&png(2, 2));
    for (kind, path, list, field) in [
        ("contact", "/contact", json!(["Jane"]), "contact"),
        ("contact", "/contact", json!(["Jane", "4915112345678", null]), "contact"),
        ("contact", "/contact", json!([]), "contact"),
        ("image", "/media", json!([data]), "media"),
        ("image", "/media", json!([data, null, null, null, null]), "media"),
        ("album", "/medias/1", json!(["image", data, null, null]), "medias[1]"),
    ] {
        desk.refused(&with(&smallest(kind), path, &list), field).await;
    }
    let whole = json!([
        desk.friend.number,
        "text",
        "hi",
        null,
        null,
        null,
        null,
        null,
        null,
        null,
        null,
        null,
        null,
        null,
        null,
        null,
        null
    ]);
    desk.refused(&whole, "body").await;
    let id = desk.session.sent(&desk.friend.number, "hi").await;
    for (operation, list) in [
        (&EDIT, json!([desk.friend.number, "ho"])),
        (&REVOKE, json!([desk.friend.number, null])),
        (&REACT, json!([desk.friend.number, "👍", null])),
        (&FORWARD, json!([desk.friend.number, null, desk.friend.number])),
        (&VOTE, json!([desk.friend.number, [], null])),
    ] {
        desk.about(operation, &id, &list).await.expect_invalid("body");
    }
    desk.works(1).await;
}

async fn what_is_at_its_limit_is_taken_and_one_past_it_is_not() {
    let desk = Desk::new().await;
    let server = FileServer::start().await;
    let options = |count: usize| json!((0..count).map(|number| format!("{number}")).collect::<Vec<_>>());
    let people =
        |count: usize| json!((0..count).map(|number| format!("49151{number:07}")).collect::<Vec<_>>());
    let card = |length: usize| {
        let rest = "BEGIN:VCARD\nFN:J\nNOTE:\nEND:VCARD".len();
        json!({ "vcard": format!("BEGIN:VCARD\nFN:J\nNOTE:{}\nEND:VCARD", "x".repeat(length - rest)) })
    };
    let url = |length: usize| {
        let path = format!("/{}", "x".repeat(length - server.url("/").len()));
        json!({ "url": server.file(&path, "image/png", &png(2, 2)) })
    };
    let medias = |count: usize| json!(vec![json!({ "data": base64(&png(1, 1)) }); count]);
    let mut arrived = 0;
    for (kind, path, at, past, field) in [
        ("text", "/replyTo", json!("x".repeat(128)), json!("x".repeat(129)), "replyTo"),
        ("text", "/mentions", people(1_024), people(1_025), "mentions"),
        ("poll", "/name", letters(255), letters(256), "name"),
        ("poll", "/options", options(2), options(1), "options"),
        ("poll", "/options", options(12), options(13), "options"),
        ("poll", "/options/1", letters(100), letters(101), "options[1]"),
        ("poll", "/selectableCount", json!(2), json!(3), "selectableCount"),
        ("location", "/latitude", json!(-90), json!(-90.000_001), "latitude"),
        ("location", "/longitude", json!(180), json!(180.000_1), "longitude"),
        ("location", "/name", letters(1_000), letters(1_001), "name"),
        ("contact", "/contact/name", letters(256), letters(257), "contact.name"),
        ("contact", "/contact/phone", json!("1".repeat(15)), json!("1".repeat(16)), "contact.phone"),
        ("contact", "/contact", card(65_536), card(65_537), "contact.vcard"),
        ("image", "/caption", letters(1_024), letters(1_025), "caption"),
        ("video", "/media/caption", letters(1_024), letters(1_025), "media.caption"),
        ("image", "/media", url(2_048), url(2_049), "media.url"),
        ("document", "/media/filename", letters(255), letters(256), "media.filename"),
        ("album", "/medias", medias(2), medias(1), "medias"),
        ("album", "/medias", medias(30), medias(31), "medias"),
        ("album", "/caption", letters(1_024), letters(1_025), "caption"),
    ] {
        desk.refused(&with(&smallest(kind), path, &past), field).await;
        desk.taken(&with(&smallest(kind), path, &at)).await;
        // An album is itself and its files.
        arrived += if kind == "album" { 1 + at.as_array().map_or(2, Vec::len) } else { 1 };
    }
    eventually("all of the albums", SOON, async || {
        let messages = desk.friend.messages().await.len();
        if messages == arrived { Ok(()) } else { Err(format!("{messages} of {arrived}")) }
    })
    .await;
    desk.works(arrived).await;
}

async fn files_and_bodies_are_as_large_as_they_may_be() {
    let _turn = large().await;
    let desk = Desk::new().await;
    let document = |length: usize| json!({ "type": "document", "media": { "data": base64(&pdf(length)) } });
    let error = desk.refused(&document(MAX_DATA + 1), "media.data").await;
    assert_eq!(error["details"]["maxBytes"], MAX_DATA, "{error}");
    let message = desk.taken(&document(MAX_DATA)).await;
    assert_eq!(message["content"]["fileLength"], MAX_DATA, "{message}");

    let sticker = |length: usize| {
        let mut file = webp(512, 512);
        file.resize(length, 0);
        json!({ "type": "sticker", "media": { "data": base64(&file) } })
    };
    let error = desk.refused(&sticker(MIB + 1), "media.data").await;
    assert_eq!(error["details"]["maxBytes"], MIB, "{error}");
    desk.taken(&sticker(MIB)).await;

    let picture = |length: usize| {
        let mut file = png(4, 4);
        file.resize(length, 0);
        json!({ "data": base64(&file) })
    };
    let album = json!({ "type": "album", "medias": [picture(MAX_DATA / 2), picture(MAX_DATA / 2 + 1)] });
    let error = desk.refused(&album, "medias[1].data").await;
    assert_eq!(error["details"]["maxBytes"], MAX_DATA, "{error}");

    // Ten megabytes are a body that is read, and no text.
    desk.refused(&json!({ "type": "text", "text": "x".repeat(10_000_000) }), "text").await;
    // Where there are no files a body is a megabyte.
    let id = desk.friend.text(&desk.me.number, "hi").await;
    desk.session.event_of("message", &id).await;
    let long = json!({ "chat": desk.friend.number, "text": "x".repeat(MIB) });
    desk.about(&EDIT, &id, &long).await.expect_invalid("body");
    let mut body = json!({ "type": "text", "to": desk.friend.number, "text": "" });
    let rest = body.to_string().len();
    body["text"] = json!("x".repeat(12 * MIB + 1 - rest));
    desk.refused(&body, "body").await;
    desk.works(2).await;
}

async fn a_file_must_be_what_it_is_sent_as() {
    let desk = Desk::new().await;
    let files = [
        ("image", png(2, 2)),
        ("video", mp4(2, 2, 500, 600)),
        ("audio", opus(500)),
        ("sticker", webp(512, 512)),
        ("", pdf(30)),
        ("", b"<!doctype html><title>no picture</title>".to_vec()),
        ("", b"GIF89a\x01\0\x01\0\0\0\0\x3b".to_vec()),
    ];
    for (owner, file) in &files {
        for kind in ["image", "video", "audio", "sticker"].into_iter().filter(|kind| kind != owner) {
            let body = json!({ "type": kind, "media": { "data": base64(file) } });
            desk.refused(&body, "media.data").await;
        }
    }
    let lying = json!({ "data": base64(&png(2, 2)), "mimetype": "image/jpeg" });
    desk.refused(&json!({ "type": "image", "media": lying }), "media.mimetype").await;
    let lying = json!({ "data": base64(b"plain"), "mimetype": "application/pdf" });
    desk.refused(&json!({ "type": "document", "media": lying }), "media.mimetype").await;
    let album = json!([{ "data": base64(&png(2, 2)) }, { "data": base64(&png(2, 2)), "type": "video" }]);
    desk.refused(&json!({ "type": "album", "medias": album }), "medias[1].data").await;
    desk.works(0).await;
}

/// An image at a URL.
fn image(url: &str) -> Value {
    json!({ "type": "image", "media": { "url": url } })
}

fn document(url: &str) -> Value {
    json!({ "type": "document", "media": { "url": url } })
}

async fn a_file_at_a_url_is_taken_whole_or_not_at_all() {
    let _turn = large().await;
    let desk = Desk::new().await;
    let server = FileServer::start().await;
    let picture = png(50, 50);
    let head = |rest: &str| format!("HTTP/1.1 200 OK\ncontent-type: image/png\n{rest}\nconnection: close");
    let page = b"<!doctype html><title>hush-hush</title>";

    // What is no picture, whatever the server says of it; and what breaks off.
    let cases = [
        ("shorter", head("content-length: 100000"), &picture[..]),
        ("chunks that end", head("transfer-encoding: chunked"), b"5\r\nhello\r\n"),
        ("no gzip", head(&format!("content-encoding: gzip\ncontent-length: {}", picture.len())), &picture),
        ("encoded", head(&format!("content-encoding: deflate\ncontent-length: {}", picture.len())), &picture),
        ("a page", head("content-length: 39"), page),
        ("empty", head("content-length: 0"), b""),
        ("empty chunks", head("transfer-encoding: chunked"), b"0\r\n\r\n"),
        ("no HTTP", "what is this".to_owned(), b""),
        ("half a head", "HTTP/1.1 200 OK\ncontent-le".to_owned(), b""),
    ];
    for (name, head, body) in &cases {
        let url = server.answers("/case", head, body);
        let error = desk.refused(&image(&url), "media.url").await;
        assert!(!error.to_string().contains("hush"), "what was served is repeated: {error}");
        println!("    {name}: {}", error["message"]);
    }
    for status in [404, 403, 500, 503, 204, 206, 304] {
        let head = format!("HTTP/1.1 {status} X\ncontent-length: 0\nconnection: close");
        let error = desk.refused(&image(&server.answers("/status", &head, b"")), "media.url").await;
        assert_eq!(error["details"]["status"], status, "{error}");
    }
    // Nobody is there: the same as an answer that breaks off.
    let gone = FileServer::start().await.url("/");
    let silent = desk.refused(&image(&gone), "media.url").await;
    let broken = desk.refused(&image(&server.answers("/broken", "HTTP/1.1 2", b"")), "media.url").await;
    assert_eq!(silent["message"], broken["message"], "the answers tell which ports are open");

    // Too large: what says so is not read, what doesn't is read no further.
    let large = vec![b'x'; 65_536];
    for (name, rest, parts) in [
        ("announced", format!("content-length: {}", MAX_URL + 1), vec![Part::Silence]),
        ("without an end", String::new(), vec![Part::Forever(large.clone())]),
        (
            "chunks without an end",
            "transfer-encoding: chunked".to_owned(),
            vec![Part::Forever([b"10000\r\n", &large[..], b"\r\n"].concat())],
        ),
        ("a byte more", String::new(), vec![Part::Bytes(vec![b'x'; MAX_URL + 1])]),
    ] {
        let head = format!("HTTP/1.1 200 OK\r\ncontent-type: image/png\r\n{rest}\r\n\r\n")
            .replace("\r\n\r\n\r\n", "\r\n\r\n");
        let url = server.says("/large", &[vec![Part::Bytes(head.into_bytes())], parts].concat());
        let error = desk.refused(&document(&url), "media.url").await;
        assert_eq!(error["details"]["maxBytes"], MAX_URL, "{name}: {error}");
        eventually("the gateway to hang up", SOON, async || {
            if server.open() == 0 { Ok(()) } else { Err(format!("{name}: {} connections", server.open())) }
        })
        .await;
    }
    let mut sticker = webp(512, 512);
    sticker.resize(MIB + 1, 0);
    let url = server.file("/sticker", "image/webp", &sticker);
    let error = desk.refused(&json!({ "type": "sticker", "media": { "url": url } }), "media.url").await;
    assert_eq!(error["details"]["maxBytes"], MIB, "{error}");

    // Behind its length there is no more file.
    let url = server.answers(
        "/longer",
        "HTTP/1.1 200 OK\ncontent-length: 5\nconnection: close",
        b"hello, and more",
    );
    let message = desk.taken(&document(&url)).await;
    assert_eq!(message["content"]["fileLength"], 5, "{message}");
    // A page may be sent as what it is, a picture as a picture whatever it is served as.
    desk.taken(&document(&server.file("/page", "text/html", page))).await;
    let message = desk.taken(&image(&server.file("/picture", "text/html", &picture))).await;
    assert_eq!(message["content"]["mimetype"], "image/png", "{message}");
    let whole = server.file("/whole", "application/pdf", &pdf(MAX_URL));
    let message = desk.taken(&document(&whole)).await;
    assert_eq!(message["content"]["fileLength"], MAX_URL, "{message}");
    desk.works(4).await;
}

async fn a_url_leads_only_where_it_may() {
    let desk = Desk::new().await;
    let server = FileServer::start().await;
    let redirect = |path: &str, to: &str| {
        server.answers(
            path,
            &format!("HTTP/1.1 302 X\nlocation: {to}\ncontent-length: 0\nconnection: close"),
            b"",
        )
    };
    server.file("/5", "image/png", &png(3, 3));
    for hop in 0..5 {
        redirect(&format!("/{hop}"), &format!("/{}", hop + 1));
    }
    desk.taken(&image(&server.url("/0"))).await;
    redirect("/-1", "/0");
    desk.refused(&image(&server.url("/-1")), "media.url").await;
    desk.refused(&image(&redirect("/loop", "/loop")), "media.url").await;
    assert_eq!(server.asked("/loop").len(), 6, "five redirects are followed");
    let port = server.url("/secret");
    let with_password = port.replace("http://", "http://user:secret@");
    for to in [
        "ftp://127.0.0.1/secret",
        "file:///etc/passwd",
        "data:image/png;base64,AAAA",
        &with_password,
        "http://",
    ] {
        let error = desk.refused(&image(&redirect("/out", to)), "media.url").await;
        assert!(!error.to_string().contains("secret"), "where it leads is repeated: {error}");
    }
    assert_eq!(server.asked("/secret"), Vec::<String>::new());
    // Nothing of the caller's goes along.
    let asked = server.asked("/0").concat().to_lowercase();
    for mine in [&desk.session.organization.key.to_lowercase(), "authorization", "cookie", "cf-connecting-ip"]
    {
        assert!(!asked.contains(mine), "{asked}");
    }
    desk.works(1).await;
}

async fn a_bad_url_of_what_nobody_waits_for_is_told_later() {
    let desk = Desk::new().await;
    let server = FileServer::start().await;
    let path = desk.session.path("/messages?async=true");
    for (kind, url) in
        [("image", server.file("/page", "image/png", b"<html>")), ("video", server.url("/not-there"))]
    {
        let body = json!({ "type": kind, "to": desk.friend.number, "media": { "url": url } });
        let queued = desk.session.organization.post_json(&path, &body).await.expect(202);
        let id = queued["waMessageId"].as_str().unwrap();
        let entry = format!("/outbox/{}", queued["outboxId"].as_str().unwrap());
        let failed = eventually("it to fail", SOON, async || {
            let shown = desk.session.get(&entry).await.expect(200);
            if shown["status"] == "failed" { Ok(shown) } else { Err(shown.to_string()) }
        })
        .await;
        assert_eq!(failed["error"]["code"], "validation_error", "{failed}");
        assert_eq!(failed["error"]["details"]["field"], "media.url", "{failed}");
        let told = desk
            .session
            .event(0, "message.status", |event| event["payload"]["messageIds"] == json!([id]))
            .await;
        assert_eq!(told["payload"]["status"], "failed");
        let shown = desk.session.get(&format!("/messages/{id}")).await.expect(200);
        assert_eq!(shown["status"], "failed", "{shown}");
    }
    desk.works(0).await;
}

async fn an_album_with_a_bad_file_is_refused_as_a_whole() {
    let desk = Desk::new().await;
    let server = FileServer::start().await;
    let page = server.file("/page", "image/png", b"<html>");
    let good = json!({ "data": base64(&png(2, 2)) });
    let album = json!({ "type": "album", "medias": [good, { "type": "image", "url": page }, good] });
    let error = desk.refused(&album, "medias[1].url").await;
    let id = error["details"]["waMessageId"].as_str().unwrap();
    // Its first file was uploaded by then: it is told with the album, and waits for nothing any more.
    let told = desk
        .session
        .event(0, "message.status", |event| {
            event["payload"]["messageIds"].as_array().unwrap().iter().any(|one| one == id)
        })
        .await;
    assert_eq!(told["payload"]["status"], "failed", "{told}");
    let ids = told["payload"]["messageIds"].as_array().unwrap();
    assert_eq!(ids.len(), 2, "{told}");
    for id in ids {
        let shown = desk.session.get(&format!("/messages/{}", id.as_str().unwrap())).await.expect(200);
        assert_eq!((&shown["status"], &shown["ackLevel"]), (&json!("failed"), &json!(-1)), "{shown}");
        assert!(shown["error"].is_string(), "{shown}");
    }
    desk.works(0).await;
}

async fn a_slow_server_is_given_up_and_holds_up_nobody_else() {
    const MOST: Duration = Duration::from_secs(30);
    /// What nothing holds up takes a second or two.
    const SLOW: Duration = Duration::from_secs(9);
    let sandbox = Sandbox::start().await;
    let desk = Desk::on(&Organization::on(&sandbox)).await;
    let other = Desk::on(&Organization::on(&sandbox)).await;
    let server = FileServer::start().await;
    let trickle = [
        Part::Bytes(b"HTTP/1.1 200 OK\r\ncontent-type: image/png\r\ncontent-length: 100000\r\n\r\n".to_vec()),
        Part::Every(Duration::from_millis(200), b"x".to_vec()),
    ];
    let fine = server.file("/fine", "image/png", &png(8, 8));
    for (name, parts) in [("trickles", &trickle[..]), ("says nothing", &[Part::Silence])] {
        let path = format!("/{}", name.replace(' ', "-"));
        let slow = image(&server.says(&path, parts));
        let given_up = async {
            let began = Instant::now();
            desk.refused(&slow, "media.url").await;
            began.elapsed()
        };
        let others = [
            ("text", smallest("text")),
            ("image", smallest("image")),
            ("image at a URL", image(&fine)),
            ("document of 6 MiB", json!({ "type": "document", "media": { "data": base64(&pdf(6 * MIB)) } })),
        ];
        let meanwhile = async {
            eventually("the slow server to be asked", SOON, async || {
                if server.asked(&path).is_empty() { Err("not yet".to_owned()) } else { Ok(()) }
            })
            .await;
            join_all(others.iter().map(async |(what, body)| {
                let began = Instant::now();
                let path = other.session.path("/messages");
                let body = with(body, "/to", &json!(other.friend.number));
                let answer = other.session.organization.try_post_json(&path, &body).await;
                let answer = answer.and_then(|answer| match answer.status {
                    200 => Ok(()),
                    status => Err(format!("{status} {}", answer.text())),
                });
                (what, answer, began.elapsed())
            }))
            .await
        };
        let (given_up, meanwhile) = futures::join!(given_up, meanwhile);
        assert!(given_up >= MOST && given_up < MOST + Duration::from_secs(10), "{name}: {given_up:?}");
        eventually("the gateway to hang up", SOON, async || {
            if server.open() == 0 { Ok(()) } else { Err(format!("{} connections", server.open())) }
        })
        .await;
        let held_up = meanwhile.iter().filter(|(_, answer, took)| answer.is_err() || *took > SLOW);
        let held_up: Vec<String> =
            held_up.map(|(what, answer, took)| format!("{what} after {took:.1?}: {answer:?}")).collect();
        assert!(
            held_up.is_empty(),
            "one server {name}, and another organization has\n{}",
            held_up.join("\n")
        );
    }
    desk.works(0).await;
}

async fn no_file_is_fetched_from_private_addresses() {
    // A resolver that says what it is asked to say.
    let resolver = Receiver::that(|delivery| {
        let private = delivery.path.replace("%2E", ".").contains("private.example");
        let address = if private { "127.0.0.1" } else { "8.8.8.8" };
        let answer = json!({ "Status": 0, "Answer": [{ "type": 1, "data": address, "TTL": 60 }] });
        Reply::With(200, "content-type: application/dns-json", answer.to_string())
    })
    .await;
    let dns = format!("DNS_OVER_HTTPS_URL={}", resolver.url("/dns-query"));
    let sandbox = Sandbox::start_with(&["--var", "ALLOW_PRIVATE_WEBHOOKS=false", "--var", &dns]).await;
    let desk = Desk::on(&Organization::on(&sandbox)).await;
    let server = FileServer::start().await;
    let here = server.file("/here", "image/png", &png(2, 2));
    let port = here.trim_start_matches("http://127.0.0.1");
    for host in [
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f.0.0.1",
        "0177.0.0.1",
        "0.0.0.0",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "localhost",
        "LOCALHOST.",
        "a.localhost",
        "private.example.com",
    ] {
        desk.refused(&image(&format!("http://{host}{port}")), "media.url").await;
    }
    for url in [
        "http://169.254.169.254/latest/meta-data/",
        "http://metadata.google.internal/",
        "https://10.0.0.1/",
        "https://192.168.0.1:8443/",
        "https://[fd00::1]/",
        "https://intranet/",
        "https://printer.local/",
    ] {
        desk.refused(&image(url), "media.url").await;
    }
    assert_eq!(server.asked("/here"), Vec::<String>::new());
    let error = desk.refused(&image("http://private.example.com/"), "media.url").await;
    assert!(error["message"].as_str().unwrap().contains("not on the internet"), "{error}");
    // A name of the internet is asked, and nobody has this one.
    let error = desk.refused(&image("http://public.invalid/"), "media.url").await;
    assert!(!error["message"].as_str().unwrap().contains("not on the internet"), "{error}");
    assert!(resolver.all().len() >= 2, "the names were not looked up");
    desk.works(0).await;
}

/// Something that can be done with a message.
struct Operation {
    method: Method,
    path: &'static str,
    name: &'static str,
}

const EDIT: Operation = Operation { method: Method::PATCH, path: "", name: "edit" };
const REVOKE: Operation = Operation { method: Method::DELETE, path: "", name: "revoke" };
const REACT: Operation = Operation { method: Method::POST, path: "/reaction", name: "react" };
const TAKE_BACK: Operation = Operation { method: Method::DELETE, path: "/reaction", name: "take back" };
const FORWARD: Operation = Operation { method: Method::POST, path: "/forward", name: "forward" };
const VOTE: Operation = Operation { method: Method::POST, path: "/vote", name: "vote" };
const OPERATIONS: [Operation; 6] = [EDIT, REVOKE, REACT, TAKE_BACK, FORWARD, VOTE];

impl Operation {
    /// A body that would be taken.
    fn body(&self, chat: &str) -> Value {
        let mut body = json!({ "chat": chat });
        match self.name {
            "edit" => body["text"] = json!("new"),
            "react" => body["emoji"] = json!("👍"),
            "forward" => body["to"] = json!(chat),
            "vote" => body["options"] = json!(["yes"]),
            _ => {}
        }
        body
    }
}

async fn operations_name_what_is_wrong_with_them() {
    let desk = Desk::new().await;
    let chat = desk.friend.number.clone();
    let poll = desk.taken(&smallest("poll")).await["messageId"].as_str().unwrap().to_owned();
    let text = desk.session.sent(&chat, "hi").await;
    desk.friend.received(&text).await;
    for operation in &OPERATIONS {
        let id = if operation.name == "vote" { &poll } else { &text };
        let body = operation.body(&chat);
        for wrong in [json!(null), json!(""), json!("x"), json!("status@broadcast"), json!(1), json!([chat])]
        {
            desk.about(operation, id, &with(&body, "/chat", &wrong)).await.expect_invalid("chat");
        }
        desk.about(operation, id, &with(&body, "/colour", &json!("red"))).await.expect_invalid("colour");
        for wrong in [json!(""), json!("x"), json!("120363041234567890@g.us"), json!(1)] {
            // Only one's own messages can be changed.
            desk.about(operation, id, &with(&body, "/sender", &wrong)).await.expect_invalid("sender");
        }
        for wrong in [json!("x"), json!(1), json!([])] {
            desk.about(operation, id, &wrong).await.expect_error(400, "validation_error");
        }
    }
    let long = "x".repeat(65_537);
    for (operation, path, values, field) in [
        (&EDIT, "/text", vec![json!(null), json!(""), json!(" \n"), json!(1), json!(long)], "text"),
        (
            &REACT,
            "/emoji",
            vec![
                json!(null),
                json!(""),
                json!("x"),
                json!("👍👍"),
                json!("👍 "),
                json!("🇩🇪🇫🇷"),
                json!(1),
                json!(["👍"]),
            ],
            "emoji",
        ),
        (&TAKE_BACK, "/emoji", vec![json!("x"), json!("👍👍"), json!(1)], "emoji"),
        (
            &FORWARD,
            "/to",
            vec![json!(null), json!(""), json!("x@g.us"), json!("status@broadcast"), json!([chat])],
            "to",
        ),
        (&VOTE, "/options", vec![json!(null), json!("yes"), json!({})], "options"),
        (&VOTE, "/options", vec![json!([1]), json!([""]), json!(["perhaps"])], "options[0]"),
        (&VOTE, "/options", vec![json!(["yes", "yes"]), json!(["no", "maybe"])], "options[1]"),
    ] {
        let id = if operation.name == "vote" { &poll } else { &text };
        for value in values {
            desk.about(operation, id, &with(&operation.body(&chat), path, &value))
                .await
                .expect_invalid(field);
        }
    }
    let channel = json!("120363041234567890@newsletter");
    let error = desk.about(&FORWARD, &text, &with(&FORWARD.body(&chat), "/to", &channel)).await;
    error.expect_error(501, "not_implemented");
    // One choice is one choice.
    let body = json!({ "type": "poll", "name": "One?", "options": ["yes", "no"], "selectableCount": 1 });
    let poll = desk.taken(&body).await["messageId"].as_str().unwrap().to_owned();
    let both = with(&VOTE.body(&chat), "/options", &json!(["yes", "no"]));
    desk.about(&VOTE, &poll, &both).await.expect_invalid("options");
    desk.works(3).await;
    // However many code points it has, it is one emoji.
    for emoji in ["❤️", "👍🏽", "👨‍👩‍👧‍👦", "🏴󠁧󠁢󠁥󠁮󠁧󠁿", "🇩🇪", "1️⃣"]
    {
        let body = with(&REACT.body(&chat), "/emoji", &json!(emoji));
        let done = desk.about(&REACT, &text, &body).await.expect(200);
        let message = desk.friend.received(done["waMessageId"].as_str().unwrap()).await;
        assert_eq!(message["content"]["text"], emoji);
    }
}

async fn operations_on_what_is_not_there_are_not_found() {
    let desk = Desk::new().await;
    let chat = desk.friend.number.clone();
    let other = desk.me.simulator.phone().await;
    let poll = desk.taken(&smallest("poll")).await["messageId"].as_str().unwrap().to_owned();
    let text = desk.session.sent(&chat, "hi").await;
    let elsewhere = desk.session.sent(&other.number, "elsewhere").await;
    let stranger = Desk { session: Session::of(&Organization::new(), &desk.session.id), ..Desk::new().await };
    let neighbour = Desk::on(&desk.session.organization).await;
    let group = json!({ "subject": "x", "creator": desk.friend.number, "participants": [desk.me.number] });
    let group = desk.me.simulator.call(Method::POST, "/groups", Some(&group)).await.expect(201);
    let group = group["jid"].as_str().unwrap();
    let long = "x".repeat(200);
    for operation in &OPERATIONS {
        let id = if operation.name == "vote" { &poll } else { &text };
        let not_there = async |desk: &Desk, id: &str, chat: &str| {
            let answer = desk.about(operation, id, &operation.body(chat)).await;
            assert_eq!(answer.status, 404, "{} {id} in {chat}: {}", operation.name, answer.text());
            answer.expect_error(404, "not_found");
            answer
        };
        for unknown in ["3EB0000000000000", "%00", &long, &desk.session.id] {
            not_there(&desk, unknown, &chat).await;
        }
        // In another chat there is none of this id.
        not_there(&desk, id, &other.number).await;
        not_there(&desk, id, group).await;
        not_there(&desk, &elsewhere, &chat).await;
        // Nor in another session of the organization's.
        not_there(&neighbour, id, &chat).await;
        // Another organization's session is like none at all.
        let foreign = not_there(&stranger, id, &chat).await;
        let path = format!("/api/v1/sessions/01ARZ3NDEKTSV4RRFFQ69G5FAV/messages/{id}{}", operation.path);
        let (method, body) = (operation.method.clone(), operation.body(&chat));
        let none = stranger.session.organization.call(method, &path, Some(&body)).await;
        assert_eq!(foreign.fingerprint(), none.fingerprint());
    }
    // A text is no poll.
    desk.about(&VOTE, &text, &VOTE.body(&chat)).await.expect_error(404, "not_found");
    assert_eq!(other.messages().await.len(), 1);
    desk.works(2).await;
}

async fn operations_on_what_does_not_allow_them_are_conflicts() {
    let desk = Desk::new().await;
    let chat = desk.friend.number.clone();
    let refused = async |operation: &Operation, id: &str| {
        let answer = desk.about(operation, id, &operation.body(&chat)).await;
        assert_eq!(answer.status, 409, "{} {id}: {}", operation.name, answer.text());
        answer.expect_error(409, "conflict");
    };
    // Another's is not changed, and in a chat of two not taken back.
    let theirs = desk.friend.text(&desk.me.number, "mine").await;
    desk.session.event_of("message", &theirs).await;
    refused(&EDIT, &theirs).await;
    refused(&REVOKE, &theirs).await;
    // What has no words has none to change.
    let mut arrived = 0;
    for kind in ["poll", "location", "contact", "audio", "sticker"] {
        let sent = desk.taken(&smallest(kind)).await;
        refused(&EDIT, sent["messageId"].as_str().unwrap()).await;
        arrived += 1;
    }
    // What was not sent, and what was taken back.
    desk.me.fault(json!({ "kind": "ack_error", "code": 479, "count": 1 })).await;
    let error = desk.send(&smallest("text")).await.expect_error(409, "conflict");
    let failed = error["details"]["waMessageId"].as_str().unwrap();
    refused(&EDIT, failed).await;
    refused(&FORWARD, failed).await;
    let gone = desk.session.sent(&chat, "gone").await;
    desk.friend.received(&gone).await;
    let revoke = desk.about(&REVOKE, &gone, &REVOKE.body(&chat)).await.expect(200);
    desk.friend.received(revoke["waMessageId"].as_str().unwrap()).await;
    refused(&EDIT, &gone).await;
    refused(&FORWARD, &gone).await;
    // A poll that is over takes no votes.
    let mut poll = smallest("poll");
    poll["pollEndTime"] = json!(now_ms() + 1_500);
    let poll = desk.taken(&poll).await["messageId"].as_str().unwrap().to_owned();
    eventually("the poll to close", SOON, async || {
        let answer =
            desk.about(&VOTE, &poll, &with(&VOTE.body(&chat), "/options", &json!(["perhaps"]))).await;
        // An option that it doesn't have is refused as such while it is open.
        match answer.status {
            400 => Err("open".to_owned()),
            _ => Ok(answer.expect_error(409, "conflict")),
        }
    })
    .await;
    assert_eq!(desk.friend.messages().await.len(), arrived + 3);
    assert_eq!(desk.session.row().await["status"], "working");
}

async fn a_session_that_cannot_send_refuses_every_operation() {
    let organization = Organization::new();
    let refused = async |session: &Session, state: &str| {
        let mut messages = BTreeSet::new();
        let desk = |path: &str, method: &Method, body: Value| {
            let (path, method) = (session.path(path), method.clone());
            async move { session.organization.call(method, &path, Some(&body)).await }
        };
        let mut answers = Vec::new();
        for kind in ["text", "image", "poll"] {
            let body = with(&smallest(kind), "/to", &json!("4915112345678"));
            answers.push(desk("/messages", &Method::POST, body.clone()).await);
            answers.push(desk("/messages?async=true", &Method::POST, body).await);
        }
        let chat = "4915112345678";
        answers.extend(
            join_all(OPERATIONS.iter().map(|operation| {
                desk(&format!("/messages/3EB0{}", operation.path), &operation.method, operation.body(chat))
            }))
            .await,
        );
        for answer in answers {
            let error = answer.expect_error(409, "conflict");
            assert_eq!(error["details"]["status"], state, "{}: {error}", answer.call);
            messages.insert(error["message"].as_str().unwrap().to_owned());
        }
        assert_eq!(messages.len(), 1, "{state}: {messages:?}");
        // What is wrong with the request itself is said all the same.
        desk("/messages", &Method::POST, json!({ "type": "text", "to": chat })).await.expect_invalid("text");
        messages.pop_first().unwrap()
    };
    let session = organization.session(&json!({})).await;
    let never_started = refused(&session, "stopped").await;
    session.code().await;
    let not_paired = refused(&session, "scan_qr_code").await;

    let (session, _phone) = Session::working_in(&organization).await;
    session.post(":stop").await.expect(200);
    let stopped = refused(&session, "stopped").await;
    assert_eq!(never_started, stopped);
    session.post(":start").await.expect(200);
    session.wait_for_status("working", SOON).await;
    session.post(":logout").await.expect(200);
    let logged_out = refused(&session, "logged_out").await;
    let all: BTreeSet<&String> = [&stopped, &not_paired, &logged_out].into();
    assert_eq!(all.len(), 3, "{all:?}");
}
