//! A sandbox of a test's own, for tests that break servers. They mostly wait: two at a time.

use std::io::Write as _;
use std::ops::Deref;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use rand::RngExt as _;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Child;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::Instant;

use super::Gateway;
use super::gateway::environment;

static TWO_AT_A_TIME: Semaphore = Semaphore::const_new(2);

/// Who had one, and for how long.
static HAD: std::sync::Mutex<Vec<(Duration, &str)>> = std::sync::Mutex::new(Vec::new());

/// What their turns took.
pub fn print_sandboxes() {
    let mut had = HAD.lock().unwrap();
    had.sort_unstable();
    for (time, name) in had.iter().rev() {
        println!("  {:>6.1} s  a sandbox for {name}", time.as_secs_f64());
    }
    println!("  {:>6.1} s  all of them", had.iter().map(|(time, _)| time.as_secs_f64()).sum::<f64>());
}

/// Up to the line that says it is ready, a build of the simulator included.
const START: Duration = Duration::from_mins(4);
/// How long it may take to end when asked.
const END: Duration = Duration::from_secs(20);

/// See the module. Ends its processes when dropped.
pub struct Sandbox {
    gateway: Gateway,
    child: Child,
    state: PathBuf,
    whose: (Instant, &'static str),
    _turn: SemaphorePermit<'static>,
}

impl Deref for Sandbox {
    type Target = Gateway;

    fn deref(&self) -> &Gateway {
        &self.gateway
    }
}

impl Sandbox {
    pub async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// One with options of its own, as `npm run sandbox` takes them.
    pub async fn start_with(options: &[&str]) -> Self {
        let turn = TWO_AT_A_TIME.acquire().await.unwrap();
        let state = std::env::temp_dir().join(format!("gateway-e2e-{:016x}", rand::rng().random::<u64>()));
        let mut child = tokio::process::Command::new(environment("NODE_BIN"))
            .args(["tooling/run.mjs", "sandbox", "--empty", "--json", "--port=0", "--simulator-port=0"])
            .arg(format!("--state={}", state.display()))
            .args(options)
            .current_dir(environment("REPO_ROOT"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        // Made before the line is there, so that it is ended also when the line doesn't come.
        let whose = (Instant::now(), crate::NAME.get());
        let mut sandbox = Self { gateway: Gateway::at("", "", &state), child, state, whose, _turn: turn };
        let line = tokio::time::timeout(START, lines.next_line()).await;
        let line = line.expect("the sandbox is not ready in time").unwrap().expect("the sandbox ended");
        let ready: Value = serde_json::from_str(&line).unwrap();
        let text = |name: &str| ready[name].as_str().unwrap();
        sandbox.gateway = Gateway::at(text("gateway"), text("simulator"), &sandbox.state);
        sandbox
    }

    /// The workerd that runs the Worker: another one after a crash.
    pub fn workerd(&self) -> u64 {
        let note = std::fs::read_to_string(self.state.join("running.json")).unwrap();
        let note: Value = serde_json::from_str(&note).unwrap();
        note["pids"]["gateway"].as_u64().unwrap()
    }

    /// Another version of the Worker: wrangler watches the script it serves and puts another workerd in the place of
    /// the one that ran the old. The pid of that.
    pub fn deploy(&self) -> u64 {
        let pid = self.workerd();
        let script = self.state.join("served/index.js");
        let mut script = std::fs::OpenOptions::new().append(true).open(script).unwrap();
        writeln!(script, "// deployed over {pid}").unwrap();
        pid
    }

    /// `kill -9` of the workerd that runs the Worker; its pid.
    pub fn kill_workerd(&self) -> u64 {
        let pid = self.workerd();
        signal("KILL", pid);
        pid
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        let Some(pid) = self.child.id() else { return };
        signal("TERM", u64::from(pid));
        let pause = Duration::from_millis(100);
        let mut left = END;
        while matches!(self.child.try_wait(), Ok(None)) {
            if left.is_zero() {
                signal("KILL", u64::from(pid));
                break;
            }
            std::thread::sleep(pause);
            left = left.saturating_sub(pause);
        }
        if let Ok(mut had) = HAD.lock() {
            had.push((self.whose.0.elapsed(), self.whose.1));
        }
        if std::thread::panicking() {
            eprintln!("the sandbox's logs and data: {}", self.state.display());
        } else {
            let _ = std::fs::remove_dir_all(&self.state);
        }
    }
}

fn signal(name: &str, pid: u64) {
    let sent = Command::new("kill").arg(format!("-{name}")).arg(pid.to_string()).status();
    assert!(sent.is_ok_and(|status| status.success()) || std::thread::panicking(), "kill -{name} {pid}");
}
