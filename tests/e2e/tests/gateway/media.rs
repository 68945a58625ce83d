//! Media of messages that came in: fetched, verified, handed on.

use std::time::Duration;

use futures::StreamExt as _;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::harness::files::{base64, random};
use crate::harness::{Organization, Patience, Phone, Session, eventually, tests};

tests![
    a_host_that_says_nothing_ends_it,
    large_media_is_handed_on_byte_for_byte,
    media_is_handed_on_as_it_was_sent,
    media_that_cannot_be_had_says_why,
    media_larger_than_what_is_fetched_is_refused,
    damaged_media_is_not_handed_on,
    media_that_is_damaged_the_second_time_breaks_off,
    who_hangs_up_ends_the_fetch,
];

const MIB: usize = 1_024 * 1_024;
/// The largest medium that is fetched.
const MOST: usize = 100 * MIB;
/// What is larger is fetched twice.
const KEPT: usize = MIB;

/// A file on the simulator's media host, as a message told the session of it.
struct Medium {
    path: String,
    /// Of its contents, in hex.
    sha256: String,
    /// Of what the host has, in hex.
    enc_sha256: String,
}

/// A medium somebody sends to the session's number.
async fn sent(session: &Session, me: &Phone, mut message: Value) -> Medium {
    let other = me.simulator.phone().await;
    message["to"] = json!(me.number);
    let id = other.writes(&message).await;
    session.event_of("message", &id).await;
    let content = &me.received(&id).await["content"];
    Medium {
        path: format!("/messages/{id}/media"),
        sha256: hex(&bytes(&content["fileSha256"])),
        enc_sha256: hex(&bytes(&content["fileEncSha256"])),
    }
}

fn bytes(base64: &Value) -> Vec<u8> {
    use base64::Engine as _;
    base64::prelude::BASE64_STANDARD.decode(base64.as_str().unwrap()).unwrap()
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

impl Medium {
    /// As the host knows it.
    async fn on_the_host(&self, me: &Phone) -> Value {
        let all = me.simulator.get("/media").await;
        let all = all["media"].as_array().unwrap();
        all.iter().find(|file| file["sha256"] == self.enc_sha256.as_str()).unwrap().clone()
    }
}

/// As much of a body as comes, and whether it broke off.
async fn body(response: reqwest::Response) -> (Vec<u8>, bool) {
    let (mut body, mut pieces) = (Vec::new(), response.bytes_stream());
    while let Some(piece) = pieces.next().await {
        match piece {
            Ok(piece) => body.extend_from_slice(&piece),
            Err(_) => return (body, true),
        }
    }
    (body, false)
}

/// Asks for a medium, for as long as it takes.
async fn ask(session: &Session, medium: &Medium) -> reqwest::Response {
    let request = session.organization.request(Method::GET, &session.path(&medium.path));
    request.timeout(Duration::from_mins(3)).send().await.unwrap()
}

/// Asks for a medium that is refused; the error.
async fn refused(session: &Session, medium: &Medium, status: u16, code: &str) -> Value {
    let answer = session.get(&medium.path).await;
    assert!(answer.bytes.len() < 10_000, "{}: {} bytes were handed on", answer.call, answer.bytes.len());
    answer.expect_error(status, code)
}

async fn large_media_is_handed_on_byte_for_byte() {
    let (session, me) = Session::working().await;
    // The largest that is kept, the smallest that is not, and such as no isolate could hold a few of.
    let sizes = [("image", "image/png", KEPT), ("audio", "audio/mp4", KEPT + 1)];
    let large = [("document", "application/zip", 40 * MIB), ("video", "video/mp4", 17 * MIB)];
    for (kind, mimetype, length) in sizes.into_iter().chain(large) {
        let message = json!({ "kind": kind, "mimetype": mimetype, "length": length });
        let medium = sent(&session, &me, message).await;
        let began = tokio::time::Instant::now();
        let media = ask(&session, &medium).await;
        assert_eq!(media.status(), StatusCode::OK, "{kind}");
        let header = |name: &str| media.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
        assert_eq!(header("content-length"), Some(length.to_string()), "{kind}");
        assert_eq!(header("content-type").as_deref(), Some(mimetype), "{kind}");
        assert_eq!(header("x-content-type-options").as_deref(), Some("nosniff"), "{kind}");
        let first = began.elapsed();
        let (file, is_broken) = body(media).await;
        println!("{length} bytes: {:?} to the first of them, {:?} in all", first, began.elapsed());
        assert!(!is_broken && file.len() == length, "{kind}: {} of {length} bytes", file.len());
        assert_eq!(hex(&Sha256::digest(&file)), medium.sha256, "{kind}");
        let downloads = if length > KEPT { 2 } else { 1 };
        assert_eq!(medium.on_the_host(&me).await["downloads"], downloads, "{kind}");
    }
    // Several at once: none waits for another's memory.
    let medium = sent(&session, &me, json!({ "kind": "document", "length": 9 * MIB })).await;
    let all = (0..6).map(|_| async {
        let (file, is_broken) = body(ask(&session, &medium).await).await;
        assert!(!is_broken);
        assert_eq!(hex(&Sha256::digest(&file)), medium.sha256);
    });
    futures::future::join_all(all).await;
}

async fn media_is_handed_on_as_it_was_sent() {
    let (session, me) = Session::working().await;
    let other = me.simulator.phone().await;
    let kinds = [
        ("image", json!({ "mimetype": "image/jpeg", "caption": "look" }), 300_000),
        ("video", json!({ "mimetype": "video/mp4" }), 1_000_000),
        ("video", json!({ "mimetype": "video/mp4", "ptv": true }), 70_000),
        ("audio", json!({ "mimetype": "audio/ogg; codecs=opus", "ptt": true }), 1),
        ("document", json!({ "mimetype": "application/pdf", "fileName": "Ünï; \"x\".pdf" }), 4_096),
        ("sticker", json!({ "mimetype": "image/webp" }), 15),
    ];
    for (kind, mut message, length) in kinds {
        let file = random(length);
        message["to"] = json!(me.number);
        message["kind"] = json!(kind);
        message["data"] = json!(base64(&file));
        let id = other.writes(&message).await;
        let event = session.event_of("message", &id).await;
        assert_eq!(event["payload"]["hasMedia"], true, "{event}");
        let shown = session.get(&format!("/messages/{id}")).await.expect(200);
        assert_eq!(
            (&shown["hasMedia"], &shown["media"]["mimetype"]),
            (&json!(true), &message["mimetype"]),
            "{shown}"
        );
        let media = session.get(&format!("/messages/{id}/media")).await;
        assert_eq!(media.status, 200, "{kind}: {}", media.text());
        assert!(media.bytes == file, "{kind}: other bytes ({} of {})", media.bytes.len(), file.len());
        assert_eq!(media.header("content-type"), message["mimetype"].as_str(), "{kind}");
        // A sender's file is never a page of ours.
        assert_eq!(media.header("x-content-type-options"), Some("nosniff"), "{kind}");
        let disposition = if kind == "document" {
            "attachment; filename*=UTF-8''%C3%9Cn%C3%AF%3B%20%22x%22.pdf"
        } else {
            "attachment"
        };
        assert_eq!(media.header("content-disposition"), Some(disposition), "{kind}");
        let stranger = Session::of(&Organization::new(), &session.id);
        stranger.get(&format!("/messages/{id}/media")).await.expect_error(404, "not_found");
    }
}

async fn media_that_cannot_be_had_says_why() {
    let (session, me) = Session::working().await;
    let other = me.simulator.phone().await;
    let id = other.writes(&json!({ "to": me.number, "kind": "image", "length": 2_000 })).await;
    session.event_of("message", &id).await;
    let shown = me.received(&id).await;
    let path = format!("/messages/{id}/media");
    assert_eq!(session.get(&path).await.status, 200);

    // WhatsApp forgets it after some weeks.
    let sha256 = shown["content"]["fileEncSha256"].as_str().unwrap();
    let at = sha256.replace('+', "-").replace('/', "_").replace('=', "");
    me.simulator.call(Method::DELETE, &format!("/media/{at}"), None).await.expect(204);
    session.get(&path).await.expect_error(404, "not_found");

    session.post(":stop").await.expect(200);
    session.get(&path).await.expect_error(409, "conflict");
}

async fn media_larger_than_what_is_fetched_is_refused() {
    let (session, me) = Session::working().await;
    let announced = json!({ "kind": "document", "length": 10, "fileLength": MOST + 1 });
    // What the message does not say, the host does.
    let unannounced = json!({ "kind": "document", "length": MOST + 1, "fileLength": 0 });
    for message in [announced, unannounced] {
        let medium = sent(&session, &me, message).await;
        let error = refused(&session, &medium, 409, "conflict").await;
        assert_eq!(error["details"]["maxBytes"], MOST, "{error}");
    }
    // Smaller than announced is no harm, without a word of it neither.
    for length in [0, 1_000] {
        let medium =
            sent(&session, &me, json!({ "kind": "image", "length": 500, "fileLength": length })).await;
        assert_eq!(hex(&Sha256::digest(&session.get(&medium.path).await.bytes)), medium.sha256, "{length}");
    }
    // Larger is another file.
    let medium = sent(&session, &me, json!({ "kind": "image", "length": 500, "fileLength": 400 })).await;
    refused(&session, &medium, 503, "gateway_unavailable").await;
}

/// What is wrong with a file the host has for this phone's companions, until it is cleared.
async fn damage(me: &Phone, damage: &str, download: Option<u32>) -> String {
    let fault =
        json!({ "kind": "media_corrupt", "damage": damage, "download": download, "target": me.number });
    me.simulator.fault(&fault).await
}

async fn damaged_media_is_not_handed_on() {
    let (session, me) = Session::working().await;
    for length in [100_000, 3 * MIB] {
        for how in ["mac", "middle", "short", "long", "cut"] {
            let medium = sent(&session, &me, json!({ "kind": "document", "length": length })).await;
            let fault = damage(&me, how, None).await;
            let error = refused(&session, &medium, 503, "gateway_unavailable").await;
            assert_eq!(error["details"], Value::Null, "{how}");
            // Every host was asked, once; workerd itself asks again when a connection is lost before there is an answer.
            let downloads = medium.on_the_host(&me).await["downloads"].as_u64().unwrap();
            assert!(downloads == 2 || (how == "cut" && downloads > 2), "{how}: {downloads}");
            me.simulator.clear(&fault).await;
            let media = session.get(&medium.path).await;
            assert_eq!(hex(&Sha256::digest(&media.bytes)), medium.sha256, "{how}");
        }
        // One host's damage is no harm.
        let medium = sent(&session, &me, json!({ "kind": "document", "length": length })).await;
        let fault = damage(&me, "middle", Some(1)).await;
        let media = session.get(&medium.path).await;
        assert_eq!(hex(&Sha256::digest(&media.bytes)), medium.sha256);
        me.simulator.clear(&fault).await;
    }
}

async fn media_that_is_damaged_the_second_time_breaks_off() {
    let (session, me) = Session::working().await;
    let length = 3 * MIB;
    for how in ["mac", "middle", "short", "cut"] {
        let medium = sent(&session, &me, json!({ "kind": "document", "length": length })).await;
        let fault = damage(&me, how, Some(2)).await;
        let media = ask(&session, &medium).await;
        assert_eq!(media.status(), StatusCode::OK, "{how}");
        assert_eq!(media.content_length(), Some(length as u64), "{how}");
        let (file, is_broken) = body(media).await;
        assert!(is_broken && file.len() < length, "{how}: {} bytes, broken off: {is_broken}", file.len());
        assert_eq!(medium.on_the_host(&me).await["downloads"], 2, "{how}");
        me.simulator.clear(&fault).await;
    }
    // What is seen at once is asked of the other host.
    let medium = sent(&session, &me, json!({ "kind": "document", "length": length })).await;
    let fault = damage(&me, "long", Some(2)).await;
    let (file, is_broken) = body(ask(&session, &medium).await).await;
    assert!(!is_broken && hex(&Sha256::digest(&file)) == medium.sha256);
    me.simulator.clear(&fault).await;
}

async fn a_host_that_says_nothing_ends_it() {
    let before = async {
        let (session, me) = Session::working().await;
        let medium = sent(&session, &me, json!({ "kind": "image", "length": 2 * MIB })).await;
        damage(&me, "stall", None).await;
        let response = ask(&session, &medium).await;
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(medium.on_the_host(&me).await["downloads"], 2);
        medium
    };
    let after = async {
        let (session, me) = Session::working().await;
        let medium = sent(&session, &me, json!({ "kind": "image", "length": 2 * MIB })).await;
        damage(&me, "stall", Some(2)).await;
        let response = ask(&session, &medium).await;
        assert_eq!(response.status(), StatusCode::OK);
        let (file, is_broken) = body(response).await;
        assert!(is_broken && file.len() < 2 * MIB, "{} bytes, broken off: {is_broken}", file.len());
        is_let_go(&medium, &me).await;
    };
    futures::future::join(before, after).await;
}

/// Nobody downloads it any more.
async fn is_let_go(medium: &Medium, me: &Phone) {
    eventually("the fetch to end", Patience::seconds(20), async || {
        let file = medium.on_the_host(me).await;
        if file["underWay"] == 0 { Ok(()) } else { Err(file.to_string()) }
    })
    .await;
}

async fn who_hangs_up_ends_the_fetch() {
    let (session, me) = Session::working().await;
    let medium = sent(&session, &me, json!({ "kind": "document", "length": 40 * MIB })).await;
    let mut media = ask(&session, &medium).await;
    assert!(media.chunk().await.unwrap().is_some());
    let file = medium.on_the_host(&me).await;
    assert_eq!((&file["downloads"], &file["underWay"]), (&json!(2), &json!(1)), "{file}");
    drop(media);
    is_let_go(&medium, &me).await;
    // So does who wants the head alone.
    let head = session.organization.request(Method::HEAD, &session.path(&medium.path)).send().await.unwrap();
    assert_eq!(head.status(), StatusCode::OK);
    is_let_go(&medium, &me).await;
    assert_eq!(medium.on_the_host(&me).await["downloads"], 4);
}
