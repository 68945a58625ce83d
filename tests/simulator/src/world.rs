//! Everything the simulated WhatsApp knows, and the directory to find it: accounts, registrations waiting for a scan,
//! open sockets, faults.

use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::watch;
use wacore_binary::Jid;

use crate::account::{Account, Device, DeviceAddress};
use crate::certificate::Authority;
use crate::connection::Outgoing;
use crate::counters::Counters;
use crate::faults::{Fault, Faults, Kind};
use crate::groups::Groups;
use crate::ledger::Ledger;
use crate::link_code::LinkCodes;
use crate::media::Media;
use crate::pairing::Registration;
use crate::passkey::Passkeys;
use crate::phone::upbringing;
use crate::store::{Kind as RowKind, Rows, Store};
use crate::web_page::WebPage;

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

/// Ids of one life of the process; nobody uses that many.
const IDS_PER_START: u64 = 1 << 32;

/// What is kept of the world itself.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
struct WorldRecord {
    seed: u64,
    starts: u64,
    /// How often the certificate's key has been rotated: the keys come from the seed, one after the other.
    rotations: u64,
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
    /// How often a process has started on this state before; 0 without one.
    pub starts: u64,
    pub store: Store,
    pub authority: Authority,
    pub ref_lifetime: RefLifetime,
    pub faults: Faults,
    pub counters: Counters,
    pub web_page: WebPage,
    pub groups: Groups,
    pub media: Media,
    pub ledger: Ledger,
    pub link_codes: LinkCodes,
    pub passkeys: Passkeys,
    /// True when everything is to end.
    pub shutdown: watch::Sender<bool>,
    directory: RwLock<Directory>,
    births: Mutex<()>,
    registrations: Mutex<HashMap<String, Arc<Registration>>>,
    sockets: Mutex<HashMap<u64, OpenSocket>>,
    connections: AtomicU64,
}

impl World {
    /// A world that keeps nothing.
    pub fn new(seed: u64, ref_lifetime: RefLifetime) -> Result<Self> {
        let record = WorldRecord { seed, starts: 0, rotations: 0 };
        Self::with_store(&record, ref_lifetime, Store::default())
    }

    /// The world as it was kept, or the beginning of one. Its phones go on where they were.
    pub fn open(seed: u64, ref_lifetime: RefLifetime, state: &Path) -> Result<Arc<Self>> {
        let (store, rows) = Store::open(state)?;
        let opened = Self::from_rows(seed, ref_lifetime, &store, rows);
        if opened.is_err() {
            store.close();
        }
        opened.with_context(|| format!("the state in {}", state.display()))
    }

    fn from_rows(seed: u64, ref_lifetime: RefLifetime, store: &Store, mut rows: Rows) -> Result<Arc<Self>> {
        let kept = rows.take_json::<WorldRecord>(RowKind::World, "")?.into_iter().next();
        let record = match kept {
            Some((_, kept)) if kept.seed != seed => {
                bail!("it was made with the seed {}, not {seed}", kept.seed)
            }
            Some((_, kept)) => WorldRecord { starts: kept.starts + 1, ..kept },
            None => WorldRecord { seed, starts: 0, rotations: 0 },
        };
        let world = Arc::new(Self::with_store(&record, ref_lifetime, store.clone())?);
        world.keep();
        world.restore(&mut rows)?;
        Ok(world)
    }

    fn with_store(record: &WorldRecord, ref_lifetime: RefLifetime, store: Store) -> Result<Self> {
        let authority = Authority::new(record.seed)?;
        for _ in 0..record.rotations {
            authority.rotate()?;
        }
        Ok(Self {
            seed: record.seed,
            starts: record.starts,
            store,
            authority,
            ref_lifetime,
            faults: Faults::default(),
            counters: Counters::default(),
            web_page: WebPage::default(),
            groups: Groups::default(),
            media: Media::default(),
            ledger: Ledger::default(),
            link_codes: LinkCodes::default(),
            passkeys: Passkeys::default(),
            shutdown: watch::Sender::new(false),
            directory: RwLock::default(),
            births: Mutex::default(),
            registrations: Mutex::default(),
            sockets: Mutex::default(),
            connections: AtomicU64::new(record.starts * IDS_PER_START + 1),
        })
    }

    /// Writes down what the world itself is.
    pub fn keep(&self) {
        let record =
            WorldRecord { seed: self.seed, starts: self.starts, rotations: self.authority.rotations() };
        self.store.shelf("").put_json(RowKind::World, "", &record);
    }

    fn restore(self: &Arc<Self>, rows: &mut Rows) -> Result<()> {
        self.groups.restore(rows)?;
        self.media.restore(rows, &self.store)?;
        let mut phones = Vec::new();
        for number in rows.owners(RowKind::Account) {
            let (account, mail) = upbringing::restore(self, rows, &number)?;
            for (id, record) in rows.take_json(RowKind::Device, &number)? {
                let device = Device::restore(rows, &account, id.parse()?, &record)?;
                account.restore_device(Arc::new(device));
            }
            self.take_in(account.clone());
            phones.push((account, mail));
        }
        for (account, mail) in phones {
            upbringing::start(self, &account, mail);
        }
        Ok(())
    }

    fn take_in(&self, account: Arc<Account>) {
        let mut directory = self.directory.write().unwrap_or_else(PoisonError::into_inner);
        directory.by_lid.insert(account.lid.clone(), account.clone());
        directory.by_number.insert(account.number.clone(), account);
    }

    /// Where to begin to count what must not repeat after a restart.
    pub fn first_id(&self) -> u64 {
        self.starts * IDS_PER_START + 1
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
        // Making keys takes a while: not under the directory's lock, and one after the other, because a twin would
        // write over what the first one has kept.
        let births = self.births.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(account) = self.account(number) {
            return Ok((account, false));
        }
        let born = self.store.unit(|| upbringing::birth(self, number, push_name))?;
        self.take_in(born.clone());
        drop(births);
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
        self.link_codes.clear();
        self.passkeys.clear();
        self.store.reset();
        self.groups.clear();
        self.media.clear(&self.store);
        self.ledger.clear();
        *self.directory.write().unwrap_or_else(PoisonError::into_inner) = Directory::default();
        self.counters.reset();
    }
}
