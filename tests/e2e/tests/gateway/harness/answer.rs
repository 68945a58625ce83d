//! What the gateway answered, and what tests expect of it.

use reqwest::header::HeaderMap;
use serde_json::Value;

/// An answer with its body.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The call, for messages.
    pub call: String,
    pub status: u16,
    pub headers: HeaderMap,
    pub bytes: Vec<u8>,
}

impl Answer {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes)
            .unwrap_or_else(|error| panic!("{}: {} {}: {error}", self.call, self.status, self.text()))
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// The body of an answer that must have this status.
    #[track_caller]
    pub fn expect(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}: {}", self.call, self.text());
        if self.bytes.is_empty() { Value::Null } else { self.json() }
    }

    /// The error's inside of an answer that must be this error.
    #[track_caller]
    pub fn expect_error(&self, status: u16, code: &str) -> Value {
        assert_eq!(self.status, status, "{}: {}", self.call, self.text());
        assert_eq!(self.header("content-type"), Some("application/json"), "{}", self.call);
        let body = self.json();
        let error = &body["error"];
        assert_eq!(error["code"], code, "{}: {body}", self.call);
        assert!(error["message"].as_str().is_some_and(|text| !text.is_empty()), "{}: {body}", self.call);
        let known = ["code", "message", "details"];
        let fields = error.as_object().unwrap().keys();
        assert!(fields.clone().all(|field| known.contains(&field.as_str())), "{}: {body}", self.call);
        assert_eq!(body.as_object().unwrap().len(), 1, "{}: {body}", self.call);
        error.clone()
    }

    /// A `validation_error` that names this field.
    #[track_caller]
    pub fn expect_invalid(&self, field: &str) -> Value {
        let error = self.expect_error(400, "validation_error");
        assert_eq!(error["details"]["field"], field, "{}: {error}", self.call);
        error
    }

    /// Everything a caller can tell two answers apart by, but for what is new with each request.
    pub fn fingerprint(&self) -> String {
        let mut headers: Vec<String> = self
            .headers
            .iter()
            .filter(|(name, _)| !["x-request-id", "date"].contains(&name.as_str()))
            .map(|(name, value)| format!("{name}: {value:?}"))
            .collect();
        headers.sort();
        format!("{} {headers:?} {}", self.status, self.text())
    }
}
