//! One connection of the number: a client of the protocol library, from its first frame to its last.
//!
//! The library's own reconnecting is switched off: one `run()` is one connection is one epoch, and what comes
//! next is the lifecycle's decision, not the library's.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures::channel::oneshot;
use futures::future::{Either, select};
use gateway_domain::lifecycle::{Cause, Happening};
use gateway_domain::whatsapp_version::Version;
use whatsapp_rust::store::commands::DeviceCommand;
use whatsapp_rust::store::persistence_manager::PersistenceManager;
use whatsapp_rust::types::events::{ConnectFailureReason, Event, EventHandler, ServerAck};
use whatsapp_rust::wacore::iq::devices::RemoveCompanionDeviceSpec;
use whatsapp_rust::wacore::iq::keepalive::KeepaliveSpec;
use whatsapp_rust::wacore::net::WHATSAPP_WEB_WS_URL;
use whatsapp_rust::wacore::store::device::DevicePropsOverride;
use whatsapp_rust::waproto::whatsapp::device_props::PlatformType;
use whatsapp_rust::{Client, RawNodeLease, anyhow};
use worker::Delay;

use crate::guard::Watch;
use crate::http_client::FetchHttp;
use crate::keystore::{self, Keystore};
use crate::room::Room;
use crate::runtime::ObjectRuntime;
use crate::transport::{Dialer, Line};
use crate::{clock, protocol_log, sending, telling};

/// No stanza for this long and the connection is dead, whatever the socket says.
const SILENCE_MS: u64 = 40_000;
/// After this much silence we ask. The library does too, but it looks every 15 to 30 s and lets a turn pass in which
/// something was heard, so it may be 45 s before it asks.
const ASKED_AFTER_MS: u64 = 27_000;
/// How long WhatsApp may take to answer that.
const PING_TIMEOUT: Duration = Duration::from_secs(12);
/// A frame of which nothing was decoded for this long will not be.
const DECODING_MS: u64 = 5_000;
/// From the first frame to ready; app-state sync and the offline queue included.
const LOGIN_MS: u64 = 60_000;
/// How long a connection that was told to end may take to flush.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(12);
/// Six QR codes, the first for a minute, the others for 20 s.
const CODES_MS: u64 = 160_000;
/// How long WhatsApp may take to confirm an unlink.
const UNLINK_TIMEOUT: Duration = Duration::from_secs(10);
/// WhatsApp tells that the number may start no new chats, or may again.
const TIMELOCK_UPDATE: &str = "NotificationUserReachoutTimelockUpdate";
/// One-time keys made at pairing. The official client makes 812, a second of everybody's CPU in one isolate;
/// the server asks for more when they run low.
const ONE_TIME_KEYS: usize = 100;

/// The server's answer to a message of ours.
pub struct Ack {
    /// The refusal, as WhatsApp's number.
    pub error: Option<String>,
}

/// See the module.
pub struct Connection {
    /// Which connection of the session this is.
    pub epoch: u64,
    /// The library's client.
    pub client: Arc<Client>,
    /// The socket, as we see it.
    pub line: Rc<Line>,
    /// The fence when it began.
    height: u64,
    opened_at: u64,
    /// When it began to log in: at once, or with the end of a pairing.
    login_began: Cell<Option<u64>>,
    heard_at: Cell<u64>,
    ready: Cell<bool>,
    cut_at: Cell<Option<u64>>,
    /// Whether the pairing code that is out is registered on it, or about to be.
    pub has_code: Cell<bool>,
    /// Whether all its QR codes were shown.
    pub is_out_of_codes: Cell<bool>,
    /// When its first QR code was shown.
    first_code_at: Cell<Option<u64>>,
    cause: RefCell<Option<Cause>>,
    loss: RefCell<Option<Cause>>,
    acks: RefCell<HashMap<String, oneshot::Sender<Ack>>>,
    _every_stanza: RawNodeLease,
}

impl Connection {
    /// Builds the client over the stored keys; nothing is sent yet.
    pub async fn open(room: &Rc<Room>, epoch: u64, version: Version) -> anyhow::Result<Rc<Self>> {
        clock::install();
        protocol_log::install();
        let keystore =
            Keystore::open(room.keystore_sql()).map_err(|error| anyhow::Error::msg(error.to_string()))?;
        let persistence = Arc::new(PersistenceManager::new(Arc::new(keystore)).await?);
        let line = Rc::new(Line::default());
        let dialer = Dialer {
            address: room.whatsapp_address(),
            line: Rc::clone(&line),
            watch: Watch::new(room.state()),
        };
        let builder = Client::builder()
            .with_runtime(ObjectRuntime)
            .with_persistence_manager(persistence)
            .with_transport_factory(dialer)
            .with_http_client(FetchHttp)
            .with_cache_config(keystore::retention())
            .with_skip_history_sync(true)
            .with_wanted_pre_key_count(ONE_TIME_KEYS)
            .with_background_saver_interval(Duration::from_secs(1))
            .with_version_override(version.parts());
        let client = builder.build().await?.into_client();
        if client.persistence_manager().get_device_snapshot().pn.is_none() {
            client.persistence_manager().process_command(DeviceCommand::SetDeviceProps(device_props())).await;
        }
        client.enable_auto_reconnect.store(false, Ordering::Relaxed);
        let every_stanza = client.acquire_raw_node_forwarding();
        let connection = Rc::new(Self {
            epoch,
            client,
            line,
            height: room.fence.height(),
            opened_at: clock::now(),
            login_began: Cell::new(None),
            heard_at: Cell::new(clock::now()),
            ready: Cell::new(false),
            cut_at: Cell::new(None),
            has_code: Cell::new(false),
            is_out_of_codes: Cell::new(false),
            first_code_at: Cell::new(None),
            cause: RefCell::default(),
            loss: RefCell::default(),
            acks: RefCell::default(),
            _every_stanza: every_stanza,
        });
        let listener = Listener { room: Rc::downgrade(room), connection: Rc::downgrade(&connection) };
        #[allow(clippy::arc_with_non_send_sync, reason = "the library asks for an Arc; there is one thread")]
        connection.client.subscribe_handler(Arc::new(listener)).detach();
        wasm_bindgen_futures::spawn_local(Self::watch_decoding(Rc::downgrade(&connection)));
        wasm_bindgen_futures::spawn_local(Self::watch_silence(Rc::downgrade(&connection)));
        Ok(connection)
    }

    /// Whether a device is linked, as the keys say.
    pub fn identity(&self) -> Option<(String, Option<String>)> {
        let device = self.client.persistence_manager().get_device_snapshot();
        let phone = device.pn.as_ref()?.to_string();
        Some((phone, device.lid.as_ref().map(whatsapp_rust::Jid::to_non_ad_string)))
    }

    /// Connects, and returns when the connection is over, with why.
    pub async fn run(&self) -> Cause {
        self.client.run().await;
        // Asked for in the very poll in which run() returned, see protocol_log.
        let failure = protocol_log::take_connect_failure();
        // First the closing: a stanza that says why may still be on its way through the library when the socket that
        // brought it has closed.
        self.close().await;
        let cause = self.cause.take().or_else(|| self.loss.take());
        cause.unwrap_or_else(|| self.conclude(failure))
    }

    fn conclude(&self, failure: Option<String>) -> Cause {
        match (failure, self.line.failure()) {
            // It left by itself and said nothing: its keepalive found the socket dead.
            (None, _) => Cause::Stalled,
            (Some(_), Some(broken)) if self.line.frames() == 0 => Cause::Network(broken),
            (Some(reason), _) if !self.line.was_opened() => Cause::Network(reason),
            (Some(reason), _) => Cause::HandshakeFailed(reason),
        }
    }

    /// Ends it in good order: flushes keys and acks, closes the socket.
    pub async fn close(&self) {
        // Who waits for an answer on it waits for the next one's instead.
        self.acks.borrow_mut().clear();
        if self.cut_at.get().is_none() {
            self.cut_at.set(Some(clock::now()));
        }
        let disconnected = std::pin::pin!(self.client.disconnect());
        if let Either::Right(_) = select(disconnected, Delay::from(CLOSE_TIMEOUT)).await {
            worker::console_warn!("a connection did not close in time and was dropped");
        }
        self.line.cut("closed");
    }

    /// Ends it as a network loss would, for a reason of ours.
    pub fn cut(&self, cause: Cause) {
        self.blame(cause);
        if self.cut_at.get().is_none() {
            self.acks.borrow_mut().clear();
            self.cut_at.set(Some(clock::now()));
            self.line.cut("cut");
        }
    }

    /// Whether it was neither told to end nor has lost its socket.
    pub fn is_alive(&self) -> bool {
        self.cut_at.get().is_none() && self.client.is_connected()
    }

    /// When the last of its QR codes is over, and with it the connection.
    pub fn codes_end_at(&self) -> u64 {
        self.first_code_at.get().unwrap_or(self.opened_at) + CODES_MS
    }

    /// The first reason given is the reason.
    fn blame(&self, cause: Cause) {
        self.cause.borrow_mut().get_or_insert(cause);
    }

    /// Cuts the connection when frames come and nothing can be made of them.
    async fn watch_decoding(connection: Weak<Self>) {
        loop {
            let listener = match connection.upgrade() {
                Some(connection) if connection.cut_at.get().is_none() => connection.line.listen(),
                _ => return,
            };
            if connection.upgrade().is_some_and(|connection| connection.line.undecoded_since().is_none()) {
                listener.await;
            }
            Delay::from(Duration::from_millis(DECODING_MS)).await;
            let Some(connection) = connection.upgrade() else { return };
            let waiting = connection.line.undecoded_since();
            if waiting.is_some_and(|since| clock::now().saturating_sub(since) >= DECODING_MS) {
                connection.cut(Cause::Undecodable);
            }
        }
    }

    /// Cuts the connection when it has been silent for too long, to the second: a tick may come 15 s later, and the
    /// closing takes its time too.
    async fn watch_silence(connection: Weak<Self>) {
        let mut asked_since = 0;
        loop {
            let left = match connection.upgrade() {
                Some(connection) if connection.cut_at.get().is_none() => {
                    let heard_at = connection.heard_at.get();
                    let silent_for = clock::now().saturating_sub(heard_at);
                    if silent_for >= SILENCE_MS {
                        return connection.cut(Cause::Stalled);
                    }
                    if silent_for < ASKED_AFTER_MS {
                        ASKED_AFTER_MS - silent_for
                    } else {
                        if asked_since != heard_at {
                            asked_since = heard_at;
                            wasm_bindgen_futures::spawn_local(Self::ping(connection));
                        }
                        SILENCE_MS - silent_for
                    }
                }
                _ => return,
            };
            Delay::from(Duration::from_millis(left)).await;
        }
    }

    /// Whatever the answer is, it is heard as every stanza is.
    async fn ping(connection: Rc<Self>) {
        let _answer = connection.client.execute(KeepaliveSpec::with_timeout(PING_TIMEOUT)).await;
    }

    /// Looks after the connection: `true` when it hangs and must be given up.
    pub fn is_beyond_hope(&self, now: u64) -> bool {
        if let Some(cut_at) = self.cut_at.get() {
            return now.saturating_sub(cut_at)
                > u64::try_from(CLOSE_TIMEOUT.as_millis()).unwrap_or(0) + 5_000;
        }
        let silent_for = now.saturating_sub(self.heard_at.get());
        // A QR code may have been on show for minutes before there was anybody to log in.
        if self.login_began.get().is_none() && self.identity().is_some() {
            self.login_began.set(Some(now));
        }
        let logging_in_for =
            self.login_began.get().filter(|_| !self.ready.get()).map_or(0, |since| now.saturating_sub(since));
        if silent_for > SILENCE_MS || logging_in_for > LOGIN_MS {
            self.cut(Cause::Stalled);
        }
        false
    }

    /// Waits for the server's answer to a message about to be sent.
    pub fn expect_ack(&self, message_id: &str) -> oneshot::Receiver<Ack> {
        let (sender, receiver) = oneshot::channel();
        self.acks.borrow_mut().insert(message_id.to_owned(), sender);
        receiver
    }

    /// Somebody has the message: so does WhatsApp's server, whatever became of its answer.
    pub fn has_arrived(&self, message_id: &str) {
        let waiter = self.acks.borrow_mut().remove(message_id);
        let _nobody_waits = waiter.map(|waiter| waiter.send(Ack { error: None }));
    }

    /// Nobody waits for this answer any more.
    pub fn forget_ack(&self, message_id: &str) {
        self.acks.borrow_mut().remove(message_id);
    }

    /// Unlinks the device on WhatsApp.
    ///
    /// # Errors
    /// When WhatsApp did not confirm.
    pub async fn unlink(&self) -> Result<(), String> {
        let device = self.client.persistence_manager().get_device_snapshot();
        let jid = device.pn.clone().ok_or("no device is linked")?;
        let asked = std::pin::pin!(self.client.execute(RemoveCompanionDeviceSpec::new(&jid)));
        match select(asked, Delay::from(UNLINK_TIMEOUT)).await {
            Either::Left((answer, _)) => answer.map_err(|error| error.to_string()),
            Either::Right(_) => Err("no answer in time".to_owned()),
        }
    }
}

/// What the phone lists among its linked devices. The names are ones WhatsApp knows: it refuses pairing codes to others.
fn device_props() -> DevicePropsOverride {
    DevicePropsOverride::new().with_os("Linux").with_platform_type(PlatformType::CHROME)
}

/// The address of WhatsApp in production: fixed, so that no configuration can lead elsewhere (rule 8).
pub fn production_address() -> String {
    WHATSAPP_WEB_WS_URL.replacen("wss://", "https://", 1)
}

struct Listener {
    room: Weak<Room>,
    connection: Weak<Connection>,
}

impl EventHandler for Listener {
    fn handle_event(&self, event: Arc<Event>) {
        let (Some(room), Some(connection)) = (self.room.upgrade(), self.connection.upgrade()) else { return };
        // A connection that is being closed hands out what it has decrypted after it has acked it, also when the next
        // one is decided on already: it may write until that one begins.
        let is_content = matches!(*event, Event::Messages(_) | Event::Receipt(_) | Event::ServerAck(_))
            || telling::is_delivered_once(&event);
        let may_write = room.epoch() != 0 && room.fence.height() == connection.height;
        if room.epoch() == connection.epoch || (is_content && may_write) {
            hear(&room, &connection, &event);
        }
    }
}

/// What an event of the library means for the session.
fn hear(room: &Rc<Room>, connection: &Rc<Connection>, event: &Event) {
    match event {
        Event::RawNode(stanza) => {
            connection.heard_at.set(clock::now());
            connection.line.decoded();
            let stanza = stanza.get();
            if stanza.tag == "stream:error"
                && let Some(code) = stanza.get_attr("code")
            {
                stream_error(connection, &code.as_str());
            }
        }
        // Messages and receipts are heard to the last, also of a connection that is being closed: they are acked.
        // News of its state is nobody's any more.
        Event::PairingQrCode(_)
        | Event::PairingCodeRefresh(_)
        | Event::PairingCodeError(_)
        | Event::PairingQrCodesExhausted(_)
        | Event::PairPasskeyRequest(_)
        | Event::PairPasskeyConfirmation(_)
        | Event::PairPasskeyError(_)
        | Event::PairSuccess(_)
        | Event::Connected(_)
            if !room.is_current(connection) => {}
        Event::PairingQrCode(qr) => {
            connection.first_code_at.set(connection.first_code_at.get().or_else(|| Some(clock::now())));
            room.qr_shown(&qr.code, qr.timeout);
            room.register_again(connection);
        }
        Event::PairingCodeRefresh(_) | Event::PairingCodeError(_) => room.pairing_code_refused(connection),
        Event::PairPasskeyRequest(asked) => room.passkey_asked(connection, &asked.request_options_json),
        Event::PairPasskeyConfirmation(asked) => {
            room.passkey_to_confirm(connection, &asked.code, asked.skip_handoff_ux);
        }
        Event::PairPasskeyError(failed) => room.passkey_failed(&failed.error),
        Event::PairSuccess(pair) => room.paired(connection, pair),
        Event::Connected(_) => {
            connection.ready.set(true);
            room.happen(Happening::Connected);
            sending::resume(room, true);
        }
        Event::Messages(batch) => {
            for inbound in batch.messages.iter() {
                room.message_in(connection, inbound);
            }
        }
        Event::Receipt(receipt) => room.receipt_in(connection, receipt),
        Event::ContactUpdate(update) => {
            room.contact_told(connection, update);
            room.news_in(connection, event);
        }
        Event::ServerAck(ack) if ack.class.as_deref() == Some("message") => server_ack(room, connection, ack),
        Event::PairingQrCodesExhausted(exhausted) => {
            connection.is_out_of_codes.set(true);
            // The library leaves the connection to a pairing code that is out; its end is the connection's.
            if exhausted.disconnected {
                // The owner was at the passkey, and is asked again on the next connection.
                if room.passkey.borrow().is_some() {
                    connection.blame(Cause::PairingFailed("the passkey came too late".to_owned()));
                }
                connection.blame(Cause::QrExpired);
            }
        }
        Event::StreamReplaced(_) => connection.blame(Cause::Replaced),
        Event::LoggedOut(out) => connection.blame(match out.reason {
            ConnectFailureReason::AccountLocked | ConnectFailureReason::UnknownLogout => Cause::AccountLocked,
            _ => Cause::DeviceRemoved,
        }),
        Event::TemporaryBan(ban) => {
            // A foreign number: a year is as good as for ever, and a date the alarm can take.
            let lasts = u64::try_from(ban.expire.num_milliseconds()).ok().map(|ms| ms.min(31_536_000_000));
            connection
                .blame(Cause::TemporaryBan { expires_at: lasts.map(|ms| clock::now().saturating_add(ms)) });
        }
        Event::ClientOutdated(_) => connection.blame(Cause::ClientOutdated),
        Event::ConnectFailure(failure) => connection.blame(match failure.reason {
            ConnectFailureReason::InternalServerError
            | ConnectFailureReason::Experimental
            | ConnectFailureReason::ServiceUnavailable
            | ConnectFailureReason::Unknown(500..=599) => Cause::ServerError(format!("{:?}", failure.reason)),
            ConnectFailureReason::Unknown(408 | 428) => Cause::Network(format!("{:?}", failure.reason)),
            ConnectFailureReason::Unknown(429) => Cause::RateLimited,
            ConnectFailureReason::TempBanned => Cause::TemporaryBan { expires_at: None },
            _ => Cause::Refused(format!("{:?}", failure.reason)),
        }),
        Event::MexNotification(told) if told.op_name == TIMELOCK_UPDATE => {
            let timelock = told.payload.pointer("/data/xwa2_notify_account_reachout_timelock");
            let field = |name: &str| timelock.and_then(|timelock| timelock.get(name));
            let ends = field("time_enforcement_ends").and_then(serde_json::Value::as_str);
            let ends = ends.and_then(|ends| ends.parse::<u64>().ok());
            let is_active = field("is_active").and_then(serde_json::Value::as_bool) == Some(true);
            let until = ends.filter(|_| is_active).map(|ends| ends.saturating_mul(1_000));
            room.happen(Happening::ReachoutTimelock(until));
        }
        // Less than any reason WhatsApp gave, in whatever order the two are heard.
        Event::Disconnected(lost) => {
            connection.loss.borrow_mut().get_or_insert(Cause::Network(lost.reason.to_string()));
        }
        _ => room.news_in(connection, event),
    }
}

/// WhatsApp's server has answered a message of ours.
fn server_ack(room: &Rc<Room>, connection: &Connection, ack: &ServerAck) {
    let waiter = connection.acks.borrow_mut().remove(&ack.id);
    match (&ack.error, waiter) {
        (None, waiter) => {
            let timestamp = ack.timestamp.and_then(|at| u64::try_from(at.timestamp_millis()).ok());
            let ids = std::slice::from_ref(&ack.id);
            room.came(ids, "sent", timestamp.unwrap_or_else(clock::now), None);
            let _nobody_waits = waiter.map(|waiter| waiter.send(Ack { error: None }));
        }
        // Who waits knows more to say of it.
        (Some(code), Some(waiter)) => {
            let _nobody_waits = waiter.send(Ack { error: Some(code.clone()) });
        }
        (Some(code), None) => room.refused(&ack.id, code),
    }
}

/// The stream errors the library makes no event of. It leaves the sockets of 429 and 5xx open, and nothing good comes
/// from them any more.
fn stream_error(connection: &Connection, code: &str) {
    match code {
        "515" => connection.blame(Cause::RestartRequired),
        "429" => connection.cut(Cause::RateLimited),
        // Also as a <conflict>, which the library knows.
        "440" => connection.cut(Cause::Replaced),
        "516" => {}
        code if code.starts_with('5') => connection.cut(Cause::ServerError(format!("stream error {code}"))),
        _ => {}
    }
}
