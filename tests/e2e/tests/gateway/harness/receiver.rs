//! A webhook's receiver, as well or as badly behaved as a test wants it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::{Patience, eventually, now_ms};

/// One request.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// When it was there as a whole, epoch milliseconds.
    pub at: u64,
    pub path: String,
    /// Names in lower case.
    pub headers: BTreeMap<String, String>,
    pub body: Vec<u8>,
    /// What was answered; `None` for what was not answered well.
    pub status: Option<u16>,
}

impl Delivery {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).unwrap_or_else(|| panic!("no {name} in {:?}", self.headers))
    }
}

/// What to do with a request.
#[derive(Clone, Debug)]
pub enum Reply {
    Status(u16),
    /// A status with a header and a body.
    With(u16, &'static str, String),
    /// Takes the request and says nothing.
    Hang,
    /// A head, then a byte a second, for ever.
    Drip,
    /// 200, and a body that doesn't end.
    Endless,
    /// Hangs up in the middle of the head.
    CloseEarly,
    /// No HTTP.
    Nonsense,
}

type Behaviour = dyn Fn(&Delivery) -> Reply + Send + Sync;

/// See the module. Stops when dropped.
pub struct Receiver {
    pub port: u16,
    seen: Arc<Mutex<Vec<Delivery>>>,
    behaviour: Arc<Mutex<Arc<Behaviour>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Receiver {
    /// One that takes everything.
    pub async fn good() -> Self {
        Self::that(|_| Reply::Status(200)).await
    }

    /// One that behaves like this.
    pub async fn that(behaviour: impl Fn(&Delivery) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let seen: Arc<Mutex<Vec<Delivery>>> = Arc::default();
        let behaviour: Arc<Mutex<Arc<Behaviour>>> = Arc::new(Mutex::new(Arc::new(behaviour)));
        let (into, how) = (Arc::clone(&seen), Arc::clone(&behaviour));
        let task = tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let (into, how) = (Arc::clone(&into), Arc::clone(&how));
                tokio::spawn(async move {
                    let _hung_up = serve(socket, &into, &how).await;
                });
            }
        });
        Self { port, seen, behaviour, task }
    }

    /// From now on it behaves like this.
    pub fn becomes(&self, behaviour: impl Fn(&Delivery) -> Reply + Send + Sync + 'static) {
        *self.behaviour.lock().unwrap() = Arc::new(behaviour);
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// Everything that came.
    pub fn all(&self) -> Vec<Delivery> {
        self.seen.lock().unwrap().clone()
    }

    /// What was taken: answered with 2xx.
    pub fn taken(&self) -> Vec<Delivery> {
        let mut all = self.all();
        all.retain(|delivery| delivery.status.is_some_and(|status| (200..300).contains(&status)));
        all
    }

    /// Waits for a delivery that is as wanted.
    pub async fn wait(&self, what: &str, patience: Patience, wanted: impl Fn(&Delivery) -> bool) -> Delivery {
        eventually(&format!("a delivery: {what}"), patience, async || {
            let all = self.all();
            let known = all.len();
            all.into_iter().find(&wanted).ok_or_else(|| format!("{known} others"))
        })
        .await
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(
    mut socket: TcpStream,
    seen: &Mutex<Vec<Delivery>>,
    behaviour: &Mutex<Arc<Behaviour>>,
) -> std::io::Result<()> {
    loop {
        let Some(mut delivery) = read(&mut socket).await? else { return Ok(()) };
        let how = Arc::clone(&behaviour.lock().unwrap());
        let reply = how(&delivery);
        delivery.status = match &reply {
            Reply::Status(status) | Reply::With(status, ..) => Some(*status),
            _ => None,
        };
        seen.lock().unwrap().push(delivery);
        match reply {
            Reply::Status(status) => {
                socket
                    .write_all(format!("HTTP/1.1 {status} X\r\ncontent-length: 0\r\n\r\n").as_bytes())
                    .await?;
            }
            Reply::With(status, header, body) => {
                let head =
                    format!("HTTP/1.1 {status} X\r\n{header}\r\ncontent-length: {}\r\n\r\n", body.len());
                socket.write_all(head.as_bytes()).await?;
                socket.write_all(body.as_bytes()).await?;
            }
            // Until the other side hangs up.
            Reply::Hang => return until_hung_up(&mut socket).await,
            Reply::Drip => {
                socket.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n").await?;
                let mut beat = tokio::time::interval(Duration::from_secs(1));
                loop {
                    beat.tick().await;
                    socket.write_all(b".").await?;
                }
            }
            Reply::Endless => {
                socket.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000000\r\n\r\n").await?;
                let chunk = vec![b'x'; 65_536];
                loop {
                    socket.write_all(&chunk).await?;
                }
            }
            Reply::CloseEarly => {
                socket.write_all(b"HTTP/1.1 200 OK\r\ncontent-le").await?;
                return Ok(());
            }
            Reply::Nonsense => {
                socket.write_all(b"\x00\xff no HTTP at all\r\n\r\n").await?;
                return Ok(());
            }
        }
    }
}

async fn until_hung_up(socket: &mut TcpStream) -> std::io::Result<()> {
    let mut chunk = [0; 1_024];
    while socket.read(&mut chunk).await? > 0 {}
    Ok(())
}

async fn read(socket: &mut TcpStream) -> std::io::Result<Option<Delivery>> {
    let mut buffer = Vec::new();
    let mut chunk = vec![0; 65_536];
    let head_end = loop {
        if let Some(at) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
            break at;
        }
        match socket.read(&mut chunk).await? {
            0 => return Ok(None),
            read => buffer.extend_from_slice(&chunk[..read]),
        }
    };
    let head = String::from_utf8_lossy(&buffer[..head_end]).into_owned();
    let mut lines = head.lines();
    let path = lines.next().and_then(|line| line.split(' ').nth(1)).unwrap_or_default().to_owned();
    let headers: BTreeMap<String, String> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let length: usize = headers.get("content-length").map_or(0, |length| length.parse().unwrap());
    let chunked = headers.get("transfer-encoding").is_some_and(|coding| coding.contains("chunked"));
    assert!(!chunked, "a webhook's body has a length");
    while buffer.len() < head_end + 4 + length {
        match socket.read(&mut chunk).await? {
            0 => return Ok(None),
            read => buffer.extend_from_slice(&chunk[..read]),
        }
    }
    let body = buffer[head_end + 4..head_end + 4 + length].to_vec();
    Ok(Some(Delivery { at: now_ms(), path, headers, body, status: None }))
}
