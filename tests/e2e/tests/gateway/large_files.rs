//! Files that are larger than the memory there is for them: they pass through the gateway part by part.

use std::cell::Cell;
use std::time::Duration;

use futures::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::harness::files::{FileServer, base64, large, mp4, pdf, png};
use crate::harness::{Answer, Patience, Phone, Session, eventually, send, tests, with_json};

tests![
    a_file_as_large_as_it_may_be_arrives_byte_for_byte,
    an_album_of_large_files_arrives_byte_for_byte,
    one_byte_more_is_refused_and_leaves_no_room_taken,
    a_large_file_for_a_session_that_cannot_send_is_refused,
    many_files_at_once_all_arrive_and_hold_up_nobody_else,
];

const MIB: usize = 1_024 * 1_024;
/// The largest file, and all that come in one request.
const LARGEST: usize = 64 * MIB;
const LARGEST_BODY: usize = 88 * MIB;
const SOON: Patience = Patience::seconds(60);
/// How long so many bytes may take to a busy gateway and back.
const PATIENCE: Duration = Duration::from_mins(4);

struct Place {
    session: Session,
    me: Phone,
    friend: Phone,
}

impl Place {
    async fn new() -> Self {
        let (session, me) = Session::working().await;
        let friend = me.simulator.phone().await;
        Self { session, me, friend }
    }

    async fn post(&self, body: &Value, key: Option<&str>) -> Answer {
        let mut body = body.clone();
        body["to"] = json!(self.friend.number);
        let mut request = self.session.organization.request(Method::POST, &self.session.path("/messages"));
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        send(with_json(request.timeout(PATIENCE), &body)).await
    }

    /// Sends it; the message's id. A busy machine may take longer than who waits does.
    async fn sent(&self, body: &Value, key: Option<&str>) -> Value {
        let answer = self.post(body, key).await;
        if answer.status == 200 {
            return answer.json()["waMessageId"].clone();
        }
        let details = &answer.expect_error(503, "gateway_unavailable")["details"];
        let entry = format!("/outbox/{}", details["outboxId"].as_str().expect("it is sent later"));
        eventually("it to be sent", Patience::seconds(120), async || {
            let shown = self.session.get(&entry).await.expect(200);
            if shown["status"] == "sent" { Ok(()) } else { Err(shown.to_string()) }
        })
        .await;
        details["waMessageId"].clone()
    }

    /// What the friend received has this file.
    async fn has_file(&self, id: &Value, file: &[u8]) {
        let message = self.friend.received(id.as_str().unwrap()).await;
        assert_eq!(message["content"]["fileLength"], file.len(), "{message}");
        let hash = message["content"]["fileEncSha256"].as_str().unwrap();
        let hash = hash.replace('+', "-").replace('/', "_");
        let path = format!("/media/{}", hash.trim_end_matches('='));
        let found = self.me.simulator.call(Method::GET, &path, None).await.bytes;
        // Not `assert_eq`: nobody reads so many bytes.
        assert!(found == file, "{} bytes arrived, other than the {} that were sent", found.len(), file.len());
    }
}

async fn a_file_as_large_as_it_may_be_arrives_byte_for_byte() {
    let _turn = large().await;
    let place = Place::new().await;
    let file = pdf(LARGEST);
    let media = json!({ "data": base64(&file), "filename": "large.pdf" });
    let body = json!({ "type": "document", "media": media });
    let id = place.sent(&body, Some("large")).await;
    place.has_file(&id, &file).await;
    // The same again is told by the file too, which is not kept.
    let again = place.post(&body, Some("large")).await.expect(200);
    assert_eq!((&again["waMessageId"], &again["replayed"]), (&id, &json!(true)));
    let mut other = file;
    let last = other.len() - 1;
    other[last] ^= 1;
    let media = json!({ "data": base64(&other), "filename": "large.pdf" });
    place
        .post(&json!({ "type": "document", "media": media }), Some("large"))
        .await
        .expect_error(409, "conflict");

    let server = FileServer::start().await;
    let movie = mp4(320, 240, 12_000, LARGEST - 1_000);
    let url = server.file("/movie", "video/mp4", &movie);
    let id = place.sent(&json!({ "type": "video", "media": { "url": url } }), None).await;
    place.has_file(&id, &movie).await;
    // What stands at its end was found.
    let told = place.session.event_of("message.from_me", id.as_str().unwrap()).await;
    assert_eq!(told["payload"]["hasMedia"], true, "{told}");
    let message = place.friend.received(id.as_str().unwrap()).await;
    assert_eq!(
        (&message["content"]["seconds"], &message["content"]["width"]),
        (&json!(12), &json!(320)),
        "{message}"
    );
}

async fn an_album_of_large_files_arrives_byte_for_byte() {
    let _turn = large().await;
    let place = Place::new().await;
    let server = FileServer::start().await;
    // Parts of a file end anywhere in the body, and small files stand between large ones.
    let files = [mp4(2, 2, 900, 5_000_001), png(3, 3), mp4(4, 4, 900, 1_000_000), mp4(5, 5, 900, 3_999_999)];
    let by_url = mp4(6, 6, 900, 7_000_000);
    let url = server.file("/one", "video/mp4", &by_url);
    let mut medias: Vec<Value> = files.iter().map(|file| json!({ "data": base64(file) })).collect();
    medias.insert(2, json!({ "url": url, "type": "video" }));
    let id = place.sent(&json!({ "type": "album", "medias": medias }), None).await;
    place.friend.received(id.as_str().unwrap()).await;
    let mut wanted = files.to_vec();
    wanted.insert(2, by_url);
    let messages = eventually("all of the album", SOON, async || {
        let messages = place.friend.messages().await;
        if messages.len() == 6 { Ok(messages) } else { Err(format!("{} messages", messages.len())) }
    })
    .await;
    let parts: Vec<&Value> =
        messages.iter().filter(|message| message["content"]["fileLength"].is_number()).collect();
    assert_eq!(parts.len(), wanted.len());
    for file in &wanted {
        let part = parts.iter().find(|part| part["content"]["fileLength"] == file.len());
        place.has_file(&part.expect("a part of this length")["messageId"], file).await;
    }
}

async fn one_byte_more_is_refused_and_leaves_no_room_taken() {
    let _turn = large().await;
    let place = Place::new().await;
    let more = base64(&pdf(LARGEST + 1));
    let error = place.post(&json!({ "type": "document", "media": { "data": more } }), None).await;
    let error = error.expect_invalid("media.data");
    assert_eq!(error["details"]["maxBytes"], LARGEST, "{error}");
    drop(more);
    let long = base64(&vec![b'x'; LARGEST_BODY / 4 * 3]);
    place.post(&json!({ "type": "document", "media": { "data": long } }), None).await.expect_invalid("body");

    // A session keeps 256 MiB for files. What was refused takes nothing of it: not what is found out while it comes,
    // nor when all has come, by the front door or by the object.
    let file = base64(&pdf(60 * MIB));
    let no_base64 = format!("{file}?");
    let cases = [
        ("document", json!({ "data": file, "mimetype": "image/png" }), "media.mimetype"),
        ("video", json!({ "data": file }), "media.data"),
        ("document", json!({ "data": file, "filename": "a/b" }), "media.filename"),
        ("image", json!({ "data": file }), "media.data"),
        ("document", json!({ "data": no_base64 }), "media.data"),
        ("document", json!({ "data": file, "unknown": 1 }), "media.unknown"),
    ];
    for (kind, media, field) in cases {
        let answer = place.post(&json!({ "type": kind, "media": media }), None).await;
        answer.expect_invalid(field);
    }
    let id = place.sent(&json!({ "type": "document", "media": { "data": file } }), None).await;
    place.friend.received(id.as_str().unwrap()).await;
    assert_eq!(place.friend.messages().await.len(), 1);
}

async fn a_large_file_for_a_session_that_cannot_send_is_refused() {
    let _turn = large().await;
    let place = Place::new().await;
    let body = json!({ "type": "document", "media": { "data": base64(&pdf(5 * MIB)) } });
    place.session.post(":stop").await.expect(200);
    let error = place.post(&body, None).await.expect_error(409, "conflict");
    assert_eq!(error["details"]["status"], "stopped", "{error}");
    place.session.delete().await.expect(204);
    place.post(&body, None).await.expect_error(404, "not_found");
}

async fn many_files_at_once_all_arrive_and_hold_up_nobody_else() {
    const FILES: usize = 12;
    /// What nothing holds up takes a second or two.
    const SLOW: Duration = Duration::from_secs(15);
    let _turn = large().await;
    let (place, other) = (Place::new().await, Place::new().await);
    // More than an isolate has memory for, if it held them: together, and each in base64.
    let files: Vec<Vec<u8>> = (0..FILES).map(|number| pdf(12 * MIB + number)).collect();
    let sending = join_all(files.iter().map(async |file| {
        let media = json!({ "data": base64(file) });
        place.sent(&json!({ "type": "document", "media": media }), None).await
    }));
    let sent = Cell::new(false);
    let meanwhile = async {
        let (mut texts, mut slowest) = (0, Duration::ZERO);
        while !sent.get() {
            let began = Instant::now();
            other.post(&json!({ "type": "text", "text": "and me?" }), None).await.expect(200);
            slowest = slowest.max(began.elapsed());
            texts += 1;
        }
        (texts, slowest)
    };
    let all = async {
        let ids = sending.await;
        sent.set(true);
        ids
    };
    let began = Instant::now();
    let (ids, (texts, slowest)) = futures::join!(all, meanwhile);
    println!(
        "    {FILES} files of 12 MiB at once: {:.1} s; {texts} texts of another organization meanwhile, the slowest {:.1} s",
        began.elapsed().as_secs_f64(),
        slowest.as_secs_f64()
    );
    assert!(slowest < SLOW, "another organization waited {slowest:?}");
    for (id, file) in ids.iter().zip(&files) {
        place.has_file(id, file).await;
    }
    assert_eq!(place.friend.messages().await.len(), FILES);
}
