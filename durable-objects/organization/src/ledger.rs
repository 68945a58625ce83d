//! The log and who listens to it, over the object's database. Synchronous: what is done between two awaits is one
//! atomic, durable write.

use gateway_domain::event::Envelope;
use gateway_object::alarm::Timers;
use gateway_object::calls::organization::Appended;
use gateway_object::calls::reader::Filter;
use gateway_object::reader::{Batch, Bounds};
use gateway_sql::{Row, Sql, SqlError, Value, unsigned, whole};

/// What is kept, and for how long somebody who read counts as listening.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// The most events.
    pub events: u64,
    /// For how long, in milliseconds; a reader may be away as long without losing its place.
    pub milliseconds: u64,
}

/// How many rows a filtered read looks at before it says how far it got.
const LOOKED_AT: u32 = 2_000;

/// The first pause before a session is tried again that could not be told that somebody listens; it doubles, eight times.
const WAKE_MS: u64 = 2_000;
/// How many bytes of events are read at a time; more only where one alone is larger.
const PAGE_BYTES: u32 = 1_000_000;
/// The largest event: a row holds 2 MB. What is larger is told without what it says, its session's log has it whole.
const MAX_EVENT_BYTES: usize = 1_900_000;

/// A session to be told that somebody listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sleeper {
    /// The session.
    pub session: String,
    /// Where its object lives.
    pub region: Option<String>,
    /// Which try it is that is due.
    pub wake_at: u64,
}

/// See the module.
#[derive(Clone)]
pub struct Ledger<S>(S);

impl<S: Sql> Ledger<S> {
    /// Opens it, creating the tables.
    ///
    /// # Errors
    /// When the database fails.
    pub fn open(sql: S) -> Result<Self, SqlError> {
        crate::schema::migrate(&sql)?;
        Ok(Self(sql))
    }

    /// The timers.
    pub fn timers(&self) -> Timers<'_, S> {
        Timers::new(&self.0)
    }

    /// Takes a session's events, or tells it to keep quiet.
    ///
    /// # Errors
    /// When the database fails.
    pub fn append(
        &self,
        session: &str,
        region: Option<&str>,
        events: &[Envelope],
        now: u64,
    ) -> Result<Appended, SqlError> {
        self.0.atomically(|| self.append_all(session, region, events, now))
    }

    fn append_all(
        &self,
        session: &str,
        region: Option<&str>,
        events: &[Envelope],
        now: u64,
    ) -> Result<Appended, SqlError> {
        let known = self.through(session)?;
        let through = events.iter().map(|event| event.seq).max().unwrap_or(0).max(known);
        let taken = self.is_listened_to(now)?;
        if taken {
            let mut newest = self.number("newest")?;
            // Handed over again after an answer was lost: once is enough.
            for event in events.iter().filter(|event| event.seq > known) {
                newest += 1;
                self.insert(newest, event, now)?;
            }
            self.set_number("newest", newest)?;
        }
        self.0.query(
            "INSERT INTO source (session, region, through, is_quiet) VALUES (?1, ?2, ?3, ?4) \
             ON CONFLICT (session) DO UPDATE SET region = ?2, through = ?3, is_quiet = ?4, wake_at = NULL, tries = 0",
            &[session.into(), region.map(str::to_owned).as_ref().into(), whole(through), (!taken).into()],
        )?;
        Ok(Appended { taken, through })
    }

    /// Adds an event that is no session's; its position. Only while somebody listens.
    ///
    /// # Errors
    /// When the database fails.
    pub fn tell(&self, event: &Envelope, now: u64) -> Result<u64, SqlError> {
        let newest = self.number("newest")?;
        if !self.is_listened_to(now)? {
            return Ok(newest);
        }
        self.insert(newest + 1, event, now)?;
        self.set_number("newest", newest + 1)?;
        Ok(newest + 1)
    }

    fn insert(&self, position: u64, event: &Envelope, now: u64) -> Result<(), SqlError> {
        let write =
            |event: &Envelope| serde_json::to_string(event).map_err(|error| SqlError(error.to_string()));
        let mut text = write(event)?;
        if text.len() > MAX_EVENT_BYTES {
            let payload = serde_json::json!({ "isTooLarge": true });
            text = write(&Envelope { payload, ..event.clone() })?;
        }
        self.0.query(
            "INSERT INTO entry (position, session, type, at, event) VALUES (?1, ?2, ?3, ?4, ?5)",
            &[whole(position), (&event.session).into(), (&event.event).into(), whole(now), text.into()],
        )?;
        Ok(())
    }

    /// How far a session's log is in this one.
    fn through(&self, session: &str) -> Result<u64, SqlError> {
        let rows = self.0.query("SELECT through FROM source WHERE session = ?1", &[session.into()])?;
        rows.first().map_or(Ok(0), |row| row.integer(0).map(unsigned))
    }

    /// What is kept.
    ///
    /// # Errors
    /// When the database fails.
    pub fn bounds(&self) -> Result<Bounds, SqlError> {
        Ok(Bounds { floor: self.number("floor")?, newest: self.number("newest")? })
    }

    /// The events after a position.
    ///
    /// # Errors
    /// When the database fails or holds something else.
    pub fn read(&self, after: u64, limit: u32, filter: &Filter) -> Result<Batch, SqlError> {
        // A filter finds little in much: so many rows are looked at, and how far that was is said.
        let newest = self.number("newest")?;
        let is_filtered = !filter.types.is_empty() || filter.session.is_some();
        let until = if is_filtered { newest.min(after.saturating_add(LOOKED_AT.into())) } else { newest };
        let mut bindings = vec![whole(after), whole(until), limit.into()];
        let mut conditions = String::new();
        if let Some(session) = &filter.session {
            bindings.push(session.into());
            conditions = format!("AND session = ?{}", bindings.len());
        }
        if !filter.types.is_empty() {
            let first = bindings.len() + 1;
            bindings.extend(filter.types.iter().map(Value::from));
            let places: Vec<String> = (first..=bindings.len()).map(|place| format!("?{place}")).collect();
            conditions = format!("{conditions} AND type IN ({})", places.join(", "));
        }
        bindings.push(PAGE_BYTES.into());
        // By their sizes first, which costs no reading of them: a page is bounded by its bytes too.
        let statement = format!(
            "SELECT position, event, found FROM entry JOIN (SELECT position AS place, \
               SUM(size) OVER (ORDER BY position) - size AS before, COUNT(*) OVER () AS found FROM \
               (SELECT position, octet_length(event) AS size FROM entry \
                WHERE position > ?1 AND position <= ?2 {conditions} ORDER BY position LIMIT ?3)) \
             ON place = position WHERE before < ?{} ORDER BY position",
            bindings.len()
        );
        let rows = self.0.query(&statement, &bindings)?;
        let events = rows.iter().map(entry).collect::<Result<Vec<_>, _>>()?;
        let found = rows.first().map_or(Ok(0), |row| row.integer(2))?;
        let read = i64::try_from(events.len()).unwrap_or(i64::MAX);
        let position = match events.last() {
            Some((last, _)) if read < found || read >= i64::from(limit) => *last,
            _ => until.max(after),
        };
        Ok(Batch { events, position })
    }

    /// Whether anybody would miss an event: somebody has read lately, or there is a webhook.
    ///
    /// # Errors
    /// When the database fails.
    pub fn is_listened_to(&self, now: u64) -> Result<bool, SqlError> {
        if self.number("listened_until")? > now {
            return Ok(true);
        }
        Ok(!self.0.query("SELECT 1 FROM webhook LIMIT 1", &[])?.is_empty())
    }

    /// Somebody reads: until then events are taken.
    ///
    /// # Errors
    /// When the database fails.
    pub fn listened(&self, until: u64, now: u64) -> Result<(), SqlError> {
        let known = self.number("listened_until")?;
        self.begin_listening(now)?;
        // Not with every page: within a minute is exact enough.
        if known + 60_000 < until {
            self.set_number("listened_until", until)?;
        }
        Ok(())
    }

    /// These are the active webhooks now. New ones know of everything so far.
    ///
    /// # Errors
    /// When the database fails.
    pub fn set_webhooks(&self, ids: &[String], now: u64) -> Result<(), SqlError> {
        let known = self.webhooks()?;
        if known.is_empty() && !ids.is_empty() {
            self.begin_listening(now)?;
        }
        let newest = self.number("newest")?;
        for (id, _) in known.iter().filter(|(id, _)| !ids.contains(id)) {
            self.0.query("DELETE FROM webhook WHERE id = ?1", &[id.into()])?;
        }
        for id in ids {
            let statement = "INSERT INTO webhook (id, told) VALUES (?1, ?2) ON CONFLICT DO NOTHING";
            self.0.query(statement, &[id.into(), whole(newest)])?;
        }
        Ok(())
    }

    /// Called before the first who listens is noted: quiet sessions have to be told, and whoever knows a place from
    /// before the silence has missed something.
    fn begin_listening(&self, now: u64) -> Result<(), SqlError> {
        if self.is_listened_to(now)? {
            return Ok(());
        }
        let newest = self.number("newest")? + 1;
        self.set_number("newest", newest)?;
        self.set_number("floor", newest)?;
        self.set_number("listening_since", now)?;
        self.0.query("UPDATE source SET wake_at = ?1, tries = 0 WHERE is_quiet = 1", &[whole(now)])?;
        Ok(())
    }

    /// Since when events are taken.
    ///
    /// # Errors
    /// When the database fails.
    pub fn listening_since(&self) -> Result<u64, SqlError> {
        self.number("listening_since")
    }

    /// The sessions to be told now that somebody listens.
    ///
    /// # Errors
    /// When the database fails or holds something else.
    pub fn sleepers(&self, now: u64, limit: u32) -> Result<Vec<Sleeper>, SqlError> {
        let rows = self.0.query(
            "SELECT session, region, wake_at FROM source WHERE wake_at <= ?1 ORDER BY wake_at LIMIT ?2",
            &[whole(now), limit.into()],
        )?;
        let sleeper = |row: &Row| {
            Ok(Sleeper {
                session: row.text(0)?,
                region: row.optional_text(1)?,
                wake_at: unsigned(row.integer(2)?),
            })
        };
        rows.iter().map(sleeper).collect()
    }

    /// When the next session has to be told.
    ///
    /// # Errors
    /// When the database fails.
    pub fn next_wake(&self) -> Result<Option<u64>, SqlError> {
        let rows = self.0.query("SELECT MIN(wake_at) FROM source WHERE wake_at IS NOT NULL", &[])?;
        let due = rows.first().map_or(Ok(None), |row| row.optional_integer(0))?;
        Ok(due.map(unsigned))
    }

    /// A session was told. What it was refused meanwhile is no business of that: it is told of that again.
    ///
    /// # Errors
    /// When the database fails.
    pub fn woken(&self, sleeper: &Sleeper) -> Result<(), SqlError> {
        self.0.query(
            "UPDATE source SET is_quiet = 0, wake_at = NULL, tries = 0 WHERE session = ?1 AND wake_at = ?2",
            &[(&sleeper.session).into(), whole(sleeper.wake_at)],
        )?;
        Ok(())
    }

    /// A session could not be told: it is tried again, later and later.
    ///
    /// # Errors
    /// When the database fails.
    pub fn not_woken(&self, sleeper: &Sleeper, now: u64) -> Result<(), SqlError> {
        self.0.query(
            "UPDATE source SET wake_at = ?3 + (?4 << MIN(tries, 8)), tries = tries + 1 \
             WHERE session = ?1 AND wake_at = ?2",
            &[(&sleeper.session).into(), whole(sleeper.wake_at), whole(now), whole(WAKE_MS)],
        )?;
        Ok(())
    }

    /// A session is gone.
    ///
    /// # Errors
    /// When the database fails.
    pub fn forget(&self, session: &str) -> Result<(), SqlError> {
        self.0.query("DELETE FROM source WHERE session = ?1", &[session.into()])?;
        Ok(())
    }

    /// The active webhooks, and up to where each knows.
    ///
    /// # Errors
    /// When the database fails or holds something else.
    pub fn webhooks(&self) -> Result<Vec<(String, u64)>, SqlError> {
        let rows = self.0.query("SELECT id, told FROM webhook ORDER BY id", &[])?;
        rows.iter().map(|row| Ok((row.text(0)?, unsigned(row.integer(1)?)))).collect()
    }

    /// A webhook knows of everything up to a position.
    ///
    /// # Errors
    /// When the database fails.
    pub fn told(&self, webhook: &str, position: u64) -> Result<(), SqlError> {
        self.0.query(
            "UPDATE webhook SET told = MAX(told, ?2) WHERE id = ?1",
            &[webhook.into(), whole(position)],
        )?;
        Ok(())
    }

    /// Forgets what is old or too much.
    ///
    /// # Errors
    /// When the database fails.
    pub fn trim(&self, retention: Retention, now: u64) -> Result<(), SqlError> {
        let bounds = self.bounds()?;
        let by_count = bounds.newest.saturating_sub(retention.events);
        // Of the oldest only: the log is in the order of time, and what is left over goes with the next run.
        let rows = self.0.query(
            "SELECT MAX(position) FROM (SELECT position, at FROM entry ORDER BY position LIMIT 20000) WHERE at < ?1",
            &[whole(now.saturating_sub(retention.milliseconds))],
        )?;
        let by_age = rows.first().map_or(Ok(None), |row| row.optional_integer(0))?.map_or(0, unsigned);
        let floor = by_count.max(by_age);
        if floor > bounds.floor {
            self.0.query("DELETE FROM entry WHERE position <= ?1", &[whole(floor)])?;
            self.set_number("floor", floor)?;
        }
        Ok(())
    }

    /// Whose ledger it is, once that was said.
    ///
    /// # Errors
    /// When the database fails or holds something else.
    pub fn owner(&self) -> Result<Option<String>, SqlError> {
        let rows = self.0.query("SELECT organization FROM owner", &[])?;
        rows.first().map(|row| row.text(0)).transpose()
    }

    /// Notes whose ledger it is.
    ///
    /// # Errors
    /// When the database fails.
    pub fn set_owner(&self, organization: &str) -> Result<(), SqlError> {
        let statement = "INSERT INTO owner (id, organization) VALUES (1, ?1) ON CONFLICT DO NOTHING";
        self.0.query(statement, &[organization.into()])?;
        Ok(())
    }

    fn number(&self, name: &str) -> Result<u64, SqlError> {
        let rows = self.0.query("SELECT value FROM number WHERE name = ?1", &[name.into()])?;
        rows.first().map_or(Ok(0), |row| row.integer(0).map(unsigned))
    }

    fn set_number(&self, name: &str, value: u64) -> Result<(), SqlError> {
        self.0.query(
            "INSERT INTO number (name, value) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET value = ?2",
            &[name.into(), whole(value)],
        )?;
        Ok(())
    }
}

fn entry(row: &Row) -> Result<(u64, Envelope), SqlError> {
    let event =
        serde_json::from_str(&row.text(1)?).map_err(|error| SqlError(format!("an event: {error}")))?;
    Ok((unsigned(row.integer(0)?), event))
}

#[cfg(test)]
mod tests {
    use super::*;
    use gateway_sql::native::NativeSql;
    use serde_json::json;

    const KEPT: Retention = Retention { events: 1_000, milliseconds: 1_000_000 };

    fn ledger() -> Ledger<NativeSql> {
        Ledger::open(NativeSql::in_memory().unwrap()).unwrap()
    }

    /// One that somebody listens to.
    fn listened() -> Ledger<NativeSql> {
        let ledger = ledger();
        ledger.listened(1_000_000, 0).unwrap();
        ledger
    }

    fn event(session: &str, seq: u64) -> Envelope {
        Envelope {
            schema: "v1".into(),
            id: format!("evt_{session}{seq}"),
            event: if seq.is_multiple_of(2) { "message".into() } else { "auth.qr".into() },
            session: session.into(),
            organization: "org".into(),
            timestamp: seq,
            seq,
            epoch: 1,
            payload: json!({}),
        }
    }

    fn events(session: &str, seqs: std::ops::RangeInclusive<u64>) -> Vec<Envelope> {
        seqs.map(|seq| event(session, seq)).collect()
    }

    fn seqs(ledger: &Ledger<NativeSql>, after: u64) -> Vec<(String, u64)> {
        let batch = ledger.read(after, 1_000, &Filter::default()).unwrap();
        batch.events.into_iter().map(|(_, event)| (event.session, event.seq)).collect()
    }

    #[test]
    fn what_is_handed_over_twice_is_there_once_and_in_the_sessions_order() {
        let ledger = listened();
        let append = |session: &str, range| ledger.append(session, None, &events(session, range), 1).unwrap();
        assert_eq!(append("a", 1..=3), Appended { taken: true, through: 3 });
        assert_eq!(append("b", 1..=1), Appended { taken: true, through: 1 });
        assert_eq!(append("a", 2..=5), Appended { taken: true, through: 5 });
        assert_eq!(append("a", 1..=2), Appended { taken: true, through: 5 });
        let wanted = [("a", 1), ("a", 2), ("a", 3), ("b", 1), ("a", 4), ("a", 5)];
        assert_eq!(seqs(&ledger, 0), wanted.map(|(session, seq)| (session.to_owned(), seq)));
    }

    #[test]
    fn nothing_is_taken_while_nobody_listens_and_the_quiet_are_woken_when_somebody_does() {
        let ledger = ledger();
        let quiet = ledger.append("a", Some("weur"), &events("a", 1..=2), 5).unwrap();
        assert_eq!(quiet, Appended { taken: false, through: 2 });
        assert_eq!((seqs(&ledger, 0), ledger.sleepers(9, 10).unwrap()), (vec![], vec![]));
        let before = ledger.bounds().unwrap();

        ledger.set_webhooks(&["w".into()], 10).unwrap();
        assert_eq!(ledger.listening_since(), Ok(10));
        let due = |wake_at| Sleeper { session: "a".into(), region: Some("weur".into()), wake_at };
        assert_eq!(ledger.sleepers(10, 10), Ok(vec![due(10)]));
        ledger.not_woken(&due(10), 10).unwrap();
        assert_eq!((ledger.sleepers(10, 10).unwrap(), ledger.next_wake()), (vec![], Ok(Some(2_010))));
        assert_eq!(ledger.sleepers(2_010, 10), Ok(vec![due(2_010)]));
        ledger.not_woken(&due(2_010), 2_010).unwrap();
        assert_eq!(ledger.next_wake(), Ok(Some(6_010)));
        // An answer to an older try says nothing of this one.
        ledger.woken(&due(2_010)).unwrap();
        assert_eq!(ledger.next_wake(), Ok(Some(6_010)));
        ledger.woken(&due(6_010)).unwrap();
        assert_eq!(ledger.next_wake(), Ok(None));
        // A place from before the silence can't be resumed.
        assert!(before.newest < ledger.bounds().unwrap().floor);

        ledger.append("a", None, &events("a", 1..=4), 11).unwrap();
        assert_eq!(seqs(&ledger, 0), [("a".to_owned(), 3), ("a".to_owned(), 4)]);
        ledger.set_webhooks(&[], 12).unwrap();
        assert!(!ledger.append("a", None, &events("a", 5..=5), 13).unwrap().taken);
    }

    #[test]
    fn who_has_read_lately_listens_and_keeps_its_place() {
        let ledger = ledger();
        ledger.listened(100_000, 1).unwrap();
        ledger.append("a", None, &events("a", 1..=1), 2).unwrap();
        let bounds = ledger.bounds().unwrap();
        ledger.listened(200_000, 50_000).unwrap();
        assert_eq!(ledger.bounds(), Ok(bounds));
        assert!(ledger.append("a", None, &events("a", 2..=2), 199_999).unwrap().taken);
        assert!(!ledger.append("a", None, &events("a", 3..=3), 200_001).unwrap().taken);
    }

    #[test]
    fn a_filter_moves_on_past_what_it_leaves_out_and_never_looks_at_everything() {
        let ledger = listened();
        ledger.append("a", None, &events("a", 1..=5_000), 1).unwrap();
        ledger.append("b", None, &events("b", 1..=2), 1).unwrap();
        let filter = Filter { types: vec!["message".into()], session: Some("b".into()) };
        let (mut after, mut found, mut reads) = (0, vec![], 0);
        let newest = ledger.bounds().unwrap().newest;
        while after < newest {
            let batch = ledger.read(after, 10, &filter).unwrap();
            found.extend(batch.events.into_iter().map(|(_, event)| (event.session, event.seq)));
            after = batch.position;
            reads += 1;
        }
        assert_eq!((found, reads), (vec![("b".to_owned(), 2)], 3));
        let page = ledger.read(0, 2, &Filter { types: vec!["message".into()], session: None }).unwrap();
        assert_eq!(page.events.len(), 2);
        assert_eq!(page.position, page.events[1].0);
    }

    #[test]
    fn trimming_raises_the_floor_and_positions_are_never_used_again() {
        let ledger = listened();
        ledger.append("a", None, &events("a", 1..=10), 1_000).unwrap();
        let newest = ledger.bounds().unwrap().newest;
        ledger.trim(Retention { events: 4, ..KEPT }, 1_000).unwrap();
        assert_eq!(ledger.bounds(), Ok(Bounds { floor: newest - 4, newest }));
        ledger.trim(Retention { milliseconds: 10, ..KEPT }, 2_000).unwrap();
        assert_eq!(ledger.bounds(), Ok(Bounds { floor: newest, newest }));
        ledger.append("a", None, &events("a", 11..=11), 2_000).unwrap();
        assert_eq!(ledger.bounds(), Ok(Bounds { floor: newest, newest: newest + 1 }));
        assert_eq!(seqs(&ledger, newest), [("a".to_owned(), 11)]);
    }

    #[test]
    fn a_page_is_bounded_by_its_bytes_and_no_event_is_too_large_for_a_row() {
        let ledger = listened();
        let large =
            |seq, bytes: usize| Envelope { payload: json!({ "body": "x".repeat(bytes) }), ..event("a", seq) };
        let events = [large(1, 600_000), large(2, 600_000), large(3, 10), large(4, 2_500_000), large(5, 10)];
        ledger.append("a", None, &events, 1).unwrap();
        let (mut after, mut pages) = (0, Vec::new());
        loop {
            let batch = ledger.read(after, 100, &Filter::default()).unwrap();
            if batch.events.is_empty() {
                break;
            }
            pages.push(batch.events.iter().map(|(_, event)| event.seq).collect::<Vec<_>>());
            after = batch.position;
        }
        assert_eq!(pages, [vec![1, 2], vec![3, 4, 5]]);
        let wanted = Filter { types: vec!["message".into()], session: None };
        let batch = ledger.read(0, 100, &wanted).unwrap();
        assert_eq!(batch.events[1].1.payload, json!({ "isTooLarge": true }));
    }

    #[test]
    fn a_statement_that_fails_takes_its_whole_append_back() {
        let ledger = listened();
        ledger.append("a", None, &events("a", 1..=1), 1).unwrap();
        let refuse = "CREATE TRIGGER no BEFORE INSERT ON entry WHEN NEW.position = 4 \
                      BEGIN SELECT RAISE(ABORT, 'no'); END";
        ledger.0.query(refuse, &[]).unwrap();
        let before = ledger.bounds().unwrap();
        assert!(ledger.append("a", None, &events("a", 2..=5), 1).is_err());
        assert_eq!((ledger.bounds(), seqs(&ledger, 0).len()), (Ok(before), 1));
        ledger.0.query("DROP TRIGGER no", &[]).unwrap();
        ledger.append("a", None, &events("a", 2..=5), 1).unwrap();
        assert_eq!(seqs(&ledger, 0).len(), 5);
    }

    #[test]
    fn a_webhook_is_owed_what_came_after_it_was_made() {
        let ledger = listened();
        ledger.append("a", None, &events("a", 1..=3), 1).unwrap();
        let newest = ledger.bounds().unwrap().newest;
        ledger.set_webhooks(&["v".into(), "w".into()], 2).unwrap();
        ledger.told("v", newest + 1).unwrap();
        ledger.told("v", 1).unwrap();
        ledger.set_webhooks(&["v".into()], 3).unwrap();
        assert_eq!(ledger.webhooks(), Ok(vec![("v".into(), newest + 1)]));
    }
}
