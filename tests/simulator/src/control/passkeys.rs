//! `/phones/{n}/passkey`: whether an account asks for its passkey, and what its owner does with it.

use std::sync::atomic::Ordering;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, json};

use super::phones::find;
use super::{Error, Poll, Shared, parse};
use crate::account::Account;
use crate::passkey::Stage;
use crate::webauthn::{ORIGIN, Passkey, RELYING_PARTY, RequestOptions};
use crate::world::World;

#[derive(Deserialize)]
pub struct Requirement {
    required: bool,
}

pub async fn require(
    State(world): Shared,
    Path(number): Path<String>,
    body: Bytes,
) -> Result<Json<Value>, Error> {
    let account = find(&world, &number)?;
    let Requirement { required } = parse(&body)?;
    account.passkey_required.store(required, Ordering::Relaxed);
    account.keep();
    Ok(Json(shown(&world, &account)?))
}

/// `?after=&wait=` as elsewhere, by `link.version`.
pub async fn show(
    State(world): Shared,
    Path(number): Path<String>,
    query: Result<Query<Poll>, QueryRejection>,
) -> Result<Json<Value>, Error> {
    let account = find(&world, &number)?;
    let (after, wait) = Poll::read(query)?;
    if let Some(ceremony) = world.passkeys.of(&account.number) {
        ceremony.stage_after(after, wait).await;
    }
    Ok(Json(shown(&world, &account)?))
}

fn shown(world: &World, account: &Account) -> Result<Value, Error> {
    let passkey = passkey(world, account)?;
    let link = world.passkeys.of(&account.number).map(|ceremony| {
        let (version, stage) = ceremony.stage();
        let mut link = json!(stage);
        if let Some(fields) = link.as_object_mut() {
            fields.insert("version".into(), json!(version));
        }
        link
    });
    Ok(json!({
        "required": account.passkey_required.load(Ordering::Relaxed),
        "credentialId": BASE64_URL_SAFE_NO_PAD.encode(passkey.id()),
        "rpId": RELYING_PARTY,
        "link": link,
    }))
}

#[derive(Deserialize)]
pub struct Assert {
    /// What the companion was asked, as JSON or as the text of it.
    options: Value,
    /// The page the owner's browser shows.
    #[serde(default)]
    origin: Option<String>,
}

/// What `navigator.credentials.get({ publicKey: options })` comes to in the owner's browser.
pub async fn assert(
    State(world): Shared,
    Path(number): Path<String>,
    body: Bytes,
) -> Result<Json<Value>, Error> {
    let account = find(&world, &number)?;
    let Assert { options, origin } = parse(&body)?;
    let options: Result<RequestOptions, _> = match options {
        Value::String(text) => serde_json::from_str(&text),
        other => serde_json::from_value(other),
    };
    let options = options.map_err(|error| Error::invalid(&format!("options: {error}")))?;
    let made = passkey(&world, &account)?.assert(&options, origin.as_deref().unwrap_or(ORIGIN));
    made.map(Json).map_err(|error| internal(&error))
}

/// The owner's word on the two codes: the one the companion shows, or just whether they are the same.
#[derive(Deserialize)]
pub struct Confirm {
    #[serde(default)]
    code: Option<String>,
    #[serde(default)]
    accept: Option<bool>,
}

pub async fn confirm(
    State(world): Shared,
    Path(number): Path<String>,
    body: Bytes,
) -> Result<StatusCode, Error> {
    let account = find(&world, &number)?;
    let Confirm { code, accept } = parse(&body)?;
    let nothing = || Error::new(StatusCode::CONFLICT, "nothing_to_confirm", "the phone shows no code");
    let ceremony = world.passkeys.of(&account.number).ok_or_else(nothing)?;
    let Stage::Confirmation { code: own } = ceremony.stage().1 else { return Err(nothing()) };
    let same = code.as_ref().is_none_or(|code| *code == own);
    if !ceremony.decide(same && accept != Some(false)) {
        return Err(nothing());
    }
    if same {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(Error::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "code_mismatch",
            "the phone shows another code: its owner declines",
        ))
    }
}

pub async fn expire(State(world): Shared, Path(number): Path<String>) -> Result<StatusCode, Error> {
    let account = find(&world, &number)?;
    let ceremony = world.passkeys.of(&account.number);
    let ceremony = ceremony.filter(|ceremony| !ceremony.stage().1.is_final());
    ceremony.ok_or_else(|| Error::not_found("nobody waits for this passkey"))?.expire();
    Ok(StatusCode::NO_CONTENT)
}

fn passkey(world: &World, account: &Account) -> Result<Passkey, Error> {
    Passkey::of(world.seed, &account.number).map_err(|error| internal(&error))
}

fn internal(error: &anyhow::Error) -> Error {
    Error::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", &format!("{error:#}"))
}
