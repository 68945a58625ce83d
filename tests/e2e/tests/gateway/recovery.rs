//! What a gateway survives: killed workers, panics, crashes between two steps, a WhatsApp that can't be reached.
//! These break things for everybody, so each has a sandbox of its own.

use std::cell::{Cell, RefCell};
use std::ops::Range;
use std::time::Duration;

use futures::future::join_all;
use reqwest::Method;
use serde_json::json;
use tokio::time::Instant;

use crate::harness::matrix::{self, BY_ITSELF, Fault};
use crate::harness::{
    Organization, Patience, Phone, Sandbox, Session, Sse, eventually, now_ms, tests, with_json,
};

tests![
    a_killed_worker_loses_nothing_and_pairs_nothing_again,
    a_deploy_loses_nothing_and_pairs_nothing_again,
    a_panic_takes_nobody_down_for_long_and_leaves_no_second_socket,
    a_message_is_stored_before_its_ack_leaves,
    a_whatsapp_that_cannot_be_reached_is_tried_with_growing_delay,
];

/// How long everything may take to work again (the "Facts to settle").
const BACK: Patience = Patience::seconds(60);

/// Paired sessions of one organization, each with its number and somebody who writes to it.
struct Fleet {
    members: Vec<Member>,
}

struct Member {
    session: Session,
    phone: Phone,
    friend: Phone,
    /// What the friend wrote.
    sent: RefCell<Vec<String>>,
}

impl Fleet {
    async fn working(sandbox: &Sandbox, size: usize) -> Self {
        let organization = Organization::on(sandbox);
        let pairing = (0..size).map(async |_| {
            let (session, phone) = Session::working_in(&organization).await;
            let friend = sandbox.simulator().phone().await;
            Member { session, phone, friend, sent: RefCell::default() }
        });
        Self { members: join_all(pairing).await }
    }

    /// Everybody's friend writes one text.
    async fn hear(&self) {
        join_all(self.members.iter().map(Member::hear)).await;
    }

    /// The logins so far, by member.
    async fn logins(&self) -> Vec<u64> {
        let devices = join_all(self.members.iter().map(|member| member.phone.device())).await;
        devices.iter().map(|device| device["logins"].as_u64().unwrap()).collect()
    }

    /// Waits, without a request to the gateway, until everybody's device has logged in again; how long each took.
    async fn back_online(&self, before: &[u64], began: Instant) -> Vec<f64> {
        let waits = self.members.iter().zip(before).map(async |(member, before)| {
            eventually(&format!("{} to log in again", member.phone.number), BACK, async || {
                let device = member.phone.device().await;
                let again = device["logins"].as_u64() > Some(*before) && device["connected"] == true;
                if again { Ok(began.elapsed().as_secs_f64()) } else { Err(device.to_string()) }
            })
            .await
        });
        join_all(waits).await
    }

    /// Every session says that it works, and does: a text in and one out.
    async fn all_work(&self) {
        join_all(self.members.iter().map(async |member| {
            member.session.wait_for_status("working", BACK).await;
            let last = member.hear().await;
            member.session.event_of("message", &last).await;
            let id = member.session.sent(&member.friend.number, "still here").await;
            member.friend.received(&id).await;
        }))
        .await;
    }

    /// Every text is an event exactly once, the log has no gap, nobody was paired again.
    async fn nothing_lost_or_repeated(&self) -> usize {
        let mut texts = 0;
        for member in &self.members {
            let log = member.session.log().await;
            let told: Vec<&str> = log
                .iter()
                .filter(|event| event["event"] == "message")
                .map(|event| event["payload"]["waMessageId"].as_str().unwrap())
                .collect();
            let sent = member.sent.borrow().clone();
            let times = |id: &String| told.iter().filter(|told| *told == id).count();
            let lost: Vec<_> = sent.iter().filter(|id| times(id) == 0).collect();
            let repeated: Vec<_> = sent.iter().filter(|id| times(id) > 1).collect();
            assert!(lost.is_empty(), "{}: lost {lost:?} of {}", member.phone.number, sent.len());
            assert!(repeated.is_empty(), "{}: repeated {repeated:?}", member.phone.number);
            assert_eq!(told.len(), sent.len(), "events of messages nobody sent");
            assert_eq!(log.iter().filter(|event| event["event"] == "auth.code").count(), 1, "paired again");
            let device = member.phone.device().await;
            assert_eq!(device["device"], 1, "another device: {device}");
            eventually("the queue to drain", BACK, async || {
                let device = member.phone.device().await;
                if device["queueLength"] == 0 { Ok(()) } else { Err(device.to_string()) }
            })
            .await;
            texts += sent.len();
        }
        texts
    }

    /// For the table: how long each took to log in again, and what they said meanwhile.
    async fn note(&self, name: &str, time: Range<u64>, working: Vec<f64>) {
        let said = join_all(self.members.iter().map(|member| member.session.said(&time))).await;
        let said = said.into_iter().flatten().collect();
        let name = format!("{name}, {} sessions", self.members.len());
        matrix::note(Fault { name, said, seen: None, working, by: BY_ITSELF });
    }

    /// One socket for each session and none besides.
    async fn no_second_socket(&self, sandbox: &Sandbox) {
        eventually("one socket for each session", Patience::seconds(10), async || {
            let open = sandbox.simulator().connections().await["openSockets"].as_u64().unwrap();
            if open == self.members.len() as u64 { Ok(()) } else { Err(format!("{open} open sockets")) }
        })
        .await;
        let connected = sandbox.simulator().devices().await;
        assert!(connected.iter().all(|device| device["connected"] == true), "{connected:?}");
    }
}

impl Member {
    /// Follows the stream as a client does that resumes whenever it breaks, until all that was said has come.
    async fn listen(&self, said: &Cell<bool>) -> Vec<String> {
        let (mut told, mut position) = (Vec::new(), "0".to_owned());
        let complete = |told: &Vec<String>| said.get() && told.last() == self.sent.borrow().last();
        let began = Instant::now();
        while !complete(&told) {
            assert!(began.elapsed() < Duration::from_mins(3), "the stream has {} texts", told.len());
            let path = self.session.path("/events?types=message");
            let Ok(mut stream) = Sse::try_open(&self.session.organization, &path, Some(&position)).await
            else {
                // As the `retry:` of the stream asks for.
                tokio::time::sleep(Duration::from_secs(2)).await;
                continue;
            };
            while let Ok(Some(frame)) = tokio::time::timeout(Duration::from_secs(5), stream.next()).await {
                position = frame.id.unwrap_or(position);
                if frame.event == "message" {
                    told.push(frame.data["payload"]["waMessageId"].as_str().unwrap().to_owned());
                }
                if complete(&told) {
                    break;
                }
            }
        }
        told
    }

    /// The friend writes one text; its id.
    async fn hear(&self) -> String {
        let number = self.sent.borrow().len();
        let id = self.friend.text(&self.phone.number, &format!("text {number}")).await;
        self.sent.borrow_mut().push(id.clone());
        id
    }
}

async fn a_killed_worker_loses_nothing_and_pairs_nothing_again() {
    nothing_is_lost_over("kill -9 of workerd", 10, Sandbox::kill_workerd).await;
}

/// A deploy as `wrangler dev` does it: another workerd, and callers wait meanwhile. Whether Cloudflare lets the old
/// version and the new one run side by side for a moment can't be seen from here.
async fn a_deploy_loses_nothing_and_pairs_nothing_again() {
    nothing_is_lost_over("deploy", 4, Sandbox::deploy).await;
}

/// Twice in the middle of traffic workerd is replaced by another one.
async fn nothing_is_lost_over(name: &str, size: usize, replace: impl Fn(&Sandbox) -> u64) {
    let sandbox = Sandbox::start().await;
    let fleet = Fleet::working(&sandbox, size).await;
    let (talking, said) = (Cell::new(true), Cell::new(false));
    let talk = async {
        let mut beat = tokio::time::interval(Duration::from_millis(150));
        while talking.get() {
            beat.tick().await;
            fleet.hear().await;
        }
        said.set(true);
    };
    let replaced = async {
        let mut rounds = Vec::new();
        for _ in 0..2 {
            let heard = fleet.members[0].sent.borrow().len();
            eventually("some texts to have come in", BACK, async || {
                let now = fleet.members[0].sent.borrow().len();
                if now > heard + 5 { Ok(()) } else { Err(now.to_string()) }
            })
            .await;
            let before = fleet.logins().await;
            let (began, since) = (Instant::now(), now_ms());
            let replaced = replace(&sandbox);
            let times = fleet.back_online(&before, began).await;
            eventually("another workerd", BACK, async || {
                let now = sandbox.workerd();
                if now == replaced { Err(format!("still {now}")) } else { Ok(()) }
            })
            .await;
            rounds.push((since, times));
        }
        talking.set(false);
        rounds
    };
    let listen = fleet.members[0].listen(&said);
    let ((), rounds, streamed) = futures::join!(talk, replaced, listen);
    assert_eq!(
        streamed,
        *fleet.members[0].sent.borrow(),
        "a stream that was resumed lost or repeated something"
    );
    fleet.all_work().await;
    let texts = fleet.nothing_lost_or_repeated().await;
    fleet.no_second_socket(&sandbox).await;
    let ends: Vec<u64> = rounds.iter().skip(1).map(|(since, _)| *since).chain([u64::MAX]).collect();
    for (round, ((since, times), end)) in (1..).zip(rounds.into_iter().zip(ends)) {
        fleet.note(&format!("{name} number {round}"), since..end, times).await;
    }
    println!("    {texts} texts over {name}: none lost, none repeated");
}

async fn a_panic_takes_nobody_down_for_long_and_leaves_no_second_socket() {
    let sandbox = Sandbox::start().await;
    let fleet = Fleet::working(&sandbox, 5).await;
    for round in 1..=3 {
        fleet.hear().await;
        let before = fleet.logins().await;
        let (began, since) = (Instant::now(), now_ms());
        let victim = &fleet.members[round % fleet.members.len()];
        // What the caller gets is measured, not promised: a call into an object that dies may hang.
        let path = format!("/simulator/sessions/{}/panic", victim.session.id);
        let panicking =
            victim.session.organization.request(Method::POST, &path).timeout(Duration::from_secs(30)).send();
        let answered = async {
            let answer = panicking.await.map(|answer| answer.status().as_u16());
            (answer, began.elapsed().as_secs_f64())
        };
        // A message for each of them into the dead instance.
        let (times, (answer, took), ()) =
            futures::join!(fleet.back_online(&before, began), answered, fleet.hear());
        println!("    the caller of panic number {round} got {answer:?} after {took:.2} s");
        fleet.all_work().await;
        fleet.no_second_socket(&sandbox).await;
        fleet.note(&format!("panic number {round}"), since..now_ms(), times).await;
    }
    fleet.nothing_lost_or_repeated().await;
}

async fn a_message_is_stored_before_its_ack_leaves() {
    let sandbox = Sandbox::start().await;
    let fleet = Fleet::working(&sandbox, 2).await;
    let member = &fleet.members[0];
    for point in ["after_insert", "before_insert", "after_insert", "before_insert"] {
        let path = format!("/simulator/sessions/{}/crash-point", member.session.id);
        let request = member.session.organization.request(Method::POST, &path);
        let armed = with_json(request, &json!({ "point": point })).send().await.unwrap();
        assert_eq!(armed.status(), 204);
        let before = fleet.logins().await;
        let (began, since) = (Instant::now(), now_ms());
        let id = member.hear().await;
        let times = fleet.back_online(&before, began).await;
        member.session.event_of("message", &id).await;
        fleet.note(&format!("death {point}"), since..now_ms(), times).await;
    }
    fleet.all_work().await;
    fleet.nothing_lost_or_repeated().await;
    fleet.no_second_socket(&sandbox).await;
}

async fn a_whatsapp_that_cannot_be_reached_is_tried_with_growing_delay() {
    let sandbox = Sandbox::start().await;
    // One for each case, so that each begins with the first step of the backoff, and a bystander.
    let fleet = Fleet::working(&sandbox, 5).await;
    let simulator = sandbox.simulator();
    let bystander = fleet.members[4].phone.device().await;
    let cases = [
        ("connection refused", json!({"kind": "connection_refused", "count": 5}), 5, &["network"][..]),
        (
            "wrong certificate",
            json!({"kind": "wrong_certificate", "mode": "leaf_key", "count": 3}),
            3,
            &["handshake_failed"],
        ),
        ("stall at the upgrade", json!({"kind": "stall", "stage": "upgrade"}), 1, &["network", "stalled"]),
        (
            "stall in the handshake",
            json!({"kind": "stall", "stage": "handshake"}),
            1,
            &["handshake_failed", "stalled"],
        ),
    ];
    let mut wrong = Vec::new();
    for (member, (name, fault, attempts, expected)) in fleet.members.iter().zip(cases) {
        let (row, jid) = (member.session.row().await, member.phone.device().await["jid"].clone());
        let fault = simulator.fault(&fault).await;
        let (began, since) = (Instant::now(), now_ms());
        member.phone.fault(json!({"kind": "close"})).await;
        // The delays, as each failure announces them. The close itself is the first.
        let mut delays: Vec<u64> = Vec::new();
        let mut announced = Vec::new();
        let mut codes = Vec::new();
        eventually(&format!("{attempts} failures by {name}"), Patience::seconds(120), async || {
            let row = member.session.row().await;
            let reason = &row["statusReason"];
            if let Some(at) = reason["retryAt"].as_u64().filter(|at| !announced.contains(at)) {
                assert_eq!(row["status"], "starting", "{row}");
                announced.push(at);
                delays.push(at.saturating_sub(now_ms()));
                codes.push(reason["code"].as_str().unwrap().to_owned());
            }
            if codes.len() > attempts {
                Ok(())
            } else {
                Err(format!("{} {reason}, {codes:?}", row["status"]))
            }
        })
        .await;
        simulator.clear(&fault).await;
        let reasons = &codes[1..];
        if !reasons.iter().all(|code| expected.contains(&code.as_str())) {
            wrong.push(format!("{name}: {reasons:?}, not {expected:?}"));
        }
        // Full jitter: no delay exceeds its ceiling, and the later ones use the room they have. The new connection
        // that every pairing ends with counts as an attempt.
        for (attempt, delay) in delays.iter().enumerate() {
            let ceiling = 2_000_u64 << attempt;
            assert!(*delay <= ceiling, "{name}: attempt {attempt} waits {delay} ms of at most {ceiling}");
        }
        if attempts > 3 {
            assert!(delays.iter().skip(2).any(|delay| *delay > 1_200), "{name}: {delays:?} does not grow");
        }
        let back = member.session.wait_for_status("working", Patience::seconds(90)).await;
        assert!(back["epoch"].as_u64() >= row["epoch"].as_u64().map(|epoch| epoch + attempts as u64));
        assert_eq!((&member.phone.device().await["jid"], &back["waJid"]), (&jid, &row["waJid"]));
        println!("    {name:<24} {reasons:?}, delays {delays:?} ms");
        let working = vec![began.elapsed().as_secs_f64()];
        let said = member.session.said(&(since..now_ms())).await;
        matrix::note(Fault {
            name: format!("{name}, {attempts} times"),
            said,
            seen: None,
            working,
            by: BY_ITSELF,
        });
    }
    fleet.all_work().await;
    fleet.nothing_lost_or_repeated().await;
    let device = fleet.members[4].phone.device().await;
    assert_eq!(device["logins"], bystander["logins"], "a session that was connected all along reconnected");
    assert!(wrong.is_empty(), "reasons that are not the reason: {wrong:#?}");
}
