//! What an event costs on its way, counted by the objects themselves and held against docs/costs.md; and how long it
//! takes, printed only.

use std::cell::RefCell;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::harness::{Organization, Patience, Phone, Receiver, Sandbox, Session, Sse, now_ms, tests};

tests![an_event_costs_what_the_documentation_says];

/// How many texts are counted a path.
const TEXTS: usize = 100;
const SOON: Patience = Patience::seconds(60);
/// What is counted, in the order of the documentation's columns.
const COUNTED: [&str; 4] = ["rowsWritten", "rowsRead", "requests", "alarms"];
/// Ticks and batches come as they come: so far a number may lie from the documented one, and by one at least.
const TOLERANCE: f64 = 0.35;

async fn counted(organization: &Organization) -> [f64; 4] {
    let costs = organization.get("/simulator/costs").await.expect(200);
    COUNTED.map(|name| costs[name].as_f64().unwrap())
}

/// The documented numbers of a path.
fn documented(path: &str) -> [f64; 4] {
    let file = PathBuf::from(std::env::var("REPO_ROOT").unwrap()).join("docs/costs.md");
    let text = std::fs::read_to_string(file).unwrap();
    let row = text.lines().find(|line| line.starts_with(&format!("| {path} |")));
    let row = row.unwrap_or_else(|| panic!("docs/costs.md has no row for {path:?}"));
    let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
    [1, 2, 3, 4].map(|column| cells[column].parse().unwrap_or_else(|_| panic!("{row}")))
}

/// Texts, each where it should be before the next is sent, so that nothing is batched; what one cost.
async fn cost(session: &Session, friend: &Phone, me: &Phone, arrived: impl AsyncFn(&str)) -> [f64; 4] {
    let before = counted(&session.organization).await;
    for number in 0..TEXTS {
        let id = friend.text(&me.number, &format!("number {number}")).await;
        arrived(&id).await;
    }
    each(before, counted(&session.organization).await)
}

#[allow(clippy::cast_precision_loss, reason = "a hundred")]
fn each(before: [f64; 4], after: [f64; 4]) -> [f64; 4] {
    std::array::from_fn(|at| ((after[at] - before[at]) / TEXTS as f64 * 10.0).round() / 10.0)
}

/// Texts that go out one by one, each acknowledged and delivered; what one cost.
async fn cost_of_sending(session: &Session, friend: &Phone) -> [f64; 4] {
    let before = counted(&session.organization).await;
    let mut last = String::new();
    for number in 0..TEXTS {
        last = session.sent(&friend.number, &format!("number {number}")).await;
    }
    let is_told = |event: &Value| event["payload"]["messageIds"] == json!([last]);
    session.event(0, "message.status", is_told).await;
    each(before, counted(&session.organization).await)
}

fn check(path: &str, measured: [f64; 4], wrong: &mut Vec<String>) {
    let wanted = documented(path);
    let shown: Vec<String> =
        COUNTED.iter().zip(measured).map(|(name, value)| format!("{name} {value:.1}")).collect();
    println!("    {path:<58} {}", shown.join(", "));
    for ((name, measured), wanted) in COUNTED.iter().zip(measured).zip(wanted) {
        if (measured - wanted).abs() > (wanted * TOLERANCE).max(1.0) {
            wrong.push(format!("{path}: {name} is {measured}, documented as {wanted}"));
        }
    }
}

fn percentiles(what: &str, mut latencies: Vec<u64>) {
    latencies.sort_unstable();
    let at = |share: usize| latencies[(latencies.len() * share / 100).min(latencies.len() - 1)];
    println!("    {what:<58} p50 {} ms, p99 {} ms, of {}", at(50), at(99), latencies.len());
}

async fn an_event_costs_what_the_documentation_says() {
    let sandbox = Sandbox::start().await;
    let organization = Organization::on(&sandbox);
    let (session, me) = Session::working_in(&organization).await;
    let friend = sandbox.simulator().phone().await;
    let first = friend.text(&me.number, "the first has keys to make").await;
    session.event_of("message", &first).await;
    let mut wrong = Vec::new();

    let in_log = async |id: &str| drop(session.event_of("message", id).await);
    let measured = cost(&session, &friend, &me, in_log).await;
    check("a text in, nobody listens", measured, &mut wrong);

    session.sent(&friend.number, "the first has keys to make").await;
    let measured = cost_of_sending(&session, &friend).await;
    check("a text out, acknowledged and delivered, nobody listens", measured, &mut wrong);

    let mut stream = Sse::open(&organization, "/api/v1/events?types=message", None).await;
    assert_eq!(stream.frame().await.event, "connected");
    let stream = RefCell::new(stream);
    #[allow(clippy::await_holding_refcell_ref, reason = "one reader, one at a time")]
    let in_stream = async |id: &str| {
        let mut stream = stream.borrow_mut();
        stream.until(|frame| frame.data["payload"]["waMessageId"] == id).await;
    };
    let measured = cost(&session, &friend, &me, in_stream).await;
    check("… and an SSE stream of the organization's log", measured, &mut wrong);
    drop(stream);

    let receiver = Receiver::good().await;
    let body = json!({ "url": receiver.url("/"), "events": ["message"] });
    organization.post_json("/api/v1/webhooks", &body).await.expect(201);
    let delivered = async |id: &str| {
        receiver.wait(id, SOON, |one| one.json()["payload"]["waMessageId"] == id).await;
    };
    let measured = cost(&session, &friend, &me, delivered).await;
    check("… and one webhook", measured, &mut wrong);

    latency(&organization, &receiver, &friend, &me).await;
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// From before the phone's send until the frame, and until the webhook's request, is there.
async fn latency(organization: &Organization, receiver: &Receiver, friend: &Phone, me: &Phone) {
    let mut stream = Sse::open(organization, "/api/v1/events?types=message", None).await;
    assert_eq!(stream.frame().await.event, "connected");
    let (mut by_sse, mut by_webhook) = (Vec::new(), Vec::new());
    for number in 0..TEXTS {
        let began = now_ms();
        let id = friend.text(&me.number, &format!("how long, {number}")).await;
        let is_it = |event: &Value| event["payload"]["waMessageId"] == id.as_str();
        stream.until(|frame| is_it(&frame.data)).await;
        by_sse.push(now_ms() - began);
        let delivery = receiver.wait(&id, SOON, |one| is_it(&one.json())).await;
        by_webhook.push(delivery.at - began);
    }
    percentiles("from the phone's send to the SSE frame", by_sse);
    percentiles("from the phone's send to the webhook's request", by_webhook);
}
