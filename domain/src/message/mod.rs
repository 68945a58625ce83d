//! Messages: what a caller may send, what a caller may do with one, and what both answer.
//!
//! A request is read as it comes (`send_body`), as the contract has it (`request`, `about`) and becomes something that is right by construction
//! (`outgoing`), or an error that names the field. `media_type` tells what a file is from its bytes alone.

mod about;
mod attach;
mod compose;
mod contact;
mod emoji;
mod examine;
mod fields;
pub mod limits;
pub mod media_type;
mod outgoing;
mod request;
mod result;
mod send_body;
mod task;
#[cfg(test)]
mod tests;

pub use about::{
    Edit, EditMessageInputBody, Forward, ForwardInputBody, Reaction, ReactionInputBody, Revoke,
    RevokeMessageInputBody, Vote, VoteInputBody,
};
pub use emoji::is_emoji;
pub use examine::{Facts, too_large};
pub use fields::message_id;
pub use limits::MAX_TEXT_CHARS;
pub use outgoing::{Content, Media, MediaKind, Outgoing, Source};
pub use request::{AlbumMediaPayload, AlbumMediaType, ContactCard, MediaPayload, MessageType, SendRequest};
pub use result::{OutboxEntry, OutboxStatus, SendResult};
pub use send_body::{FileFound, SendBody};
pub use task::Task;
