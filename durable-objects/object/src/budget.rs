//! The memory that large things may take at a time: an isolate has 128 MB for all its sessions and for the requests it
//! answers (Cloudflare, "Limits"). Who takes a file into memory takes its share first, and waits for it.

use std::cell::Cell;

/// What all of an isolate may hold of files at a time, in bytes.
pub const MOST_BYTES: usize = 64 * 1024 * 1024;

thread_local! {
    static HELD: Cell<usize> = const { Cell::new(0) };
}

/// A share of the memory; given back when dropped.
#[derive(Debug)]
pub struct Share(usize);

impl Share {
    /// A share of so many bytes, if there is as much. One that is larger than everything is given when nobody has any.
    #[must_use]
    pub fn take(bytes: usize) -> Option<Self> {
        let held = HELD.get();
        let bytes = bytes.min(MOST_BYTES);
        (held.saturating_add(bytes) <= MOST_BYTES).then(|| {
            HELD.set(held + bytes);
            Self(bytes)
        })
    }

    /// Gives back what is more than that.
    pub fn shrink(&mut self, bytes: usize) {
        if bytes < self.0 {
            HELD.set(HELD.get().saturating_sub(self.0 - bytes));
            self.0 = bytes;
        }
    }

    /// Takes more, to have so many bytes in all; `false` when there is not as much.
    #[must_use]
    pub fn grow(&mut self, bytes: usize) -> bool {
        let bytes = bytes.min(MOST_BYTES);
        let more = bytes.saturating_sub(self.0);
        let held = HELD.get();
        let is_there = held.saturating_add(more) <= MOST_BYTES;
        if is_there {
            HELD.set(held + more);
            self.0 += more;
        }
        is_there
    }

    /// Waits for a share; `None` when there is none within that time.
    #[cfg(target_arch = "wasm32")]
    pub async fn within(bytes: usize, patience: std::time::Duration) -> Option<Self> {
        const PAUSE: std::time::Duration = std::time::Duration::from_millis(100);
        let mut left = patience;
        loop {
            if let Some(share) = Self::take(bytes) {
                return Some(share);
            }
            left = left.checked_sub(PAUSE)?;
            worker::Delay::from(PAUSE).await;
        }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        HELD.set(HELD.get().saturating_sub(self.0));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_is_given_than_there_is_and_what_is_given_back_can_be_had_again() {
        let half = MOST_BYTES / 2;
        let first = Share::take(half).unwrap();
        let mut second = Share::take(half).unwrap();
        assert!(Share::take(1).is_none());
        second.shrink(half - 1);
        second.shrink(half);
        let third = Share::take(1).unwrap();
        assert!(Share::take(1).is_none());
        assert!(!second.grow(half));
        drop(first);
        assert!(second.grow(half + 1));
        drop((second, third));
        let all = Share::take(usize::MAX).unwrap();
        assert!(Share::take(1).is_none());
        drop(all);
        assert!(Share::take(1).is_some());
    }
}
