//! Who types to whom, as a phone would show it for a moment. Not kept over a restart.

use serde::Serialize;
use wacore_binary::{JidExt as _, Node};

use crate::account::Account;
use crate::world::World;
use crate::{clock, stanza};

/// More is nobody's typing.
const CAPACITY: usize = 100;

/// Somebody began to type, or stopped.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Typing {
    /// Who.
    pub from: String,
    /// `composing` or `paused`.
    pub state: String,
    /// When, epoch milliseconds.
    pub timestamp_ms: u64,
}

/// Takes a companion's `<chatstate>` to the phone of whoever it is for; of groups nobody is told.
pub fn note(world: &World, sender: &Account, chatstate: &Node) {
    let Some(to) = stanza::jid(chatstate, "to").filter(|to| !to.is_group()) else { return };
    let (Some(target), Some(state)) = (world.resolve(&to), stanza::first_child(chatstate)) else { return };
    let mut typing = target.typing();
    typing.push(Typing {
        from: sender.pn().to_string(),
        state: state.tag.to_string(),
        timestamp_ms: clock::unix_millis(),
    });
    let surplus = typing.len().saturating_sub(CAPACITY);
    typing.drain(..surplus);
}
