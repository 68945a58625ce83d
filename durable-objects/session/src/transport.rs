//! The number's socket: an outbound WebSocket to WhatsApp.
//!
//! Opened by `fetch` with an upgrade, because the `WebSocket` constructor can't set `Origin`. Frames are asked
//! for as buffers: by default they would come as Blobs, which read as empty. The listeners are our own:
//! `worker`'s event stream panics when a frame comes after its reader is gone.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use event_listener::{Event as Wake, EventListener};
use js_sys::{ArrayBuffer, Uint8Array};
use wasm_bindgen::JsCast;
use wasm_bindgen::prelude::*;
use whatsapp_rust::anyhow::{Error, Result};
use whatsapp_rust::transport::{Transport, TransportEvent, TransportFactory};
use whatsapp_rust::wacore::net::{DisconnectReason, WHATSAPP_WEB_ORIGIN};
use worker::{Fetch, Headers, Method, Request, RequestInit, web_sys};

use crate::{clock, guard};

/// How many frames may wait for the client: it reads as fast as it can, so more means it has died.
const FRAMES_WAITING: usize = 4_096;

/// What the session sees of its socket without asking the client library.
#[derive(Default)]
pub struct Line {
    socket: RefCell<Option<Rc<Socket>>>,
    frames: Cell<u64>,
    opened: Cell<bool>,
    is_cut: Cell<bool>,
    came: Wake,
    in_step: Cell<bool>,
    undecoded_since: Cell<Option<u64>>,
    failure: RefCell<Option<String>>,
}

impl Line {
    /// Whether the socket was ever open.
    pub fn was_opened(&self) -> bool {
        self.opened.get()
    }

    /// How many frames came.
    pub fn frames(&self) -> u64 {
        self.frames.get()
    }

    fn frame_came(&self) {
        self.frames.set(self.frames.get() + 1);
        // Before the first stanza the frames are the handshake's.
        if self.in_step.get() && self.undecoded_since.get().is_none() {
            self.undecoded_since.set(Some(clock::now()));
            self.came.notify(usize::MAX);
        }
    }

    /// A stanza was decoded: the two ends are in step.
    pub fn decoded(&self) {
        self.in_step.set(true);
        self.undecoded_since.set(None);
    }

    /// When the oldest frame came of which nothing was decoded.
    pub fn undecoded_since(&self) -> Option<u64> {
        self.undecoded_since.get()
    }

    /// Wakes when a frame comes after all before were decoded, and when the line ends.
    pub fn listen(&self) -> EventListener {
        self.came.listen()
    }

    /// Why it could not be opened, or ended.
    pub fn failure(&self) -> Option<String> {
        self.failure.borrow().clone()
    }

    /// Cuts it, as a network would.
    pub fn cut(&self, reason: &str) {
        self.is_cut.set(true);
        self.came.notify(usize::MAX);
        let socket = self.socket.borrow_mut().take();
        if let Some(socket) = socket {
            socket.end(DisconnectReason::ReadError(reason.to_owned()));
        }
    }
}

/// Opens the socket for the client library.
pub struct Dialer {
    /// The `https://` (or `http://`) address to upgrade.
    pub address: String,
    /// What the session sees of it.
    pub line: Rc<Line>,
    /// Watches over the socket, see [`guard`].
    pub watch: guard::Watch,
}

#[async_trait::async_trait(?Send)]
impl TransportFactory for Dialer {
    #[allow(clippy::arc_with_non_send_sync, reason = "the trait asks for an Arc; there is one thread")]
    async fn create_transport(
        &self,
    ) -> Result<(Arc<dyn Transport>, async_channel::Receiver<TransportEvent>)> {
        match self.open().await {
            Ok((socket, events)) => Ok((Arc::new(Handle(socket)), events)),
            Err(error) => {
                let reason = error.to_string();
                let reason = reason.trim_start_matches("Error: ").trim_end_matches('.').to_owned();
                self.line.failure.replace(Some(reason.clone()));
                Err(Error::msg(reason))
            }
        }
    }
}

impl Dialer {
    async fn open(&self) -> worker::Result<(Rc<Socket>, async_channel::Receiver<TransportEvent>)> {
        let headers = Headers::new();
        headers.set("Upgrade", "websocket")?;
        headers.set("Origin", WHATSAPP_WEB_ORIGIN)?;
        let mut init = RequestInit::new();
        init.with_method(Method::Get).with_headers(headers);
        let response = Fetch::Request(Request::new_with_init(&self.address, &init)?).send().await?;
        let status = response.status_code();
        let socket = response
            .websocket()
            .ok_or_else(|| worker::Error::RustError(format!("the upgrade was answered with {status}")))?;
        let raw: web_sys::WebSocket = socket.as_ref().clone();
        if self.line.is_cut.get() {
            // Stopped while it was being opened.
            let _closed_already = raw.close_with_code(1000);
            return Err(worker::Error::RustError("given up while it was being opened".to_owned()));
        }
        raw.set_binary_type(web_sys::BinaryType::Arraybuffer);
        let (sender, events) = async_channel::bounded(FRAMES_WAITING);
        let socket = Socket::listen(raw, sender, &self.line, &self.watch)?;
        self.line.opened.set(true);
        self.line.socket.replace(Some(Rc::clone(&socket)));
        Ok((socket, events))
    }
}

struct Socket {
    raw: web_sys::WebSocket,
    events: async_channel::Sender<TransportEvent>,
    listeners: RefCell<Vec<(&'static str, Listener)>>,
    watched: RefCell<Option<guard::Watched>>,
}

type Listener = Closure<dyn FnMut(JsValue)>;

impl Socket {
    fn listen(
        raw: web_sys::WebSocket,
        events: async_channel::Sender<TransportEvent>,
        line: &Rc<Line>,
        watch: &guard::Watch,
    ) -> worker::Result<Rc<Self>> {
        let watched = RefCell::new(Some(watch.over(&raw)));
        let socket = Rc::new(Self { raw, events, listeners: RefCell::default(), watched });

        let weak = Rc::downgrade(&socket);
        let message_line = Rc::clone(line);
        socket.on("message", move |event| {
            let data = event.unchecked_into::<web_sys::MessageEvent>().data();
            let Some(buffer) = data.dyn_ref::<ArrayBuffer>() else { return };
            message_line.frame_came();
            let frame = Bytes::from(Uint8Array::new(buffer).to_vec());
            if let Some(socket) = weak.upgrade()
                && socket.events.try_send(TransportEvent::DataReceived(frame)).is_err()
            {
                socket.end(DisconnectReason::ReadError("frames were not read".to_owned()));
            }
        })?;

        let weak = Rc::downgrade(&socket);
        let close_line = Rc::clone(line);
        socket.on("close", move |event| {
            let event: web_sys::CloseEvent = event.unchecked_into();
            close_line.failure.replace(Some(format!("closed by WhatsApp with code {}", event.code())));
            if let Some(socket) = weak.upgrade() {
                socket
                    .end(DisconnectReason::ServerClose { code: Some(event.code()), reason: event.reason() });
            }
        })?;

        let weak = Rc::downgrade(&socket);
        let error_line = Rc::clone(line);
        socket.on("error", move |_| {
            error_line.failure.replace(Some("the socket broke".to_owned()));
            if let Some(socket) = weak.upgrade() {
                socket.end(DisconnectReason::ReadError("the socket broke".to_owned()));
            }
        })?;

        // Before the transport is handed out, or the first send throws.
        accept(&socket.raw)?;
        // Cannot be full: it was made above and nothing else has been sent.
        let _sent = socket.events.try_send(TransportEvent::Connected);
        Ok(socket)
    }

    fn on(&self, kind: &'static str, handler: impl FnMut(JsValue) + 'static) -> worker::Result<()> {
        let listener = Closure::wrap(Box::new(handler) as Box<dyn FnMut(JsValue)>);
        self.raw.add_event_listener_with_callback(kind, listener.as_ref().unchecked_ref())?;
        self.listeners.borrow_mut().push((kind, listener));
        Ok(())
    }

    /// Tells the client once, and closes. A peer that never answers the close costs nothing: nobody waits.
    fn end(&self, reason: DisconnectReason) {
        self.watched.borrow_mut().take();
        if !self.events.is_closed() {
            let _full = self.events.try_send(TransportEvent::Disconnected(reason));
            self.events.close();
        }
        let _closed_already = self.raw.close_with_code(1000);
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        for (kind, listener) in self.listeners.borrow().iter() {
            let _gone = self.raw.remove_event_listener_with_callback(kind, listener.as_ref().unchecked_ref());
        }
        let _closed_already = self.raw.close_with_code(1000);
    }
}

#[wasm_bindgen]
extern "C" {
    type ServerSocket;
    #[wasm_bindgen(method, catch)]
    fn accept(this: &ServerSocket) -> core::result::Result<(), JsValue>;
}

fn accept(socket: &web_sys::WebSocket) -> worker::Result<()> {
    Ok(socket.unchecked_ref::<ServerSocket>().accept()?)
}

struct Handle(Rc<Socket>);

#[async_trait::async_trait(?Send)]
impl Transport for Handle {
    async fn send(&self, data: Bytes) -> Result<()> {
        // Copied into JavaScript's memory: a view would be invalid once wasm memory grows.
        let frame = Uint8Array::from(data.as_ref());
        self.0
            .raw
            .send_with_array_buffer(&frame.buffer())
            .map_err(|error| Error::msg(format!("send: {error:?}")))
    }

    async fn disconnect(&self) {
        self.0.end(DisconnectReason::Unknown);
    }
}
