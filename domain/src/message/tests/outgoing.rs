//! What is stored and sent.

use super::samples::{base64, jpeg, png};
use super::*;

fn round_trip(outgoing: &Outgoing) -> Value {
    let stored = serde_json::to_string(outgoing).unwrap();
    assert_eq!(&serde_json::from_str::<Outgoing>(&stored).unwrap(), outgoing);
    serde_json::from_str(&stored).unwrap()
}

/// It outlives deploys in the outbox: what an older gateway stored must still be read.
#[test]
fn what_is_stored_is_pinned() {
    let text = with(&with(&smallest("text"), "/replyTo", json!("3EB0")), "/mentions", json!([BOB]));
    assert_eq!(
        round_trip(&send(&text).unwrap()),
        json!({"to": BOB_JID, "content": {"text": "hi"}, "replyTo": "3EB0", "mentions": [BOB_JID]})
    );
    let poll = smallest("poll");
    let poll = with(&poll, "/pollEndTime", json!(NOW + 1));
    let poll = with(&with(&poll, "/pollHideVotes", json!(false)), "/selectableCount", json!(2));
    assert_eq!(
        round_trip(&send(&poll).unwrap()),
        json!({"to": BOB_JID, "content": {"poll": {"name": "Tea?", "options": ["yes", "no"], "selectableCount": 2,
            "endTime": NOW + 1, "hideVotes": false}}})
    );
    assert_eq!(
        round_trip(&send(&with(&smallest("location"), "/name", json!("Gate"))).unwrap()),
        json!({"to": BOB_JID, "content": {"location": {"latitude": 52.5, "longitude": 13.4, "name": "Gate"}}})
    );
    let contact = round_trip(&send(&smallest("contact")).unwrap());
    assert_eq!(contact["content"]["contact"]["displayName"], "Jane");
    let media = json!({"data": base64(&png(1, 1)), "filename": "a.png", "mimetype": "image/png"});
    let image = with(&with(&smallest("image"), "/media", media), "/caption", json!("Look"));
    assert_eq!(
        round_trip(&send(&image).unwrap()),
        json!({"to": BOB_JID, "content": {"media": {"kind": "image", "source": {"data": 0},
            "mimetype": "image/png", "caption": "Look", "filename": "a.png"}}})
    );
    assert_eq!(
        round_trip(&send(&with(&smallest("album"), "/caption", json!("Look"))).unwrap()),
        json!({"to": BOB_JID, "content": {"album": [
            {"kind": "image", "source": {"url": "https://example.com/1"}, "caption": "Look"},
            {"kind": "video", "source": {"url": "http://example.com/2"}}]}})
    );
}

#[test]
fn bytes_cost_a_third_more_when_stored() {
    let bytes = [png(1, 1), vec![0xff; 300_000]].concat();
    let body = with(&smallest("document"), "/media", json!({"data": base64(&bytes)}));
    let stored = serde_json::to_string(&send(&body).unwrap()).unwrap();
    assert!(stored.len() < 410_000, "{}", stored.len());
}

#[test]
fn a_message_has_its_kind_and_what_it_says() {
    for kind in KINDS {
        let captioned = matches!(kind, "image" | "video" | "document" | "album");
        let body = smallest(kind);
        let body = if captioned { with(&body, "/caption", json!("Look")) } else { body };
        let content = send(&body).unwrap().content;
        let said = match kind {
            "text" => Some("hi"),
            "poll" => Some("Tea?"),
            _ => captioned.then_some("Look"),
        };
        assert_eq!((content.kind(), content.body()), (kind, said));
        let files = match kind {
            "album" => 2,
            "text" | "poll" | "location" | "contact" => 0,
            _ => 1,
        };
        assert_eq!(content.medias().len(), files, "{kind}");
    }
}

#[test]
fn files_can_be_kept_apart() {
    let mut body = smallest("album");
    body["medias"] = json!([{"data": base64(&png(1, 1))}, {"type": "image", "url": "https://example.com/x"},
        {"data": base64(&jpeg(2, 2))}]);
    let (outgoing, files) = send_with_files(&body).unwrap();
    assert_eq!(outgoing.content.path(2), "medias[2]");
    assert_eq!(files, [png(1, 1), jpeg(2, 2)]);
    let numbers: Vec<_> = outgoing.content.medias().iter().map(|media| media.source.file()).collect();
    assert_eq!(numbers, [Some(0), None, Some(1)]);
    let stored: Outgoing = serde_json::from_value(round_trip(&outgoing)).unwrap();
    assert_eq!(stored, outgoing);
}
