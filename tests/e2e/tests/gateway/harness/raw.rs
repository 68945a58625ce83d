//! HTTP by hand, for what no client library would send.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::Gateway;

/// A hang is a failure.
const PATIENCE: Duration = Duration::from_secs(10);

/// An answer, read as far as is needed to judge it.
#[derive(Debug)]
pub struct RawAnswer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl RawAnswer {
    pub fn header(&self, name: &str) -> Option<&str> {
        let line = self
            .head
            .lines()
            .find(|line| line.split_once(':').is_some_and(|(header, _)| header.eq_ignore_ascii_case(name)))?;
        line.split_once(':').map(|(_, value)| value.trim())
    }
}

/// Sends bytes as they are (with `Connection: close` among them) and reads to the end.
pub async fn raw(gateway: &Gateway, request: &[u8]) -> RawAnswer {
    let exchange = async {
        let mut socket = TcpStream::connect(gateway.address()).await.unwrap();
        // The server may answer and hang up before it has read everything.
        let _ = socket.write_all(request).await;
        let mut answer = Vec::new();
        let mut chunk = vec![0; 16_384];
        while let Ok(read) = socket.read(&mut chunk).await {
            if read == 0 {
                break;
            }
            answer.extend_from_slice(&chunk[..read]);
        }
        answer
    };
    let answer = tokio::time::timeout(PATIENCE, exchange).await;
    let shown = String::from_utf8_lossy(&request[..request.len().min(120)]).into_owned();
    let answer = answer.unwrap_or_else(|_| panic!("hangs: {shown}"));
    let text = String::from_utf8_lossy(&answer).into_owned();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    let status = status.unwrap_or_else(|| panic!("no HTTP answer to {shown}: {text:?}"));
    let chunked = head.to_ascii_lowercase().contains("transfer-encoding: chunked");
    let body = if chunked { unchunked(body) } else { body.to_owned() };
    RawAnswer { status, head: head.to_owned(), body }
}

/// Sends what is no HTTP, says that no more will come, and waits until the server has had enough of it.
pub async fn nonsense(gateway: &Gateway, bytes: &[u8]) {
    let exchange = async {
        let mut socket = TcpStream::connect(gateway.address()).await.unwrap();
        let _ = socket.write_all(bytes).await;
        let _ = socket.shutdown().await;
        let _ = socket.read_to_end(&mut Vec::new()).await;
    };
    let over = tokio::time::timeout(PATIENCE, exchange).await;
    over.unwrap_or_else(|_| panic!("hangs: {}", String::from_utf8_lossy(bytes)));
}

fn unchunked(mut body: &str) -> String {
    let mut whole = String::new();
    while let Some((size, rest)) = body.split_once("\r\n") {
        let size = usize::from_str_radix(size.trim(), 16).unwrap_or(0);
        if size == 0 || rest.len() < size {
            break;
        }
        whole.push_str(&rest[..size]);
        body = rest[size..].trim_start_matches("\r\n");
    }
    whole
}
