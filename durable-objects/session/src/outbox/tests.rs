mod files;

use super::*;
use gateway_sql::native::NativeSql;

fn sql() -> NativeSql {
    let sql = NativeSql::in_memory().unwrap();
    for table in TABLES.iter().chain(LOTS) {
        sql.query(table, &[]).unwrap();
    }
    sql
}

fn new<'a>(id: &'a str, chat: &'a str, is_async: bool) -> NewEntry<'a> {
    NewEntry { id, message_id: id, chat, is_async, request: Some("{}") }
}

/// An entry that has become one message, of the entry's id.
fn fixed(outbox: &Outbox<'_, NativeSql>, id: &str, bytes: &[u8]) {
    outbox.fix(id, 0, id, bytes.to_vec()).unwrap();
    outbox.all_fixed(id).unwrap();
}

fn next(outbox: &Outbox<'_, NativeSql>, busy: &[&str]) -> Option<String> {
    let busy: Vec<String> = busy.iter().map(|id| (*id).to_owned()).collect();
    outbox.next(&busy, true, 100).unwrap().map(|entry| entry.id)
}

#[test]
fn a_chat_keeps_its_order_and_holds_up_no_other() {
    let sql = sql();
    let outbox = Outbox::new(&sql);
    for (id, chat) in [("a1", "a"), ("a2", "a"), ("b1", "b")] {
        assert_eq!(outbox.add(&new(id, chat, true), &[], 1), Ok(true));
    }
    assert_eq!((next(&outbox, &[]).as_deref(), next(&outbox, &["a1"]).as_deref()), (Some("a1"), Some("b1")));
    assert_eq!(next(&outbox, &["a1", "b1"]), None);
    fixed(&outbox, "a1", &[1]);
    assert_eq!(outbox.begin("a1", false, 2), Ok(true));
    outbox.acknowledge("a1", 3, 3).unwrap();
    assert_eq!(next(&outbox, &["b1"]).as_deref(), Some("a2"));
    assert_eq!(outbox.fail("a2", "{}", 4), Ok(Some(vec!["a2".to_owned()])));
    fixed(&outbox, "b1", &[1]);
    outbox.acknowledge("b1", 4, 4).unwrap();
    assert_eq!((next(&outbox, &[]), outbox.next_end(), outbox.next_due()), (None, Ok(None), Ok(None)));
}

#[test]
fn what_waits_for_its_time_is_not_overtaken_in_its_chat() {
    let sql = sql();
    let outbox = Outbox::new(&sql);
    for (id, chat) in [("a1", "a"), ("a2", "a"), ("b1", "b")] {
        outbox.add(&new(id, chat, true), &[], 1).unwrap();
    }
    outbox.postpone("a1", 101).unwrap();
    assert_eq!(next(&outbox, &[]).as_deref(), Some("b1"));
    assert_eq!((next(&outbox, &["b1"]), outbox.next_due()), (None, Ok(Some(0))));
    outbox.postpone("a1", 100).unwrap();
    assert_eq!(next(&outbox, &[]).as_deref(), Some("a1"));
}

#[test]
fn what_somebody_waits_for_is_theirs_until_it_has_gone_out_without_an_answer() {
    let sql = sql();
    let outbox = Outbox::new(&sql);
    outbox.add(&new("sync", "a", false), &[], 1).unwrap();
    outbox.add(&new("async", "a", true), &[], 1).unwrap();
    assert_eq!(next(&outbox, &[]).as_deref(), Some("async"));
    fixed(&outbox, "sync", &[1, 2]);
    assert_eq!(outbox.begin("sync", false, 2), Ok(true));
    assert_eq!(next(&outbox, &[]).as_deref(), Some("sync"));
    assert_eq!(
        outbox.messages("sync"),
        Ok(vec![Fixed { message_id: "sync".into(), bytes: Some(vec![1, 2]) }])
    );
    assert_eq!(outbox.begin("sync", false, 9), Ok(true));
    let entry = outbox.entry("sync").unwrap().unwrap();
    assert_eq!((entry.state, entry.begun, outbox.began(1)), (OutboxStatus::Sending, Some(2), Ok(Some(2))));
}

#[test]
fn what_nobody_comes_back_to_is_abandoned_only_if_it_never_left() {
    let sql = sql();
    let outbox = Outbox::new(&sql);
    for (id, is_async, at) in
        [("waits", false, 1), ("left", false, 1), ("async", true, 1), ("young", false, 2)]
    {
        outbox.add(&new(id, id, is_async), &[], at).unwrap();
    }
    assert_eq!(outbox.begin("left", false, 1), Ok(true));
    let abandoned =
        |now| -> Vec<String> { outbox.abandoned(now).unwrap().into_iter().map(|entry| entry.id).collect() };
    assert_eq!((outbox.next_end(), abandoned(1 + ABANDONED_MS)), (Ok(Some(2 + ABANDONED_MS)), vec![]));
    assert_eq!(abandoned(2 + ABANDONED_MS), ["waits"]);
    assert_eq!(abandoned(2 + LONGEST_WAIT_MS), ["waits", "left", "async", "young"]);
    for id in ["waits", "young"] {
        outbox.fail(id, "{}", 3).unwrap();
    }
    assert_eq!(outbox.next_end(), Ok(Some(2 + LONGEST_WAIT_MS)));
}

#[test]
fn an_attempt_in_vain_is_followed_by_another_later_and_a_new_connection_hurries_it() {
    let sql = sql();
    let outbox = Outbox::new(&sql);
    outbox.add(&new("a", "a", false), &[], 1).unwrap();
    assert_eq!(outbox.try_later("a", 100), Ok(1));
    assert_eq!(outbox.next_due(), Ok(Some(100 + FIRST_PAUSE_MS)));
    outbox.hurry().unwrap();
    assert_eq!((outbox.next_due(), next(&outbox, &[]).as_deref()), (Ok(Some(0)), Some("a")));
    // What was in vain before it left does not count against what is in vain after.
    assert_eq!(outbox.begin("a", false, 100), Ok(true));
    for attempt in 1..=LEAST_ATTEMPTS {
        assert_eq!(outbox.try_later("a", 100), Ok(attempt));
        assert_eq!(outbox.begin("a", false, 200), Ok(true));
    }
    assert!(outbox.next_due().unwrap().unwrap() <= 100 + LONGEST_PAUSE_MS);
    // What only waits its turn has no hurry.
    outbox.add(&new("b", "b", true), &[], 1).unwrap();
    outbox.postpone("b", 500).unwrap();
    outbox.hurry().unwrap();
    outbox.fail("a", "{}", 1).unwrap();
    assert_eq!(outbox.next_due(), Ok(Some(500)));
    outbox.reconsider().unwrap();
    assert_eq!(outbox.next_due(), Ok(Some(0)));
    outbox.try_later("b", 100).unwrap();
    outbox.postpone("b", 500).unwrap();
    outbox.reconsider_chat("a", Some("c")).unwrap();
    assert_eq!(outbox.next_due(), Ok(Some(500)));
    outbox.reconsider_chat("x", Some("b")).unwrap();
    assert_eq!(outbox.next_due(), Ok(Some(0)));
    outbox.postpone("b", 500).unwrap();
    outbox.reconsider().unwrap();
    assert_eq!(outbox.next_due(), Ok(Some(0)), "it was in vain once, and waited for its turn then");
}

#[test]
fn of_several_messages_the_last_one_ends_the_entry() {
    let sql = sql();
    let outbox = Outbox::new(&sql);
    outbox.add(&new("a", "chat", true), &[], 1).unwrap();
    for (place, id) in ["a", "b", "c"].into_iter().enumerate() {
        outbox.fix("a", place, id, vec![1]).unwrap();
        // A second attempt, cut off in the middle, fixes the same ones again.
        outbox.fix("a", place, id, vec![2]).unwrap();
    }
    outbox.all_fixed("a").unwrap();
    assert_eq!(outbox.begin("a", false, 2), Ok(true));
    let acknowledge = |id: &str| outbox.acknowledge(id, 5, 5).unwrap();
    assert_eq!(acknowledge("b"), Some(Acknowledged { bytes: vec![1], ended: None }));
    assert_eq!((acknowledge("b"), acknowledge("x")), (None, None));
    assert_eq!(acknowledge("a").unwrap().ended, None);
    let bytes: Vec<Option<Vec<u8>>> =
        outbox.messages("a").unwrap().into_iter().map(|one| one.bytes).collect();
    assert_eq!(bytes, [None, None, Some(vec![1])]);
    assert_eq!(outbox.of_message("c").unwrap().unwrap().id, "a");
    let ended = acknowledge("c").unwrap().ended.unwrap();
    assert_eq!(
        (ended.state, ended.acknowledged, ended.message_id.as_str()),
        (OutboxStatus::Sent, Some(5), "a")
    );
}

#[test]
fn a_failure_names_what_whatsapp_does_not_have() {
    let sql = sql();
    let outbox = Outbox::new(&sql);
    outbox.add(&new("a", "chat", true), &[], 1).unwrap();
    for (place, id) in ["a", "b", "c"].into_iter().enumerate() {
        outbox.fix("a", place, id, vec![1]).unwrap();
    }
    outbox.all_fixed("a").unwrap();
    outbox.acknowledge("a", 5, 5).unwrap();
    assert_eq!(outbox.fail("a", "why", 6), Ok(Some(vec!["b".to_owned(), "c".to_owned()])));
    assert_eq!(outbox.fail("a", "again", 7), Ok(None));
    assert_eq!(outbox.entry("a").unwrap().unwrap().error.as_deref(), Some("why"));
}

#[test]
fn an_end_is_final_but_an_ack_outranks_a_failure_of_ours() {
    let sql = sql();
    let outbox = Outbox::new(&sql);
    outbox.add(&new("a", "a", true), &[], 1).unwrap();
    fixed(&outbox, "a", &[1]);
    outbox.fail("a", "why", 2).unwrap();
    assert!(outbox.acknowledge("a", 3, 3).unwrap().unwrap().ended.is_some());
    assert_eq!(outbox.fail("a", "late", 4), Ok(None));
    let entry = outbox.of_message("a").unwrap().unwrap();
    assert_eq!((entry.state, entry.error, entry.acknowledged), (OutboxStatus::Sent, None, Some(3)));
    outbox.trim(3 + KEPT_MS).unwrap();
    assert!(outbox.entry("a").unwrap().is_some());
    outbox.trim(4 + KEPT_MS).unwrap();
    assert_eq!((outbox.entry("a"), outbox.messages("a")), (Ok(None), Ok(vec![])));
}

#[test]
fn the_times_of_sends_are_counted_once_a_message() {
    let sql = sql();
    let outbox = Outbox::new(&sql);
    for (id, at) in [("a", 10), ("b", 20), ("c", 30)] {
        outbox.add(&new(id, id, true), &[], 1).unwrap();
        assert_eq!(outbox.begin(id, false, at), Ok(true));
        assert_eq!(outbox.begin(id, false, at + 100), Ok(true));
    }
    assert_eq!((outbox.began(1), outbox.began(3), outbox.began(4)), (Ok(Some(30)), Ok(Some(10)), Ok(None)));
    assert_eq!((outbox.begun_since(10), outbox.begun_since(11)), (Ok(3), Ok(2)));
}

#[test]
fn a_new_chat_is_counted_once_from_its_first_message() {
    let sql = sql();
    let outbox = Outbox::new(&sql);
    for (id, chat, is_new, at) in
        [("a1", "a", true, 10), ("a2", "a", true, 20), ("b1", "b", true, 15), ("old", "old", false, 30)]
    {
        outbox.add(&new(id, chat, true), &[], 1).unwrap();
        outbox.begin(id, is_new, at).unwrap();
    }
    assert_eq!(
        (outbox.chat_begun(1), outbox.chat_begun(2), outbox.chat_begun(3)),
        (Ok(Some(15)), Ok(Some(10)), Ok(None))
    );
    assert_eq!((outbox.has_begun_chat("a", 20), outbox.has_begun_chat("a", 21)), (Ok(true), Ok(false)));
}

#[test]
fn what_has_ended_stays_ended_whatever_an_attempt_that_was_under_way_still_does() {
    let sql = sql();
    let outbox = Outbox::new(&sql);
    outbox.add(&new("a", "a", false), &[&[1]], 1).unwrap();
    outbox.fail("a", "logged out", 2).unwrap();
    assert_eq!((outbox.fix("a", 0, "a", vec![1]), outbox.begin("a", false, 3)), (Ok(false), Ok(false)));
    outbox.all_fixed("a").unwrap();
    outbox.postpone("a", 0).unwrap();
    outbox.let_go("a").unwrap();
    outbox.try_later("a", 4).unwrap();
    let entry = outbox.entry("a").unwrap().unwrap();
    assert_eq!((entry.state, entry.is_async, entry.attempts), (OutboxStatus::Failed, false, 0));
    assert_eq!((next(&outbox, &[]), outbox.messages("a")), (None, Ok(vec![])));
}

#[test]
fn what_failed_before_it_left_can_be_asked_for_anew_and_what_left_can_not() {
    let sql = sql();
    let outbox = Outbox::new(&sql);
    for id in ["stayed", "left", "waits"] {
        outbox.add(&new(id, id, false), &[], 1).unwrap();
        fixed(&outbox, id, &[1]);
    }
    outbox.begin("left", false, 2).unwrap();
    for id in ["stayed", "left"] {
        outbox.fail(id, "why", 3).unwrap();
    }
    for id in ["stayed", "left", "waits"] {
        outbox.forget(id).unwrap();
    }
    assert_eq!(outbox.entry("stayed"), Ok(None));
    assert!(outbox.entry("left").unwrap().is_some() && outbox.entry("waits").unwrap().is_some());
}

#[test]
fn what_was_counted_goes_again_though_the_limits_are_reached() {
    let sql = sql();
    let outbox = Outbox::new(&sql);
    for id in ["first", "left"] {
        outbox.add(&new(id, id, true), &[], 1).unwrap();
    }
    outbox.begin("left", false, 2).unwrap();
    let next = |is_free| outbox.next(&[], is_free, 100).unwrap().map(|entry| entry.id);
    assert_eq!((next(true).as_deref(), next(false).as_deref()), (Some("first"), Some("left")));
}

#[test]
fn what_waits_at_the_head_keeps_nothing_else_from_being_forgotten() {
    let sql = sql();
    let outbox = Outbox::new(&sql);
    for id in ["waits", "sent"] {
        outbox.add(&new(id, id, true), &[], 1).unwrap();
    }
    fixed(&outbox, "sent", &[1]);
    outbox.acknowledge("sent", 5, 5).unwrap();
    outbox.trim(6 + KEPT_MS).unwrap();
    assert!(outbox.entry("waits").unwrap().is_some() && outbox.entry("sent").unwrap().is_none());
}

#[test]
fn what_has_no_answer_is_given_up_by_its_age_and_not_for_many_attempts_in_a_short_time() {
    let sql = sql();
    let outbox = Outbox::new(&sql);
    outbox.add(&new("a", "a", true), &[], 1).unwrap();
    let is_hopeless = |attempts, now| outbox.entry("a").unwrap().unwrap().is_hopeless(attempts, now);
    assert!(!is_hopeless(100, 7 * LEAST_TRIED_MS), "nothing has left");
    outbox.begin("a", false, 10).unwrap();
    assert!(!is_hopeless(100, 9 + LEAST_TRIED_MS) && !is_hopeless(LEAST_ATTEMPTS - 1, 7 * LEAST_TRIED_MS));
    assert!(is_hopeless(LEAST_ATTEMPTS, 10 + LEAST_TRIED_MS));
}

#[test]
fn a_full_queue_shuts_out_nobody_who_waits_and_they_have_a_bound_of_their_own() {
    let sql = sql();
    let outbox = Outbox::new(&sql);
    let add = |name: &str, count: u64, is_async| {
        for number in 0..count {
            outbox.add(&new(&format!("{name} {number}"), "a", is_async), &[], 1).unwrap();
        }
    };
    add("async", MOST_WAITING, true);
    assert_eq!((outbox.is_full(true), outbox.is_full(false)), (Ok(true), Ok(false)));
    add("sync", MOST_AWAITED, false);
    assert_eq!(outbox.is_full(false), Ok(true));
    outbox.fail("async 0", "{}", 2).unwrap();
    assert_eq!(outbox.is_full(true), Ok(false));
    // Who went leaves theirs to the queue, which is bounded all the same.
    sql.query("UPDATE outbox SET is_async = 1", &[]).unwrap();
    assert_eq!((outbox.is_full(true), outbox.is_full(false)), (Ok(true), Ok(false)));
    add("more", MOST_ENTRIES - MOST_WAITING, true);
    assert_eq!(outbox.is_full(false), Ok(true));
}

#[test]
fn what_is_asked_for_again_is_kept_as_long_as_its_key() {
    let sql = sql();
    let outbox = Outbox::new(&sql);
    outbox.add(&new("a", "a", true), &[], 1).unwrap();
    fixed(&outbox, "a", &[1]);
    outbox.touch("a", KEPT_MS).unwrap();
    outbox.acknowledge("a", 5, 5).unwrap();
    let asked = 5 + KEPT_MS - 1;
    outbox.touch("a", asked).unwrap();
    outbox.trim(asked + KEPT_MS).unwrap();
    assert!(outbox.entry("a").unwrap().is_some());
    // Not written at each of many attempts.
    outbox.touch("a", asked + TOUCHED_MS - 1).unwrap();
    outbox.trim(asked + KEPT_MS + 1).unwrap();
    assert_eq!(outbox.entry("a"), Ok(None));
}
