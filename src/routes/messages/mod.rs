//! Messages of a session.

pub mod send;
