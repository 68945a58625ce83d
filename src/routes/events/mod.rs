//! Event logs: a session's own, and the organization's of all its sessions.

pub mod list;
pub mod list_session;
pub mod wanted;
mod watched;
