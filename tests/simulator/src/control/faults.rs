//! `/faults`: arming, listing and clearing them.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, json};
use wacore_binary::Jid;

use super::{Error, Shared, parse};
use crate::account::DeviceAddress;
use crate::faults::{Fault, Kind, Target};
use crate::world::World;
use crate::{reachout, routing};

const PREFIX: &str = "fault-";

#[derive(Deserialize)]
pub struct NewFault {
    #[serde(flatten)]
    kind: Kind,
    target: Option<String>,
    count: Option<u32>,
    #[serde(default)]
    skip: u32,
}

fn shown(fault: &Fault) -> Value {
    let mut value = json!(fault.kind);
    if let Some(fields) = value.as_object_mut() {
        fields.insert("id".into(), json!(format!("{PREFIX}{}", fault.id)));
        fields.insert("remaining".into(), json!(fault.remaining));
        fields.insert("skip".into(), json!(fault.skip));
        let target = fault.target.as_ref().map(|target| match target {
            Target::Phone(number) => number.clone(),
            Target::Device(device) => Jid::pn_device(device.number.as_str(), device.device).to_string(),
        });
        fields.insert("target".into(), json!(target));
    }
    value
}

pub async fn arm(State(world): Shared, body: Bytes) -> Result<(StatusCode, Json<Value>), Error> {
    let NewFault { mut kind, target, count, skip } = parse(&body)?;
    if count == Some(0) {
        return Err(Error::invalid("count must be at least 1"));
    }
    if skip > 0 && !kind.is_taken() {
        return Err(Error::invalid("this fault lets nothing pass: it takes no skip"));
    }
    if let Kind::AckError { to: Some(to), .. } | Kind::AckDrop { to: Some(to) } = &mut kind {
        *to = read_chat(&world, to)?;
    }
    let target = target.map(|target| read_target(&world, &target)).transpose()?;
    if target.is_some() && kind.precedes_identity() {
        return Err(Error::invalid(
            "this fault strikes before the server can know who calls: it takes no target",
        ));
    }
    let fault = world.faults.arm(kind, target, count, skip);
    world.strike(&fault);
    reachout::announce(&world, &fault);
    Ok((StatusCode::CREATED, Json(shown(&fault))))
}

/// Digits and JIDs without a device are a phone with all its devices. A number needs no phone yet.
fn read_target(world: &World, text: &str) -> Result<Target, Error> {
    let digits = text.trim_start_matches('+');
    if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(Target::Phone(digits.to_owned()));
    }
    let jid: Jid = text.parse().map_err(|_| Error::invalid("target must be a number or a JID"))?;
    let number = if jid.is_lid() {
        world.resolve(&jid).ok_or_else(|| Error::not_found("no such LID"))?.number.clone()
    } else {
        jid.user_base().to_owned()
    };
    let named_device = text.contains(':');
    Ok(if named_device {
        Target::Device(DeviceAddress { number, device: jid.device })
    } else {
        Target::Phone(number)
    })
}

/// A chat as it is compared: a group, or somebody's number.
fn read_chat(world: &World, text: &str) -> Result<String, Error> {
    match text.parse::<Jid>() {
        Ok(jid) if text.contains('@') => Ok(routing::chat_name(world, &jid)),
        _ if text.bytes().all(|byte| byte.is_ascii_digit()) => Ok(text.to_owned()),
        _ => Err(Error::invalid("to must be a number or a JID")),
    }
}

pub async fn list(State(world): Shared) -> Json<Value> {
    let faults: Vec<_> = world.faults.list().iter().map(shown).collect();
    Json(json!({ "faults": faults }))
}

pub async fn clear(State(world): Shared) -> StatusCode {
    let lifted = world.faults.list();
    world.faults.clear();
    for fault in &lifted {
        reachout::announce(&world, fault);
    }
    StatusCode::NO_CONTENT
}

pub async fn remove(State(world): Shared, Path(id): Path<String>) -> Result<StatusCode, Error> {
    let number: Option<u64> = id.strip_prefix(PREFIX).unwrap_or(&id).parse().ok();
    let lifted = world.faults.list().into_iter().find(|fault| Some(fault.id) == number);
    if number.is_some_and(|id| world.faults.remove(id)) {
        if let Some(fault) = &lifted {
            reachout::announce(&world, fault);
        }
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(Error::not_found("no such fault, or it is used up"))
    }
}
