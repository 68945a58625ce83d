//! The rows of one owner, as the rooms see the store.

use std::sync::Arc;

use serde::Serialize;

use super::{Change, Kind, Store};

/// A handle to the rows of one owner. The default keeps nothing.
#[derive(Clone, Default)]
pub struct Shelf {
    store: Store,
    era: u64,
    owner: Option<Arc<str>>,
}

impl std::fmt::Debug for Shelf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Shelf").field(&self.owner).finish()
    }
}

impl Shelf {
    pub(super) fn new(store: Store, era: u64, owner: &str) -> Self {
        Self { store, era, owner: Some(owner.into()) }
    }

    /// The rows of a device of this account; 0 is the phone.
    pub fn of_device(&self, device: u16) -> Self {
        let owner = self.owner.as_deref().map(|number| device_owner(number, device).into());
        Self { store: self.store.clone(), era: self.era, owner }
    }

    pub fn put(&self, kind: Kind, key: impl Into<String>, value: impl FnOnce() -> Vec<u8>) {
        self.change(|owner| Change::Put { owner, kind, key: key.into(), value: value() });
    }

    pub fn put_json(&self, kind: Kind, key: impl Into<String>, value: &impl Serialize) {
        // Structs of strings, numbers and bytes: they can't fail to be JSON.
        self.put(kind, key, || serde_json::to_vec(value).unwrap_or_default());
    }

    pub fn delete(&self, kind: Kind, key: impl Into<String>) {
        self.change(|owner| Change::Delete { owner, kind, key: key.into() });
    }

    pub fn delete_kind(&self, kind: Kind) {
        self.change(|owner| Change::DeleteKind { owner, kind });
    }

    pub fn delete_all(&self) {
        self.change(|owner| Change::DeleteOwner { owner });
    }

    /// See [`Store::unit`].
    pub fn unit<T>(&self, work: impl FnOnce() -> T) -> T {
        self.store.unit(work)
    }

    fn change(&self, change: impl FnOnce(Arc<str>) -> Change) {
        if let Some(owner) = &self.owner {
            self.store.change(self.era, || change(owner.clone()));
        }
    }
}

/// Whose rows those of a device are.
pub fn device_owner(number: &str, device: u16) -> String {
    format!("{number}:{device}")
}

/// A number as a key whose order is its own.
pub fn ordered(number: u64) -> String {
    format!("{number:016x}")
}
