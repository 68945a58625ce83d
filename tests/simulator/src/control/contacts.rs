//! `/phones/{number}/contacts`: a phone's address book.

use std::sync::PoisonError;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, json};
use wacore_binary::Jid;

use super::phones::find;
use super::{Error, Shared, parse};
use crate::account::Account;
use crate::address_book::{self, AddressBook, Contact};
use crate::appstate;
use crate::world::World;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NewContact {
    #[serde(alias = "jid")]
    phone_number: String,
    name: String,
}

fn shown(account: &Account) -> Json<Value> {
    let state = account.app_state.lock().unwrap_or_else(PoisonError::into_inner);
    let contacts: Vec<Value> = state
        .contacts
        .iter()
        .map(|(jid, contact)| json!({ "jid": jid, "lid": contact.lid, "name": contact.name }))
        .collect();
    Json(json!({ "contacts": contacts }))
}

pub async fn list(State(world): Shared, Path(number): Path<String>) -> Result<Json<Value>, Error> {
    Ok(shown(&*find(&world, &number)?))
}

pub async fn replace(
    State(world): Shared,
    Path(number): Path<String>,
    body: Bytes,
) -> Result<Json<Value>, Error> {
    let account = find(&world, &number)?;
    let mut book = AddressBook::new();
    for NewContact { phone_number, name } in parse::<Vec<NewContact>>(&body)? {
        let (jid, lid) = person(&world, &phone_number)?;
        book.insert(jid, Contact { name, lid });
    }
    account.shelf.unit(|| {
        let version = {
            let mut state = account.app_state.lock().unwrap_or_else(PoisonError::into_inner);
            address_book::replace(&mut state, book, &account.shelf)
        };
        if let Some(version) = version {
            appstate::tell_others(&account, 0, address_book::COLLECTION, version);
        }
    });
    Ok(shown(&account))
}

/// Somebody's phone-number JID and, when they are on WhatsApp, their LID. An address book knows others too.
fn person(world: &World, named: &str) -> Result<(String, Option<String>), Error> {
    if let Some(account) = world.find(named) {
        return Ok((account.pn().to_string(), Some(account.lid().to_string())));
    }
    let digits = named.trim_start_matches('+');
    let jid = if digits.bytes().all(|byte| byte.is_ascii_digit()) && !digits.is_empty() {
        Some(Jid::pn(digits))
    } else {
        named.parse::<Jid>().ok().filter(Jid::is_pn).map(Jid::into_non_ad)
    };
    jid.map(|jid| (jid.to_string(), None)).ok_or_else(|| {
        Error::new(
            StatusCode::BAD_REQUEST,
            "invalid_request",
            "a contact is a number, its JID or a known LID",
        )
    })
}
