//! `/phones/{n}/messages` and `/sent`: what people write, read and hear, and how often each message came in.

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use wacore_binary::{Jid, JidExt as _};

use super::phones::find;
use super::{Error, Poll, Shared, parse};
use crate::account::Account;
use crate::content::Request;
use crate::ledger::Counts;
use crate::phone::{composing, sending};
use crate::world::World;

pub async fn send(
    State(world): Shared,
    Path(number): Path<String>,
    body: Bytes,
) -> Result<(StatusCode, Json<Value>), Error> {
    let account = find(&world, &number)?;
    let wanted: Request = parse(&body)?;
    let to = chat(&world, &account, &wanted.to)?;
    let message = composing::compose(&world, &account, &to, &wanted).await.map_err(Error::invalid)?;
    let id = sending::send(&world, &account, wanted.id, &to, message)
        .await
        .map_err(|error| Error::new(StatusCode::CONFLICT, "not_sent", &format!("{error:#}")))?;
    Ok((StatusCode::CREATED, Json(json!({ "messageId": id }))))
}

pub async fn list(
    State(world): Shared,
    Path(number): Path<String>,
    query: Result<Query<Poll>, QueryRejection>,
) -> Result<Json<Value>, Error> {
    let account = find(&world, &number)?;
    let (after, wait) = Poll::read(query)?;
    Ok(Json(json!({ "messages": account.received.after(after, wait).await })))
}

pub async fn typing(State(world): Shared, Path(number): Path<String>) -> Result<Json<Value>, Error> {
    let account = find(&world, &number)?;
    let typing = account.typing().clone();
    Ok(Json(json!({ "typing": typing })))
}

/// What the server dropped because its id had been used, as the phone would have shown it.
pub async fn dropped(State(world): Shared, Path(number): Path<String>) -> Result<Json<Value>, Error> {
    let account = find(&world, &number)?;
    let dropped = account.dropped().clone();
    Ok(Json(json!({ "messages": dropped })))
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
pub struct Seen {
    #[serde(alias = "from")]
    chat: String,
    message_ids: Vec<String>,
}

pub async fn read(state: Shared, path: Path<String>, body: Bytes) -> Result<StatusCode, Error> {
    seen(state, path, &body, "read").await
}

pub async fn played(state: Shared, path: Path<String>, body: Bytes) -> Result<StatusCode, Error> {
    seen(state, path, &body, "played").await
}

async fn seen(
    State(world): Shared,
    Path(number): Path<String>,
    body: &Bytes,
    kind: &'static str,
) -> Result<StatusCode, Error> {
    let account = find(&world, &number)?;
    let Seen { chat: named, message_ids } = parse(body)?;
    if message_ids.is_empty() {
        return Err(Error::invalid("messageIds is empty"));
    }
    let to = chat(&world, &account, &named)?;
    if !to.is_group() {
        sending::seen(&world, &account, kind, &to, None, &message_ids);
        return Ok(StatusCode::NO_CONTENT);
    }
    // In a group each author is told of their own.
    let phone = account.phone.lock().await;
    let authors: Vec<_> = message_ids
        .into_iter()
        .filter_map(|id| Some((phone.known(&account.number, &id)?.author, id)))
        .collect();
    drop(phone);
    let mut told: std::collections::BTreeMap<String, Vec<String>> = std::collections::BTreeMap::new();
    for (author, id) in authors {
        told.entry(author).or_default().push(id);
    }
    for (author, ids) in told {
        if let Some(author) = world.account(&author) {
            sending::seen(&world, &account, kind, &to, Some(author.lid()), &ids);
        }
    }
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Serialize)]
struct Stanzas {
    from: String,
    #[serde(flatten)]
    counts: Counts,
}

/// How often a message came in from each device that used its id, and what became of it.
pub async fn sent(State(world): Shared, Path(id): Path<String>) -> Json<Value> {
    let stanzas: Vec<_> = world
        .ledger
        .of(&id)
        .into_iter()
        .map(|(from, counts)| {
            let from = Jid::pn_device(from.number.as_str(), from.device).to_string();
            Stanzas { from, counts }
        })
        .collect();
    Json(json!({ "messageId": id, "stanzas": stanzas }))
}

/// A group this phone is in, or somebody on WhatsApp in the namespace they were named in.
fn chat(world: &World, account: &Account, named: &str) -> Result<Jid, Error> {
    if let Some(id) = named.strip_suffix("@g.us") {
        let group = world.groups.get(id).ok_or_else(|| Error::not_found("no such group"))?;
        if !group.has(&account.number) {
            return Err(Error::new(StatusCode::FORBIDDEN, "not_in_group", "this phone isn't in that group"));
        }
        return Ok(group.jid());
    }
    let account = world.find(named).ok_or_else(|| {
        Error::new(StatusCode::NOT_FOUND, "not_on_whatsapp", "nobody has this number or JID")
    })?;
    Ok(named.parse::<Jid>().map_or_else(|_| account.pn(), |jid| account.jid_like(&jid)))
}
