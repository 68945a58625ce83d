//! What the media hosts may do to a file that is sent.

use futures::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::files::{base64, large, mp4, pdf, png};
use crate::harness::place::{Place, id_of};
use crate::harness::{Patience, Phone, eventually, send, tests, with_json};

tests![
    without_media_hosts_what_nobody_waits_for_is_tried_until_it_arrives_once,
    a_file_goes_to_the_other_host_when_one_fails,
    expired_credentials_of_the_media_hosts_are_renewed,
    a_large_upload_that_is_cut_off_arrives_whole,
    without_media_hosts_who_waits_hears_so_and_nothing_is_sent,
    a_file_sent_again_under_its_key_is_one_message,
];

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
    // By both statuses, and by each again after the other.
    for (round, status) in [401, 403, 401, 403].into_iter().enumerate() {
        place.me.fault(json!({ "kind": "media_auth_expired", "status": status })).await;
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
