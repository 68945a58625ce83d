//! Polls that end at a moment, and the votes in them until then: what `poll.recap` tells, once a poll.
//!
//! What WhatsApp itself sends of results, `pollResultSnapshotMessage`, can't be told as a recap: it has the question and a
//! count for each option, but neither which poll it is of, nor when that ended, how many options one could choose or how
//! many people voted. It is what somebody shares of a poll, closed or not.
//!
//! As in the journal, what a method writes is one synchronous run.

use std::collections::BTreeMap;

use gateway_domain::event::{PollData, PollRecapOption, PollRecapPayload, PollRecapVoter};
use gateway_domain::lifecycle::Status;
use gateway_object::alarm::Timers;
use gateway_sql::{Row, Sql, SqlError, unsigned, whole};

use crate::names::{Names, WhoIs};

/// The tables, for the object's schema.
pub const TABLES: &[&str] = &[
    // chat, sender and id are those of the poll's row in `message`. question is the poll as JSON, NULL once it was told.
    "CREATE TABLE IF NOT EXISTS poll (
       number INTEGER PRIMARY KEY, chat TEXT NOT NULL, sender TEXT NOT NULL, id TEXT NOT NULL, ends INTEGER NOT NULL,
       question TEXT, UNIQUE (chat, sender, id))",
    "CREATE INDEX IF NOT EXISTS poll_by_end ON poll (ends) WHERE question IS NOT NULL",
    // chosen are places in the poll's options, as JSON. A vote taken back stays as an empty one: it is newer than what
    // may be delivered again.
    "CREATE TABLE IF NOT EXISTS poll_vote (
       poll INTEGER NOT NULL, voter TEXT NOT NULL, chosen TEXT NOT NULL, at INTEGER NOT NULL,
       PRIMARY KEY (poll, voter)) WITHOUT ROWID",
];

/// The timer of the next poll to be told.
pub const TIMER: &str = "polls";

/// The most polls that are open at once; beyond it those that end last are not kept.
const MAX_POLLS: u32 = 500;
/// The most people whose votes in a poll are kept: a full group, and who has left it.
const MAX_VOTERS: i64 = 2_000;
/// How many polls are remembered as told.
const MAX_TOLD: i64 = 1_000;
/// The most bytes of a poll, as JSON. Real ones stay far below it.
const MAX_QUESTION: usize = 256 * 1024;
/// The most bytes of voters in one recap; the counts have everybody.
const MAX_VOTER_BYTES: usize = 500_000;
/// The year 2100: an alarm can't be set for any end somebody may write into a poll.
const LAST_END_MS: u64 = 4_102_444_800_000;
/// How many polls are told at a time.
const AT_ONCE: u32 = 10;

/// How long the last votes may take to come in.
const SETTLE_MS: u64 = 5_000;
/// How long a poll that has ended waits for a session that is not connected.
const LATEST_MS: u64 = 3_600_000;
/// How soon it is looked again whether that is connected.
const AGAIN_MS: u64 = 15_000;

/// Up to which moment a session has heard all votes it will hear: polls that ended by then can be told.
///
/// Who is connected has, a little later. Who is about to be connected has votes to hear yet. Who is not, and will not be by
/// itself, may never hear them.
#[must_use]
pub const fn heard_until(status: Status, connected: Option<u64>, now: u64) -> u64 {
    match (status, connected) {
        (Status::Working, Some(since)) if now < since.saturating_add(SETTLE_MS) => 0,
        (Status::Working, _) => now.saturating_sub(SETTLE_MS),
        (status, _) if status.is_live() => now.saturating_sub(LATEST_MS),
        _ => now,
    }
}

/// A vote that could be read.
#[derive(Clone, Copy, Debug)]
pub struct Vote<'a> {
    /// By which name who voted goes.
    pub voter: &'a str,
    /// All their names.
    pub names: &'a [String],
    /// What they voted for; nothing when they took it back.
    pub chosen: &'a [String],
    /// When, by WhatsApp's clock, epoch milliseconds.
    pub at: u64,
}

/// The polls over the object's database.
pub struct Polls<'sql, S>(&'sql S);

impl<'sql, S: Sql> Polls<'sql, S> {
    /// Over a database that has the [`TABLES`].
    pub const fn new(sql: &'sql S) -> Self {
        Self(sql)
    }

    /// There is a new poll: kept, with its timer, if it has an end. By its chat, sender and id its message is known.
    ///
    /// # Errors
    /// When the database fails.
    pub fn opened(
        &self,
        chat: &str,
        sender: &str,
        message_id: &str,
        poll: &PollData,
    ) -> Result<(), SqlError> {
        let Some(ends) = poll.end_time.filter(|ends| *ends <= LAST_END_MS) else { return Ok(()) };
        let question = serde_json::to_string(poll).map_err(|error| SqlError(error.to_string()))?;
        if question.len() > MAX_QUESTION {
            return Ok(());
        }
        let added = self.0.query(
            "INSERT INTO poll (chat, sender, id, ends, question) VALUES (?1, ?2, ?3, ?4, ?5) \
             ON CONFLICT DO NOTHING RETURNING number",
            &[chat.into(), sender.into(), message_id.into(), whole(ends), question.into()],
        )?;
        if added.is_empty() {
            return Ok(());
        }
        // Those that end last: whoever opens many for ever pushes out their own.
        let beyond = self.0.query(
            "SELECT number FROM poll WHERE question IS NOT NULL ORDER BY ends, number LIMIT 100 OFFSET ?1",
            &[MAX_POLLS.into()],
        )?;
        for row in &beyond {
            self.forget(row.integer(0)?)?;
        }
        let (timers, due) = (Timers::new(self.0), ends.saturating_add(SETTLE_MS));
        if timers.timer(TIMER)?.is_none_or(|set| due < set) {
            timers.set(TIMER, due)?;
        }
        Ok(())
    }

    /// Somebody has voted: in place of whatever they voted before, under any of their names. A poll that is not kept, was
    /// told, or had ended by then has no votes.
    ///
    /// # Errors
    /// When the database fails or holds something else.
    pub fn voted(&self, chat: &str, sender: &str, message_id: &str, vote: &Vote<'_>) -> Result<(), SqlError> {
        let rows = self.0.query(
            "SELECT number, question FROM poll \
             WHERE chat = ?1 AND sender = ?2 AND id = ?3 AND ends >= ?4 AND question IS NOT NULL",
            &[chat.into(), sender.into(), message_id.into(), whole(vote.at)],
        )?;
        let Some(row) = rows.first() else { return Ok(()) };
        let (number, Some(poll)) = (row.integer(0)?, question(row, 1)?) else { return Ok(()) };
        let mut known = Vec::new();
        for name in vote.names.iter().map(String::as_str).chain([vote.voter]) {
            let found = self.0.query(
                "SELECT at FROM poll_vote WHERE poll = ?1 AND voter = ?2",
                &[number.into(), name.into()],
            )?;
            match found.first() {
                Some(row) if unsigned(row.integer(0)?) > vote.at => return Ok(()),
                Some(_) => known.push(name),
                None => {}
            }
        }
        if known.is_empty() && self.voters(number)? >= MAX_VOTERS {
            return Ok(());
        }
        for name in known {
            self.0.query(
                "DELETE FROM poll_vote WHERE poll = ?1 AND voter = ?2",
                &[number.into(), name.into()],
            )?;
        }
        self.0.query(
            "INSERT INTO poll_vote (poll, voter, chosen, at) VALUES (?1, ?2, ?3, ?4)",
            &[number.into(), vote.voter.into(), places(&poll, vote.chosen).into(), whole(vote.at)],
        )?;
        Ok(())
    }

    /// A poll's message was taken back: nothing is told of it.
    ///
    /// # Errors
    /// When the database fails or holds something else.
    pub fn withdrawn(&self, chat: &str, sender: &str, message_id: &str) -> Result<(), SqlError> {
        let rows = self.0.query(
            "SELECT number FROM poll WHERE chat = ?1 AND sender = ?2 AND id = ?3 AND question IS NOT NULL",
            &[chat.into(), sender.into(), message_id.into()],
        )?;
        rows.first().map_or(Ok(()), |row| self.forget(row.integer(0)?))
    }

    /// The recaps of polls that ended by a moment, the earliest first and some at a time. From now on they count as told:
    /// append them in the same run.
    ///
    /// # Errors
    /// When the database fails or holds something else.
    pub fn close(&self, heard: u64) -> Result<Vec<PollRecapPayload>, SqlError> {
        let rows = self.0.query(
            "SELECT number, chat, id, question FROM poll WHERE question IS NOT NULL AND ends <= ?1 \
             ORDER BY ends, number LIMIT ?2",
            &[whole(heard), AT_ONCE.into()],
        )?;
        let mut recaps = Vec::new();
        for row in &rows {
            let number = row.integer(0)?;
            if let Some(poll) = question(row, 3)? {
                recaps.push(self.recap(number, row.text(1)?, row.text(2)?, poll)?);
            }
            self.0.query("UPDATE poll SET question = NULL WHERE number = ?1", &[number.into()])?;
            self.0.query("DELETE FROM poll_vote WHERE poll = ?1", &[number.into()])?;
        }
        if !rows.is_empty() {
            self.0.query(
                "DELETE FROM poll WHERE question IS NULL AND number <= (SELECT MAX(number) FROM poll) - ?1",
                &[MAX_TOLD.into()],
            )?;
        }
        Ok(recaps)
    }

    /// Sets the timer for the next poll to be told, or clears it when there is none.
    ///
    /// # Errors
    /// When the database fails or holds something else.
    pub fn set_timer(&self, heard: u64, now: u64) -> Result<(), SqlError> {
        let rows = self.0.query("SELECT MIN(ends) FROM poll WHERE question IS NOT NULL", &[])?;
        let ends = rows.first().map_or(Ok(None), |row| row.optional_integer(0))?.map(unsigned);
        let timers = Timers::new(self.0);
        let Some(ends) = ends else { return timers.clear(TIMER) };
        let due = ends.saturating_add(SETTLE_MS);
        timers.set(TIMER, if ends <= heard || due > now { due } else { now + AGAIN_MS })
    }

    fn recap(
        &self,
        number: i64,
        chat: String,
        id: String,
        poll: PollData,
    ) -> Result<PollRecapPayload, SqlError> {
        let names = Names::new(self.0);
        let rows = self
            .0
            .query("SELECT voter, chosen FROM poll_vote WHERE poll = ?1 ORDER BY at", &[number.into()])?;
        // Two names may have turned out to be one person's: the later vote is theirs.
        let mut votes = BTreeMap::new();
        for row in &rows {
            let name = row.text(0)?;
            let chosen: Vec<usize> = serde_json::from_str(&row.text(1)?).unwrap_or_default();
            votes.insert(names.phone_of(&name).unwrap_or(name), chosen);
        }
        votes.retain(|_voter, chosen| !chosen.is_empty());
        let count = |place| votes.values().filter(|chosen| chosen.contains(&place)).count();
        let options = poll.options.iter().enumerate().map(|(place, option)| PollRecapOption {
            option: option.clone(),
            count: u64::try_from(count(place)).unwrap_or(u64::MAX),
        });
        let hide_votes = poll.hide_votes.unwrap_or_default();
        Ok(PollRecapPayload {
            chat_jid: names.phone_of(&chat).unwrap_or(chat),
            poll_message_id: id,
            options: options.collect(),
            total_votes: u64::try_from(votes.len()).unwrap_or(u64::MAX),
            voters: (!hide_votes).then(|| voters(&votes, &poll.options, &names)),
            name: poll.name,
            selectable_count: poll.selectable_count,
            end_time: poll.end_time.unwrap_or_default(),
            hide_votes,
        })
    }

    fn voters(&self, number: i64) -> Result<i64, SqlError> {
        let rows = self.0.query("SELECT COUNT(*) FROM poll_vote WHERE poll = ?1", &[number.into()])?;
        rows.first().map_or(Ok(0), |row| row.integer(0))
    }

    fn forget(&self, number: i64) -> Result<(), SqlError> {
        self.0.query("DELETE FROM poll_vote WHERE poll = ?1", &[number.into()])?;
        self.0.query("DELETE FROM poll WHERE number = ?1", &[number.into()])?;
        Ok(())
    }
}

/// Who voted for what, as many as fit.
fn voters<S: Sql>(
    votes: &BTreeMap<String, Vec<usize>>,
    options: &[String],
    names: &Names<'_, S>,
) -> Vec<PollRecapVoter> {
    let mut bytes = 0;
    let all = votes.iter().map(|(voter, chosen)| {
        let number = voter.split('@').next().unwrap_or(voter);
        let chosen = chosen.iter().filter_map(|place| options.get(*place).cloned());
        PollRecapVoter {
            voter_id: voter.clone(),
            display_name: names
                .push_name(voter)
                .filter(|name| !name.is_empty())
                .unwrap_or_else(|| number.to_owned()),
            selected_options: chosen.collect(),
        }
    });
    all.take_while(|voter| {
        let options: usize = voter.selected_options.iter().map(String::len).sum();
        bytes += voter.voter_id.len() + voter.display_name.len() + options;
        bytes <= MAX_VOTER_BYTES
    })
    .collect()
}

/// A poll as it was kept; nothing for one that can't be read.
fn question(row: &Row, column: usize) -> Result<Option<PollData>, SqlError> {
    Ok(serde_json::from_str(&row.text(column)?).ok())
}

/// Where in the poll the chosen options are, each once.
fn places(poll: &PollData, chosen: &[String]) -> String {
    let chosen = (0_usize..).zip(&poll.options).filter(|(_place, option)| chosen.contains(option));
    let places: Vec<usize> = chosen.map(|(place, _option)| place).collect();
    serde_json::to_string(&places).unwrap_or_else(|_| "[]".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use gateway_sql::native::NativeSql;
    use serde_json::json;

    const CHAT: &str = "1@g.us";
    const ANN: &str = "4917@s.whatsapp.net";
    const BEN: &str = "4918@s.whatsapp.net";
    const END: u64 = 1_700_000_000_000;

    fn sql() -> NativeSql {
        let sql = NativeSql::in_memory().unwrap();
        crate::schema::migrate(&sql).unwrap();
        sql
    }

    fn lunch() -> PollData {
        PollData {
            name: "Lunch?".into(),
            options: vec!["Soup".into(), "Salad".into(), "Cake".into()],
            selectable_count: 2,
            end_time: Some(END),
            hide_votes: None,
        }
    }

    fn open(polls: &Polls<'_, NativeSql>, id: &str, poll: &PollData) {
        polls.opened(CHAT, ANN, id, poll).unwrap();
    }

    fn vote(polls: &Polls<'_, NativeSql>, names: &[&str], chosen: &[&str], at: u64) {
        let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        let (names, chosen) = (owned(names), owned(chosen));
        let vote = Vote { voter: &names[0], names: &names, chosen: &chosen, at };
        polls.voted(CHAT, ANN, "P", &vote).unwrap();
    }

    fn counts(recap: &PollRecapPayload) -> (Vec<u64>, u64) {
        (recap.options.iter().map(|option| option.count).collect(), recap.total_votes)
    }

    fn timer(sql: &NativeSql) -> Option<u64> {
        Timers::new(sql).timer(TIMER).unwrap()
    }

    fn number_of(sql: &NativeSql, what: &str) -> i64 {
        sql.query(&format!("SELECT COUNT(*) FROM {what}"), &[]).unwrap()[0].integer(0).unwrap()
    }

    #[test]
    fn a_poll_is_told_when_it_has_ended_and_once() {
        let sql = sql();
        let ben = "INSERT INTO contact (jid, phone, push_name, source, first_seen, last_seen) \
                   VALUES ('888@lid', '4918', 'Ben', 'group', 1, 1)";
        sql.query(ben, &[]).unwrap();
        let polls = Polls::new(&sql);
        open(&polls, "P", &lunch());
        assert_eq!(timer(&sql), Some(END + SETTLE_MS));
        vote(&polls, &[ANN, "777@lid"], &["Cake", "Soup"], END - 20);
        vote(&polls, &[BEN], &["Soup"], END - 10);
        assert_eq!(polls.close(END - 1), Ok(vec![]));
        let recaps = polls.close(END).unwrap();
        assert_eq!(
            json!(recaps),
            json!([{
                "chatJid": CHAT, "pollMessageId": "P", "name": "Lunch?", "selectableCount": 2, "endTime": END,
                "hideVotes": false, "totalVotes": 2,
                "options": [{"option": "Soup", "count": 2}, {"option": "Salad", "count": 0}, {"option": "Cake", "count": 1}],
                "voters": [
                    {"voterId": ANN, "displayName": "4917", "selectedOptions": ["Soup", "Cake"]},
                    {"voterId": BEN, "displayName": "Ben", "selectedOptions": ["Soup"]},
                ],
            }])
        );
        polls.set_timer(END, END).unwrap();
        assert_eq!(timer(&sql), None);
        // Neither again, nor anew, nor by a vote that comes late.
        open(&polls, "P", &lunch());
        vote(&polls, &[BEN], &["Cake"], END - 5);
        assert_eq!((polls.close(u64::MAX), timer(&sql)), (Ok(vec![]), None));
        assert_eq!(number_of(&sql, "poll_vote"), 0);
    }

    #[test]
    fn a_later_vote_replaces_an_earlier_one_under_whatever_name() {
        let sql = sql();
        let polls = Polls::new(&sql);
        open(&polls, "P", &lunch());
        vote(&polls, &["888@lid"], &["Soup"], 10);
        vote(&polls, &[BEN, "888@lid"], &["Salad"], 20);
        vote(&polls, &["888@lid", BEN], &["Cake"], 15);
        vote(&polls, &[ANN], &["Soup", "Soup", "Cake"], 20);
        vote(&polls, &[ANN], &["Cake"], 20);
        vote(&polls, &["9@lid"], &["Soup"], 30);
        vote(&polls, &["9@lid"], &[], 40);
        vote(&polls, &["9@lid"], &["Soup"], 30);
        let recap = polls.close(END).unwrap().remove(0);
        assert_eq!(counts(&recap), (vec![0, 1, 1], 2));
        assert_eq!(recap.voters.unwrap().len(), 2);
    }

    #[test]
    fn two_names_that_turn_out_to_be_one_persons_have_one_vote() {
        let sql = sql();
        let polls = Polls::new(&sql);
        open(&polls, "P", &lunch());
        vote(&polls, &[BEN], &["Salad"], 20);
        vote(&polls, &["888@lid"], &["Soup"], 30);
        let ben = "INSERT INTO contact (jid, phone, push_name, source, first_seen, last_seen) \
                   VALUES ('888@lid', '4918', '', 'group', 1, 1)";
        sql.query(ben, &[]).unwrap();
        let recap = polls.close(END).unwrap().remove(0);
        assert_eq!(counts(&recap), (vec![1, 0, 0], 1));
        assert_eq!(recap.voters.unwrap()[0].display_name, "4918");
    }

    #[test]
    fn what_is_no_vote_of_a_kept_poll_counts_nowhere() {
        let sql = sql();
        let polls = Polls::new(&sql);
        vote(&polls, &[BEN], &["Soup"], 1);
        open(&polls, "P", &PollData { end_time: None, ..lunch() });
        open(&polls, "P", &PollData { end_time: Some(LAST_END_MS + 1), ..lunch() });
        open(&polls, "P", &PollData { name: "x".repeat(MAX_QUESTION), ..lunch() });
        vote(&polls, &[BEN], &["Soup"], 1);
        assert_eq!(
            (number_of(&sql, "poll"), number_of(&sql, "poll_vote"), timer(&sql)),
            (0, 0, None),
            "polls that are not kept"
        );
        open(&polls, "P", &PollData { hide_votes: Some(true), ..lunch() });
        vote(&polls, &[BEN], &["Soup"], END + 1);
        vote(&polls, &[ANN], &["Pie"], END);
        let recap = polls.close(END).unwrap().remove(0);
        assert_eq!((counts(&recap), recap.voters, recap.hide_votes), ((vec![0, 0, 0], 0), None, true));
    }

    #[test]
    fn a_poll_that_was_taken_back_is_not_told() {
        let sql = sql();
        let polls = Polls::new(&sql);
        open(&polls, "P", &lunch());
        vote(&polls, &[BEN], &["Soup"], 1);
        polls.withdrawn(CHAT, BEN, "P").unwrap();
        assert_eq!(number_of(&sql, "poll_vote"), 1);
        polls.withdrawn(CHAT, ANN, "P").unwrap();
        assert_eq!((polls.close(END), number_of(&sql, "poll_vote")), (Ok(vec![]), 0));
    }

    #[test]
    fn the_timer_is_that_of_the_next_end() {
        let sql = sql();
        let polls = Polls::new(&sql);
        let ending = |ends| PollData { end_time: Some(ends), ..lunch() };
        for (id, ends) in [("B", END + 90_000), ("A", END), ("C", END + 60_000)] {
            open(&polls, id, &ending(ends));
        }
        assert_eq!(timer(&sql), Some(END + SETTLE_MS));
        // Not connected: looked at again.
        polls.set_timer(0, END + SETTLE_MS).unwrap();
        assert_eq!(timer(&sql), Some(END + SETTLE_MS + AGAIN_MS));
        // Ended and heard, but not told: at once.
        polls.set_timer(END, END + SETTLE_MS).unwrap();
        assert_eq!(timer(&sql), Some(END + SETTLE_MS));
        polls.close(END).unwrap();
        polls.set_timer(END, END + SETTLE_MS).unwrap();
        assert_eq!(timer(&sql), Some(END + 60_000 + SETTLE_MS));
    }

    #[test]
    fn votes_are_waited_for_as_long_as_they_may_come() {
        let heard = |status, connected| END - heard_until(status, connected, END);
        assert_eq!(heard(Status::Working, None), SETTLE_MS);
        assert_eq!(heard(Status::Working, Some(END - SETTLE_MS)), SETTLE_MS);
        assert_eq!(heard(Status::Working, Some(END - SETTLE_MS + 1)), END, "what waited for it comes in");
        assert_eq!(heard(Status::Starting, Some(END - SETTLE_MS)), LATEST_MS);
        assert_eq!((heard(Status::Stopped, None), heard(Status::LoggedOut, None)), (0, 0));
    }

    #[test]
    fn polls_and_votes_are_bounded() {
        let sql = sql();
        let polls = Polls::new(&sql);
        open(&polls, "P", &lunch());
        for voter in 0..MAX_VOTERS + 3 {
            vote(&polls, &[&format!("{voter}@lid")], &["Soup"], 1);
        }
        vote(&polls, &["0@lid"], &["Salad"], 2);
        for poll in 0..=MAX_POLLS {
            open(&polls, &poll.to_string(), &PollData { end_time: Some(END + u64::from(poll)), ..lunch() });
        }
        assert_eq!(number_of(&sql, "poll"), i64::from(MAX_POLLS));
        let recaps = polls.close(u64::MAX).unwrap();
        assert_eq!(counts(&recaps[0]), (vec![1_999, 1, 0], 2_000));
        assert_eq!(recaps.len(), 10);
        // What was told long ago is forgotten.
        sql.query("UPDATE poll SET number = number + ?1 WHERE question IS NOT NULL", &[MAX_TOLD.into()])
            .unwrap();
        polls.close(u64::MAX).unwrap();
        assert_eq!(number_of(&sql, "poll WHERE question IS NULL"), 10);
    }

    #[test]
    fn a_recap_has_as_many_voters_as_fit_and_counts_all() {
        let sql = sql();
        let polls = Polls::new(&sql);
        let options = vec!["x".repeat(MAX_VOTER_BYTES / 10), "y".into()];
        open(&polls, "P", &PollData { options: options.clone(), ..lunch() });
        for voter in 0..12 {
            vote(&polls, &[&format!("{voter}@lid")], &[&options[0]], 1);
        }
        let recap = polls.close(END).unwrap().remove(0);
        assert_eq!(counts(&recap), (vec![12, 0], 12));
        assert_eq!(recap.voters.unwrap().len(), 9);
    }
}
