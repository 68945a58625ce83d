//! What holds until a moment, for as many names as fit: who is known, who has to wait.

use std::collections::HashMap;

/// Names, each with a moment in epoch milliseconds.
#[derive(Debug)]
pub struct Deadlines {
    until: HashMap<String, u64>,
    most: usize,
}

impl Deadlines {
    /// None yet, and never more than `most`.
    #[must_use]
    pub fn at_most(most: usize) -> Self {
        Self { until: HashMap::new(), most }
    }

    /// Until when it holds for a name, if it does at `now`.
    #[must_use]
    pub fn of(&self, name: &str, now: u64) -> Option<u64> {
        self.until.get(name).copied().filter(|until| *until > now)
    }

    /// Holds for a name until a moment. When all places are taken those go that are over, then the quarter that ends
    /// first: nobody empties it by filling it.
    pub fn hold(&mut self, name: String, until: u64, now: u64) {
        if self.until.len() >= self.most && !self.until.contains_key(&name) {
            self.until.retain(|_, until| *until > now);
            self.make_room();
        }
        self.until.insert(name, until);
    }

    fn make_room(&mut self) {
        if self.until.len() < self.most {
            return;
        }
        let quarter = self.most / 4;
        let mut ends: Vec<u64> = self.until.values().copied().collect();
        ends.sort_unstable();
        let last = ends.get(quarter).copied().unwrap_or_default();
        // Many may end at the same moment: no more go than there have to.
        let mut leaving = quarter + 1;
        self.until.retain(|_, until| {
            let leaves = *until <= last && leaving > 0;
            leaving -= usize::from(leaves);
            !leaves
        });
    }

    /// It holds for a name no longer.
    pub fn forget(&mut self, name: &str) {
        self.until.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_holds_until_its_moment_and_no_longer() {
        let mut deadlines = Deadlines::at_most(8);
        deadlines.hold("a".to_owned(), 100, 0);
        assert_eq!(deadlines.of("a", 99), Some(100));
        assert_eq!(deadlines.of("a", 100), None);
        assert_eq!(deadlines.of("b", 0), None);
        deadlines.hold("a".to_owned(), 200, 0);
        assert_eq!(deadlines.of("a", 100), Some(200));
        deadlines.forget("a");
        assert_eq!(deadlines.of("a", 0), None);
    }

    #[test]
    fn a_flood_drives_out_the_oldest_and_never_all() {
        let most = 400;
        let mut deadlines = Deadlines::at_most(most);
        for number in 0..10_000_u64 {
            deadlines.hold(number.to_string(), 1_000_000 + number, number);
            assert!(deadlines.until.len() <= most);
            // The newest three quarters are always there.
            for recent in number.saturating_sub(299)..=number {
                assert!(deadlines.of(&recent.to_string(), number).is_some(), "{recent} at {number}");
            }
        }
    }

    #[test]
    fn what_is_over_goes_first() {
        let mut deadlines = Deadlines::at_most(4);
        for (name, until) in [("over", 10), ("a", 100), ("b", 101), ("c", 102)] {
            deadlines.hold(name.to_owned(), until, 0);
        }
        deadlines.hold("d".to_owned(), 103, 50);
        assert!(["a", "b", "c", "d"].iter().all(|name| deadlines.of(name, 50).is_some()));
    }

    #[test]
    fn one_moment_for_all_is_no_reason_to_forget_all() {
        let mut deadlines = Deadlines::at_most(100);
        for number in 0..=100 {
            deadlines.hold(number.to_string(), 10, 0);
        }
        assert_eq!(deadlines.until.len(), 75);
    }
}
