//! The kinds of faults there are.

use serde::{Deserialize, Serialize};

use crate::certificate::Forgery;

/// Where a stalled connection stops being answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// The HTTP upgrade gets no answer.
    Upgrade,
    /// The `ClientHello` gets no answer.
    Handshake,
    /// The login gets neither `<success>` nor `<failure>`.
    Login,
    /// Sockets that are logged in go silent; so does a login from now on.
    #[default]
    Now,
}

/// At which of its steps a pairing code is refused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CodeStage {
    /// The companion asks for a code to be accepted.
    #[default]
    CompanionHello,
    /// The code has been typed, and the companion answers.
    CompanionFinish,
}

/// Which way a file goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Transfer {
    Upload,
    Download,
}

/// What is wrong with a file that is downloaded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Damage {
    /// Its last byte, which is of its MAC.
    #[default]
    Mac,
    /// A byte in its middle.
    Middle,
    /// It lacks its last byte, and says that it is so long.
    Short,
    /// It has a byte more, and says so.
    Long,
    /// The connection is lost in its middle.
    Cut,
    /// Nothing comes after its middle.
    Stall,
}

/// What goes wrong.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case", rename_all_fields = "camelCase")]
pub enum Kind {
    /// The server closes the WebSocket; without a code it just drops the TCP connection.
    Close { code: Option<u16> },
    /// Everything is accepted and nothing answered.
    Stall {
        #[serde(default)]
        stage: Stage,
    },
    /// `<stream:error>` with a code or a conflict, then a close.
    StreamError { code: Option<u16>, conflict: Option<String> },
    /// The next login gets `<failure reason>`; a ban for a time says why and for how many seconds.
    Failure { reason: u16, code: Option<u16>, expire: Option<u64> },
    /// Message acks come late.
    AckDelay { ms: u64 },
    /// Whoever wrote a message hears nothing of what became of it.
    ReceiptDrop,
    /// What is asked in this namespace is answered late.
    AnswerDelay { ms: u64, xmlns: String },
    /// Message acks come twice.
    AckDuplicate,
    /// Two message acks change places.
    AckReorder,
    /// Messages are accepted and never acked; only those to this number or group, when one is named.
    AckDrop { to: Option<String> },
    /// Messages are refused with an error in the ack; only those to this number or group, when one is named.
    AckError { code: u16, to: Option<String> },
    /// A message never gets anywhere, and nobody is told.
    MessageLost,
    /// A transport frame nobody can decrypt.
    GarbageFrame,
    /// A frame that announces more bytes than follow.
    TruncatedFrame,
    /// Handshakes show a chain that must not be believed.
    WrongCertificate {
        #[serde(default = "default_forgery")]
        mode: Forgery,
    },
    /// TCP connections are dropped instead of answering the upgrade.
    ConnectionRefused,
    /// IK is refused by policy: `XXfallback` instead.
    IkRefused,
    /// Messages arrive with a broken ciphertext.
    CorruptCiphertext,
    /// Frames from the server are compressed.
    CompressedFrames,
    /// The server asks nothing of its own accord.
    NoPings,
    /// A media host answers this instead; without a status it hangs up.
    MediaError {
        status: Option<u16>,
        /// The number of the host; otherwise any.
        host: Option<usize>,
        /// Only uploads or only downloads.
        on: Option<Transfer>,
    },
    /// The media hosts take so long.
    MediaDelay { ms: u64, on: Option<Transfer> },
    /// The credentials for the media hosts are no longer good, which they say by this status.
    MediaAuthExpired {
        #[serde(default = "default_refusal")]
        status: u16,
    },
    /// An upload breaks off after so many bytes, which the host keeps.
    MediaCut { bytes: usize },
    /// A downloaded file isn't what was uploaded.
    MediaCorrupt {
        #[serde(default)]
        damage: Damage,
        /// Only this download of a file, counted from 1; otherwise each.
        download: Option<u32>,
    },
    /// The phone can't upload a file again: 1 for some reason, 2 it has none, 3 it can't read the request.
    MediaRetryError { code: u8 },
    /// A pairing code is refused.
    PairCodeError {
        code: u16,
        /// The seconds after which to try again.
        backoff: Option<u32>,
        #[serde(default)]
        stage: CodeStage,
    },
    /// Companions can't write to people their account has never had to do with, until this second.
    ReachoutTimelock {
        until: u64,
        #[serde(default = "default_enforcement")]
        enforcement_type: String,
    },
}

fn default_forgery() -> Forgery {
    Forgery::Root
}

fn default_refusal() -> u16 {
    401
}

fn default_enforcement() -> String {
    "DEFAULT".to_owned()
}

impl Kind {
    /// One-shot kinds happen once unless told otherwise; the others stand until they are cleared.
    pub(super) fn default_count(&self) -> Option<u32> {
        match self {
            Self::Close { .. }
            | Self::StreamError { .. }
            | Self::Failure { .. }
            | Self::GarbageFrame
            | Self::TruncatedFrame
            | Self::CorruptCiphertext
            | Self::MessageLost
            | Self::MediaAuthExpired { .. }
            | Self::MediaCut { .. }
            | Self::MediaRetryError { .. }
            | Self::PairCodeError { .. } => Some(1),
            _ => None,
        }
    }

    /// Kinds that hit a live socket at once.
    pub fn is_immediate(&self) -> bool {
        matches!(
            self,
            Self::Close { .. } | Self::StreamError { .. } | Self::GarbageFrame | Self::TruncatedFrame
        )
    }

    /// Kinds that hit one thing after the other, and so can let some pass.
    pub fn is_taken(&self) -> bool {
        !self.is_immediate() && !matches!(self, Self::Stall { .. } | Self::ReachoutTimelock { .. })
    }

    /// Kinds that strike before the server can know who is calling.
    pub fn precedes_identity(&self) -> bool {
        matches!(
            self,
            Self::ConnectionRefused
                | Self::WrongCertificate { .. }
                | Self::IkRefused
                | Self::Stall { stage: Stage::Upgrade | Stage::Handshake }
        )
    }
}
