//! Hundreds of devices at once on one simulator that keeps everything: logged in, talking, and back after a kill. The
//! ordinary run takes a small crowd; five hundred, with numbers that mean something, are
//! `cargo test -p wa-simulator --profile simulator crowd -- --ignored --nocapture`.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::Instant;
use wacore_binary::Jid;

use crate::raw::{Line, RawDevice, attr};
use crate::restart::{Process, State};
use crate::support::{Simulated, until};

/// So many each sends to the next one.
const MESSAGES: usize = 4;
/// Of a short text.
const SIZE: usize = 200;
/// What a client publishes at its first login.
const KEYS: u32 = 812;
/// For one device to do one thing, on a machine under load.
const LIMIT: Duration = Duration::from_mins(1);
/// So many link or log in at the same time.
const AT_ONCE: usize = 32;

/// Does something for everybody, a few at a time, and keeps the order.
async fn all<I: Send + 'static, T: Send + 'static, F: Future<Output = T> + Send + 'static>(
    items: impl IntoIterator<Item = I>,
    at_once: usize,
    work: impl Fn(I) -> F + Clone + Send + 'static,
) -> Vec<T> {
    let gate = Arc::new(Semaphore::new(at_once));
    let mut tasks = JoinSet::new();
    for (place, item) in items.into_iter().enumerate() {
        let (gate, work) = (gate.clone(), work.clone());
        tasks.spawn(async move {
            let _permit = gate.acquire().await.unwrap();
            let done = tokio::time::timeout(LIMIT, work(item)).await;
            (place, done.unwrap_or_else(|_| panic!("number {place} has got nowhere")))
        });
    }
    let mut done = tasks.join_all().await;
    done.sort_by_key(|(place, _)| *place);
    done.into_iter().map(|(_, value)| value).collect()
}

/// Sends to its neighbour and reads until everything of its own is confirmed and all of the other neighbour's is here;
/// how long each of its messages took until it was confirmed.
async fn talk(mut line: Line, round: usize, own: usize, to: Jid) -> (Line, Vec<Duration>) {
    let mut begun = Vec::new();
    for number in 0..MESSAGES {
        begun.push(Instant::now());
        line.send_message(&to, &format!("{round}-{own}-{number}"), SIZE).await;
    }
    let (mut acks, mut messages, mut confirmed) = (0, 0, Vec::new());
    while acks < MESSAGES || messages < MESSAGES || confirmed.len() < MESSAGES {
        let node = line.next().await;
        match node.tag.as_ref() {
            "ack" if attr(&node, "class") == "message" => {
                assert_eq!(attr(&node, "error"), "");
                acks += 1;
            }
            "message" if attr(&node, "category") != "peer" => messages += 1,
            "receipt" => {
                let id = attr(&node, "id");
                let number: usize = id.rsplit('-').next().unwrap().parse().unwrap();
                confirmed.push(begun[number].elapsed());
            }
            _ => {}
        }
    }
    (line, confirmed)
}

async fn round(name: &str, number: usize, lines: Vec<Line>, devices: &[Jid]) -> Vec<Line> {
    let begun = Instant::now();
    let count = lines.len();
    let mut next: Vec<Jid> = devices.to_vec();
    next.rotate_left(1);
    let talkers = lines.into_iter().zip(next).enumerate();
    let talked = all(talkers, count, move |(own, (line, to))| talk(line, number, own, to)).await;
    let took = begun.elapsed();
    let (lines, times): (Vec<_>, Vec<_>) = talked.into_iter().unzip();
    let mut times: Vec<_> = times.into_iter().flatten().collect();
    times.sort();
    println!(
        "{name}: {} messages in {took:?}, {:.0} a second; sent to confirmed: median {:?}, 99 % {:?}",
        times.len(),
        per_second(times.len(), took),
        times[times.len() / 2],
        times[times.len() * 99 / 100],
    );
    lines
}

fn per_second(count: usize, took: Duration) -> f64 {
    f64::from(u32::try_from(count).unwrap()) / took.as_secs_f64()
}

fn timed<T>(what: &str, count: usize, begun: Instant, value: T) -> T {
    let took = begun.elapsed();
    println!("{what}: {count} in {took:?}, {:.0} a second", per_second(count, took));
    value
}

/// Everybody is in, and nobody is owed anything.
async fn settled(simulated: &Simulated, count: usize) {
    until("empty queues", async || {
        let devices = simulated.get("/devices").await;
        let devices = devices["devices"].as_array().unwrap();
        assert!(devices.iter().all(|device| device["connected"] == true));
        let owed = devices.iter().any(|device| device["queueLength"] != 0);
        (devices.len() == count && !owed).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crowd_talks_at_once_and_comes_back_after_a_kill() {
    crowd(80).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "half a minute without optimisation"]
async fn five_hundred_devices_talk_at_once_and_come_back_after_a_kill() {
    crowd(500).await;
}

async fn crowd(count: usize) {
    let state = State::new(&format!("crowd-{count}"));
    let process = Process::start(&state, None).await;
    let simulated = Arc::new(Simulated { running: process.simulated.running.clone() });

    let begun = Instant::now();
    let numbers = (0..count).map(|number| format!("55118888{number:05}"));
    let at = simulated.clone();
    let devices = all(numbers, AT_ONCE, move |number| {
        let at = at.clone();
        async move {
            at.phone(&number).await;
            Arc::new(RawDevice::link(&at, &number).await)
        }
    })
    .await;
    timed("phones made and devices linked", count, begun, ());
    let jids: Vec<Jid> = devices.iter().map(|device| device.jid()).collect();

    let begun = Instant::now();
    let lines = log_in(&simulated, &devices).await;
    let lines = timed("first logins", count, begun, lines);
    let begun = Instant::now();
    let lines = all(lines, AT_ONCE, |mut line: Line| async move {
        line.upload_keys(KEYS).await;
        line
    })
    .await;
    let lines = timed("prekeys published", count * KEYS as usize, begun, lines);
    let lines = round("texts", 0, lines, &jids).await;
    let lines = round("texts", 1, lines, &jids).await;
    settled(&simulated, count).await;
    drop(lines);

    let begun = Instant::now();
    let process = process.killed(&state).await;
    timed("killed and restarted, devices restored", count, begun, ());
    let simulated = Arc::new(Simulated { running: process.simulated.running.clone() });
    let begun = Instant::now();
    let lines = log_in(&simulated, &devices).await;
    let lines = timed("logins after the restart", count, begun, lines);
    let lines = round("texts after the restart", 2, lines, &jids).await;
    settled(&simulated, count).await;
    drop(lines);
}

async fn log_in(simulated: &Arc<Simulated>, devices: &[Arc<RawDevice>]) -> Vec<Line> {
    let at = simulated.clone();
    all(devices.to_vec(), AT_ONCE, move |device| {
        let at = at.clone();
        async move { device.log_in(&at).await.0 }
    })
    .await
}
