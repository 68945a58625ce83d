//! Many sessions, and everything they stand on killed and brought back: workerd, WhatsApp, the directory. In the end
//! all work, nobody was paired again, and every text is an event once.
//!
//! `npm test` runs it small. `npm run storm` runs it with 200 sessions and ten minutes without WhatsApp.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::iter;
use serde_json::Value;
use tokio::time::Instant;

use crate::harness::matrix::{self, BY_ITSELF, Fault};
use crate::harness::{
    Organization, OwnSimulator, Patience, Phone, Sandbox, Session, eventually, now_ms, tests,
};

tests![everything_is_killed_once_and_every_session_is_back_with_every_text];

/// How long everything may take to work again.
const BACK: Patience = Patience::seconds(60);
/// Requests of this test at once: two cores.
const AT_ONCE: usize = 12;
/// Between two texts, over all sessions.
const BEAT: Duration = Duration::from_millis(150);

fn number(variable: &str, otherwise: u64) -> u64 {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

struct Member {
    session: Session,
    phone: Phone,
    /// What was written to it, by message id.
    written: RefCell<Vec<String>>,
}

struct Storm {
    members: Vec<Member>,
    friend: Phone,
}

impl Storm {
    async fn gather(sandbox: &Sandbox, size: usize) -> Self {
        let organization = Organization::on(sandbox);
        let friend = sandbox.simulator().phone().await;
        let pairing = (0..size).map(async |_| {
            let (session, phone) = Session::working_in(&organization).await;
            Member { session, phone, written: RefCell::default() }
        });
        Self { members: iter(pairing).buffer_unordered(AT_ONCE).collect().await, friend }
    }

    /// Somebody writes to one after the other, for as long as WhatsApp takes it.
    async fn talk(&self, talking: &Cell<bool>) {
        let mut beat = tokio::time::interval(BEAT);
        for (turn, member) in self.members.iter().cycle().enumerate() {
            beat.tick().await;
            if !talking.get() {
                return;
            }
            if let Some(id) = self.friend.try_text(&member.phone.number, &format!("text {turn}")).await {
                member.written.borrow_mut().push(id);
            }
        }
    }

    /// By number: logins, and whether it is connected.
    async fn devices(&self) -> HashMap<String, (u64, bool)> {
        let devices = self.friend.simulator.devices().await.into_iter();
        let entry = |device: Value| {
            let phone = device["phone"].as_str().unwrap().to_owned();
            (phone, (device["logins"].as_u64().unwrap(), device["connected"] == true))
        };
        devices.map(entry).collect()
    }

    /// Waits, without a request to the gateway, until everybody has logged in again; how long each took.
    async fn back_online(&self, before: &HashMap<String, (u64, bool)>, began: Instant) -> Vec<f64> {
        let times: RefCell<HashMap<String, f64>> = RefCell::default();
        eventually("everybody to log in again", BACK, async || {
            for (phone, (logins, connected)) in self.devices().await {
                let known = before.get(&phone).map_or(0, |(logins, _)| *logins);
                if connected && logins > known {
                    times.borrow_mut().entry(phone).or_insert_with(|| began.elapsed().as_secs_f64());
                }
            }
            let back = times.borrow().len();
            if back == self.members.len() { Ok(()) } else { Err(format!("{back} of {}", self.members.len())) }
        })
        .await;
        times.into_inner().into_values().collect()
    }

    /// The directory's list shows all of them working.
    async fn all_listed_as_working(&self) {
        eventually("the directory to show all as working", BACK, async || {
            let mut working = 0;
            let mut cursor = String::new();
            loop {
                let path = format!("/api/v1/sessions?limit=200{cursor}");
                let page = self.members[0].session.organization.get(&path).await;
                if page.status != 200 {
                    return Err(page.text());
                }
                let page = page.json();
                let data = page["data"].as_array().unwrap();
                working += data.iter().filter(|row| row["status"] == "working").count();
                let Some(next) = page["nextCursor"].as_str() else { break };
                cursor = format!("&cursor={next}");
            }
            if working == self.members.len() { Ok(()) } else { Err(format!("{working} working")) }
        })
        .await;
    }

    /// Every text is an event once, the logs have no gap, nobody was paired again. How many texts there were.
    async fn nothing_lost_or_repeated(&self) -> usize {
        let checks = self.members.iter().map(async |member| {
            member.session.wait_for_status("working", BACK).await;
            let written = member.written.borrow().clone();
            if let Some(last) = written.last() {
                member.session.event_of("message", last).await;
            }
            let log = member.session.log().await;
            let of = |kind: &'static str| log.iter().filter(move |event| event["event"] == kind);
            let mut told: Vec<&str> =
                of("message").map(|event| event["payload"]["waMessageId"].as_str().unwrap()).collect();
            let mut wanted: Vec<&str> = written.iter().map(String::as_str).collect();
            told.sort_unstable();
            wanted.sort_unstable();
            assert_eq!(told, wanted, "{}: lost, repeated or made up", member.phone.number);
            assert_eq!(of("auth.code").count(), 1, "{}: paired again", member.phone.number);
            assert_eq!(member.phone.device().await["device"], 1, "{}: another device", member.phone.number);
            written.len()
        });
        iter(checks).buffer_unordered(AT_ONCE).fold(0, async |sum, texts| sum + texts).await
    }
}

/// One of the faults: when it began, and how long it took each to log in again.
struct Struck {
    what: String,
    at: u64,
    working: Vec<f64>,
}

/// For the table, when all is over: a request in the middle of it could be what wakes a session.
async fn note(storm: &Storm, faults: Vec<Struck>) {
    let ends: Vec<u64> = faults.iter().skip(1).map(|fault| fault.at).chain([now_ms()]).collect();
    for (Struck { what, at, working }, end) in faults.into_iter().zip(ends) {
        let time = at..end;
        let asked = iter(&storm.members).map(|member| member.session.said(&time));
        let said = asked.buffer_unordered(AT_ONCE).collect::<Vec<_>>().await.into_iter().flatten().collect();
        let name = format!("storm: {what}, {} sessions", working.len());
        matrix::note(Fault { name, said, seen: None, working, by: BY_ITSELF });
    }
}

async fn everything_is_killed_once_and_every_session_is_back_with_every_text() {
    let size = usize::try_from(number("STORM_SESSIONS", 20)).unwrap();
    let outage = Duration::from_secs(number("STORM_OUTAGE_SECONDS", 60));
    let mut simulator = OwnSimulator::start().await;
    let sandbox = Sandbox::start_with(&["--simulator", &simulator.url()]).await;
    let began = Instant::now();
    let storm = Storm::gather(&sandbox, size).await;
    println!("    {size} sessions paired in {:.0} s", began.elapsed().as_secs_f64());

    let talking = Cell::new(true);
    let talk = storm.talk(&talking);
    let faults = async {
        let mut struck = Vec::new();
        let before = storm.devices().await;
        let (began, at) = (Instant::now(), now_ms());
        sandbox.kill_workerd();
        let working = storm.back_online(&before, began).await;
        struck.push(Struck { what: "kill -9 of workerd".to_owned(), at, working });

        let at = now_ms();
        simulator.kill();
        let down = Instant::now();
        tokio::time::sleep_until(down + outage).await;
        simulator.bring_back().await;
        // A WhatsApp that was away counts logins anew.
        let (before, began) = (HashMap::new(), Instant::now());
        let what = format!("WhatsApp gone for {} s (kill -9)", outage.as_secs());
        struck.push(Struck { what, at, working: storm.back_online(&before, began).await });

        // Nobody can write to the directory, while everybody has to connect again and has news for it.
        let before = storm.devices().await;
        let directory = sandbox.directory();
        eventually("the directory's lock", Patience::seconds(20), async || {
            directory.execute_batch("BEGIN EXCLUSIVE").map_err(|error| error.to_string())
        })
        .await;
        let (began, at) = (Instant::now(), now_ms());
        for member in &storm.members {
            member.phone.fault(serde_json::json!({"kind": "close"})).await;
        }
        let working = storm.back_online(&before, began).await;
        struck.push(Struck { what: "all sockets cut, the directory locked".to_owned(), at, working });
        directory.execute_batch("ROLLBACK").unwrap();
        storm.all_listed_as_working().await;
        talking.set(false);
        struck
    };
    let ((), struck) = futures::join!(talk, faults);
    let texts = storm.nothing_lost_or_repeated().await;
    storm.all_listed_as_working().await;
    note(&storm, struck).await;
    println!("    {size} working, 0 paired again, {texts} texts: 0 lost, 0 repeated");
}
