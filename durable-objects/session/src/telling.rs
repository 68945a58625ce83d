//! What else WhatsApp tells, as events of ours: of chats, people, groups, calls and channels.
//!
//! Pure: an event of the library in, an event of the contract out. Messages, receipts and what happens to the session
//! go other ways (`inbound`, `news`).
//!
//! What bounds them: presence comes only of those whose presence was asked for, and of whoever writes while this
//! number is online; the rest is something a person has done. The state of the whole account, which WhatsApp hands
//! over after a pairing, is no change and is not told: the library's backfill has it.

mod chats;
mod groups;
mod people;
#[cfg(test)]
mod tests;

use serde::Serialize;
use whatsapp_rust::types::events::Event;

use crate::names::WhoIs;

/// An event to append.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// Its type.
    pub event: &'static str,
    /// Its payload, as the log keeps it.
    pub payload: String,
    /// What makes it one event, where WhatsApp may deliver it again.
    pub occasion: Option<String>,
}

impl Told {
    /// An event that is told whenever it comes.
    pub fn new(event: &'static str, payload: &impl Serialize) -> Self {
        let payload = serde_json::to_string(payload).unwrap_or_else(|_| "{}".to_owned());
        Self { event, payload, occasion: None }
    }

    /// Told once, however often it is delivered.
    fn once(self, occasion: String) -> Self {
        Self { occasion: Some(occasion), ..self }
    }
}

/// What an event of the library tells; most tell nothing.
pub fn tell(event: &Event, who: &dyn WhoIs) -> Option<Told> {
    match event {
        Event::Presence(update) => Some(people::presence(update, who)),
        Event::ChatPresence(update) => Some(people::chat_presence(update, who)),
        Event::ContactUpdate(update) => people::in_address_book(update, who),
        Event::PushNameUpdate(update) => Some(people::push_name(update, who)),
        Event::ContactUpdated(update) => Some(people::changed(&update.jid, update.timestamp, who)),
        Event::UserAboutUpdate(update) => Some(people::changed(&update.jid, update.timestamp, who)),
        Event::ContactNumberChanged(update) => Some(people::changed(&update.new_jid, update.timestamp, who)),
        Event::IncomingCall(call) => people::call(call, who),
        Event::GroupUpdate(update) => groups::update(update, who),
        Event::MexNotification(told) => chats::newsletter(told),
        event => chats::change(event, who),
    }
}

/// Whether it is one of these, and WhatsApp takes it for delivered: then it is written also when the connection that
/// brought it is closing.
#[must_use]
pub fn is_delivered_once(event: &Event) -> bool {
    match event {
        Event::MexNotification(told) => chats::newsletter(told).is_some(),
        Event::ContactUpdate(_)
        | Event::ContactUpdated(_)
        | Event::ContactNumberChanged(_)
        | Event::UserAboutUpdate(_)
        | Event::IncomingCall(_)
        | Event::GroupUpdate(_)
        | Event::PictureUpdate(_)
        | Event::ArchiveUpdate(_)
        | Event::PinUpdate(_)
        | Event::MuteUpdate(_)
        | Event::MarkChatAsReadUpdate(_)
        | Event::ClearChatUpdate(_)
        | Event::DeleteChatUpdate(_) => true,
        _ => false,
    }
}

/// A time of the library, epoch milliseconds.
fn millis(time: whatsapp_rust::chrono::DateTime<whatsapp_rust::chrono::Utc>) -> u64 {
    u64::try_from(time.timestamp_millis()).unwrap_or(0)
}
