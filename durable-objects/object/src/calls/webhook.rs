//! What a webhook's object, the postman, can be asked. Its name is the webhook's id.

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
}
