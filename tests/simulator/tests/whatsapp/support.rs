//! What the tests of the simulator share: an unmodified whatsapp-rust client over a plain `ws://` socket, and the
//! control API.

#![allow(dead_code, reason = "each test file uses its part")]
#![allow(clippy::missing_panics_doc, reason = "tests fail by panicking")]

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message as Frame;
use wa_simulator::{Config, Running, Simulator};
use wacore::appstate::patch_decode::WAPatchName;
use wacore::net::{DisconnectReason, Transport, TransportEvent, TransportFactory};
use wacore::store::InMemoryBackend;
use wacore::store::traits::DeviceStore as _;
use wacore::types::events::{ChannelEventHandler, Event, ServerAck};
use wacore::types::presence::ReceiptType;
use wacore_binary::Jid;
use wacore_libsignal::protocol::KeyPair;
use waproto::whatsapp::Message;
use whatsapp_rust::send::SendOptions;
use whatsapp_rust::store::persistence_manager::PersistenceManager;
use whatsapp_rust::sync_task::MajorSyncTask;
use whatsapp_rust::{Client, TokioRuntime};

use crate::http::PlainHttp;

/// Everything here happens within milliseconds; this is for a machine under load.
pub const DEADLINE: Duration = Duration::from_secs(30);
/// A release the client claims to be.
const VERSION: (u32, u32, u32) = (2, 3000, 1_045_368_834);

/// A simulator of its own for one test.
pub async fn simulator() -> Simulated {
    with_config(Config { seed: 7, ..Config::default() }).await
}

pub async fn with_config(config: Config) -> Simulated {
    let _ = env_logger::builder().is_test(true).try_init();
    Simulated { running: Host::in_process(Simulator::start(config).await.unwrap()) }
}

/// Where a simulator runs.
pub struct Host {
    pub address: SocketAddr,
    pub root_public_key: [u8; 32],
    /// None when it is a process of its own.
    here: Option<Running>,
}

impl Clone for Host {
    /// A handle that can't end it.
    fn clone(&self) -> Self {
        Self { here: None, ..*self }
    }
}

impl Host {
    fn in_process(running: Running) -> Self {
        Self { address: running.address, root_public_key: running.root_public_key, here: Some(running) }
    }

    pub fn elsewhere(address: SocketAddr) -> Self {
        Self { address, root_public_key: [0; 32], here: None }
    }

    pub fn chat_url(&self) -> String {
        format!("ws://{}/ws/chat", self.address)
    }
}

/// A running simulator and its control API.
pub struct Simulated {
    pub running: Host,
}

impl Simulated {
    /// Ends it, when it runs in this process.
    pub async fn shutdown(self) {
        self.running.here.unwrap().shutdown().await;
    }

    /// A request; the status and the body (null when there is none).
    pub async fn call(&self, method: &str, path: &str, body: Option<Value>) -> (u16, Value) {
        let body = body.map(|body| body.to_string()).unwrap_or_default();
        self.try_call(method, path, &body).await.unwrap()
    }

    /// The same for a simulator that may go away meanwhile.
    pub async fn try_call(&self, method: &str, path: &str, body: &str) -> Option<(u16, Value)> {
        let mut stream = TcpStream::connect(self.running.address).await.ok()?;
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: simulator\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(head.as_bytes()).await.ok()?;
        stream.write_all(body.as_bytes()).await.ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.ok()?;
        let (head, body) = answer.split_once("\r\n\r\n")?;
        let status = head.split(' ').nth(1)?.parse().ok()?;
        Some((status, serde_json::from_str(body).unwrap_or(Value::Null)))
    }

    pub async fn get(&self, path: &str) -> Value {
        let (status, body) = self.call("GET", path, None).await;
        assert_eq!(status, 200, "{path}: {body}");
        body
    }

    pub async fn post(&self, path: &str, body: Value) -> Value {
        let (status, answer) = self.call("POST", path, Some(body)).await;
        assert!(status < 300, "{path}: {status} {answer}");
        answer
    }

    pub async fn delete(&self, path: &str) {
        let (status, body) = self.call("DELETE", path, None).await;
        assert_eq!(status, 204, "{path}: {body}");
    }

    /// The same for one that has an answer.
    pub async fn delete_any(&self, path: &str) {
        let (status, body) = self.call("DELETE", path, None).await;
        assert!(status < 300, "{path}: {status} {body}");
    }

    pub async fn phone(&self, number: &str) -> Value {
        self.post("/phones", json!({ "phoneNumber": number, "pushName": format!("P {number}") })).await
    }

    pub async fn send(&self, from: &str, to: &str, text: &str) -> String {
        let sent = self.post(&format!("/phones/{from}/messages"), json!({ "to": to, "text": text })).await;
        sent["messageId"].as_str().unwrap().to_owned()
    }

    /// Lets a phone say something of any kind: the message id.
    pub async fn say(&self, from: &str, message: Value) -> String {
        let sent = self.post(&format!("/phones/{from}/messages"), message).await;
        sent["messageId"].as_str().unwrap().to_owned()
    }

    pub async fn fault(&self, body: Value) -> String {
        self.post("/faults", body).await["id"].as_str().unwrap().to_owned()
    }

    /// The first message of a phone's inbox that is like this.
    pub async fn received(&self, number: &str, like: impl Fn(&Value) -> bool) -> Value {
        self.logged(number, "messages", like).await
    }

    pub async fn receipt(&self, number: &str, like: impl Fn(&Value) -> bool) -> Value {
        self.logged(number, "receipts", like).await
    }

    async fn logged(&self, number: &str, what: &str, like: impl Fn(&Value) -> bool) -> Value {
        let search = async {
            let mut after = 0;
            loop {
                let log = self.get(&format!("/phones/{number}/{what}?after={after}&wait=5")).await;
                for entry in log[what].as_array().unwrap() {
                    after = entry["seq"].as_u64().unwrap();
                    if like(entry) {
                        return entry.clone();
                    }
                }
            }
        };
        tokio::time::timeout(DEADLINE, search)
            .await
            .unwrap_or_else(|_| panic!("no such entry in {what} of {number}"))
    }

    /// One device as `GET /devices` shows it.
    pub async fn device(&self, jid: &str) -> Option<Value> {
        let devices = self.get("/devices").await;
        devices["devices"].as_array().unwrap().iter().find(|device| device["jid"] == jid).cloned()
    }

    /// Waits until a device is like this.
    pub async fn until_device(&self, jid: &str, like: impl Fn(&Value) -> bool) -> Value {
        until("the device", async || self.device(jid).await.filter(|device| like(device))).await
    }
}

/// Asks again until there is something.
pub async fn until<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let search = async {
        loop {
            if let Some(found) = ask().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(DEADLINE, search).await.unwrap_or_else(|_| panic!("waited in vain for {what}"))
}

/// A companion: a whatsapp-rust client with its store in memory.
pub struct Companion {
    pub client: Arc<Client>,
    pub events: async_channel::Receiver<Arc<Event>>,
    backend: Arc<InMemoryBackend>,
    url: String,
    task: tokio::task::JoinHandle<()>,
    muted: Arc<AtomicBool>,
    /// Messages seen so far that no test has asked for.
    inbox: Mutex<Vec<Incoming>>,
}

impl Companion {
    /// Starts a client that has never been linked.
    pub async fn new(simulated: &Simulated) -> Self {
        Self::start(simulated.running.chat_url(), Arc::new(InMemoryBackend::new())).await
    }

    async fn start(url: String, backend: Arc<InMemoryBackend>) -> Self {
        let muted = Arc::new(AtomicBool::new(false));
        let persistence = PersistenceManager::new(backend.clone()).await.unwrap();
        let client = Client::builder()
            .with_runtime(TokioRuntime)
            .with_persistence_manager(Arc::new(persistence))
            .with_transport_factory(Plain { url: url.clone(), muted: muted.clone() })
            .with_http_client(PlainHttp)
            .with_version_override(VERSION)
            .with_wanted_pre_key_count(20)
            .build()
            .await
            .unwrap()
            .into_client();
        let (handler, events) = ChannelEventHandler::new();
        client.subscribe_handler(handler).detach();
        let running = client.clone();
        let task = tokio::spawn(async move { running.run().await });
        Self { client, events, backend, url, task, muted, inbox: Mutex::default() }
    }

    /// A second client with the same keys, as of now.
    pub async fn twin(&self) -> Self {
        Self::start(self.url.clone(), self.backend.clone()).await
    }

    /// From now on nothing it writes leaves the machine.
    pub fn mute(&self) {
        self.muted.store(true, Ordering::Release);
    }

    /// A linked and connected one, with its JID.
    pub async fn linked(simulated: &Simulated, number: &str) -> (Self, String) {
        let companion = Self::new(simulated).await;
        let qr = companion.qr().await;
        let scanned = simulated.post(&format!("/phones/{number}/scan"), json!({ "qr": qr })).await;
        companion.connected().await;
        (companion, scanned["deviceJid"].as_str().unwrap().to_owned())
    }

    /// The next event `pick` accepts.
    pub async fn event<T>(&self, what: &str, pick: impl Fn(&Event) -> Option<T>) -> T {
        let search = async {
            loop {
                let event = self.events.recv().await.unwrap();
                log::debug!("event: {:?}", event.kind());
                self.keep_messages(&event);
                if let Some(found) = pick(&event) {
                    return found;
                }
            }
        };
        tokio::time::timeout(DEADLINE, search).await.unwrap_or_else(|_| panic!("no {what}"))
    }

    pub async fn qr(&self) -> String {
        self.event("qr code", |event| match event {
            Event::PairingQrCode(qr) => Some(qr.code.clone()),
            _ => None,
        })
        .await
    }

    pub async fn connected(&self) {
        self.event("connection", |event| matches!(event, Event::Connected(_)).then_some(())).await;
    }

    pub async fn logged_out(&self) {
        self.event("logout", |event| matches!(event, Event::LoggedOut(_)).then_some(())).await;
    }

    pub async fn replaced(&self) {
        self.event("replacement", |event| matches!(event, Event::StreamReplaced(_)).then_some(())).await;
    }

    pub async fn read_receipt(&self, id: &str) {
        self.event("read receipt", |event| match event {
            Event::Receipt(receipt) if receipt.r#type == ReceiptType::Read => {
                receipt.message_ids.iter().any(|read| *read == id).then_some(())
            }
            _ => None,
        })
        .await;
    }

    /// True when neither a text, a message's ack nor a connection comes for so long.
    pub async fn quiet(&self, time: Duration) -> bool {
        let heard = async {
            loop {
                let event = self.events.recv().await.unwrap();
                self.keep_messages(&event);
                // What may still be on its way from before: acks of receipts, the phone's keys and history.
                let heard = match &*event {
                    Event::Connected(_) => true,
                    Event::Messages(batch) => {
                        batch.messages.iter().any(|inbound| inbound.message.conversation.is_some())
                    }
                    Event::ServerAck(ack) => ack.class.as_deref() == Some("message"),
                    _ => false,
                };
                if heard {
                    log::warn!("not quiet: {event:?}");
                    return;
                }
            }
        };
        tokio::time::timeout(time, heard).await.is_err()
    }

    /// The next message with this text: its id, its sender, and whether it is our own account's.
    pub async fn text(&self, text: &str) -> Incoming {
        self.message(&format!("message {text:?}"), |incoming| incoming.text().as_deref() == Some(text)).await
    }

    /// The next message that is like this.
    pub async fn message(&self, what: &str, like: impl Fn(&Incoming) -> bool) -> Incoming {
        if let Some(kept) = self.take_kept(&like) {
            return kept;
        }
        // Every event passes through the inbox, so a batch of several loses none.
        self.event(what, |_| self.take_kept(&like)).await
    }

    fn keep_messages(&self, event: &Event) {
        let Event::Messages(batch) = event else { return };
        let mut inbox = self.inbox.lock().unwrap();
        for inbound in &*batch.messages {
            let source = &inbound.info.source;
            inbox.push(Incoming {
                id: inbound.info.id.clone(),
                chat: source.chat.clone(),
                sender: source.sender.clone(),
                from_me: source.is_from_me,
                message: inbound.message.clone(),
            });
        }
    }

    /// Texts that have come and that no test has asked for.
    pub fn unasked(&self) -> Vec<String> {
        self.inbox.lock().unwrap().iter().filter_map(Incoming::text).collect()
    }

    fn take_kept(&self, like: impl Fn(&Incoming) -> bool) -> Option<Incoming> {
        let mut inbox = self.inbox.lock().unwrap();
        let found = inbox.iter().position(like)?;
        Some(inbox.remove(found))
    }

    /// Waits until it is through with the contacts: whatsapp-rust tells their names before it is, and what it hears of
    /// a newer version meanwhile it forgets.
    pub async fn has_read_contacts(&self) {
        let task = MajorSyncTask::AppStateSync { name: WAPatchName::CriticalUnblockLow, full_sync: false };
        self.client.process_sync_task(task).await;
    }

    /// The server's word on a message.
    pub async fn ack(&self, id: &str) -> ServerAck {
        self.event("ack", |event| match event {
            Event::ServerAck(ack) if ack.class.as_deref() == Some("message") && ack.id == id => {
                Some(ack.clone())
            }
            _ => None,
        })
        .await
    }

    pub async fn send(&self, to: &str, text: &str) -> String {
        let to: Jid = format!("{to}@s.whatsapp.net").parse().unwrap();
        let sent = tokio::time::timeout(DEADLINE, self.client.send_text(to, text)).await;
        sent.expect("send hangs").unwrap().message_id.clone()
    }

    /// The id of the next message ack.
    pub async fn any_ack(&self) -> String {
        self.event("ack", |event| match event {
            Event::ServerAck(ack) if ack.class.as_deref() == Some("message") => Some(ack.id.clone()),
            _ => None,
        })
        .await
    }

    /// Sends under an id of our own.
    pub async fn send_as(&self, to: &str, text: &str, id: &str) -> String {
        let to: Jid = format!("{to}@s.whatsapp.net").parse().unwrap();
        let message = Message { conversation: Some(text.to_owned()), ..Message::default() };
        let mut options = SendOptions::default();
        options.message_id = Some(id.to_owned());
        self.client.send_message_with_options(to, message, options).await.unwrap().message_id.clone()
    }

    /// Goes away without a word, keeping its store.
    pub async fn stop(self) -> Stopped {
        self.client.disconnect().await;
        // The supervision loop ends by itself once disconnected.
        let _ = tokio::time::timeout(DEADLINE, self.task).await;
        Stopped { backend: self.backend, url: self.url }
    }
}

/// A client that isn't running.
pub struct Stopped {
    backend: Arc<InMemoryBackend>,
    url: String,
}

impl Stopped {
    /// Loses its Noise key and takes a new one.
    pub async fn with_another_noise_key(self) -> Self {
        let mut device = self.backend.load().await.unwrap().unwrap();
        device.noise_key = KeyPair::generate(&mut rand::make_rng::<rand::rngs::StdRng>());
        device.server_cert_chain = None;
        self.backend.save(&device).await.unwrap();
        self
    }

    pub async fn start(self) -> Companion {
        Companion::start(self.url, self.backend).await
    }
}

/// What a companion received.
#[derive(Debug)]
pub struct Incoming {
    pub id: String,
    pub chat: Jid,
    pub sender: Jid,
    pub from_me: bool,
    pub message: Arc<Message>,
}

impl Incoming {
    /// Absent when it is no text.
    pub fn text(&self) -> Option<String> {
        let extended = self.message.extended_text_message.as_option().and_then(|e| e.text.clone());
        self.message.conversation.clone().or(extended)
    }
}

struct Plain {
    url: String,
    muted: Arc<AtomicBool>,
}

struct PlainSocket {
    frames: async_channel::Sender<Frame>,
    muted: Arc<AtomicBool>,
}

#[async_trait::async_trait]
impl TransportFactory for Plain {
    async fn create_transport(
        &self,
    ) -> anyhow::Result<(Arc<dyn Transport>, async_channel::Receiver<TransportEvent>)> {
        let (socket, _) = tokio_tungstenite::connect_async(&self.url).await?;
        let (mut sink, mut stream) = socket.split();
        let (frames, to_send) = async_channel::unbounded::<Frame>();
        let (sender, events) = async_channel::unbounded();
        let _ = sender.send(TransportEvent::Connected).await;
        tokio::spawn(async move {
            while let Ok(frame) = to_send.recv().await {
                let last = matches!(frame, Frame::Close(_));
                if sink.send(frame).await.is_err() || last {
                    break;
                }
            }
        });
        tokio::spawn(async move {
            let reason = loop {
                match stream.next().await {
                    Some(Ok(Frame::Binary(data))) => {
                        let _ = sender.send(TransportEvent::DataReceived(data)).await;
                    }
                    Some(Ok(Frame::Close(frame))) => {
                        break DisconnectReason::ServerClose {
                            code: frame.as_ref().map(|frame| frame.code.into()),
                            reason: String::new(),
                        };
                    }
                    Some(Ok(_)) => {}
                    Some(Err(error)) => break DisconnectReason::ReadError(error.to_string()),
                    None => break DisconnectReason::StreamEnded,
                }
            };
            let _ = sender.send(TransportEvent::Disconnected(reason)).await;
        });
        Ok((Arc::new(PlainSocket { frames, muted: self.muted.clone() }), events))
    }
}

#[async_trait::async_trait]
impl Transport for PlainSocket {
    async fn send(&self, data: bytes::Bytes) -> anyhow::Result<()> {
        if !self.muted.load(Ordering::Acquire) {
            self.frames.send(Frame::Binary(data)).await?;
        }
        Ok(())
    }

    async fn disconnect(&self) {
        let _ = self.frames.send(Frame::Close(None)).await;
        self.frames.close();
    }
}
