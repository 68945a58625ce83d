//! Bodies read as they come.

use super::samples::base64;
use super::send_body::SendBody;
use super::*;
use crate::message::limits::{MAX_FILE_BYTES, MAX_REST_BYTES};

/// A body in pieces of so many bytes.
fn apart_in(body: &[u8], piece: usize) -> (Vec<u8>, Vec<FileFound>, Vec<Vec<u8>>) {
    let mut files: Vec<Vec<u8>> = Vec::new();
    let mut reading = SendBody::default();
    for piece in body.chunks(piece) {
        reading.feed(piece, &mut |number, bytes: &[u8]| {
            files.resize(files.len().max(number + 1), Vec::new());
            files[number].extend(bytes);
        });
    }
    let (rest, found) = reading.end().unwrap();
    (rest, found, files)
}

#[test]
fn files_are_taken_out_wherever_the_body_is_cut() {
    let long: Vec<u8> = (0..100_000_u32).flat_map(u32::to_le_bytes).collect();
    let body = format!(
        r#" {{"to":"1\"2\\","media":{{"filename":"data","d\u0061ta":"{}","data2":"YQ=="}},"x":{{"media":{{"data":"no"}}}},
        "medias" : [ {{"type":"image", "data" : "{}"}}, {{"data":null}}, {{"data":"{}"}}, [{{"data":"no"}}]], "data":"no"}} "#,
        base64(&long),
        base64(b"???>>>").replace('/', "\\/"),
        base64(&[0xff; 7]).replace('/', "\\u002F").trim_end_matches('='),
    );
    let whole = apart(body.as_bytes());
    assert_eq!(whole.2, [long, b"???>>>".to_vec(), vec![0xff; 7]]);
    assert_eq!(whole.1.iter().map(|file| file.length).collect::<Vec<_>>(), [400_000, 6, 7]);
    let rest: Value = serde_json::from_slice(&whole.0).unwrap();
    assert_eq!(
        rest,
        json!({"to": "1\"2\\", "media": {"filename": "data", "data": "0", "data2": "YQ=="}, "x": {"media": {"data": "no"}},
            "medias": [{"type": "image", "data": "1"}, {"data": null}, {"data": "2"}, [{"data": "no"}]], "data": "no"})
    );
    for piece in [1, 2, 3, 5, 64, 4_095, 32_768] {
        assert_eq!(apart_in(body.as_bytes(), piece), whole, "{piece}");
    }
}

#[test]
fn a_number_in_a_body_is_no_file() {
    // What a caller writes where a file belongs is read as base64, whatever it looks like.
    let (rest, found, files) = apart(br#"{"media":{"data":"7777"}}"#);
    assert_eq!(serde_json::from_slice::<Value>(&rest).unwrap(), json!({"media": {"data": "0"}}));
    assert_eq!((found.len(), files), (1, vec![vec![0xef, 0xbe, 0xfb]]));
    for not_a_string in ["0", "true", "[\"0\"]", "{\"data\":\"0\"}"] {
        let body = format!(r#"{{"to":"{BOB}","type":"image","media":{{"data":{not_a_string}}}}}"#);
        let body: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(send(&body), invalid("unreadable"), "{not_a_string}");
    }
}

#[test]
fn what_is_no_base64_is_found_wherever_it_is() {
    let clean = base64(&vec![7; 60_000]);
    for (at, wrong) in [
        (0, "="),
        (1, " "),
        (40_000, "="),
        (40_000, "\\n"),
        (40_000, "\\u0100"),
        (40_000, "\\uzzzz"),
        (40_000, "ä"),
        (79_999, "\\\""),
    ] {
        let (before, behind) = clean.split_at(at);
        let data = [before, wrong, behind].concat();
        let body = format!(r#"{{"media":{{"data":"{data}"}}}}"#);
        for piece in [1, 1_000, 200_000] {
            assert!(apart_in(body.as_bytes(), piece).1[0].is_damaged, "{at} {wrong}");
        }
    }
    // Letters of both alphabets, far from each other.
    let mixed = ["-", &clean, "+AAA"].concat();
    let mixed = mixed.replacen('B', "", 1);
    assert!(apart(format!(r#"{{"media":{{"data":"{mixed}"}}}}"#).as_bytes()).1[0].is_damaged);
}

#[test]
fn more_than_there_may_be_is_not_kept() {
    let mut reading = SendBody::default();
    let mut taken = 0;
    let mut take = |_, bytes: &[u8]| taken += bytes.len();
    reading.feed(br#"{"media":{"data":""#, &mut take);
    let piece = vec![b'A'; 1 << 20];
    for _ in 0..100 {
        reading.feed(&piece, &mut take);
    }
    reading.feed(br#""}}"#, &mut take);
    let (rest, found) = reading.end().unwrap();
    assert_eq!(rest, br#"{"media":{"data":"0"}}"#);
    assert!(found[0].is_too_large && taken <= MAX_FILE_BYTES, "{taken}");

    for (length, is_too_long) in [(MAX_REST_BYTES, false), (MAX_REST_BYTES + 1, true)] {
        let mut reading = SendBody::default();
        let body = format!(r#"{{"text":"{}"}}"#, "x".repeat(length - 11));
        reading.feed(body.as_bytes(), &mut |_, _: &[u8]| ());
        assert_eq!(reading.too_long(), is_too_long.then_some("text"), "{length}");
        assert_eq!(reading.end().is_none(), is_too_long, "{length}");
    }
    let mut reading = SendBody::default();
    reading.feed("[".repeat(MAX_REST_BYTES + 1).as_bytes(), &mut |_, _: &[u8]| ());
    assert_eq!(reading.too_long(), Some("body"));
}

#[test]
fn no_more_files_are_looked_at_than_an_album_has() {
    let body = |files: usize| format!(r#"{{"medias":[{}]}}"#, vec![r#"{"data":"AAAA"}"#; files].join(","));
    for (files, refused) in [(30, None), (31, None), (32, Some("medias")), (10_000, Some("medias"))] {
        let mut reading = SendBody::default();
        let mut taken = 0;
        reading.feed(body(files).as_bytes(), &mut |number, _: &[u8]| taken = number);
        assert_eq!(reading.too_long(), refused, "{files}");
    }
}

#[test]
fn what_is_no_json_stays_none() {
    for body in [
        "",
        "\"",
        "{\"media\":{\"data\":\"YQ",
        "{\"media\":{\"data\":\"YQ\\",
        "{\"media\":{\"data\"",
        "}}}]]",
        "{\"a\\",
        "[\"\\",
        "{\"media\":{\"data\":\"YQ==\"}}}",
    ] {
        for piece in [1, 100] {
            let (rest, ..) = apart_in(body.as_bytes(), piece);
            assert!(serde_json::from_slice::<Value>(&rest).is_err(), "{body}");
        }
    }
}
