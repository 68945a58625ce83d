//! Everything the simulated WhatsApp knows, and the directory to find it: accounts, registrations waiting for a scan,
//! open sockets, faults.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use anyhow::Result;
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::watch;
use wacore_binary::Jid;

use crate::account::{Account, DeviceAddress};
use crate::certificate::Authority;
use crate::connection::Outgoing;
use crate::counters::Counters;
use crate::faults::{Fault, Faults, Kind};
use crate::pairing::Registration;
use crate::phone;

/// How long pairing refs can be scanned, which is how long a client shows them.
#[derive(Clone, Copy, Debug)]
pub struct RefLifetime {
    /// The first one.
    pub first: Duration,
    /// Each of the others, after its predecessor.
    pub next: Duration,
}

impl Default for RefLifetime {
    fn default() -> Self {
        Self { first: Duration::from_mins(1), next: Duration::from_secs(20) }
    }
}

#[derive(Default)]
struct Directory {
    by_number: HashMap<String, Arc<Account>>,
    by_lid: HashMap<String, Arc<Account>>,
}

/// An open socket, for faults and for `GET /connections`.
#[derive(Clone)]
pub struct OpenSocket {
    pub outgoing: UnboundedSender<Outgoing>,
    /// Known once it has logged in.
    pub peer: Option<DeviceAddress>,
}

/// The simulated WhatsApp.
pub struct World {
    pub seed: u64,
    pub authority: Authority,
    pub ref_lifetime: RefLifetime,
    pub faults: Faults,
    pub counters: Counters,
    /// True when everything is to end.
    pub shutdown: watch::Sender<bool>,
    directory: RwLock<Directory>,
    registrations: Mutex<HashMap<String, Arc<Registration>>>,
    sockets: Mutex<HashMap<u64, OpenSocket>>,
    connections: AtomicU64,
}

impl World {
    pub fn new(seed: u64, ref_lifetime: RefLifetime) -> Result<Self> {
        Ok(Self {
            seed,
            authority: Authority::new(seed)?,
            ref_lifetime,
            faults: Faults::default(),
            counters: Counters::default(),
            shutdown: watch::Sender::new(false),
            directory: RwLock::default(),
            registrations: Mutex::default(),
            sockets: Mutex::default(),
            connections: AtomicU64::new(1),
        })
    }

    /// The account of a phone number.
    pub fn account(&self, number: &str) -> Option<Arc<Account>> {
        self.directory.read().unwrap_or_else(PoisonError::into_inner).by_number.get(number).cloned()
    }

    /// The account a JID of either namespace belongs to.
    pub fn resolve(&self, jid: &Jid) -> Option<Arc<Account>> {
        let directory = self.directory.read().unwrap_or_else(PoisonError::into_inner);
        let index = if jid.is_lid() { &directory.by_lid } else { &directory.by_number };
        if jid.is_lid() || jid.is_pn() { index.get(jid.user_base()).cloned() } else { None }
    }

    /// An account by what people type: digits, or a JID.
    pub fn find(&self, text: &str) -> Option<Arc<Account>> {
        let digits = text.trim_start_matches('+');
        if digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return self.account(digits);
        }
        text.parse::<Jid>().ok().and_then(|jid| self.resolve(&jid))
    }

    /// All accounts, by number.
    pub fn accounts(&self) -> Vec<Arc<Account>> {
        let mut all: Vec<_> = {
            let directory = self.directory.read().unwrap_or_else(PoisonError::into_inner);
            directory.by_number.values().cloned().collect()
        };
        all.sort_by(|a, b| a.number.cmp(&b.number));
        all
    }

    /// The account of this number, and whether it is new.
    pub fn open_account(self: &Arc<Self>, number: &str, push_name: &str) -> Result<(Arc<Account>, bool)> {
        if let Some(account) = self.account(number) {
            return Ok((account, false));
        }
        // Making keys takes a while: outside the lock, and whoever comes second takes the first one's.
        let born = phone::birth(self, number, push_name)?;
        let mut directory = self.directory.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(account) = directory.by_number.get(number) {
            return Ok((account.clone(), false));
        }
        directory.by_number.insert(number.to_owned(), born.clone());
        directory.by_lid.insert(born.lid.clone(), born.clone());
        Ok((born, true))
    }

    /// Registrations by pairing ref.
    pub fn registrations(&self) -> MutexGuard<'_, HashMap<String, Arc<Registration>>> {
        self.registrations.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn next_connection(&self) -> u64 {
        self.connections.fetch_add(1, Ordering::Relaxed)
    }

    /// Open sockets by connection.
    pub fn sockets(&self) -> MutexGuard<'_, HashMap<u64, OpenSocket>> {
        self.sockets.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets a freshly armed fault hit the sockets that are open; when there is none it waits for the next login.
    pub fn strike(&self, fault: &Fault) {
        if !fault.kind.is_immediate() {
            return;
        }
        let hit: Vec<_> = self
            .sockets()
            .values()
            .filter(|socket| Faults::hits(fault, socket.peer.as_ref()))
            .map(|socket| socket.outgoing.clone())
            .collect();
        for outgoing in &hit {
            Outgoing::fault(&fault.kind, outgoing);
        }
        if !hit.is_empty() {
            self.faults.used(fault.id);
        }
    }

    /// Lets a fault that waited for this socket hit it.
    pub fn strike_waiting(&self, peer: Option<&DeviceAddress>, outgoing: &UnboundedSender<Outgoing>) {
        if let Some(kind) = self.faults.take(peer, |kind| kind.is_immediate().then(|| kind.clone())) {
            Outgoing::fault(&kind, outgoing);
        }
    }

    /// Back to the beginning: no account, no fault, no socket.
    pub fn reset(&self) {
        self.faults.clear();
        let sockets: Vec<_> = self.sockets().drain().map(|(_, socket)| socket).collect();
        for socket in sockets {
            Outgoing::fault(&Kind::Close { code: Some(1001) }, &socket.outgoing);
        }
        self.registrations().clear();
        *self.directory.write().unwrap_or_else(PoisonError::into_inner) = Directory::default();
        self.counters.reset();
    }
}
