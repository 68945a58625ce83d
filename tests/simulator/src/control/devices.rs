//! `/devices`: every linked companion and how it is doing.

use std::sync::PoisonError;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::Serialize;
use serde_json::{Value, json};
use wacore_binary::Jid;

use super::phones::find;
use super::{Error, Shared};
use crate::account::Device;
use crate::noise::Pattern;
use crate::phone::linking;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ShownDevice {
    jid: String,
    lid: String,
    phone: String,
    device: u16,
    connected: bool,
    queue_length: usize,
    logins: u64,
    last_handshake: Option<Pattern>,
    /// Seconds since the epoch, of the last login.
    connected_at: Option<u64>,
    one_time_pre_keys: usize,
}

impl ShownDevice {
    fn of(device: &Device) -> Self {
        let logins = device.logins.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let keys = device.keys.lock().unwrap_or_else(PoisonError::into_inner).one_time_left();
        Self {
            jid: device.jid().to_string(),
            lid: device.lid_jid().to_string(),
            phone: device.number.clone(),
            device: device.id,
            connected: device.mailbox.link().is_some(),
            queue_length: device.mailbox.len(),
            logins: logins.count,
            last_handshake: logins.last_handshake,
            connected_at: logins.connected_at,
            one_time_pre_keys: keys,
        }
    }
}

pub async fn list(State(world): Shared) -> Json<Value> {
    let accounts = world.accounts();
    let devices: Vec<_> = accounts
        .iter()
        .flat_map(|account| account.devices())
        .map(|device| ShownDevice::of(&device))
        .collect();
    Json(json!({ "devices": devices }))
}

pub async fn unlink(
    State(world): Shared,
    Path((number, device)): Path<(String, String)>,
) -> Result<StatusCode, Error> {
    let account = find(&world, &number)?;
    // A device is named by its number or by its JID.
    let device = match device.parse::<u16>() {
        Ok(device) => device,
        Err(_) => {
            device.parse::<Jid>().map_err(|_| Error::invalid("device must be a number or a JID"))?.device
        }
    };
    if linking::unlink(&world, &account, device).await {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(Error::not_found("no such device"))
    }
}
