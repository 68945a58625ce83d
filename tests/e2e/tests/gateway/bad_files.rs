//! Files that are none, and servers nobody should fetch from. Nothing reaches anybody, and the session works on.

use std::time::Duration;

use futures::future::join_all;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::harness::desk::{Desk, smallest, with};
use crate::harness::files::{FileServer, Part, base64, large, mp4, opus, pdf, png, webp};
use crate::harness::{Organization, Patience, Receiver, Reply, Sandbox, eventually, tests};

tests![
    a_slow_server_is_given_up_and_holds_up_nobody_else,
    no_file_is_fetched_from_private_addresses,
    a_file_must_be_what_it_is_sent_as,
    a_file_at_a_url_is_taken_whole_or_not_at_all,
    a_url_leads_only_where_it_may,
    a_bad_url_of_what_nobody_waits_for_is_told_later,
    an_album_with_a_bad_file_is_refused_as_a_whole,
];

const SOON: Patience = Patience::seconds(30);
const MIB: usize = 1_024 * 1_024;
/// The largest file of a URL.
const MAX_URL: usize = 64 * MIB;

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
    desk.works(3).await;
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
    const MOST: Duration = Duration::from_secs(50);
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
    let slow = [server.says("/trickles", &trickle), server.says("/says-nothing", &[Part::Silence])];
    let given_up = join_all(slow.iter().map(async |url| {
        let began = Instant::now();
        desk.refused(&image(url), "media.url").await;
        began.elapsed()
    }));
    let others = [
        ("text", smallest("text")),
        ("image", smallest("image")),
        ("image at a URL", image(&fine)),
        ("document of 6 MiB", json!({ "type": "document", "media": { "data": base64(&pdf(6 * MIB)) } })),
    ];
    let meanwhile = async {
        eventually("the slow servers to be asked", SOON, async || {
            let missing =
                ["/trickles", "/says-nothing"].into_iter().find(|path| server.asked(path).is_empty());
            missing.map_or(Ok(()), |path| Err(path.to_owned()))
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
    for took in given_up {
        assert!(took >= MOST && took < MOST + Duration::from_secs(9), "{took:?}");
    }
    eventually("the gateway to hang up", SOON, async || {
        if server.open() == 0 { Ok(()) } else { Err(format!("{} connections", server.open())) }
    })
    .await;
    let held_up = meanwhile.iter().filter(|(_, answer, took)| answer.is_err() || *took > SLOW);
    let held_up: Vec<String> =
        held_up.map(|(what, answer, took)| format!("{what} after {took:.1?}: {answer:?}")).collect();
    assert!(held_up.is_empty(), "servers are slow, and another organization has\n{}", held_up.join("\n"));
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
