//! The receiving half of a socket.

use anyhow::{Result, bail};
use axum::extract::ws::{Message, WebSocket};
use bytes::BytesMut;
use futures::StreamExt as _;
use futures::stream::SplitStream;

use crate::account::DeviceAddress;
use crate::faults::{Faults, Stage};
use crate::framing::FrameReader;

/// Socket to frames.
pub struct Reader {
    stream: SplitStream<WebSocket>,
    frames: FrameReader,
}

impl Reader {
    pub fn new(stream: SplitStream<WebSocket>) -> Self {
        Self { stream, frames: FrameReader::default() }
    }

    /// The next frame; an error once the client is gone. Safe to cancel.
    pub async fn frame(&mut self) -> Result<BytesMut> {
        loop {
            if let Some(frame) = self.frames.next_frame() {
                return Ok(frame);
            }
            self.read_more().await?;
        }
    }

    /// Takes in whatever comes, unanswered, until no fault stalls this peer any more.
    pub async fn until_unstalled(
        &mut self,
        faults: &Faults,
        stage: Stage,
        peer: Option<&DeviceAddress>,
    ) -> Result<()> {
        let unstalled = faults.unstalled(stage, peer);
        tokio::pin!(unstalled);
        loop {
            tokio::select! {
                biased;
                () = &mut unstalled => return Ok(()),
                read = self.read_more() => read?,
            }
        }
    }

    /// Reads and forgets until the client has closed.
    pub async fn until_closed(&mut self) {
        while self.read_more().await.is_ok() {}
    }

    async fn read_more(&mut self) -> Result<()> {
        match self.stream.next().await {
            Some(Ok(Message::Binary(data))) => self.frames.feed(&data),
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => Ok(()),
            Some(Ok(Message::Text(_))) => bail!("a text message"),
            Some(Ok(Message::Close(_))) | None => bail!("closed by the client"),
            Some(Err(error)) => bail!("read error: {error}"),
        }
    }
}
