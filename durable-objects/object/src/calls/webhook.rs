//! What a webhook's object, the postman, can be asked. Its name is the webhook's id.

use gateway_domain::event::Envelope;
use gateway_domain::webhook::{DeliveryStatus, WebhookDelivery};
use serde::{Deserialize, Serialize};

/// A call, with whose webhook it is for.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Request {
    /// The organization.
    pub organization: String,
    /// The webhook's id.
    pub webhook: String,
    /// What to do.
    pub call: Call,
}

/// See the module.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Call {
    /// The ledger has news, up to this position; answers `null` once that is noted durably.
    Wake {
        /// The ledger's newest position.
        position: u64,
    },
    /// The webhook was made or changed: read it from the directory again; answers `null` once that is done.
    Configure {
        /// Where in the ledger it begins; counts only while it has not begun.
        start: Option<u64>,
    },
    /// Send a `webhook.test` now; answers its [`WebhookDelivery`].
    Test,
    /// A page of the deliveries, the newest first; answers [`Deliveries`].
    Deliveries {
        /// Only those of this status.
        status: Option<DeliveryStatus>,
        /// How many at most.
        limit: u32,
        /// Where to go on before.
        before: Option<u64>,
    },
    /// Deliver again; answers [`ReplayResult`](gateway_domain::webhook::ReplayResult), or 409 when too many wait already.
    Replay(Replay),
    /// The webhook is deleted: forget everything; answers `null`.
    Erase,
}

/// What to deliver again.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Replay {
    /// All that is dead.
    Dead,
    /// These deliveries.
    Deliveries(Vec<String>),
    /// These events of a session, in its order.
    Events(Vec<Envelope>),
}

/// A page of deliveries.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deliveries {
    /// The deliveries, the newest first.
    pub deliveries: Vec<WebhookDelivery>,
    /// Where to go on before; `None` at the end.
    pub before: Option<u64>,
}
