//! What is kept of a message beside its text: what it quotes, its poll, its media, and its bytes as WhatsApp
//! delivered them, which forwarding, quoting and fetching media need later. And what was told already.
//!
//! As in the journal, what a method writes is one synchronous run.

use gateway_domain::event::MessagePayload;
use gateway_sql::{Row, Sql, SqlError, Value, whole};
use whatsapp_rust::waproto::codec;
use whatsapp_rust::waproto::whatsapp::Message;

use crate::inbound::content;
use crate::journal::MessageRow;

/// The most bytes that are kept of a message: a larger one can't be forwarded, nor its media fetched. Real ones stay
/// below it, a preview picture is what makes them large.
const MAX_RAW: usize = 256 * 1024;
/// The most bytes of what was told of it that are kept: a row holds 2 MB.
const MAX_DOCUMENT: usize = 1_500_000;
/// How many occasions are remembered as told; WhatsApp repeats what a connection did not acknowledge, not more.
const MAX_HEARD: i64 = 20_000;
/// How many receipts of members of groups are remembered: a hundred messages to the largest group there is.
const MAX_RECEIPTS: i64 = 100_000;
/// How many of the newest messages of a chat are asked for how long messages stay there.
const MAX_ASKED: u32 = 10;
/// The most messages of one id that are looked at; members of a group may choose the same.
const MAX_TWINS: u32 = 20;

/// A message that is known.
#[derive(Clone, Debug, PartialEq)]
pub struct Stored {
    /// The chat's JID.
    pub chat: String,
    /// Who sent it.
    pub sender: String,
    /// Its WhatsApp id.
    pub id: String,
    /// Whether this number sent it.
    pub from_me: bool,
    /// The kind.
    pub kind: String,
    /// The text, or the caption.
    pub body: Option<String>,
    /// As it was told, without the text; nothing for one that was sent before this was kept.
    pub detail: MessagePayload,
    /// What became of one this number sent.
    pub status: Option<String>,
    /// When WhatsApp's server took it, epoch milliseconds.
    pub timestamp: u64,
    /// Whether it got another text.
    pub edited: bool,
    /// Whether it was taken back.
    pub revoked: bool,
}

impl Stored {
    /// Whether that one sent it, under either of their names.
    #[must_use]
    pub fn is_by(&self, jid: Option<&str>, lid: Option<&str>) -> bool {
        [jid, lid].into_iter().flatten().any(|name| self.names().any(|known| known == name))
    }

    /// The names its sender goes by.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        [Some(self.sender.as_str()), self.detail.sender_lid.as_deref()].into_iter().flatten()
    }
}

/// The messages over the object's database, whose tables the journal has made.
pub struct Messages<'sql, S>(&'sql S);

impl<'sql, S: Sql> Messages<'sql, S> {
    /// The messages in this database.
    pub fn new(sql: &'sql S) -> Self {
        Self(sql)
    }

    /// The database.
    pub(crate) const fn sql(&self) -> &'sql S {
        self.0
    }

    /// Keeps what a message is besides its row in the journal.
    ///
    /// # Errors
    /// When the database fails.
    pub fn describe(
        &self,
        row: &MessageRow,
        told: &MessagePayload,
        message: &Message,
    ) -> Result<(), SqlError> {
        let detail = MessagePayload { body: None, ..told.clone() };
        let document = serde_json::to_string(&detail).map_err(|error| SqlError(error.to_string()))?;
        let document = Some(document).filter(|document| document.len() <= MAX_DOCUMENT);
        let raw = (codec::message_encoded_len(message) <= MAX_RAW).then(|| codec::message_to_vec(message));
        self.0.query(
            "INSERT INTO message_detail (chat, sender, id, document, raw) VALUES (?1, ?2, ?3, ?4, ?5) \
             ON CONFLICT (chat, sender, id) DO UPDATE SET document = ?4, raw = ?5",
            &[
                (&row.chat).into(),
                (&row.sender).into(),
                (&row.id).into(),
                document.into(),
                raw.map_or(Value::Null, Value::Blob),
            ],
        )?;
        Ok(())
    }

    /// The messages of this id in a chat, by any of the chat's names.
    ///
    /// # Errors
    /// When the database fails or holds something else.
    pub fn find(&self, chat: [Option<&str>; 2], id: &str) -> Result<Vec<Stored>, SqlError> {
        let rows = self.0.query(
            "SELECT message.chat, message.sender, message.id, from_me, type, body, document, status, timestamp, \
                edited, revoked FROM message \
             LEFT JOIN message_detail AS detail ON detail.chat = message.chat \
                AND detail.sender = message.sender AND detail.id = message.id \
             WHERE message.id = ?1 AND message.chat IN (?2, ?3) LIMIT ?4",
            &[id.into(), chat[0].into(), chat[1].into(), MAX_TWINS.into()],
        )?;
        rows.iter().map(stored).collect()
    }

    /// What was told of a message, or will be; without its text.
    ///
    /// # Errors
    /// When the database fails or holds something else.
    pub fn detail(&self, row: &MessageRow) -> Result<MessagePayload, SqlError> {
        let rows = self.0.query(
            "SELECT document FROM message_detail WHERE chat = ?1 AND sender = ?2 AND id = ?3",
            &[(&row.chat).into(), (&row.sender).into(), (&row.id).into()],
        )?;
        let document = rows.first().map_or(Ok(None), |row| row.optional_text(0))?;
        Ok(document.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default())
    }

    /// A message as WhatsApp delivered it, if that was kept.
    ///
    /// # Errors
    /// When the database fails or holds something else.
    pub fn raw(&self, of: &Stored) -> Result<Option<Message>, SqlError> {
        self.raw_of(&of.chat, &of.sender, &of.id)
    }

    /// The same by its names.
    ///
    /// # Errors
    /// As [`Messages::raw`].
    pub fn raw_of(&self, chat: &str, sender: &str, id: &str) -> Result<Option<Message>, SqlError> {
        let rows = self.0.query(
            "SELECT raw FROM message_detail WHERE chat = ?1 AND sender = ?2 AND id = ?3 AND raw IS NOT NULL",
            &[chat.into(), sender.into(), id.into()],
        )?;
        let Some(row) = rows.first() else { return Ok(None) };
        Ok(codec::message_decode(&row.blob(0)?).ok())
    }

    /// For how many seconds messages stay in a chat and since when that is so, as the newest there say: what somebody else
    /// wrote, or what this number did and says so.
    ///
    /// # Errors
    /// When the database fails or holds something else.
    pub fn expiration(&self, chat: &str) -> Result<Option<(u32, Option<i64>)>, SqlError> {
        let rows = self.0.query(
            "SELECT raw, from_me FROM message_detail AS detail CROSS JOIN message ON message.chat = detail.chat \
                AND message.sender = detail.sender AND message.id = detail.id \
             WHERE detail.chat = ?1 AND raw IS NOT NULL ORDER BY detail.rowid DESC LIMIT ?2",
            &[chat.into(), MAX_ASKED.into()],
        )?;
        for row in &rows {
            let message = codec::message_decode(&row.blob(0)?).unwrap_or_default();
            let context = content::context(content::unwrap(&message));
            let seconds = context.and_then(|context| context.expiration).filter(|seconds| *seconds > 0);
            if seconds.is_some() || row.integer(1)? == 0 {
                let since = context.and_then(|context| context.ephemeral_setting_timestamp);
                return Ok(seconds.map(|seconds| (seconds, since)));
            }
        }
        Ok(None)
    }

    /// Gives a message its new text, unless it has a newer one.
    ///
    /// # Errors
    /// When the database fails.
    pub fn edit(&self, of: &Stored, body: Option<&str>, at: u64) -> Result<(), SqlError> {
        let marked = self.mark("edited", of, at)?;
        if marked {
            self.0.query(
                "UPDATE message SET body = ?4 WHERE chat = ?1 AND sender = ?2 AND id = ?3",
                &[(&of.chat).into(), (&of.sender).into(), (&of.id).into(), body.into()],
            )?;
        }
        Ok(())
    }

    /// Marks a message as taken back. What it said stays: who may see that is not decided here.
    ///
    /// # Errors
    /// When the database fails.
    pub fn revoke(&self, of: &Stored, at: u64) -> Result<(), SqlError> {
        self.mark("revoked", of, at).map(|_new| ())
    }

    /// Whether the mark is new, or newer than the one there was.
    fn mark(&self, mark: &str, of: &Stored, at: u64) -> Result<bool, SqlError> {
        let rows = self.0.query(
            &format!(
                "INSERT INTO message_detail (chat, sender, id, {mark}) VALUES (?1, ?2, ?3, ?4) \
                 ON CONFLICT (chat, sender, id) DO UPDATE SET {mark} = excluded.{mark} \
                 WHERE COALESCE({mark}, 0) <= excluded.{mark} RETURNING id"
            ),
            &[(&of.chat).into(), (&of.sender).into(), (&of.id).into(), whole(at)],
        )?;
        Ok(!rows.is_empty())
    }

    /// Whether a member of a group has done more with a message of ours than was known; from now on that is known.
    ///
    /// # Errors
    /// When the database fails or holds something else.
    pub fn has_risen(&self, id: &str, member: &str, status: &str) -> Result<bool, SqlError> {
        let rank = match status {
            "played" => 3,
            "read" => 2,
            _ => 1,
        };
        let rows = self.0.query(
            "INSERT INTO receipt (occasion, status) VALUES (?1, ?2) ON CONFLICT (occasion) \
             DO UPDATE SET status = excluded.status WHERE status < excluded.status RETURNING number",
            &[format!("{id} {member}").into(), Value::Integer(rank)],
        )?;
        let Some(row) = rows.first() else { return Ok(false) };
        self.0.query("DELETE FROM receipt WHERE number <= ?1", &[(row.integer(0)? - MAX_RECEIPTS).into()])?;
        Ok(true)
    }

    /// Whether this is told for the first time; from now on it is not.
    ///
    /// # Errors
    /// When the database fails.
    pub fn is_news(&self, occasion: &str) -> Result<bool, SqlError> {
        let rows = self.0.query(
            "INSERT INTO heard (occasion) VALUES (?1) ON CONFLICT DO NOTHING RETURNING number",
            &[occasion.into()],
        )?;
        let Some(row) = rows.first() else { return Ok(false) };
        self.0.query("DELETE FROM heard WHERE number <= ?1", &[(row.integer(0)? - MAX_HEARD).into()])?;
        Ok(true)
    }
}

fn stored(row: &Row) -> Result<Stored, SqlError> {
    let document = row.optional_text(6)?;
    Ok(Stored {
        chat: row.text(0)?,
        sender: row.text(1)?,
        id: row.text(2)?,
        from_me: row.integer(3)? != 0,
        kind: row.text(4)?,
        body: row.optional_text(5)?,
        // Details that can't be read are not worth the message that asks for them.
        detail: document.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default(),
        status: row.optional_text(7)?,
        timestamp: u64::try_from(row.integer(8)?).unwrap_or(0),
        edited: row.optional_integer(9)?.is_some(),
        revoked: row.optional_integer(10)?.is_some(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::Journal;
    use gateway_sql::native::NativeSql;

    const CHAT: [Option<&str>; 2] = [Some("1@s.whatsapp.net"), Some("7@lid")];

    fn row(sender: &str) -> MessageRow {
        MessageRow {
            chat: "1@s.whatsapp.net".into(),
            sender: sender.into(),
            id: "A".into(),
            from_me: false,
            kind: "text".into(),
            body: Some("hi".into()),
            status: None,
            timestamp: 1,
        }
    }

    fn text(body: &str) -> Message {
        Message { conversation: Some(body.to_owned()), ..Message::default() }
    }

    fn journal() -> Journal<NativeSql> {
        Journal::open(NativeSql::in_memory().unwrap()).unwrap()
    }

    fn lid(lid: &str) -> MessagePayload {
        MessagePayload { sender_lid: Some(lid.into()), body: Some("hi".into()), ..MessagePayload::default() }
    }

    #[test]
    fn a_message_is_found_under_every_name_and_read_again() {
        let journal = journal();
        let messages = journal.messages();
        journal.insert_message(&row("1@s.whatsapp.net")).unwrap();
        messages.describe(&row("1@s.whatsapp.net"), &lid("7@lid"), &text("hi")).unwrap();
        let found = messages.find([Some("7@lid"), Some("1@s.whatsapp.net")], "A").unwrap();
        assert_eq!((found.len(), found[0].body.as_deref()), (1, Some("hi")));
        assert_eq!(found[0].detail.body, None, "it is kept once");
        assert!(found[0].is_by(Some("7@lid"), None) && found[0].is_by(None, Some("1@s.whatsapp.net")));
        assert!(!found[0].is_by(Some("2@s.whatsapp.net"), Some("8@lid")) && !found[0].is_by(None, None));
        assert_eq!(messages.raw(&found[0]).unwrap(), Some(text("hi")));
        assert!(messages.find(CHAT, "B").unwrap().is_empty());
        assert!(messages.find([Some("2@s.whatsapp.net"), None], "A").unwrap().is_empty());
    }

    #[test]
    fn a_message_sent_before_details_were_kept_is_found_too() {
        let journal = journal();
        let messages = journal.messages();
        journal.insert_message(&row("1@s.whatsapp.net")).unwrap();
        let found = messages.find(CHAT, "A").unwrap();
        assert_eq!(found[0].detail, MessagePayload::default());
        assert_eq!(messages.raw(&found[0]).unwrap(), None);
        messages.edit(&found[0], Some("ho"), 2).unwrap();
        messages.revoke(&found[0], 3).unwrap();
        assert_eq!(messages.find(CHAT, "A").unwrap()[0].body.as_deref(), Some("ho"));
    }

    #[test]
    fn an_older_edit_changes_nothing() {
        let journal = journal();
        let messages = journal.messages();
        journal.insert_message(&row("1@s.whatsapp.net")).unwrap();
        messages.describe(&row("1@s.whatsapp.net"), &lid("7@lid"), &text("hi")).unwrap();
        let found = messages.find(CHAT, "A").unwrap();
        messages.edit(&found[0], Some("second"), 20).unwrap();
        messages.edit(&found[0], Some("first"), 10).unwrap();
        assert_eq!(messages.find(CHAT, "A").unwrap()[0].body.as_deref(), Some("second"));
    }

    #[test]
    fn a_large_message_is_kept_without_its_bytes() {
        let journal = journal();
        let messages = journal.messages();
        journal.insert_message(&row("1@s.whatsapp.net")).unwrap();
        messages.describe(&row("1@s.whatsapp.net"), &lid("7@lid"), &text(&"x".repeat(MAX_RAW))).unwrap();
        let found = messages.find(CHAT, "A").unwrap();
        assert_eq!(messages.raw(&found[0]).unwrap(), None);
    }

    #[test]
    fn each_member_of_a_group_is_told_of_once_and_never_of_less() {
        let journal = journal();
        let messages = journal.messages();
        let has_risen =
            |id: &str, member: &str, status: &str| messages.has_risen(id, member, status).unwrap();
        assert!(has_risen("A", "ann", "delivered") && !has_risen("A", "ann", "delivered"));
        assert!(has_risen("A", "bob", "delivered") && has_risen("B", "ann", "delivered"));
        assert!(has_risen("A", "ann", "read") && has_risen("A", "bob", "read"));
        assert!(!has_risen("A", "ann", "delivered") && !has_risen("A", "ann", "read"));
        assert!(has_risen("A", "ann", "played"));
        messages
            .0
            .query("UPDATE receipt SET number = ?1 WHERE occasion = 'B ann'", &[MAX_RECEIPTS.into()])
            .unwrap();
        assert!(has_risen("C", "ann", "read"));
        let left = messages.0.query("SELECT 1 FROM receipt", &[]).unwrap();
        assert_eq!(left.len(), 3, "the oldest is forgotten");
    }

    #[test]
    fn what_was_told_is_no_news_and_old_occasions_are_forgotten() {
        let journal = journal();
        let messages = journal.messages();
        assert_eq!((messages.is_news("a"), messages.is_news("a")), (Ok(true), Ok(false)));
        messages.0.query("UPDATE heard SET number = ?1", &[(MAX_HEARD * 2).into()]).unwrap();
        messages.0.query("INSERT INTO heard VALUES (1, 'old')", &[]).unwrap();
        assert_eq!(messages.is_news("b"), Ok(true));
        assert_eq!((messages.is_news("a"), messages.is_news("old")), (Ok(false), Ok(true)));
    }
}
