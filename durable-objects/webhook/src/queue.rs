//! The deliveries, over the object's database. Synchronous: what is done between two awaits is one atomic, durable write.
//!
//! Deliveries wait in lanes, one a session: in a lane they go in order, the first holds up the rest, and no lane holds up
//! another. An attempt is written down before it leaves ([`Queue::begin`]) and its outcome after ([`Queue::settle`]); the
//! lane is leased meanwhile, so that an attempt nobody hears of again is made anew.

use gateway_domain::event::Envelope;
use gateway_domain::webhook::{DeliveryStatus, GAP_EVENT, TEST_EVENT, WebhookDelivery};
use gateway_object::alarm::Timers;
use gateway_object::calls::webhook::Deliveries;
use gateway_sql::{Row, Sql, SqlError, Value, unsigned, whole};

use crate::record::{INTERRUPTIONS, Outcome, Record, Verdict};

/// While so many wait nothing more is read from the ledger.
pub const MAX_PENDING: u64 = 10_000;
/// As many are read from the ledger at a time.
pub const PAGE: u32 = 200;
/// How many that the owner is trying out may wait.
pub const MAX_TESTS: u64 = 10;
/// How long the object waits for an attempt it has begun: longer than one can take.
pub const LEASE_MS: u64 = 30_000;

const DAY_MS: u64 = 86_400_000;
const DELIVERED_KEPT_MS: u64 = 7 * DAY_MS;
const DELIVERED_KEPT: u64 = 10_000;
const DEAD_KEPT_MS: u64 = 30 * DAY_MS;
const DEAD_KEPT: u64 = 20_000;
/// A row holds 2 MB (Durable Objects, "Limits").
const MAX_BODY_BYTES: usize = 1_900_000;
/// What is kept of an event that is larger.
const NOTHING: &str = "{}";

const SHOWN: &str = "place, id, event_id, event, session, seq, status, attempts, last_status, last_error, latency, \
    response, created, next_attempt, settled";

/// One attempt that is being made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    place: u64,
    lane: String,
    /// The first is 1.
    pub number: u32,
    /// The event's id.
    pub event_id: String,
    /// Whether the owner is trying the webhook out.
    pub is_test: bool,
    /// What is sent.
    pub body: String,
}

/// See the module.
pub struct Queue<S>(S);

impl<S: Sql> Queue<S> {
    /// Opens it. Whatever was on its way when the object died is made anew.
    ///
    /// # Errors
    /// When the database fails.
    pub fn open(sql: S, now: u64) -> Result<Self, SqlError> {
        crate::schema::migrate(&sql)?;
        sql.query("UPDATE lane SET due = ?1, is_leased = 0 WHERE is_leased = 1", &[whole(now)])?;
        Ok(Self(sql))
    }

    /// The timers.
    pub fn timers(&self) -> Timers<'_, S> {
        Timers::new(&self.0)
    }

    /// What is remembered, if the object was ever called.
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

    /// Takes events in, in their order; how many are new. One that is there already stays as it is.
    ///
    /// # Errors
    /// When the database fails.
    pub fn accept(
        &self,
        events: &[Envelope],
        now: u64,
        mut mint: impl FnMut() -> String,
    ) -> Result<u64, SqlError> {
        let mut taken = 0;
        for event in events {
            if self.insert(event, &event.session, now, &mint())? {
                self.open_lane(&event.session, false, now)?;
                taken += 1;
            }
        }
        Ok(taken)
    }

    /// Takes an event in by which the owner tries the webhook out. It waits for nothing and nothing waits for it.
    ///
    /// # Errors
    /// When the database fails.
    pub fn accept_test(&self, event: &Envelope, now: u64, id: &str) -> Result<(), SqlError> {
        self.insert(event, &event.id, now, id)?;
        self.open_lane(&event.id, true, now)
    }

    /// Notes that the ledger keeps no longer what comes after `from`, up to `to` at most: a dead letter with nothing in
    /// it, for its owner to see.
    ///
    /// # Errors
    /// When the database fails.
    pub fn note_gap(&self, from: u64, to: u64, now: u64, id: &str) -> Result<(), SqlError> {
        let error = format!(
            "What came after position {from} is not in the organization's log (any more); sending goes on behind \
             position {to}. Replay from the sessions' logs what is missing."
        );
        self.0.query(
            "INSERT INTO delivery (id, event_id, event, session, seq, lane, status, created, settled, last_error, body) \
             VALUES (?1, ?2, ?3, '', 0, '', ?4, ?5, ?5, ?6, ?7) ON CONFLICT (event_id) DO NOTHING",
            &[
                id.into(),
                format!("gap_{from}_{to}").into(),
                GAP_EVENT.into(),
                DeliveryStatus::Dead.name().into(),
                whole(now),
                error.into(),
                NOTHING.into(),
            ],
        )?;
        Ok(())
    }

    fn insert(&self, event: &Envelope, lane: &str, now: u64, id: &str) -> Result<bool, SqlError> {
        let body = serde_json::to_string(event).map_err(|error| SqlError(error.to_string()))?;
        let is_too_large = body.len() > MAX_BODY_BYTES;
        let (status, settled, error, body) = if is_too_large {
            let error = "The event is too large to be delivered.".into();
            (DeliveryStatus::Dead, whole(now), error, NOTHING.to_owned())
        } else {
            (DeliveryStatus::Pending, Value::Null, Value::Null, body)
        };
        let inserted = self.0.query(
            "INSERT INTO delivery (id, event_id, event, session, seq, lane, status, created, settled, last_error, body) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11) ON CONFLICT (event_id) DO NOTHING RETURNING place",
            &[
                id.into(),
                (&event.id).into(),
                (&event.event).into(),
                (&event.session).into(),
                whole(event.seq),
                lane.into(),
                status.name().into(),
                whole(now),
                settled,
                error,
                body.into(),
            ],
        )?;
        Ok(!inserted.is_empty() && !is_too_large)
    }

    /// Something waits in the lane. One that waits for its next attempt goes on waiting.
    fn open_lane(&self, lane: &str, is_test: bool, now: u64) -> Result<(), SqlError> {
        self.0.query(
            "INSERT INTO lane (lane, due, is_test) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING",
            &[lane.into(), whole(now), is_test.into()],
        )?;
        Ok(())
    }

    /// How many wait.
    ///
    /// # Errors
    /// When the database fails.
    pub fn pending(&self) -> Result<u64, SqlError> {
        self.count("SELECT COUNT(*) FROM delivery WHERE status = 'pending'")
    }

    /// Whether another page may be taken in.
    ///
    /// # Errors
    /// When the database fails.
    pub fn has_room(&self) -> Result<bool, SqlError> {
        Ok(self.pending()? < MAX_PENDING)
    }

    /// How many of those the owner is trying out wait.
    ///
    /// # Errors
    /// When the database fails.
    pub fn tests(&self) -> Result<u64, SqlError> {
        self.count("SELECT COUNT(*) FROM lane WHERE is_test = 1")
    }

    fn count(&self, statement: &str) -> Result<u64, SqlError> {
        let rows = self.0.query(statement, &[])?;
        rows.first().map_or(Ok(0), |row| row.integer(0).map(unsigned))
    }

    /// The next attempt, if one is due: it counts from here on. While the webhook is not active only those go that try
    /// it out. `most` is how often the policy lets a delivery be tried.
    ///
    /// # Errors
    /// When the database fails or holds something else.
    pub fn begin(&self, now: u64, is_active: bool, most: u32) -> Result<Option<Attempt>, SqlError> {
        loop {
            let lanes = self.0.query(
                "SELECT lane, is_test FROM lane WHERE due <= ?1 AND (is_test = 1 OR ?2 = 1) ORDER BY due LIMIT 1",
                &[whole(now), is_active.into()],
            )?;
            let Some(row) = lanes.first() else { return Ok(None) };
            let (lane, is_test) = (row.text(0)?, row.integer(1)? != 0);
            let heads = self.0.query(
                "SELECT place, event_id, attempts, body FROM delivery WHERE lane = ?1 AND status = 'pending' \
                 ORDER BY place LIMIT 1",
                &[(&lane).into()],
            )?;
            let Some(head) = heads.first() else {
                self.0.query("DELETE FROM lane WHERE lane = ?1", &[lane.into()])?;
                continue;
            };
            let (place, attempts) = (unsigned(head.integer(0)?), small(head.integer(2)?));
            if attempts >= most.saturating_add(INTERRUPTIONS) {
                self.0.query(
                    "UPDATE delivery SET status = 'dead', settled = ?2, next_attempt = NULL, \
                     last_error = 'The gateway was interrupted over it too often.' WHERE place = ?1",
                    &[whole(place), whole(now)],
                )?;
                continue;
            }
            self.0.query(
                "UPDATE delivery SET attempts = attempts + 1, next_attempt = NULL WHERE place = ?1",
                &[whole(place)],
            )?;
            self.0.query(
                "UPDATE lane SET due = ?2, is_leased = 1 WHERE lane = ?1",
                &[(&lane).into(), whole(now + LEASE_MS)],
            )?;
            let number = attempts + 1;
            return Ok(Some(Attempt {
                place,
                lane,
                number,
                event_id: head.text(1)?,
                is_test,
                body: head.text(3)?,
            }));
        }
    }

    /// Writes down how an attempt ended; `false` when it was given up for lost and another was begun since.
    ///
    /// # Errors
    /// When the database fails.
    pub fn settle(&self, attempt: &Attempt, outcome: &Outcome, now: u64) -> Result<bool, SqlError> {
        let (status, next, settled) = match outcome.verdict {
            Verdict::Delivered => (DeliveryStatus::Delivered, Value::Null, whole(now)),
            Verdict::Dead => (DeliveryStatus::Dead, Value::Null, whole(now)),
            Verdict::Again { at } => (DeliveryStatus::Pending, whole(at), Value::Null),
            // It would go on while the webhook is off.
            Verdict::Gone if attempt.is_test => (DeliveryStatus::Dead, Value::Null, whole(now)),
            Verdict::Gone => (DeliveryStatus::Pending, Value::Null, Value::Null),
        };
        let written = self.0.query(
            "UPDATE delivery SET status = ?3, next_attempt = ?4, settled = ?5, last_status = ?6, last_error = ?7, \
             latency = ?8, response = ?9 WHERE place = ?1 AND attempts = ?2 AND status = 'pending' RETURNING place",
            &[
                whole(attempt.place),
                attempt.number.into(),
                status.name().into(),
                next,
                settled,
                outcome.status.map(u32::from).into(),
                outcome.error.as_ref().into(),
                whole(outcome.latency),
                outcome.response.as_ref().into(),
            ],
        )?;
        if written.is_empty() {
            return Ok(false);
        }
        let lane: Value = (&attempt.lane).into();
        let waiting = self.0.query(
            "SELECT 1 FROM delivery WHERE lane = ?1 AND status = 'pending' LIMIT 1",
            std::slice::from_ref(&lane),
        )?;
        if waiting.is_empty() {
            self.0.query("DELETE FROM lane WHERE lane = ?1", &[lane])?;
        } else {
            let due = if let Verdict::Again { at } = outcome.verdict { at } else { now };
            self.0.query("UPDATE lane SET due = ?2, is_leased = 0 WHERE lane = ?1", &[lane, whole(due)])?;
        }
        Ok(true)
    }

    /// When the next attempt is due.
    ///
    /// # Errors
    /// When the database fails.
    pub fn next_due(&self, is_active: bool) -> Result<Option<u64>, SqlError> {
        let rows =
            self.0.query("SELECT MIN(due) FROM lane WHERE is_test = 1 OR ?1 = 1", &[is_active.into()])?;
        let due = rows.first().map_or(Ok(None), |row| row.optional_integer(0))?;
        Ok(due.map(unsigned))
    }

    /// Nothing waits for its next attempt any more: the webhook was switched on.
    ///
    /// # Errors
    /// When the database fails.
    pub fn hurry(&self, now: u64) -> Result<(), SqlError> {
        self.0.query(
            "UPDATE delivery SET next_attempt = NULL WHERE status = 'pending' AND next_attempt IS NOT NULL",
            &[],
        )?;
        self.0.query("UPDATE lane SET due = ?1 WHERE is_leased = 0 AND due > ?1", &[whole(now)])?;
        Ok(())
    }

    /// A page of the deliveries, the newest first.
    ///
    /// # Errors
    /// When the database fails or holds something else.
    pub fn list(
        &self,
        webhook: &str,
        status: Option<DeliveryStatus>,
        limit: u32,
        before: Option<u64>,
    ) -> Result<Deliveries, SqlError> {
        let bindings = [whole(before.unwrap_or(u64::MAX)), whole(u64::from(limit) + 1)];
        let filter = match status {
            // As the index has it.
            Some(DeliveryStatus::Pending) => "AND status = 'pending'",
            Some(DeliveryStatus::Delivered) => "AND status = 'delivered' AND status <> 'pending'",
            Some(DeliveryStatus::Dead) => "AND status = 'dead' AND status <> 'pending'",
            None => "",
        };
        let statement =
            format!("SELECT {SHOWN} FROM delivery WHERE place < ?1 {filter} ORDER BY place DESC LIMIT ?2");
        let mut rows = self.0.query(&statement, &bindings)?;
        let more = rows.len() > limit as usize;
        rows.truncate(limit as usize);
        let last = rows.last().filter(|_| more).map(|row| row.integer(0).map(unsigned)).transpose()?;
        let deliveries = rows.iter().map(|row| shown(webhook, row)).collect::<Result<_, _>>()?;
        Ok(Deliveries { deliveries, before: last })
    }

    /// One delivery.
    ///
    /// # Errors
    /// When the database fails or holds something else.
    pub fn of_event(&self, webhook: &str, event_id: &str) -> Result<Option<WebhookDelivery>, SqlError> {
        let statement = format!("SELECT {SHOWN} FROM delivery WHERE event_id = ?1");
        let rows = self.0.query(&statement, &[event_id.into()])?;
        rows.first().map(|row| shown(webhook, row)).transpose()
    }

    /// Puts what is dead at the end of its lanes; how many. Nobody tries out again what was tried out.
    ///
    /// # Errors
    /// When the database fails.
    pub fn replay_dead(&self, room: u64, now: u64) -> Result<u64, SqlError> {
        self.put_back("status = 'dead' AND body <> '{}' AND event <> ?2", &[TEST_EVENT.into()], room, now)
    }

    /// Puts these deliveries at the end of their lanes, unless they wait already; how many.
    ///
    /// # Errors
    /// When the database fails.
    pub fn replay(&self, ids: &[String], room: u64, now: u64) -> Result<u64, SqlError> {
        let mut put = 0;
        // A statement takes a hundred bindings.
        for ids in ids.chunks(90) {
            let places: Vec<String> = (2..ids.len() + 2).map(|place| format!("?{place}")).collect();
            let named = format!("status <> 'pending' AND body <> '{{}}' AND id IN ({})", places.join(", "));
            let ids: Vec<Value> = ids.iter().map(Value::from).collect();
            put += self.put_back(&named, &ids, room.saturating_sub(put), now)?;
        }
        Ok(put)
    }

    /// Puts these events at the end of their lanes, whether they were ever here or not, unless they wait already; how
    /// many.
    ///
    /// # Errors
    /// When the database fails.
    pub fn replay_events(
        &self,
        events: &[Envelope],
        room: u64,
        now: u64,
        mut mint: impl FnMut() -> String,
    ) -> Result<u64, SqlError> {
        let mut put = 0;
        for event in events {
            if put == room {
                break;
            }
            put += self.put_back(
                "status <> 'pending' AND body <> '{}' AND event_id = ?2",
                &[(&event.id).into()],
                1,
                now,
            )?;
            put += self.accept(std::slice::from_ref(event), now, &mut mint)?;
        }
        Ok(put)
    }

    /// Puts settled deliveries at the end of their lanes, in their order, as if they had just come in. `which` binds from
    /// ?2 on.
    fn put_back(&self, which: &str, bindings: &[Value], room: u64, now: u64) -> Result<u64, SqlError> {
        let mut bound = vec![whole(room)];
        bound.extend_from_slice(bindings);
        let put = self.0.query(
            &format!(
                "UPDATE delivery SET place = chosen.place, status = 'pending', attempts = 0, last_status = NULL, \
                 last_error = NULL, latency = NULL, response = NULL, settled = NULL \
                 FROM (SELECT place AS old, \
                   (SELECT MAX(place) FROM delivery) + ROW_NUMBER() OVER (ORDER BY place) AS place \
                   FROM delivery WHERE {which} ORDER BY delivery.place LIMIT ?1) AS chosen \
                 WHERE delivery.place = chosen.old RETURNING lane, event"
            ),
            &bound,
        )?;
        let mut lanes = put
            .iter()
            .map(|row| Ok((row.text(0)?, row.text(1)? == TEST_EVENT)))
            .collect::<Result<Vec<_>, SqlError>>()?;
        lanes.sort();
        lanes.dedup();
        for (lane, is_test) in lanes {
            // Whoever asks for it says that the receiver works again.
            self.0.query(
                "INSERT INTO lane (lane, due, is_test) VALUES (?1, ?2, ?3) \
                 ON CONFLICT (lane) DO UPDATE SET due = MIN(due, ?2) WHERE is_leased = 0",
                &[lane.into(), whole(now), is_test.into()],
            )?;
        }
        Ok(put.len() as u64)
    }

    /// Forgets what was settled long ago, or is too much; whether anything is left to be forgotten some day.
    ///
    /// # Errors
    /// When the database fails.
    pub fn tidy(&self, now: u64) -> Result<bool, SqlError> {
        for (status, age, most) in [
            (DeliveryStatus::Delivered, DELIVERED_KEPT_MS, DELIVERED_KEPT),
            (DeliveryStatus::Dead, DEAD_KEPT_MS, DEAD_KEPT),
        ] {
            self.0.query(
                "DELETE FROM delivery WHERE status = ?1 AND status <> 'pending' AND (settled < ?2 OR place <= \
                 (SELECT place FROM delivery WHERE status = ?1 AND status <> 'pending' \
                  ORDER BY place DESC LIMIT 1 OFFSET ?3))",
                &[status.name().into(), whole(now.saturating_sub(age)), whole(most)],
            )?;
        }
        let left = self.0.query("SELECT 1 FROM delivery WHERE status <> 'pending' LIMIT 1", &[])?;
        Ok(!left.is_empty())
    }
}

fn shown(webhook: &str, row: &Row) -> Result<WebhookDelivery, SqlError> {
    let status = row.text(6)?;
    let status = DeliveryStatus::named(&status).ok_or_else(|| SqlError(format!("status {status}")))?;
    let settled = row.optional_integer(14)?.map(unsigned);
    Ok(WebhookDelivery {
        id: row.text(1)?,
        webhook_id: webhook.to_owned(),
        event_id: row.text(2)?,
        event: row.text(3)?,
        session: row.text(4)?,
        seq: unsigned(row.integer(5)?),
        status,
        attempts: small(row.integer(7)?),
        last_status: row.optional_integer(8)?.and_then(|status| u16::try_from(status).ok()),
        last_error: row.optional_text(9)?,
        latency_ms: row.optional_integer(10)?.map(unsigned),
        response: row.optional_text(11)?,
        created_at: unsigned(row.integer(12)?),
        next_attempt_at: row.optional_integer(13)?.map(unsigned),
        delivered_at: settled.filter(|_| status == DeliveryStatus::Delivered),
    })
}

fn small(number: i64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
