//! `/phones`: people with a phone, and what they do with it.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD as BASE64;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use wacore_binary::Jid;
use waproto::whatsapp::Message;

use super::{Error, Poll, Shared, parse};
use crate::account::Account;
use crate::phone::sending;
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

#[derive(Deserialize)]
pub struct NewMessage {
    to: String,
    #[serde(default)]
    text: Option<String>,
    /// Any other kind of message: the protobuf, in base64.
    #[serde(default)]
    message: Option<String>,
}

impl NewMessage {
    fn content(&self) -> Result<Message, Error> {
        match (&self.text, &self.message) {
            (Some(text), None) => Ok(Message { conversation: Some(text.clone()), ..Message::default() }),
            (None, Some(message)) => BASE64
                .decode(message)
                .ok()
                .and_then(|bytes| waproto::codec::message_decode(&bytes).ok())
                .ok_or_else(|| Error::invalid("message must be a protobuf of WhatsApp's, in base64")),
            _ => Err(Error::invalid("either text or message")),
        }
    }
}

pub async fn send(
    State(world): Shared,
    Path(number): Path<String>,
    body: Bytes,
) -> Result<(StatusCode, Json<Value>), Error> {
    let account = find(&world, &number)?;
    let wanted: NewMessage = parse(&body)?;
    let to = person(&world, &wanted.to)?;
    let id = sending::send(&world, &account, &to, wanted.content()?)
        .await
        .map_err(|error| Error::new(StatusCode::CONFLICT, "not_sent", &format!("{error:#}")))?;
    Ok((StatusCode::CREATED, Json(json!({ "messageId": id }))))
}

pub async fn messages(
    State(world): Shared,
    Path(number): Path<String>,
    query: Result<Query<Poll>, QueryRejection>,
) -> Result<Json<Value>, Error> {
    let account = find(&world, &number)?;
    let (after, wait) = Poll::read(query)?;
    Ok(Json(json!({ "messages": account.received.after(after, wait).await })))
}

pub async fn receipts(
    State(world): Shared,
    Path(number): Path<String>,
    query: Result<Query<Poll>, QueryRejection>,
) -> Result<Json<Value>, Error> {
    let account = find(&world, &number)?;
    let (after, wait) = Poll::read(query)?;
    Ok(Json(json!({ "receipts": account.receipts.after(after, wait).await })))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Read {
    #[serde(alias = "from")]
    chat: String,
    message_ids: Vec<String>,
}

pub async fn read(
    State(world): Shared,
    Path(number): Path<String>,
    body: Bytes,
) -> Result<StatusCode, Error> {
    let account = find(&world, &number)?;
    let Read { chat, message_ids } = parse(&body)?;
    if message_ids.is_empty() {
        return Err(Error::invalid("messageIds is empty"));
    }
    sending::read(&world, &account, &person(&world, &chat)?, &message_ids);
    Ok(StatusCode::NO_CONTENT)
}

/// A phone of the path.
pub fn find(world: &World, number: &str) -> Result<Arc<Account>, Error> {
    world.find(number).ok_or_else(|| Error::not_found("no such phone"))
}

/// Somebody on WhatsApp, in the namespace they were named in.
fn person(world: &World, named: &str) -> Result<Jid, Error> {
    let account = world.find(named).ok_or_else(|| {
        Error::new(StatusCode::NOT_FOUND, "not_on_whatsapp", "nobody has this number or JID")
    })?;
    Ok(named.parse::<Jid>().map_or_else(|_| account.pn(), |jid| account.jid_like(&jid)))
}
