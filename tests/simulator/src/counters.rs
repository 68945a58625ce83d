//! Counts of what came in, so that a test can prove how often a client knocked.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use serde::Serialize;

use crate::noise::Pattern;

/// The counts of handshakes, as `GET /connections` shows them.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Handshakes {
    pub started: u64,
    pub finished: u64,
    #[serde(rename = "XX")]
    pub xx: u64,
    #[serde(rename = "IK")]
    pub ik: u64,
    #[serde(rename = "XXfallback")]
    pub xx_fallback: u64,
    pub failed: u64,
    /// Reason to count.
    pub failures: BTreeMap<String, u64>,
}

/// All counters.
#[derive(Default)]
pub struct Counters {
    handshakes: Mutex<Handshakes>,
    refused: std::sync::atomic::AtomicU64,
}

impl Counters {
    pub fn started(&self) {
        self.handshakes.lock().unwrap_or_else(PoisonError::into_inner).started += 1;
    }

    pub fn finished(&self, pattern: Pattern) {
        let mut counts = self.handshakes.lock().unwrap_or_else(PoisonError::into_inner);
        counts.finished += 1;
        match pattern {
            Pattern::Xx => counts.xx += 1,
            Pattern::Ik => counts.ik += 1,
            Pattern::XxFallback => counts.xx_fallback += 1,
        }
    }

    pub fn failed(&self, reason: &str) {
        let mut counts = self.handshakes.lock().unwrap_or_else(PoisonError::into_inner);
        counts.failed += 1;
        *counts.failures.entry(reason.to_owned()).or_default() += 1;
    }

    /// A TCP connection was dropped before the upgrade.
    pub fn refused(&self) {
        self.refused.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    }

    pub fn handshakes(&self) -> Handshakes {
        self.handshakes.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn refusals(&self) -> u64 {
        self.refused.load(std::sync::atomic::Ordering::Relaxed)
    }

    pub fn reset(&self) {
        *self.handshakes.lock().unwrap_or_else(PoisonError::into_inner) = Handshakes::default();
        self.refused.store(0, std::sync::atomic::Ordering::Relaxed);
    }
}
