//! A WebSocket, message by message.

use std::time::Duration;

use futures::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use super::{Gateway, Organization};

/// How long a message may take.
const PATIENCE: Duration = Duration::from_secs(35);

/// See the module.
#[derive(Debug)]
pub struct Socket(WebSocketStream<MaybeTlsStream<TcpStream>>);

/// What came.
#[derive(Clone, Debug, PartialEq)]
pub enum Said {
    /// A message.
    Frame(Value),
    /// Text that is no JSON.
    Text(String),
    /// The end, with its code.
    Closed(Option<u16>),
}

impl Socket {
    /// Opens one with the organization's key.
    pub async fn open(organization: &Organization, path: &str) -> Self {
        Self::try_open(organization, path).await.unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    /// The same where it may be refused: the status then.
    pub async fn try_open(organization: &Organization, path: &str) -> Result<Self, String> {
        Self::connect(&organization.gateway, path, Some(&organization.key)).await
    }

    /// Opens one as a browser does, without a header.
    pub async fn bare(gateway: &Gateway, path: &str) -> Result<Self, String> {
        Self::connect(gateway, path, None).await
    }

    async fn connect(gateway: &Gateway, path: &str, key: Option<&str>) -> Result<Self, String> {
        let mut request = format!("ws://{}{path}", gateway.address()).into_client_request().unwrap();
        let address = super::gateway::any_address().parse().unwrap();
        request.headers_mut().insert("cf-connecting-ip", address);
        if let Some(key) = key {
            request.headers_mut().insert("authorization", format!("Bearer {key}").parse().unwrap());
        }
        let connected = tokio::time::timeout(PATIENCE, connect_async(request)).await;
        match connected.map_err(|_| "no answer in time".to_owned())? {
            Ok((socket, _)) => Ok(Self(socket)),
            Err(Error::Http(response)) => Err(response.status().as_u16().to_string()),
            Err(error) => Err(error.to_string()),
        }
    }

    /// What comes next.
    pub async fn next(&mut self) -> Said {
        loop {
            let next = tokio::time::timeout(PATIENCE, self.0.next()).await;
            match next.unwrap_or_else(|_| panic!("nothing for {PATIENCE:?}")) {
                Some(Ok(Message::Text(text))) => {
                    return serde_json::from_str(&text)
                        .map_or_else(|_| Said::Text(text.to_string()), Said::Frame);
                }
                Some(Ok(Message::Close(frame))) => {
                    return Said::Closed(frame.map(|frame| match frame.code {
                        CloseCode::Normal => 1000,
                        code => code.into(),
                    }));
                }
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Said::Closed(None),
            }
        }
    }

    /// The next message as JSON; none when it has ended, or says nothing for so long.
    pub async fn within(&mut self, patience: Duration) -> Option<Value> {
        loop {
            match tokio::time::timeout(patience, self.0.next()).await {
                Ok(Some(Ok(Message::Text(text)))) => return serde_json::from_str(&text).ok(),
                Ok(Some(Ok(Message::Close(_)) | Err(_)) | None) | Err(_) => return None,
                Ok(Some(Ok(_))) => {}
            }
        }
    }

    /// The next frame that is no heartbeat.
    pub async fn frame(&mut self) -> Value {
        loop {
            match self.next().await {
                Said::Frame(frame) if frame["type"] == "heartbeat" => {}
                Said::Frame(frame) => return frame,
                other => panic!("{other:?}"),
            }
        }
    }

    /// The code it is closed with, whatever comes before.
    pub async fn closed(&mut self) -> Option<u16> {
        loop {
            if let Said::Closed(code) = self.next().await {
                return code;
            }
        }
    }

    pub async fn say(&mut self, text: &str) {
        self.0.send(Message::Text(text.into())).await.unwrap();
    }

    pub async fn acknowledge(&mut self, position: &Value) {
        self.try_acknowledge(position).await.unwrap();
    }

    /// The same over a socket that may be gone.
    pub async fn try_acknowledge(&mut self, position: &Value) -> Result<(), Error> {
        self.0.send(Message::Text(json!({ "ack": position }).to_string().into())).await
    }
}
