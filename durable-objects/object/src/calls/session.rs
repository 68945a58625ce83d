//! The object's whole interface: one POST with a [`Request`], answered by 200 with the call's answer as JSON, or
//! by an [`ApiError`](gateway_domain::error::ApiError) with its status. [`Call::Stream`] answers 200 with an SSE
//! body.

use gateway_domain::event::Envelope;
use gateway_domain::lifecycle::{Status, StatusReason};
use gateway_domain::linking::PasskeyAnswer;
use gateway_domain::message::Task;
use gateway_domain::stream::Format;
use serde::{Deserialize, Serialize};

use super::reader::Socket;

/// A call, with whose session it is for: the object checks that it is its own.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Request {
    /// The organization the Worker found the session under.
    pub organization: String,
    /// The session's ULID, also the object's name.
    pub session: String,
    /// The owner's settings, as the directory has them; `None` from another object, which does not know them and never
    /// makes a session known.
    pub settings: Option<Settings>,
    /// When the owner asked for this, epoch milliseconds, where it is what the directory notes as their wish.
    #[serde(default)]
    pub wish: Option<u64>,
    /// What to do.
    pub call: Call,
}

/// What the owner decided about the session.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// Send a read receipt for each inbound message.
    pub auto_read: bool,
    /// Show "typing" around a text.
    pub presence_typing: bool,
    /// Where its object lives.
    #[serde(default)]
    pub region: Option<String>,
    /// The most sends in a minute; 0 is any number.
    #[serde(default)]
    pub rate_per_min: u32,
    /// The most sends in an hour; 0 is any number.
    #[serde(default)]
    pub rate_per_hour: u32,
}

/// What the object can be asked.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Call {
    /// Connect; answers [`Snapshot`].
    Start,
    /// Disconnect and keep the pairing; answers [`Snapshot`].
    Stop,
    /// Stop, then start; answers [`Snapshot`].
    Restart,
    /// Unlink on WhatsApp; answers [`Snapshot`], or 503 when WhatsApp did not confirm.
    Logout,
    /// Unlink if it can, then erase everything; answers `null`.
    Delete,
    /// What is observed; answers [`Snapshot`].
    Observe,
    /// Connect again if it should be, and write what is observed to the directory, which has heard nothing for long;
    /// answers [`Snapshot`].
    Report,
    /// The current QR code; answers [`Qr`](gateway_domain::session::Qr), or 404 and pairing starts.
    Qr,
    /// A pairing code for a number; answers [`PairingCodeOutputBody`](gateway_domain::linking::PairingCodeOutputBody).
    PairingCode {
        /// The number, digits only.
        phone: String,
    },
    /// The passkey WhatsApp asks for; answers [`PasskeyChallenge`](gateway_domain::linking::PasskeyChallenge), or 404.
    Passkey,
    /// The owner's answer to it; answers as [`Call::Passkey`].
    AnswerPasskey(PasskeyAnswer),
    /// A page of the timeline; answers [`Timeline`](gateway_domain::timeline::Timeline).
    Timeline {
        /// The stretch to go on before; `None` begins at the newest.
        before: Option<u64>,
        /// How many at most.
        limit: u32,
    },
    /// Pull contacts and groups again; answers [`BackfillJob`](gateway_domain::backfill::BackfillJob), or 409 while that
    /// is being done.
    StartBackfill,
    /// The newest backfill; answers [`BackfillJob`](gateway_domain::backfill::BackfillJob), or 404 when there was none.
    Backfill,
    /// A message; answers [`StoredMessage`](gateway_domain::stored_message::StoredMessage).
    Message {
        /// Its id on WhatsApp.
        id: String,
        /// The chat it is in; any when absent.
        chat: Option<String>,
    },
    /// A message's media; answers its bytes.
    Media {
        /// The message's id on WhatsApp.
        id: String,
        /// The chat it is in; any when absent.
        chat: Option<String>,
    },
    /// Send read receipts for what came in a chat; answers [`Chat`](gateway_domain::chat::Chat).
    ReadChat {
        /// Its JID.
        chat: String,
    },
    /// Send something; answers [`SendResult`](gateway_domain::message::SendResult), after the server's ack unless it is
    /// asynchronous. Files stand behind the request ([`framed`](crate::calls::framed)), or came before it in a lot.
    Send(Send),
    /// Keep a part of a file whose request is still being read, which stands behind this one; answers `null`.
    KeepPart {
        /// The lot of the request's files.
        lot: String,
        /// The file's number.
        file: usize,
        /// Which part of it.
        part: Part,
    },
    /// Nothing is sent with the files of a lot; answers `null`.
    RefuseLot {
        /// Which.
        lot: String,
    },
    /// What became of a send; answers [`OutboxEntry`](gateway_domain::message::OutboxEntry).
    Outbox {
        /// Its entry.
        id: String,
    },
    /// A page of the log; answers [`EventPage`].
    Events {
        /// The `seq` to go on after.
        after: u64,
        /// How many at most.
        limit: u32,
        /// How long to wait for the first one, in seconds.
        wait: u32,
        /// Which types; empty for all.
        types: Vec<String>,
    },
    /// The log as a live stream.
    Stream {
        /// The `seq` to go on after; `None` begins at the end.
        after: Option<u64>,
        /// Which types; empty for all.
        types: Vec<String>,
        /// How it is written.
        format: Format,
    },
    /// The log over a WebSocket: comes in the header [`SOCKET_HEADER`](crate::calls::SOCKET_HEADER) of an upgrade.
    Open(Socket),
    /// Somebody listens to the organization's ledger since this moment: it wants the events again; answers `null`.
    Forward {
        /// Epoch milliseconds.
        since: u64,
    },
    /// Panics in the object: how the tests see what a panic does to the neighbours. Simulator build only.
    #[cfg(feature = "simulator")]
    Panic,
    /// Loses alarm, socket and memory in silence, once this is answered. Simulator build only.
    #[cfg(feature = "simulator")]
    Vanish {
        /// Whether it is only evicted, and rings again.
        keeps_alarm: bool,
    },
    /// Stops sends at a point; none takes that back. Answers how many stand at the point that was asked for before.
    /// Simulator build only.
    #[cfg(feature = "simulator")]
    Hold(Option<HoldPoint>),
    /// Stops the object between two steps of an inbound message. Simulator build only.
    #[cfg(feature = "simulator")]
    Crash(CrashPoint),
}

/// A part of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// Its number; each but the last has [`PART_BYTES`](crate::calls::PART_BYTES).
    pub number: usize,
    /// Whether its lot begins with it.
    pub is_first: bool,
}

/// Something to send.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Send {
    /// The id of its outbox entry: the same whenever the same is asked again.
    pub entry: String,
    /// Whether nobody waits for it.
    pub is_async: bool,
    /// What it is.
    pub task: Task,
    /// Where its files are, when they came before it.
    pub lot: Option<String>,
}

/// Where a send stops and stays, for the tests that kill it there; in the simulator build.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HoldPoint {
    /// Before its entry is stored.
    Asked,
    /// Behind that.
    Stored,
    /// The first of its files is uploaded, and the bytes of its message are fixed.
    Uploaded,
    /// The bytes of all its messages are fixed.
    Fixed,
    /// It is about to go to the socket, and counted.
    Begun,
    /// It has left; its acknowledgement is not looked at.
    Left,
    /// It is acknowledged and stored; its caller has no answer.
    Acknowledged,
}

/// Where an inbound message's processing dies, for the durability tests.
#[cfg(feature = "simulator")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CrashPoint {
    /// Before the message is written.
    BeforeInsert,
    /// After it is written, before its ack can leave.
    AfterInsert,
    /// Nowhere: takes an earlier one back.
    None,
}

/// What the object observes of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// The status.
    pub status: Status,
    /// Why.
    pub reason: Option<StatusReason>,
    /// How many connections there have been.
    pub epoch: u64,
    /// The paired number.
    pub phone_number: Option<String>,
    /// The paired device.
    pub wa_jid: Option<String>,
    /// The paired account's hidden id.
    pub wa_lid: Option<String>,
    /// When it was last connected, epoch milliseconds.
    pub last_connected_at: Option<u64>,
    /// Whether credentials of a linked device are held.
    pub paired: bool,
}

/// A page of the log.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct EventPage {
    /// The events, oldest first.
    pub events: Vec<Envelope>,
    /// The `seq` to go on after.
    pub position: u64,
    /// Whether events between the position asked for and the first of these are not kept any more.
    pub gap: bool,
}
