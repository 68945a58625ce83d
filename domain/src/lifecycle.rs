//! The session's status machine: what happened goes in; status, reason and what to do come out.
//!
//! Pure: the session object feeds it and carries out its [`Effect`]s. One value of [`Lifecycle`] is one
//! session; it is stored whole before its effects are carried out, so a restart finds what was intended.
//! The policy per cause follows what other clients learned the hard way: credentials are destroyed only when
//! WhatsApp confirms the unlink (rule 2), a passing loss is retried for ever with full jitter, a replaced
//! session is retried once and never fights, and what retrying can't cure stops and says so.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The contract's status of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Connecting, or reconnecting after a passing loss.
    Starting,
    /// Waiting for a QR scan or a pairing code.
    ScanQrCode,
    /// Connected, can send and receive.
    Working,
    /// Ended by WhatsApp or by an error that retrying doesn't cure.
    Failed,
    /// Stopped on purpose, or never started.
    Stopped,
    /// Unlinked; needs a new pairing.
    LoggedOut,
}

impl Status {
    /// The status as the contract spells it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::ScanQrCode => "scan_qr_code",
            Self::Working => "working",
            Self::Failed => "failed",
            Self::Stopped => "stopped",
            Self::LoggedOut => "logged_out",
        }
    }

    /// Whether a socket is open or being opened, or will be by itself.
    #[must_use]
    pub const fn is_live(self) -> bool {
        matches!(self, Self::Starting | Self::ScanQrCode | Self::Working)
    }
}

/// Why a session has the status it has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct StatusReason {
    /// The cause, for programs: `network`, `handshake_failed`, `stalled`, `undecodable`, `server_error`, `rate_limited`,
    /// `restart_required`, `restarted`, `replaced`, `device_removed`, `temporary_ban`, `account_locked`,
    /// `client_outdated`, `refused`, `qr_expired`, `pairing_failed`, `pairing_code_refresh`, `passkey_required`,
    /// `passkey_failed`, `reachout_timelock`.
    pub code: String,
    /// The cause, for people.
    pub message: String,
    /// When the session tries again by itself, epoch milliseconds; null when it doesn't.
    pub retry_at: Option<u64>,
    /// When the restriction ends, epoch milliseconds; null when there is none.
    pub expires_at: Option<u64>,
    /// Whether somebody has to do something before it works again.
    pub action_required: bool,
}

/// Why a connection ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The socket could not be opened, or closed.
    Network(String),
    /// The Noise handshake did not complete: certificate, keys, or silence.
    HandshakeFailed(String),
    /// Open, but nothing came for too long.
    Stalled,
    /// Frames came that can't be decrypted or decoded: the two ends have lost step.
    Undecodable,
    /// `<stream:error code="5xx">` or `<failure reason="500|503">`.
    ServerError(String),
    /// `<stream:error code="429">`.
    RateLimited,
    /// `<stream:error code="515">`: WhatsApp asks for a new connection, at once.
    RestartRequired,
    /// The object lost its memory (deploy, eviction, crash); nothing is wrong with the number.
    Restarted,
    /// Another connection of the same device took over: 409, `<conflict type="replaced"/>`.
    Replaced,
    /// The device was unlinked: 401, 516, `<conflict type="device_removed"/>`.
    DeviceRemoved,
    /// `<failure reason="402">` with its end, epoch milliseconds.
    TemporaryBan {
        /// When the ban ends; `None` when WhatsApp did not say.
        expires_at: Option<u64>,
    },
    /// `<failure reason="403|406">`.
    AccountLocked,
    /// `<failure reason="405">`: the client version is too old.
    ClientOutdated,
    /// Any other `<failure>`.
    Refused(String),
    /// All QR codes were shown and none was scanned.
    QrExpired,
    /// The phone's answer to the pairing did not verify.
    PairingFailed(String),
}

/// Why an attempt to link failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkingFailure {
    /// WhatsApp asked for another pairing code, or the phone could not use this one.
    CodeRefused,
    /// The passkey's signature was refused, came too late, or its owner declined.
    Passkey,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Happening {
    /// `:start`, or `start: true` at creation.
    Start,
    /// `:stop`.
    Stop,
    /// A QR code is out.
    QrShown,
    /// A pairing code is out: what failed before it is over.
    CodeShown,
    /// WhatsApp wants a passkey's signature before it links the number; until when, if it said.
    PasskeyRequired {
        /// When the challenge ends, epoch milliseconds.
        expires_at: Option<u64>,
    },
    /// An attempt to link failed, and the connection stands: another attempt is possible.
    LinkingFailed(LinkingFailure),
    /// A phone accepted the pairing.
    Paired,
    /// Logged in, synchronised, ready.
    Connected,
    /// The connection ended.
    Ended(Cause),
    /// WhatsApp lets the number start no new chats until then (463); `None` takes that back.
    ReachoutTimelock(Option<u64>),
    /// WhatsApp can be reached again after it could not be for a while.
    Reachable,
    /// WhatsApp confirmed the unlink we asked for.
    LogoutConfirmed,
    /// The time of [`Effect::RetryAt`] has come.
    RetryDue,
}

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Open a connection for the current epoch.
    Connect,
    /// Close the connection, if there is one.
    Disconnect,
    /// Say [`Happening::RetryDue`] at this time, epoch milliseconds; replaces an earlier one.
    RetryAt(u64),
    /// Forget the retry.
    CancelRetry,
    /// Destroy credentials and Signal state: WhatsApp said they are worthless.
    EraseKeys,
}

const NETWORK: &str = "network";
const PASSKEY_REQUIRED: &str = "passkey_required";
const PASSKEY_FAILED: &str = "passkey_failed";
const PAIRING_CODE_REFRESH: &str = "pairing_code_refresh";
/// What is said beside a QR code.
const LINKING: [&str; 3] = [PASSKEY_REQUIRED, PASSKEY_FAILED, PAIRING_CODE_REFRESH];

/// The first step of the backoff.
pub const BACKOFF_BASE_MS: u64 = 1_000;
/// The largest delay between two attempts.
pub const BACKOFF_MAX_MS: u64 = 300_000;
/// How long to wait before the one retry of a replaced session: long enough that two gateways never ping-pong.
pub const REPLACED_RETRY_MS: u64 = 60_000;
/// A connection that lasted this long starts the backoff anew.
pub const STABLE_AFTER_MS: u64 = 30_000;
/// A session that has connected forgets how long the outage before was, but not that there was one: cut again at once
/// it waits half a minute at most, and one that flaps does not run.
pub const ATTEMPTS_KEPT: u32 = 5;
/// When WhatsApp can be reached again, those who wait for it come back within this long, not all at once.
pub const REACHABLE_SPREAD_MS: u64 = 20_000;
/// Reconnects after a restart of the object are spread over this long: a deploy restarts all of them at once.
pub const RESTART_SPREAD_MS: u64 = 2_000;

/// A session's intent and observed state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Lifecycle {
    /// What is seen.
    pub status: Status,
    /// Why.
    pub reason: Option<StatusReason>,
    /// Whether credentials of a linked device are in the keystore.
    pub paired: bool,
    /// Counts connections; work of an older one is discarded.
    pub epoch: u64,
    attempt: u32,
    replaced_before: bool,
    connected_at: Option<u64>,
    timelock_until: Option<u64>,
}

impl Default for Lifecycle {
    fn default() -> Self {
        Self {
            status: Status::Stopped,
            reason: None,
            paired: false,
            epoch: 0,
            attempt: 0,
            replaced_before: false,
            connected_at: None,
            timelock_until: None,
        }
    }
}

impl Lifecycle {
    /// Takes in what happened at `now` (epoch milliseconds). `jitter` is a random number of 0 to 1 (rule 7).
    pub fn apply(&mut self, happening: Happening, now: u64, jitter: f64) -> Vec<Effect> {
        match happening {
            Happening::Start => self.start(),
            Happening::Stop => self.stop(),
            Happening::QrShown if self.is_open() && !self.paired => {
                // What somebody has to do stays said while the codes go on changing.
                let kept = self.reason.take().filter(|why| LINKING.contains(&why.code.as_str()));
                self.set(Status::ScanQrCode, kept);
                vec![]
            }
            Happening::CodeShown => {
                let failed = [PAIRING_CODE_REFRESH, PASSKEY_FAILED];
                self.reason.take_if(|why| failed.contains(&why.code.as_str()));
                vec![]
            }
            Happening::PasskeyRequired { expires_at } if self.is_open() && !self.paired => {
                let why = reason(
                    PASSKEY_REQUIRED,
                    "WhatsApp wants the owner's passkey: read the challenge at /passkey and hand in the signature.",
                );
                self.set(Status::ScanQrCode, Some(StatusReason { expires_at, ..action(why) }));
                vec![]
            }
            Happening::LinkingFailed(failure) if self.is_open() && !self.paired => {
                let why = match failure {
                    LinkingFailure::CodeRefused => reason(
                        PAIRING_CODE_REFRESH,
                        "The pairing code is not good any more. Ask for another one.",
                    ),
                    LinkingFailure::Passkey => reason(
                        PASSKEY_FAILED,
                        "WhatsApp did not accept the passkey. Begin the linking again.",
                    ),
                };
                self.set(Status::ScanQrCode, Some(action(why)));
                vec![]
            }
            Happening::Paired if self.is_open() => {
                self.paired = true;
                self.attempt = 0;
                self.set(
                    Status::Starting,
                    Some(reason("restart_required", "Paired; WhatsApp asks for a new connection.")),
                );
                vec![]
            }
            Happening::Connected if self.is_open() => {
                self.connected_at = Some(now);
                self.attempt = self.attempt.min(ATTEMPTS_KEPT);
                self.set(Status::Working, self.timelock(now));
                vec![]
            }
            Happening::ReachoutTimelock(until) if self.paired => {
                self.timelock_until = until;
                if self.status == Status::Working {
                    self.reason = self.timelock(now);
                }
                vec![]
            }
            Happening::Reachable => self.come_back(now, jitter),
            Happening::Ended(cause) if self.is_open() => self.ended(&cause, now, jitter),
            Happening::LogoutConfirmed => {
                self.paired = false;
                self.connected_at = None;
                self.timelock_until = None;
                self.set(Status::LoggedOut, None);
                vec![Effect::CancelRetry, Effect::Disconnect, Effect::EraseKeys]
            }
            Happening::RetryDue if self.is_waiting() => self.connect(),
            // Late news of a connection nobody wants any more.
            Happening::QrShown
            | Happening::PasskeyRequired { .. }
            | Happening::LinkingFailed(_)
            | Happening::Paired
            | Happening::Connected
            | Happening::ReachoutTimelock(_)
            | Happening::Ended(_)
            | Happening::RetryDue => vec![],
        }
    }

    /// When the session tries again by itself, if it waits for that.
    #[must_use]
    pub fn retry_at(&self) -> Option<u64> {
        self.reason.as_ref().and_then(|reason| reason.retry_at)
    }

    /// Until when WhatsApp lets the number start no new chats, if it does so now.
    #[must_use]
    pub fn timelock_until(&self, now: u64) -> Option<u64> {
        self.timelock_until.filter(|until| *until > now)
    }

    fn timelock(&self, now: u64) -> Option<StatusReason> {
        self.timelock_until(now).map(|until| StatusReason {
            expires_at: Some(until),
            ..reason("reachout_timelock", "WhatsApp lets the number start no new chats for now (463).")
        })
    }

    fn is_waiting(&self) -> bool {
        self.retry_at().is_some()
    }

    /// A connection is open or being opened.
    fn is_open(&self) -> bool {
        self.status.is_live() && !self.is_waiting()
    }

    /// Who waited because WhatsApp could not be reached waits no longer than the others who come back.
    fn come_back(&mut self, now: u64, jitter: f64) -> Vec<Effect> {
        let Some(why) = self.reason.as_mut().filter(|why| why.code == NETWORK) else { return vec![] };
        let sooner = now + scaled(REACHABLE_SPREAD_MS, jitter);
        match why.retry_at {
            Some(at) if at > sooner => {
                why.retry_at = Some(sooner);
                vec![Effect::RetryAt(sooner)]
            }
            _ => vec![],
        }
    }

    fn start(&mut self) -> Vec<Effect> {
        if self.status.is_live() && !self.is_waiting() {
            return vec![];
        }
        self.attempt = 0;
        self.replaced_before = false;
        // What ended the last attempt is no news of this one.
        self.reason = None;
        let mut effects = vec![Effect::CancelRetry];
        effects.extend(self.connect());
        effects
    }

    fn stop(&mut self) -> Vec<Effect> {
        if self.status == Status::LoggedOut || (self.status == Status::Stopped && self.reason.is_none()) {
            return vec![];
        }
        self.connected_at = None;
        self.set(Status::Stopped, None);
        vec![Effect::CancelRetry, Effect::Disconnect]
    }

    fn connect(&mut self) -> Vec<Effect> {
        self.epoch += 1;
        let why = self.reason.take().map(|reason| StatusReason { retry_at: None, ..reason });
        self.set(Status::Starting, why);
        vec![Effect::Connect]
    }

    fn ended(&mut self, cause: &Cause, now: u64, jitter: f64) -> Vec<Effect> {
        let lasted = self.connected_at.take().map(|since| now.saturating_sub(since));
        if lasted.is_some_and(|lasted| lasted >= STABLE_AFTER_MS) {
            self.attempt = 0;
            self.replaced_before = false;
        }
        let why = explain(cause);
        match cause {
            Cause::Network(_)
            | Cause::HandshakeFailed(_)
            | Cause::Stalled
            | Cause::Undecodable
            | Cause::ServerError(_)
            | Cause::PairingFailed(_) => self.retry(why, now, jitter),
            Cause::RateLimited => {
                self.attempt = self.attempt.saturating_add(5);
                self.retry(why, now, jitter)
            }
            // At once, but not for ever: a server that only ever asks for another connection is met with patience.
            Cause::RestartRequired if self.attempt > 0 => self.retry(why, now, jitter),
            Cause::RestartRequired => {
                self.attempt = 1;
                self.set(Status::Starting, Some(why));
                self.connect()
            }
            Cause::Restarted => self.wait(why, now + scaled(RESTART_SPREAD_MS, jitter)),
            Cause::Replaced if self.replaced_before => self.fail(Status::Failed, action(why)),
            Cause::Replaced => {
                self.replaced_before = true;
                self.wait(why, now + REPLACED_RETRY_MS)
            }
            Cause::DeviceRemoved => {
                self.paired = false;
                self.timelock_until = None;
                let mut effects = self.fail(Status::LoggedOut, action(why));
                effects.push(Effect::EraseKeys);
                effects
            }
            Cause::TemporaryBan { expires_at: Some(at) } => {
                // One that ends at once, or has ended, is not taken at its word: never login after login.
                let at = (*at).max(now + REPLACED_RETRY_MS);
                self.set(
                    Status::Failed,
                    Some(StatusReason { expires_at: Some(at), retry_at: Some(at), ..why }),
                );
                vec![Effect::RetryAt(at)]
            }
            Cause::TemporaryBan { expires_at: None }
            | Cause::AccountLocked
            | Cause::ClientOutdated
            | Cause::Refused(_) => self.fail(Status::Failed, action(why)),
            Cause::QrExpired => self.fail(Status::Stopped, action(why)),
        }
    }

    fn retry(&mut self, why: StatusReason, now: u64, jitter: f64) -> Vec<Effect> {
        let ceiling = BACKOFF_BASE_MS.saturating_mul(1 << self.attempt.min(20)).min(BACKOFF_MAX_MS);
        self.attempt = self.attempt.saturating_add(1);
        // Full jitter, but never below the base: a server that refuses at once must not be hammered.
        let delay = BACKOFF_BASE_MS + scaled(ceiling.saturating_sub(BACKOFF_BASE_MS), jitter);
        self.wait(why, now + delay)
    }

    fn wait(&mut self, why: StatusReason, at: u64) -> Vec<Effect> {
        self.set(Status::Starting, Some(StatusReason { retry_at: Some(at), ..why }));
        vec![Effect::RetryAt(at)]
    }

    fn fail(&mut self, status: Status, why: StatusReason) -> Vec<Effect> {
        self.set(status, Some(why));
        vec![Effect::CancelRetry]
    }

    fn set(&mut self, status: Status, why: Option<StatusReason>) {
        self.status = status;
        self.reason = why;
    }
}

fn explain(cause: &Cause) -> StatusReason {
    match cause {
        Cause::Network(detail) => reason(NETWORK, format!("The connection was lost: {detail}.")),
        Cause::HandshakeFailed(detail) => {
            reason("handshake_failed", format!("The encrypted handshake with WhatsApp failed: {detail}."))
        }
        Cause::Stalled => reason("stalled", "The connection was open but silent."),
        Cause::Undecodable => reason("undecodable", "WhatsApp's frames could not be decrypted."),
        Cause::ServerError(detail) => {
            reason("server_error", format!("WhatsApp ended the connection: {detail}."))
        }
        Cause::RateLimited => reason("rate_limited", "WhatsApp asked for fewer connections (429)."),
        Cause::RestartRequired => reason("restart_required", "WhatsApp asked for a new connection (515)."),
        Cause::Restarted => reason("restarted", "The session's object was restarted; it connects again."),
        Cause::Replaced => reason("replaced", "Another connection uses this linked device."),
        Cause::DeviceRemoved => reason("device_removed", "The device was unlinked. Pair the number again."),
        Cause::TemporaryBan { .. } => reason("temporary_ban", "WhatsApp banned the number for a time."),
        Cause::AccountLocked => {
            reason("account_locked", "WhatsApp locked the account. The credentials are kept.")
        }
        Cause::ClientOutdated => reason(
            "client_outdated",
            "WhatsApp refuses this client version. The session starts again when the gateway has a newer one.",
        ),
        Cause::Refused(detail) => reason("refused", format!("WhatsApp refused the connection: {detail}.")),
        Cause::QrExpired => reason("qr_expired", "No QR code was scanned in time. Ask for a new one."),
        Cause::PairingFailed(detail) => {
            reason("pairing_failed", format!("The phone's answer did not verify: {detail}."))
        }
    }
}

fn action(why: StatusReason) -> StatusReason {
    StatusReason { action_required: true, ..why }
}

fn reason(code: &str, message: impl Into<String>) -> StatusReason {
    StatusReason {
        code: code.to_owned(),
        message: message.into(),
        retry_at: None,
        expires_at: None,
        action_required: false,
    }
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "0 to 1 of a few minutes"
)]
fn scaled(span_ms: u64, jitter: f64) -> u64 {
    (span_ms as f64 * jitter.clamp(0.0, 1.0)) as u64
}

#[cfg(test)]
mod tests;
