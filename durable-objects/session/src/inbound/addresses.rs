//! Who and where: the two names of people, as a stanza has them.

use whatsapp_rust::types::message::MessageSource;
use whatsapp_rust::{Jid, Server};

/// The names one person goes by, without a device.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Addresses {
    /// By number.
    pub phone: Option<String>,
    /// By hidden id.
    pub lid: Option<String>,
}

impl Addresses {
    /// Of somebody a stanza names, perhaps twice.
    #[must_use]
    pub fn of(jid: &Jid, alternative: Option<&Jid>) -> Self {
        let on = |server: Server| {
            let both = [Some(jid), alternative].into_iter().flatten();
            both.filter(|jid| jid.server == server).map(Jid::to_non_ad_string).next()
        };
        Self { phone: on(Server::Pn), lid: on(Server::Lid) }
    }

    /// The name they go by here.
    #[must_use]
    pub fn name(&self) -> Option<String> {
        self.phone.clone().or_else(|| self.lid.clone())
    }
}

/// The chat a message belongs to. WhatsApp addresses the same person by phone number or by hidden id (LID); a chat
/// goes by the phone number where the stanza tells it, so that it is one chat.
#[must_use]
pub fn chat(source: &MessageSource) -> Addresses {
    if source.is_group || !matches!(source.chat.server, Server::Pn | Server::Lid) {
        return Addresses::default();
    }
    let alternative = if source.is_from_me { &source.recipient_alt } else { &source.sender_alt };
    Addresses::of(&source.chat, alternative.as_ref())
}
