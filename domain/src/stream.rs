//! What a live stream says, on every transport: Server-Sent Events (WHATWG HTML, "Server-sent events"), one JSON object
//! a line (NDJSON), or one a WebSocket message.
//!
//! A position is a number in a session's log and an opaque text in an organization's; either is where to resume after.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::event::Envelope;

/// How a stream is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// `text/event-stream`
    Sse,
    /// `application/x-ndjson`; a WebSocket message is such a line without its end.
    Ndjson,
}

impl Format {
    /// The media type.
    #[must_use]
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::Sse => "text/event-stream",
            Self::Ndjson => "application/x-ndjson",
        }
    }

    /// Which one a caller accepts, if one.
    #[must_use]
    pub fn accepted(accept: &str) -> Option<Self> {
        let names = |media_type: &str| accept.to_ascii_lowercase().contains(media_type);
        [Self::Sse, Self::Ndjson].into_iter().find(|format| names(format.media_type()))
    }
}

/// One thing a stream says.
#[derive(Clone, Copy, Debug)]
pub enum Frame<'a> {
    /// The stream has begun; events after this position follow.
    Connected,
    /// Something happened.
    Event(&'a Envelope),
    /// The position asked for can't be resumed: the stream goes on from this one, and what lay between is not kept.
    Reset(&'a str),
    /// Nothing happened.
    Heartbeat,
    /// The reader is too slow: nothing more is sent before it has acknowledged what was.
    Paused,
}

impl Frame<'_> {
    /// The frame as it goes over the wire; `position` is where to resume after it.
    #[must_use]
    pub fn write(&self, format: Format, position: &Value) -> String {
        match format {
            Format::Sse => self.sse(position),
            Format::Ndjson => format!("{}\n", self.json(position)),
        }
    }

    /// The frame as one JSON object.
    #[must_use]
    pub fn json(&self, position: &Value) -> String {
        let frame = match self {
            Self::Connected => json!({"type": "connected", "position": position}),
            Self::Event(event) => json!({"type": "event", "position": position, "event": event}),
            Self::Reset(reason) => json!({"type": "reset", "position": position, "reason": reason}),
            Self::Heartbeat => json!({"type": "heartbeat", "position": position}),
            Self::Paused => json!({"type": "paused", "position": position, "reason": "unacknowledged"}),
        };
        frame.to_string()
    }

    fn sse(&self, position: &Value) -> String {
        // With an id each, so that a reader who saw nothing else still knows where it was.
        let id = position.as_str().map_or_else(|| position.to_string(), str::to_owned);
        match self {
            Self::Connected => {
                format!(
                    "retry: 2000\nid: {id}\nevent: connected\ndata: {}\n\n",
                    json!({"position": position})
                )
            }
            Self::Event(event) => {
                let data = serde_json::to_string(event).unwrap_or_default();
                format!("id: {id}\nevent: {}\ndata: {data}\n\n", event.event)
            }
            Self::Reset(reason) => {
                let data = json!({"reason": reason, "position": position});
                format!("id: {id}\nevent: reset\ndata: {data}\n\n")
            }
            // A filtered stream moves on without events.
            Self::Heartbeat => format!(": keepalive\nid: {id}\n\n"),
            Self::Paused => ": paused\n\n".to_owned(),
        }
    }
}

/// What a reader says over a WebSocket.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Acknowledgement {
    /// The position of a frame it has dealt with, and all before.
    pub ack: Position,
}

/// A position as a reader says it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum Position {
    /// In a session's log.
    Number(u64),
    /// In an organization's.
    Text(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event() -> Envelope {
        Envelope {
            schema: "v1".into(),
            id: "evt_1".into(),
            event: "message".into(),
            session: "s".into(),
            organization: "o".into(),
            timestamp: 1,
            seq: 7,
            epoch: 2,
            payload: json!({"body": "two\nlines"}),
        }
    }

    #[test]
    fn sse_frames_have_an_id_and_never_a_stray_line() {
        let event = event();
        let text = Frame::Event(&event).write(Format::Sse, &json!(7));
        assert!(text.starts_with("id: 7\nevent: message\ndata: {") && text.ends_with("}\n\n"), "{text}");
        assert_eq!(text.lines().count(), 4, "{text}");
        assert_eq!(
            Frame::Connected.write(Format::Sse, &json!("7-x")),
            "retry: 2000\nid: 7-x\nevent: connected\ndata: {\"position\":\"7-x\"}\n\n"
        );
        assert_eq!(Frame::Heartbeat.write(Format::Sse, &json!(9)), ": keepalive\nid: 9\n\n");
    }

    #[test]
    fn ndjson_is_one_object_a_line() {
        let event = event();
        for frame in
            [Frame::Connected, Frame::Event(&event), Frame::Reset("r"), Frame::Heartbeat, Frame::Paused]
        {
            let line = frame.write(Format::Ndjson, &json!("7-x"));
            assert_eq!(line.matches('\n').count(), 1, "{line}");
            let value: Value = serde_json::from_str(&line).unwrap();
            assert_eq!(value["position"], "7-x");
            assert!(value["type"].is_string());
        }
        let line = Frame::Event(&event).json(&json!(7));
        assert_eq!(serde_json::from_str::<Value>(&line).unwrap()["event"]["payload"]["body"], "two\nlines");
    }

    #[test]
    fn the_format_is_what_the_caller_accepts() {
        assert_eq!(Format::accepted("text/event-stream"), Some(Format::Sse));
        assert_eq!(Format::accepted("application/json;q=0.5, application/x-NDJSON"), Some(Format::Ndjson));
        assert_eq!(Format::accepted("*/*"), None);
    }
}
