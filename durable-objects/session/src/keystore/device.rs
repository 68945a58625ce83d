//! The device: the credentials WhatsApp knows this number's companion by, in one row.
//!
//! A row that can't be read is an error, never "no device": the library would answer that with a new one, and
//! the pairing would be lost.
//!
//! Three fields of a [`Device`] live in memory only, and are lost on a restart:
//! * `device_props` (the name and the history wishes a phone sees when pairing) and `client_profile` (the kind of
//!   client every login claims) come back as the library's defaults. Whoever wants others sets them before each
//!   connect.
//! * `nct_salt_sync_seen` comes back as false, which is right for a new process.

use std::sync::Arc;

use async_trait::async_trait;
use gateway_sql::Sql;
use whatsapp_rust::wacore::client_profile::ClientProfile;
use whatsapp_rust::wacore::store::Device;
use whatsapp_rust::wacore::store::device::DEVICE_PROPS;
use whatsapp_rust::wacore::store::error::Result;
use whatsapp_rust::wacore::store::traits::DeviceStore;

use super::{Keystore, decode, encode};

#[cfg_attr(target_arch = "wasm32", async_trait(?Send))]
#[cfg_attr(not(target_arch = "wasm32"), async_trait)]
impl<S: Sql + Send + Sync + 'static> DeviceStore for Keystore<S> {
    async fn save(&self, device: &Device) -> Result<()> {
        self.run(
            "INSERT INTO key_device (id, record) VALUES (1, ?)
             ON CONFLICT (id) DO UPDATE SET record = excluded.record",
            &[encode("device", device)?.into()],
        )
    }

    async fn load(&self) -> Result<Option<Device>> {
        self.device()
    }

    async fn exists(&self) -> Result<bool> {
        Ok(self.first("SELECT 1 FROM key_device", &[])?.is_some())
    }

    /// A new device with new keys, unless there is one. Its id is always 1: an object holds one number.
    async fn create(&self) -> Result<i32> {
        let record = encode("device", &Device::new())?;
        self.run("INSERT OR IGNORE INTO key_device (id, record) VALUES (1, ?)", &[record.into()])?;
        Ok(1)
    }
}

impl<S: Sql> Keystore<S> {
    /// Whether a phone has linked this device: from then on it has a phone number of its own.
    ///
    /// # Errors
    /// When the device can't be read.
    pub fn is_paired(&self) -> Result<bool> {
        Ok(self.device()?.is_some_and(|device| device.pn.is_some()))
    }

    fn device(&self) -> Result<Option<Device>> {
        let Some(record) = self.first_blob("SELECT record FROM key_device", &[])? else { return Ok(None) };
        let mut device: Device = decode("device", &record)?;
        // Serde fills in empty ones, and a phone would see a nameless device.
        device.device_props = Arc::new(DEVICE_PROPS.clone());
        device.client_profile = ClientProfile::web();
        Ok(Some(device))
    }
}
