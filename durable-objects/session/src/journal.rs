//! What the object remembers: its record, its timers, its event log, its messages.
//!
//! Every method is synchronous, so whatever a caller writes between two awaits is one atomic, durable write of
//! the object; frames and answers that follow are held back until it is (Cloudflare, "output gate").

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;

use gateway_domain::event::Envelope;
use gateway_domain::lifecycle::Lifecycle;
use gateway_domain::linking::PairingCode;
use gateway_object::alarm::Timers;
use gateway_sql::{Row, Sql, SqlError, Value, unsigned, whole};
use serde::{Deserialize, Serialize};

use crate::call::Settings;
use crate::forwarding::Forwarding;
use crate::messages::Messages;
use crate::names::Names;
use crate::outbox::Outbox;

/// Beyond every `seq`: the largest whole number that JavaScript has.
const MAX_SEQ: u64 = (1 << 53) - 1;
/// How many old events are trimmed at a time.
const TRIMMED_AT_ONCE: u32 = 500;
/// How many bytes of events are read at a time; more only where one alone is larger.
const PAGE_BYTES: u32 = 1_000_000;
/// The largest payload: a row holds 2 MB, and others put an envelope around it.
const MAX_PAYLOAD_BYTES: usize = 1_800_000;
/// Intent and observed state of the session, stored whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Who owns it.
    pub organization: String,
    /// Its ULID.
    pub session: String,
    /// The owner's settings.
    pub settings: Settings,
    /// Status, reason, epoch.
    pub lifecycle: Lifecycle,
    /// The paired number.
    pub phone_number: Option<String>,
    /// The paired device.
    pub wa_jid: Option<String>,
    /// The paired account's hidden id.
    pub wa_lid: Option<String>,
    /// When it was last connected, epoch milliseconds.
    pub last_connected_at: Option<u64>,
    /// Grows with every change the directory should see.
    pub observed_seq: u64,
    /// The pairing code that is out.
    #[serde(default)]
    pub pairing_code: Option<PairingCode>,
    /// Whether WhatsApp was out of reach when it was last looked for.
    #[serde(default)]
    pub unreachable: bool,
    /// Whether a delete has begun: whatever happens, it ends with an empty storage.
    #[serde(default)]
    pub deleting: bool,
    /// Whether everything else is erased: what remains is a tombstone.
    #[serde(default)]
    pub deleted: bool,
    /// The newest wish of the owner it has heard, epoch milliseconds.
    #[serde(default)]
    pub heard_at: u64,
}

impl Record {
    /// A session nobody has started yet.
    #[must_use]
    pub fn new(organization: &str, session: &str) -> Self {
        Self {
            organization: organization.to_owned(),
            session: session.to_owned(),
            settings: Settings::default(),
            lifecycle: Lifecycle::default(),
            phone_number: None,
            wa_jid: None,
            wa_lid: None,
            last_connected_at: None,
            observed_seq: 0,
            pairing_code: None,
            unreachable: false,
            deleting: false,
            deleted: false,
            heard_at: 0,
        }
    }
}

/// A message to remember.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageRow {
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
    /// `pending`, `sent` …, for what this number sent.
    pub status: Option<String>,
    /// Epoch milliseconds.
    pub timestamp: u64,
}

/// The object's memory over its database.
#[derive(Clone)]
pub struct Journal<S>(S, Veil);

/// Events that are written and not to be read yet, nor what is behind them: the log is read in its order. In memory only: what
/// hid them is gone with it.
#[derive(Clone, Default)]
struct Veil(Rc<RefCell<BTreeSet<u64>>>);

impl Veil {
    /// The newest that may be read.
    fn newest(&self) -> u64 {
        self.0.borrow().first().map_or(MAX_SEQ, |first| first.saturating_sub(1))
    }
}

impl<S: Sql> Journal<S> {
    /// Opens it, creating or migrating the tables.
    ///
    /// # Errors
    /// As [`migrate`](crate::schema::migrate).
    pub fn open(sql: S) -> Result<Self, SqlError> {
        crate::schema::migrate(&sql)?;
        Ok(Self(sql, Veil::default()))
    }

    /// The record, if the object was ever called.
    ///
    /// # Errors
    /// When the database fails or holds something else.
    pub fn record(&self) -> Result<Option<Record>, SqlError> {
        let rows = self.0.query("SELECT document FROM record WHERE id = 1", &[])?;
        let Some(row) = rows.first() else { return Ok(None) };
        serde_json::from_str(&row.text(0)?).map(Some).map_err(|error| SqlError(format!("record: {error}")))
    }

    /// Stores the record.
    ///
    /// # Errors
    /// When the database fails.
    pub fn save(&self, record: &Record) -> Result<(), SqlError> {
        let document = serde_json::to_string(record).map_err(|error| SqlError(error.to_string()))?;
        self.0.query(
            "INSERT INTO record (id, document) VALUES (1, ?1) ON CONFLICT (id) DO UPDATE SET document = ?1",
            &[document.into()],
        )?;
        Ok(())
    }

    /// What is kept of the messages beside their text.
    pub fn messages(&self) -> Messages<'_, S> {
        Messages::new(&self.0)
    }

    /// By which name people go.
    pub fn names(&self) -> Names<'_, S> {
        Names::new(&self.0)
    }

    /// What waits to be sent.
    pub fn outbox(&self) -> Outbox<'_, S> {
        Outbox::new(&self.0)
    }

    /// The database, for what is in files of its own.
    pub(crate) const fn sql(&self) -> &S {
        &self.0
    }

    /// Does all of it or nothing, see [`Sql::atomically`].
    ///
    /// # Errors
    /// As the work does, or when the database fails.
    pub fn atomically<T>(&self, work: impl FnOnce() -> Result<T, SqlError>) -> Result<T, SqlError> {
        self.0.atomically(work)
    }

    /// The timers.
    pub fn timers(&self) -> Timers<'_, S> {
        Timers::new(&self.0)
    }

    /// How far the log has been handed over.
    pub fn forwarding(&self) -> Forwarding<'_, S> {
        Forwarding::new(&self.0)
    }

    /// Appends an event and returns its `seq`.
    ///
    /// # Errors
    /// When the database fails.
    pub fn append(
        &self,
        id: &str,
        event: &str,
        epoch: u64,
        now: u64,
        payload: &str,
    ) -> Result<u64, SqlError> {
        let payload = if payload.len() > MAX_PAYLOAD_BYTES { shrunk(payload) } else { payload.to_owned() };
        let rows = self.0.query(
            "INSERT INTO event (seq, id, type, epoch, timestamp, payload)
             SELECT COALESCE(MAX(seq), 0) + 1, ?1, ?2, ?3, ?4, ?5 FROM event RETURNING seq",
            &[id.into(), event.into(), whole(epoch), whole(now), payload.into()],
        )?;
        rows.first().map_or(Ok(0), |row| row.integer(0).map(unsigned))
    }

    /// The events after a position, oldest first, and the position to go on from: with a filter it may lie
    /// beyond the last event returned.
    ///
    /// # Errors
    /// When the database fails or holds something else.
    pub fn events(
        &self,
        record: &Record,
        after: u64,
        limit: u32,
        types: &[String],
    ) -> Result<(Vec<Envelope>, u64), SqlError> {
        let newest = self.1.newest();
        let mut bindings = vec![whole(after), limit.into(), PAGE_BYTES.into(), whole(newest)];
        let filter = if types.is_empty() {
            String::new()
        } else {
            let places =
                (0..types.len()).map(|place| format!("?{}", place + 5)).collect::<Vec<_>>().join(", ");
            bindings.extend(types.iter().map(Value::from));
            format!("AND type IN ({places})")
        };
        // By their sizes first, which costs no reading of them: a page is bounded by its bytes too.
        let rows = self.0.query(
            &format!(
                "SELECT seq, id, type, epoch, timestamp, payload, found FROM event JOIN (SELECT seq AS place, \
                   SUM(size) OVER (ORDER BY seq) - size AS before, COUNT(*) OVER () AS found FROM \
                   (SELECT seq, octet_length(payload) AS size FROM event WHERE seq > ?1 AND seq <= ?4 {filter} \
                    ORDER BY seq LIMIT ?2)) ON place = seq WHERE before < ?3 ORDER BY seq"
            ),
            &bindings,
        )?;
        let events = rows.iter().map(|row| envelope(record, row)).collect::<Result<Vec<_>, _>>()?;
        let found = rows.first().map_or(Ok(0), |row| row.integer(6))?;
        let read = i64::try_from(events.len()).unwrap_or(i64::MAX);
        let position = match events.last() {
            Some(last) if read < found || read >= i64::from(limit) => last.seq,
            _ => self.last_seq()?.max(after),
        };
        Ok((events, position))
    }

    /// The newest `seq` of those events that may be read; 0 for an empty log.
    ///
    /// # Errors
    /// When the database fails.
    pub fn last_seq(&self) -> Result<u64, SqlError> {
        let rows = self.0.query("SELECT MAX(seq) FROM event", &[])?;
        let seq = rows.first().map_or(Ok(None), |row| row.optional_integer(0))?;
        Ok(seq.map_or(0, unsigned).min(self.1.newest()))
    }

    /// Hides an event, and with it what comes behind it, from all who read the log, until it is [shown](Self::show).
    pub fn hide(&self, seq: u64) {
        self.1.0.borrow_mut().insert(seq);
    }

    /// An event may be read.
    pub fn show(&self, seq: u64) {
        self.1.0.borrow_mut().remove(&seq);
    }

    /// The oldest kept event's `seq`; 0 for an empty log.
    ///
    /// # Errors
    /// When the database fails.
    pub fn first_seq(&self) -> Result<u64, SqlError> {
        let rows = self.0.query("SELECT MIN(seq) FROM event", &[])?;
        let seq = rows.first().map_or(Ok(None), |row| row.optional_integer(0))?;
        Ok(seq.map_or(0, unsigned))
    }

    /// Deletes the events that exceed the retention; the newest stays, it carries the count.
    ///
    /// # Errors
    /// When the database fails.
    pub fn trim(&self, keep: u64, before: u64) -> Result<(), SqlError> {
        self.0.query(
            "DELETE FROM event WHERE seq <= (SELECT MAX(seq) FROM event) - ?1",
            &[whole(keep.max(1))],
        )?;
        // Of the oldest only: the log is in the order of time, and this is asked often.
        let rows = self.0.query("SELECT timestamp FROM event ORDER BY seq LIMIT 1", &[])?;
        let oldest = rows.first().map_or(Ok(0), |row| row.integer(0).map(unsigned))?;
        if oldest >= before {
            return Ok(());
        }
        self.0.query(
            "DELETE FROM event WHERE timestamp < ?1 AND seq < (SELECT MAX(seq) FROM event) \
             AND seq IN (SELECT seq FROM event ORDER BY seq LIMIT ?2)",
            &[whole(before), TRIMMED_AT_ONCE.into()],
        )?;
        Ok(())
    }

    /// Remembers a message; `false` when it was known already.
    ///
    /// # Errors
    /// When the database fails.
    pub fn insert_message(&self, message: &MessageRow) -> Result<bool, SqlError> {
        let inserted = self.0.query(
            "INSERT INTO message (chat, sender, id, from_me, type, body, status, timestamp)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT DO NOTHING RETURNING id",
            &[
                (&message.chat).into(),
                (&message.sender).into(),
                (&message.id).into(),
                message.from_me.into(),
                (&message.kind).into(),
                message.body.as_ref().into(),
                message.status.as_ref().into(),
                whole(message.timestamp),
            ],
        )?;
        Ok(!inserted.is_empty())
    }

    /// Raises the status of messages this number sent; returns the ids that changed. A status never goes down
    /// (pending, failed, sent, delivered, read, played): what was given up may have arrived all the same.
    ///
    /// # Errors
    /// When the database fails.
    pub fn raise_status(&self, ids: &[String], status: &str) -> Result<Vec<String>, SqlError> {
        let rank = "CASE ?2 WHEN 'failed' THEN 1 WHEN 'sent' THEN 2 WHEN 'delivered' THEN 3 WHEN 'read' THEN 4 WHEN 'played' THEN 5 ELSE 0 END";
        let held = "CASE status WHEN 'pending' THEN 0 WHEN 'failed' THEN 1 WHEN 'sent' THEN 2 WHEN 'delivered' THEN 3 WHEN 'read' THEN 4 ELSE 5 END";
        let mut raised = Vec::new();
        for id in ids {
            let changed = self.0.query(
                &format!("UPDATE message SET status = ?2 WHERE id = ?1 AND from_me = 1 AND {held} < {rank} RETURNING id"),
                &[id.into(), status.into()],
            )?;
            if !changed.is_empty() {
                raised.push(id.clone());
            }
        }
        Ok(raised)
    }

    /// Of these messages of ours, those of which it may be told that they stand so: no more is known of them. What is about
    /// another message leaves no row, and is told of alone.
    ///
    /// # Errors
    /// When the database fails or holds something else.
    pub fn standing(&self, ids: Vec<String>, status: &str) -> Result<Vec<String>, SqlError> {
        let mut standing = Vec::new();
        for id in ids {
            if self.sent_message(&id)?.is_none_or(|row| row.status.as_deref() == Some(status)) {
                standing.push(id);
            }
        }
        Ok(standing)
    }

    /// Notes WhatsApp's time of a message this number sent.
    ///
    /// # Errors
    /// When the database fails.
    pub fn set_timestamp(&self, id: &str, timestamp: u64) -> Result<(), SqlError> {
        self.0.query(
            "UPDATE message SET timestamp = ?2 WHERE id = ?1 AND from_me = 1",
            &[id.into(), whole(timestamp)],
        )?;
        Ok(())
    }

    /// Whether there is a chat with them: they wrote, or took what was written.
    ///
    /// # Errors
    /// When the database fails.
    pub fn knows_chat(&self, chat: &str) -> Result<bool, SqlError> {
        let rows = self.0.query(
            "SELECT 1 FROM message WHERE chat = ?1 \
             AND (from_me = 0 OR status IN ('sent', 'delivered', 'read', 'played')) LIMIT 1",
            &[chat.into()],
        )?;
        Ok(!rows.is_empty())
    }

    /// The message this number sent with this id.
    ///
    /// # Errors
    /// When the database fails or holds something else.
    pub fn sent_message(&self, id: &str) -> Result<Option<MessageRow>, SqlError> {
        let rows = self.0.query(
            "SELECT chat, sender, id, type, body, status, timestamp FROM message WHERE id = ?1 AND from_me = 1",
            &[id.into()],
        )?;
        let Some(row) = rows.first() else { return Ok(None) };
        Ok(Some(MessageRow {
            chat: row.text(0)?,
            sender: row.text(1)?,
            id: row.text(2)?,
            from_me: true,
            kind: row.text(3)?,
            body: row.optional_text(4)?,
            status: row.optional_text(5)?,
            timestamp: unsigned(row.integer(6)?),
        }))
    }
}

fn envelope(record: &Record, row: &Row) -> Result<Envelope, SqlError> {
    Ok(Envelope {
        schema: "v1".to_owned(),
        id: row.text(1)?,
        event: row.text(2)?,
        session: record.session.clone(),
        organization: record.organization.clone(),
        timestamp: unsigned(row.integer(4)?),
        seq: unsigned(row.integer(0)?),
        epoch: unsigned(row.integer(3)?),
        payload: serde_json::from_str(&row.text(5)?)
            .map_err(|error| SqlError(format!("payload: {error}")))?,
    })
}

/// A payload without its largest parts. What can't be stored would be delivered again for ever, and told never.
fn shrunk(payload: &str) -> String {
    let Ok(serde_json::Value::Object(mut fields)) = serde_json::from_str(payload) else {
        return "{}".to_owned();
    };
    let mut sizes: Vec<(usize, String)> =
        fields.iter().map(|(name, value)| (value.to_string().len(), name.clone())).collect();
    sizes.sort_unstable();
    let mut total: usize = sizes.iter().map(|(size, _)| size).sum();
    while total > MAX_PAYLOAD_BYTES / 2
        && let Some((size, name)) = sizes.pop()
    {
        total -= size;
        fields.remove(&name);
    }
    serde_json::Value::Object(fields).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use gateway_sql::native::NativeSql;

    fn journal() -> Journal<NativeSql> {
        Journal::open(NativeSql::in_memory().unwrap()).unwrap()
    }

    fn text(id: &str) -> MessageRow {
        MessageRow {
            chat: "1@s.whatsapp.net".into(),
            sender: "1@s.whatsapp.net".into(),
            id: id.into(),
            from_me: false,
            kind: "text".into(),
            body: Some("hi".into()),
            status: None,
            timestamp: 1,
        }
    }

    #[test]
    fn the_log_has_no_gap_also_after_trimming() {
        let journal = journal();
        let record = Record::new("org", "session");
        for number in 1..=10 {
            assert_eq!(journal.append(&format!("evt_{number}"), "message", 1, number, "{}"), Ok(number));
        }
        journal.trim(3, 0).unwrap();
        assert_eq!(journal.first_seq(), Ok(8));
        journal.trim(0, 0).unwrap();
        assert_eq!((journal.first_seq(), journal.append("evt_11", "message", 1, 11, "{}")), (Ok(10), Ok(11)));
        let (events, position) = journal.events(&record, 0, 100, &[]).unwrap();
        assert_eq!((events.iter().map(|event| event.seq).collect::<Vec<_>>(), position), (vec![10, 11], 11));
        journal.append("evt_12", "message", 1, 12, "{}").unwrap();
        journal.trim(100, 11).unwrap();
        assert_eq!(journal.first_seq(), Ok(11));
        journal.trim(100, 99).unwrap();
        assert_eq!((journal.first_seq(), journal.append("evt_13", "message", 1, 13, "{}")), (Ok(12), Ok(13)));
    }

    #[test]
    fn what_is_hidden_and_what_is_behind_it_is_not_read_until_it_is_shown() {
        let journal = journal();
        let record = Record::new("org", "session");
        let page = |after, types: &[String]| {
            let (events, position) = journal.events(&record, after, 100, types).unwrap();
            (events.iter().map(|event| event.seq).collect::<Vec<_>>(), position)
        };
        journal.append("evt_1", "message", 1, 1, "{}").unwrap();
        for number in [2, 3] {
            let seq = journal.append(&format!("evt_{number}"), "message", 1, 1, "{}").unwrap();
            journal.hide(seq);
        }
        assert_eq!(journal.append("evt_4", "auth.qr", 1, 1, "{}"), Ok(4), "what is hidden has its place");
        assert_eq!((page(0, &[]), journal.last_seq()), ((vec![1], 1), Ok(1)));
        assert_eq!(page(1, &["auth.qr".to_owned()]), (vec![], 1));
        // The first of them is still not read.
        journal.show(3);
        assert_eq!((page(0, &[]), journal.last_seq()), ((vec![1], 1), Ok(1)));
        journal.show(2);
        assert_eq!((page(0, &[]), journal.last_seq()), ((vec![1, 2, 3, 4], 4), Ok(4)));
        assert_eq!(page(1, &["auth.qr".to_owned()]), (vec![4], 4));
    }

    #[test]
    fn a_filtered_page_moves_on_past_what_it_left_out() {
        let journal = journal();
        let record = Record::new("org", "session");
        for (number, event) in ["message", "auth.qr", "message", "auth.qr"].into_iter().enumerate() {
            journal.append(&number.to_string(), event, 1, 1, "{}").unwrap();
        }
        let types = ["message".to_owned()];
        let page = |after, limit| {
            let (events, position) = journal.events(&record, after, limit, &types).unwrap();
            (events.iter().map(|event| event.seq).collect::<Vec<_>>(), position)
        };
        assert_eq!(page(0, 1), (vec![1], 1));
        assert_eq!(page(1, 1), (vec![3], 3));
        assert_eq!(page(3, 1), (vec![], 4));
        assert_eq!(page(9, 1), (vec![], 9));
    }

    #[test]
    fn a_page_is_bounded_by_its_bytes_and_no_payload_is_too_large_for_a_row() {
        let journal = journal();
        let record = Record::new("org", "session");
        let large = |bytes: usize| format!(r#"{{"body":"{}","chatJid":"c"}}"#, "x".repeat(bytes));
        for (seq, bytes) in [(1, 600_000), (2, 600_000), (3, 10), (4, 2_500_000), (5, 10)] {
            journal.append(&format!("evt_{seq}"), "message", 1, seq, &large(bytes)).unwrap();
        }
        let page = |after| {
            let (events, position) = journal.events(&record, after, 100, &[]).unwrap();
            (events.iter().map(|event| event.seq).collect::<Vec<_>>(), position)
        };
        assert_eq!((page(0), page(2)), ((vec![1, 2], 2), (vec![3, 4, 5], 5)));
        let (events, _) = journal.events(&record, 3, 1, &["message".to_owned()]).unwrap();
        assert_eq!(events[0].payload, serde_json::json!({ "chatJid": "c" }));
    }

    #[test]
    fn a_redelivered_message_is_no_second_message() {
        let journal = journal();
        assert_eq!(journal.insert_message(&text("A")), Ok(true));
        assert_eq!(journal.insert_message(&text("A")), Ok(false));
        assert_eq!(
            journal.insert_message(&MessageRow { sender: "2@s.whatsapp.net".into(), ..text("A") }),
            Ok(true)
        );
    }

    #[test]
    fn a_status_never_goes_down_and_only_ours_have_one() {
        let journal = journal();
        journal
            .insert_message(&MessageRow { from_me: true, status: Some("pending".into()), ..text("A") })
            .unwrap();
        journal.insert_message(&text("B")).unwrap();
        let raise =
            |status: &str| journal.raise_status(&["A".into(), "B".into(), "C".into()], status).unwrap();
        assert_eq!(raise("sent"), ["A"]);
        assert_eq!(raise("failed"), Vec::<String>::new());
        let given_up = MessageRow { from_me: true, status: Some("failed".into()), ..text("D") };
        journal.insert_message(&given_up).unwrap();
        assert_eq!(journal.raise_status(&["D".to_owned()], "sent").unwrap(), ["D"]);
        assert_eq!(raise("read"), ["A"]);
        assert_eq!(raise("delivered"), Vec::<String>::new());
        assert_eq!(raise("played"), ["A"]);
        assert_eq!(raise("played"), Vec::<String>::new());
    }

    #[test]
    fn what_is_known_to_have_come_further_is_told_to_be_no_less() {
        let journal = journal();
        for (id, status) in [("A", "pending"), ("B", "delivered")] {
            let row = MessageRow { from_me: true, status: Some(status.into()), ..text(id) };
            journal.insert_message(&row).unwrap();
        }
        let ids: Vec<String> = ["A", "B", "a reaction"].map(str::to_owned).to_vec();
        for status in ["failed", "sent"] {
            journal.raise_status(&ids, status).unwrap();
            assert_eq!(journal.standing(ids.clone(), status).unwrap(), ["A", "a reaction"]);
        }
    }

    /// What is stored outlives deploys: this fails when the layout changes without a migration.
    #[test]
    fn the_records_layout_is_pinned() {
        let journal = journal();
        let record = Record::new("org", "session");
        journal.save(&record).unwrap();
        journal.save(&record).unwrap();
        assert_eq!(journal.record(), Ok(Some(record.clone())));
        assert_eq!(
            serde_json::to_value(&record).unwrap(),
            serde_json::json!({
                "organization": "org", "session": "session",
                "settings": {"auto_read": false, "presence_typing": false, "region": null, "rate_per_min": 0, "rate_per_hour": 0},
                "lifecycle": {"status": "stopped", "reason": null, "paired": false, "epoch": 0, "attempt": 0,
                              "replaced_before": false, "connected_at": null, "timelock_until": null},
                "phone_number": null, "wa_jid": null, "wa_lid": null, "last_connected_at": null, "observed_seq": 0,
                "pairing_code": null, "unreachable": false, "deleting": false, "deleted": false, "heard_at": 0
            })
        );
    }
}
