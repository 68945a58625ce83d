//! `/phones`: people with a phone, and what they do with it.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Error, Shared, parse};
use crate::account::Account;
use crate::world::World;

/// E.164 without the plus.
const DIGITS: std::ops::RangeInclusive<usize> = 5..=15;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NewPhone {
    phone_number: String,
    #[serde(default)]
    push_name: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ShownPhone {
    phone_number: String,
    push_name: String,
    jid: String,
    lid: String,
    devices: Vec<String>,
}

impl ShownPhone {
    fn of(account: &Account) -> Self {
        Self {
            phone_number: account.number.clone(),
            push_name: account.push_name.clone(),
            jid: account.pn().to_string(),
            lid: account.lid().to_string(),
            devices: account.devices().iter().map(|device| device.jid().to_string()).collect(),
        }
    }
}

pub async fn create(State(world): Shared, body: Bytes) -> Result<(StatusCode, Json<ShownPhone>), Error> {
    let wanted: NewPhone = parse(&body)?;
    let number = wanted.phone_number.trim_start_matches('+');
    if !number.bytes().all(|byte| byte.is_ascii_digit())
        || !DIGITS.contains(&number.len())
        || number.starts_with('0')
    {
        return Err(Error::invalid("phoneNumber must be a number in international form, 5 to 15 digits"));
    }
    let push_name = wanted.push_name.unwrap_or_else(|| number.to_owned());
    let (account, new) = world
        .open_account(number, &push_name)
        .map_err(|error| Error::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", &error.to_string()))?;
    if account.push_name != push_name {
        return Err(Error::new(
            StatusCode::CONFLICT,
            "phone_exists",
            "this number exists under another push name",
        ));
    }
    let status = if new { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json(ShownPhone::of(&account))))
}

pub async fn list(State(world): Shared) -> Json<Value> {
    let phones: Vec<_> = world.accounts().iter().map(|account| ShownPhone::of(account)).collect();
    Json(json!({ "phones": phones }))
}

/// What an account lets others know.
#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Privacy {
    read_receipts: bool,
}

pub async fn privacy(State(world): Shared, Path(number): Path<String>) -> Result<Json<Privacy>, Error> {
    let account = find(&world, &number)?;
    Ok(Json(Privacy { read_receipts: !account.reads_in_secret.load(Ordering::Relaxed) }))
}

pub async fn set_privacy(
    State(world): Shared,
    Path(number): Path<String>,
    body: Bytes,
) -> Result<StatusCode, Error> {
    let account = find(&world, &number)?;
    let wanted: Privacy = parse(&body)?;
    account.reads_in_secret.store(!wanted.read_receipts, Ordering::Relaxed);
    account.keep();
    Ok(StatusCode::NO_CONTENT)
}

/// A phone of the path.
pub fn find(world: &World, number: &str) -> Result<Arc<Account>, Error> {
    world.find(number).ok_or_else(|| Error::not_found("no such phone"))
}
