//! Who may call what: one table, which the door asks on every request and the OpenAPI document shows.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What an operation needs and a caller may have (the contract's "Who calls").
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Capability {
    /// Reading chats, contacts, messages.
    Read,
    /// Sending and changing things on WhatsApp.
    Send,
    /// Sessions, webhooks, keys.
    Manage,
    /// The event log and its streams.
    Events,
}

impl Capability {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Read, Self::Send, Self::Manage, Self::Events];

    /// The capability's name in a key's permissions and in `operations.json`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Send => "send",
            Self::Manage => "manage",
            Self::Events => "events",
        }
    }
}

/// What the door asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Nothing.
    Public,
    /// A caller of an organization who has this.
    Needs(Capability),
    /// As [`Access::Needs`], and a `super_admin` may for any organization.
    NeedsAcross(Capability),
    /// A `super_admin`'s login; never a key.
    SuperAdmin,
    /// The configured `METRICS_TOKEN`, and nothing else.
    MetricsToken,
    /// A realtime ticket, and nothing else.
    Ticket,
}

impl Access {
    /// Its name in `operations.json`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Needs(capability) | Self::NeedsAcross(capability) => capability.name(),
            Self::SuperAdmin => "super_admin",
            Self::MetricsToken => "metrics_token",
            Self::Ticket => "ticket",
        }
    }
}

/// An operation at the door.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Operation {
    /// Its name in the OpenAPI document.
    pub id: &'static str,
    /// Who may.
    pub access: Access,
    /// Whether every call of somebody known goes into the audit log.
    pub audited: bool,
}

impl Operation {
    /// One that leaves no trace in the audit log, unless somebody reaches into another organization with it.
    #[must_use]
    pub const fn quiet(id: &'static str, access: Access) -> Self {
        Self { id, access, audited: false }
    }

    /// One that goes into the audit log, whether it was allowed and worked or not.
    #[must_use]
    pub const fn audited(id: &'static str, access: Access) -> Self {
        Self { id, access, audited: true }
    }
}

const MANAGE: Access = Access::Needs(Capability::Manage);
const SEND: Access = Access::Needs(Capability::Send);
const READ: Access = Access::Needs(Capability::Read);
const EVENTS: Access = Access::Needs(Capability::Events);

/// All operations. Messages are not audited: the session's log and its `message` rows tell who wrote what.
pub const OPERATIONS: &[Operation] = &[
    Operation::quiet("health", Access::Public),
    Operation::quiet("ready", Access::Public),
    Operation::quiet("metrics", Access::MetricsToken),
    Operation::quiet("openapi", Access::Public),
    Operation::quiet("listSessions", MANAGE),
    Operation::audited("createSession", MANAGE),
    Operation::quiet("getSession", Access::NeedsAcross(Capability::Manage)),
    Operation::audited("updateSession", MANAGE),
    Operation::audited("deleteSession", MANAGE),
    Operation::quiet("sessionQR", MANAGE),
    Operation::audited("sessionPairingCode", MANAGE),
    Operation::quiet("getPasskeyChallenge", MANAGE),
    Operation::audited("submitPasskey", MANAGE),
    Operation::quiet("sessionTimeline", MANAGE),
    Operation::quiet("sessionMe", MANAGE),
    Operation::audited("startSession", MANAGE),
    Operation::audited("stopSession", MANAGE),
    Operation::audited("restartSession", MANAGE),
    Operation::audited("logoutSession", MANAGE),
    Operation::quiet("sendMessage", SEND),
    Operation::quiet("editMessage", SEND),
    Operation::quiet("revokeMessage", SEND),
    Operation::quiet("addReaction", SEND),
    Operation::quiet("removeReaction", SEND),
    Operation::quiet("forwardMessage", SEND),
    Operation::quiet("voteMessage", SEND),
    Operation::quiet("getOutboxEntry", SEND),
    Operation::quiet("readChat", SEND),
    Operation::quiet("getMessage", READ),
    Operation::quiet("getMessageMedia", READ),
    Operation::quiet("listSessionEvents", EVENTS),
    Operation::quiet("listEvents", EVENTS),
    Operation::quiet("createRealtimeTicket", EVENTS),
    Operation::quiet("openRealtime", Access::Ticket),
    Operation::quiet("listApiKeys", MANAGE),
    Operation::audited("createApiKey", MANAGE),
    Operation::quiet("getApiKey", MANAGE),
    Operation::audited("updateApiKey", MANAGE),
    Operation::audited("deleteApiKey", MANAGE),
    Operation::audited("rotateApiKey", MANAGE),
    Operation::quiet("listWebhooks", MANAGE),
    Operation::audited("createWebhook", MANAGE),
    Operation::quiet("getWebhook", MANAGE),
    Operation::audited("updateWebhook", MANAGE),
    Operation::audited("deleteWebhook", MANAGE),
    Operation::audited("rotateWebhookSecret", MANAGE),
    Operation::audited("testWebhook", MANAGE),
    Operation::quiet("listWebhookDeliveries", MANAGE),
    Operation::audited("replayWebhook", MANAGE),
    Operation::quiet("listAuditLog", Access::NeedsAcross(Capability::Manage)),
    Operation::audited("adminListSessions", Access::SuperAdmin),
    Operation::audited("adminStartSessionBackfill", Access::SuperAdmin),
    Operation::quiet("adminSessionBackfillStatus", Access::SuperAdmin),
];

/// The operation of this name.
#[must_use]
pub fn operation(id: &str) -> Option<&'static Operation> {
    OPERATIONS.iter().find(|operation| operation.id == id)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn an_operation_stands_in_the_table_once() {
        let names: HashSet<&str> = OPERATIONS.iter().map(|operation| operation.id).collect();
        assert_eq!(names.len(), OPERATIONS.len());
    }
}
