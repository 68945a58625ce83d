//! The reach-out lock: an account under it can't write to people it has never had to do with. Its companions are told
//! when it begins and when it is lifted, and can ask.

use std::sync::{Arc, PoisonError};

use serde_json::{Value, json};
use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node};

use crate::account::{Account, Device, DeviceAddress};
use crate::faults::{Fault, Faults, Kind, Target};
use crate::store::Kind as RowKind;
use crate::world::World;
use crate::{clock, stanza};

/// The code under which a message to a stranger is refused.
const LOCKED: u16 = 463;
/// WhatsApp's number for the question how the account stands.
const QUERY: &str = "23983697327930364";
const NOTIFICATION: &str = "NotificationUserReachoutTimelockUpdate";

/// Whether this device may write there, or the code with which the message is refused.
pub fn permit(world: &World, sender: &Account, device: &Device, to: &Jid) -> Result<(), u16> {
    let Some(recipient) = world.resolve(to) else { return Ok(()) };
    if recipient.number == sender.number || knows(sender, &recipient.number) {
        return Ok(());
    }
    let now = clock::unix_seconds();
    let locked = world.faults.take(Some(&device.address()), |kind| match kind {
        Kind::ReachoutTimelock { until, .. } if now < *until => Some(()),
        _ => None,
    });
    if locked.is_some() { Err(LOCKED) } else { Ok(()) }
}

/// A message has gone from the one to the other.
pub fn acquaint(sender: &Account, recipient: &Account) {
    for (account, other) in [(sender, recipient), (recipient, sender)] {
        let mut known = account.acquaintances.lock().unwrap_or_else(PoisonError::into_inner);
        if known.insert(other.number.clone()) {
            account.shelf.put(RowKind::Acquaintance, other.number.clone(), Vec::new);
        }
    }
}

fn knows(account: &Account, number: &str) -> bool {
    account.acquaintances.lock().unwrap_or_else(PoisonError::into_inner).contains(number)
}

/// The answer to a companion that asks; other questions of this kind get an empty answer.
pub fn answer(world: &World, device: &Device, iq: &Node) -> Node {
    let query = iq.get_optional_child("query").map(|query| stanza::attr(query, "query_id"));
    let data = if query.as_deref() == Some(QUERY) {
        json!({ "xwa2_fetch_account_reachout_timelock": standing(world, &device.address()) })
    } else {
        json!({})
    };
    let result = json!({ "data": data }).to_string();
    stanza::result(iq, [stanza::with_bytes("result", result)])
}

fn standing(world: &World, device: &DeviceAddress) -> Value {
    let faults = world.faults.list();
    let here = faults.iter().filter(|fault| Faults::hits(fault, Some(device)));
    here.map(|fault| &fault.kind).find_map(described).unwrap_or_else(
        || json!({ "is_active": false, "time_enforcement_ends": "0", "enforcement_type": "DEFAULT" }),
    )
}

fn described(kind: &Kind) -> Option<Value> {
    let Kind::ReachoutTimelock { until, enforcement_type } = kind else { return None };
    let active = clock::unix_seconds() < *until;
    active.then(|| {
        json!({
            "is_active": true,
            "time_enforcement_ends": until.to_string(),
            "enforcement_type": enforcement_type,
        })
    })
}

/// Tells the companions of everybody this fault is for how they stand now; nothing when it is no lock.
pub fn announce(world: &World, fault: &Fault) {
    if !matches!(fault.kind, Kind::ReachoutTimelock { .. }) {
        return;
    }
    let accounts: Vec<Arc<Account>> = match &fault.target {
        None => world.accounts(),
        Some(Target::Phone(number)) => world.account(number).into_iter().collect(),
        Some(Target::Device(device)) => world.account(&device.number).into_iter().collect(),
    };
    for account in accounts {
        for device in account.devices() {
            let address = device.address();
            if Faults::hits(fault, Some(&address)) {
                device.mailbox.push(notification(&account.stanza_id(), &standing(world, &address)));
            }
        }
    }
}

fn notification(id: &str, standing: &Value) -> Node {
    let update = json!({ "data": { "xwa2_notify_account_reachout_timelock": standing } });
    NodeBuilder::new("notification")
        .attr("from", stanza::server())
        .attr("type", "mex")
        .attr("id", id)
        .attr("t", clock::unix_seconds())
        .children([NodeBuilder::new("update")
            .attr("op_name", NOTIFICATION)
            .bytes(update.to_string().into_bytes())
            .build()])
        .build()
}
