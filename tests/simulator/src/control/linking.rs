//! How companions come to an account: a scanned QR code, a typed pairing code, and what WhatsApp asks of a companion
//! that shows either.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, json};
use wacore::pair_code::PairCodeUtils;
use wacore_binary::builder::NodeBuilder;

use super::phones::find;
use super::{Error, Shared, parse};
use crate::clock;
use crate::link_code::{LinkCode, Unusable};
use crate::pairing::{QrCode, REFRESH_CHILDREN, Registration, ScanError};
use crate::phone::code_entry::{self, EntryError};
use crate::phone::linking::{self, Progress};
use crate::stanza::with_bytes;
use crate::world::World;

#[derive(Deserialize)]
pub struct Scan {
    qr: String,
}

pub async fn scan(State(world): Shared, Path(number): Path<String>, body: Bytes) -> Result<Response, Error> {
    let account = find(&world, &number)?;
    let Scan { qr } = parse(&body)?;
    // A task of its own: a caller that hangs up must not leave a companion half linked.
    let scan = tokio::spawn(async move { linking::scan(&world, &account, &qr).await });
    scan.await.unwrap_or(Err(ScanError::TimedOut)).map(shown).map_err(refusal)
}

#[derive(Deserialize)]
pub struct Typed {
    code: String,
}

pub async fn enter(State(world): Shared, Path(number): Path<String>, body: Bytes) -> Result<Response, Error> {
    let account = find(&world, &number)?;
    let Typed { code } = parse(&body)?;
    let entry = tokio::spawn(async move { code_entry::enter(&world, &account, &code).await });
    let outcome = entry.await.unwrap_or(Err(EntryError::Link(ScanError::TimedOut)));
    outcome.map(shown).map_err(|error| match error {
        EntryError::Malformed => {
            Error::new(StatusCode::BAD_REQUEST, "malformed_code", "expected eight letters and digits")
        }
        EntryError::Unknown => unknown_code(),
        EntryError::Unusable(Unusable::Stale) => {
            Error::new(StatusCode::GONE, "stale_code", "this code is no longer valid")
        }
        EntryError::Unusable(Unusable::Spent) => {
            Error::new(StatusCode::GONE, "code_spent", "this code was typed wrongly too often")
        }
        EntryError::Link(error) => refusal(error),
    })
}

fn shown(progress: Progress) -> Response {
    match progress {
        Progress::Linked(device) => Json(json!({ "deviceJid": device.to_string() })).into_response(),
        Progress::Passkey => (StatusCode::ACCEPTED, Json(json!({ "passkey": "requested" }))).into_response(),
    }
}

fn refusal(error: ScanError) -> Error {
    match error {
        ScanError::Malformed(why) => Error::new(StatusCode::BAD_REQUEST, "malformed_code", why),
        ScanError::Unknown => unknown_ref(),
        ScanError::Stale => stale_ref(),
        ScanError::Taken => Error::new(StatusCode::CONFLICT, "ref_taken", "this code has been scanned"),
        ScanError::Mismatch(why) => Error::new(StatusCode::UNPROCESSABLE_ENTITY, "code_mismatch", why),
        ScanError::Refused(why) => Error::new(StatusCode::UNPROCESSABLE_ENTITY, "companion_refused", why),
        ScanError::TimedOut => Error::new(
            StatusCode::REQUEST_TIMEOUT,
            "companion_silent",
            "the companion did not answer in time",
        ),
    }
}

fn unknown_ref() -> Error {
    Error::new(StatusCode::NOT_FOUND, "unknown_ref", "nobody shows this code")
}

fn stale_ref() -> Error {
    Error::new(StatusCode::GONE, "stale_ref", "this code is no longer shown")
}

fn unknown_code() -> Error {
    Error::new(StatusCode::NOT_FOUND, "unknown_code", "no companion shows a code for this number")
}

pub async fn codes(State(world): Shared, Path(number): Path<String>) -> Result<Json<Value>, Error> {
    let account = find(&world, &number)?;
    let codes: Vec<_> =
        world.link_codes.of(&account.number).iter().map(|code| described(&world, code)).collect();
    Ok(Json(json!({ "codes": codes })))
}

fn described(world: &World, code: &LinkCode) -> Value {
    json!({
        "ref": String::from_utf8_lossy(&code.reference),
        "platformId": code.platform_id,
        "platformDisplay": code.platform_display,
        "pushNotification": code.push_notification,
        "createdAt": code.created_at / 1000,
        "expiresAt": code.until() / 1000,
        "expired": clock::unix_millis() >= code.until(),
        "attempts": code.attempts(),
        "mostAttempts": PairCodeUtils::max_primary_hello_attempts(),
        "companionConnected": Registration::of_key(world, &code.noise_static).is_some(),
    })
}

pub async fn expire_code(State(world): Shared, Path(number): Path<String>) -> Result<StatusCode, Error> {
    let account = find(&world, &number)?;
    world.link_codes.of(&account.number).ok_or_else(unknown_code)?.expire();
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RefreshCode {
    #[serde(default)]
    force_manual: bool,
}

/// WhatsApp wants the companion to show another code.
pub async fn refresh_code(
    State(world): Shared,
    Path(number): Path<String>,
    body: Bytes,
) -> Result<StatusCode, Error> {
    let account = find(&world, &number)?;
    let RefreshCode { force_manual } = parse(&body)?;
    let code = world.link_codes.of(&account.number).ok_or_else(unknown_code)?;
    let companion = Registration::of_key(&world, &code.noise_static).ok_or_else(stale_ref)?;
    code.expire();
    let refresh = NodeBuilder::new("link_code_companion_reg")
        .attr("stage", "refresh_code")
        .attr("force_manual_refresh", if force_manual { "true" } else { "false" })
        .children([with_bytes("link_code_pairing_ref", code.reference.clone())]);
    companion.notify("link_code_companion_reg", refresh.build());
    Ok(StatusCode::NO_CONTENT)
}

/// Which companion is asked to change its secret: the one that shows this QR code, or a pairing code for this number.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Refresh {
    #[serde(default)]
    qr: Option<String>,
    #[serde(default)]
    phone_number: Option<String>,
    #[serde(default)]
    child: Option<String>,
}

pub async fn refresh_registration(State(world): Shared, body: Bytes) -> Result<StatusCode, Error> {
    let wanted: Refresh = parse(&body)?;
    let child = wanted.child.as_deref().unwrap_or(REFRESH_CHILDREN[0]);
    let child = REFRESH_CHILDREN.into_iter().find(|known| *known == child);
    let child = child.ok_or_else(|| Error::invalid("child is one of WhatsApp's two"))?;
    let registration = match (wanted.qr, wanted.phone_number) {
        (Some(qr), None) => {
            let code = QrCode::parse(&qr).map_err(refusal)?;
            Registration::showing(&world, &code.reference).ok_or_else(unknown_ref)?
        }
        (None, Some(number)) => {
            let account = find(&world, &number)?;
            let code = world.link_codes.of(&account.number).ok_or_else(unknown_code)?;
            Registration::of_key(&world, &code.noise_static).ok_or_else(stale_ref)?
        }
        _ => return Err(Error::invalid("either qr or phoneNumber")),
    };
    if !registration.is_open() {
        return Err(stale_ref());
    }
    registration.refresh(child);
    Ok(StatusCode::NO_CONTENT)
}
