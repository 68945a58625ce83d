//! The queue over a native SQLite: order, lanes, outcomes, crashes, replays, retention.
#![allow(missing_docs, clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "tests")]

use std::collections::HashMap;
use std::path::PathBuf;

use gateway_domain::event::Envelope;
use gateway_domain::webhook::{DeliveryStatus, WebhookDelivery};
use gateway_sql::native::NativeSql;
use gateway_webhook::queue::{Attempt, LEASE_MS, MAX_PENDING, PAGE, Queue};
use gateway_webhook::record::{INTERRUPTIONS, Outcome, Record, Verdict};
use serde_json::json;

const MOST: u32 = 15;
const DAY: u64 = 86_400_000;

fn event(session: &str, seq: u64) -> Envelope {
    Envelope {
        schema: "v1".into(),
        id: format!("evt_{session}_{seq}"),
        event: "message".into(),
        session: session.into(),
        organization: "org".into(),
        timestamp: 1,
        seq,
        epoch: 1,
        payload: json!({"seq": seq}),
    }
}

fn test_event(id: &str) -> Envelope {
    Envelope { id: id.into(), event: "webhook.test".into(), ..event("", 0) }
}

fn outcome(verdict: Verdict) -> Outcome {
    let failed = verdict != Verdict::Delivered;
    Outcome {
        verdict,
        status: Some(if failed { 500 } else { 200 }),
        error: failed.then(|| "The receiver answered 500.".to_owned()),
        latency: 7,
        response: Some("body".into()),
    }
}

/// A queue that can be closed as a crash closes it, and opened again.
struct Fixture {
    queue: Queue<NativeSql>,
    file: PathBuf,
    minted: std::cell::Cell<u64>,
}

impl Drop for Fixture {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.file);
    }
}

impl Fixture {
    fn new(name: &str) -> Self {
        let file = std::env::temp_dir().join(format!("gateway-webhook-{name}-{}.sqlite", std::process::id()));
        let _ = std::fs::remove_file(&file);
        Self { queue: Self::open(&file, 0), file, minted: std::cell::Cell::new(0) }
    }

    fn open(file: &std::path::Path, now: u64) -> Queue<NativeSql> {
        let sql = NativeSql::open(file).unwrap();
        // The crashes are the object's, not the machine's.
        gateway_sql::Sql::query(&sql, "PRAGMA synchronous = OFF", &[]).unwrap();
        Queue::open(sql, now).unwrap()
    }

    fn crash(&mut self, now: u64) {
        self.queue = Self::open(&self.file, now);
    }

    fn mint(&self) -> String {
        self.minted.set(self.minted.get() + 1);
        format!("delivery {}", self.minted.get())
    }

    fn accept(&self, events: &[Envelope], now: u64) -> u64 {
        self.queue.accept(events, now, || self.mint()).unwrap()
    }

    fn begin(&self, now: u64) -> Option<Attempt> {
        self.queue.begin(now, true, MOST).unwrap()
    }

    /// Begins the attempt that must be due.
    fn go(&self, now: u64) -> Attempt {
        self.begin(now).expect("an attempt is due")
    }

    fn settle(&self, attempt: &Attempt, verdict: Verdict, now: u64) -> bool {
        self.queue.settle(attempt, &outcome(verdict), now).unwrap()
    }

    fn delivery(&self, event: &str) -> WebhookDelivery {
        self.queue.of_event("webhook", event).unwrap().expect("the delivery")
    }

    fn all(&self, status: Option<DeliveryStatus>) -> Vec<String> {
        let page = self.queue.list("webhook", status, 200, None).unwrap();
        page.deliveries.into_iter().map(|delivery| delivery.event_id).collect()
    }

    /// Delivers everything that is due, and what it was.
    fn deliver_all(&self, now: u64) -> Vec<String> {
        let mut delivered = Vec::new();
        while let Some(attempt) = self.begin(now) {
            assert!(self.settle(&attempt, Verdict::Delivered, now));
            delivered.push(attempt.event_id);
        }
        delivered
    }
}

#[test]
fn a_session_goes_in_order_and_one_at_a_time() {
    let fixture = Fixture::new("order");
    fixture.accept(&[event("a", 1), event("a", 2), event("a", 3)], 10);
    let first = fixture.go(10);
    assert_eq!((first.event_id.as_str(), first.number), ("evt_a_1", 1));
    assert_eq!(serde_json::from_str::<Envelope>(&first.body).unwrap(), event("a", 1));
    assert_eq!(fixture.begin(10), None, "the second waits for the first");
    fixture.settle(&first, Verdict::Delivered, 20);
    assert_eq!(fixture.deliver_all(20), ["evt_a_2", "evt_a_3"]);
    assert_eq!(fixture.queue.next_due(true), Ok(None));
    let shown = fixture.delivery("evt_a_1");
    assert_eq!(
        (shown.status, shown.attempts, shown.delivered_at, shown.last_status, shown.latency_ms),
        (DeliveryStatus::Delivered, 1, Some(20), Some(200), Some(7))
    );
}

#[test]
fn a_failing_session_holds_up_itself_and_nobody_else() {
    let fixture = Fixture::new("isolation");
    fixture.accept(&[event("a", 1), event("b", 1), event("a", 2), event("b", 2)], 0);
    let first = fixture.go(0);
    assert_eq!(first.event_id, "evt_a_1");
    fixture.settle(&first, Verdict::Again { at: 2_000 }, 0);
    assert_eq!(fixture.deliver_all(0), ["evt_b_1", "evt_b_2"]);
    assert_eq!(fixture.queue.next_due(true), Ok(Some(2_000)));
    let waiting = fixture.delivery("evt_a_1");
    assert_eq!(
        (waiting.status, waiting.next_attempt_at, waiting.last_error.as_deref()),
        (DeliveryStatus::Pending, Some(2_000), Some("The receiver answered 500."))
    );
    // What comes in for it waits behind it.
    fixture.accept(&[event("a", 3)], 1_000);
    assert_eq!(fixture.begin(1_999), None);
    let again = fixture.go(2_000);
    assert_eq!((again.event_id.as_str(), again.number), ("evt_a_1", 2));
    fixture.settle(&again, Verdict::Delivered, 2_000);
    assert_eq!(fixture.deliver_all(2_000), ["evt_a_2", "evt_a_3"]);
}

#[test]
fn lanes_that_waited_longest_go_first() {
    let fixture = Fixture::new("fair");
    fixture.accept(&[event("a", 1), event("a", 2)], 0);
    fixture.accept(&[event("b", 1)], 5);
    let first = fixture.go(10);
    fixture.settle(&first, Verdict::Delivered, 10);
    assert_eq!(fixture.deliver_all(10), ["evt_b_1", "evt_a_2"]);
}

#[test]
fn what_is_dead_lets_the_next_go() {
    let fixture = Fixture::new("dead");
    fixture.accept(&[event("a", 1), event("a", 2)], 0);
    let first = fixture.go(0);
    fixture.settle(&first, Verdict::Dead, 5);
    assert_eq!(fixture.delivery("evt_a_1").status, DeliveryStatus::Dead);
    assert_eq!(fixture.deliver_all(5), ["evt_a_2"]);
}

#[test]
fn a_crash_between_attempt_and_outcome_repeats_the_same_event() {
    let mut fixture = Fixture::new("crash");
    fixture.accept(&[event("a", 1), event("a", 2), event("b", 1)], 0);
    let lost = fixture.go(0);
    fixture.crash(100);
    let again = fixture.go(100);
    // b waited longer than the attempt that is made anew.
    assert_eq!(again.event_id, "evt_b_1");
    let again = fixture.go(100);
    assert_eq!((again.event_id.as_str(), again.number), ("evt_a_1", 2));
    assert_eq!(again.body, lost.body);
    assert!(!fixture.settle(&lost, Verdict::Dead, 101), "nobody believes the one that was lost");
    assert!(fixture.settle(&again, Verdict::Delivered, 102));
    assert_eq!(fixture.delivery("evt_a_1").attempts, 2);
}

#[test]
fn an_attempt_nobody_hears_of_again_is_made_anew_when_its_lease_ends() {
    let fixture = Fixture::new("lease");
    fixture.accept(&[event("a", 1)], 0);
    let lost = fixture.go(0);
    assert_eq!(fixture.queue.next_due(true), Ok(Some(LEASE_MS)));
    assert_eq!(fixture.begin(LEASE_MS - 1), None);
    let again = fixture.go(LEASE_MS);
    assert_eq!((again.event_id.as_str(), again.number), ("evt_a_1", 2));
    // The answer of the first comes late: the second counts.
    assert!(!fixture.settle(&lost, Verdict::Again { at: 1 }, LEASE_MS));
    assert_eq!(fixture.begin(LEASE_MS), None);
    assert!(fixture.settle(&again, Verdict::Delivered, LEASE_MS));
}

#[test]
fn a_delivery_the_object_dies_over_again_and_again_is_given_up() {
    let mut fixture = Fixture::new("interrupted");
    fixture.accept(&[event("a", 1), event("a", 2)], 0);
    for number in 1..=2 + INTERRUPTIONS {
        let attempt = fixture.queue.begin(0, true, 2).unwrap().expect("an attempt");
        assert_eq!((attempt.event_id.as_str(), attempt.number), ("evt_a_1", number));
        fixture.crash(0);
    }
    let next = fixture.queue.begin(0, true, 2).unwrap().expect("the next");
    assert_eq!(next.event_id, "evt_a_2");
    assert_eq!(fixture.delivery("evt_a_1").status, DeliveryStatus::Dead);
}

#[test]
fn an_event_that_is_read_twice_is_one_delivery() {
    let fixture = Fixture::new("twice");
    assert_eq!(fixture.accept(&[event("a", 1), event("a", 2)], 0), 2);
    assert_eq!(fixture.accept(&[event("a", 1), event("a", 2), event("a", 3)], 0), 1);
    assert_eq!(fixture.deliver_all(0), ["evt_a_1", "evt_a_2", "evt_a_3"]);
    assert_eq!(fixture.accept(&[event("a", 3)], 0), 0, "also when it is delivered");
    assert_eq!(fixture.begin(0), None);
}

#[test]
fn while_it_is_off_everything_stays_and_only_what_is_tried_out_goes() {
    let fixture = Fixture::new("off");
    fixture.accept(&[event("a", 1), event("b", 1)], 0);
    let attempt = fixture.go(0);
    fixture.settle(&attempt, Verdict::Gone, 0);
    let waiting = fixture.go(0);
    fixture.settle(&waiting, Verdict::Again { at: DAY }, 0);
    assert_eq!(fixture.delivery("evt_a_1").status, DeliveryStatus::Pending);
    assert_eq!((fixture.queue.begin(0, false, MOST), fixture.queue.next_due(false)), (Ok(None), Ok(None)));
    fixture.queue.accept_test(&test_event("evt_t"), 5, "t").unwrap();
    assert_eq!((fixture.queue.tests(), fixture.queue.next_due(false)), (Ok(1), Ok(Some(5))));
    let test = fixture.queue.begin(5, false, MOST).unwrap().expect("the test");
    assert!(test.is_test && test.event_id == "evt_t");
    fixture.settle(&test, Verdict::Dead, 6);
    assert_eq!(fixture.queue.begin(6, false, MOST), Ok(None));
    assert_eq!((fixture.queue.tests(), fixture.queue.next_due(false)), (Ok(0), Ok(None)));
    // Switched on: what waited for its next attempt waits no longer.
    fixture.queue.hurry(10).unwrap();
    assert_eq!(fixture.delivery("evt_b_1").next_attempt_at, None);
    let mut gone = fixture.deliver_all(10);
    gone.sort();
    assert_eq!(gone, ["evt_a_1", "evt_b_1"]);
}

#[test]
fn a_test_that_finds_the_receiver_gone_is_over() {
    let fixture = Fixture::new("test-gone");
    fixture.queue.accept_test(&test_event("evt_t"), 0, "t").unwrap();
    let test = fixture.queue.begin(0, true, MOST).unwrap().expect("the test");
    fixture.settle(&test, Verdict::Gone, 1);
    assert_eq!(fixture.delivery("evt_t").status, DeliveryStatus::Dead);
    assert_eq!(fixture.queue.begin(1, false, MOST), Ok(None));
}

#[test]
fn hurrying_leaves_what_is_on_its_way_alone() {
    let fixture = Fixture::new("hurry");
    fixture.accept(&[event("a", 1)], 0);
    let attempt = fixture.go(0);
    fixture.queue.hurry(1).unwrap();
    assert_eq!(fixture.begin(1), None);
    assert!(fixture.settle(&attempt, Verdict::Delivered, 2));
}

#[test]
fn a_test_waits_for_nothing_and_nothing_waits_for_it() {
    let fixture = Fixture::new("test");
    fixture.accept(&[event("", 0)], 0);
    let stuck = fixture.go(0);
    fixture.settle(&stuck, Verdict::Again { at: DAY }, 0);
    fixture.queue.accept_test(&test_event("evt_t1"), 1, "1").unwrap();
    fixture.queue.accept_test(&test_event("evt_t2"), 1, "2").unwrap();
    let (first, second) = (fixture.go(1), fixture.go(1));
    assert!(first.is_test && second.is_test);
    fixture.settle(&first, Verdict::Dead, 1);
    fixture.settle(&second, Verdict::Delivered, 1);
    // A replay of what is dead is about events.
    assert_eq!(fixture.queue.replay_dead(100, 2), Ok(0));
    assert_eq!(fixture.queue.replay(&["1".to_owned()], 100, 2), Ok(1));
    assert!(fixture.go(2).is_test);
}

#[test]
fn what_is_dead_is_replayed_in_its_order_behind_what_waits() {
    let fixture = Fixture::new("replay-dead");
    fixture.accept(&[event("a", 1), event("a", 2), event("a", 3), event("b", 1)], 0);
    for _ in 0..4 {
        let attempt = fixture.go(0);
        let dies = attempt.event_id != "evt_a_3";
        fixture.settle(&attempt, if dies { Verdict::Dead } else { Verdict::Delivered }, 0);
    }
    fixture.accept(&[event("a", 4)], 1);
    assert_eq!(fixture.queue.replay_dead(2, 2), Ok(2), "no more than there is room for");
    assert_eq!(fixture.queue.pending(), Ok(3));
    assert_eq!(fixture.queue.replay_dead(100, 2), Ok(1));
    assert_eq!(fixture.queue.replay_dead(100, 2), Ok(0));
    let shown = fixture.delivery("evt_a_1");
    assert_eq!((shown.attempts, shown.last_status, shown.last_error, shown.response), (0, None, None, None));
    let delivered = fixture.deliver_all(2);
    let of_a: Vec<&String> = delivered.iter().filter(|id| id.starts_with("evt_a")).collect();
    assert_eq!(of_a, ["evt_a_4", "evt_a_1", "evt_a_2"]);
    assert_eq!(delivered.len(), 4);
}

#[test]
fn named_deliveries_are_replayed_whatever_became_of_them_unless_they_wait() {
    let fixture = Fixture::new("replay-named");
    fixture.accept(&[event("a", 1), event("a", 2), event("a", 3)], 0);
    let first = fixture.go(0);
    fixture.settle(&first, Verdict::Delivered, 0);
    let second = fixture.go(0);
    fixture.settle(&second, Verdict::Again { at: DAY }, 0);
    let ids: Vec<String> =
        ["evt_a_1", "evt_a_2", "evt_a_3"].iter().map(|event| fixture.delivery(event).id).collect();
    let unknown = (0..150).map(|number| format!("unknown {number}"));
    let named: Vec<String> = unknown.chain(ids.clone()).collect();
    assert_eq!(fixture.queue.replay(&named, 100, 5), Ok(1));
    assert_eq!(fixture.delivery("evt_a_1").id, ids[0], "it is the same delivery");
    // The lane waits no longer.
    assert_eq!(fixture.deliver_all(5), ["evt_a_2", "evt_a_3", "evt_a_1"]);
    assert_eq!(fixture.queue.replay(&ids, 2, 6), Ok(2));
}

#[test]
fn a_replay_does_not_touch_what_is_on_its_way() {
    let fixture = Fixture::new("replay-leased");
    fixture.accept(&[event("a", 1), event("a", 2)], 0);
    let first = fixture.go(0);
    fixture.settle(&first, Verdict::Dead, 0);
    let second = fixture.go(0);
    assert_eq!(fixture.queue.replay_dead(100, 1), Ok(1));
    assert_eq!(fixture.begin(1), None);
    fixture.settle(&second, Verdict::Delivered, 1);
    assert_eq!(fixture.deliver_all(1), ["evt_a_1"]);
}

#[test]
fn a_stretch_of_a_log_is_replayed_whether_it_was_here_or_not() {
    let fixture = Fixture::new("replay-events");
    fixture.accept(&[event("a", 2), event("a", 3)], 0);
    let first = fixture.go(0);
    fixture.settle(&first, Verdict::Delivered, 0);
    let stretch = [event("a", 1), event("a", 2), event("a", 3), event("a", 4)];
    let replay = |room| fixture.queue.replay_events(&stretch, room, 1, || fixture.mint()).unwrap();
    assert_eq!(replay(1), 1);
    assert_eq!(replay(100), 2, "3 waits already");
    assert_eq!(fixture.deliver_all(1), ["evt_a_3", "evt_a_1", "evt_a_2", "evt_a_4"]);
}

#[test]
fn replaying_again_and_again_keeps_the_places_dense() {
    let fixture = Fixture::new("dense");
    let events: Vec<Envelope> = (1..=10).map(|seq| event("a", seq)).collect();
    fixture.accept(&events, 0);
    for _ in 0..60 {
        while let Some(attempt) = fixture.begin(0) {
            fixture.settle(&attempt, Verdict::Dead, 0);
        }
        assert_eq!(fixture.queue.replay_dead(100, 0), Ok(10));
    }
    let newest = fixture.queue.list("webhook", None, 1, None).unwrap().before.unwrap();
    assert_eq!(newest, 10 + 60 * 10);
    let in_order: Vec<String> = (1..=10).map(|seq| format!("evt_a_{seq}")).collect();
    assert_eq!(fixture.deliver_all(0), in_order);
}

#[test]
fn pages_are_the_newest_first_and_by_status() {
    let fixture = Fixture::new("pages");
    let events: Vec<Envelope> = (1..=5).map(|seq| event(&format!("s{seq}"), seq)).collect();
    fixture.accept(&events, 0);
    for verdict in [Verdict::Delivered, Verdict::Dead, Verdict::Again { at: DAY }] {
        let attempt = fixture.go(0);
        fixture.settle(&attempt, verdict, 0);
    }
    assert_eq!(fixture.all(None), ["evt_s5_5", "evt_s4_4", "evt_s3_3", "evt_s2_2", "evt_s1_1"]);
    assert_eq!(fixture.all(Some(DeliveryStatus::Delivered)), ["evt_s1_1"]);
    assert_eq!(fixture.all(Some(DeliveryStatus::Dead)), ["evt_s2_2"]);
    assert_eq!(fixture.all(Some(DeliveryStatus::Pending)), ["evt_s5_5", "evt_s4_4", "evt_s3_3"]);
    let mut before = None;
    let mut walked = Vec::new();
    loop {
        let page = fixture.queue.list("webhook", None, 2, before).unwrap();
        walked.extend(page.deliveries.into_iter().map(|delivery| delivery.seq));
        before = page.before;
        if before.is_none() {
            break;
        }
    }
    assert_eq!(walked, [5, 4, 3, 2, 1]);
}

#[test]
fn what_was_settled_long_ago_is_forgotten_and_what_waits_is_not() {
    let fixture = Fixture::new("tidy");
    fixture.accept(&[event("a", 1), event("b", 1), event("c", 1)], 0);
    for verdict in [Verdict::Delivered, Verdict::Dead, Verdict::Again { at: 60 * DAY }] {
        let attempt = fixture.go(0);
        fixture.settle(&attempt, verdict, 0);
    }
    assert_eq!(fixture.queue.tidy(7 * DAY), Ok(true));
    assert_eq!(fixture.all(None).len(), 3);
    assert_eq!(fixture.queue.tidy(7 * DAY + 1), Ok(true));
    assert_eq!(fixture.all(None), ["evt_c_1", "evt_b_1"]);
    assert_eq!(fixture.queue.tidy(30 * DAY + 1), Ok(false));
    assert_eq!(fixture.all(None), ["evt_c_1"]);
}

#[test]
fn ten_thousand_delivered_are_kept_and_no_more() {
    let fixture = Fixture::new("many");
    let sql = NativeSql::open(&fixture.file).unwrap();
    gateway_sql::Sql::query(
        &sql,
        "WITH RECURSIVE number(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < 10005) \
         INSERT INTO delivery (id, event_id, event, session, seq, lane, status, created, settled, body) \
         SELECT n, n, 'message', 'a', n, 'a', 'delivered', 0, 0, '{\"a\":1}' FROM number",
        &[],
    )
    .unwrap();
    fixture.queue.tidy(1).unwrap();
    let rows = gateway_sql::Sql::query(&sql, "SELECT MIN(seq), COUNT(*) FROM delivery", &[]).unwrap();
    assert_eq!((rows[0].integer(0), rows[0].integer(1)), (Ok(6), Ok(10_000)));
}

#[test]
fn an_event_no_row_can_hold_is_dead_and_holds_up_nothing() {
    let fixture = Fixture::new("large");
    let large = Envelope { payload: json!("x".repeat(2_000_000)), ..event("a", 1) };
    assert_eq!(fixture.accept(&[large, event("a", 2)], 0), 1);
    let shown = fixture.delivery("evt_a_1");
    assert_eq!((shown.status, shown.attempts), (DeliveryStatus::Dead, 0));
    assert!(shown.last_error.is_some_and(|error| error.contains("too large")));
    assert_eq!(fixture.queue.replay_dead(100, 0), Ok(0), "there is nothing to replay of it");
    assert_eq!(fixture.deliver_all(0), ["evt_a_2"]);
}

#[test]
fn a_gap_is_a_dead_letter_that_nobody_can_send() {
    let mut fixture = Fixture::new("gap");
    fixture.accept(&[event("a", 1)], 0);
    fixture.queue.note_gap(7, 40, 5, "gap").unwrap();
    // The page is read again after a crash.
    fixture.crash(6);
    fixture.queue.note_gap(7, 40, 6, "gap again").unwrap();
    let page = fixture.queue.list("webhook", Some(DeliveryStatus::Dead), 10, None).unwrap();
    let [shown] = &page.deliveries[..] else { panic!("{page:?}") };
    assert_eq!(
        (shown.event.as_str(), shown.event_id.as_str(), shown.session.as_str(), shown.attempts),
        ("webhook.gap", "gap_7_40", "", 0)
    );
    let said = shown.last_error.as_deref().unwrap();
    assert!(said.contains("position 7 ") && said.contains("position 40."), "{said}");
    assert_eq!(fixture.queue.replay_dead(100, 7), Ok(0));
    assert_eq!(fixture.queue.replay(&["gap".to_owned()], 100, 7), Ok(0));
    assert_eq!(fixture.deliver_all(7), ["evt_a_1"], "and it holds up nothing");
    fixture.queue.tidy(5 + 30 * DAY + 1).unwrap();
    assert_eq!(fixture.all(Some(DeliveryStatus::Dead)), Vec::<String>::new());
}

/// The ledger has a million events, and the receiver is away: what is taken is bounded, and so is what is in memory.
#[test]
fn of_a_million_events_no_more_is_taken_than_may_wait() {
    const LEDGER: u64 = 1_000_000;
    let fixture = Fixture::new("million");
    let mut cursor = 0;
    // As `pulling` does it: a page as long as there is room.
    let pull = |cursor: &mut u64, now| {
        let mut pages = 0;
        while fixture.queue.has_room().unwrap() && *cursor < LEDGER {
            let until = LEDGER.min(*cursor + u64::from(PAGE));
            let page: Vec<Envelope> = (*cursor + 1..=until)
                .map(|position| event(&format!("s{}", position % 50), position))
                .collect();
            let bytes: usize = page.iter().map(|event| serde_json::to_string(event).unwrap().len()).sum();
            assert!(page.len() <= 200 && bytes < 200 * 400, "{} events, {bytes} bytes", page.len());
            fixture.accept(&page, now);
            *cursor = until;
            pages += 1;
        }
        pages
    };
    assert_eq!(pull(&mut cursor, 0), 50);
    assert_eq!((cursor, fixture.queue.pending()), (MAX_PENDING, Ok(MAX_PENDING)));
    assert_eq!(pull(&mut cursor, 1), 0, "it reads on only when something is delivered");
    for _ in 0..300 {
        let attempt = fixture.go(1);
        assert!(fixture.settle(&attempt, Verdict::Delivered, 1));
    }
    assert_eq!(pull(&mut cursor, 2), 2);
    assert_eq!(cursor, MAX_PENDING + 400);
    let most = MAX_PENDING + u64::from(PAGE);
    assert!((MAX_PENDING..most).contains(&fixture.queue.pending().unwrap()));
    // About half a kilobyte an event: the rest of the million is in the ledger.
    let size = std::fs::metadata(&fixture.file).unwrap().len();
    assert!(size < 12_000_000, "{size} bytes");
}

#[test]
fn the_record_survives() {
    let mut fixture = Fixture::new("record");
    assert_eq!(fixture.queue.record(), Ok(None));
    let record = Record { cursor: Some(9), ..Record::new("org", "webhook") };
    fixture.queue.save(&record).unwrap();
    fixture.queue.save(&record).unwrap();
    fixture.crash(1);
    assert_eq!(fixture.queue.record(), Ok(Some(record)));
}

/// Everything at once, by chance: outcomes of every kind, crashes, leases that end, events that are read again. Whatever
/// happens, each session's events arrive in order, each at least once.
#[test]
fn whatever_happens_every_event_arrives_and_each_session_in_order() {
    for seed in 1..=20_u64 {
        let mut fixture = Fixture::new(&format!("chance-{seed}"));
        let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let mut chance = |below: u64| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state % below
        };
        let (mut now, mut arrived): (u64, Vec<(String, u64)>) = (0, Vec::new());
        let mut sent: HashMap<String, u64> = HashMap::new();
        let mut on_their_way: Vec<Attempt> = Vec::new();
        for _ in 0..600 {
            now += chance(500);
            match chance(10) {
                0..=2 => {
                    let session = format!("s{}", chance(4));
                    let seq = sent.entry(session.clone()).or_default();
                    *seq += 1;
                    // The page before comes again after a crash.
                    let from = seq.saturating_sub(chance(3)).max(1);
                    let page: Vec<Envelope> = (from..=*seq).map(|seq| event(&session, seq)).collect();
                    fixture.accept(&page, now);
                }
                3..=5 if on_their_way.len() < 4 => on_their_way.extend(fixture.begin(now)),
                6 if chance(8) == 0 => {
                    // What was on its way may have been received.
                    for attempt in on_their_way.drain(..).filter(|_| chance(2) == 0) {
                        arrived.push(parts(&attempt));
                    }
                    fixture.crash(now);
                }
                7 if chance(8) == 0 => {
                    on_their_way.clear();
                    now += LEASE_MS;
                }
                _ if !on_their_way.is_empty() => {
                    let index = usize::try_from(chance(on_their_way.len() as u64)).unwrap();
                    let attempt = on_their_way.swap_remove(index);
                    let verdict = match chance(3) {
                        0 => Verdict::Again { at: now + chance(2_000) },
                        _ => Verdict::Delivered,
                    };
                    if verdict == Verdict::Delivered {
                        arrived.push(parts(&attempt));
                    }
                    fixture.settle(&attempt, verdict, now);
                }
                _ => {}
            }
        }
        now += LEASE_MS + 2_000;
        while let Some(attempt) = fixture.queue.begin(now, true, u32::MAX - 10).unwrap() {
            arrived.push(parts(&attempt));
            assert!(fixture.settle(&attempt, Verdict::Delivered, now));
        }
        for (session, count) in &sent {
            // The first arrival of each event: in order, and none is missing.
            let mut first: Vec<u64> = Vec::new();
            for (_, seq) in arrived.iter().filter(|(of, _)| of == session) {
                if !first.contains(seq) {
                    first.push(*seq);
                }
            }
            assert_eq!(first, (1..=*count).collect::<Vec<_>>(), "seed {seed}, {session}");
        }
    }
}

fn parts(attempt: &Attempt) -> (String, u64) {
    let event: Envelope = serde_json::from_str(&attempt.body).unwrap();
    (event.session, event.seq)
}
