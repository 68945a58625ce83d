//! Server-Sent Events, read frame by frame (WHATWG HTML, "Server-sent events").

use std::time::Duration;

use reqwest::{Method, Response};
use serde_json::Value;

use super::Organization;

/// How long a frame may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// One frame.
#[derive(Clone, Debug, PartialEq)]
pub struct Frame {
    pub id: Option<String>,
    pub event: String,
    pub data: Value,
}

/// An open stream.
pub struct Sse {
    response: Response,
    buffer: String,
}

impl Sse {
    pub async fn open(organization: &Organization, path: &str, last_event_id: Option<&str>) -> Self {
        Self::try_open(organization, path, last_event_id)
            .await
            .unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    /// Opens a stream of a gateway that may be down.
    pub async fn try_open(
        organization: &Organization,
        path: &str,
        last_event_id: Option<&str>,
    ) -> Result<Self, String> {
        let mut request = organization
            .request(Method::GET, path)
            .header("accept", "text/event-stream")
            .timeout(Duration::from_mins(10));
        if let Some(id) = last_event_id {
            request = request.header("last-event-id", id);
        }
        let response = request.send().await.map_err(|error| format!("{error:?}"))?;
        if response.status() != 200 {
            return Err(response.status().to_string());
        }
        let kind = response.headers()["content-type"].to_str().unwrap();
        assert!(kind.starts_with("text/event-stream"), "{kind}");
        Ok(Self { response, buffer: String::new() })
    }

    /// The next frame, comments left out; none once the stream has ended.
    pub async fn next(&mut self) -> Option<Frame> {
        let read = tokio::time::timeout(PATIENCE, self.read());
        read.await.unwrap_or_else(|_| panic!("no frame for {PATIENCE:?}; buffered: {:?}", self.buffer))
    }

    /// A frame that must come.
    pub async fn frame(&mut self) -> Frame {
        self.next().await.expect("the stream ended")
    }

    /// Frames until one is as wanted, that one included.
    pub async fn until(&mut self, wanted: impl Fn(&Frame) -> bool) -> Vec<Frame> {
        let mut frames = Vec::new();
        loop {
            let frame = self.frame().await;
            let last = wanted(&frame);
            frames.push(frame);
            if last {
                return frames;
            }
        }
    }

    /// The next frame, however long it takes.
    pub async fn read(&mut self) -> Option<Frame> {
        loop {
            while let Some(end) = self.buffer.find("\n\n") {
                let block: String = self.buffer.drain(..end + 2).collect();
                let frame = parse(&block);
                if frame.is_some() {
                    return frame;
                }
            }
            let chunk = self.response.chunk().await.ok()??;
            self.buffer.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    }
}

fn parse(block: &str) -> Option<Frame> {
    let fields = |name: &str| -> Option<String> {
        let values: Vec<&str> =
            block.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix(": ")).collect();
        (!values.is_empty()).then(|| values.join("\n"))
    };
    let data = fields("data")?;
    let data = serde_json::from_str(&data).unwrap_or_else(|error| panic!("{data}: {error}"));
    Some(Frame { id: fields("id"), event: fields("event").unwrap_or_else(|| "message".to_owned()), data })
}
