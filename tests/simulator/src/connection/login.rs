//! A login: is this a device we know, with the key it paired with?

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

use anyhow::Result;
use tokio::sync::mpsc::UnboundedSender;
use wacore_binary::builder::NodeBuilder;
use waproto::whatsapp::ClientPayload;

use super::reader::Reader;
use super::session::Role;
use super::{Outgoing, Peer};
use crate::account::{Account, Device, DeviceAddress};
use crate::faults::{Kind, Stage};
use crate::mailbox::Link;
use crate::noise::Pattern;
use crate::world::World;
use crate::{clock, rng, stanza};

/// What the server answers to a device it doesn't know, or no longer.
const LOGGED_OUT: u16 = 401;

/// What a client has shown of itself.
pub struct Caller {
    pub payload: ClientPayload,
    pub client_static: [u8; 32],
    pub pattern: Pattern,
}

/// Lets a device in, or tells it why not and hangs up (then there is no role).
pub async fn admit(
    world: &Arc<World>,
    connection: u64,
    reader: &mut Reader,
    outgoing: &UnboundedSender<Outgoing>,
    peer: &Peer,
    caller: &Caller,
) -> Result<Option<Role>> {
    let Caller { payload, client_static, pattern } = caller;
    let claimed = DeviceAddress {
        number: payload.username.unwrap_or_default().to_string(),
        device: payload.device.and_then(|device| u16::try_from(device).ok()).unwrap_or_default(),
    };
    reader.until_unstalled(&world.faults, Stage::Login, Some(&claimed)).await?;
    let refusal = world.faults.take(Some(&claimed), |kind| match kind {
        Kind::Failure { reason, code, expire } => Some(stanza::refusal(*reason, *code, *expire)),
        _ => None,
    });
    let refusal = refusal.or_else(|| world.web_page.refusal(payload).map(stanza::failure));
    let known = find(world, &claimed, client_static);
    let (account, device) = match (refusal, known) {
        (None, Some(known)) => known,
        (refusal, _) => {
            let failure = refusal.unwrap_or_else(|| stanza::failure(LOGGED_OUT));
            let _ = outgoing.send(Outgoing::Node(Box::new(failure)));
            let _ = outgoing.send(Outgoing::Close(Some(1000)));
            return Ok(None);
        }
    };
    // The writer shares this cell; nobody else sets it.
    let _ = peer.set(claimed.clone());
    if let Some(socket) = world.sockets().get_mut(&connection) {
        socket.peer = Some(claimed.clone());
    }
    let link = Link { connection, outgoing: outgoing.clone() };
    if let Some(replaced) = device.mailbox.attach(link) {
        replaced.send(stanza::conflict("replaced", None));
        let _ = replaced.outgoing.send(Outgoing::Close(Some(1000)));
    }
    // Unlinked between the look-up and the attach: the unlinking didn't see this socket.
    if account.device(device.id).is_none() {
        device.mailbox.detach(connection);
        let _ = outgoing.send(Outgoing::Node(Box::new(stanza::failure(LOGGED_OUT))));
        let _ = outgoing.send(Outgoing::Close(Some(1000)));
        return Ok(None);
    }
    welcome(world, &device, *pattern, outgoing);
    world.strike_waiting(Some(&claimed), outgoing);
    Ok(Some(Role::LoggedIn(account, device)))
}

fn find(
    world: &World,
    claimed: &DeviceAddress,
    client_static: &[u8; 32],
) -> Option<(Arc<Account>, Arc<Device>)> {
    let account = world.account(&claimed.number)?;
    let device = account.device(claimed.device)?;
    (device.noise_static == *client_static).then_some((account, device))
}

fn welcome(world: &World, device: &Device, pattern: Pattern, outgoing: &UnboundedSender<Outgoing>) {
    {
        let mut logins = device.logins.lock().unwrap_or_else(PoisonError::into_inner);
        logins.count += 1;
        logins.last_handshake = Some(pattern);
        logins.connected_at = Some(clock::unix_seconds());
    }
    let success = NodeBuilder::new("success")
        .attr("t", clock::unix_seconds())
        .attr("props", "27")
        .attr("creation", clock::unix_seconds())
        .attr("location", "sim")
        .attr("lid", device.lid_jid());
    // The client keeps this and shows it in a pre-intro at its next connection.
    let routing: [u8; 8] = rng::bytes(&mut rng::derive(world.seed, "edge routing", &device.number));
    let routing = NodeBuilder::new("edge_routing").children([stanza::with_bytes("routing_info", routing)]);
    let _ = outgoing.send(Outgoing::Node(Box::new(success.build())));
    let _ = outgoing.send(Outgoing::Node(Box::new(stanza::ib(routing.build()))));
    log::info!(
        "{} logged in, {pattern:?}, bootstrapped: {}",
        device.jid(),
        device.bootstrapped.load(Ordering::Relaxed)
    );
}
