//! The timeline: what became of a session, stretch by stretch, and how much of the time it worked.

use serde_json::{Value, json};

use crate::harness::{Organization, Patience, Session, eventually, now_ms, tests};

tests![
    a_session_that_never_started_has_no_past,
    every_stretch_is_told_with_its_cause_and_its_time,
    the_timeline_comes_in_pages,
    a_page_that_is_none_is_refused,
    uptime_grows_while_it_works_and_rests_while_it_is_stopped,
    a_lost_connection_and_a_lost_object_are_told,
];

const SOON: Patience = Patience::seconds(30);

async fn timeline(session: &Session, query: &str) -> Value {
    session.get(&format!("/timeline{query}")).await.expect(200)
}

fn stretches(timeline: &Value) -> Vec<Value> {
    timeline["data"].as_array().unwrap().clone()
}

/// Newest first, without a gap: each ends where the next begins, only the newest lasts.
fn add_up(newest_first: &[Value]) {
    let number = |stretch: &Value, field: &str| stretch[field].as_u64().unwrap();
    assert_eq!(newest_first[0]["durationMs"], Value::Null, "the newest has ended");
    for pair in newest_first.windows(2) {
        let (later, earlier) = (&pair[0], &pair[1]);
        assert_eq!(number(later, "seq"), number(earlier, "seq") + 1, "{earlier} {later}");
        assert_eq!(number(earlier, "at") + number(earlier, "durationMs"), number(later, "at"));
        assert!(number(later, "epoch") >= number(earlier, "epoch"));
    }
    for stretch in newest_first {
        assert_eq!(stretch["code"].is_null(), stretch["message"].is_null(), "{stretch}");
        assert_eq!(stretch.as_object().unwrap().len(), 7, "{stretch}");
    }
}

/// `status code epoch`, oldest first.
fn story(newest_first: &[Value]) -> Vec<String> {
    let told = newest_first.iter().rev();
    told.map(|stretch| {
        let code = stretch["code"].as_str().unwrap_or("-");
        format!("{} {code} {}", stretch["status"].as_str().unwrap(), stretch["epoch"])
    })
    .collect()
}

async fn a_session_that_never_started_has_no_past() {
    let session = Organization::new().session(&json!({})).await;
    let nothing = json!({"workingMs": 0, "wantedMs": 0, "ratio": null});
    assert_eq!(
        timeline(&session, "").await,
        json!({"data": [], "nextCursor": null, "uptime": {"last24Hours": nothing, "last7Days": nothing}})
    );
    assert_eq!(session.row().await["epoch"], 0, "asking began something");
}

async fn every_stretch_is_told_with_its_cause_and_its_time() {
    let before = now_ms();
    let (session, phone) = Session::working().await;
    session.post(":stop").await.expect(200);
    session.post(":start").await.expect(200);
    session.wait_for_status("working", SOON).await;
    phone.fault(json!({"kind": "stream_error", "code": 503})).await;
    session.wait_for_reason("server_error", SOON).await;
    session.wait_for_status("working", SOON).await;
    phone.unlink(&phone.device().await).await;
    session.wait_for_status("logged_out", SOON).await;

    let told = stretches(&timeline(&session, "").await);
    add_up(&told);
    let (first, last) = (told.last().unwrap(), &told[0]);
    assert!((before..=now_ms()).contains(&first["at"].as_u64().unwrap()), "{first}");
    assert_eq!((&last["status"], &last["code"]), (&json!("logged_out"), &json!("device_removed")));
    let story = story(&told);
    let expected = [
        "starting - 1",
        "scan_qr_code - 1",
        "starting restart_required 1",
        "starting restart_required 2",
        "working - 2",
        "stopped - 2",
        "starting - 3",
        "working - 3",
        "starting server_error 3",
        "starting server_error 4",
        "working - 4",
        "logged_out device_removed 4",
    ];
    assert_eq!(story, expected);
    println!("    {}", story.join(", "));
}

async fn the_timeline_comes_in_pages() {
    let session = Organization::new().session(&json!({"start": true})).await;
    for _ in 0..4 {
        session.code().await;
        session.post(":stop").await.expect(200);
        session.post(":start").await.expect(200);
    }
    session.post(":stop").await.expect(200);
    let all = timeline(&session, "").await;
    let told = stretches(&all);
    add_up(&told);
    assert_eq!(all["nextCursor"], Value::Null);
    assert!(told.len() >= 10, "{:?}", story(&told));
    for limit in [1, 3, told.len(), 200] {
        let mut seen = Vec::new();
        let mut cursor = String::new();
        loop {
            let page = timeline(&session, &format!("?limit={limit}{cursor}")).await;
            let listed = stretches(&page);
            assert!(!listed.is_empty() && listed.len() <= limit, "limit {limit}: {}", listed.len());
            seen.extend(listed);
            let Some(next) = page["nextCursor"].as_str() else { break };
            cursor = format!("&cursor={next}");
        }
        assert_eq!(seen, told, "limit {limit}");
    }
}

async fn a_page_that_is_none_is_refused() {
    let organization = Organization::new();
    let session = organization.session(&json!({"start": true})).await;
    session.code().await;
    let page = timeline(&session, "?limit=1").await;
    let cursor = page["nextCursor"].as_str().unwrap();
    let foreign = organization.session(&json!({})).await;
    for session in [&session, &foreign] {
        for limit in ["0", "201", "-1", "1.5", "x", "", "99999999999999999999", "1e2", "%20"] {
            session.get(&format!("/timeline?limit={limit}")).await.expect_invalid("limit");
        }
        let damaged =
            [&cursor[1..], &cursor[..cursor.len() - 1], &format!("{cursor}A"), "", "%00", "💥", "1"];
        for damaged in damaged {
            session.get(&format!("/timeline?cursor={damaged}")).await.expect_invalid("cursor");
        }
    }
}

async fn uptime_grows_while_it_works_and_rests_while_it_is_stopped() {
    let (session, _phone) = Session::working().await;
    let uptime = async || {
        let uptime = timeline(&session, "").await["uptime"].clone();
        for span in ["last24Hours", "last7Days"] {
            let (working, wanted) =
                (uptime[span]["workingMs"].as_u64().unwrap(), uptime[span]["wantedMs"].as_u64().unwrap());
            let ratio = uptime[span]["ratio"].as_f64().unwrap();
            assert!((0.0..=1.0).contains(&ratio) && working <= wanted, "{uptime}");
            #[allow(clippy::cast_precision_loss, reason = "some seconds")]
            let expected = working as f64 / wanted as f64;
            assert!((ratio - expected).abs() < 1e-9, "{uptime}");
        }
        assert_eq!(uptime["last24Hours"], uptime["last7Days"], "it is younger than a day");
        uptime["last24Hours"].clone()
    };
    let first = uptime().await;
    let grown = eventually("a second of work", SOON, async || {
        let now = uptime().await;
        let more = now["workingMs"].as_u64().unwrap() - first["workingMs"].as_u64().unwrap();
        if more >= 1_000 { Ok(now) } else { Err(now.to_string()) }
    })
    .await;
    assert!(grown["ratio"].as_f64() > first["ratio"].as_f64(), "{first} {grown}");
    session.post(":stop").await.expect(200);
    let stopped = uptime().await;
    assert!(stopped["workingMs"].as_u64() >= grown["workingMs"].as_u64());
    // The newest stretch has lasted a while; nothing of it is counted.
    let since = stretches(&timeline(&session, "?limit=1").await)[0]["at"].as_u64().unwrap();
    eventually("a second of rest", SOON, async || {
        if now_ms() > since + 1_000 { Ok(()) } else { Err("not yet".to_owned()) }
    })
    .await;
    assert_eq!(uptime().await, stopped);
    println!("    {stopped}");
}

async fn a_lost_connection_and_a_lost_object_are_told() {
    let (session, phone) = Session::working().await;
    phone.fault(json!({"kind": "close"})).await;
    session.wait_for_reason("network", SOON).await;
    session.wait_for_status("working", SOON).await;
    let lost = now_ms();
    session.organization.post(&format!("/simulator/sessions/{}/vanish", session.id)).await.expect(204);
    eventually("the object to be gone", SOON, async || {
        let device = phone.device().await;
        if device["connected"] == false { Ok(()) } else { Err(device.to_string()) }
    })
    .await;
    // Whoever asks wakes it.
    session.page("after=0").await.expect(200);
    session.wait_for("working again", SOON, |row| row["status"] == "working" && row["epoch"] == 4).await;
    let told = stretches(&timeline(&session, "").await);
    add_up(&told);
    let story = story(&told);
    let expected = [
        "starting network 2",
        "starting network 3",
        "working - 3",
        "starting restarted 3",
        "starting restarted 4",
        "working - 4",
    ];
    assert!(story.ends_with(&expected.map(str::to_owned)), "{story:?}");
    let restarted = &told[2];
    assert_eq!(restarted["code"], "restarted");
    // It had gone before it was noticed: at the latest when it was last heard of.
    let at = restarted["at"].as_u64().unwrap();
    assert!(at <= now_ms() && at + 16_000 >= lost, "{at}, lost at {lost}");
    println!("    {}", story.join(", "));
}
