//! How much of what others send is taken in. A payload is one row of the log, and a row may have 2 MB; a message that
//! could not be stored would be delivered again for ever. What people send stays far below all of this.

use whatsapp_rust::Jid;
use whatsapp_rust::waproto::whatsapp::MessageKey;

/// A text, a caption, a vCard.
pub const TEXT: usize = 256 * 1024;
/// The text of a quoted message.
pub const QUOTE: usize = 16 * 1024;
/// A name, an address, an option of a poll.
pub const NAME: usize = 1024;
/// The name of somebody who is mentioned; an emoji, with all its joiners.
pub const SHORT: usize = 128;
/// An id.
const ID: usize = 256;
/// A JID.
const JID: usize = 64;
/// How many can be mentioned: a full group.
pub const MENTIONS: usize = 1024;
/// How many options a poll has.
pub const OPTIONS: usize = 256;
/// The largest whole number that survives JSON.
const WHOLE: u64 = 9_007_199_254_740_991;

/// The beginning of a text, as much as may be of it.
pub fn clip(text: &str, most: usize) -> String {
    text.get(..text.floor_char_boundary(most)).unwrap_or_default().to_owned()
}

/// The beginning of a name; nothing for an empty one.
pub fn name(name: Option<&String>) -> Option<String> {
    name.filter(|name| !name.is_empty()).map(|name| clip(name, NAME))
}

/// A reaction; empty when it was taken back.
pub fn emoji(text: Option<&String>) -> String {
    text.map(|text| clip(text, SHORT)).unwrap_or_default()
}

/// A number JSON can carry.
pub fn whole(number: u64) -> Option<u64> {
    Some(number).filter(|number| *number <= WHOLE)
}

/// An id that can be one.
pub fn id(text: Option<&String>) -> Option<String> {
    text.filter(|text| !text.is_empty() && text.len() <= ID).cloned()
}

/// A JID without its device; nothing for what is none.
pub fn jid(text: &str) -> Option<String> {
    let is_plain = text.len() <= JID && text.bytes().all(|byte| byte.is_ascii_graphic());
    let jid: Jid = Some(text).filter(|_| is_plain)?.parse().ok()?;
    Some(jid.to_non_ad_string())
}

/// The message a key names.
pub fn target(key: Option<&MessageKey>) -> Option<String> {
    id(key?.id.as_ref())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_between_two_characters() {
        assert_eq!(
            (clip("äöü", 3).as_str(), clip("äöü", 99).as_str(), clip("", 9).as_str()),
            ("ä", "äöü", "")
        );
    }

    #[test]
    fn an_id_is_kept_whole_or_not_at_all() {
        let of = |text: &str| id(Some(&text.to_owned()));
        assert_eq!(jid("7:3@lid").as_deref(), Some("7@lid"));
        assert!(
            jid("7\n@lid").is_none()
                && jid(&format!("{}@lid", "7".repeat(99))).is_none()
                && jid("").is_none()
        );
        assert_eq!((of("3EB0"), of(""), of(&"A".repeat(257))), (Some("3EB0".to_owned()), None, None));
    }
}
