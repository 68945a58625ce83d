//! Pacing, against every window there is.

use super::*;
use std::convert::Infallible;

/// What the owner keeps in SQLite.
#[derive(Default)]
struct Log(Vec<u64>);

impl Log {
    fn nth_newest(&self, n: u32) -> Option<u64> {
        let mut times = self.0.clone();
        times.sort_unstable_by(|one, other| other.cmp(one));
        times.get(usize::try_from(n).unwrap() - 1).copied()
    }

    fn next_free(&self, limits: Limits, now: u64) -> u64 {
        limits.next_free(now, |n| Ok::<_, Infallible>(self.nth_newest(n))).unwrap()
    }

    fn standing(&self, limits: Limits, now: u64) -> Vec<Standing> {
        let count = |since| u32::try_from(self.0.iter().filter(|sent| **sent >= since).count()).unwrap();
        limits.standing(now, |n| Ok::<_, Infallible>(self.nth_newest(n)), |since| Ok(count(since))).unwrap()
    }
}

/// The most sends in any window of this length, both ends belonging to it, whatever fraction of a millisecond each
/// time was cut off by.
fn most_within(times: &[u64], length: u64) -> usize {
    let within = |start: &u64| times.iter().filter(|time| (*start..=start + length).contains(*time)).count();
    times.iter().map(within).max().unwrap_or(0)
}

/// A small generator of numbers (xorshift64*): the same in every run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, most: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) % most
    }
}

#[test]
fn no_window_ever_has_more_than_its_limit() {
    let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
    for _ in 0..60 {
        let limits = Limits {
            per_minute: u32::try_from(numbers.below(12)).unwrap(),
            per_hour: u32::try_from(numbers.below(60)).unwrap(),
        };
        let (mut log, mut now) = (Log::default(), 1_700_000_000_000);
        let mut refused = 0;
        for _ in 0..400 {
            // Bursts, pauses, and now and then a wait to the very millisecond, or one less.
            now += match numbers.below(8) {
                0..=4 => numbers.below(50),
                5 => numbers.below(MINUTE_MS),
                6 => log.next_free(limits, now) - now,
                _ => (log.next_free(limits, now) - now).saturating_sub(1),
            };
            let free = log.next_free(limits, now);
            if free == now {
                log.0.push(now);
            } else {
                refused += 1;
                assert!(free > now);
                // The true time: then it is let through, and not a millisecond earlier.
                assert_eq!(log.next_free(limits, free), free);
                assert!(log.next_free(limits, free - 1) > free - 1);
            }
            // A restart forgets what is of no use.
            if numbers.below(50) == 0 {
                log.0.retain(|sent| *sent > now.saturating_sub(HOUR_MS + 1));
            }
        }
        let minute = usize::try_from(limits.per_minute).unwrap();
        let hour = usize::try_from(limits.per_hour).unwrap();
        assert!(minute == 0 || most_within(&log.0, MINUTE_MS) <= minute, "{limits:?}");
        assert!(hour == 0 || most_within(&log.0, HOUR_MS) <= hour, "{limits:?}");
        assert_eq!(refused == 0, minute == 0 && hour == 0, "{limits:?}");
    }
}

#[test]
fn what_is_left_agrees_with_what_is_let_through() {
    let mut numbers = Numbers(0xdead_beef_cafe_f00d);
    let limits = Limits { per_minute: 5, per_hour: 40 };
    let (mut log, mut now) = (Log::default(), 1_700_000_000_000);
    for _ in 0..2_000 {
        now += numbers.below(30_000);
        let standing = log.standing(limits, now);
        let free = log.next_free(limits, now);
        assert_eq!(standing.iter().all(|it| it.remaining > 0), free == now, "{standing:?}");
        let longest = standing.iter().filter(|it| it.remaining == 0).map(|it| it.reset_seconds).max();
        if let Some(seconds) = longest {
            assert_eq!(seconds, retry_after_seconds(now, free));
        }
        for it in &standing {
            assert!((1..=it.window_seconds + 1).contains(&it.reset_seconds), "{it:?}");
            // As many as are left go at once; the next does not.
            let mut sent = Log(log.0.clone());
            let alone = match it.name {
                "permin" => Limits { per_hour: 0, ..limits },
                _ => Limits { per_minute: 0, ..limits },
            };
            for _ in 0..it.remaining {
                assert_eq!(sent.next_free(alone, now), now);
                sent.0.push(now);
            }
            assert!(sent.next_free(alone, now) > now);
        }
        if free == now {
            log.0.push(now);
        }
    }
}

#[test]
fn zero_is_no_limit() {
    let log = Log(vec![1_000; 100_000]);
    assert_eq!(log.next_free(Limits::default(), 1_000), 1_000);
    assert_eq!(log.standing(Limits::default(), 1_000), []);
    assert_eq!((rate_limit(&[]), rate_limit_policy(&[])), (None, None));
    let minute = Limits { per_minute: 2, per_hour: 0 };
    assert_eq!(log.next_free(minute, 1_000), 61_001);
}

#[test]
fn a_limit_that_was_lowered_holds_at_once() {
    let log = Log((0..10).map(|second| 100_000 + second * 1_000).collect());
    let now = 110_000;
    assert_eq!(log.next_free(Limits { per_minute: 11, per_hour: 0 }, now), now);
    // Of ten sends, two may still count: so until the second newest is forgotten.
    let lowered = Limits { per_minute: 2, per_hour: 0 };
    assert_eq!(log.next_free(lowered, now), 108_000 + 60_001);
    assert_eq!(
        log.standing(lowered, now),
        [Standing { name: "permin", limit: 2, window_seconds: 60, remaining: 0, reset_seconds: 59 }]
    );
}

#[test]
fn a_clock_that_was_turned_back_makes_nobody_wait_longer_than_a_window() {
    let log = Log(vec![9_000_000]);
    let limits = Limits { per_minute: 1, per_hour: 0 };
    assert_eq!(log.next_free(limits, 1_000_000), 1_060_001);
}

#[test]
fn the_fields_are_those_of_the_draft() {
    let limits = Limits { per_minute: 20, per_hour: 200 };
    let log = Log(vec![1_000_000, 1_030_000]);
    let standing = log.standing(limits, 1_040_000);
    assert_eq!(rate_limit(&standing).as_deref(), Some("\"permin\";r=18;t=21, \"perhr\";r=198;t=3561"));
    assert_eq!(rate_limit_policy(&standing).as_deref(), Some("\"permin\";q=20;w=60, \"perhr\";q=200;w=3600"));
    let unused = Log::default().standing(limits, 1_040_000);
    assert_eq!(rate_limit(&unused).as_deref(), Some("\"permin\";r=20;t=60, \"perhr\";r=200;t=3600"));
    assert_eq!(retry_after_seconds(1_000, 1_001), 1);
    assert_eq!(retry_after_seconds(1_000, 61_001), 61);
    assert_eq!(retry_after_seconds(1_000, 1_000), 1);
}

#[test]
fn typing_takes_a_while_but_not_long() {
    let (least, most) = (Duration::from_millis(500), Duration::from_secs(4));
    for characters in [0, 1, 10, 50, 1_000, usize::MAX] {
        for jitter in 0..200 {
            let time = typing_time(characters, jitter);
            assert!((least..=most).contains(&time), "{characters} {jitter}: {time:?}");
            assert!(typing_time(characters.saturating_add(1), jitter) >= time);
        }
    }
    assert!(typing_time(1, 0) < typing_time(40, 0) && typing_time(40, 0) < typing_time(40, 40));
    assert_eq!(typing_time(usize::MAX, u32::MAX), typing_time(usize::MAX, u32::MAX % 41));
}
