//! Files: where they come from, how large they may be, what they are shown as.

use super::limits::{MAX_FILE_BYTES, MAX_IMAGE_BYTES, MAX_STICKER_BYTES};
use super::samples::{SOUND, base64, extended_webp, gif, jpeg, lossy_webp, mp4, opus, png, video, vorbis};
use super::*;

fn send_file(kind: &str, media: Value) -> Result<Media, Refusal> {
    match send(&with(&smallest(kind), "/media", media))?.content {
        Content::Media(media) => Ok(media),
        other => panic!("{other:?}"),
    }
}

fn send_bytes(kind: &str, bytes: &[u8]) -> Result<Facts, Refusal> {
    let media = send_file(kind, json!({"data": base64(bytes)}))?;
    media.examine(&bytes, "media", None).map_err(|error| refusal(&error))
}

#[test]
fn a_file_comes_from_exactly_one_place() {
    let both = json!({"data": base64(&png(1, 1)), "url": "https://example.com/"});
    assert_eq!(send_file("image", both), invalid("media.url"));
    assert_eq!(send_file("image", json!({"mimetype": "image/png"})), invalid("media.data"));
    let data = send_file("image", json!({"data": base64(&png(1, 1))})).unwrap();
    assert_eq!(data.source, Source::Data(0));
    let url = "HTTP://user@127.0.0.1:9000/x#y";
    let found = send_file("image", json!({"url": url})).unwrap();
    // Which hosts are asked is the deployment's to say.
    assert_eq!(found.source, Source::Url(url.to_owned()));
    for wrong in [
        "x",
        "//example.com/",
        "ftp://example.com/",
        "file:///etc/passwd",
        "data:image/png;base64,iVBORw0KGgo=",
        "https://",
        "https://exa mple.com/",
        " https://example.com/",
        "https://example.com/\n",
        "javascript:alert(1)",
    ] {
        assert_eq!(send_file("image", json!({"url": wrong})), invalid("media.url"), "{wrong}");
    }
}

#[test]
fn base64_is_of_either_alphabet_and_clean() {
    // These bytes have both letters in which the alphabets differ.
    let bytes = [&b"%PDF-1"[..], &[0xfb, 0xef, 0xbe, 0xff, 0xff, 0xff, 0x41]].concat();
    let standard = base64(&bytes);
    assert!(standard.contains('+') && standard.contains('/') && standard.ends_with('='));
    let url_safe = standard.replace('+', "-").replace('/', "_");
    let file = |data: &str| {
        let body = with(&smallest("document"), "/media", json!({"data": data}));
        send_with_files(&body).map(|(_, files)| files)
    };
    for data in [&standard, &url_safe, standard.trim_end_matches('='), url_safe.trim_end_matches('=')] {
        assert_eq!(file(data), Ok(vec![bytes.clone()]), "{data}");
    }
    let mixed = standard.replace('+', "-");
    for data in [
        "",
        "=",
        "A",
        "AA=A",
        "AAAA=",
        "AAA\n",
        " AAAA",
        "AA AA",
        "AAAA\r\n",
        "data:image/png;base64,AAAA",
        "ÄÄÄÄ",
        &mixed,
    ] {
        assert_eq!(file(data), invalid("media.data"), "{data}");
    }
}

/// What is said of a request whose files are as long as is said instead.
fn too_large_says(body: &Value, lengths: &[usize]) -> Option<(String, u64)> {
    let (rest, mut found, _) = apart(body.to_string().as_bytes());
    for (file, length) in found.iter_mut().zip(lengths) {
        file.length = *length as u64;
    }
    let request: SendRequest = serde_json::from_slice(&rest).unwrap();
    let error = request.into_outgoing(&found, NOW).err()?;
    Some((refusal(&error).1, error.error.details["maxBytes"].as_u64().unwrap()))
}

#[test]
fn files_are_as_large_as_they_may_be() {
    let file = |kind: &str, bytes: Vec<u8>| with(&smallest(kind), "/media", json!({"data": base64(&bytes)}));
    for (kind, bytes, most) in [
        ("document", b"x".to_vec(), MAX_FILE_BYTES),
        ("video", b"x".to_vec(), MAX_FILE_BYTES),
        ("image", png(1, 1), MAX_IMAGE_BYTES),
        ("sticker", lossy_webp(512, 512), MAX_STICKER_BYTES),
    ] {
        let body = file(kind, bytes);
        assert_eq!(too_large_says(&body, &[most]), None, "{kind}");
        let said = too_large_says(&body, &[most + 1]);
        assert_eq!(said, Some(("media.data".to_owned(), most as u64)), "{kind}");
    }
}

#[test]
fn an_albums_files_are_so_together() {
    let item = || json!({"data": base64(&mp4(*b"isom", &[video(1, 1, false)], 1, 1))});
    let body = with(&smallest("album"), "/medias", json!([item(), item()]));
    let half = MAX_FILE_BYTES / 2;
    assert_eq!(too_large_says(&body, &[half, half]), None);
    let refused = Some(("medias[1].data".to_owned(), MAX_FILE_BYTES as u64));
    assert_eq!(too_large_says(&body, &[half, half + 1]), refused);
    assert_eq!(too_large_says(&body, &[MAX_FILE_BYTES, 1]), refused);
    let body = with(&body, "/medias/1", json!({"data": base64(&png(1, 1))}));
    let refused = Some(("medias[1].data".to_owned(), MAX_IMAGE_BYTES as u64));
    assert_eq!(too_large_says(&body, &[1, MAX_IMAGE_BYTES + 1]), refused);
}

#[test]
fn what_was_fetched_is_looked_at_like_what_was_given() {
    let url = |kind: &str| send_file(kind, json!({"url": "https://example.com/report%201.pdf"})).unwrap();
    let examine = |kind: &str, bytes: &[u8], served: Option<&str>| {
        url(kind).examine(&bytes, "medias[3]", served).map_err(|error| refusal(&error))
    };
    assert_eq!(examine("image", b"<html>", Some("image/png")), invalid("medias[3].url"));
    assert_eq!(examine("image", b"", None), invalid("medias[3].url"));
    let image = examine("image", &png(3, 4), Some("text/html")).unwrap();
    assert_eq!(
        (image.mimetype.as_str(), image.dimensions, image.filename),
        ("image/png", Some((3, 4)), None)
    );
    let document = examine("document", b"no pdf at all", Some("text/html")).unwrap();
    assert_eq!(
        (document.mimetype.as_str(), document.filename.as_deref()),
        ("application/pdf", Some("report 1.pdf"))
    );
    let mut largest = png(3, 4);
    largest.resize(MAX_IMAGE_BYTES, 0);
    assert!(examine("image", &largest, None).is_ok());
    largest.push(0);
    assert_eq!(examine("image", &largest, None), invalid("medias[3].url"));
}

#[test]
fn each_kind_takes_what_whatsapp_shows_as_one() {
    let movie = || mp4(*b"isom", &[video(640, 480, false), SOUND], 1_000, 2_600);
    let files = [
        ("jpeg", jpeg(1, 1), "image"),
        ("png", png(1, 1), "image"),
        ("gif", gif(1, 1), ""),
        ("webp", lossy_webp(1, 1), "sticker"),
        ("mp4", movie(), "video"),
        ("3gp", mp4(*b"3gp5", &[SOUND], 1, 1), "video"),
        ("mov", mp4(*b"qt  ", &[SOUND], 1, 1), ""),
        ("m4a", mp4(*b"M4A ", &[SOUND], 1_000, 400), "audio"),
        ("opus", opus(61_700), "audio"),
        ("vorbis", vorbis(), ""),
        ("mp3", b"\xff\xfb\x90\x64".to_vec(), "audio"),
        ("aac", b"\xff\xf1\x50\x80".to_vec(), "audio"),
        ("amr", b"#!AMR\n".to_vec(), "audio"),
        ("wav", b"RIFF\0\0\0\0WAVE".to_vec(), ""),
        ("pdf", b"%PDF-1.4".to_vec(), ""),
        ("text", b"hello".to_vec(), ""),
    ];
    for (name, bytes, owner) in &files {
        for kind in ["image", "video", "audio", "sticker"] {
            if kind == *owner {
                assert!(send_bytes(kind, bytes).is_ok(), "{kind} {name}");
            } else {
                assert_eq!(send_bytes(kind, bytes), invalid("media.data"), "{kind} {name}");
            }
        }
        let facts = send_bytes("document", bytes).unwrap();
        assert!(facts.filename.is_some() && facts.seconds.is_none() && !facts.voice_note, "{name}");
    }
    let facts = |kind: &str, bytes: Vec<u8>| send_bytes(kind, &bytes).unwrap();
    let note = facts("audio", opus(61_700));
    assert_eq!(
        (note.voice_note, note.seconds, note.mimetype.as_str()),
        (true, Some(62), "audio/ogg; codecs=opus")
    );
    let music = facts("audio", mp4(*b"M4A ", &[SOUND], 1_000, 400));
    assert_eq!((music.voice_note, music.seconds), (false, Some(1)));
    let clip = facts("video", movie());
    assert_eq!((clip.seconds, clip.dimensions), (Some(3), Some((640, 480))));
    assert!(facts("sticker", extended_webp(512, 512, true)).animated);
    assert!(!facts("sticker", extended_webp(512, 512, false)).animated);
}

#[test]
fn a_declared_type_must_be_one_and_the_files() {
    let file = |kind: &str, bytes: &[u8], mimetype: &str| {
        send_file(kind, json!({"data": base64(bytes), "mimetype": mimetype}))
            .and_then(|media| media.examine(&bytes, "media", None).map_err(|error| refusal(&error)))
            .map(|facts| facts.mimetype)
    };
    for wrong in ["image", "image/*", "png", "image/png\n", &format!("a/b;{}", "x".repeat(252))] {
        assert_eq!(file("document", b"x", wrong), invalid("media.mimetype"), "{wrong}");
    }
    assert_eq!(file("image", &png(1, 1), "image/jpeg"), invalid("media.mimetype"));
    assert_eq!(file("document", b"x", "application/pdf"), invalid("media.mimetype"));
    assert_eq!(file("image", &jpeg(1, 1), "image/jpg").as_deref(), Ok("image/jpeg"));
    assert_eq!(file("audio", &opus(9), "audio/ogg").as_deref(), Ok("audio/ogg; codecs=opus"));
    assert_eq!(file("document", b"a;b", "text/csv; header=absent").as_deref(), Ok("text/csv; header=absent"));
    assert_eq!(
        file("document", &png(1, 1), "application/octet-stream").as_deref(),
        Ok("application/octet-stream")
    );
}

#[test]
fn a_document_always_has_a_name_and_a_type() {
    let document = |bytes: &[u8], filename: Option<&str>| {
        let media = send_file("document", json!({"data": base64(bytes), "filename": filename})).unwrap();
        let facts = media.examine(&bytes, "media", None).unwrap();
        (facts.mimetype, facts.filename.unwrap())
    };
    let pair = |mimetype: &str, name: &str| (mimetype.to_owned(), name.to_owned());
    assert_eq!(document(b"%PDF-1.4", None), pair("application/pdf", "document.pdf"));
    assert_eq!(document(b"a,b", Some("Liste.CSV")), pair("text/csv", "Liste.CSV"));
    assert_eq!(document(b"?", None), pair("application/octet-stream", "document"));
    for wrong in ["a/b", "..", "a\\b", "a\nb", "\u{0}"] {
        let media = json!({"data": "AAAA", "filename": wrong});
        assert_eq!(send_file("document", media), invalid("media.filename"), "{wrong:?}");
    }
}

#[test]
fn a_caption_stands_in_one_place() {
    let body = with(&smallest("image"), "/media/caption", json!("within"));
    assert_eq!(send(&body).unwrap().content.body(), Some("within"));
    assert_eq!(send(&with(&body, "/caption", json!("within"))), invalid("media.caption"));
}

#[test]
fn an_albums_files_are_pictures_and_videos() {
    let kinds = |medias: Value| match send(&with(&smallest("album"), "/medias", medias))?.content {
        Content::Album(medias) => Ok(medias.iter().map(|media| media.kind.name()).collect::<Vec<_>>()),
        other => panic!("{other:?}"),
    };
    let (picture, movie) = (base64(&png(1, 1)), base64(&mp4(*b"isom", &[video(1, 1, false)], 1, 1)));
    let url = "https://example.com/x";
    assert_eq!(
        kinds(
            json!([{"data": picture}, {"data": movie}, {"url": url, "mimetype": "Video/MP4"}, {"url": url, "type": "image"}])
        ),
        Ok(vec!["image", "video", "video", "image"])
    );
    let second = |media: Value| kinds(json!([{"data": picture}, media]));
    assert_eq!(second(json!({"url": url})), invalid("medias[1].type"));
    assert_eq!(second(json!({"url": url, "mimetype": "application/pdf"})), invalid("medias[1].type"));
    assert_eq!(second(json!({"data": base64(&opus(1))})), invalid("medias[1].type"));
    assert_eq!(second(json!({"data": picture, "type": "video"})), invalid("medias[1].data"));
    assert_eq!(second(json!({"data": base64(&gif(1, 1))})), invalid("medias[1].data"));
    assert_eq!(second(json!({"data": picture, "mimetype": "image/jpeg"})), invalid("medias[1].mimetype"));
    assert_eq!(second(json!({"data": "?"})), invalid("medias[1].data"));
    assert_eq!(second(json!({"data": picture, "url": url})), invalid("medias[1].url"));
}
