//! The audit log: who did what in the organization.

pub mod list;
