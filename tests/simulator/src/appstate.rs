//! App state: per collection an ordered list of encrypted patches. The server stores and numbers them without being
//! able to read them; the first one, which names the account, is written by the phone.

use std::collections::BTreeMap;
use std::sync::PoisonError;

use anyhow::Result;
use rand::rngs::StdRng;
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
use waproto::whatsapp::{KeyId, Message, SyncActionValue, SyncdPatch, SyncdVersion};

use crate::account::{Account, Device};
use crate::{clock, rng, stanza};

/// The collection that must be there before a client counts itself as connected.
const CRITICAL: &str = "critical_block";

/// The phone's key and the server's patches.
pub struct AppState {
    key_id: [u8; 6],
    key: [u8; 32],
    created: u64,
    collections: BTreeMap<String, Vec<Vec<u8>>>,
}

impl AppState {
    /// A fresh account's: one patch that sets the push name. Without it a client has no name, may not announce its
    /// presence, and waits ten seconds at every connect.
    pub fn new(rng: &mut StdRng, push_name: &str) -> Self {
        let (key, created) = (rng::bytes(rng), clock::unix_millis());
        // Ids are a device number and a counter; this is the first key of device 0.
        let key_id = [0, 0, 0, 0, 0, 1];
        let patch = push_name_patch(&key, key_id, rng::bytes(rng), created, push_name);
        let collections = BTreeMap::from([(CRITICAL.to_owned(), vec![patch])]);
        Self { key_id, key, created, collections }
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
        let patches = self.collections.entry(collection.to_owned()).or_default();
        if patches.len() != version {
            return None;
        }
        let version = version + 1;
        patches.push(numbered(patch, version).ok()?);
        Some(version)
    }
}

fn push_name_patch(key: &[u8; 32], key_id: [u8; 6], iv: [u8; 16], at: u64, push_name: &str) -> Vec<u8> {
    let keys = expand_app_state_keys(key);
    let value = SyncActionValue {
        timestamp: i64::try_from(at).ok(),
        push_name_setting: MessageField::some(PushNameSetting { name: Some(push_name.to_owned()) }),
        ..Default::default()
    };
    let index = br#"["setting_pushName"]"#;
    let (mutation, _) = encode_record(SyncdOperation::SET, index, &value, &keys, &key_id, &iv, 1);
    let mut state = HashState { version: 1, ..Default::default() };
    let records: Vec<_> = mutation.record.as_option().cloned().into_iter().collect();
    state.update_hash_from_records(&records);
    let mut patch = SyncdPatch {
        version: MessageField::some(SyncdVersion { version: Some(1) }),
        mutations: vec![mutation],
        snapshot_mac: Some(state.generate_snapshot_mac(CRITICAL, &keys.snapshot_mac)),
        key_id: MessageField::some(KeyId { id: Some(key_id.to_vec()) }),
        ..Default::default()
    };
    patch.patch_mac = Some(generate_patch_mac(&patch, CRITICAL, &keys.patch_mac, 1));
    patch.encode_to_vec()
}

/// The server writes the version into a patch it takes.
fn numbered(patch: &[u8], version: usize) -> Result<Vec<u8>> {
    let mut patch = SyncdPatch::decode_from_slice(patch)?;
    patch.version = MessageField::some(SyncdVersion { version: u64::try_from(version).ok() });
    Ok(patch.encode_to_vec())
}

/// Answers a sync iq.
pub fn answer(account: &Account, device: &Device, iq: &Node) -> Node {
    let mut changed = Vec::new();
    let collections: Vec<Node> = {
        let mut state = account.app_state.lock().unwrap_or_else(PoisonError::into_inner);
        let requested = iq.get_optional_child("sync").and_then(Node::children).unwrap_or_default();
        requested.iter().map(|collection| answer_collection(&mut state, collection, &mut changed)).collect()
    };
    for (name, version) in changed {
        tell_others(account, device.id, &name, version);
    }
    stanza::result(iq, [NodeBuilder::new("sync").children(collections).build()])
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
    let patches = state.collections.get(&name).map(Vec::as_slice).unwrap_or_default();
    let answer = answer.attr("version", patches.len());
    let missing: Vec<Node> =
        patches.iter().skip(known).map(|patch| stanza::with_bytes("patch", patch.clone())).collect();
    if missing.is_empty() {
        return answer.build();
    }
    answer.children([NodeBuilder::new("patches").children(missing).build()]).build()
}

fn tell_others(account: &Account, writer: u16, name: &str, version: usize) {
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
