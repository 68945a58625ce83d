//! What can't be sent: every rule of every type. The answer names the field, nothing reaches anybody, and the session works
//! on.

use serde_json::{Value, json};

use crate::harness::desk::{Desk, EDIT, FORWARD, KINDS, REACT, REVOKE, VOTE, smallest, with};
use crate::harness::files::{FileServer, base64, large, png, webp};
use crate::harness::{Patience, eventually, now_ms, tests};

tests![
    every_field_that_is_missing_empty_or_wrong_is_named,
    every_field_of_a_file_that_is_missing_empty_or_wrong_is_named,
    nothing_is_taken_that_does_not_belong_to_the_type,
    a_list_is_no_object,
    what_is_at_its_limit_is_taken_and_one_past_it_is_not,
    files_and_bodies_are_as_large_as_they_may_be,
    null_is_as_good_as_nothing,
    what_whatsapp_says_of_a_channel_is_told,
];

const SOON: Patience = Patience::seconds(30);
const MIB: usize = 1_024 * 1_024;

fn letters(count: usize) -> Value {
    json!("é".repeat(count))
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
        ("location", "/name", json!(1), "name"),
        ("contact", "/contact", none.clone(), "contact"),
        ("contact", "/contact", json!("Jane"), "contact"),
        ("contact", "/contact", json!({}), "contact.name"),
        ("contact", "/contact/name", json!(1), "contact.name"),
        ("contact", "/contact/phone", none.clone(), "contact.phone"),
        ("contact", "/contact/phone", json!("+49 151"), "contact.phone"),
        ("contact", "/contact", json!({ "vcard": "FN:Jane" }), "contact.vcard"),
        ("contact", "/contact", json!({ "vcard": 1 }), "contact.vcard"),
        ("contact", "/contact", json!({ "vcard": ["BEGIN:VCARD"] }), "contact.vcard"),
    ] {
        desk.refused(&with(&smallest(kind), path, &value), field).await;
    }
    for kind in KINDS {
        let mut body = smallest(kind);
        body["to"] = json!(null);
        desk.refused(&body, "to").await;
    }
    desk.works(0).await;
}

async fn every_field_of_a_file_that_is_missing_empty_or_wrong_is_named() {
    let desk = Desk::new().await;
    let none = Value::Null;
    for (kind, path, value, field) in [
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
        ("video", "/media/caption", json!(1), "media.caption"),
        ("image", "/media/caption", json!(["look"]), "media.caption"),
        ("document", "/media/filename", json!("a/b"), "media.filename"),
        ("document", "/media/filename", json!(".."), "media.filename"),
        ("document", "/media/filename", json!("a\nb"), "media.filename"),
        ("document", "/media/filename", json!({}), "media.filename"),
        ("album", "/medias", none.clone(), "medias"),
        ("album", "/medias", json!({}), "medias"),
        ("album", "/medias/1", json!("x"), "medias[1]"),
        ("album", "/medias/1", json!({}), "medias[1].data"),
        ("album", "/medias/1/data", json!("?"), "medias[1].data"),
        ("album", "/medias/1/data", json!(1), "medias[1].data"),
        ("album", "/medias/1", json!({ "type": "image", "url": 1 }), "medias[1].url"),
        ("album", "/medias/1/type", json!(1), "medias[1].type"),
        ("album", "/medias/1/url", json!("http://example.com"), "medias[1].url"),
        ("album", "/medias/1/type", json!("audio"), "medias[1].type"),
        ("album", "/medias/1/mimetype", json!("image"), "medias[1].mimetype"),
        ("album", "/medias/1/mimetype", json!(["image/png"]), "medias[1].mimetype"),
        ("album", "/medias/1", json!({ "url": "http://example.com/" }), "medias[1].type"),
        ("album", "/caption", json!(" "), "caption"),
    ] {
        desk.refused(&with(&smallest(kind), path, &value), field).await;
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
    // Either half as long as it may be, and then a parameter.
    let plain = |length: usize| {
        let mimetype = format!("{}/{}{}", "x".repeat(127), "y".repeat(127), ";".repeat(length - 255));
        json!({ "data": base64(b"plain"), "mimetype": mimetype })
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
        ("contact", "/contact/phone", json!("1".repeat(7)), json!("1".repeat(6)), "contact.phone"),
        ("contact", "/contact", card(65_536), card(65_537), "contact.vcard"),
        ("image", "/caption", letters(1_024), letters(1_025), "caption"),
        ("video", "/media/caption", letters(1_024), letters(1_025), "media.caption"),
        ("image", "/media", url(2_048), url(2_049), "media.url"),
        ("document", "/media/filename", letters(255), letters(256), "media.filename"),
        ("document", "/media", plain(255), plain(256), "media.mimetype"),
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

async fn null_is_as_good_as_nothing() {
    let desk = Desk::new().await;
    let fields = [
        "text",
        "replyTo",
        "mentions",
        "name",
        "options",
        "selectableCount",
        "pollEndTime",
        "pollHideVotes",
        "latitude",
        "longitude",
        "contact",
        "media",
        "medias",
        "caption",
    ];
    let nulls = |object: &mut Value, names: &[&str]| {
        let object = object.as_object_mut().unwrap();
        for name in names {
            object.entry(*name).or_insert(Value::Null);
        }
    };
    for kind in KINDS {
        let mut body = smallest(kind);
        nulls(&mut body, &fields);
        match kind {
            "contact" => nulls(&mut body["contact"], &["name", "phone", "vcard"]),
            "album" => {
                for media in body["medias"].as_array_mut().unwrap() {
                    nulls(media, &["type", "data", "url", "mimetype"]);
                }
            }
            _ if body["media"].is_object() => {
                nulls(&mut body["media"], &["data", "url", "mimetype", "filename", "caption"]);
            }
            _ => {}
        }
        let message = desk.taken(&body).await;
        let content = &message["content"];
        assert_eq!(message["kind"], kind, "{message}");
        for absent in ["quoted", "mentions", "caption", "endTime", "hideVotes", "forwarded"] {
            assert_eq!(content[absent], Value::Null, "{message}");
        }
    }
    let card = json!({ "vcard": "BEGIN:VCARD\nFN:J\nEND:VCARD", "name": null, "phone": null });
    desk.taken(&json!({ "type": "contact", "contact": card })).await;
    // The album's two files, and one that is not of a kind.
    eventually("all of the album", SOON, async || {
        let messages = desk.friend.messages().await.len();
        if messages == KINDS.len() + 3 { Ok(()) } else { Err(messages.to_string()) }
    })
    .await;
    desk.works(KINDS.len() + 3).await;
}

/// Texts and polls go to channels as they would go to anybody, and what WhatsApp says of them is told: this one has none.
async fn what_whatsapp_says_of_a_channel_is_told() {
    let desk = Desk::new().await;
    for kind in ["text", "poll"] {
        let channel = json!("120363041234567890@newsletter");
        let error = desk.send(&with(&smallest(kind), "/to", &channel)).await.expect_error(409, "conflict");
        assert_eq!(error["details"]["whatsappCode"], "404", "{error}");
        let id = error["details"]["waMessageId"].as_str().unwrap();
        let shown = desk.session.get(&format!("/messages/{id}")).await.expect(200);
        assert_eq!((&shown["status"], &shown["type"]), (&json!("failed"), &json!(kind)), "{shown}");
    }
    desk.works(0).await;
}

async fn files_and_bodies_are_as_large_as_they_may_be() {
    let _turn = large().await;
    let desk = Desk::new().await;
    let sticker = |length: usize| {
        let mut file = webp(512, 512);
        file.resize(length, 0);
        json!({ "type": "sticker", "media": { "data": base64(&file) } })
    };
    let error = desk.refused(&sticker(MIB + 1), "media.data").await;
    assert_eq!(error["details"]["maxBytes"], MIB, "{error}");
    desk.taken(&sticker(MIB)).await;

    // Ten megabytes are a body that is read, and no text.
    desk.refused(&json!({ "type": "text", "text": "x".repeat(10_000_000) }), "text").await;
    // Where there are no files a body is a megabyte.
    let id = desk.friend.text(&desk.me.number, "hi").await;
    desk.session.event_of("message", &id).await;
    let long = json!({ "chat": desk.friend.number, "text": "x".repeat(MIB) });
    desk.about(&EDIT, &id, &long).await.expect_invalid("body");
    desk.works(1).await;
}
