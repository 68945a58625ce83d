//! What can go wrong with a file on its way, and how clients get over it.

use std::time::Duration;

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD as BASE64, BASE64_URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use wacore::download::MediaType;
use wacore::media_retry::MediaRetryResult;
use waproto::buffa::MessageField;
use waproto::whatsapp::Message;
use waproto::whatsapp::message::ImageMessage;
use whatsapp_rust::MediaReuploadRequest;
use whatsapp_rust::upload::UploadOptions;

use crate::http::{Answer, exchange};
use crate::kinds_sent::{ALICE, BOB, bob, talking};
use crate::media::{about_the_file, file, opened, upload};
use crate::support::{Companion, Simulated};

/// A picture of Bob's as Alice's companion has it.
async fn picture(simulated: &Simulated, companion: &Companion, seed: u8) -> (String, ImageMessage) {
    let body = json!({ "to": ALICE, "kind": "image", "data": BASE64.encode(file(5_000, seed)) });
    let id = simulated.say(BOB, body).await;
    let got = companion.message("a picture", |incoming| incoming.id == id).await;
    (id, (*got.message.image_message).clone())
}

async fn on_the_hosts(simulated: &Simulated, sha256: &[u8]) -> Value {
    let all = simulated.get("/media").await;
    let name = json!(hex::encode(sha256));
    all["media"].as_array().unwrap().iter().find(|file| file["sha256"] == name).cloned().unwrap_or_default()
}

async fn asked(
    simulated: &Simulated,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Answer {
    exchange(&simulated.running.address.to_string(), method, path, headers, body).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_uploaded_is_listed_and_there_once() {
    let (simulated, companion) = talking().await;
    let options = || UploadOptions::new().with_media_key([7; 32]);
    let first = companion.client.upload(file(99, 1), MediaType::Document, options()).await.unwrap();
    let again = companion.client.upload(file(99, 1), MediaType::Document, options()).await.unwrap();
    assert_eq!(first.direct_path, again.direct_path);
    let listed = on_the_hosts(&simulated, &first.file_enc_sha256).await;
    assert_eq!((&listed["type"], &listed["uploads"]), (&json!("document"), &json!(2)));
    assert_eq!(listed["uploadedBy"], json!(format!("{ALICE}:1@s.whatsapp.net")));
    assert_eq!(listed["bytes"], json!(112 + 10), "whole blocks and a MAC");
    // Without a message that says with what, nobody can open it.
    let path = format!("/media/{}", hex::encode(first.file_enc_sha256));
    let (status, body) = simulated.call("GET", &path, None).await;
    assert_eq!((status, &body["error"]["code"]), (409, &json!("no_key")));
    let (status, _) = simulated.call("GET", &format!("/media/{}", "0".repeat(64)), None).await;
    assert_eq!(status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_fails_is_passed_over_for_the_next() {
    let (simulated, companion) = talking().await;
    for (seed, status) in [(1, Some(500)), (2, None)] {
        let fault = json!({ "kind": "media_error", "status": status, "host": 1, "on": "upload" });
        let fault = simulated.fault(fault).await;
        let uploaded = upload(&companion, file(5_000, seed), MediaType::Image).await;
        assert_eq!(on_the_hosts(&simulated, &uploaded.file_enc_sha256).await["uploads"], 1);
        simulated.delete(&format!("/faults/{fault}")).await;
    }
    // The same on the way down, and a file that arrives broken is no file.
    let faults = [
        json!({ "kind": "media_error", "status": 503, "host": 1, "on": "download" }),
        json!({ "kind": "media_error", "host": 1, "on": "download" }),
        json!({ "kind": "media_corrupt", "count": 1 }),
    ];
    for fault in faults {
        let (_, image) = picture(&simulated, &companion, 3).await;
        simulated.fault(fault).await;
        assert_eq!(companion.client.download(&image).await.unwrap(), file(5_000, 3));
        simulated.delete("/faults").await;
    }
    simulated.fault(json!({ "kind": "media_error", "status": 500 })).await;
    companion.client.upload(file(9, 9), MediaType::Image, UploadOptions::new()).await.unwrap_err();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_download_is_damaged_as_wanted_and_only_the_one_that_is_meant() {
    let (simulated, companion) = talking().await;
    let id = simulated.say(BOB, json!({ "to": ALICE, "kind": "document", "length": 1_000 })).await;
    let got = companion.message("a document", |incoming| incoming.id == id).await;
    let document = &got.message.document_message;
    assert_eq!(document.file_length, Some(1_000));
    let path = document.direct_path.clone().unwrap();
    let whole = asked(&simulated, "GET", &path, &[], b"").await.body;
    assert_eq!(whole.len(), 1_008 + 10);
    let mut flipped = whole.clone();
    flipped[509] ^= 0xFF;
    let damaged =
        [("middle", flipped), ("short", whole[..1_017].to_vec()), ("long", [&whole[..], &[0]].concat())];
    for (damage, body) in damaged {
        let fault = json!({ "kind": "media_corrupt", "damage": damage, "count": 1 });
        simulated.fault(fault).await;
        assert!(asked(&simulated, "GET", &path, &[], b"").await.body == body, "{damage}");
        assert!(asked(&simulated, "GET", &path, &[], b"").await.body == whole, "{damage}");
    }
    simulated.fault(json!({ "kind": "media_corrupt", "download": 9 })).await;
    assert!(asked(&simulated, "GET", &path, &[], b"").await.body == whole, "the eighth");
    assert!(asked(&simulated, "GET", &path, &[], b"").await.body != whole, "the ninth");
    assert_eq!(on_the_hosts(&simulated, document.file_enc_sha256.as_ref().unwrap()).await["underWay"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_that_have_expired_are_asked_for_again() {
    let (simulated, companion) = talking().await;
    upload(&companion, file(10, 1), MediaType::Image).await;
    for (salt, status) in [(2, json!({})), (4, json!({ "status": 403 }))] {
        let mut fault = json!({ "kind": "media_auth_expired", "target": ALICE });
        fault.as_object_mut().unwrap().extend(status.as_object().unwrap().clone());
        simulated.fault(fault).await;
        let uploaded = upload(&companion, file(10, salt), MediaType::Image).await;
        assert_eq!(on_the_hosts(&simulated, &uploaded.file_enc_sha256).await["uploads"], 1);
        assert_eq!(simulated.get("/faults").await["faults"], json!([]), "they had expired");
    }
    // When they always have, that is the end of it.
    simulated.fault(json!({ "kind": "media_auth_expired", "count": 2 })).await;
    let refused = companion.client.upload(file(10, 3), MediaType::Image, UploadOptions::new()).await;
    assert!(refused.unwrap_err().to_string().contains("401"));
    simulated.fault(json!({ "kind": "media_auth_expired", "count": 2, "status": 403 })).await;
    let refused = companion.client.upload(file(10, 5), MediaType::Image, UploadOptions::new()).await;
    assert!(refused.unwrap_err().to_string().contains("403"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_breaks_off_goes_on_where_it_was() {
    let (simulated, companion) = talking().await;
    let data = file(6 << 20, 4);
    simulated.fault(json!({ "kind": "media_cut", "bytes": 4 << 20 })).await;
    let uploaded = upload(&companion, data.clone(), MediaType::Video).await;
    assert_eq!(simulated.get("/faults").await["faults"], json!([]));
    let listed = on_the_hosts(&simulated, &uploaded.file_enc_sha256).await;
    assert_eq!(listed["bytes"].as_u64(), Some((6 << 20) + 16 + 10));
    // What is there already isn't brought again.
    let options = UploadOptions::new().with_media_key(uploaded.media_key);
    let again = companion.client.upload(data, MediaType::Video, options).await.unwrap();
    assert_eq!(again.direct_path, uploaded.direct_path);
    assert_eq!(on_the_hosts(&simulated, &uploaded.file_enc_sha256).await["uploads"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn hosts_take_nothing_without_credentials_and_nothing_else_than_announced() {
    let (simulated, companion) = talking().await;
    let auth = companion.client.refresh_media_conn(true).await.unwrap();
    assert_eq!(auth.hosts.len(), 2);
    let token = BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(b"ciphertext"));
    let path = |auth: &str| format!("/mmg/2/mms/image/{token}?auth={auth}&token={token}");
    assert_eq!(asked(&simulated, "POST", &path("forged"), &[], b"ciphertext").await.status, 401);
    assert_eq!(asked(&simulated, "POST", &path(&auth.auth), &[], b"something else").await.status, 400);
    let answer = asked(&simulated, "POST", &path(&auth.auth), &[], b"ciphertext").await;
    assert_eq!(answer.status, 200);
    let direct_path = answer.json()["direct_path"].as_str().unwrap().to_owned();
    assert_eq!(answer.json()["url"], json!(format!("https://{}{direct_path}", simulated.running.address)));
    // Whoever has the path gets the file, or a part of it, from any host.
    for prefix in ["", "/mmg/1", "/mmg/2"] {
        let path = format!("{prefix}{direct_path}");
        assert_eq!(asked(&simulated, "GET", &path, &[], b"").await.body, b"ciphertext");
        let part = asked(&simulated, "GET", &path, &[("range", "bytes=2-4")], b"").await;
        assert_eq!((part.status, part.body.as_slice()), (206, b"phe".as_slice()));
        assert!(part.head.to_lowercase().contains("content-range: bytes 2-4/10"), "{}", part.head);
    }
    assert_eq!(asked(&simulated, "GET", "/v/t62.7118-24/nothing.enc", &[], b"").await.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_gone_is_uploaded_again_by_the_phone() {
    let (simulated, companion) = talking().await;
    let (id, mut image) = picture(&simulated, &companion, 6).await;
    let name = hex::encode(image.file_enc_sha256.as_ref().unwrap());
    for status in [410, 404] {
        simulated.delete(&format!("/media/{name}?status={status}")).await;
        let gone = companion.client.download(&image).await.unwrap_err();
        assert!(gone.to_string().contains(&status.to_string()), "{gone:#}");
    }
    let bob = bob();
    let media_key = image.media_key.clone().unwrap();
    let request = |id| MediaReuploadRequest {
        msg_id: id,
        chat_jid: &bob,
        media_key: &media_key,
        is_from_me: false,
        participant: None,
    };
    let reupload = companion.client.media_reupload();
    let MediaRetryResult::Success { direct_path } = reupload.request(&request(&id)).await.unwrap() else {
        panic!("the phone has it")
    };
    assert_ne!(image.direct_path.as_ref(), Some(&direct_path));
    image.direct_path = Some(direct_path);
    assert_eq!(companion.client.download(&image).await.unwrap(), file(5_000, 6));
    assert_eq!(opened(&simulated, image.file_sha256.as_ref().unwrap()).await, file(5_000, 6));

    let unknown = reupload.request(&request("3EB0NOSUCHMESSAGE")).await.unwrap();
    assert!(matches!(unknown, MediaRetryResult::NotFound));
    simulated.fault(json!({ "kind": "media_retry_error", "code": 1, "target": ALICE })).await;
    assert!(matches!(reupload.request(&request(&id)).await.unwrap(), MediaRetryResult::GeneralError));
    let wrong = MediaReuploadRequest { media_key: &[0; 32], ..request(&id) };
    assert!(matches!(reupload.request(&wrong).await.unwrap(), MediaRetryResult::DecryptionError));
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_hosts_are_only_slow() {
    let (simulated, companion) = talking().await;
    simulated.fault(json!({ "kind": "media_delay", "ms": 300, "on": "upload", "count": 1 })).await;
    let before = std::time::UNIX_EPOCH.elapsed().unwrap();
    let uploaded = upload(&companion, file(10, 1), MediaType::Image).await;
    let took = std::time::UNIX_EPOCH.elapsed().unwrap().checked_sub(before).unwrap();
    assert!(took >= Duration::from_millis(300));
    let image = about_the_file!(ImageMessage, uploaded, "image/jpeg");
    let message = Message { image_message: MessageField::some(image), ..Message::default() };
    companion.client.send_message(bob(), message).await.unwrap();
    simulated.received(BOB, |message| message["kind"] == "image").await;
}
