//! What the disk held when the store was opened.

use std::collections::HashMap;

use anyhow::{Context as _, Result};
use rusqlite::Connection;
use serde::de::DeserializeOwned;

use super::Kind;
use super::shelf::device_owner;

type Keyed = Vec<(String, Vec<u8>)>;

/// All rows, to be taken by the rooms they belong to.
#[derive(Default)]
pub struct Rows {
    by_owner: HashMap<(Kind, String), Keyed>,
}

impl Rows {
    pub(super) fn read(connection: &Connection) -> Result<Self> {
        let mut by_owner = HashMap::<_, Keyed>::new();
        let mut statement =
            connection.prepare("SELECT owner, kind, key, value FROM rows ORDER BY owner, kind, key")?;
        let mut found = statement.query([])?;
        while let Some(row) = found.next()? {
            let name: String = row.get(1)?;
            let kind = Kind::ALL.into_iter().find(|kind| kind.name() == name);
            let kind = kind.with_context(|| format!("a row of an unknown kind: {name}"))?;
            by_owner.entry((kind, row.get(0)?)).or_default().push((row.get(2)?, row.get(3)?));
        }
        Ok(Self { by_owner })
    }

    /// Whoever has rows of this kind.
    pub fn owners(&self, kind: Kind) -> Vec<String> {
        let mut owners: Vec<_> =
            self.by_owner.keys().filter(|(of, _)| *of == kind).map(|(_, owner)| owner.clone()).collect();
        owners.sort();
        owners
    }

    /// The rows of one owner, in the order of their keys.
    pub fn take(&mut self, kind: Kind, owner: &str) -> Keyed {
        self.by_owner.remove(&(kind, owner.to_owned())).unwrap_or_default()
    }

    /// The same for values that were put as JSON.
    pub fn take_json<T: DeserializeOwned>(&mut self, kind: Kind, owner: &str) -> Result<Vec<(String, T)>> {
        self.take(kind, owner)
            .into_iter()
            .map(|(key, value)| {
                let value = serde_json::from_slice(&value)
                    .with_context(|| format!("{} {key} of {owner}", kind.name()))?;
                Ok((key, value))
            })
            .collect()
    }

    /// The only row of this kind.
    pub fn take_one<T: DeserializeOwned>(&mut self, kind: Kind, owner: &str) -> Result<T> {
        let found = self.take_json(kind, owner)?.into_iter().next();
        Ok(found.with_context(|| format!("no {} of {owner}", kind.name()))?.1)
    }

    /// The rows of one device.
    pub fn take_device(&mut self, kind: Kind, number: &str, device: u16) -> Keyed {
        self.take(kind, &device_owner(number, device))
    }
}

/// The number a key was made of with [`super::shelf::ordered`].
pub fn number(key: &str) -> Result<u64> {
    u64::from_str_radix(key, 16).with_context(|| format!("{key} is no number"))
}
