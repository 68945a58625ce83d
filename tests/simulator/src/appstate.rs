//! App state: per collection an ordered list of encrypted patches. The server stores and numbers them without being
//! able to read them; the phone, which has made the key, writes some itself.

use std::collections::{BTreeMap, HashMap};
use std::sync::PoisonError;

use anyhow::{Context as _, Result};
use rand::rngs::StdRng;
use sha2::{Digest as _, Sha256};
use wacore_appstate::encode::encode_record;
use wacore_appstate::hash::{HashState, generate_patch_mac};
use wacore_appstate::keys::expand_app_state_keys;
use wacore_binary::Node;
use wacore_binary::builder::NodeBuilder;
use waproto::buffa::{Message as _, MessageField};
use waproto::whatsapp::message::protocol_message::Type;
use waproto::whatsapp::message::{
    AppStateSyncKey, AppStateSyncKeyData, AppStateSyncKeyFingerprint, AppStateSyncKeyId,
    AppStateSyncKeyShare, ProtocolMessage,
};
use waproto::whatsapp::sync_action_value::PushNameSetting;
use waproto::whatsapp::syncd_mutation::SyncdOperation;
use waproto::whatsapp::{KeyId, Message, SyncActionValue, SyncdMutation, SyncdPatch, SyncdVersion};

use crate::account::{Account, Device};
use crate::address_book::{self, AddressBook};
use crate::store::shelf::ordered;
use crate::store::{Kind, Rows, Shelf};
use crate::{clock, rng, stanza};

/// The collection that must be there before a client counts itself as connected.
const CRITICAL: &str = "critical_block";

/// The phone's key and the server's patches.
pub struct AppState {
    key_id: [u8; 6],
    key: [u8; 32],
    created: u64,
    collections: BTreeMap<String, Vec<Vec<u8>>>,
    pub contacts: AddressBook,
    shelf: Shelf,
}

/// One entry as the phone writes it: its name in the collection, its value, and the version of that kind of value.
pub struct Write {
    pub operation: SyncdOperation,
    pub index: Vec<u8>,
    pub value: SyncActionValue,
    pub version: i32,
}

impl AppState {
    /// A fresh account's: one patch that sets the push name. Without it a client has no name, may not announce its
    /// presence, and waits ten seconds at every connect.
    pub fn new(rng: &mut StdRng, push_name: &str, shelf: Shelf) -> Self {
        let created = clock::unix_millis();
        // Ids are a device number and a counter; this is the first key of device 0.
        let key_id = [0, 0, 0, 0, 0, 1];
        let mut state = Self {
            key_id,
            key: rng::bytes(rng),
            created,
            collections: BTreeMap::new(),
            contacts: AddressBook::new(),
            shelf,
        };
        state.shelf.put_json(Kind::AppStateKey, "", &(state.key_id, state.key, state.created));
        let value = SyncActionValue {
            timestamp: i64::try_from(created).ok(),
            push_name_setting: MessageField::some(PushNameSetting { name: Some(push_name.to_owned()) }),
            ..Default::default()
        };
        let index = br#"["setting_pushName"]"#.to_vec();
        state.write(CRITICAL, &[Write { operation: SyncdOperation::SET, index, value, version: 1 }]);
        state
    }

    /// As it was kept.
    pub fn restore(rows: &mut Rows, number: &str, shelf: Shelf) -> Result<Self> {
        let (key_id, key, created) = rows.take_one(Kind::AppStateKey, number)?;
        let mut collections: BTreeMap<String, Vec<Vec<u8>>> = BTreeMap::new();
        for (place, patch) in rows.take(Kind::Patch, number) {
            let (collection, _) = place.split_once('/').context("a patch of no collection")?;
            collections.entry(collection.to_owned()).or_default().push(patch);
        }
        let contacts = address_book::restore(rows, number)?;
        Ok(Self { key_id, key, created, collections, contacts, shelf })
    }

    #[cfg(test)]
    pub fn key(&self) -> &[u8; 32] {
        &self.key
    }

    /// All patches of a collection.
    pub fn patches(&self, collection: &str) -> &[Vec<u8>] {
        self.collections.get(collection).map(Vec::as_slice).unwrap_or_default()
    }

    /// Writes a patch the way a device does that has seen all before it; the new version.
    pub fn write(&mut self, collection: &str, writes: &[Write]) -> usize {
        let keys = expand_app_state_keys(&self.key);
        let version = self.patches(collection).len() + 1;
        let mutations: Vec<SyncdMutation> = writes
            .iter()
            .enumerate()
            .map(|(place, write)| {
                let Write { operation, index, value, version: kind } = write;
                let iv = self.iv(collection, version, place);
                encode_record(*operation, index, value, &keys, &self.key_id, &iv, *kind).0
            })
            .collect();
        let mut state = self.replay(collection, &mutations);
        state.version = version as u64;
        let mut patch = SyncdPatch {
            version: MessageField::some(SyncdVersion { version: Some(state.version) }),
            mutations,
            snapshot_mac: Some(state.generate_snapshot_mac(collection, &keys.snapshot_mac)),
            key_id: MessageField::some(KeyId { id: Some(self.key_id.to_vec()) }),
            ..Default::default()
        };
        patch.patch_mac = Some(generate_patch_mac(&patch, collection, &keys.patch_mac, state.version));
        self.append(collection, patch.encode_to_vec());
        version
    }

    /// Never the same for two values under one key.
    fn iv(&self, collection: &str, version: usize, place: usize) -> [u8; 16] {
        let mut hash = Sha256::new();
        hash.update(self.key);
        hash.update(format!("{collection}/{version}/{place}"));
        hash.finalize().first_chunk().copied().unwrap_or_default()
    }

    /// The hash of a collection with a patch more: whoever wrote the others, their MACs stand in them readably.
    fn replay(&self, collection: &str, next: &[SyncdMutation]) -> HashState {
        let mut state = HashState::default();
        let mut values: HashMap<Vec<u8>, Vec<u8>> = HashMap::new();
        let kept =
            self.patches(collection).iter().filter_map(|patch| SyncdPatch::decode_from_slice(patch).ok());
        for mutations in kept.map(|patch| patch.mutations).chain([next.to_vec()]) {
            // Its only error is one of the look-up, which has none.
            let _ = state.update_hash(&mutations, |index, _| Ok(values.get(index).cloned()));
            for mutation in &mutations {
                let Some(record) = mutation.record.as_option() else { continue };
                let index = record.index.blob.clone().unwrap_or_default();
                let removed = mutation.operation.is_some_and(|operation| operation == SyncdOperation::REMOVE);
                let mac = record.value.blob.as_deref().and_then(<[u8]>::last_chunk::<32>);
                match mac {
                    Some(mac) if !removed => drop(values.insert(index, mac.to_vec())),
                    _ => drop(values.remove(&index)),
                }
            }
        }
        state
    }

    fn append(&mut self, collection: &str, patch: Vec<u8>) {
        let patches = self.collections.entry(collection.to_owned()).or_default();
        let place = format!("{collection}/{}", ordered(patches.len() as u64));
        self.shelf.put(Kind::Patch, place, || patch.clone());
        patches.push(patch);
    }

    /// The peer message with which the phone shares its key.
    pub fn key_share(&self) -> Message {
        let key = AppStateSyncKey {
            key_id: MessageField::some(AppStateSyncKeyId { key_id: Some(self.key_id.to_vec()) }),
            key_data: MessageField::some(AppStateSyncKeyData {
                key_data: Some(self.key.to_vec()),
                fingerprint: MessageField::some(AppStateSyncKeyFingerprint {
                    raw_id: Some(1),
                    current_index: Some(1),
                    device_indexes: vec![0, 1],
                }),
                timestamp: i64::try_from(self.created).ok(),
            }),
        };
        let protocol = ProtocolMessage {
            r#type: Some(Type::APP_STATE_SYNC_KEY_SHARE),
            app_state_sync_key_share: MessageField::some(AppStateSyncKeyShare { keys: vec![key] }),
            ..Default::default()
        };
        Message { protocol_message: MessageField::some(protocol), ..Default::default() }
    }

    /// Stores a patch on top of `version`; none when somebody else was faster.
    fn store(&mut self, collection: &str, version: usize, patch: &[u8]) -> Option<usize> {
        if self.patches(collection).len() != version {
            return None;
        }
        let version = version + 1;
        self.append(collection, numbered(patch, version).ok()?);
        Some(version)
    }
}

/// The server writes the version into a patch it takes.
fn numbered(patch: &[u8], version: usize) -> Result<Vec<u8>> {
    let mut patch = SyncdPatch::decode_from_slice(patch)?;
    patch.version = MessageField::some(SyncdVersion { version: u64::try_from(version).ok() });
    Ok(patch.encode_to_vec())
}

/// Answers a sync iq.
pub fn answer(account: &Account, device: &Device, iq: &Node) -> Node {
    // One unit: a patch that is kept is one the others hear of.
    account.shelf.unit(|| {
        let mut changed = Vec::new();
        let collections: Vec<Node> = {
            let mut state = account.app_state.lock().unwrap_or_else(PoisonError::into_inner);
            let requested = iq.get_optional_child("sync").and_then(Node::children).unwrap_or_default();
            requested
                .iter()
                .map(|collection| answer_collection(&mut state, collection, &mut changed))
                .collect()
        };
        for (name, version) in changed {
            tell_others(account, device.id, &name, version);
        }
        stanza::result(iq, [NodeBuilder::new("sync").children(collections).build()])
    })
}

fn answer_collection(state: &mut AppState, request: &Node, changed: &mut Vec<(String, usize)>) -> Node {
    let name = stanza::attr(request, "name");
    let known: usize = stanza::attr(request, "version").parse().unwrap_or(0);
    let answer = NodeBuilder::new("collection").attr("name", name.as_str());
    if let Some(patch) = request.get_optional_child("patch") {
        return match state.store(&name, known, stanza::content(patch)) {
            Some(version) => {
                changed.push((name, version));
                answer.attr("version", version).build()
            }
            None => answer
                .attr("type", "error")
                .children([NodeBuilder::new("error").attr("code", 409u16).attr("text", "conflict").build()])
                .build(),
        };
    }
    let patches = state.patches(&name);
    let answer = answer.attr("version", patches.len());
    let missing: Vec<Node> =
        patches.iter().skip(known).map(|patch| stanza::with_bytes("patch", patch.clone())).collect();
    if missing.is_empty() {
        return answer.build();
    }
    answer.children([NodeBuilder::new("patches").children(missing).build()]).build()
}

/// Tells the other companions that a collection has changed; 0 is the phone.
pub fn tell_others(account: &Account, writer: u16, name: &str, version: usize) {
    for device in account.devices().iter().filter(|device| device.id != writer) {
        let collection = NodeBuilder::new("collection").attr("name", name).attr("version", version).build();
        let notification = NodeBuilder::new("notification")
            .attr("from", account.pn())
            .attr("type", "server_sync")
            .attr("id", account.stanza_id())
            .attr("t", clock::unix_seconds())
            .children([collection]);
        device.mailbox.push(notification.build());
    }
}
