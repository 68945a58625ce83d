//! `/groups`: founding and changing groups, as their members would.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Error, Shared, parse};
use crate::groups::{Group, Happening, Participant, Role};
use crate::world::World;

#[derive(Deserialize)]
pub struct NewGroup {
    subject: String,
    creator: String,
    #[serde(default)]
    participants: Vec<String>,
    /// Those of the participants who may do what the creator may.
    #[serde(default)]
    admins: Vec<String>,
    description: Option<String>,
    #[serde(default)]
    announce: bool,
    #[serde(default)]
    locked: bool,
    ephemeral: Option<u32>,
}

#[derive(Deserialize)]
pub struct Change {
    by: Option<String>,
    subject: Option<String>,
    description: Option<String>,
    announce: Option<bool>,
    locked: Option<bool>,
    /// 0 turns it off.
    ephemeral: Option<u32>,
}

#[derive(Deserialize)]
pub struct People {
    by: Option<String>,
    participants: Vec<String>,
}

fn shown(world: &World, group: &Group) -> Value {
    let participants: Vec<Value> = group
        .participants
        .iter()
        .filter_map(|participant| {
            let account = world.account(&participant.number)?;
            Some(json!({
                "phoneNumber": account.number,
                "jid": account.pn().to_string(),
                "lid": account.lid().to_string(),
                "admin": participant.role.name(),
            }))
        })
        .collect();
    let person = |number: &str| world.account(number).map(|account| account.pn().to_string());
    json!({
        "jid": group.jid().to_string(),
        "subject": group.subject,
        "subjectOwner": person(&group.subject_owner),
        "subjectTime": group.subject_time,
        "creator": person(&group.creator),
        "creation": group.creation,
        "description": group.description.as_ref().map(|description| &description.text),
        "announce": group.announce,
        "locked": group.locked,
        "ephemeral": group.ephemeral,
        "addressingMode": "lid",
        "participants": participants,
    })
}

pub async fn create(State(world): Shared, body: Bytes) -> Result<(StatusCode, Json<Value>), Error> {
    let wanted: NewGroup = parse(&body)?;
    let creator = number(&world, &wanted.creator)?;
    let admins = numbers(&world, &wanted.admins)?;
    let mut participants = vec![Participant { number: creator.clone(), role: Role::SuperAdmin }];
    for number in numbers(&world, &wanted.participants)?.into_iter().chain(admins.clone()) {
        if !participants.iter().any(|known| known.number == number) {
            let role = if admins.contains(&number) { Role::Admin } else { Role::Member };
            participants.push(Participant { number, role });
        }
    }
    let group = Group {
        id: String::new(),
        subject: wanted.subject,
        subject_owner: creator.clone(),
        subject_time: 0,
        creator: creator.clone(),
        creation: 0,
        participants,
        description: None,
        announce: wanted.announce,
        locked: wanted.locked,
        ephemeral: wanted.ephemeral.filter(|seconds| *seconds > 0),
    };
    let mut group = world.groups.create(&world, group);
    if let Some(text) = wanted.description {
        group = happen(&world, &group, &creator, &Happening::Description(text))?;
    }
    Ok((StatusCode::CREATED, Json(shown(&world, &group))))
}

pub async fn list(State(world): Shared) -> Json<Value> {
    let groups: Vec<_> = world.groups.list().iter().map(|group| shown(&world, group)).collect();
    Json(json!({ "groups": groups }))
}

pub async fn show(State(world): Shared, Path(group): Path<String>) -> Result<Json<Value>, Error> {
    Ok(Json(shown(&world, &find(&world, &group)?)))
}

pub async fn change(
    State(world): Shared,
    Path(group): Path<String>,
    body: Bytes,
) -> Result<Json<Value>, Error> {
    let mut group = find(&world, &group)?;
    let wanted: Change = parse(&body)?;
    let by = actor(&world, &group, wanted.by.as_deref())?;
    let happenings = [
        wanted.subject.map(Happening::Subject),
        wanted.description.map(Happening::Description),
        wanted.announce.map(Happening::Announce),
        wanted.locked.map(Happening::Locked),
        wanted.ephemeral.map(|seconds| Happening::Ephemeral((seconds > 0).then_some(seconds))),
    ];
    for happening in happenings.into_iter().flatten() {
        group = happen(&world, &group, &by, &happening)?;
    }
    Ok(Json(shown(&world, &group)))
}

pub async fn add(State(world): Shared, Path(group): Path<String>, body: Bytes) -> Result<Json<Value>, Error> {
    let group = find(&world, &group)?;
    let People { by, participants } = parse(&body)?;
    let by = actor(&world, &group, by.as_deref())?;
    let mut new = numbers(&world, &participants)?;
    new.retain(|number| !group.has(number));
    if new.is_empty() {
        return Ok(Json(shown(&world, &group)));
    }
    Ok(Json(shown(&world, &happen(&world, &group, &by, &Happening::Add(new))?)))
}

pub async fn remove(
    State(world): Shared,
    Path((group, person)): Path<(String, String)>,
) -> Result<Json<Value>, Error> {
    let group = find(&world, &group)?;
    let person = number(&world, &person)?;
    if !group.has(&person) {
        return Err(Error::not_found("not in this group"));
    }
    // Who throws the creator out? They leave by themselves.
    let by = actor(&world, &group, None).unwrap_or_else(|_| person.clone());
    Ok(Json(shown(&world, &happen(&world, &group, &by, &Happening::Remove(vec![person]))?)))
}

fn happen(world: &World, group: &Group, by: &str, happening: &Happening) -> Result<Group, Error> {
    world.groups.happen(world, &group.id, by, happening).ok_or_else(no_such_group)
}

/// Who does it: the creator when nobody is named.
fn actor(world: &World, group: &Group, named: Option<&str>) -> Result<String, Error> {
    let actor = match named {
        Some(named) => number(world, named)?,
        None => group.creator.clone(),
    };
    if group.has(&actor) {
        return Ok(actor);
    }
    Err(Error::new(StatusCode::FORBIDDEN, "not_in_group", "whoever does this must be in the group"))
}

/// A group by its JID or the user part of it.
fn find(world: &World, named: &str) -> Result<Group, Error> {
    let id = named.strip_suffix("@g.us").unwrap_or(named);
    world.groups.get(id).ok_or_else(no_such_group)
}

fn no_such_group() -> Error {
    Error::not_found("no such group")
}

fn numbers(world: &World, named: &[String]) -> Result<Vec<String>, Error> {
    named.iter().map(|named| number(world, named)).collect()
}

fn number(world: &World, named: &str) -> Result<String, Error> {
    let account = world.find(named).ok_or_else(|| {
        Error::new(StatusCode::NOT_FOUND, "not_on_whatsapp", "nobody has this number or JID")
    })?;
    Ok(account.number.clone())
}
