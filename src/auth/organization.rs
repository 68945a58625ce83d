//! Whose things a request may touch.

use super::Principal;
use crate::directory::{SessionRow, WebhookRow};

/// An organization that somebody proved to act for, or whose row the directory has. Nothing else makes one, least of
/// all what a request says; so the directory can't be asked on anybody else's behalf.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Organization(String);

impl Organization {
    /// What an authenticated caller acts for; empty for a person who chose none.
    pub(super) fn of_caller(name: String) -> Self {
        Self(name)
    }

    /// Whose a session is.
    pub fn of(row: &SessionRow) -> Self {
        Self(row.organization_id.clone())
    }

    /// Whose a webhook is.
    pub fn of_webhook(row: &WebhookRow) -> Self {
        Self(row.organization_id.clone())
    }

    /// The platform itself, which has a log of its own.
    pub fn platform(principal: &Principal) -> Option<Self> {
        principal.is_super_admin().then(|| Self(String::new()))
    }

    /// Its id.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
