//! The platform's own operations: across organizations, for a super_admin's login only.

pub mod list_sessions;
