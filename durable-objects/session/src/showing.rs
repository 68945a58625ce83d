//! Messages as they are shown: found by their id, in whatever chat.

use gateway_domain::event::{MediaMeta, MessagePayload};
use gateway_domain::stored_message::{StoredMessage, ack_level};
use gateway_sql::{Row, Sql, SqlError};

use crate::messages::Messages;

impl<S: Sql> Messages<'_, S> {
    /// The newest message of this id, in a chat or in any.
    ///
    /// # Errors
    /// When the database fails or holds something else.
    pub fn show(
        &self,
        session: &str,
        id: &str,
        chat: Option<&str>,
    ) -> Result<Option<StoredMessage>, SqlError> {
        let rows = self.sql().query(
            "SELECT message.chat, message.sender, message.id, from_me, type, body, status, timestamp, document, \
                edited, revoked, (SELECT error FROM outbox WHERE message_id = message.id \
                   OR id = (SELECT outbox FROM outbox_message WHERE message_id = message.id) LIMIT 1) FROM message \
             LEFT JOIN message_detail AS detail ON detail.chat = message.chat \
                AND detail.sender = message.sender AND detail.id = message.id \
             WHERE message.id = ?1 AND (?2 IS NULL OR message.chat = ?2) ORDER BY timestamp DESC LIMIT 1",
            &[id.into(), chat.map(str::to_owned).as_ref().into()],
        )?;
        rows.first().map(|row| shown(session, row)).transpose()
    }
}

fn shown(session: &str, row: &Row) -> Result<StoredMessage, SqlError> {
    let detail: MessagePayload =
        row.optional_text(8)?.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
    let (from_me, status) = (row.integer(3)? != 0, row.optional_text(6)?);
    let timestamp = u64::try_from(row.integer(7)?).unwrap_or(0);
    let error = row.optional_text(11)?.filter(|_| status.as_deref() == Some("failed"));
    Ok(StoredMessage {
        id: row.text(2)?,
        session_id: session.to_owned(),
        wa_message_id: row.text(2)?,
        chat_jid: row.text(0)?,
        sender_jid: Some(row.text(1)?).filter(|sender| !sender.is_empty()),
        sender_lid: detail.sender_lid,
        sender_name: detail.push_name,
        from_me,
        direction: if from_me { "out" } else { "in" }.to_owned(),
        r#type: row.text(4)?,
        body: row.optional_text(5)?,
        has_media: detail.has_media,
        media: Some(detail.media).filter(|media| *media != MediaMeta::default()),
        mentions: (!detail.mentions.is_empty())
            .then(|| serde_json::to_value(&detail.mentions).unwrap_or_default()),
        quoted_message_id: detail.quoted_message_id,
        ack_level: status.as_deref().map(ack_level),
        status,
        error: error.and_then(|error| message_of(&error)),
        edited: row.optional_integer(9)?.is_some(),
        deleted: row.optional_integer(10)?.is_some(),
        timestamp,
        created_at: timestamp,
    })
}

/// What an `ApiError` says to people.
fn message_of(error: &str) -> Option<String> {
    let error: serde_json::Value = serde_json::from_str(error).ok()?;
    error.pointer("/error/message")?.as_str().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::{Journal, MessageRow};
    use crate::outbox::{NewEntry, Outbox};
    use gateway_sql::native::NativeSql;
    use whatsapp_rust::waproto::whatsapp::Message;

    #[test]
    fn a_message_is_shown_with_what_became_of_it() {
        let journal = Journal::open(NativeSql::in_memory().unwrap()).unwrap();
        let row = |chat: &str, from_me: bool, timestamp| MessageRow {
            chat: chat.into(),
            sender: "1@s.whatsapp.net".into(),
            id: "A".into(),
            from_me,
            kind: "text".into(),
            body: Some("hi".into()),
            status: from_me.then(|| "failed".to_owned()),
            timestamp,
        };
        journal.insert_message(&row("g@g.us", false, 5)).unwrap();
        journal.insert_message(&row("2@s.whatsapp.net", true, 9)).unwrap();
        let told = MessagePayload { push_name: Some("Bob".into()), ..MessagePayload::default() };
        journal.messages().describe(&row("g@g.us", false, 5), &told, &Message::default()).unwrap();
        let outbox = Outbox::new(journal.sql());
        let new = NewEntry { id: "o", message_id: "A", chat: "c", is_async: false, request: Some("{}") };
        outbox.add(&new, &[], 1).unwrap();
        outbox.fail("o", r#"{"error":{"code":"conflict","message":"refused"}}"#, 2).unwrap();

        let newest = journal.messages().show("s", "A", None).unwrap().unwrap();
        assert_eq!((newest.chat_jid.as_str(), newest.direction.as_str()), ("2@s.whatsapp.net", "out"));
        assert_eq!((newest.ack_level, newest.error.as_deref()), (Some(-1), Some("refused")));
        let in_group = journal.messages().show("s", "A", Some("g@g.us")).unwrap().unwrap();
        assert_eq!((in_group.sender_name.as_deref(), in_group.status), (Some("Bob"), None));
        assert_eq!(journal.messages().show("s", "B", None), Ok(None));
        assert_eq!(journal.messages().show("s", "A", Some("x@g.us")), Ok(None));
    }
}
