//! One WebSocket from upgrade to close: handshake, then either a registration that waits for a scan or a login.

mod acks;
mod handshake;
mod login;
mod reader;
mod session;
mod writer;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anyhow::{Context as _, Result};
use axum::extract::ws::WebSocket;
use futures::StreamExt as _;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use wacore::xml::DisplayableNode;
use wacore_binary::Node;
use waproto::buffa::Message as _;
use waproto::whatsapp::ClientPayload;

use crate::account::DeviceAddress;
use crate::faults::Stage;
use crate::noise::Established;
use crate::pairing;
use crate::stanza;
use crate::world::{OpenSocket, World};
use reader::Reader;
use session::{Role, Session};
pub use writer::Outgoing;

/// A client that doesn't finish its handshake by then is hung up on.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(20);
/// How long the client has to answer our close frame before the TCP connection is dropped.
const CLOSE_LIMIT: Duration = Duration::from_secs(1);

/// Who is at the other end, once that is known.
pub type Peer = Arc<OnceLock<DeviceAddress>>;

/// Serves one socket until either side ends it.
pub async fn serve(world: Arc<World>, socket: WebSocket, authority: Option<String>) {
    let id = world.next_connection();
    let (outgoing, incoming) = mpsc::unbounded_channel();
    world.sockets().insert(id, OpenSocket { outgoing: outgoing.clone(), peer: None });
    world.counters.started();
    let mut shutdown = world.shutdown.subscribe();
    let connection = Connection { world: world.clone(), id, outgoing, incoming, authority };
    tokio::select! {
        _ = shutdown.wait_for(|ended| *ended) => {}
        outcome = connection.run(socket) => {
            if let Err(reason) = outcome {
                log::debug!("connection {id} ended: {reason:#}");
            }
        }
    }
    world.sockets().remove(&id);
}

struct Connection {
    world: Arc<World>,
    id: u64,
    outgoing: mpsc::UnboundedSender<Outgoing>,
    incoming: mpsc::UnboundedReceiver<Outgoing>,
    /// Where the client believes to be connected to.
    authority: Option<String>,
}

impl Connection {
    async fn run(self, socket: WebSocket) -> Result<()> {
        let Self { world, id, outgoing, incoming, authority } = self;
        let (mut sink, stream) = socket.split();
        let mut reader = Reader::new(stream);
        reader.until_unstalled(&world.faults, Stage::Handshake, None).await?;
        let established = handshake::within_limit(&world, id, &mut sink, &mut reader).await?;
        let Established { pattern, client_static, payload, read, write } = established;
        let payload = ClientPayload::decode_from_slice(&payload).context("client payload")?;
        log::debug!("connection {id}: {pattern:?}, user {:?}", payload.username);

        let peer = Peer::default();
        // Aborted on drop: a writer left behind would keep the TCP connection open after the client closed, and a
        // client that awaits the end of its close would hang.
        let mut writer = JoinSet::new();
        writer.spawn(writer::run(world.clone(), sink, write, incoming, peer.clone()));

        let role = if payload.username.is_some() {
            let caller = login::Caller { payload, client_static, pattern };
            login::admit(&world, id, &mut reader, &outgoing, &peer, &caller).await?
        } else {
            reader.until_unstalled(&world.faults, Stage::Login, None).await?;
            let pairing = payload.device_pairing_data.into_option().context("neither login nor pairing")?;
            let registration =
                pairing::Registration::open(&world, id, &pairing, client_static, outgoing.clone())?;
            world.strike_waiting(None, &outgoing);
            Some(Role::Registering(registration))
        };
        let mut read = Incoming { cipher: read, counter: 0 };
        let session = role.map(|role| Session::new(world.clone(), id, outgoing.clone(), role, authority));
        let outcome = loop {
            tokio::select! {
                frame = reader.frame() => {
                    let node = frame.and_then(|frame| read.node(frame));
                    let node = match node {
                        Ok(node) => node,
                        Err(reason) => break Err(reason),
                    };
                    log::trace!("connection {id} <- {}", DisplayableNode(&node));
                    if let Err(reason) = reader.until_unstalled(&world.faults, Stage::Now, peer.get()).await {
                        break Err(reason);
                    }
                    if let Some(session) = &session {
                        session.handle(node).await;
                    }
                }
                closing = writer.join_next() => {
                    if matches!(closing, Some(Ok(true))) {
                        let _ = tokio::time::timeout(CLOSE_LIMIT, reader.until_closed()).await;
                    }
                    break Ok(());
                }
            }
        };
        if let Some(session) = session {
            session.end();
        }
        outcome
    }
}

struct Incoming {
    cipher: wacore_noise::NoiseCipher,
    counter: u32,
}

impl Incoming {
    fn node(&mut self, mut frame: bytes::BytesMut) -> Result<Node> {
        self.cipher.decrypt_in_place_with_counter(self.counter, &mut frame).context("transport frame")?;
        self.counter = self.counter.wrapping_add(1);
        stanza::from_bytes(&frame)
    }
}
