//! A person to share: their vCard, given or made.

use crate::error::ApiError;
use crate::event::ContactData;

use super::fields::{line, phone, required};
use super::limits::{MAX_CONTACT_NAME_CHARS, MAX_VCARD_BYTES};
use super::request::ContactCard;

impl ContactCard {
    pub(super) fn into_contact(self) -> Result<ContactData, ApiError> {
        let name = self.name.map(|name| line("contact.name", name, MAX_CONTACT_NAME_CHARS)).transpose()?;
        let Some(vcard) = self.vcard else {
            let name = required("contact.name", name)?;
            let phone = phone("contact.phone", &required("contact.phone", self.phone)?)?;
            return Ok(ContactData { vcard: Some(made(&name, &phone)), display_name: Some(name) });
        };
        if self.phone.is_some() {
            return Err(ApiError::validation("contact.phone", "Belongs into the vCard where there is one."));
        }
        let own_name = check(&vcard)?;
        let display_name = name.or(own_name);
        if display_name.is_none() {
            return Err(ApiError::validation("contact.name", "Is required: the vCard has no FN."));
        }
        Ok(ContactData { display_name, vcard: Some(vcard) })
    }
}

/// A vCard as WhatsApp makes them: `waid` is what lets one write to the person from the card.
fn made(name: &str, phone: &str) -> String {
    let mut escaped = String::with_capacity(name.len());
    for letter in name.chars() {
        if matches!(letter, '\\' | ',' | ';') {
            escaped.push('\\');
        }
        escaped.push(letter);
    }
    let telephone = format!("TEL;type=CELL;type=VOICE;waid={phone}:+{phone}");
    format!("BEGIN:VCARD\nVERSION:3.0\nN:;{escaped};;;\nFN:{escaped}\n{telephone}\nEND:VCARD")
}

/// Checks that it is one vCard, and returns the name on it.
fn check(vcard: &str) -> Result<Option<String>, ApiError> {
    let wrong = |message| ApiError::validation("contact.vcard", message);
    if vcard.len() > MAX_VCARD_BYTES {
        return Err(wrong("Must be 65536 bytes at most."));
    }
    let lines: Vec<&str> = vcard.lines().map(str::trim_end).filter(|line| !line.is_empty()).collect();
    let is = |line: Option<&&str>, what: &str| line.is_some_and(|line| line.eq_ignore_ascii_case(what));
    let beginnings = lines.iter().filter(|line| line.eq_ignore_ascii_case("BEGIN:VCARD")).count();
    if !is(lines.first(), "BEGIN:VCARD") || !is(lines.last(), "END:VCARD") || beginnings != 1 {
        return Err(wrong("Must be one vCard, from BEGIN:VCARD to END:VCARD."));
    }
    let names = lines.iter().filter_map(|line| {
        let (property, value) = line.split_once(':')?;
        let property = property.split(';').next()?;
        let property = property.rsplit('.').next()?;
        property.eq_ignore_ascii_case("FN").then(|| unescaped(value))
    });
    Ok(names.into_iter().find(|name| !name.trim().is_empty()))
}

fn unescaped(value: &str) -> String {
    let mut name = String::with_capacity(value.len());
    let mut letters = value.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => name.push(letters.next().filter(|next| !matches!(next, 'n' | 'N')).unwrap_or(' ')),
            letter if letter.is_control() => {}
            letter => name.push(letter),
        }
    }
    name.chars().take(MAX_CONTACT_NAME_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contact(name: Option<&str>, phone: Option<&str>, vcard: Option<&str>) -> Result<ContactData, String> {
        let own = |text: Option<&str>| text.map(str::to_owned);
        let card = ContactCard { name: own(name), phone: own(phone), vcard: own(vcard) };
        card.into_contact().map_err(|error| error.error.details["field"].as_str().unwrap().to_owned())
    }

    fn refused(name: Option<&str>, phone: Option<&str>, vcard: Option<&str>) -> String {
        contact(name, phone, vcard).unwrap_err()
    }

    #[test]
    fn a_card_is_made_of_a_name_and_a_number() {
        let made = contact(Some("Doe, Jane; \\o/"), Some("+4915112345678"), None).unwrap();
        assert_eq!(made.display_name.as_deref(), Some("Doe, Jane; \\o/"));
        assert_eq!(
            made.vcard.as_deref(),
            Some(
                "BEGIN:VCARD\nVERSION:3.0\nN:;Doe\\, Jane\\; \\\\o/;;;\nFN:Doe\\, Jane\\; \\\\o/\n\
                 TEL;type=CELL;type=VOICE;waid=4915112345678:+4915112345678\nEND:VCARD"
            )
        );
        // What we make, we would take, under the same name.
        assert_eq!(contact(None, None, made.vcard.as_deref()), Ok(made));
    }

    #[test]
    fn the_name_is_the_cards_own_unless_another_is_given() {
        for (card, name) in [
            ("BEGIN:VCARD\r\nVERSION:3.0\r\nFN:Jane\r\nEND:VCARD\r\n", "Jane"),
            ("begin:vcard\nitem1.fn;CHARSET=utf-8:Jän:e\nend:vcard", "Jän:e"),
            ("\nBEGIN:VCARD\nFN: \nFN:A\\nB\\, C\nEND:VCARD", "A B, C"),
        ] {
            assert_eq!(
                contact(None, None, Some(card)).unwrap().display_name.as_deref(),
                Some(name),
                "{card}"
            );
            let named = contact(Some("Other"), None, Some(card)).unwrap();
            assert_eq!((named.display_name.as_deref(), named.vcard.as_deref()), (Some("Other"), Some(card)));
        }
    }

    #[test]
    fn each_fault_names_its_field() {
        let fine = "BEGIN:VCARD\nFN:Jane\nEND:VCARD";
        assert_eq!(refused(None, None, None), "contact.name");
        assert_eq!(refused(None, Some("4915112345678"), None), "contact.name");
        assert_eq!(refused(Some(" "), Some("4915112345678"), None), "contact.name");
        assert_eq!(refused(Some("a\nb"), Some("4915112345678"), None), "contact.name");
        assert_eq!(refused(Some("Jane"), None, None), "contact.phone");
        assert_eq!(refused(None, Some("4915112345678"), Some(fine)), "contact.phone");
        for number in ["", "+", "123456", "1234567890123456", "4915112345678@c.us", "+49 151", "ab12345678"] {
            assert_eq!(refused(Some("Jane"), Some(number), None), "contact.phone", "{number}");
        }
        for number in ["1234567", "123456789012345"] {
            assert!(contact(Some("Jane"), Some(number), None).is_ok(), "{number}");
        }
        assert_eq!(refused(None, None, Some("BEGIN:VCARD\nTEL:1\nEND:VCARD")), "contact.name");
        for card in
            ["", " ", "x", "FN:Jane", "BEGIN:VCARD", "BEGIN:VCARD\nFN:Jane", &format!("{fine}\n{fine}")]
        {
            assert_eq!(refused(Some("Jane"), None, Some(card)), "contact.vcard", "{card}");
        }
        let longest = "é".repeat(MAX_CONTACT_NAME_CHARS);
        assert!(contact(Some(&longest), Some("4915112345678"), None).is_ok());
        assert_eq!(refused(Some(&format!("{longest}x")), Some("4915112345678"), None), "contact.name");
        let card = |note: usize| format!("BEGIN:VCARD\nFN:J\nNOTE:{}\nEND:VCARD", "x".repeat(note));
        let room = MAX_VCARD_BYTES - card(0).len();
        assert!(contact(None, None, Some(&card(room))).is_ok());
        assert_eq!(refused(None, None, Some(&card(room + 1))), "contact.vcard");
    }
}
