//! Linking by a pairing code, and the passkey WhatsApp may ask for on the way (docs/decisions/linking.md).
//!
//! A code that was handed out stays good until it expires, through QR rotations and lost connections: a person may be
//! typing it. The library forgets it with its connection, so each new connection registers it again under the same
//! letters. It is kept in the record, never in a log line or an event.

use std::rc::Rc;
use std::time::Duration;

use futures::future::{Either, select};
use gateway_domain::error::{ApiError, ErrorCode};
use gateway_domain::lifecycle::{Cause, Happening, LinkingFailure, Status};
use gateway_domain::linking::{PairingCode, PasskeyAnswer, PasskeyAssertion, PasskeyChallenge, PasskeyStage};
use whatsapp_rust::pair_code::{PairCodeError, PairCodeOptions, PairCodeRejection, PairError};
use whatsapp_rust::passkey::{Assertion, parse_request_options};
use worker::Delay;

use crate::alarm::timer;
use crate::clock;
use crate::connection::Connection;
use crate::room::{Link, Room, failed};

/// How long a caller waits for a connection that can take a code.
const CONNECT_MS: u64 = 20_000;
/// How long WhatsApp may take over a step of the passkey.
const PASSKEY_STEP: Duration = Duration::from_secs(20);
/// When to try again if WhatsApp refuses a code and does not say: it counts requests by the number, over minutes.
const REFUSED_RETRY: Duration = Duration::from_mins(1);
/// A code is not handed out for less than this: nobody could type it.
const TYPING_MS: u64 = 10_000;
/// How long a challenge that names no end is taken to be good.
const CHALLENGE_MS: u64 = 120_000;

/// The code for this number: the one that is out, or a new one.
///
/// # Errors
/// 400 when the session is paired or the number is none, 409 while a code for another number is out or where WhatsApp
/// does not allow it, 429 when it asks for patience, 503 when it can't be reached.
pub async fn pairing_code(room: &Rc<Room>, phone: &str) -> Result<PairingCode, ApiError> {
    if room.snapshot()?.paired {
        return Err(ApiError::validation("session", "The session is already paired."));
    }
    if let Some(out) = outstanding(room, phone)? {
        return Ok(out);
    }
    match room.status() {
        Status::Stopped | Status::LoggedOut => room.happen(Happening::Start),
        Status::Failed => {
            let error = ApiError::conflict("The session has failed: see its statusReason, and start it.");
            return Err(error.with("status", Status::Failed.name()));
        }
        _ => {}
    }
    let deadline = clock::now() + CONNECT_MS;
    let connection = loop {
        let woken = room.listen();
        let connection = ready_to_link(room).await?;
        if let Some(out) = outstanding(room, phone)? {
            return Ok(out);
        }
        if !connection.has_code.replace(true) {
            break connection;
        }
        // Somebody asks at this moment, or the last one is being withdrawn: what comes of it wakes us.
        let now = clock::now();
        if now >= deadline {
            let message = "A pairing code is being made.";
            return Err(retry_later(ErrorCode::Conflict, message, Duration::from_secs(2)));
        }
        let _either = select(woken, Delay::from(Duration::from_millis(deadline - now))).await;
    };
    match register(&connection, phone, None).await {
        // Stopped meanwhile: nobody may find a code that nobody answers for.
        Ok(_) if !room.is_current(&connection) => {
            Err(ApiError::unavailable("The connection was lost; try again.")
                .with("status", room.status().name()))
        }
        Ok(code) => keep(room, phone, &code),
        Err(error) => {
            connection.has_code.set(false);
            room.changed();
            Err(refusal(&error))
        }
    }
}

/// The code that is out, if it is for this number.
fn outstanding(room: &Rc<Room>, phone: &str) -> Result<Option<PairingCode>, ApiError> {
    let now = clock::now();
    let Some(out) = room.record()?.pairing_code.filter(|out| out.expires_at > now + TYPING_MS) else {
        return Ok(None);
    };
    if out.phone == phone {
        return Ok(Some(out));
    }
    let left = Duration::from_millis(out.expires_at - now);
    Err(retry_later(
        ErrorCode::Conflict,
        "A pairing code for another number is out: wait, or stop the session.",
        left,
    ))
}

async fn ready_to_link(room: &Rc<Room>) -> Result<Rc<Connection>, ApiError> {
    let deadline = clock::now() + CONNECT_MS;
    loop {
        let woken = room.listen();
        if let (Status::ScanQrCode, Link::Up(connection)) = (room.status(), &*room.link.borrow()) {
            return Ok(Rc::clone(connection));
        }
        let now = clock::now();
        if now >= deadline || !room.status().is_live() {
            let error = ApiError::unavailable("WhatsApp could not be reached for a pairing code; try again.");
            return Err(error.with("status", room.status().name()));
        }
        let _either = select(woken, Delay::from(Duration::from_millis(deadline - now))).await;
    }
}

async fn register(
    connection: &Rc<Connection>,
    phone: &str,
    code: Option<String>,
) -> Result<String, PairError> {
    let options =
        PairCodeOptions { phone_number: phone.to_owned(), custom_code: code, ..PairCodeOptions::default() };
    connection.client.pair_with_code(options).await
}

fn keep(room: &Rc<Room>, phone: &str, code: &str) -> Result<PairingCode, ApiError> {
    let lasts = u64::try_from(whatsapp_rust::wacore::pair_code::PairCodeUtils::code_validity().as_millis());
    let out = PairingCode {
        phone: phone.to_owned(),
        code: code.to_owned(),
        expires_at: clock::now() + lasts.unwrap_or_default(),
    };
    room.set_pairing_code(Some(out.clone())).map_err(|error| failed("pairing code", &error))?;
    room.happen(Happening::CodeShown);
    Ok(out)
}

fn retry_later(code: ErrorCode, message: &str, after: Duration) -> ApiError {
    ApiError::new(code, message).with("retryAfterSeconds", after.as_secs().max(1))
}

/// WhatsApp's refusal of a code, with when to try again.
fn refusal(error: &PairError) -> ApiError {
    let backoff = error.backoff().unwrap_or(REFUSED_RETRY);
    let Some(rejection) = error.rejection() else {
        return match error {
            PairError::PairCode(
                PairCodeError::PhoneNumberRequired
                | PairCodeError::PhoneNumberTooShort
                | PairCodeError::PhoneNumberNotInternational,
            ) => ApiError::validation("phone", format!("Must be an international number: {error}.")),
            error => {
                worker::console_warn!("no pairing code: {error}");
                let message = "WhatsApp gave no pairing code; try again.";
                retry_later(ErrorCode::GatewayUnavailable, message, Duration::from_secs(5))
            }
        };
    };
    let (code, whatsapp_code, message) = match rejection {
        PairCodeRejection::BadRequest => (
            ErrorCode::RateLimited,
            400,
            "WhatsApp refused the number, or gets too many requests for it: check it, and wait before the next.",
        ),
        PairCodeRejection::Forbidden => {
            (ErrorCode::Conflict, 403, "WhatsApp does not let this number be linked by a code.")
        }
        PairCodeRejection::RateOverlimit => {
            (ErrorCode::RateLimited, 429, "WhatsApp gets too many requests for pairing codes.")
        }
        PairCodeRejection::FeatureNotAvailable => {
            (ErrorCode::Conflict, 452, "WhatsApp does not offer this number pairing codes: use the QR code.")
        }
        PairCodeRejection::InternalServerError => {
            (ErrorCode::GatewayUnavailable, 500, "WhatsApp failed to make a pairing code; try again.")
        }
        PairCodeRejection::Unknown(code) => {
            (ErrorCode::Conflict, code, "WhatsApp refused to make a pairing code.")
        }
    };
    retry_later(code, message, backoff).with("whatsappCode", whatsapp_code.to_string())
}

impl Room {
    pub(crate) fn set_pairing_code(
        self: &Rc<Self>,
        code: Option<PairingCode>,
    ) -> Result<(), gateway_sql::SqlError> {
        let mut held = self.record.borrow_mut();
        let Some(record) = held.as_mut() else { return Ok(()) };
        match &code {
            Some(code) => self.journal.timers().set(timer::PAIRING_CODE, code.expires_at)?,
            None => self.journal.timers().clear(timer::PAIRING_CODE)?,
        }
        record.pairing_code = code;
        self.journal.save(record)?;
        drop(held);
        self.arm();
        Ok(())
    }

    /// A connection shows its first QR code, so it can take the pairing code that is out.
    pub(crate) fn register_again(self: &Rc<Self>, connection: &Rc<Connection>) {
        let out = self.record.borrow().as_ref().and_then(|record| record.pairing_code.clone());
        let Some(out) = out.filter(|out| out.expires_at > clock::now()) else { return };
        if connection.has_code.replace(true) {
            return;
        }
        let (room, connection) = (Rc::clone(self), Rc::clone(connection));
        wasm_bindgen_futures::spawn_local(async move {
            if let Err(error) = register(&connection, &out.phone, Some(out.code)).await {
                worker::console_warn!("a pairing code could not be registered again: {error}");
                room.pairing_code_refused(&connection);
            }
        });
    }

    /// The code is no good any more: whoever has it asks for another.
    pub(crate) fn pairing_code_refused(self: &Rc<Self>, connection: &Rc<Connection>) {
        let is_out = self.record.borrow().as_ref().is_some_and(|record| record.pairing_code.is_some());
        if !is_out || !self.is_current(connection) {
            return;
        }
        self.forget_pairing_code(connection);
        // Where the owner has come to the passkey, the code has done its work.
        if self.passkey.borrow().is_none() {
            self.happen(Happening::LinkingFailed(LinkingFailure::CodeRefused));
        }
    }

    fn forget_pairing_code(self: &Rc<Self>, connection: &Rc<Connection>) {
        if let Err(error) = self.set_pairing_code(None) {
            worker::console_error!("pairing code: {error}");
        }
        let (room, connection) = (Rc::clone(self), Rc::clone(connection));
        wasm_bindgen_futures::spawn_local(async move {
            connection.client.cancel_pair_code().await;
            // Not before: the next code must not be withdrawn in its place.
            connection.has_code.set(false);
            room.changed();
        });
    }

    /// The code's time is over. When the QR codes are used up too, so is the connection.
    pub(crate) fn pairing_code_expired(self: &Rc<Self>) {
        let link = match &*self.link.borrow() {
            Link::Up(connection) => Some(Rc::clone(connection)),
            Link::Down | Link::Opening { .. } => None,
        };
        match link {
            Some(connection) => {
                self.forget_pairing_code(&connection);
                if connection.is_out_of_codes.get() {
                    connection.cut(Cause::QrExpired);
                }
            }
            None => {
                if let Err(error) = self.set_pairing_code(None) {
                    worker::console_error!("pairing code: {error}");
                }
            }
        }
    }

    /// WhatsApp asks for the owner's passkey.
    pub(crate) fn passkey_asked(self: &Rc<Self>, connection: &Connection, options: &str) {
        let Ok(request) = parse_request_options(options) else {
            worker::console_warn!("WhatsApp's passkey challenge can't be read");
            self.happen(Happening::LinkingFailed(LinkingFailure::Passkey));
            return;
        };
        // The library hangs up with the last QR code, whatever WhatsApp allows.
        let expires_at = clock::now() + request.timeout_ms.unwrap_or(CHALLENGE_MS).min(600_000);
        let expires_at = expires_at.min(connection.codes_end_at());
        self.passkey.replace(Some(PasskeyChallenge {
            stage: PasskeyStage::Challenge,
            origin: "https://web.whatsapp.com".to_owned(),
            options: serde_json::from_str(options).ok(),
            code: None,
            expires_at,
        }));
        self.happen(Happening::PasskeyRequired { expires_at: Some(expires_at) });
    }

    /// The signature was good: now both ends show a code.
    pub(crate) fn passkey_to_confirm(self: &Rc<Self>, connection: &Rc<Connection>, code: &str, skip: bool) {
        let expires_at = (clock::now() + CHALLENGE_MS).min(connection.codes_end_at());
        if let Some(passkey) = self.passkey.borrow_mut().as_mut() {
            passkey.stage = if skip { PasskeyStage::Confirmed } else { PasskeyStage::Confirmation };
            passkey.options = None;
            passkey.code = Some(code.to_owned());
            passkey.expires_at = expires_at;
        }
        self.happen(Happening::PasskeyRequired { expires_at: Some(expires_at) });
        if skip {
            let (room, connection) = (Rc::clone(self), Rc::clone(connection));
            wasm_bindgen_futures::spawn_local(async move {
                if let Err(error) = connection.client.send_passkey_confirmation().await {
                    room.passkey_failed(&error.to_string());
                }
            });
        }
    }

    /// The passkey led nowhere.
    pub(crate) fn passkey_failed(self: &Rc<Self>, reason: &str) {
        if self.passkey.take().is_some() {
            worker::console_warn!("a passkey failed: {reason}");
            self.happen(Happening::LinkingFailed(LinkingFailure::Passkey));
        }
    }

    /// Gives up a challenge nobody answered.
    pub(crate) fn expire_passkey(self: &Rc<Self>, now: u64) {
        let is_over = self.passkey.borrow().as_ref().is_some_and(|passkey| passkey.expires_at <= now);
        if is_over {
            self.passkey_failed("nobody answered in time");
            // Nobody tells of a refusal on the phone, and the library holds on to an attempt for as long as it lives.
            if let Link::Up(connection) = &*self.link.borrow() {
                connection.cut(Cause::PairingFailed("the passkey was not confirmed in time".to_owned()));
            }
        }
    }
}

/// What WhatsApp asks for, and how far it has come.
///
/// # Errors
/// 404 when no passkey is asked for.
pub fn passkey(room: &Rc<Room>) -> Result<PasskeyChallenge, ApiError> {
    room.expire_passkey(clock::now());
    room.passkey.borrow().clone().ok_or_else(ApiError::not_found)
}

/// The owner's answer: a signature, or whether the code is the one on the phone.
///
/// # Errors
/// 404 when no passkey is asked for, 409 when another step is due or WhatsApp refused, 503 when it did not answer.
pub async fn answer_passkey(room: &Rc<Room>, answer: PasskeyAnswer) -> Result<PasskeyChallenge, ApiError> {
    let asked = passkey(room)?;
    let stage = asked.stage;
    let link = match &*room.link.borrow() {
        Link::Up(connection) => Some(Rc::clone(connection)),
        Link::Down | Link::Opening { .. } => None,
    };
    let connection = link.ok_or_else(ApiError::not_found)?;
    match (answer, stage) {
        (PasskeyAnswer::Assertion(assertion), PasskeyStage::Challenge) => {
            room.set_passkey_stage(PasskeyStage::Submitted);
            let assertion = prologue(&assertion)?;
            step(room, &connection, connection.client.send_passkey_response(assertion)).await?;
        }
        (PasskeyAnswer::Confirmed(true), PasskeyStage::Confirmation) => {
            room.set_passkey_stage(PasskeyStage::Confirmed);
            step(room, &connection, connection.client.send_passkey_confirmation()).await?;
        }
        (PasskeyAnswer::Confirmed(false), PasskeyStage::Confirmation) => {
            room.passkey_failed("the owner declined");
            // The library has no way to take the attempt back: the next connection begins anew.
            connection.cut(Cause::PairingFailed("the owner declined".to_owned()));
            return Err(ApiError::conflict("The linking was given up, as you asked. A new code comes."));
        }
        (_, stage) => {
            let message = "The passkey is at another step: read it again.";
            return Err(ApiError::conflict(message).with("stage", stage.name()));
        }
    }
    let next = room.passkey.borrow().clone();
    match next {
        Some(next) => Ok(next),
        // The link may have been made before the step's own answer came.
        None if room.snapshot()?.paired => {
            Ok(PasskeyChallenge { stage: PasskeyStage::Confirmed, options: None, ..asked })
        }
        None => Err(ApiError::conflict("WhatsApp refused the passkey.")),
    }
}

impl Room {
    fn set_passkey_stage(&self, stage: PasskeyStage) {
        if let Some(passkey) = self.passkey.borrow_mut().as_mut() {
            passkey.stage = stage;
            passkey.options = None;
        }
    }
}

async fn step(
    room: &Rc<Room>,
    connection: &Rc<Connection>,
    step: impl Future<Output = Result<(), whatsapp_rust::passkey::PasskeyError>>,
) -> Result<(), ApiError> {
    let step = std::pin::pin!(step);
    let outcome = select(step, Delay::from(PASSKEY_STEP)).await;
    if !matches!(outcome, Either::Left((Ok(()), _))) && !room.is_current(connection) {
        return Err(ApiError::conflict("The connection was lost. Begin the linking again."));
    }
    match outcome {
        Either::Left((Ok(()), _)) => Ok(()),
        Either::Left((Err(error), _)) => {
            room.passkey_failed(&error.to_string());
            Err(ApiError::conflict(format!("WhatsApp did not accept the passkey: {error}.")))
        }
        Either::Right(_) => {
            room.passkey_failed("no answer in time");
            // The library holds on to the attempt.
            connection.cut(Cause::PairingFailed("WhatsApp did not answer about the passkey".to_owned()));
            Err(ApiError::unavailable("WhatsApp did not answer in time. Begin the linking again."))
        }
    }
}

fn prologue(assertion: &PasskeyAssertion) -> Result<Assertion, ApiError> {
    let credential_id = assertion.raw_id()?;
    let assertion_json = serde_json::to_vec(assertion).map_err(|error| failed("assertion", &error))?;
    Ok(Assertion { assertion_json, credential_id })
}
