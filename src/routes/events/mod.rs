//! Event logs: a session's own, and the organization's of all its sessions.

pub mod list;
pub mod list_session;
pub mod wanted;
mod watched;

use gateway_domain::event::Envelope;
use serde::Serialize;
use utoipa::ToSchema;

/// A page of a log.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct EventList {
    /// The events: in each session's order, and always in the same order.
    data: Vec<Envelope>,
    /// The position to go on after, also when there is nothing new: the log grows.
    next_cursor: String,
    /// Whether events between `after` and the first of these are not kept any more.
    gap: bool,
}
