//! The sending half of a socket: one task, so that frames are encrypted in the order they go out.

use std::io::Write as _;
use std::sync::Arc;

use anyhow::Result;
use axum::extract::ws::{CloseFrame, Message, WebSocket};
use flate2::Compression;
use flate2::write::ZlibEncoder;
use futures::SinkExt as _;
use futures::stream::SplitSink;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};
use wacore::xml::DisplayableNode;
use wacore_binary::Node;
use wacore_binary::marshal::marshal_auto;
use wacore_noise::NoiseCipher;
use wacore_noise::framing::encode_frame;

use super::Peer;
use crate::faults::{Kind, Stage};
use crate::stanza;
use crate::world::World;

/// Bit 1 of a frame's first byte: the rest is zlib.
const COMPRESSED: u8 = 2;
/// So many stanzas wait for the disk together.
const BATCH: usize = 64;
/// Not a valid ciphertext under any key.
const GARBAGE: [u8; 48] = [0xA5; 48];

/// What a socket's writer is asked to do.
pub enum Outgoing {
    Node(Box<Node>),
    /// A frame that can't be decrypted.
    Garbage,
    /// A frame that ends too early.
    Truncated,
    /// The end: with a WebSocket close code, or by dropping the TCP connection.
    Close(Option<u16>),
}

impl Outgoing {
    /// What an immediate fault does to a socket.
    pub fn fault(kind: &Kind, outgoing: &UnboundedSender<Self>) {
        let steps = match kind {
            Kind::Close { code } => vec![Self::Close(*code)],
            Kind::StreamError { code, conflict } => {
                let error = match conflict {
                    Some(conflict) => stanza::conflict(conflict, *code),
                    None => stanza::stream_error(code.unwrap_or(503)),
                };
                vec![Self::Node(Box::new(error)), Self::Close(Some(1000))]
            }
            Kind::GarbageFrame => vec![Self::Garbage],
            Kind::TruncatedFrame => vec![Self::Truncated],
            _ => Vec::new(),
        };
        for step in steps {
            // A socket that is already gone needs no fault.
            let _ = outgoing.send(step);
        }
    }
}

/// Writes until asked to close or the socket is gone; true when the client has been told with a close frame, which it
/// is then due to answer.
pub async fn run(
    world: Arc<World>,
    mut sink: SplitSink<WebSocket, Message>,
    cipher: NoiseCipher,
    mut incoming: UnboundedReceiver<Outgoing>,
    peer: Peer,
) -> bool {
    let mut counter = 0;
    let mut batch = Vec::new();
    while incoming.recv_many(&mut batch, BATCH).await > 0 {
        // Nobody may hear of anything that a crash could still undo.
        if !world.store.settled().await {
            return false;
        }
        for outgoing in batch.drain(..) {
            world.faults.unstalled(Stage::Now, peer.get()).await;
            let message = match outgoing {
                Outgoing::Node(node) => {
                    log::trace!("-> {:?} {}", peer.get(), DisplayableNode(&node));
                    let compress = world
                        .faults
                        .take(peer.get(), |kind| matches!(kind, Kind::CompressedFrames).then_some(()))
                        .is_some();
                    match seal(&node, &cipher, counter, compress) {
                        Ok(frame) => {
                            counter += 1;
                            Message::Binary(frame.into())
                        }
                        Err(error) => {
                            log::error!("a node could not be encoded: {error:#}");
                            continue;
                        }
                    }
                }
                Outgoing::Garbage => Message::Binary(framed(&GARBAGE).into()),
                Outgoing::Truncated => {
                    let mut frame = framed(&GARBAGE);
                    frame.truncate(GARBAGE.len() / 2);
                    Message::Binary(frame.into())
                }
                Outgoing::Close(Some(code)) => {
                    let frame = CloseFrame { code, reason: "".into() };
                    return sink.send(Message::Close(Some(frame))).await.is_ok();
                }
                Outgoing::Close(None) => return false,
            };
            if sink.send(message).await.is_err() {
                return false;
            }
        }
    }
    false
}

fn seal(node: &Node, cipher: &NoiseCipher, counter: u32, compress: bool) -> Result<Vec<u8>> {
    let mut plain = marshal_auto(node)?;
    if compress {
        let body = plain.split_off(1);
        let mut encoder = ZlibEncoder::new(vec![COMPRESSED], Compression::default());
        encoder.write_all(&body)?;
        plain = encoder.finish()?;
    }
    encode_frame(&cipher.encrypt_with_counter(counter, &plain)?, None)
}

fn framed(payload: &[u8]) -> Vec<u8> {
    encode_frame(payload, None).unwrap_or_default()
}
