//! What a simulator with a state directory still knows after its process is gone, politely or not.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Stdio;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use wa_simulator::{Config, Simulator};

use crate::support::{Companion, Host, Simulated, until, with_config};

const ALICE: &str = "5511999990001";
const BOB: &str = "5511999990002";
const CAROL: &str = "5511999990003";
const SEED: u64 = 7;

/// A directory that goes with its test.
pub struct State(PathBuf);

impl State {
    pub fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("wa-simulator-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        Self(path)
    }

    fn config(&self) -> Config {
        Config { seed: SEED, state: Some(self.0.clone()), ..Config::default() }
    }
}

impl Drop for State {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The binary with a state, as a process that can be killed.
pub struct Process {
    child: Child,
    pub simulated: Simulated,
}

impl Process {
    /// At the same address again when there was one.
    pub async fn start(state: &State, at: Option<SocketAddr>) -> Self {
        let at = at.unwrap_or_else(|| ([127, 0, 0, 1], 0).into());
        until("the binary to listen", async || Self::try_start(state, at).await).await
    }

    async fn try_start(state: &State, at: SocketAddr) -> Option<Self> {
        let mut child = Command::new(env!("CARGO_BIN_EXE_wa-simulator"))
            .arg(format!("--listen={at}"))
            .arg(format!("--seed={SEED}"))
            .arg(format!("--state={}", state.0.display()))
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).await.unwrap();
        let address = line.trim().strip_prefix("listening on ")?.parse().unwrap();
        Some(Self { child, simulated: Simulated { running: Host::elsewhere(address) } })
    }

    /// `kill -9`, and another process in its place.
    pub async fn killed(mut self, state: &State) -> Self {
        self.child.kill().await.unwrap();
        Self::start(state, Some(self.simulated.running.address)).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_companion_comes_back_to_a_killed_simulator_and_misses_nothing() {
    let state = State::new("killed");
    let process = Process::start(&state, None).await;
    let simulated = &process.simulated;
    simulated.phone(ALICE).await;
    simulated.phone(BOB).await;
    let (companion, jid) = Companion::linked(simulated, ALICE).await;
    companion.send(BOB, "before, out").await;
    simulated.received(BOB, |message| message["text"] == "before, out").await;
    simulated.send(BOB, ALICE, "before, in").await;
    companion.text("before, in").await;
    simulated.until_device(&jid, |device| device["queueLength"] == 0).await;
    let log = simulated.get(&format!("/phones/{BOB}/messages")).await;
    let phones = simulated.get("/phones").await;

    let companion = companion.stop().await;
    simulated.until_device(&jid, |device| device["connected"] == false).await;
    simulated.send(BOB, ALICE, "queued").await;
    let process = process.killed(&state).await;
    let simulated = &process.simulated;
    assert_eq!(simulated.get("/phones").await, phones);
    assert_eq!(simulated.get(&format!("/phones/{BOB}/messages")).await, log, "numbers and all");
    assert_eq!(simulated.device(&jid).await.unwrap()["queueLength"], 1);

    let companion = companion.start().await;
    companion.connected().await;
    assert_eq!(simulated.device(&jid).await.unwrap()["lastHandshake"], "IK");
    companion.text("queued").await;
    companion.send(BOB, "after, out").await;
    let received = simulated.received(BOB, |message| message["text"] == "after, out").await;
    assert_eq!(received["seq"].as_u64(), Some(2), "{received}");
    let id = simulated.send(BOB, ALICE, "after, in").await;
    companion.text("after, in").await;
    simulated.receipt(BOB, |receipt| receipt["messageIds"] == json!([id])).await;
    assert_eq!(companion.unasked(), Vec::<String>::new(), "nothing came twice");
    simulated.until_device(&jid, |device| device["queueLength"] == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_confirmed_in_the_middle_of_traffic_has_arrived_once() {
    let state = State::new("traffic");
    let mut process = Process::start(&state, None).await;
    process.simulated.phone(ALICE).await;
    process.simulated.phone(BOB).await;
    let (companion, _) = Companion::linked(&process.simulated, ALICE).await;
    let (mut confirmed, mut acked) = (Vec::new(), Vec::new());
    for round in 0..3 {
        // Both write until the process dies under them: on the way from one to the other is something at any time.
        let phone = async {
            let mut sent = Vec::new();
            for number in 0.. {
                let text = format!("in {round} {number}");
                let body = json!({ "to": ALICE, "text": text }).to_string();
                match process.simulated.try_call("POST", &format!("/phones/{BOB}/messages"), &body).await {
                    Some((201, _)) => sent.push(text),
                    _ => return sent,
                }
            }
            sent
        };
        let client = async {
            for number in 0..20 {
                companion.send(BOB, &format!("out {round} {number}")).await;
                acked.push(companion.any_ack().await);
            }
            process.child.start_kill().unwrap();
        };
        let (sent, ()) = tokio::join!(phone, client);
        assert!(!sent.is_empty());
        confirmed.extend(sent);
        process.child.wait().await.unwrap();
        process = Process::start(&state, Some(process.simulated.running.address)).await;
        companion.connected().await;
    }
    for text in &confirmed {
        companion.text(text).await;
    }
    for id in &acked {
        process.simulated.received(BOB, |message| message["messageId"] == *id).await;
    }
    process.simulated.send(BOB, ALICE, "the last one").await;
    companion.text("the last one").await;
    let mut all: HashSet<String> = confirmed.into_iter().collect();
    for text in companion.unasked() {
        // One may have been delivered whose sender was killed before it heard so.
        assert!(all.insert(text.clone()), "{text:?} came twice");
    }
    let log = process.simulated.get(&format!("/phones/{BOB}/messages")).await;
    let ids: Vec<&Value> = log["messages"].as_array().unwrap().iter().map(|m| &m["messageId"]).collect();
    let distinct: HashSet<String> = ids.iter().map(ToString::to_string).collect();
    assert_eq!(ids.len(), distinct.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_in_process_keeps_what_has_changed_and_refuses_another_seed() {
    let state = State::new("in-process");
    let simulated = with_config(state.config()).await;
    simulated.phone(ALICE).await;
    simulated.phone(BOB).await;
    let (first, first_jid) = Companion::linked(&simulated, ALICE).await;
    let (second, second_jid) = Companion::linked(&simulated, ALICE).await;
    first.send(BOB, "hello").await;
    second.text("hello").await;
    simulated.delete(&format!("/phones/{ALICE}/devices/1")).await;
    first.logged_out().await;
    simulated.call("POST", "/certificate/rotate", None).await;
    let group = json!({ "subject": "Two", "creator": ALICE, "participants": [BOB] });
    let group = simulated.post("/groups", group).await;
    let second = second.stop().await;
    let address = simulated.running.address;
    simulated.shutdown().await;

    let refused = Simulator::start(Config { seed: SEED + 1, ..state.config() }).await;
    assert!(format!("{:#}", refused.err().unwrap()).contains("the seed 7, not 8"));

    let simulated = with_config(Config { listen: address, ..state.config() }).await;
    assert_eq!(simulated.device(&first_jid).await, None);
    assert_eq!(simulated.get("/groups").await, json!({ "groups": [group] }));
    let second = second.start().await;
    second.connected().await;
    let device = simulated.device(&second_jid).await.unwrap();
    assert_eq!(device["lastHandshake"], "XXfallback", "the key stays rotated: {device}");
    let id = second.send(BOB, "still here").await;
    simulated.received(BOB, |message| message["messageId"] == id).await;
    // Ids and keys go on where they were: a new one is no old one's twin.
    let (third, third_jid) = Companion::linked(&simulated, ALICE).await;
    assert_eq!(third_jid, format!("{ALICE}:3@s.whatsapp.net"));
    simulated.send(BOB, ALICE, "to both").await;
    second.text("to both").await;
    third.text("to both").await;

    simulated.call("POST", "/reset", None).await;
    simulated.shutdown().await;
    let simulated = with_config(state.config()).await;
    assert_eq!(simulated.get("/phones").await, json!({ "phones": [] }));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_still_wants_its_passkey_and_still_knows_whom_it_has_written_to() {
    let state = State::new("settings");
    let simulated = with_config(state.config()).await;
    for number in [ALICE, BOB, CAROL] {
        simulated.phone(number).await;
    }
    let (companion, _) = Companion::linked(&simulated, ALICE).await;
    companion.send(BOB, "hello").await;
    simulated.received(BOB, |message| message["text"] == "hello").await;
    let path = format!("/phones/{ALICE}/passkey");
    let (_, passkey) = simulated.call("PUT", &path, Some(json!({ "required": true }))).await;
    let companion = companion.stop().await;
    let address = simulated.running.address;
    simulated.shutdown().await;

    let simulated = with_config(Config { listen: address, ..state.config() }).await;
    assert_eq!(simulated.get(&path).await, passkey);
    let companion = companion.start().await;
    companion.connected().await;
    simulated.fault(json!({ "kind": "reachout_timelock", "until": 4_000_000_000u64, "target": ALICE })).await;
    let known = companion.send(BOB, "hello again").await;
    assert_eq!(companion.ack(&known).await.error, None);
    let stranger = companion.send(CAROL, "hello stranger").await;
    assert_eq!(companion.ack(&stranger).await.error.as_deref(), Some("463"));
}
