//! Chats: how far each was read, and how the owner arranged it on the phone. What they hold is in `messages`.

use gateway_domain::chat::{Chat, ChatType};
use gateway_domain::jid::parse_recipient;
use gateway_sql::{Row, Sql, SqlError, Value, unsigned, whole};
use whatsapp_rust::Jid;
use whatsapp_rust::types::events::Event;

use crate::names::{Names, WhoIs};

/// The tables, for the object's schema. A chat has a row once it is shown, read or arranged. How far it was read is the place
/// of a message in the order in which they came (the rowid of its details, which are never removed): several have the same
/// second, and an older one may come late.
pub const TABLES: &[&str] = &[
    "CREATE TABLE IF NOT EXISTS chat (
       id INTEGER PRIMARY KEY, jid TEXT NOT NULL UNIQUE, read_through INTEGER NOT NULL DEFAULT 0,
       archived INTEGER NOT NULL DEFAULT 0, pinned INTEGER NOT NULL DEFAULT 0, muted_until INTEGER)",
    "CREATE INDEX IF NOT EXISTS message_detail_by_chat ON message_detail (chat)",
];

/// Places of messages that were read while an older one of their chat was not.
pub const READ_APART: &[&str] = &["CREATE TABLE IF NOT EXISTS read_apart (
       chat TEXT NOT NULL, place INTEGER NOT NULL, PRIMARY KEY (chat, place)) WITHOUT ROWID"];

/// A message of a chat (`?1`) that nobody has read.
const IS_UNREAD: &str = "detail.chat = ?1 AND from_me = 0 \
    AND detail.rowid > COALESCE((SELECT read_through FROM chat WHERE jid = ?1), 0) \
    AND NOT EXISTS (SELECT 1 FROM read_apart WHERE chat = ?1 AND place = detail.rowid)";

/// The most messages that are marked as read at a time.
const MOST_UNREAD: u32 = 500;

/// The messages in the order in which they came.
const AS_THEY_CAME: &str = "message_detail AS detail CROSS JOIN message ON message.chat = detail.chat \
    AND message.sender = detail.sender AND message.id = detail.id";

/// A message nobody has read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unread {
    /// Its id.
    pub id: String,
    /// Who sent it, by the name they have in the chat.
    pub sender: String,
}

/// The chats over the object's database.
pub struct Chats<'sql, S>(&'sql S);

impl<'sql, S: Sql> Chats<'sql, S> {
    /// The chats in this database.
    pub const fn new(sql: &'sql S) -> Self {
        Self(sql)
    }

    /// A chat; nothing where no message came or went.
    ///
    /// # Errors
    /// When the database fails or holds something else.
    pub fn show(&self, session: &str, jid: &str) -> Result<Option<Chat>, SqlError> {
        let last = self.0.query(
            &format!(
                "SELECT timestamp FROM {AS_THEY_CAME} WHERE detail.chat = ?1 ORDER BY detail.rowid DESC LIMIT 1"
            ),
            &[jid.into()],
        )?;
        let last = last.first().map_or(Ok(None), |row| row.optional_integer(0))?;
        let (Some(last), Ok(parsed)) = (last, parse_recipient(jid)) else { return Ok(None) };
        self.know(jid)?;
        let rows = self.0.query(
            &format!(
                "SELECT id, archived, pinned, muted_until, \
                    (SELECT COUNT(*) FROM {AS_THEY_CAME} WHERE {IS_UNREAD}) FROM chat WHERE jid = ?1"
            ),
            &[jid.into()],
        )?;
        let Some(row) = rows.first() else { return Ok(None) };
        let names = Names::new(self.0);
        Ok(Some(Chat {
            id: row.integer(0)?,
            session_id: session.to_owned(),
            jid: jid.to_owned(),
            r#type: ChatType::of(&parsed),
            name: self.name(jid)?,
            aliases: names.lid_of(jid).map(|lid| vec![lid]),
            unread_count: row.integer(4)?,
            archived: row.integer(1)? != 0,
            pinned: row.integer(2)? != 0,
            last_message_at: u64::try_from(last).ok(),
            muted_until: row.optional_integer(3)?.and_then(|until| u64::try_from(until).ok()),
        }))
    }

    /// What came and was not read, the oldest first, and the place of the last of it.
    ///
    /// # Errors
    /// When the database fails or holds something else.
    pub fn unread(&self, jid: &str) -> Result<(Vec<Unread>, u64), SqlError> {
        let rows = self.0.query(
            &format!(
                "SELECT message.id, message.sender, json_extract(document, '$.senderLid'), detail.rowid \
                 FROM {AS_THEY_CAME} WHERE {IS_UNREAD} ORDER BY detail.rowid LIMIT ?2"
            ),
            &[jid.into(), MOST_UNREAD.into()],
        )?;
        let last = rows.last().map_or(Ok(0), |row| row.integer(3))?;
        // Groups know their members by hidden id.
        let unread = |row: &Row| {
            let hidden = row.optional_text(2)?.filter(|_| jid.ends_with("@g.us"));
            Ok(Unread { id: row.text(0)?, sender: hidden.map_or_else(|| row.text(1), Ok)? })
        };
        let unread = rows.iter().map(unread).collect::<Result<Vec<_>, SqlError>>()?;
        Ok((unread, u64::try_from(last).unwrap_or(0)))
    }

    /// The chat was read up to this place, on whatever device.
    ///
    /// # Errors
    /// When the database fails.
    pub fn read_through(&self, jid: &str, place: u64) -> Result<(), SqlError> {
        self.know(jid)?;
        self.0.query(
            "UPDATE chat SET read_through = ?2 WHERE jid = ?1 AND read_through < ?2",
            &[jid.into(), whole(place)],
        )?;
        self.0
            .query("DELETE FROM read_apart WHERE chat = ?1 AND place <= ?2", &[jid.into(), whole(place)])?;
        Ok(())
    }

    /// These messages were read on another device, and with them their chats so far.
    ///
    /// # Errors
    /// When the database fails or holds something else.
    pub fn were_read(&self, ids: &[String]) -> Result<(), SqlError> {
        for id in ids {
            for (chat, place) in self.places(id)? {
                self.read_through(&chat, place)?;
            }
        }
        Ok(())
    }

    /// The receipt of this message was sent, and of no other: what came before it stays as unread as it was.
    ///
    /// # Errors
    /// When the database fails or holds something else.
    pub fn was_receipted(&self, id: &str) -> Result<(), SqlError> {
        for (chat, place) in self.places(id)? {
            let older = self.0.query(
                &format!("SELECT 1 FROM {AS_THEY_CAME} WHERE {IS_UNREAD} AND detail.rowid < ?2 LIMIT 1"),
                &[chat.as_str().into(), whole(place)],
            )?;
            if older.is_empty() {
                self.read_through(&chat, place)?;
            } else {
                self.0.query(
                    "INSERT INTO read_apart (chat, place) VALUES (?1, ?2) ON CONFLICT DO NOTHING",
                    &[chat.into(), whole(place)],
                )?;
            }
        }
        Ok(())
    }

    /// The chats in which there is a message of this id that somebody else sent, and its place there.
    fn places(&self, id: &str) -> Result<Vec<(String, u64)>, SqlError> {
        let rows = self.0.query(
            "SELECT detail.chat, detail.rowid FROM message JOIN message_detail AS detail \
                ON detail.chat = message.chat AND detail.sender = message.sender AND detail.id = message.id \
             WHERE message.id = ?1 AND from_me = 0 LIMIT 20",
            &[id.into()],
        )?;
        rows.iter().map(|row| Ok((row.text(0)?, unsigned(row.integer(1)?)))).collect()
    }

    /// The chat was read at this time.
    fn read_at(&self, jid: &str, at: i64) -> Result<(), SqlError> {
        let rows = self.0.query(
            &format!(
                "SELECT detail.rowid FROM {AS_THEY_CAME} WHERE detail.chat = ?1 AND timestamp <= ?2 \
                 ORDER BY detail.rowid DESC LIMIT 1"
            ),
            &[jid.into(), at.into()],
        )?;
        let Some(row) = rows.first() else { return Ok(()) };
        self.read_through(jid, u64::try_from(row.integer(0)?).unwrap_or(0))
    }

    /// What the owner did to a chat on the phone; all else is none of its business.
    ///
    /// # Errors
    /// When the database fails.
    pub fn arranged(&self, event: &Event) -> Result<(), SqlError> {
        match event {
            Event::ArchiveUpdate(update) => {
                self.set(&update.jid, "archived", (update.action.archived != Some(false)).into())
            }
            Event::PinUpdate(update) => {
                self.set(&update.jid, "pinned", (update.action.pinned != Some(false)).into())
            }
            Event::MuteUpdate(update) => {
                // A mute without an end is for ever, which WhatsApp writes as -1.
                let ends = update.action.mute_end_timestamp.filter(|ends| *ends > 0);
                let until = match (update.action.muted, ends) {
                    (Some(false), _) => Value::Null,
                    (_, ends) => Value::Integer(ends.unwrap_or(FOR_EVER).min(FOR_EVER)),
                };
                self.set(&update.jid, "muted_until", until)
            }
            Event::MarkChatAsReadUpdate(update) if update.action.read != Some(false) => {
                self.read_at(&Names::new(self.0).name(&update.jid), update.timestamp.timestamp_millis())
            }
            _ => Ok(()),
        }
    }

    fn set(&self, jid: &Jid, column: &str, value: Value) -> Result<(), SqlError> {
        let jid = Names::new(self.0).name(jid);
        self.know(&jid)?;
        self.0.query(&format!("UPDATE chat SET {column} = ?2 WHERE jid = ?1"), &[jid.into(), value])?;
        Ok(())
    }

    fn know(&self, jid: &str) -> Result<(), SqlError> {
        self.0.query("INSERT INTO chat (jid) VALUES (?1) ON CONFLICT DO NOTHING", &[jid.into()])?;
        Ok(())
    }

    fn name(&self, jid: &str) -> Result<Option<String>, SqlError> {
        let digits = jid.strip_suffix("@s.whatsapp.net").unwrap_or_default();
        let rows = self.0.query(
            "SELECT COALESCE(name, push_name, business_name) FROM contact WHERE jid = ?1 OR phone = ?2 \
             UNION ALL SELECT subject FROM chat_group WHERE jid = ?1",
            &[jid.into(), digits.into()],
        )?;
        let names = rows.iter().map(|row| row.optional_text(0)).collect::<Result<Vec<_>, _>>()?;
        Ok(names.into_iter().flatten().next())
    }
}

/// The largest time that JavaScript's dates know.
const FOR_EVER: i64 = 8_640_000_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::{Journal, MessageRow};
    use gateway_domain::event::MessagePayload;
    use gateway_sql::native::NativeSql;
    use whatsapp_rust::waproto::whatsapp::Message;

    const CHAT: &str = "4915112345678@s.whatsapp.net";
    const GROUP: &str = "120363041234567890@g.us";

    fn journal() -> Journal<NativeSql> {
        Journal::open(NativeSql::in_memory().unwrap()).unwrap()
    }

    fn hear(journal: &Journal<NativeSql>, chat: &str, id: &str, from_me: bool, timestamp: u64) {
        let row = MessageRow {
            chat: chat.into(),
            sender: CHAT.into(),
            id: id.into(),
            from_me,
            kind: "text".into(),
            body: None,
            status: None,
            timestamp,
        };
        journal.insert_message(&row).unwrap();
        let told = MessagePayload { sender_lid: Some("7@lid".into()), ..MessagePayload::default() };
        journal.messages().describe(&row, &told, &Message::default()).unwrap();
    }

    #[test]
    fn a_chat_counts_what_nobody_has_read_and_never_unreads() {
        let journal = journal();
        let chats = Chats::new(journal.sql());
        assert_eq!(chats.show("s", CHAT), Ok(None));
        for (id, from_me, at) in [("a", false, 10), ("mine", true, 15), ("b", false, 20)] {
            hear(&journal, CHAT, id, from_me, at);
        }
        let shown = |chats: &Chats<'_, NativeSql>| chats.show("s", CHAT).unwrap().unwrap();
        assert_eq!((shown(&chats).unread_count, shown(&chats).last_message_at), (2, Some(20)));
        let (unread, last) = chats.unread(CHAT).unwrap();
        let ids: Vec<&str> = unread.iter().map(|one| one.id.as_str()).collect();
        assert_eq!((ids, unread[0].sender.as_str()), (vec!["a", "b"], CHAT));
        chats.were_read(&["a".to_owned(), "mine".to_owned(), "nobody's".to_owned()]).unwrap();
        assert_eq!(shown(&chats).unread_count, 1);
        chats.read_through(CHAT, last).unwrap();
        chats.were_read(&["a".to_owned()]).unwrap();
        assert_eq!((shown(&chats).unread_count, chats.unread(CHAT).unwrap().0.len()), (0, 0));
        // It comes late, and of the same second as one that was read.
        hear(&journal, CHAT, "late", false, 5);
        hear(&journal, CHAT, "same", false, 20);
        assert_eq!(shown(&chats).unread_count, 2);
        chats.read_at(CHAT, 5).unwrap();
        assert_eq!(chats.unread(CHAT).unwrap().0[0].id, "same");
        assert_eq!(shown(&chats).id, shown(&chats).id);
    }

    #[test]
    fn a_receipt_of_one_message_reads_no_older_one() {
        let journal = journal();
        let chats = Chats::new(journal.sql());
        for (id, at) in [("a", 10), ("b", 20), ("c", 30), ("d", 40)] {
            hear(&journal, CHAT, id, false, at);
        }
        let unread =
            || -> Vec<String> { chats.unread(CHAT).unwrap().0.into_iter().map(|one| one.id).collect() };
        chats.was_receipted("a").unwrap();
        chats.was_receipted("c").unwrap();
        chats.was_receipted("c").unwrap();
        assert_eq!(
            (unread(), chats.show("s", CHAT).unwrap().unwrap().unread_count),
            (vec!["b".into(), "d".into()], 2)
        );
        // With the receipt of what was missing all is in order.
        let apart = || journal.sql().query("SELECT 1 FROM read_apart", &[]).unwrap().len();
        assert_eq!(apart(), 1);
        chats.was_receipted("b").unwrap();
        chats.was_receipted("d").unwrap();
        assert_eq!((unread(), apart()), (Vec::<String>::new(), 0));
    }

    #[test]
    fn in_a_group_who_wrote_goes_by_their_hidden_id_and_the_chat_by_its_subject() {
        let journal = journal();
        hear(&journal, GROUP, "a", false, 10);
        let insert = "INSERT INTO chat_group (jid, subject, announce, locked, participant_count, members, joined, \
                      first_seen, updated) VALUES (?1, 'Friends', 0, 0, 2, 2, 1, 1, 1)";
        journal.sql().query(insert, &[GROUP.into()]).unwrap();
        let chats = Chats::new(journal.sql());
        assert_eq!(chats.unread(GROUP).unwrap().0[0].sender, "7@lid");
        let shown = chats.show("s", GROUP).unwrap().unwrap();
        assert_eq!((shown.r#type, shown.name.as_deref()), (ChatType::Group, Some("Friends")));
    }
}
