//! The server's key directory: what devices publish so that strangers can open a Signal session with them, and the
//! `encrypt` iqs that fill and read it.

use std::collections::{HashSet, VecDeque};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};
use wacore::prekeys::compute_key_bundle_digest;
use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node};
use wacore_libsignal::protocol::{IdentityKey, PreKeyBundle, PublicKey};

use crate::account::{Account, Device};
use crate::stanza::{self, child_content, key_id, number, with_bytes};
use crate::store::shelf::ordered;
use crate::store::{Kind, Rows, Shelf};
use crate::world::World;

/// Below this many one-time prekeys the server asks the device for more.
const LOW: usize = 10;
/// The only key type there is: Curve25519.
const KEY_TYPE: u8 = 5;

/// A signed prekey.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct SignedKey {
    pub id: u32,
    pub public: Vec<u8>,
    pub signature: Vec<u8>,
}

/// Everything one device has published.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Published {
    pub registration_id: u32,
    pub identity: Vec<u8>,
    pub signed: SignedKey,
    /// Rows of their own: there are hundreds, and they come and go one by one.
    #[serde(skip)]
    one_time: VecDeque<OneTime>,
    #[serde(skip)]
    added: u64,
    /// A companion's ADV identity as it returned it at pairing; absent for a phone.
    pub device_identity: Option<Vec<u8>>,
    /// Set once the device has been asked for more, until it uploads.
    asked: bool,
    #[serde(skip)]
    shelf: Shelf,
}

/// A prekey that is given away once.
#[derive(Clone, Debug)]
struct OneTime {
    /// In which order they were published.
    place: u64,
    id: u32,
    public: Vec<u8>,
}

impl Published {
    pub fn new(registration_id: u32, identity: Vec<u8>, signed: SignedKey) -> Self {
        Self {
            registration_id,
            identity,
            signed,
            one_time: VecDeque::new(),
            added: 0,
            device_identity: None,
            asked: false,
            shelf: Shelf::default(),
        }
    }

    /// From now on it is kept there.
    pub fn keep_in(&mut self, home: Shelf) {
        self.shelf = home;
        self.keep();
        for key in &self.one_time {
            key.keep(&self.shelf);
        }
    }

    /// As it was kept for this device.
    pub fn restore(rows: &mut Rows, number: &str, device: u16, shelf: Shelf) -> Result<Self> {
        let [(_, head)] =
            rows.take_device(Kind::Published, number, device).try_into().ok().context("keys")?;
        let mut published: Self = serde_json::from_slice(&head)?;
        for (place, value) in rows.take_device(Kind::OneTime, number, device) {
            let (id, public) = value.split_at_checked(4).context("a short key")?;
            let place = crate::store::rows::number(&place)?;
            published.added = place;
            published.one_time.push_back(OneTime { place, id: stanza::number(id), public: public.to_vec() });
        }
        published.shelf = shelf;
        Ok(published)
    }

    /// How many one-time prekeys are left.
    pub fn one_time_left(&self) -> usize {
        self.one_time.len()
    }

    pub fn add_one_time(&mut self, id: u32, public: Vec<u8>) {
        self.added += 1;
        let key = OneTime { place: self.added, id, public };
        key.keep(&self.shelf);
        self.one_time.push_back(key);
    }

    fn take_one_time(&mut self) -> Option<OneTime> {
        let key = self.one_time.pop_front()?;
        self.shelf.delete(Kind::OneTime, ordered(key.place));
        Some(key)
    }

    fn withdraw(&mut self, id: u32) {
        let position = self.one_time.iter().position(|key| key.id == id);
        if let Some(key) = position.and_then(|position| self.one_time.remove(position)) {
            self.shelf.delete(Kind::OneTime, ordered(key.place));
        }
    }

    /// Everything but the one-time prekeys.
    fn keep(&self) {
        self.shelf.put_json(Kind::Published, "", self);
    }

    /// The bundle as libsignal wants it, with at most one one-time prekey (used up by this call).
    pub fn take_bundle(&mut self) -> Result<PreKeyBundle> {
        let one_time = match self.take_one_time() {
            Some(key) => Some((key.id.into(), PublicKey::from_djb_public_key_bytes(&key.public)?)),
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
        if let Some(key) = self.take_one_time() {
            children.push(key_node("key", key.id, key.public, None));
        }
        children.push(self.signed_node());
        children.extend(self.device_identity.clone().map(|bytes| with_bytes("device-identity", bytes)));
        NodeBuilder::new("user").attr("jid", jid).children(children).build()
    }

    fn signed_node(&self) -> Node {
        key_node("skey", self.signed.id, self.signed.public.clone(), Some(self.signed.signature.clone()))
    }
}

impl OneTime {
    fn keep(&self, home: &Shelf) {
        home.put(Kind::OneTime, ordered(self.place), || {
            [self.id.to_be_bytes().as_slice(), self.public.as_slice()].concat()
        });
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
        published.add_one_time(number(child_content(key, "id")), child_content(key, "value").to_vec());
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
            own.keep();
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
    let mut known: HashSet<u32> = own.one_time.iter().map(|key| key.id).collect();
    for key in iq.get_optional_child("list").and_then(Node::children).unwrap_or_default() {
        let (id, public) = (number(child_content(key, "id")), child_content(key, "value").to_vec());
        if !known.insert(id) {
            own.withdraw(id);
        }
        own.add_one_time(id, public);
    }
    own.asked = false;
    own.keep();
}

fn digest(own: &Published, iq: &Node) -> Node {
    if own.one_time.is_empty() {
        // Nothing uploaded yet: the client answers this with an upload.
        return stanza::error(iq, 404, "item-not-found");
    }
    let publics: Vec<&[u8]> = own.one_time.iter().map(|key| key.public.as_slice()).collect();
    let hash = compute_key_bundle_digest(&own.identity, &own.signed.public, &own.signed.signature, &publics);
    let ids = own.one_time.iter().map(|key| with_bytes("id", key_id(key.id)));
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
    if low {
        keys.asked = true;
        keys.keep();
    }
    (value, low.then_some(count))
}
