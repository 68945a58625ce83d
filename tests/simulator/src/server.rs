//! The listener. It accepts by itself rather than through `axum::serve`, because a refused connection has to be
//! dropped without any HTTP answer.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use axum::Router;
use axum::body::Body;
use axum::http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::control;
use crate::faults::Kind;
use crate::media::Dropped;
use crate::world::{RefLifetime, World};

/// How a simulator is to be.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// What all keys and ids come from.
    pub seed: u64,
    /// How long pairing refs can be scanned.
    pub ref_lifetime: RefLifetime,
    /// How long a pairing code can be typed; nothing is what clients believe, 180 s.
    pub code_lifetime: Option<Duration>,
    /// How long an account's owner may take with the passkey; nothing is ten minutes.
    pub passkey_lifetime: Option<Duration>,
    /// The directory where everything is kept that has to survive a restart; without one nothing does.
    pub state: Option<PathBuf>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            seed: 0,
            ref_lifetime: RefLifetime::default(),
            code_lifetime: None,
            passkey_lifetime: None,
            state: None,
        }
    }
}

/// A WhatsApp on loopback.
#[derive(Debug)]
pub struct Simulator;

impl Simulator {
    /// Starts listening.
    ///
    /// # Errors
    /// When the address can't be bound, or the state can't be read, was made with another seed or is in use.
    pub async fn start(config: Config) -> Result<Running> {
        let listener = TcpListener::bind(config.listen).await.context("listen address")?;
        let address = listener.local_addr()?;
        let world = match &config.state {
            Some(state) => World::open(config.seed, config.ref_lifetime, state)?,
            None => Arc::new(World::new(config.seed, config.ref_lifetime)?),
        };
        if let Some(lifetime) = config.code_lifetime {
            world.link_codes.set_lifetime(lifetime);
        }
        if let Some(lifetime) = config.passkey_lifetime {
            world.passkeys.set_lifetime(lifetime);
        }
        world.media.set_authority(address.to_string());
        let root_public_key = world.authority.root_public_key();
        let accepting = tokio::spawn(accept(listener, world.clone()));
        Ok(Running { address, root_public_key, world, accepting })
    }
}

/// A simulator that listens.
pub struct Running {
    /// Where.
    pub address: SocketAddr,
    /// The root of its certificate chain.
    pub root_public_key: [u8; 32],
    world: Arc<World>,
    accepting: tokio::task::JoinHandle<()>,
}

impl Running {
    /// Where WhatsApp is.
    #[must_use]
    pub fn chat_url(&self) -> String {
        format!("ws://{}/ws/chat", self.address)
    }

    /// Where the control API is.
    #[must_use]
    pub fn control_url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Hangs up on everybody, stops listening and lets go of the state.
    pub async fn shutdown(self) {
        self.world.shutdown.send_replace(true);
        // A panic in there has been reported already.
        let _ = self.accepting.await;
        self.world.store.close();
    }
}

async fn accept(listener: TcpListener, world: Arc<World>) {
    let router = control::router(world.clone());
    let mut connections = JoinSet::new();
    let mut shutdown = world.shutdown.subscribe();
    loop {
        tokio::select! {
            _ = shutdown.wait_for(|ended| *ended) => return,
            Some(_) = connections.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    // Small frames, each awaited by somebody.
                    let _ = stream.set_nodelay(true);
                    connections.spawn(serve(stream, world.clone(), router.clone()));
                }
                Err(error) => log::warn!("accept: {error}"),
            },
        }
    }
}

async fn serve(stream: TcpStream, world: Arc<World>, router: Router) {
    let service = service_fn(move |request: Request<Incoming>| {
        let is_refused = |kind: &Kind| matches!(kind, Kind::ConnectionRefused).then_some(());
        // Who only looks whether WhatsApp is there is refused too, and does not count: attempts to connect do.
        let refused = request.uri().path() == "/ws/chat"
            && if request.headers().contains_key("upgrade") {
                world.faults.take(None, is_refused).is_some()
            } else {
                world.faults.list().iter().any(|fault| is_refused(&fault.kind).is_some())
            };
        if refused {
            world.counters.refused();
        }
        let answer =
            (!refused).then(|| TowerToHyperService::new(router.clone()).call(request.map(Body::new)));
        async move {
            match answer {
                Some(answer) => match answer.await {
                    Ok(answer) if answer.extensions().get::<Dropped>().is_some() => {
                        Err(std::io::Error::other("dropped on demand"))
                    }
                    answer => answer.map_err(std::io::Error::other),
                },
                // An error instead of a response makes hyper drop the connection.
                None => Err(std::io::Error::other("refused on demand")),
            }
        }
    });
    let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service).with_upgrades();
    if let Err(error) = connection.await {
        log::debug!("http: {error}");
    }
}

#[cfg(test)]
mod tests;
