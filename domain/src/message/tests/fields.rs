//! Every field of every type: missing, empty, of another kind, at its limit and one past it, of another type.

use super::*;

#[test]
fn the_smallest_body_of_each_type_is_taken() {
    for kind in KINDS {
        let sent = send(&smallest(kind)).unwrap_or_else(|refused| panic!("{kind}: {refused:?}"));
        assert_eq!((sent.to.as_str(), sent.reply_to, sent.mentions), (BOB_JID, None, vec![]), "{kind}");
    }
}

#[test]
fn a_field_is_missing_or_empty() {
    for (kind, field) in [
        ("text", "to"),
        ("text", "type"),
        ("text", "text"),
        ("poll", "name"),
        ("poll", "options"),
        ("location", "latitude"),
        ("location", "longitude"),
        ("contact", "contact"),
        ("image", "media"),
        ("video", "media"),
        ("audio", "media"),
        ("document", "media"),
        ("sticker", "media"),
        ("album", "medias"),
    ] {
        let body = with(&smallest(kind), &format!("/{field}"), json!(null));
        assert_eq!(send(&body), invalid(field), "{body}");
        let mut null = body;
        null[field] = json!(null);
        assert_eq!(send(&null), invalid(field), "{null}");
    }
    for (kind, path, empty, field) in [
        ("text", "/to", json!(""), "to"),
        ("text", "/text", json!(""), "text"),
        ("text", "/text", json!(" \n\t"), "text"),
        ("text", "/replyTo", json!(""), "replyTo"),
        ("text", "/mentions", json!([""]), "mentions[0]"),
        ("poll", "/name", json!(" "), "name"),
        ("poll", "/options", json!([]), "options"),
        ("poll", "/options/1", json!(""), "options[1]"),
        ("location", "/name", json!(""), "name"),
        ("contact", "/contact", json!({}), "contact.name"),
        ("contact", "/contact/name", json!(""), "contact.name"),
        ("contact", "/contact/phone", json!(""), "contact.phone"),
        ("contact", "/contact", json!({"vcard": ""}), "contact.vcard"),
        ("image", "/media", json!({}), "media.data"),
        ("image", "/media", json!({"data": ""}), "media.data"),
        ("image", "/media/url", json!(""), "media.url"),
        ("image", "/media/mimetype", json!(""), "media.mimetype"),
        ("document", "/media/filename", json!(""), "media.filename"),
        ("image", "/caption", json!(""), "caption"),
        ("image", "/media/caption", json!(" "), "media.caption"),
        ("album", "/medias", json!([]), "medias"),
        ("album", "/medias/1", json!({}), "medias[1].data"),
        ("album", "/medias/1/url", json!(""), "medias[1].url"),
        ("album", "/medias/1/mimetype", json!(""), "medias[1].mimetype"),
        ("album", "/caption", json!(""), "caption"),
    ] {
        let body = with(&smallest(kind), path, empty);
        assert_eq!(send(&body), invalid(field), "{body}");
    }
}

#[test]
fn a_field_is_of_another_kind_or_unknown() {
    let unreadable = invalid("unreadable");
    for (kind, path, values) in [
        ("text", "/to", vec![json!(4_915_112_345_678_u64), json!([BOB]), json!({})]),
        ("text", "/type", vec![json!("Text"), json!("event"), json!(""), json!(1)]),
        ("text", "/text", vec![json!(1), json!(["hi"]), json!({})]),
        ("text", "/replyTo", vec![json!(1), json!({})]),
        ("text", "/mentions", vec![json!(BOB), json!([1]), json!([null]), json!({})]),
        ("text", "/mention", vec![json!([])]),
        ("poll", "/name", vec![json!(1)]),
        ("poll", "/options", vec![json!("yes"), json!([1, 2]), json!({"0": "yes"}), json!([null, "no"])]),
        ("poll", "/selectableCount", vec![json!("1"), json!(1.5), json!(1e30)]),
        ("poll", "/pollEndTime", vec![json!("1"), json!(1.5), json!(u64::MAX)]),
        ("poll", "/pollHideVotes", vec![json!("true"), json!(1)]),
        ("location", "/latitude", vec![json!("52.5"), json!([52.5])]),
        ("location", "/longitude", vec![json!("13.4"), json!(true)]),
        ("location", "/address", vec![json!("Pariser Platz")]),
        ("contact", "/contact", vec![json!("Jane"), json!([])]),
        ("contact", "/contact/phone", vec![json!(4_915_112_345_678_u64)]),
        ("contact", "/contact/email", vec![json!("a@b.c")]),
        ("image", "/media", vec![json!("https://example.com"), json!([])]),
        ("image", "/media/data", vec![json!([1, 2]), json!(1)]),
        ("image", "/media/url", vec![json!(["https://example.com"])]),
        ("audio", "/media/ptt", vec![json!(true)]),
        ("album", "/medias", vec![json!({}), json!("x"), json!([1, 2]), json!([null, null])]),
        ("album", "/medias/1/type", vec![json!("audio"), json!("IMAGE"), json!(1)]),
        ("album", "/medias/1/caption", vec![json!("no caption of its own")]),
        ("album", "/medias/1/filename", vec![json!("a.png")]),
    ] {
        for value in values {
            let body = with(&smallest(kind), path, value);
            assert_eq!(send(&body), unreadable, "{body}");
        }
    }
}

/// A struct can be read from a list of all its fields, too: nobody means that.
#[test]
fn no_list_passes_for_an_object() {
    let unreadable = invalid("unreadable");
    let image = |url: &str| json!([null, url, null, null, null]);
    for (kind, path, list) in [
        ("contact", "/contact", json!(["Jane", BOB, null])),
        ("contact", "/contact", json!([null, null, "BEGIN:VCARD\nFN:Jane\nEND:VCARD"])),
        ("image", "/media", image("https://example.com/")),
        ("sticker", "/media", image("https://example.com/")),
        ("album", "/medias/1", json!(["image", null, "https://example.com/", null])),
    ] {
        let body = with(&smallest(kind), path, list);
        assert_eq!(send(&body), unreadable, "{body}");
    }
    let mut whole = vec![json!(null); 17];
    whole[..3].clone_from_slice(&[json!(BOB), json!("text"), json!("hi")]);
    for length in 0..=20 {
        whole.resize(length, json!(null));
        assert_eq!(send(&json!(whole)), unreadable, "{length}");
    }
    let whole = json!([BOB, null, null, null]);
    for length in 0..=4 {
        let list = json!(whole.as_array().unwrap()[..length]);
        assert!(read::<EditMessageInputBody>(&list).is_err(), "{list}");
        assert!(read::<RevokeMessageInputBody>(&list).is_err(), "{list}");
        assert!(read::<ReactionInputBody>(&list).is_err(), "{list}");
        assert!(read::<ForwardInputBody>(&list).is_err(), "{list}");
        assert!(read::<VoteInputBody>(&list).is_err(), "{list}");
    }
}

#[test]
fn a_field_is_at_its_limit_or_one_past() {
    let letters = |count: usize| json!("é".repeat(count));
    let options = |count: usize| json!((0..count).map(|number| number.to_string()).collect::<Vec<_>>());
    let people =
        |count: usize| json!((0..count).map(|number| format!("49151{number:07}")).collect::<Vec<_>>());
    let url = |count: usize| {
        let start = "https://example.com/";
        json!(format!("{start}{}", "x".repeat(count - start.len())))
    };
    let medias = |count: usize| json!(vec![json!({"type": "image", "url": "https://example.com/"}); count]);
    for (kind, path, at, past, field) in [
        ("text", "/text", letters(65_536), letters(65_537), "text"),
        ("text", "/replyTo", json!("x".repeat(128)), json!("x".repeat(129)), "replyTo"),
        ("text", "/mentions", people(1_024), people(1_025), "mentions"),
        ("poll", "/name", letters(255), letters(256), "name"),
        ("poll", "/options", options(2), options(1), "options"),
        ("poll", "/options", options(12), options(13), "options"),
        ("poll", "/options/1", letters(100), letters(101), "options[1]"),
        ("poll", "/selectableCount", json!(0), json!(-1), "selectableCount"),
        ("poll", "/selectableCount", json!(2), json!(3), "selectableCount"),
        ("poll", "/pollEndTime", json!(NOW + 1), json!(NOW), "pollEndTime"),
        ("poll", "/pollEndTime", json!(1_u64 << 52), json!((1_u64 << 53) + 1), "pollEndTime"),
        ("poll", "/pollEndTime", json!(NOW + 1), json!(-1), "pollEndTime"),
        ("location", "/latitude", json!(90), json!(90.000_001), "latitude"),
        ("location", "/latitude", json!(-90.0), json!(-90.000_001), "latitude"),
        ("location", "/longitude", json!(180), json!(180.000_1), "longitude"),
        ("location", "/longitude", json!(-180), json!(-1e308), "longitude"),
        ("location", "/name", letters(1_000), letters(1_001), "name"),
        ("contact", "/contact/name", letters(256), letters(257), "contact.name"),
        ("image", "/media/url", url(2_048), url(2_049), "media.url"),
        ("document", "/media/filename", letters(255), letters(256), "media.filename"),
        ("image", "/caption", letters(1_024), letters(1_025), "caption"),
        ("video", "/media/caption", letters(1_024), letters(1_025), "media.caption"),
        ("album", "/medias", medias(2), medias(1), "medias"),
        ("album", "/medias", medias(30), medias(31), "medias"),
        ("album", "/caption", letters(1_024), letters(1_025), "caption"),
    ] {
        assert!(send(&with(&smallest(kind), path, at)).is_ok(), "{kind} {path}");
        assert_eq!(send(&with(&smallest(kind), path, past)), invalid(field), "{kind} {path}");
    }
}

#[test]
fn a_field_of_another_type_is_refused_by_name() {
    let fields = [
        ("text", json!("x"), vec!["text"]),
        ("mentions", json!([]), vec!["text", "image", "video", "document", "album"]),
        ("name", json!("x"), vec!["poll", "location"]),
        ("options", json!(["a", "b"]), vec!["poll"]),
        ("selectableCount", json!(1), vec!["poll"]),
        ("pollEndTime", json!(NOW + 1), vec!["poll"]),
        ("pollHideVotes", json!(true), vec!["poll"]),
        ("latitude", json!(1), vec!["location"]),
        ("longitude", json!(1), vec!["location"]),
        ("contact", json!({"name": "Jane", "phone": BOB}), vec!["contact"]),
        (
            "media",
            json!({"url": "https://example.com"}),
            vec!["image", "video", "audio", "document", "sticker"],
        ),
        ("medias", smallest("album")["medias"].clone(), vec!["album"]),
        ("caption", json!("x"), vec!["image", "video", "document", "album"]),
        ("replyTo", json!("3EB0"), KINDS.to_vec()),
    ];
    for (field, value, owners) in fields {
        for kind in KINDS {
            let body = with(&smallest(kind), &format!("/{field}"), value.clone());
            if owners.contains(&kind) {
                assert!(send(&body).is_ok(), "{body}");
            } else {
                assert_eq!(send(&body), invalid(field), "{body}");
            }
        }
    }
    for kind in ["audio", "sticker"] {
        let body = with(&smallest(kind), "/media/caption", json!("x"));
        assert_eq!(send(&body), invalid("media.caption"));
    }
}

#[test]
fn options_differ_and_stand_on_one_line() {
    let poll = |options: Value| send(&with(&smallest("poll"), "/options", options));
    assert_eq!(poll(json!(["a", "b", "a"])), invalid("options[2]"));
    assert_eq!(poll(json!(["a", "b\nc"])), invalid("options[1]"));
    assert!(poll(json!(["a", "A", "ä", "a "])).is_ok());
    assert_eq!(send(&with(&smallest("poll"), "/name", json!("a\u{0}b"))), invalid("name"));
}

#[test]
fn recipients_are_of_every_kind_that_takes_messages() {
    let to = |to: &str| send(&with(&smallest("text"), "/to", json!(to))).map(|sent| sent.to);
    for (given, canonical) in [
        (BOB, BOB_JID),
        ("+4915112345678", BOB_JID),
        ("4915112345678@c.us", BOB_JID),
        ("4915112345678:7@s.whatsapp.net", BOB_JID),
        ("123456789012345@lid", "123456789012345@lid"),
        (GROUP, GROUP),
        (CHANNEL, CHANNEL),
    ] {
        assert_eq!(to(given).as_deref(), Ok(canonical));
    }
    for wrong in ["status@broadcast", "4915112345678@broadcast", "123", "x@g.us", "4915112345678@example.com"]
    {
        assert_eq!(to(wrong), invalid("to"), "{wrong}");
    }
}

#[test]
fn a_channel_takes_texts_and_polls() {
    for kind in KINDS {
        let body = with(&smallest(kind), "/to", json!(CHANNEL));
        let expected = match kind {
            "text" | "poll" => Ok(CHANNEL.to_owned()),
            "location" | "contact" => invalid("type"),
            _ => missing("to"),
        };
        assert_eq!(send(&body).map(|sent| sent.to), expected, "{kind}");
        assert_eq!(send(&with(&body, "/replyTo", json!("3EB0"))), invalid("replyTo"), "{kind}");
    }
    let mention = with(&with(&smallest("text"), "/to", json!(CHANNEL)), "/mentions", json!([BOB]));
    assert_eq!(send(&mention), invalid("mentions"));
}

#[test]
fn people_are_mentioned_once_each_whether_the_text_says_so_or_not() {
    let mentions =
        |mentions: Value| send(&with(&smallest("text"), "/mentions", mentions)).map(|sent| sent.mentions);
    let lid = "123456789012345@lid";
    assert_eq!(
        mentions(json!([BOB, "4915112345678:3@c.us", lid, BOB_JID])),
        Ok(vec![BOB_JID.into(), lid.into()])
    );
    for wrong in [GROUP, CHANNEL, "status@broadcast", "@4915112345678", "x"] {
        assert_eq!(mentions(json!([BOB, wrong])), invalid("mentions[1]"), "{wrong}");
    }
    for wrong in ["3EB 0", "3EB0\n", "é"] {
        assert_eq!(send(&with(&smallest("text"), "/replyTo", json!(wrong))), invalid("replyTo"), "{wrong}");
    }
}
