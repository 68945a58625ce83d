//! Who a message goes to: a WhatsApp JID, or bare digits, as `to` takes it.

/// What kind of chat a JID names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Server {
    /// A person by phone number: `@s.whatsapp.net` (`@c.us` is the old spelling).
    Phone,
    /// A person by hidden id: `@lid`.
    Lid,
    /// A group: `@g.us`.
    Group,
    /// A channel: `@newsletter`.
    Newsletter,
}

impl Server {
    const fn name(self) -> &'static str {
        match self {
            Self::Phone => "s.whatsapp.net",
            Self::Lid => "lid",
            Self::Group => "g.us",
            Self::Newsletter => "newsletter",
        }
    }
}

/// A chat's JID in canonical form: no device part, `@c.us` spelled `@s.whatsapp.net`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChatJid {
    /// The part before the `@`.
    pub user: String,
    /// The part after it.
    pub server: Server,
}

impl std::fmt::Display for ChatJid {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}@{}", self.user, self.server.name())
    }
}

/// Reads a recipient.
///
/// # Errors
/// With the reason, for a person, when it is neither a JID of a kind that receives messages nor the digits of
/// an international phone number.
pub fn parse_recipient(text: &str) -> Result<ChatJid, &'static str> {
    let text = text.trim();
    let Some((user, server)) = text.split_once('@') else {
        let digits = text.strip_prefix('+').unwrap_or(text);
        return if is_phone_number(digits) {
            Ok(ChatJid { user: digits.to_owned(), server: Server::Phone })
        } else {
            Err("Must be a JID, or the digits of an international phone number (7 to 15 of them).")
        };
    };
    let server = match server {
        "s.whatsapp.net" | "c.us" => Server::Phone,
        "lid" => Server::Lid,
        "g.us" => Server::Group,
        "newsletter" => Server::Newsletter,
        _ => return Err("The part after the @ must be s.whatsapp.net, lid, g.us, newsletter or c.us."),
    };
    // A device (`…:3@…`) is where a chat is delivered, not a chat.
    let user = user.split_once(':').map_or(user, |(user, _device)| user);
    let well_formed = match server {
        Server::Phone => is_phone_number(user),
        Server::Lid | Server::Newsletter => is_digits(user) && user.len() <= 30,
        Server::Group => {
            user.len() <= 40
                && !user.is_empty()
                && user.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-')
        }
    };
    if well_formed {
        Ok(ChatJid { user: user.to_owned(), server })
    } else {
        Err("The part before the @ is not of its kind.")
    }
}

/// Digits only, international, 7 to 15 of them (ITU-T E.164).
#[must_use]
pub fn is_phone_number(text: &str) -> bool {
    (7..=15).contains(&text.len()) && is_digits(text)
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// The phone number of a JID such as `49151…:3@s.whatsapp.net`; `None` for every other server.
#[must_use]
pub fn phone_number(jid: &str) -> Option<&str> {
    let (user, server) = jid.split_once('@')?;
    let user = user.split_once(':').map_or(user, |(user, _)| user);
    (server == "s.whatsapp.net" && is_digits(user)).then_some(user)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_a_person_is_one_chat() {
        for spelling in [
            "4915112345678",
            "+4915112345678",
            "4915112345678@c.us",
            "4915112345678@s.whatsapp.net",
            "4915112345678:7@s.whatsapp.net",
        ] {
            assert_eq!(
                parse_recipient(spelling).map(|jid| jid.to_string()),
                Ok("4915112345678@s.whatsapp.net".to_owned()),
                "{spelling}"
            );
        }
    }

    #[test]
    fn groups_lids_and_channels_keep_their_server() {
        for jid in [
            "120363041234567890@g.us",
            "491511234-1612345678@g.us",
            "123456789012345@lid",
            "120363041234567890@newsletter",
        ] {
            assert_eq!(parse_recipient(jid).map(|jid| jid.to_string()), Ok(jid.to_owned()));
        }
    }

    #[test]
    fn what_is_no_recipient_is_refused_with_a_reason() {
        for text in [
            "",
            "@",
            "123",
            "abc",
            "1234567890123456",
            "+",
            "a@b",
            "@s.whatsapp.net",
            "x@g.us",
            "12345678@broadcast",
            "12345678@s.whatsapp.net@x",
            "１２３４５６７８",
        ] {
            assert!(parse_recipient(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_phone_number_of_a_device_is_its_user_part() {
        assert_eq!(phone_number("4915112345678:3@s.whatsapp.net"), Some("4915112345678"));
        assert_eq!(phone_number("123@lid"), None);
    }
}
