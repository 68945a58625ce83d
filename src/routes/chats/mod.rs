//! Chats.

pub mod read;
