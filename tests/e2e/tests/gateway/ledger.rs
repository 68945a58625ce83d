//! The organization's log: all its sessions in one order, on every transport, and who may hold it open.

use std::time::Duration;

use reqwest::Method;
use rusqlite::params;
use serde_json::{Value, json};

use crate::harness::{
    Lines, Organization, Patience, Phone, Said, Session, Socket, Sse, eventually, now_ms, tests,
};

tests![
    an_organization_reads_all_its_sessions_in_one_order,
    a_page_that_waits_returns_when_any_session_has_news,
    a_filter_by_type_and_session_leaves_the_rest_out,
    every_transport_goes_on_where_it_was,
    positions_that_are_damaged_or_anothers_are_refused,
    a_ticket_opens_one_socket_for_what_it_was_minted_for,
    a_ticket_is_good_for_thirty_seconds,
    a_socket_needs_a_ticket_or_a_key,
    a_slow_socket_is_paused_and_goes_on_when_it_acknowledges,
    a_socket_that_talks_nonsense_is_closed,
    a_revoked_key_closes_its_sockets,
    a_revoked_key_ends_its_streams,
    the_end_of_a_session_closes_its_sockets,
    lines_and_sockets_read_a_sessions_log_too,
];

const SOON: Patience = Patience::seconds(20);

/// Begins to read: from here on the organization's events are kept.
async fn position(organization: &Organization) -> String {
    let page = organization.get("/api/v1/events?limit=1").await.expect(200);
    page["nextCursor"].as_str().unwrap().to_owned()
}

/// Everything after a position, read in small pages.
async fn since(organization: &Organization, mut after: String) -> (Vec<Value>, String) {
    let mut events = Vec::new();
    loop {
        let page = organization.get(&format!("/api/v1/events?after={after}&limit=3")).await.expect(200);
        assert_eq!(page["gap"], false, "{page}");
        let data = page["data"].as_array().unwrap();
        page["nextCursor"].as_str().unwrap().clone_into(&mut after);
        if data.is_empty() {
            return (events, after);
        }
        events.extend(data.iter().cloned());
    }
}

/// Waits until the ledger has a session's event about a message.
async fn has(organization: &Organization, after: &str, id: &str) -> Vec<Value> {
    eventually(&format!("{id} in the ledger"), SOON, async || {
        let (events, _) = since(organization, after.to_owned()).await;
        if events.iter().any(|event| event["payload"]["waMessageId"] == id) {
            Ok(events)
        } else {
            Err(format!("{} events", events.len()))
        }
    })
    .await
}

fn of<'a>(events: &'a [Value], session: &Session) -> Vec<&'a Value> {
    events.iter().filter(|event| event["session"] == session.id).collect()
}

async fn two_sessions(organization: &Organization) -> [(Session, Phone); 2] {
    let (a, b) = futures::join!(Session::working_in(organization), Session::working_in(organization));
    [a, b]
}

async fn an_organization_reads_all_its_sessions_in_one_order() {
    let organization = Organization::new();
    let begin = position(&organization).await;
    let [(a, phone_a), (b, phone_b)] = two_sessions(&organization).await;
    let first = a.sent(&phone_b.number, "one").await;
    b.event_of("message", &first).await;
    let second = b.sent(&phone_a.number, "two").await;
    a.event_of("message", &second).await;
    has(&organization, &begin, &first).await;
    let events = has(&organization, &begin, &second).await;
    eventually("the whole of both logs", SOON, async || {
        let (events, _) = since(&organization, begin.clone()).await;
        for session in [&a, &b] {
            let log = session.log().await;
            if of(&events, session) != log.iter().collect::<Vec<_>>() {
                return Err(format!("{} of {}", of(&events, session).len(), log.len()));
            }
        }
        Ok(())
    })
    .await;
    // The order is kept: who reads again reads the same.
    let (again, _) = since(&organization, begin).await;
    assert_eq!(again[..events.len()], events[..]);
    // Nobody else reads it.
    let other = Organization::new();
    let begin = position(&other).await;
    assert_eq!(since(&other, begin).await.0, Vec::<Value>::new());
}

async fn a_page_that_waits_returns_when_any_session_has_news() {
    let organization = Organization::new();
    let begin = position(&organization).await;
    let (session, me) = Session::working_in(&organization).await;
    let other = me.simulator.phone().await;
    let newest = eventually("the ledger to have the session's whole log", SOON, async || {
        let ((events, newest), log) = futures::join!(since(&organization, begin.clone()), session.log());
        if events.len() == log.len() { Ok(newest) } else { Err(events.len().to_string()) }
    })
    .await;
    let path = format!("/api/v1/events?after={newest}&types=message&wait=30");
    let (page, id) = futures::join!(organization.get(&path), other.text(&me.number, "wake up"));
    assert_eq!(page.expect(200)["data"][0]["payload"]["waMessageId"], id);
}

async fn a_filter_by_type_and_session_leaves_the_rest_out() {
    let organization = Organization::new();
    let begin = position(&organization).await;
    let [(a, phone_a), (b, phone_b)] = two_sessions(&organization).await;
    let other = phone_a.simulator.phone().await;
    let to_a = other.text(&phone_a.number, "to a").await;
    let to_b = other.text(&phone_b.number, "to b").await;
    has(&organization, &begin, &to_a).await;
    has(&organization, &begin, &to_b).await;
    let path = format!("/api/v1/events?after={begin}&types=message&session={}&limit=200", b.id);
    let page = organization.get(&path).await.expect(200);
    let ids: Vec<&Value> =
        page["data"].as_array().unwrap().iter().map(|event| &event["payload"]["waMessageId"]).collect();
    assert_eq!(ids, [&json!(to_b)]);
    // The cursor has moved past the rest.
    let (rest, _) = since(&organization, page["nextCursor"].as_str().unwrap().to_owned()).await;
    assert!(of(&rest, &a).iter().all(|event| event["payload"]["waMessageId"] != to_a.as_str()), "{rest:?}");
    let foreign = Organization::new().session(&json!({})).await;
    for unknown in [foreign.id.as_str(), "01ARZ3NDEKTSV4RRFFQ69G5FAV", "nonsense"] {
        organization.get(&format!("/api/v1/events?session={unknown}")).await.expect_error(404, "not_found");
    }
}

async fn every_transport_goes_on_where_it_was() {
    let organization = Organization::new();
    position(&organization).await;
    let (_session, me) = Session::working_in(&organization).await;
    let other = me.simulator.phone().await;
    let path = "/api/v1/events?types=message";
    let mut sse = Sse::open(&organization, path, None).await;
    let mut lines = Lines::open(&organization, path).await;
    let mut socket = Socket::open(&organization, path).await;
    assert_eq!(sse.frame().await.event, "connected");
    assert_eq!(lines.line().await["type"], "connected");
    assert_eq!(socket.frame().await["type"], "connected");
    let mut sent = vec![other.text(&me.number, "live").await];
    let seen = sse.frame().await;
    let (line, frame) = (lines.line().await, socket.frame().await);
    for event in [&seen.data, &line["event"], &frame["event"]] {
        assert_eq!(event["payload"]["waMessageId"], sent[0].as_str());
    }
    let position = seen.id.unwrap();
    assert_eq!((&line["position"], &frame["position"]), (&json!(position), &json!(position)));
    drop((sse, lines, socket));

    // All of them were away.
    for number in 0..3 {
        sent.push(other.text(&me.number, &format!("missed {number}")).await);
    }
    let mut sse = Sse::open(&organization, path, Some(&position)).await;
    let path = format!("{path}&after={position}");
    let mut lines = Lines::open(&organization, &path).await;
    let mut socket = Socket::open(&organization, &path).await;
    for begun in [sse.frame().await.data, lines.line().await, socket.frame().await] {
        assert_eq!(begun["position"], position);
    }
    for id in &sent[1..] {
        let (frame, line, said) = (sse.frame().await, lines.line().await, socket.frame().await);
        for event in [&frame.data, &line["event"], &said["event"]] {
            assert_eq!(event["payload"]["waMessageId"], id.as_str());
        }
    }
}

async fn positions_that_are_damaged_or_anothers_are_refused() {
    let organization = Organization::new();
    let mine = position(&organization).await;
    let foreign = position(&Organization::new()).await;
    let (number, mark) = mine.split_once('-').unwrap();
    let moved = format!("{}-{mark}", number.parse::<u64>().unwrap() + 1);
    for after in [foreign.as_str(), &moved, number, "0", "x", "-1", "99999999999999999999-abcdef"] {
        organization.get(&format!("/api/v1/events?after={after}")).await.expect_invalid("after");
        let socket = Socket::try_open(&organization, &format!("/api/v1/events?after={after}")).await;
        assert_eq!(socket.unwrap_err(), "400", "{after}");
        let stream = Sse::try_open(&organization, "/api/v1/events", Some(after)).await;
        assert_eq!(stream.err().unwrap(), "400 Bad Request", "{after}");
    }
    for (field, value) in [("limit", "0"), ("wait", "31"), ("types", "nope")] {
        organization.get(&format!("/api/v1/events?{field}={value}")).await.expect_invalid(field);
    }
}

/// A ticket.
async fn ticket(organization: &Organization, body: &Value) -> String {
    let answer = organization.post_json("/api/v1/realtime/ticket", body).await.expect(200);
    answer["ticket"].as_str().unwrap().to_owned()
}

async fn a_ticket_opens_one_socket_for_what_it_was_minted_for() {
    let organization = Organization::new();
    let [(a, phone_a), (b, phone_b)] = two_sessions(&organization).await;
    let other = phone_a.simulator.phone().await;
    let scoped = ticket(&organization, &json!({ "session": a.id, "types": ["message"] })).await;
    let path = format!("/api/v1/realtime?ticket={scoped}&after={}", a.position().await);
    let gateway = &organization.gateway;
    let mut socket = Socket::bare(gateway, &path).await.unwrap();
    assert_eq!(socket.frame().await["type"], "connected");
    // Of two that come at once one opens; here they come one after the other.
    assert_eq!(Socket::bare(gateway, &path).await.unwrap_err(), "401");
    other.text(&phone_b.number, "not for this one").await;
    let id = other.text(&phone_a.number, "for this one").await;
    let frame = socket.frame().await;
    assert_eq!(
        (&frame["event"]["payload"]["waMessageId"], &frame["event"]["session"]),
        (&json!(id), &json!(a.id))
    );
    assert_eq!(frame["position"], frame["event"]["seq"]);

    let whole = ticket(&organization, &json!({})).await;
    let mut socket = Socket::bare(gateway, &format!("/api/v1/realtime?ticket={whole}")).await.unwrap();
    assert_eq!(socket.frame().await["type"], "connected");
    let id = other.text(&phone_b.number, "for the whole").await;
    // What was handed over late comes before it.
    let frame = loop {
        let frame = socket.frame().await;
        if frame["event"]["payload"]["waMessageId"] == id.as_str() {
            break frame;
        }
    };
    assert_eq!((&frame["event"]["event"], &frame["event"]["session"]), (&json!("message"), &json!(b.id)));

    let once = ticket(&organization, &json!({})).await;
    let path = format!("/api/v1/realtime?ticket={once}");
    let (first, second) = futures::join!(Socket::bare(gateway, &path), Socket::bare(gateway, &path));
    assert_eq!(usize::from(first.is_ok()) + usize::from(second.is_ok()), 1, "{first:?} {second:?}");
}

async fn a_ticket_is_good_for_thirty_seconds() {
    let organization = Organization::new();
    let gateway = &organization.gateway;
    let mint = async || {
        let before = now_ms();
        let minted = organization.post_json("/api/v1/realtime/ticket", &json!({})).await.expect(200);
        let expires_at = minted["expiresAt"].as_u64().unwrap();
        assert!((before + 30_000..=now_ms() + 30_000).contains(&expires_at), "{minted}");
        format!("/api/v1/realtime?ticket={}", minted["ticket"].as_str().unwrap())
    };
    // As if so much of its time had passed.
    let age = |by: i64| {
        let statement = "UPDATE realtime_ticket SET expires_at = expires_at - ?2 WHERE organization_id = ?1";
        let aged = gateway.directory().execute(statement, params![organization.name, by]).unwrap();
        assert_eq!(aged, 1);
    };
    let path = mint().await;
    age(30_000);
    assert_eq!(Socket::bare(gateway, &path).await.unwrap_err(), "401");
    let path = mint().await;
    age(15_000);
    assert_eq!(Socket::bare(gateway, &path).await.unwrap().frame().await["type"], "connected");
}

async fn a_socket_needs_a_ticket_or_a_key() {
    let organization = Organization::new();
    let gateway = &organization.gateway;
    let made_up = format!("wat_{}", "A".repeat(43));
    for path in ["/api/v1/realtime", "/api/v1/realtime?ticket=", "/api/v1/realtime?ticket=nonsense"] {
        assert_eq!(Socket::bare(gateway, path).await.unwrap_err(), "401", "{path}");
    }
    assert_eq!(
        Socket::bare(gateway, &format!("/api/v1/realtime?ticket={made_up}")).await.unwrap_err(),
        "401"
    );
    assert_eq!(Socket::bare(gateway, "/api/v1/events").await.unwrap_err(), "401");
    let ticket = ticket(&organization, &json!({})).await;
    let plain = gateway.get(&format!("/api/v1/realtime?ticket={ticket}")).await;
    plain.expect_invalid("Upgrade");
    // It was not used up by that.
    assert!(Socket::bare(gateway, &format!("/api/v1/realtime?ticket={ticket}")).await.is_ok());
    for (field, body) in [("types", json!({"types": ["nope"]})), ("nope", json!({"nope": 1}))] {
        let answer = organization.post_json("/api/v1/realtime/ticket", &body).await;
        assert_eq!(answer.status, 400, "{field}: {}", answer.text());
    }
    let foreign = Organization::new().session(&json!({})).await;
    let body = json!({ "session": foreign.id });
    organization.post_json("/api/v1/realtime/ticket", &body).await.expect_error(404, "not_found");
}

async fn a_slow_socket_is_paused_and_goes_on_when_it_acknowledges() {
    let (session, me) = Session::working().await;
    let other = me.simulator.phone().await;
    let mut socket = Socket::open(&session.organization, &session.path("/events?types=message")).await;
    assert_eq!(socket.frame().await["type"], "connected");
    let mut sent = Vec::new();
    for number in 0..300 {
        sent.push(other.text(&me.number, &format!("number {number}")).await);
    }
    let mut seen = Vec::new();
    let paused = loop {
        let frame = socket.frame().await;
        if frame["type"] == "paused" {
            break frame;
        }
        seen.push(frame);
    };
    assert_eq!(seen.len(), 256);
    assert_eq!(paused["position"], seen.last().unwrap()["position"]);
    // Half of it is enough to go on with.
    socket.acknowledge(&seen[127]["position"]).await;
    while seen.len() < sent.len() {
        seen.push(socket.frame().await);
    }
    let ids: Vec<&str> =
        seen.iter().map(|frame| frame["event"]["payload"]["waMessageId"].as_str().unwrap()).collect();
    assert_eq!(ids, sent);
}

async fn a_socket_that_talks_nonsense_is_closed() {
    let (session, _me) = Session::working().await;
    for nonsense in ["", "{}", "[]", "{\"ack\":-1}", "{\"ack\":\"x\"}", "{\"ack\":1,\"b\":2}", "💥"] {
        let mut socket = Socket::open(&session.organization, &session.path("/events")).await;
        assert_eq!(socket.frame().await["type"], "connected");
        socket.say(nonsense).await;
        assert_eq!(socket.closed().await, Some(1008), "{nonsense}");
    }
    let mut socket = Socket::open(&session.organization, &session.path("/events")).await;
    assert_eq!(socket.frame().await["type"], "connected");
    socket.say("ping").await;
    assert_eq!(socket.next().await, Said::Text("pong".to_owned()));
}

async fn a_revoked_key_closes_its_sockets() {
    let (session, _me) = Session::working().await;
    let organization = &session.organization;
    let body = json!({ "name": "reader", "permissions": ["events"] });
    let key = organization.post_json("/api/v1/api-keys", &body).await.expect(201);
    let holder = Organization {
        gateway: organization.gateway.clone(),
        name: organization.name.clone(),
        key: key["key"].as_str().unwrap().to_owned(),
    };
    let mut sockets = [
        Socket::open(&holder, "/api/v1/events").await,
        Socket::open(&holder, &session.path("/events")).await,
    ];
    let mut another = Socket::open(organization, "/api/v1/events").await;
    for socket in &mut sockets {
        assert_eq!(socket.frame().await["type"], "connected");
    }
    let ticket = ticket(&holder, &json!({})).await;
    organization.delete(&format!("/api/v1/api-keys/{}", key["id"].as_str().unwrap())).await.expect(204);
    // A ticket lives no longer than the key it was minted with.
    let bare = Socket::bare(&organization.gateway, &format!("/api/v1/realtime?ticket={ticket}")).await;
    assert_eq!(bare.unwrap_err(), "401");
    for socket in &mut sockets {
        assert_eq!(socket.closed().await, Some(1008));
    }
    assert_eq!(another.frame().await["type"], "connected");
    another.say("ping").await;
    while another.next().await != Said::Text("pong".to_owned()) {}
}

async fn a_revoked_key_ends_its_streams() {
    let organization = Organization::new();
    let session = organization.session(&json!({})).await;
    let body = json!({ "name": "reader", "permissions": ["events"] });
    let key = organization.post_json("/api/v1/api-keys", &body).await.expect(201);
    let holder = Organization {
        gateway: organization.gateway.clone(),
        name: organization.name.clone(),
        key: key["key"].as_str().unwrap().to_owned(),
    };
    let paths = ["/api/v1/events".to_owned(), session.path("/events")];
    let mut frames = Vec::new();
    let mut lines = Vec::new();
    for path in &paths {
        frames.push(Sse::open(&holder, path, None).await);
        lines.push(Lines::open(&holder, path).await);
    }
    let mut another = Lines::open(&organization, &paths[0]).await;
    for (frames, lines) in frames.iter_mut().zip(&mut lines) {
        assert_eq!(frames.frame().await.event, "connected");
        assert_eq!(lines.line().await["type"], "connected");
    }
    organization.delete(&format!("/api/v1/api-keys/{}", key["id"].as_str().unwrap())).await.expect(204);
    let ends = frames.iter_mut().zip(&mut lines).map(async |(frames, lines)| {
        // Heartbeats may come first.
        let of_frames = async { while frames.read().await.is_some() {} };
        let of_lines = async { while lines.next().await.is_some() {} };
        futures::join!(of_frames, of_lines);
    });
    let ended = tokio::time::timeout(Duration::from_mins(1), futures::future::join_all(ends)).await;
    assert!(ended.is_ok(), "a stream goes on without its key");
    let (first, second) = (another.line().await, session.post(":start").await);
    assert_eq!(first["type"], "connected");
    second.expect(200);
    assert_eq!(another.line().await["event"]["session"], session.id, "another key's stream goes on");
}

async fn the_end_of_a_session_closes_its_sockets() {
    let (session, _me) = Session::working().await;
    let mut socket = Socket::open(&session.organization, &session.path("/events")).await;
    assert_eq!(socket.frame().await["type"], "connected");
    session.delete().await.expect(204);
    assert_eq!(socket.closed().await, Some(4004));
    let again = Socket::try_open(&session.organization, &session.path("/events")).await;
    assert_eq!(again.unwrap_err(), "404");
}

async fn lines_and_sockets_read_a_sessions_log_too() {
    let (session, _me) = Session::working().await;
    let log = session.log().await;
    let path = session.path("/events?after=0");
    let mut lines = Lines::open(&session.organization, &path).await;
    let mut socket = Socket::open(&session.organization, &path).await;
    assert_eq!(lines.line().await, json!({"type": "connected", "position": 0}));
    assert_eq!(socket.frame().await, json!({"type": "connected", "position": 0}));
    for event in &log {
        let wanted = json!({"type": "event", "position": event["seq"], "event": event});
        assert_eq!((lines.line().await, socket.frame().await), (wanted.clone(), wanted));
    }
    // Where it can't be resumed is said.
    let path = session.path("/events?after=999999");
    let mut socket = Socket::open(&session.organization, &path).await;
    assert_eq!(socket.frame().await["position"], log.len());
    let reset = socket.frame().await;
    assert_eq!((&reset["type"], &reset["reason"]), (&json!("reset"), &json!("unknown_position")));
    let head = session.organization.request(Method::HEAD, &session.path("/events")).send().await.unwrap();
    assert_eq!(head.status(), 200);
}
