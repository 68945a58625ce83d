//! The event log: read in pages, waited on, streamed, resumed.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::harness::{Frame, Organization, Session, tests};

tests![
    a_session_that_was_never_started_has_an_empty_log,
    a_pairing_is_told_from_beginning_to_end,
    pages_continue_where_the_last_one_ended,
    types_narrow_a_page_and_the_cursor_moves_past_the_rest,
    a_page_that_waits_returns_when_something_happens,
    a_page_that_waits_in_vain_is_empty,
    damaged_positions_and_parameters_are_refused,
    a_stream_begins_with_where_it_is_and_goes_on_live,
    a_stream_resumes_without_loss_or_repetition,
    a_stream_from_an_unknown_position_is_reset,
    a_stream_tells_only_the_types_asked_for,
    several_readers_see_the_same,
    a_stream_ends_when_its_session_is_deleted,
];

fn seqs(page: &Value) -> Vec<u64> {
    page["data"].as_array().unwrap().iter().map(|event| event["seq"].as_u64().unwrap()).collect()
}

async fn a_session_that_was_never_started_has_an_empty_log() {
    let session = Organization::new().session(&json!({})).await;
    let page = session.get("/events").await.expect(200);
    assert_eq!(page, json!({"data": [], "nextCursor": "0", "gap": false}));
}

async fn a_pairing_is_told_from_beginning_to_end() {
    let (session, phone) = Session::working().await;
    let log = session.log().await;
    let told: Vec<String> = log
        .iter()
        .map(|event| match event["event"].as_str().unwrap() {
            "session.status" => event["payload"]["status"].as_str().unwrap().to_owned(),
            other => other.to_owned(),
        })
        .collect();
    assert_eq!(told, ["starting", "auth.qr", "scan_qr_code", "auth.code", "starting", "working"]);
    let code = &log[3]["payload"];
    assert_eq!((&code["jid"], &code["lid"]), (&phone.device().await["jid"], &json!(phone.lid)));
    let times: Vec<u64> = log.iter().map(|event| event["timestamp"].as_u64().unwrap()).collect();
    assert!(times.is_sorted(), "{times:?}");
    let epochs: Vec<u64> = log.iter().map(|event| event["epoch"].as_u64().unwrap()).collect();
    assert!(epochs.is_sorted() && epochs.last() == session.row().await["epoch"].as_u64().as_ref());
    let mut ids: Vec<&str> = log.iter().map(|event| event["id"].as_str().unwrap()).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), log.len(), "an id twice");
}

async fn pages_continue_where_the_last_one_ended() {
    let (session, _phone) = Session::working().await;
    let whole = session.page("after=0").await.expect(200);
    let all = seqs(&whole);
    assert_eq!(whole["nextCursor"], all.last().unwrap().to_string());
    let mut seen = Vec::new();
    let mut cursor = "0".to_owned();
    loop {
        let page = session.page(&format!("after={cursor}&limit=2")).await.expect(200);
        if seqs(&page).is_empty() {
            assert_eq!(page["nextCursor"], cursor, "an empty page moved the cursor");
            break;
        }
        assert!(seqs(&page).len() <= 2);
        seen.extend(seqs(&page));
        page["nextCursor"].as_str().unwrap().clone_into(&mut cursor);
    }
    assert_eq!(seen, all);
    assert_eq!(
        session.get("/events").await.expect(200),
        whole,
        "without `after` a page begins at the oldest"
    );
}

async fn types_narrow_a_page_and_the_cursor_moves_past_the_rest() {
    let (session, _phone) = Session::working().await;
    let newest = session.position().await;
    let page = session.page("types=auth.qr,auth.code").await.expect(200);
    let kinds: Vec<&Value> = page["data"].as_array().unwrap().iter().map(|event| &event["event"]).collect();
    assert_eq!(kinds, ["auth.qr", "auth.code"]);
    assert_eq!(page["nextCursor"], newest.to_string());
    let page = session.page("types=auth.qr,auth.code&limit=1").await.expect(200);
    assert_eq!(page["nextCursor"], seqs(&page)[0].to_string());
    let page = session.page("types=group.update").await.expect(200);
    assert_eq!((seqs(&page), &page["nextCursor"]), (vec![], &json!(newest.to_string())));
}

async fn a_page_that_waits_returns_when_something_happens() {
    let (session, me) = Session::working().await;
    let other = me.simulator.phone().await;
    let position = session.position().await;
    let waiting = async {
        let began = Instant::now();
        let page = session.page(&format!("after={position}&types=message&wait=30")).await.expect(200);
        (page, began.elapsed())
    };
    let sending = async {
        // Some round trips later the reader is there.
        for _ in 0..5 {
            session.row().await;
        }
        other.text(&me.number, "wake up").await
    };
    let ((page, took), id) = futures::join!(waiting, sending);
    assert_eq!(page["data"][0]["payload"]["waMessageId"], id, "{page}");
    assert!(took < Duration::from_secs(10), "took {took:?}");
}

async fn a_page_that_waits_in_vain_is_empty() {
    let (session, _phone) = Session::working().await;
    let position = session.position().await;
    let began = Instant::now();
    let page = session.page(&format!("after={position}&wait=2")).await.expect(200);
    let took = began.elapsed();
    assert_eq!(page, json!({"data": [], "nextCursor": position.to_string(), "gap": false}));
    assert!(took >= Duration::from_secs(2) && took < Duration::from_secs(8), "took {took:?}");
}

async fn damaged_positions_and_parameters_are_refused() {
    let (session, _phone) = Session::working().await;
    let newest = session.position().await;
    let beyond = (newest + 1_000).to_string();
    for (field, values) in [
        ("after", vec!["", "x", "-1", "+1", "1.5", "1e3", "%00", "99999999999999999999", "💥", &beyond]),
        ("limit", vec!["", "0", "201", "-1", "1.5", "x"]),
        ("wait", vec!["", "31", "-1", "1.5", "x", "99999999999"]),
        ("types", vec!["nope", "message,nope", "*", "MESSAGE", "message;drop"]),
    ] {
        for value in values {
            session.page(&format!("{field}={value}")).await.expect_invalid(field);
        }
    }
    for last in ["x", "-1", "1.5", "evt_01ARZ3NDEKTSV4RRFFQ69G5FAV", "99999999999999999999"] {
        let request = session.organization.request(Method::GET, &session.path("/events"));
        let response = request.header("accept", "text/event-stream").header("last-event-id", last);
        let response = response.send().await.unwrap();
        assert_eq!(response.status(), 400, "{last}");
        let body: Value = serde_json::from_slice(&response.bytes().await.unwrap()).unwrap();
        assert_eq!(body["error"]["details"]["field"], "Last-Event-ID", "{body}");
    }
}

async fn a_stream_begins_with_where_it_is_and_goes_on_live() {
    let (session, me) = Session::working().await;
    let other = me.simulator.phone().await;
    let newest = session.position().await;
    let mut stream = session.stream("", None).await;
    let first = stream.frame().await;
    // With an id: who is cut off before the first event resumes from here too.
    assert_eq!((first.event.as_str(), first.id), ("connected", Some(newest.to_string())));
    assert_eq!(first.data["position"], newest);
    let id = other.text(&me.number, "live").await;
    let frame = stream.until(|frame| frame.event == "message").await.pop().unwrap();
    assert_eq!(frame.data["payload"]["waMessageId"], id);
    assert_eq!(frame.id, Some(frame.data["seq"].to_string()));
    // A frame is the same as what a page has.
    let page = session.page(&format!("after={}&limit=1", frame.data["seq"].as_u64().unwrap() - 1)).await;
    assert_eq!(page.expect(200)["data"][0], frame.data);
}

async fn a_stream_resumes_without_loss_or_repetition() {
    let (session, me) = Session::working().await;
    let other = me.simulator.phone().await;
    let mut sent = Vec::new();
    let mut seen: Vec<Frame> = Vec::new();
    let mut position = session.position().await.to_string();
    for round in 0..3 {
        // One comes while nobody listens, one while somebody does.
        sent.push(other.text(&me.number, &format!("missed {round}")).await);
        let mut stream = session.stream("", Some(&position)).await;
        assert_eq!(stream.frame().await.event, "connected");
        sent.push(other.text(&me.number, &format!("seen {round}")).await);
        let last = sent.last().unwrap();
        seen.extend(stream.until(|frame| frame.data["payload"]["waMessageId"] == last.as_str()).await);
        position = seen.last().unwrap().id.clone().unwrap();
    }
    let messages: Vec<&Value> = seen
        .iter()
        .filter(|frame| frame.event == "message")
        .map(|frame| &frame.data["payload"]["waMessageId"])
        .collect();
    assert_eq!(messages, sent.iter().collect::<Vec<_>>());
    let seqs: Vec<u64> = seen.iter().map(|frame| frame.data["seq"].as_u64().unwrap()).collect();
    assert!(seqs.windows(2).all(|pair| pair[0] + 1 == pair[1]), "{seqs:?}");
    // Cut off before the first event: the position of `connected` is enough.
    let idle = session.stream("", None).await.frame().await.id;
    let id = other.text(&me.number, "missed after all").await;
    let mut stream = session.stream("types=message", idle.as_deref()).await;
    let frame = stream.until(|frame| frame.event == "message").await.pop().unwrap();
    assert_eq!(frame.data["payload"]["waMessageId"], id);
    // `after` says the same where a header can't be set; the header wins.
    let mut stream = session.stream("after=0", None).await;
    assert_eq!(stream.frame().await.data["position"], 0);
    assert_eq!(stream.frame().await.id.as_deref(), Some("1"));
    let mut stream = session.stream("after=0", Some("3")).await;
    assert_eq!(stream.frame().await.data["position"], 3);
    assert_eq!(stream.frame().await.id.as_deref(), Some("4"));
}

async fn a_stream_from_an_unknown_position_is_reset() {
    let (session, me) = Session::working().await;
    let newest = session.position().await;
    let mut stream = session.stream("", Some(&(newest + 500).to_string())).await;
    assert_eq!(stream.frame().await.event, "connected");
    let reset = stream.frame().await;
    assert_eq!((reset.event.as_str(), &reset.data["position"]), ("reset", &json!(newest)));
    assert_eq!(reset.id, Some(newest.to_string()));
    // It goes on from there.
    let other = me.simulator.phone().await;
    let id = other.text(&me.number, "after the reset").await;
    stream.until(|frame| frame.data["payload"]["waMessageId"] == id.as_str()).await;
}

async fn a_stream_tells_only_the_types_asked_for() {
    let (session, me) = Session::working().await;
    let other = me.simulator.phone().await;
    let mut stream = session.stream("types=message&after=0", None).await;
    assert_eq!(stream.frame().await.event, "connected");
    session.sent(&other.number, "not this one").await;
    let id = other.text(&me.number, "this one").await;
    let frame = stream.frame().await;
    assert_eq!((frame.event.as_str(), &frame.data["payload"]["waMessageId"]), ("message", &json!(id)));
}

async fn several_readers_see_the_same() {
    let (session, me) = Session::working().await;
    let other = me.simulator.phone().await;
    let mut streams = Vec::new();
    for _ in 0..5 {
        let mut stream = session.stream("types=message", None).await;
        stream.frame().await;
        streams.push(stream);
    }
    // One reader goes away; nobody minds.
    drop(streams.pop());
    let mut sent = Vec::new();
    for number in 0..10 {
        sent.push(other.text(&me.number, &format!("number {number}")).await);
    }
    for stream in &mut streams {
        for id in &sent {
            assert_eq!(stream.frame().await.data["payload"]["waMessageId"], id.as_str());
        }
    }
}

async fn a_stream_ends_when_its_session_is_deleted() {
    let (session, _phone) = Session::working().await;
    let mut stream = session.stream("", None).await;
    assert_eq!(stream.frame().await.event, "connected");
    session.delete().await.expect(204);
    while let Some(frame) = stream.next().await {
        assert_ne!(frame.event, "message", "{frame:?}");
    }
}
