//! Texts flow between phones and sessions while workerd is killed again and again and the webhook's receiver fails a
//! third of its requests. In the end every event was delivered, in each session's order, and every reader that came back
//! with its last position saw exactly the log.
//!
//! `npm test` runs it small. `npm run chaos` runs it with 50 sessions and 30 kills.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::iter;
use rand::RngExt as _;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::harness::{
    Lines, Organization, Patience, Phone, Receiver, Reply, Sandbox, Session, Socket, Sse, eventually, number,
    tests,
};

tests![everything_is_told_whatever_is_killed];

/// From a kill until another workerd runs.
const BACK: Patience = Patience::seconds(60);
/// From the last kill until everybody has everything: the schedule of retries included.
const SETTLED: Patience = Patience::seconds(240);
/// Between two texts, over all sessions.
const BEAT: Duration = Duration::from_millis(120);
/// Requests of this test at once: two cores.
const AT_ONCE: usize = 12;
/// A stream that says nothing for this long, not even that it lives, is opened again.
const SILENT: Duration = Duration::from_secs(25);

struct Member {
    session: Session,
    phone: Phone,
    written: RefCell<Vec<String>>,
}

/// What a reader has seen: events in their order, and where it stands.
#[derive(Default)]
struct Seen {
    events: RefCell<Vec<Value>>,
    position: RefCell<Option<String>>,
    opened: Cell<u32>,
}

impl Seen {
    fn take(&self, frame: &Value) {
        let position = &frame["position"];
        assert_ne!(frame["type"], "reset", "{frame}");
        *self.position.borrow_mut() = Some(position.as_str().unwrap().to_owned());
        if frame["type"] == "event" {
            self.events.borrow_mut().push(frame["event"].clone());
        }
    }

    fn path(&self) -> String {
        self.opened.set(self.opened.get() + 1);
        let after = self.position.borrow();
        after
            .as_ref()
            .map_or_else(|| "/api/v1/events".to_owned(), |after| format!("/api/v1/events?after={after}"))
    }

    /// By session: the `seq` of each event, in the order they were seen.
    fn by_session(&self) -> HashMap<String, Vec<u64>> {
        let mut seen: HashMap<String, Vec<u64>> = HashMap::new();
        for event in self.events.borrow().iter() {
            let session = event["session"].as_str().unwrap().to_owned();
            seen.entry(session).or_default().push(event["seq"].as_u64().unwrap());
        }
        seen
    }
}

async fn read_sse(organization: &Organization, seen: &Seen) {
    loop {
        let last = seen.position.borrow().clone();
        seen.opened.set(seen.opened.get() + 1);
        let Ok(mut stream) = Sse::try_open(organization, "/api/v1/events", last.as_deref()).await else {
            tokio::time::sleep(BEAT).await;
            continue;
        };
        while let Ok(Some(frame)) = tokio::time::timeout(SILENT, stream.read()).await {
            assert_ne!(frame.event, "reset", "{frame:?}");
            *seen.position.borrow_mut() = frame.id;
            if frame.event != "connected" {
                seen.events.borrow_mut().push(frame.data);
            }
        }
    }
}

async fn read_lines(organization: &Organization, seen: &Seen) {
    loop {
        let Ok(mut lines) = Lines::try_open(organization, &seen.path()).await else {
            tokio::time::sleep(BEAT).await;
            continue;
        };
        while let Ok(Some(line)) = tokio::time::timeout(SILENT, lines.next()).await {
            seen.take(&line);
        }
    }
}

async fn read_socket(organization: &Organization, seen: &Seen) {
    loop {
        let Ok(mut socket) = Socket::try_open(organization, &seen.path()).await else {
            tokio::time::sleep(BEAT).await;
            continue;
        };
        let mut unacknowledged = 0;
        while let Some(frame) = socket.within(SILENT).await {
            if frame["type"] == "heartbeat" {
                continue;
            }
            seen.take(&frame);
            unacknowledged += 1;
            if unacknowledged >= 50 {
                if socket.try_acknowledge(&frame["position"]).await.is_err() {
                    break;
                }
                unacknowledged = 0;
            }
        }
    }
}

async fn pull(organization: &Organization, seen: &Seen) {
    loop {
        let path = match seen.position.borrow().as_ref() {
            Some(after) => format!("/api/v1/events?after={after}&wait=5"),
            None => "/api/v1/events?limit=1".to_owned(),
        };
        seen.opened.set(seen.opened.get() + 1);
        let Ok(answer) = organization.try_get(&path).await else {
            tokio::time::sleep(BEAT).await;
            continue;
        };
        if answer.status != 200 {
            tokio::time::sleep(BEAT).await;
            continue;
        }
        let page = answer.json();
        assert_eq!(page["gap"], false, "{page}");
        *seen.position.borrow_mut() = Some(page["nextCursor"].as_str().unwrap().to_owned());
        seen.events.borrow_mut().extend(page["data"].as_array().unwrap().iter().cloned());
    }
}

async fn talk(members: &[Member], friend: &Phone, talking: &Cell<bool>) {
    let mut beat = tokio::time::interval(BEAT);
    for (turn, member) in members.iter().cycle().enumerate() {
        beat.tick().await;
        if !talking.get() {
            return;
        }
        if turn % 5 == 4 {
            // The session writes too; while it is cut off it says so.
            let body = json!({ "type": "text", "to": friend.number, "text": format!("reply {turn}") });
            let path = member.session.path("/messages");
            let _may_fail = member.session.organization.try_post_json(&path, &body).await;
        } else if let Some(id) = friend.try_text(&member.phone.number, &format!("text {turn}")).await {
            member.written.borrow_mut().push(id);
        }
    }
}

async fn kill(sandbox: &Sandbox, kills: u64) {
    for _ in 0..kills {
        let pause = rand::rng().random_range(300..4_000);
        tokio::time::sleep(Duration::from_millis(pause)).await;
        let dead = sandbox.kill_workerd();
        eventually("another workerd", BACK, async || {
            if sandbox.workerd() == dead { Err(dead.to_string()) } else { Ok(()) }
        })
        .await;
    }
}

async fn everything_is_told_whatever_is_killed() {
    let size = usize::try_from(number("CHAOS_SESSIONS", 6)).unwrap();
    let kills = number("CHAOS_KILLS", 6);
    let sandbox = Sandbox::start().await;
    let organization = Organization::on(&sandbox);
    // Every third request fails, one way or another.
    let receiver = Receiver::that(|delivery| match delivery.at % 9 {
        0 => Reply::Status(500),
        3 => Reply::Status(503),
        6 => Reply::CloseEarly,
        _ => Reply::Status(204),
    })
    .await;
    let body = json!({ "url": receiver.url("/hook"), "retryPolicy": {"policy": "constant", "delaySeconds": 1, "attempts": 30} });
    organization.post_json("/api/v1/webhooks", &body).await.expect(201);

    let readers: [Seen; 4] = Default::default();
    // From here on everybody has a position, before the first event.
    for seen in &readers {
        let page = organization.get("/api/v1/events?limit=1").await.expect(200);
        *seen.position.borrow_mut() = Some(page["nextCursor"].as_str().unwrap().to_owned());
    }
    let friend = sandbox.simulator().phone().await;
    let pairing = (0..size).map(async |_| {
        let (session, phone) = Session::working_in(&organization).await;
        Member { session, phone, written: RefCell::default() }
    });
    let members: Vec<Member> = iter(pairing).buffer_unordered(AT_ONCE).collect().await;

    let began = Instant::now();
    let talking = Cell::new(true);
    let acting = async {
        let killing = async {
            kill(&sandbox, kills).await;
            talking.set(false);
        };
        futures::join!(talk(&members, &friend, &talking), killing);
        let lasted = began.elapsed().as_secs_f64();
        let logs = settled(&members, &receiver, &readers).await;
        (lasted, logs)
    };
    let [sse, lines, socket, pulled] = &readers;
    let (lasted, logs) = tokio::select! {
        done = acting => done,
        () = read_sse(&organization, sse) => unreachable!(),
        () = read_lines(&organization, lines) => unreachable!(),
        () = read_socket(&organization, socket) => unreachable!(),
        () = pull(&organization, pulled) => unreachable!(),
    };
    check(&members, &receiver, &readers, &logs);
    let texts: usize = members.iter().map(|member| member.written.borrow().len()).sum();
    let events: usize = logs.values().map(Vec::len).sum();
    println!(
        "    {size} sessions, {kills} kills in {lasted:.0} s: {texts} texts in, {events} events; {} requests to the \
         webhook, {} taken; streams opened {} (SSE), {} (NDJSON), {} (WebSocket) times, {} pages",
        receiver.all().len(),
        receiver.taken().len(),
        sse.opened.get(),
        lines.opened.get(),
        socket.opened.get(),
        pulled.opened.get(),
    );
}

/// Waits until everybody has what the sessions' logs have; the logs.
async fn settled(members: &[Member], receiver: &Receiver, readers: &[Seen]) -> BTreeMap<String, Vec<Value>> {
    for member in members {
        member.session.wait_for_status("working", BACK).await;
        let last = member.written.borrow().last().cloned();
        if let Some(last) = last {
            member.session.event_of("message", &last).await;
        }
    }
    eventually("everybody to have everything", SETTLED, async || {
        let logs =
            iter(members.iter().map(async |member| (member.session.id.clone(), member.session.log().await)));
        let logs: BTreeMap<String, Vec<Value>> = logs.buffer_unordered(AT_ONCE).collect().await;
        let wanted: usize = logs.values().map(Vec::len).sum();
        let taken: HashSet<String> =
            receiver.taken().iter().map(|delivery| delivery.header("webhook-id").to_owned()).collect();
        let seen: Vec<usize> = readers.iter().map(|seen| seen.events.borrow().len()).collect();
        if taken.len() >= wanted && seen.iter().all(|seen| *seen >= wanted) {
            Ok(logs)
        } else {
            Err(format!("{wanted} events; {} delivered, read {seen:?}", taken.len()))
        }
    })
    .await
}

fn check(members: &[Member], receiver: &Receiver, readers: &[Seen], logs: &BTreeMap<String, Vec<Value>>) {
    for member in members {
        let log = &logs[&member.session.id];
        let seqs: Vec<u64> = log.iter().map(|event| event["seq"].as_u64().unwrap()).collect();
        assert_eq!(seqs, (1..=seqs.len() as u64).collect::<Vec<_>>(), "a gap in the log");
        let mut told: Vec<&str> = log
            .iter()
            .filter(|event| event["event"] == "message")
            .map(|event| event["payload"]["waMessageId"].as_str().unwrap())
            .collect();
        let written = member.written.borrow();
        let mut wanted: Vec<&str> = written.iter().map(String::as_str).collect();
        told.sort_unstable();
        wanted.sort_unstable();
        assert_eq!(told, wanted, "lost, repeated or made up");

        // The webhook: at least once each; in order after deduplication by `webhook-id`.
        let mut known = HashSet::new();
        let delivered: Vec<Value> = receiver
            .taken()
            .iter()
            .filter(|delivery| delivery.json()["session"] == member.session.id)
            .filter(|delivery| known.insert(delivery.header("webhook-id").to_owned()))
            .map(super::harness::Delivery::json)
            .collect();
        assert_eq!(&delivered, log, "the webhook of {}", member.session.id);
        for (reader, seen) in ["SSE", "NDJSON", "WebSocket", "pull"].into_iter().zip(readers) {
            assert_eq!(seen.by_session()[&member.session.id], seqs, "{reader}");
        }
    }
}
