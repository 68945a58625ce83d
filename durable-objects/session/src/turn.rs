//! When a send's turn is: the owner's limits, the budget of new chats, and WhatsApp's own timelock.
//!
//! Looking and writing down ([`Rules::turn`], then [`Outbox::begin`]) are one synchronous run, and what is written is there
//! after a restart: the limits hold exactly.

use std::cell::Cell;

use gateway_domain::error::{ApiError, ErrorCode};
use gateway_domain::pacing::{Limits, Standing, retry_after_seconds};
use gateway_domain::timeline::DAY_MS;
use gateway_sql::{Sql, SqlError};

use crate::outbox::Outbox;

/// What sends keep to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// The owner's.
    pub limits: Limits,
    /// How many chats a number may begin within 24 hours; 0 is any number.
    pub new_chats_per_day: u32,
    /// Until when WhatsApp lets the number begin none.
    pub timelock_until: Option<u64>,
}

/// Why a send must wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// `ratePerMin` or `ratePerHour`.
    Rate,
    /// The budget of new chats.
    NewChats,
    /// WhatsApp.
    Timelock,
}

/// A send that must wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wait {
    /// Until when.
    pub until: u64,
    /// Why.
    pub why: Why,
}

impl Wait {
    /// What somebody who won't wait is told.
    #[must_use]
    pub fn error(&self, now: u64) -> ApiError {
        let message = match self.why {
            Why::Rate => "The session's own limit, ratePerMin or ratePerHour, is reached.",
            Why::NewChats => "The number has begun as many new chats today as this gateway lets it.",
            Why::Timelock => "WhatsApp lets this number start no new chats for now (463).",
        };
        let error = ApiError::new(ErrorCode::RateLimited, message)
            .with("retryAfterSeconds", retry_after_seconds(now, self.until));
        match self.why {
            Why::Timelock => error.with("expiresAt", self.until).with("whatsappCode", "463"),
            Why::Rate | Why::NewChats => error,
        }
    }
}

impl Rules {
    /// Whether a send to this chat may go now; when not, until when it waits.
    ///
    /// # Errors
    /// When the database fails.
    pub fn turn<S: Sql>(
        &self,
        outbox: &Outbox<'_, S>,
        chat: &str,
        is_new_chat: bool,
        now: u64,
    ) -> Result<Option<Wait>, SqlError> {
        if is_new_chat && let Some(wait) = self.new_chat(outbox, chat, now)? {
            return Ok(Some(wait));
        }
        let until = self.next_free(outbox, now)?;
        Ok((until > now).then_some(Wait { until, why: Why::Rate }))
    }

    /// When the limits let the next send go, whatever it is.
    ///
    /// # Errors
    /// When the database fails.
    pub fn next_free<S: Sql>(&self, outbox: &Outbox<'_, S>, now: u64) -> Result<u64, SqlError> {
        self.limits.next_free(now, |n| outbox.began(n))
    }

    /// When they let a second one go, if the next goes at this time.
    fn second_free<S: Sql>(&self, outbox: &Outbox<'_, S>, next: u64) -> Result<u64, SqlError> {
        self.limits.next_free(next, |n| if n == 1 { Ok(Some(next)) } else { outbox.began(n - 1) })
    }

    /// What is left of the limits.
    ///
    /// # Errors
    /// When the database fails.
    pub fn standing<S: Sql>(&self, outbox: &Outbox<'_, S>, now: u64) -> Result<Vec<Standing>, SqlError> {
        let count = |since| outbox.begun_since(since).map(|count| u32::try_from(count).unwrap_or(u32::MAX));
        self.limits.standing(now, |n| outbox.began(n), count)
    }

    fn new_chat<S: Sql>(
        &self,
        outbox: &Outbox<'_, S>,
        chat: &str,
        now: u64,
    ) -> Result<Option<Wait>, SqlError> {
        if let Some(until) = self.timelock_until.filter(|until| *until > now) {
            return Ok(Some(Wait { until, why: Why::Timelock }));
        }
        let day = now.saturating_sub(DAY_MS);
        if self.new_chats_per_day == 0 || outbox.has_begun_chat(chat, day)? {
            return Ok(None);
        }
        let oldest = outbox.chat_begun(self.new_chats_per_day)?.map(|begun| begun.min(now));
        let until = oldest.map(|begun| begun.saturating_add(DAY_MS + 1)).filter(|until| *until > now);
        Ok(until.map(|until| Wait { until, why: Why::NewChats }))
    }
}

/// How long a slot is kept for who was told to come back at its time.
const KEPT_MS: u64 = 5_000;

/// A slot of the limits that is kept: from its time on, for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Kept {
    from: u64,
    until: u64,
}

/// Whose the next slot of the limits is, where the queue takes each the moment it is free: of those who were told to come
/// back at its time, and then the queue's, in turn. Only who is first is decided here; how many go is the limits'.
#[derive(Debug, Default)]
pub struct Turns {
    kept: Cell<Option<Kept>>,
    /// Whether the last that was kept has been used: the next is the queue's.
    is_queues: Cell<bool>,
}

impl Turns {
    /// Somebody who waits is refused: when they are to come back. The slot of that time is kept for them.
    ///
    /// # Errors
    /// When the database fails.
    pub fn promise<S: Sql>(
        &self,
        rules: &Rules,
        outbox: &Outbox<'_, S>,
        wait: Wait,
        now: u64,
    ) -> Result<Wait, SqlError> {
        if wait.why != Why::Rate {
            return Ok(wait);
        }
        let from = match self.kept.get().filter(|kept| kept.from > now) {
            Some(kept) => kept.from.max(wait.until),
            None if self.is_queues.get() && outbox.has_queue()? => rules.second_free(outbox, wait.until)?,
            None => wait.until,
        };
        self.kept.set(Some(Kept { from, until: from.saturating_add(KEPT_MS) }));
        Ok(Wait { until: from, ..wait })
    }

    /// A slot was taken.
    pub fn taken(&self, by_queue: bool, now: u64) {
        if by_queue {
            self.is_queues.set(false);
        } else if self.kept.get().is_some_and(|kept| kept.from <= now) {
            self.kept.set(None);
            self.is_queues.set(true);
        }
    }

    /// When the limits let the queue's next go: not in a slot that is kept, unless there is another.
    ///
    /// # Errors
    /// When the database fails.
    pub fn next_free<S: Sql>(
        &self,
        rules: &Rules,
        outbox: &Outbox<'_, S>,
        now: u64,
    ) -> Result<u64, SqlError> {
        let free = rules.next_free(outbox, now)?;
        let is_kept = |kept: &Kept| (kept.from..=kept.until).contains(&free);
        let Some(kept) = self.kept.get().filter(is_kept) else { return Ok(free) };
        Ok(rules.second_free(outbox, free)?.min(kept.until + 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outbox::{LOTS, NewEntry, TABLES};
    use gateway_sql::native::NativeSql;

    const NOW: u64 = 1_700_000_000_000;

    fn sql() -> NativeSql {
        let sql = NativeSql::in_memory().unwrap();
        for table in TABLES.iter().chain(LOTS) {
            sql.query(table, &[]).unwrap();
        }
        sql
    }

    fn begin(outbox: &Outbox<'_, NativeSql>, chat: &str, is_new_chat: bool, at: u64) {
        let id = format!("{chat} {at}");
        let new = NewEntry { id: &id, message_id: &id, chat, is_async: true, request: None };
        outbox.add(&new, &[], at).unwrap();
        outbox.begin(&id, is_new_chat, at).unwrap();
    }

    #[test]
    fn the_owners_limits_hold_for_every_chat() {
        let sql = sql();
        let outbox = Outbox::new(&sql);
        let rules = Rules { limits: Limits { per_minute: 2, per_hour: 0 }, ..Rules::default() };
        begin(&outbox, "a", false, NOW);
        assert_eq!(rules.turn(&outbox, "a", false, NOW), Ok(None));
        begin(&outbox, "b", false, NOW + 10_000);
        let wait = rules.turn(&outbox, "c", false, NOW + 10_000).unwrap().unwrap();
        assert_eq!(wait, Wait { until: NOW + 60_001, why: Why::Rate });
        assert_eq!(wait.error(NOW + 10_000).error.details["retryAfterSeconds"], 51);
        assert_eq!(rules.turn(&outbox, "c", false, wait.until), Ok(None));
        assert_eq!(rules.standing(&outbox, NOW + 10_000).unwrap()[0].remaining, 0);
    }

    /// When somebody who waits is refused now, and when the queue's next goes.
    fn refused(turns: &Turns, rules: &Rules, outbox: &Outbox<'_, NativeSql>, now: u64) -> (u64, u64) {
        let wait = rules.turn(outbox, "sync", false, now).unwrap().unwrap();
        let told = turns.promise(rules, outbox, wait, now).unwrap().until;
        (told, turns.next_free(rules, outbox, told).unwrap())
    }

    #[test]
    fn who_was_told_to_come_back_finds_a_slot_and_the_queue_has_every_second() {
        let sql = sql();
        let outbox = Outbox::new(&sql);
        let (turns, mut now) = (Turns::default(), NOW);
        let rules = Rules { limits: Limits { per_minute: 1, per_hour: 0 }, ..Rules::default() };
        begin(&outbox, "a", false, now);
        let waiting = NewEntry { id: "q", message_id: "q", chat: "q", is_async: true, request: None };
        outbox.add(&waiting, &[], now).unwrap();
        let (told, queues) = refused(&turns, &rules, &outbox, now + 1);
        assert_eq!((told, queues), (now + 60_001, now + 60_001 + KEPT_MS + 1));
        // Again before its time is the same; at its time they go.
        assert_eq!(refused(&turns, &rules, &outbox, now + 30_000).0, told);
        now = told + 900;
        assert_eq!(rules.turn(&outbox, "sync", false, now), Ok(None));
        begin(&outbox, "sync", false, now);
        turns.taken(false, now);
        // The next is the queue's, and they are told so.
        let (told, _) = refused(&turns, &rules, &outbox, now + 1);
        assert_eq!(told, now + 2 * 60_001);
        assert_eq!(turns.next_free(&rules, &outbox, now + 60_001), Ok(now + 60_001));
        begin(&outbox, "b", false, now + 60_001);
        turns.taken(true, now + 60_001);
        assert_eq!(turns.next_free(&rules, &outbox, told), Ok(told + KEPT_MS + 1));
        // Who doesn't come back keeps nobody for long, and who comes then finds what there is.
        assert_eq!(turns.next_free(&rules, &outbox, told + KEPT_MS + 1), Ok(told + KEPT_MS + 1));
        begin(&outbox, "c", false, told + KEPT_MS + 1);
        turns.taken(true, told + KEPT_MS + 1);
        let next = told + KEPT_MS + 1 + 60_001;
        assert_eq!(refused(&turns, &rules, &outbox, told + KEPT_MS + 2).0, next);
        turns.taken(false, next);
        // Without a queue nothing is left to it.
        outbox.fail("q", "{}", next).unwrap();
        begin(&outbox, "d", false, next);
        assert_eq!(refused(&turns, &rules, &outbox, next + 1).0, next + 60_001);
    }

    #[test]
    fn of_two_free_slots_the_queue_has_one() {
        let sql = sql();
        let outbox = Outbox::new(&sql);
        let turns = Turns::default();
        let rules = Rules { limits: Limits { per_minute: 2, per_hour: 0 }, ..Rules::default() };
        begin(&outbox, "a", false, NOW);
        begin(&outbox, "b", false, NOW + 1_000);
        let (told, queues) = refused(&turns, &rules, &outbox, NOW + 2_000);
        assert_eq!((told, queues), (NOW + 60_001, NOW + 61_001));
        assert_eq!(turns.next_free(&rules, &outbox, NOW + 61_001), Ok(NOW + 61_001));
        // A budget of new chats keeps nobody from anything.
        let wait = Wait { until: NOW + 90_000, why: Why::NewChats };
        assert_eq!(turns.promise(&rules, &outbox, wait, NOW + 62_000), Ok(wait));
    }

    #[test]
    fn new_chats_have_a_budget_of_a_day_and_known_ones_have_none() {
        let sql = sql();
        let outbox = Outbox::new(&sql);
        let rules = Rules { new_chats_per_day: 2, ..Rules::default() };
        begin(&outbox, "a", true, NOW);
        begin(&outbox, "a", true, NOW + 1);
        assert_eq!(rules.turn(&outbox, "b", true, NOW + 2), Ok(None));
        begin(&outbox, "b", true, NOW + 2);
        let wait = Some(Wait { until: NOW + DAY_MS + 1, why: Why::NewChats });
        assert_eq!(rules.turn(&outbox, "c", true, NOW + 3), Ok(wait));
        assert_eq!(rules.turn(&outbox, "c", false, NOW + 3), Ok(None));
        // A second message in a chat that was begun today is no second chat.
        assert_eq!(rules.turn(&outbox, "b", true, NOW + 3), Ok(None));
        assert_eq!(rules.turn(&outbox, "c", true, NOW + DAY_MS + 1), Ok(None));
    }

    #[test]
    fn a_timelock_holds_back_new_chats_only_and_until_its_end() {
        let sql = sql();
        let outbox = Outbox::new(&sql);
        let rules = Rules { timelock_until: Some(NOW + 5_000), ..Rules::default() };
        let wait = Wait { until: NOW + 5_000, why: Why::Timelock };
        assert_eq!(rules.turn(&outbox, "a", true, NOW), Ok(Some(wait)));
        assert_eq!(wait.error(NOW).error.details["whatsappCode"], "463");
        assert_eq!(rules.turn(&outbox, "a", false, NOW), Ok(None));
        assert_eq!(rules.turn(&outbox, "a", true, NOW + 5_000), Ok(None));
    }
}
