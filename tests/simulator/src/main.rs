//! The simulator as a program: `wa-simulator --listen 127.0.0.1:9700 --seed 1`. `RUST_LOG` sets the log level.

use std::process::ExitCode;

use tokio::signal::unix::{SignalKind, signal};
use wa_simulator::{Config, Simulator};

const USAGE: &str = "usage: wa-simulator [--listen ADDRESS:PORT] [--seed NUMBER] [--state DIRECTORY]";

fn main() -> ExitCode {
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("info")).init();
    let config = match read_arguments(std::env::args().skip(1)) {
        Ok(config) => config,
        Err(problem) => {
            eprintln!("{problem}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    let outcome = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(Into::into)
        .and_then(|runtime| runtime.block_on(run(config)));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn read_arguments(mut arguments: impl Iterator<Item = String>) -> Result<Config, String> {
    let mut config = Config { listen: ([127, 0, 0, 1], 9700).into(), ..Config::default() };
    while let Some(argument) = arguments.next() {
        let (name, value) = match argument.split_once('=') {
            Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
            None => (argument, arguments.next()),
        };
        let value = value.ok_or_else(|| format!("{name} needs a value"))?;
        match name.as_str() {
            "--listen" => {
                config.listen = value.parse().map_err(|error| format!("--listen {value}: {error}"))?;
            }
            "--seed" => {
                config.seed = value.parse().map_err(|error| format!("--seed {value}: {error}"))?;
            }
            "--state" => config.state = Some(value.into()),
            _ => return Err(format!("unknown argument {name}")),
        }
    }
    Ok(config)
}

async fn run(config: Config) -> anyhow::Result<()> {
    let mut terminated = signal(SignalKind::terminate())?;
    let mut interrupted = signal(SignalKind::interrupt())?;
    let running = Simulator::start(config).await?;
    // What scripts wait for.
    println!("listening on {}", running.address);
    tokio::select! {
        _ = terminated.recv() => {}
        _ = interrupted.recv() => {}
    }
    running.shutdown().await;
    Ok(())
}
