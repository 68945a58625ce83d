//! People the number knows: from the address book on the phone, from chats, from groups.

use std::collections::HashMap;

use gateway_sql::{Sql, SqlError};
use serde::Serialize;
use whatsapp_rust::{Jid, Server};

use super::{Library, rows, whole};
use crate::inbound::Inbound;

/// How much later somebody must have been heard of for that alone to be worth a write.
const SEEN_STEP_MS: u64 = 3_600_000;

/// What is known of a person. Without a LID and a number it is nobody.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Person {
    /// Their hidden id, a JID.
    pub lid: Option<String>,
    /// Their number, digits only.
    pub phone: Option<String>,
    /// Their name in the address book.
    pub name: Option<String>,
    /// The name they gave themselves.
    pub push_name: Option<String>,
    /// The name WhatsApp verified.
    pub business_name: Option<String>,
}

impl Person {
    /// The person behind these addresses.
    #[must_use]
    pub fn at<'a>(addresses: impl IntoIterator<Item = &'a Jid>) -> Self {
        let mut person = Self::default();
        for jid in addresses {
            match jid.server {
                Server::Lid => person.lid = Some(jid.to_non_ad_string()),
                Server::Pn => person.phone = Some(jid.user.to_string()),
                _ => {}
            }
        }
        person
    }

    /// The person behind a stored JID; a group is nobody.
    fn named(jid: &str) -> Self {
        let Some((user, server)) = jid.split_once('@') else { return Self::default() };
        match server {
            "lid" => Self { lid: Some(jid.to_owned()), ..Self::default() },
            "s.whatsapp.net" => Self { phone: Some(user.to_owned()), ..Self::default() },
            _ => Self::default(),
        }
    }

    fn is_somebody(&self) -> bool {
        self.lid.is_some() || self.phone.is_some()
    }

    /// Whether it is this number itself.
    #[must_use]
    pub fn is(&self, own: &Self) -> bool {
        let same = |a: &Option<String>, b: &Option<String>| a.is_some() && a == b;
        same(&self.lid, &own.lid) || same(&self.phone, &own.phone)
    }
}

/// How the number knows them: who is known in both ways is known by a chat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// In the address book, or by a chat.
    Dm,
    /// From a group only.
    Group,
}

impl Source {
    const fn name(self) -> &'static str {
        match self {
            Self::Dm => "dm",
            Self::Group => "group",
        }
    }
}

/// Who wrote a message, if it says what they call themselves.
#[must_use]
pub fn writer(inbound: &Inbound, verified_name: Option<&str>) -> Option<(Person, Source)> {
    let message = &inbound.payload;
    if message.from_me || (message.push_name.is_none() && verified_name.is_none()) {
        return None;
    }
    let mut person = Person::named(message.sender_jid.as_deref()?);
    person.lid = message.sender_lid.clone().or(person.lid);
    person.push_name.clone_from(&message.push_name);
    person.business_name = verified_name.map(str::to_owned);
    let source = if message.chat_jid.ends_with("@g.us") { Source::Group } else { Source::Dm };
    person.is_somebody().then_some((person, source))
}

impl<S: Sql> Library<S> {
    /// Takes in what is known of these people. What is not known of them now stays as it was.
    ///
    /// # Errors
    /// When the database fails.
    pub fn meet(
        &self,
        people: &[Person],
        source: Source,
        pull: Option<&str>,
        now: u64,
    ) -> Result<(), SqlError> {
        let mut people: Vec<Person> = people.iter().filter(|person| person.is_somebody()).cloned().collect();
        if people.is_empty() {
            return Ok(());
        }
        // Somebody may come twice, once with both addresses.
        let both = people.iter().filter_map(|person| Some((person.phone.clone()?, person.lid.clone()?)));
        let lids: HashMap<String, String> = both.collect();
        for person in people.iter_mut().filter(|person| person.lid.is_none()) {
            person.lid = person.phone.as_ref().and_then(|phone| lids.get(phone).cloned());
        }
        let people = rows(&people)?;
        self.learn_lids(&people)?;
        self.0.query(
            "INSERT INTO contact (jid, phone, name, push_name, business_name, source, first_seen, last_seen, pull)
             SELECT COALESCE(new.value ->> 'lid',
                (SELECT jid FROM contact WHERE phone = new.value ->> 'phone' ORDER BY jid LIKE '%@lid' DESC, last_seen DESC LIMIT 1),
                (new.value ->> 'phone') || '@s.whatsapp.net'),
                new.value ->> 'phone', new.value ->> 'name', new.value ->> 'push_name', new.value ->> 'business_name',
                ?2, ?3, ?3, ?4
             FROM json_each(?1) AS new WHERE true
             ON CONFLICT (jid) DO UPDATE SET
                phone = COALESCE(excluded.phone, phone), name = COALESCE(excluded.name, name),
                push_name = COALESCE(excluded.push_name, push_name),
                business_name = COALESCE(excluded.business_name, business_name),
                source = CASE 'dm' WHEN source THEN source ELSE excluded.source END,
                last_seen = MAX(last_seen, excluded.last_seen), pull = COALESCE(excluded.pull, pull)
             WHERE excluded.pull IS NOT NULL OR excluded.last_seen >= last_seen + ?5
                OR COALESCE(excluded.phone, phone) IS NOT phone OR COALESCE(excluded.name, name) IS NOT name
                OR COALESCE(excluded.push_name, push_name) IS NOT push_name
                OR COALESCE(excluded.business_name, business_name) IS NOT business_name
                OR (excluded.source = 'dm' AND source <> 'dm')",
            &[people, source.name().into(), whole(now), pull.into(), whole(SEEN_STEP_MS)],
        )?;
        Ok(())
    }

    /// Who went by their number goes by their LID once that is known, with everything known of them.
    fn learn_lids(&self, people: &gateway_sql::Value) -> Result<(), SqlError> {
        let known = self.0.query(
            "SELECT 1 FROM json_each(?1) AS new \
             JOIN contact AS old ON old.jid = (new.value ->> 'phone') || '@s.whatsapp.net' \
             WHERE new.value ->> 'lid' IS NOT NULL LIMIT 1",
            std::slice::from_ref(people),
        )?;
        if known.is_empty() {
            return Ok(());
        }
        self.0.query(
            "INSERT INTO contact (jid, phone, name, push_name, business_name, source, first_seen, last_seen, pull)
             SELECT new.value ->> 'lid', old.phone, old.name, old.push_name, old.business_name, old.source,
                old.first_seen, old.last_seen, old.pull
             FROM json_each(?1) AS new JOIN contact AS old ON old.jid = (new.value ->> 'phone') || '@s.whatsapp.net'
             WHERE new.value ->> 'lid' IS NOT NULL
             ON CONFLICT (jid) DO UPDATE SET
                phone = excluded.phone, name = COALESCE(name, excluded.name),
                push_name = COALESCE(push_name, excluded.push_name),
                business_name = COALESCE(business_name, excluded.business_name),
                source = CASE 'dm' WHEN source THEN source ELSE excluded.source END,
                first_seen = MIN(first_seen, excluded.first_seen), last_seen = MAX(last_seen, excluded.last_seen),
                pull = COALESCE(pull, excluded.pull)",
            std::slice::from_ref(people),
        )?;
        self.0.query(
            "DELETE FROM contact WHERE jid IN (SELECT (value ->> 'phone') || '@s.whatsapp.net' FROM json_each(?1) \
             WHERE value ->> 'lid' IS NOT NULL)",
            std::slice::from_ref(people),
        )?;
        Ok(())
    }

    /// The address book was read to its end: who was not in it has no name there any more.
    ///
    /// # Errors
    /// When the database fails.
    pub fn forget_names(&self, pull: &str) -> Result<(), SqlError> {
        self.0.query(
            "UPDATE contact SET name = NULL WHERE name IS NOT NULL AND pull IS NOT ?1",
            &[pull.into()],
        )?;
        Ok(())
    }

    /// Who the stored messages know: by a chat, and from groups only.
    ///
    /// # Errors
    /// When the database fails or holds something else.
    pub fn people_of_chats(&self, own: &Person) -> Result<(Vec<Person>, Vec<Person>), SqlError> {
        // From one chat and sender to the next: the index is not read from end to end, messages are many.
        let found = self.0.query(
            "WITH RECURSIVE pair (chat, sender) AS (
                SELECT * FROM (SELECT chat, sender FROM message ORDER BY chat, sender LIMIT 1)
                UNION ALL
                SELECT (SELECT chat FROM message WHERE (chat, sender) > (pair.chat, pair.sender) ORDER BY chat, sender LIMIT 1),
                    (SELECT sender FROM message WHERE (chat, sender) > (pair.chat, pair.sender) ORDER BY chat, sender LIMIT 1)
                FROM pair WHERE pair.chat IS NOT NULL)
             SELECT chat, sender FROM pair WHERE chat IS NOT NULL",
            &[],
        )?;
        let (mut by_chat, mut by_group) = (Vec::new(), Vec::new());
        for row in &found {
            let (chat, sender) = (row.text(0)?, row.text(1)?);
            let is_group = chat.ends_with("@g.us");
            let person = Person::named(if is_group { &sender } else { &chat });
            if person.is_somebody() && !person.is(own) {
                if is_group { &mut by_group } else { &mut by_chat }.push(person);
            }
        }
        Ok((by_chat, by_group))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::library::in_memory;
    use gateway_sql::native::NativeSql;

    fn person(lid: Option<&str>, phone: Option<&str>, name: Option<&str>) -> Person {
        let owned = |text: Option<&str>| text.map(str::to_owned);
        Person { lid: owned(lid), phone: owned(phone), name: owned(name), ..Person::default() }
    }

    /// JID, number, name, source, pull; in the order of their JIDs.
    fn kept(library: &Library<NativeSql>) -> Vec<String> {
        let statement = "SELECT jid, phone, name, push_name, source, pull FROM contact ORDER BY jid";
        let rows = library.0.query(statement, &[]).unwrap();
        let columns = |row: &gateway_sql::Row| {
            (0..6).map(|column| row.optional_text(column).unwrap().unwrap_or("-".into())).collect::<Vec<_>>()
        };
        rows.iter().map(|row| columns(row).join(" ")).collect()
    }

    #[test]
    fn a_contact_is_updated_and_nothing_known_is_lost() {
        let library = in_memory();
        library.meet(&[person(Some("7@lid"), Some("4917"), Some("Ann"))], Source::Dm, None, 1).unwrap();
        library.meet(&[person(Some("7@lid"), None, None)], Source::Group, Some("pull"), 2).unwrap();
        assert_eq!(kept(&library), ["7@lid 4917 Ann - dm pull"]);
        library.meet(&[person(None, Some("4917"), Some("Anna"))], Source::Dm, None, 3).unwrap();
        assert_eq!(kept(&library), ["7@lid 4917 Anna - dm pull"], "a number is found at its LID");
    }

    #[test]
    fn who_went_by_number_goes_by_lid_once_it_is_known() {
        let library = in_memory();
        library.meet(&[person(None, Some("4917"), Some("Ann"))], Source::Dm, Some("a"), 1).unwrap();
        assert_eq!(kept(&library), ["4917@s.whatsapp.net 4917 Ann - dm a"]);
        library.meet(&[person(Some("7@lid"), Some("4917"), None)], Source::Group, None, 2).unwrap();
        assert_eq!(kept(&library), ["7@lid 4917 Ann - dm a"]);
        // Known twice, until both turn out to be one.
        library.meet(&[person(None, Some("4918"), Some("Bob"))], Source::Dm, None, 3).unwrap();
        library.meet(&[person(Some("8@lid"), None, None)], Source::Group, None, 3).unwrap();
        library.meet(&[person(Some("8@lid"), Some("4918"), None)], Source::Group, None, 4).unwrap();
        assert_eq!(kept(&library), ["7@lid 4917 Ann - dm a", "8@lid 4918 Bob - dm -"]);
    }

    #[test]
    fn the_same_person_twice_in_one_batch_is_one_contact() {
        let library = in_memory();
        let people = [
            person(None, Some("4917"), Some("Ann")),
            person(Some("7@lid"), Some("4917"), None),
            person(None, None, Some("nobody")),
        ];
        library.meet(&people, Source::Dm, None, 1).unwrap();
        assert_eq!(kept(&library), ["7@lid 4917 Ann - dm -"]);
        let many: Vec<Person> =
            (0..1_000).map(|n| person(Some(&format!("{n:04}@lid")), None, None)).collect();
        library.meet(&many, Source::Group, None, 2).unwrap();
        assert_eq!(kept(&library).len(), 1_001);
    }

    #[test]
    fn hearing_of_somebody_again_soon_is_no_write() {
        let library = in_memory();
        let ann = [person(Some("7@lid"), Some("4917"), Some("Ann"))];
        let changes = |people: &[Person], source, now| {
            library.meet(people, source, None, now).unwrap();
            library.0.query("SELECT changes()", &[]).unwrap()[0].integer(0).unwrap()
        };
        assert_eq!(changes(&ann, Source::Group, 1), 1);
        assert_eq!(changes(&ann, Source::Group, 2), 0);
        assert_eq!(changes(&ann, Source::Dm, 3), 1);
        assert_eq!(changes(&ann, Source::Dm, 3 + SEEN_STEP_MS), 1);
    }

    #[test]
    fn names_that_left_the_address_book_are_forgotten_the_people_are_not() {
        let library = in_memory();
        let (ann, bob) = (person(None, Some("4917"), Some("Ann")), person(None, Some("4918"), Some("Bob")));
        library.meet(&[ann.clone(), bob], Source::Dm, Some("first"), 1).unwrap();
        library.meet(&[ann], Source::Dm, Some("second"), 2).unwrap();
        library.forget_names("second").unwrap();
        assert_eq!(
            kept(&library),
            ["4917@s.whatsapp.net 4917 Ann - dm second", "4918@s.whatsapp.net 4918 - - dm first"]
        );
    }

    #[test]
    fn chats_and_senders_are_people_and_this_number_is_not() {
        let library = in_memory();
        for (chat, sender) in [
            ("4917@s.whatsapp.net", "4917@s.whatsapp.net"),
            ("4917@s.whatsapp.net", "4900@s.whatsapp.net"),
            ("9@lid", "4900@s.whatsapp.net"),
            ("1-2@g.us", "4900@s.whatsapp.net"),
            ("1-2@g.us", "5@lid"),
            ("5@newsletter", "5@newsletter"),
            ("4900@s.whatsapp.net", "4900@s.whatsapp.net"),
        ] {
            for id in ["a", "b"] {
                library
                    .0
                    .query(
                        "INSERT INTO message VALUES (?1, ?2, ?3, 0, 'text', NULL, NULL, 1)",
                        &[chat.into(), sender.into(), id.into()],
                    )
                    .unwrap();
            }
        }
        let own = person(None, Some("4900"), None);
        let (mut by_chat, by_group) = library.people_of_chats(&own).unwrap();
        by_chat.dedup();
        assert_eq!(by_chat, [person(None, Some("4917"), None), person(Some("9@lid"), None, None)]);
        assert_eq!(by_group, [person(Some("5@lid"), None, None)]);
        assert_eq!(in_memory().people_of_chats(&own).unwrap(), (vec![], vec![]));
    }

    #[test]
    fn the_writer_of_a_message_is_known_by_the_name_they_gave_themselves() {
        use whatsapp_rust::types::message::{MessageInfo, MessageSource};
        use whatsapp_rust::waproto::whatsapp::Message;
        let inbound = |chat: &str, from_me, push_name: &str| {
            let source = MessageSource {
                chat: chat.parse().unwrap(),
                sender: "7:3@lid".parse().unwrap(),
                sender_alt: Some("4917:3@s.whatsapp.net".parse().unwrap()),
                is_group: chat.ends_with("@g.us"),
                is_from_me: from_me,
                ..Default::default()
            };
            let info = MessageInfo { source, push_name: push_name.to_owned(), ..Default::default() };
            let text = Message { conversation: Some("hi".to_owned()), ..Default::default() };
            crate::inbound::normalise(&text, &info).unwrap()
        };
        let (ann, source) = writer(&inbound("7@lid", false, "Ann"), None).unwrap();
        assert_eq!((ann.lid.as_deref(), ann.phone.as_deref()), (Some("7@lid"), Some("4917")));
        assert_eq!((ann.push_name.as_deref(), source), (Some("Ann"), Source::Dm));
        let (shop, source) = writer(&inbound("1-2@g.us", false, ""), Some("Shop")).unwrap();
        assert_eq!((shop.business_name.as_deref(), source), (Some("Shop"), Source::Group));
        assert!(writer(&inbound("7@lid", true, "me"), None).is_none());
        assert!(writer(&inbound("7@lid", false, ""), None).is_none());
    }
}
