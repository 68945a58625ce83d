//! The server's key directory: what devices publish so that strangers can open a Signal session with them, and the
//! `encrypt` iqs that fill and read it.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use anyhow::{Context as _, Result};
use wacore::prekeys::compute_key_bundle_digest;
use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node};
use wacore_libsignal::protocol::{IdentityKey, PreKeyBundle, PublicKey};

use crate::account::{Account, Device};
use crate::stanza::{self, child_content, key_id, number, with_bytes};
use crate::world::World;

/// Below this many one-time prekeys the server asks the device for more.
const LOW: usize = 10;
/// The only key type there is: Curve25519.
const KEY_TYPE: u8 = 5;

/// A signed prekey.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedKey {
    pub id: u32,
    pub public: Vec<u8>,
    pub signature: Vec<u8>,
}

/// Everything one device has published.
#[derive(Clone, Debug)]
pub struct Published {
    pub registration_id: u32,
    pub identity: Vec<u8>,
    pub signed: SignedKey,
    pub one_time: VecDeque<(u32, Vec<u8>)>,
    /// A companion's ADV identity as it returned it at pairing; absent for a phone.
    pub device_identity: Option<Vec<u8>>,
    /// Set once the device has been asked for more, until it uploads.
    asked: bool,
}

impl Published {
    pub fn new(registration_id: u32, identity: Vec<u8>, signed: SignedKey) -> Self {
        let one_time = VecDeque::new();
        Self { registration_id, identity, signed, one_time, device_identity: None, asked: false }
    }

    /// The bundle as libsignal wants it, with at most one one-time prekey (used up by this call).
    pub fn take_bundle(&mut self) -> Result<PreKeyBundle> {
        let one_time = match self.one_time.pop_front() {
            Some((id, public)) => Some((id.into(), PublicKey::from_djb_public_key_bytes(&public)?)),
            None => None,
        };
        Ok(PreKeyBundle::new(
            self.registration_id,
            0.into(),
            one_time,
            self.signed.id.into(),
            PublicKey::from_djb_public_key_bytes(&self.signed.public)?,
            self.signed.signature.clone(),
            IdentityKey::new(PublicKey::from_djb_public_key_bytes(&self.identity)?),
        )?)
    }

    fn take_bundle_node(&mut self, jid: Jid) -> Node {
        let mut children = vec![
            with_bytes("registration", self.registration_id.to_be_bytes()),
            with_bytes("type", [KEY_TYPE]),
            with_bytes("identity", self.identity.clone()),
        ];
        if let Some((id, public)) = self.one_time.pop_front() {
            children.push(key_node("key", id, public, None));
        }
        children.push(self.signed_node());
        children.extend(self.device_identity.clone().map(|bytes| with_bytes("device-identity", bytes)));
        NodeBuilder::new("user").attr("jid", jid).children(children).build()
    }

    fn signed_node(&self) -> Node {
        key_node("skey", self.signed.id, self.signed.public.clone(), Some(self.signed.signature.clone()))
    }
}

/// `<key>` or `<skey>`.
pub fn key_node(tag: &'static str, id: u32, public: Vec<u8>, signature: Option<Vec<u8>>) -> Node {
    let mut children = vec![with_bytes("id", key_id(id)), with_bytes("value", public)];
    children.extend(signature.map(|bytes| with_bytes("signature", bytes)));
    NodeBuilder::new(tag).children(children).build()
}

/// Reads an `<skey>`.
pub fn read_signed(node: &Node) -> SignedKey {
    SignedKey {
        id: number(child_content(node, "id")),
        public: child_content(node, "value").to_vec(),
        signature: child_content(node, "signature").to_vec(),
    }
}

/// Reads a bundle from the `<keys>` of a retry receipt.
pub fn read_retry_bundle(receipt: &Node) -> Result<PreKeyBundle> {
    let keys = receipt.get_optional_child("keys").context("no keys")?;
    let signed = read_signed(keys.get_optional_child("skey").context("no skey")?);
    let mut published = Published::new(
        number(child_content(receipt, "registration")),
        child_content(keys, "identity").to_vec(),
        signed,
    );
    if let Some(key) = keys.get_optional_child("key") {
        published
            .one_time
            .push_back((number(child_content(key, "id")), child_content(key, "value").to_vec()));
    }
    published.take_bundle()
}

/// Answers an iq of the namespace `encrypt`.
pub fn answer(world: &World, device: &Device, iq: &Node) -> Node {
    let Some(child) = stanza::first_child(iq) else { return stanza::result(iq, []) };
    let mut own = device.keys.lock().unwrap_or_else(PoisonError::into_inner);
    match child.tag.as_ref() {
        "key" | "key_fetch" => {
            drop(own);
            bundles(world, iq, child)
        }
        "count" => stanza::result(iq, [NodeBuilder::new("count").attr("value", own.one_time.len()).build()]),
        "digest" => digest(&own, iq),
        "rotate" => {
            let Some(skey) = child.get_optional_child("skey") else {
                return stanza::error(iq, 400, "bad-request");
            };
            own.signed = read_signed(skey);
            stanza::result(iq, [])
        }
        _ => {
            upload(&mut own, iq);
            stanza::result(iq, [])
        }
    }
}

fn upload(own: &mut Published, iq: &Node) {
    if let Some(skey) = iq.get_optional_child("skey") {
        own.signed = read_signed(skey);
    }
    for key in iq.get_optional_child("list").and_then(Node::children).unwrap_or_default() {
        let (id, public) = (number(child_content(key, "id")), child_content(key, "value").to_vec());
        own.one_time.retain(|(known, _)| *known != id);
        own.one_time.push_back((id, public));
    }
    own.asked = false;
}

fn digest(own: &Published, iq: &Node) -> Node {
    if own.one_time.is_empty() {
        // Nothing uploaded yet: the client answers this with an upload.
        return stanza::error(iq, 404, "item-not-found");
    }
    let publics: Vec<&[u8]> = own.one_time.iter().map(|(_, public)| public.as_slice()).collect();
    let hash = compute_key_bundle_digest(&own.identity, &own.signed.public, &own.signed.signature, &publics);
    let ids = own.one_time.iter().map(|(id, _)| with_bytes("id", key_id(*id)));
    let digest = NodeBuilder::new("digest").children([
        with_bytes("registration", own.registration_id.to_be_bytes()),
        with_bytes("type", [KEY_TYPE]),
        with_bytes("identity", own.identity.clone()),
        own.signed_node(),
        NodeBuilder::new("list").children(ids).build(),
        with_bytes("hash", hash),
    ]);
    stanza::result(iq, [digest.build()])
}

fn bundles(world: &World, iq: &Node, request: &Node) -> Node {
    let users = request.get_children_by_tag("user").filter_map(|user| {
        let jid = stanza::jid(user, "jid")?;
        let bundle = world
            .resolve(&jid)
            .and_then(|account| take(&account, jid.device, |keys| keys.take_bundle_node(jid.clone())));
        Some(bundle.unwrap_or_else(|| {
            let error = NodeBuilder::new("error").attr("code", 404u16).attr("text", "item-not-found");
            NodeBuilder::new("user").attr("jid", jid).children([error.build()]).build()
        }))
    });
    stanza::result(iq, [NodeBuilder::new("list").children(users).build()])
}

/// Takes from what a device has published, and tells the device when it runs low.
pub fn take<T>(account: &Account, device: u16, with: impl FnOnce(&mut Published) -> T) -> Option<T> {
    if device == 0 {
        return Some(locked(&account.phone_keys, with).0);
    }
    let device = account.device(device)?;
    let (value, low) = locked(&device.keys, with);
    if let Some(count) = low {
        let id = account.stanza_id();
        let notification = NodeBuilder::new("notification")
            .attr("from", stanza::server())
            .attr("type", "encrypt")
            .attr("id", id)
            .attr("t", crate::clock::unix_seconds())
            .children([NodeBuilder::new("count").attr("value", count).build()]);
        device.mailbox.push(notification.build());
    }
    Some(value)
}

fn locked<T>(keys: &Mutex<Published>, with: impl FnOnce(&mut Published) -> T) -> (T, Option<usize>) {
    let mut keys = keys.lock().unwrap_or_else(PoisonError::into_inner);
    let before = keys.one_time.len();
    let value = with(&mut keys);
    let count = keys.one_time.len();
    // A device that never uploaded is about to; asking it would only make it upload twice.
    let low = count < LOW && before > 0 && !keys.asked;
    keys.asked |= low;
    (value, low.then_some(count))
}
