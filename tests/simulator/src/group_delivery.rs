//! A message in a group: who may write it, and what each device of each member gets of it.

use std::collections::HashMap;
use std::sync::Arc;

use wacore::messages::MessageUtils;
use wacore_binary::{Jid, JidExt as _, Node};

use crate::account::Account;
use crate::groups::{Group, Role};
use crate::routing::{Owed, addressed, ciphertexts};
use crate::stanza;
use crate::world::World;

/// What somebody gets who may not write there. WhatsApp's own code for it isn't known here.
const FORBIDDEN: u16 = 403;
/// The value of `edit` under which an admin takes back what somebody else wrote.
const ADMIN_REVOKE: &str = "8";

/// Whether somebody may send this there, or the code with which it is refused.
pub fn permit(group: &Group, sender: &Account, message: &Node) -> Result<(), u16> {
    let role = group.role(&sender.number).ok_or(FORBIDDEN)?;
    let for_admins = group.announce || stanza::attr(message, "edit") == ADMIN_REVOKE;
    if for_admins && role == Role::Member { Err(FORBIDDEN) } else { Ok(()) }
}

/// All devices of all members.
pub fn devices(world: &World, group: &Group) -> Vec<(Arc<Account>, u16)> {
    let members = group.participants.iter().filter_map(|member| world.account(&member.number));
    let devices = members.flat_map(|member| {
        let ids: Vec<u16> =
            std::iter::once(0).chain(member.devices().iter().map(|device| device.id)).collect();
        ids.into_iter().map(move |id| (member.clone(), id))
    });
    devices.collect()
}

/// The hash over the devices a message in a group is for, its sender's included.
pub fn phash(devices: &[(Arc<Account>, u16)]) -> Option<String> {
    let jids: Vec<Jid> = devices.iter().map(|(member, device)| member.lid().with_device(*device)).collect();
    MessageUtils::participant_list_hash(&jids).ok()
}

/// What every device gets: what was encrypted for it, and what was encrypted for all. A message that was asked for
/// again is for one.
pub fn stanzas(world: &World, sender: &Account, device: u16, group: &Group, message: &Node) -> Vec<Owed> {
    let asker = stanza::jid(message, "participant");
    let mut own: HashMap<(String, u16), Vec<Node>> = HashMap::new();
    let mut all = Vec::new();
    for (jid, enc) in ciphertexts(message) {
        if jid.is_group() {
            all.push(enc);
        } else if let Some(target) = world.resolve(&jid) {
            own.entry((target.number.clone(), jid.device)).or_default().push(enc);
        }
    }
    let only = asker.and_then(|jid| Some((world.resolve(&jid)?.number.clone(), jid.device)));
    let owed = devices(world, group).into_iter().filter_map(|(target, id)| {
        let key = (target.number.clone(), id);
        if only.as_ref().is_some_and(|only| *only != key) {
            return None;
        }
        // The client takes a message for malformed in which the group's ciphertext comes first.
        let mut encs = own.remove(&key).unwrap_or_default();
        encs.extend(all.iter().cloned());
        let envelope = addressed(sender, message)
            .attr("from", group.jid())
            .attr("participant", sender.lid().with_device(device))
            .attr("participant_pn", sender.pn())
            .attr("addressing_mode", "lid");
        (!encs.is_empty()).then_some(Owed { target, device: id, encs, envelope })
    });
    owed.collect()
}
