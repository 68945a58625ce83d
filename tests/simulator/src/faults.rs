//! Faults on demand: what is armed, for whom, how often, and who takes it. The rooms where a fault shows itself ask
//! here; nothing else knows that the simulator can misbehave.

mod kinds;

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use crate::account::DeviceAddress;
pub use kinds::{CodeStage, Damage, Kind, Stage, Transfer};

/// Whom it hits; nobody in particular is everybody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    Phone(String),
    Device(DeviceAddress),
}

impl Target {
    fn matches(&self, peer: Option<&DeviceAddress>) -> bool {
        match self {
            Self::Phone(number) => peer.is_some_and(|peer| peer.number == *number),
            Self::Device(device) => peer == Some(device),
        }
    }
}

/// An armed fault.
#[derive(Clone, Debug)]
pub struct Fault {
    pub id: u64,
    pub kind: Kind,
    pub target: Option<Target>,
    /// How often it still lets pass what it would hit.
    pub skip: u32,
    /// How often it still applies; none is for ever.
    pub remaining: Option<u32>,
}

struct Armed {
    next_id: u64,
    faults: Vec<Fault>,
}

/// All armed faults.
pub struct Faults {
    armed: Mutex<Armed>,
    /// Bumped at every change, for connections that wait for a stall to end.
    changes: watch::Sender<u64>,
}

impl Default for Faults {
    fn default() -> Self {
        let armed = Armed { next_id: 1, faults: Vec::new() };
        Self { armed: Mutex::new(armed), changes: watch::Sender::new(0) }
    }
}

impl Faults {
    fn armed(&self) -> MutexGuard<'_, Armed> {
        self.armed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn changed(&self) {
        self.changes.send_modify(|version| *version += 1);
    }

    /// Arms a fault that lets the first few pass.
    pub fn arm(&self, kind: Kind, target: Option<Target>, count: Option<u32>, skip: u32) -> Fault {
        let fault = {
            let mut armed = self.armed();
            let remaining = count.or_else(|| kind.default_count());
            let fault = Fault { id: armed.next_id, kind, target, skip, remaining };
            armed.next_id += 1;
            armed.faults.push(fault.clone());
            fault
        };
        self.changed();
        fault
    }

    pub fn list(&self) -> Vec<Fault> {
        self.armed().faults.clone()
    }

    pub fn clear(&self) {
        self.armed().faults.clear();
        self.changed();
    }

    /// False when there is no such fault.
    pub fn remove(&self, id: u64) -> bool {
        let found = {
            let mut armed = self.armed();
            let before = armed.faults.len();
            armed.faults.retain(|fault| fault.id != id);
            armed.faults.len() < before
        };
        self.changed();
        found
    }

    /// The first armed fault `pick` accepts for this peer, used up by one.
    pub fn take<T>(&self, peer: Option<&DeviceAddress>, pick: impl Fn(&Kind) -> Option<T>) -> Option<T> {
        let mut armed = self.armed();
        let (index, value) = armed.faults.iter_mut().enumerate().find_map(|(index, fault)| {
            let hit = fault.target.as_ref().is_none_or(|target| target.matches(peer));
            let value = if hit { pick(&fault.kind) } else { None }?;
            if fault.skip > 0 {
                fault.skip -= 1;
                return None;
            }
            Some((index, value))
        })?;
        use_up(&mut armed.faults, index);
        Some(value)
    }

    /// Counts one application of a fault that was applied from outside.
    pub fn used(&self, id: u64) {
        let mut armed = self.armed();
        if let Some(index) = armed.faults.iter().position(|fault| fault.id == id) {
            use_up(&mut armed.faults, index);
        }
    }

    /// Whether this fault is meant for this peer.
    pub fn hits(fault: &Fault, peer: Option<&DeviceAddress>) -> bool {
        fault.target.as_ref().is_none_or(|target| target.matches(peer))
    }

    fn stalled(&self, stage: Stage, peer: Option<&DeviceAddress>) -> bool {
        self.armed().faults.iter().any(|fault| {
            let Kind::Stall { stage: at } = fault.kind else { return false };
            let here = at == stage || (at == Stage::Now && stage == Stage::Login);
            here && Self::hits(fault, peer)
        })
    }

    /// Returns once nothing stalls this peer at this stage, at once when nothing does.
    pub async fn unstalled(&self, stage: Stage, peer: Option<&DeviceAddress>) {
        let mut changes = self.changes.subscribe();
        while self.stalled(stage, peer) {
            if changes.changed().await.is_err() {
                return;
            }
        }
    }
}

fn use_up(faults: &mut Vec<Fault>, index: usize) {
    let Some(fault) = faults.get_mut(index) else { return };
    if let Some(remaining) = &mut fault.remaining {
        *remaining = remaining.saturating_sub(1);
        if *remaining == 0 {
            faults.remove(index);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(kind: &Kind) -> Option<u16> {
        if let Kind::Failure { reason, .. } = kind { Some(*reason) } else { None }
    }

    fn refused(reason: u16) -> Kind {
        Kind::Failure { reason, code: None, expire: None }
    }

    #[test]
    fn a_one_shot_is_gone_after_its_use_and_a_standing_one_stays() {
        let faults = Faults::default();
        faults.arm(refused(403), None, None, 0);
        assert_eq!(faults.take(None, failure), Some(403));
        assert_eq!(faults.take(None, failure), None);
        faults.arm(Kind::AckDrop { to: None }, None, None, 0);
        let dropped = |kind: &Kind| matches!(kind, Kind::AckDrop { .. }).then_some(());
        assert!(faults.take(None, dropped).is_some());
        assert!(faults.take(None, dropped).is_some());
    }

    #[test]
    fn what_is_to_pass_passes_first() {
        let faults = Faults::default();
        let other = DeviceAddress { number: "1".into(), device: 2 };
        faults.arm(refused(403), Some(Target::Phone("1".into())), None, 2);
        let taken = || faults.take(Some(&other), failure);
        assert_eq!(faults.take(None, failure), None, "it isn't for them, and is not counted");
        assert_eq!([taken(), taken(), taken(), taken()], [None, None, Some(403), None]);
    }

    #[test]
    fn a_target_hits_nobody_else() {
        let faults = Faults::default();
        let hit = DeviceAddress { number: "1".into(), device: 2 };
        let other = DeviceAddress { number: "1".into(), device: 3 };
        faults.arm(refused(403), Some(Target::Device(hit.clone())), None, 0);
        assert_eq!(faults.take(Some(&other), failure), None);
        assert_eq!(faults.take(None, failure), None);
        assert_eq!(faults.take(Some(&hit), failure), Some(403));
    }

    #[tokio::test]
    async fn a_stall_ends_when_it_is_cleared() {
        let faults = std::sync::Arc::new(Faults::default());
        faults.arm(Kind::Stall { stage: Stage::Login }, None, None, 0);
        let waiting = tokio::spawn({
            let faults = faults.clone();
            async move { faults.unstalled(Stage::Login, None).await }
        });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        faults.clear();
        waiting.await.unwrap();
    }
}
