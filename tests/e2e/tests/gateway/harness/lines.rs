//! NDJSON, line by line.

use std::time::Duration;

use reqwest::{Method, Response};
use serde_json::Value;

use super::Organization;

/// How long a line may take: a heartbeat comes every 20 s.
const PATIENCE: Duration = Duration::from_secs(30);

/// An open stream.
pub struct Lines {
    response: Response,
    buffer: String,
}

impl Lines {
    pub async fn open(organization: &Organization, path: &str) -> Self {
        Self::try_open(organization, path).await.unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    /// Opens a stream of a gateway that may be down.
    pub async fn try_open(organization: &Organization, path: &str) -> Result<Self, String> {
        let request = organization
            .request(Method::GET, path)
            .header("accept", "application/x-ndjson")
            .timeout(Duration::from_mins(10));
        let response = request.send().await.map_err(|error| format!("{error:?}"))?;
        if response.status() != 200 {
            return Err(response.status().to_string());
        }
        assert_eq!(response.headers()["content-type"], "application/x-ndjson");
        Ok(Self { response, buffer: String::new() })
    }

    /// The next line that is no heartbeat; none once the stream has ended.
    pub async fn next(&mut self) -> Option<Value> {
        loop {
            if let Some(end) = self.buffer.find('\n') {
                let line: String = self.buffer.drain(..=end).collect();
                let value: Value = serde_json::from_str(&line).unwrap();
                if value["type"] != "heartbeat" {
                    return Some(value);
                }
                continue;
            }
            let chunk = tokio::time::timeout(PATIENCE, self.response.chunk()).await;
            let chunk = chunk.unwrap_or_else(|_| panic!("no line for {PATIENCE:?}")).ok()??;
            self.buffer.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    }

    /// A line that must come.
    pub async fn line(&mut self) -> Value {
        self.next().await.expect("the stream ended")
    }
}
