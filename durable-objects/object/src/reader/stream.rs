//! A log as a response body. The transport pulls, so a slow reader is a cursor that stands still.

use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use futures::future::{Either, select};
use futures::stream::unfold;
use gateway_domain::error::ApiError;
use gateway_domain::stream::{Format, Frame};
use gateway_sql::SqlError;
use worker::{Delay, Headers, Response};

use super::{Log, opening};
use crate::calls::reader::Filter;
use crate::clock;

/// A sign of life this often keeps proxies from closing a quiet stream, in milliseconds.
const HEARTBEAT_MS: u64 = 20_000;
/// How many events are read at a time.
const BATCH: u32 = 100;

struct Reader<L> {
    log: Rc<L>,
    filter: Filter,
    format: Format,
    position: u64,
    ready: VecDeque<String>,
    /// When something was last said, epoch milliseconds.
    said_at: u64,
}

/// The stream from a position, or from now on.
///
/// # Errors
/// When the log can't be read.
pub fn stream<L: Log + 'static>(
    log: Rc<L>,
    after: Option<u64>,
    filter: Filter,
    format: Format,
) -> Result<Response, ApiError> {
    let failed = |error: String| {
        worker::console_error!("stream: {error}");
        ApiError::internal()
    };
    let opening = opening(log.bounds().map_err(|error| failed(error.to_string()))?, after);
    let told = log.told(opening.position);
    let mut ready = VecDeque::from([Frame::Connected.write(format, &told)]);
    ready.extend(opening.reset.map(|reason| Frame::Reset(reason).write(format, &told)));
    let reader = Reader { log, filter, format, position: opening.position, ready, said_at: clock::now() };
    let frames = unfold(reader, |mut reader| async move {
        let frame = reader.next().await?;
        Some((Ok::<_, worker::Error>(frame.into_bytes()), reader))
    });
    let response = Response::from_stream(frames).map_err(|error| failed(error.to_string()))?;
    let headers = Headers::new();
    for (name, value) in [("content-type", format.media_type()), ("cache-control", "no-store")] {
        headers.set(name, value).map_err(|error| failed(error.to_string()))?;
    }
    Ok(response.with_headers(headers))
}

impl<L: Log> Reader<L> {
    async fn next(&mut self) -> Option<String> {
        loop {
            if let Some(frame) = self.ready.pop_front() {
                self.said_at = clock::now();
                return Some(frame);
            }
            // Before reading: what is written in between must wake us.
            let woken = self.log.listen();
            if self.log.is_gone() {
                return None;
            }
            match self.fill() {
                Ok(true) => {}
                Ok(false) => {
                    // Also when the log grows all the time by what this reader does not want.
                    let left = (self.said_at + HEARTBEAT_MS).saturating_sub(clock::now());
                    let heartbeat = Delay::from(Duration::from_millis(left));
                    if left == 0 || matches!(select(woken, heartbeat).await, Either::Right(_)) {
                        self.ready
                            .push_back(Frame::Heartbeat.write(self.format, &self.log.told(self.position)));
                    }
                }
                Err(error) => {
                    worker::console_error!("a stream ends, its log can't be read: {error}");
                    return None;
                }
            }
        }
    }

    /// Reads on; whether there is something to say.
    fn fill(&mut self) -> Result<bool, SqlError> {
        let bounds = self.log.bounds()?;
        // A reader so slow that the retention overtook it is told, not served a gap.
        if self.position < bounds.floor {
            self.position = bounds.floor;
            let reset = Frame::Reset("expired_position").write(self.format, &self.log.told(self.position));
            self.ready.push_back(reset);
            return Ok(true);
        }
        let batch = self.log.read(self.position, BATCH, &self.filter)?;
        let has_moved = batch.position > self.position;
        self.position = batch.position;
        for (position, event) in &batch.events {
            self.ready.push_back(Frame::Event(event).write(self.format, &self.log.told(*position)));
        }
        // What was filtered out may end before the log does.
        Ok(!self.ready.is_empty() || (has_moved && self.position < bounds.newest))
    }
}
