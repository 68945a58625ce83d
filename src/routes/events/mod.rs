//! Event logs.

pub mod list_session;
