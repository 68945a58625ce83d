//! HTTP as the clients under test get it: by hand, and without the TLS that media hosts have.

use anyhow::Context as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use wacore::net::{HttpClient, HttpRequest, HttpResponse};

/// What came back.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

/// One request, one connection.
pub async fn exchange(
    authority: &str,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> anyhow::Result<Answer> {
    let mut stream = TcpStream::connect(authority).await?;
    let own = format!("host: {authority}\r\nconnection: close\r\ncontent-length: {}\r\n", body.len());
    let headers: String = headers.iter().flat_map(|(name, value)| [name, ": ", value, "\r\n"]).collect();
    let head = format!("{method} {path} HTTP/1.1\r\n{own}{headers}\r\n");
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(body).await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n").context("hung up on")?;
    let head = String::from_utf8(answer[..end].to_vec())?;
    let status = head.split(' ').nth(1).context("no status")?.parse()?;
    Ok(Answer { status, head, body: answer[end + 4..].to_vec() })
}

/// The media hosts for a client: their `https` is our `http`, host and path stay.
pub struct PlainHttp;

#[async_trait::async_trait]
impl HttpClient for PlainHttp {
    async fn execute(&self, request: HttpRequest) -> anyhow::Result<HttpResponse> {
        let rest = request.url.strip_prefix("https://").context("not https")?;
        let (authority, path) = rest.split_once('/').context("no path")?;
        let headers: Vec<_> =
            request.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let body = request.body.as_deref().unwrap_or_default();
        let answer = exchange(authority, &request.method, &format!("/{path}"), &headers, body).await?;
        Ok(HttpResponse { status_code: answer.status, body: answer.body })
    }
}
