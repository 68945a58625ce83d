//! A simulated WhatsApp of a test's own that can be killed and brought back: it keeps its state in a folder.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rand::RngExt as _;

use super::gateway::environment;
use super::{Patience, eventually};

/// See the module. Ends its process when dropped.
pub struct OwnSimulator {
    port: u16,
    state: PathBuf,
    process: Option<Child>,
}

impl OwnSimulator {
    /// One with nobody on it yet.
    pub async fn start() -> Self {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let state = std::env::temp_dir().join(format!("simulator-e2e-{:016x}", rand::rng().random::<u64>()));
        let mut simulator = Self { port, state, process: None };
        simulator.bring_back().await;
        simulator
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// `kill -9`
    pub fn kill(&mut self) {
        let mut process = self.process.take().expect("the simulator runs");
        process.kill().unwrap();
        process.wait().unwrap();
    }

    /// Starts it again where it was, with what it knew.
    pub async fn bring_back(&mut self) {
        let mut command = Command::new(program());
        command.args(["--listen", &format!("127.0.0.1:{}", self.port), "--seed", "7", "--state"]);
        command.arg(&self.state).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        self.process = Some(command.spawn().unwrap());
        let health = format!("{}/healthz", self.url());
        eventually("the simulator to answer", Patience::seconds(30), async || {
            let answer =
                reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(2)).build().unwrap();
            let answer = answer.get(&health).send().await.map_err(|error| error.to_string())?;
            if answer.status() == 200 { Ok(()) } else { Err(answer.status().to_string()) }
        })
        .await;
    }
}

/// What the set-up built; its log says where.
fn program() -> PathBuf {
    let log = PathBuf::from(environment("REPO_ROOT")).join("build/logs/simulator.log");
    let log = std::fs::read_to_string(&log).unwrap_or_else(|error| panic!("{}: {error}", log.display()));
    let paths = log.split("\"executable\":\"").skip(1).filter_map(|rest| rest.split('"').next());
    let path = paths.filter(|path| path.contains("wa-simulator")).last();
    PathBuf::from(path.expect("the log of the simulator's build names its program"))
}

impl Drop for OwnSimulator {
    fn drop(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _ = process.kill();
            let _ = process.wait();
        }
        if std::thread::panicking() {
            eprintln!("the simulator's state: {}", self.state.display());
        } else {
            let _ = std::fs::remove_dir_all(&self.state);
        }
    }
}
