//! WebSockets for browsers: a ticket, and the socket it opens.

pub mod create_ticket;
pub mod open;
