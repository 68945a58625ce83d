//! Who types to whom, as a phone would show it for a moment. Not kept over a restart.

use serde::Serialize;
use wacore_binary::{JidExt as _, Node};

use crate::account::Account;
use crate::world::World;
use crate::{clock, group_delivery, stanza};

/// More is nobody's typing.
const CAPACITY: usize = 100;

/// Somebody began to type, or stopped.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Typing {
    /// Who.
    pub from: String,
    /// Where: their own number, or a group.
    pub chat: String,
    /// `composing` or `paused`.
    pub state: String,
    /// When, epoch microseconds.
    pub at: u64,
}

/// Takes a companion's `<chatstate>` to the phones of those it is for.
pub fn note(world: &World, sender: &Account, chatstate: &Node) {
    let (Some(to), Some(state)) = (stanza::jid(chatstate, "to"), stanza::first_child(chatstate)) else {
        return;
    };
    let typing = |chat: String| Typing {
        from: sender.pn().to_string(),
        chat,
        state: state.tag.to_string(),
        at: clock::unix_micros(),
    };
    if !to.is_group() {
        if let Some(target) = world.resolve(&to) {
            shown(&target, typing(sender.pn().to_string()));
        }
        return;
    }
    let Some(group) = world.groups.get(to.user_base()).filter(|group| group.has(&sender.number)) else {
        return;
    };
    for (member, device) in group_delivery::devices(world, &group) {
        if device == 0 && member.number != sender.number {
            shown(&member, typing(group.jid().to_string()));
        }
    }
}

fn shown(target: &Account, one: Typing) {
    let mut typing = target.typing();
    typing.push(one);
    let surplus = typing.len().saturating_sub(CAPACITY);
    typing.drain(..surplus);
}
