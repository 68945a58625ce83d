//! The Noise handshake over a socket, with the faults that belong to it.

use std::sync::Arc;

use anyhow::{Context as _, Result};
use axum::extract::ws::{Message, WebSocket};
use futures::SinkExt as _;
use futures::stream::SplitSink;
use wacore_noise::framing::encode_frame;

use super::HANDSHAKE_LIMIT;
use super::reader::Reader;
use crate::clock;
use crate::faults::Kind;
use crate::noise::{self, Answered, Established};
use crate::rng;
use crate::world::World;

type Sink = SplitSink<WebSocket, Message>;

/// Runs the handshake and counts how it went.
pub async fn within_limit(
    world: &Arc<World>,
    connection: u64,
    sink: &mut Sink,
    reader: &mut Reader,
) -> Result<Established> {
    let outcome = clock::within(HANDSHAKE_LIMIT, respond(world, connection, sink, reader)).await;
    let outcome = outcome.context("handshake timed out").flatten();
    match &outcome {
        Ok(established) => world.counters.finished(established.pattern),
        Err(reason) => world.counters.failed(&reason.to_string()),
    }
    outcome
}

async fn respond(
    world: &Arc<World>,
    connection: u64,
    sink: &mut Sink,
    reader: &mut Reader,
) -> Result<Established> {
    let hello = reader.frame().await?;
    let forgery = world.faults.take(None, |kind| match kind {
        Kind::WrongCertificate { mode } => Some(*mode),
        _ => None,
    });
    let refuses_ik = world.faults.take(None, |kind| matches!(kind, Kind::IkRefused).then_some(())).is_some();
    let identity = match forgery {
        Some(forgery) => Arc::new(world.authority.forged(forgery)?),
        None => world.authority.current(),
    };
    // A client that resumes with IK doesn't look at the chain, so a forged one has to go through XXfallback.
    let ik = forgery.is_none() && !refuses_ik;
    let answered = {
        let mut rng = rng::derive(world.seed, "connection", &connection.to_string());
        noise::answer(&hello, &identity, ik, &mut rng).context("ClientHello")?
    };
    match answered {
        Answered::Established(hello, established) => {
            send(sink, &hello).await?;
            Ok(*established)
        }
        Answered::AwaitingFinish(hello, half_open) => {
            send(sink, &hello).await?;
            let finish = reader.frame().await?;
            half_open.finish(&finish).context("ClientFinish")
        }
    }
}

async fn send(sink: &mut Sink, message: &[u8]) -> Result<()> {
    let frame = encode_frame(message, None)?;
    sink.send(Message::Binary(frame.into())).await.context("write error")
}
