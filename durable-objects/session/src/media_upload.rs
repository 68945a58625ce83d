//! A file goes to WhatsApp's media host, read and encrypted part by part: memory does not grow with it.
//!
//! The client library encrypts incrementally, but uploads from memory or from a blocking reader, which a Worker can't have.
//! So the order of hosts, fresh credentials and resuming are here, as the library and WhatsApp Web do them.

use std::cell::Cell;
use std::io::sink;
use std::rc::Rc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures::future::{Either, select};
use futures::stream::{self, Stream};
use gateway_domain::message::media_type::File;
use gateway_object::outbound::Answered;
use gateway_sql::workerd::WorkerdSql;
use serde::Deserialize;
use whatsapp_rust::anyhow::{Error, Result};
use whatsapp_rust::download::MediaType;
use whatsapp_rust::mediaconn::MediaConn;
use whatsapp_rust::wacore::net::WHATSAPP_WEB_ORIGIN;
use whatsapp_rust::wacore::upload::{EncryptedMediaInfo, MediaEncryptor};
use worker::web_sys::ReadableStream;
use worker::{Delay, Headers, Method, Request, RequestInit, RequestRedirect};

use crate::clock;
use crate::connection::Connection;
use crate::http_client::address;
use crate::media_body::body;
use crate::outbox::StoredFile;

/// From so many encrypted bytes on the host is asked first whether it has some of them (WhatsApp Web).
const RESUMABLE_BYTES: u64 = 5 * 1024 * 1024;
/// What encryption adds at the end.
const MAC_BYTES: u64 = 10;
/// How long a host may take no byte, or not answer.
const STALL: Duration = Duration::from_secs(30);
/// The most of an answer that is read.
const MAX_ANSWER_BYTES: usize = 64 * 1024;

/// A file of the object's database.
pub type Stored = StoredFile<WorkerdSql>;

/// Where a file lies, and what opens it.
pub struct Lying {
    /// Its address.
    pub url: String,
    /// The same without the host.
    pub direct_path: String,
    /// Its keys, hashes and length.
    pub encrypted: EncryptedMediaInfo,
}

/// What a host answers.
#[derive(Default, Deserialize)]
struct Answer {
    url: Option<String>,
    direct_path: Option<String>,
    /// `complete`, or how many bytes it has.
    resume: Option<String>,
}

/// Encrypts a file under a key of its own, and uploads it.
///
/// # Errors
/// When no host takes it.
pub async fn upload(connection: &Connection, file: Stored, kind: MediaType) -> Result<Lying> {
    let key = clock::random();
    let encrypted = encrypt(&file, key, kind).await?;
    let upload = Upload { file: Rc::new(file), key, kind };
    let token = URL_SAFE_NO_PAD.encode(encrypted.file_enc_sha256);
    let mut hosts = connection.client.refresh_media_conn(false).await?;
    let mut is_fresh = false;
    loop {
        match upload.to_one_of(&hosts, &token).await {
            Ok((url, direct_path)) => return Ok(Lying { url, direct_path, encrypted }),
            // The credentials are over.
            Err(Refusal::Unauthorized) if !is_fresh => {
                is_fresh = true;
                hosts = connection.client.refresh_media_conn(true).await?;
            }
            Err(Refusal::Unauthorized) => return Err(Error::msg("the media host refuses fresh credentials")),
            Err(Refusal::Other(error)) => return Err(error),
        }
    }
}

/// Of the whole only what identifies it is kept.
async fn encrypt(file: &Stored, key: [u8; 32], kind: MediaType) -> Result<EncryptedMediaInfo> {
    let plays = matches!(kind, MediaType::Audio | MediaType::Video);
    let mut encryptor = MediaEncryptor::with_key_and_sidecar(key, kind, plays)?;
    for part in 0..file.parts() {
        encryptor.update_to_writer(&part_of(file, part)?, &mut sink())?;
        breathe().await;
    }
    encryptor.finalize_to_writer(&mut sink())
}

/// The isolate is not this session's alone.
async fn breathe() {
    Delay::from(Duration::ZERO).await;
}

fn part_of(file: &Stored, part: u64) -> Result<Vec<u8>> {
    file.part(part).map_err(|error| Error::msg(error.to_string()))
}

/// One file under one key: its encrypted bytes are the same every time.
struct Upload {
    file: Rc<Stored>,
    key: [u8; 32],
    kind: MediaType,
}

/// Why a host did not take it.
enum Refusal {
    Unauthorized,
    Other(Error),
}

impl From<worker::Error> for Refusal {
    fn from(error: worker::Error) -> Self {
        Self::Other(Error::msg(error.to_string()))
    }
}

impl Upload {
    /// As many bytes as are uploaded: a last block is always padded.
    fn length(&self) -> u64 {
        (self.file.length() / 16 + 1) * 16 + MAC_BYTES
    }

    async fn to_one_of(&self, hosts: &MediaConn, token: &str) -> Result<(String, String), Refusal> {
        let mut last = Error::msg("there are no media hosts");
        for host in &hosts.hosts {
            let path = self.kind.upload_path();
            let url = format!("https://{}{path}/{token}?auth={}&token={token}", host.hostname, hosts.auth);
            match self.to(&url).await {
                Ok(lies) => return Ok(lies),
                Err(Refusal::Unauthorized) => return Err(Refusal::Unauthorized),
                Err(Refusal::Other(error)) => last = error,
            }
        }
        Err(Refusal::Other(last))
    }

    async fn to(&self, url: &str) -> Result<(String, String), Refusal> {
        let mut offset = 0;
        if self.length() >= RESUMABLE_BYTES {
            // Whatever goes wrong with that question, the whole can be uploaded.
            let had = exchange(&format!("{url}&resume=1"), None, &Cell::new(0)).await.unwrap_or_default();
            match (had.resume.as_deref(), had.url, had.direct_path) {
                (Some("complete"), Some(url), Some(path)) => return Ok((url, path)),
                (Some(bytes), ..) => {
                    let known = bytes.parse().ok().filter(|bytes| *bytes < self.length());
                    offset = known.unwrap_or_default();
                }
                _ => {}
            }
        }
        let url = if offset > 0 { format!("{url}&file_offset={offset}") } else { url.to_owned() };
        let sent = Rc::new(Cell::new(0));
        let body = body(self.encrypted(offset, Rc::clone(&sent))?, self.length() - offset)?;
        let answer = exchange(&url, Some(body), &sent).await?;
        let lies = answer.url.zip(answer.direct_path);
        lies.ok_or_else(|| Refusal::Other(Error::msg("the media host does not say where it lies")))
    }

    /// The encrypted bytes behind an offset; `sent` counts what was taken of them.
    fn encrypted(
        &self,
        offset: u64,
        sent: Rc<Cell<u64>>,
    ) -> Result<impl Stream<Item = Result<Vec<u8>, String>> + 'static, Refusal> {
        let encryptor = MediaEncryptor::with_key(self.key, self.kind).map_err(Refusal::Other)?;
        let encryption =
            Encryption { file: Rc::clone(&self.file), encryptor: Some(encryptor), part: 0, skip: offset };
        Ok(stream::try_unfold(encryption, move |mut encryption| {
            let sent = Rc::clone(&sent);
            async move {
                let step = encryption.step().await.map_err(|error| error.to_string())?;
                sent.set(sent.get() + step.as_ref().map_or(0, |step| step.len() as u64));
                Ok(step.map(|step| (step, encryption)))
            }
        }))
    }
}

/// A file that is being encrypted, from some byte on.
struct Encryption {
    file: Rc<Stored>,
    /// None at the end.
    encryptor: Option<MediaEncryptor>,
    part: u64,
    skip: u64,
}

impl Encryption {
    /// The next of it: what a part is encrypted to, or the last of that.
    async fn step(&mut self) -> Result<Option<Vec<u8>>> {
        while let Some(mut encryptor) = self.encryptor.take() {
            let mut bytes = Vec::new();
            if self.part < self.file.parts() {
                encryptor.update(&part_of(&self.file, self.part)?, &mut bytes);
                self.part += 1;
                self.encryptor = Some(encryptor);
            } else {
                encryptor.finalize(&mut bytes)?;
            }
            let passed = usize::try_from(self.skip).unwrap_or(usize::MAX).min(bytes.len());
            bytes.drain(..passed);
            self.skip = self.skip.saturating_sub(passed as u64);
            if !bytes.is_empty() {
                return Ok(Some(bytes));
            }
            breathe().await;
        }
        Ok(None)
    }
}

/// Asks a host, for as long as it takes bytes.
async fn exchange(url: &str, body: Option<ReadableStream>, sent: &Cell<u64>) -> Result<Answer, Refusal> {
    let mut asked = std::pin::pin!(ask(url, body));
    let mut before = sent.get();
    loop {
        match select(asked, Delay::from(STALL)).await {
            Either::Left((answered, _)) => return answered,
            Either::Right(_) if sent.get() == before => {
                return Err(Refusal::Other(Error::msg("the media host takes nothing more")));
            }
            Either::Right(((), unanswered)) => {
                asked = unanswered;
                before = sent.get();
            }
        }
    }
}

async fn ask(url: &str, body: Option<ReadableStream>) -> Result<Answer, Refusal> {
    let headers = Headers::new();
    headers.set("content-type", "application/octet-stream")?;
    headers.set("origin", WHATSAPP_WEB_ORIGIN)?;
    let mut init = RequestInit::new();
    init.with_method(Method::Post).with_headers(headers).with_redirect(RequestRedirect::Manual);
    if let Some(body) = body {
        init.with_body(Some(body.into()));
    }
    let mut answered = Answered::to(Request::new_with_init(&address(url), &init)?).await?;
    let status = answered.status();
    let mut body = Vec::new();
    answered.read(&mut body, MAX_ANSWER_BYTES).await;
    match status {
        401 | 403 => Err(Refusal::Unauthorized),
        200..=299 => serde_json::from_slice(&body).map_err(|error| Refusal::Other(error.into())),
        _ => Err(Refusal::Other(Error::msg(format!("the media host answers {status}")))),
    }
}
