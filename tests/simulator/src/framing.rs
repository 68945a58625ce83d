//! Bytes to frames: the optional edge-routing pre-intro, the `WA` header, then frames with a three-byte length. A
//! WebSocket message may hold part of a frame or several.

use anyhow::{Result, bail};
use bytes::{Buf as _, BytesMut};
use wacore_binary::consts::WA_CONN_HEADER;
use wacore_noise::framing::FrameDecoder;

const PREINTRO: &[u8] = b"ED\x00\x01";

/// Collects what a client sends and cuts it into frames.
#[derive(Default)]
pub struct FrameReader {
    preamble: BytesMut,
    started: bool,
    decoder: FrameDecoder,
}

impl FrameReader {
    /// Takes in bytes; an error means that this is no WhatsApp client.
    pub fn feed(&mut self, data: &[u8]) -> Result<()> {
        if self.started {
            self.decoder.feed(data);
            return Ok(());
        }
        self.preamble.extend_from_slice(data);
        if self.preamble.starts_with(PREINTRO) {
            let mut rest = self.preamble.clone();
            rest.advance(PREINTRO.len());
            let [high, middle, low, ..] = *rest else { return Ok(()) };
            let length = usize::from(high) << 16 | usize::from(middle) << 8 | usize::from(low);
            if rest.len() < 3 + length {
                return Ok(());
            }
            rest.advance(3 + length);
            self.preamble = rest;
        }
        if self.preamble.len() < WA_CONN_HEADER.len() {
            return Ok(());
        }
        if !self.preamble.starts_with(&WA_CONN_HEADER) {
            bail!("not the WhatsApp header");
        }
        self.preamble.advance(WA_CONN_HEADER.len());
        self.started = true;
        self.decoder.feed(&self.preamble.split());
        Ok(())
    }

    /// The next complete frame.
    pub fn next_frame(&mut self) -> Option<BytesMut> {
        self.decoder.decode_frame()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_cut_anywhere_gives_the_same_frames() {
        let mut stream = b"ED\x00\x01\x00\x00\x02hi".to_vec();
        stream.extend_from_slice(&WA_CONN_HEADER);
        stream.extend_from_slice(&[0, 0, 3, 1, 2, 3, 0, 0, 1, 9]);
        for size in 1..stream.len() {
            let mut reader = FrameReader::default();
            let mut frames = Vec::new();
            for piece in stream.chunks(size) {
                reader.feed(piece).unwrap();
                while let Some(frame) = reader.next_frame() {
                    frames.push(frame.to_vec());
                }
            }
            assert_eq!(frames, [vec![1, 2, 3], vec![9]], "pieces of {size}");
        }
    }

    #[test]
    fn anything_but_the_header_is_refused() {
        assert!(FrameReader::default().feed(b"GET / HTTP/1.1").is_err());
    }
}
