//! What the app state part of a keystore promises.

use std::collections::HashMap;

use whatsapp_rust::wacore::appstate::hash::HashState;
use whatsapp_rust::wacore::appstate::processor::AppStateMutationMAC;
use whatsapp_rust::wacore::store::traits::{AppStateSyncKey, Backend};

use super::{AWKWARD, json};

pub fn sync_key(timestamp: i64) -> AppStateSyncKey {
    AppStateSyncKey {
        key_data: AWKWARD.to_vec(),
        fingerprint: vec![0, timestamp.to_le_bytes()[0]],
        timestamp,
    }
}

fn index_mac(n: u16) -> [u8; 32] {
    let mut mac = [0; 32];
    mac[..2].copy_from_slice(&n.to_be_bytes());
    mac
}

fn macs(numbers: std::ops::Range<u16>, value: u8) -> Vec<AppStateMutationMAC> {
    numbers
        .map(|n| AppStateMutationMAC { index_mac: index_mac(n).to_vec(), value_mac: vec![value; 32] })
        .collect()
}

pub async fn a_sync_key_is_stored_and_replaced<B: Backend>(store: &B) {
    assert!(store.get_sync_key(b"").await.unwrap().is_none());
    for id in [b"".as_slice(), &[0, 0, 0, 1], &[0xff, 0xfe]] {
        store.set_sync_key(id, sync_key(5)).await.unwrap();
        assert_eq!(json(&store.get_sync_key(id).await.unwrap()), json(&Some(sync_key(5))));
        store.set_sync_key(id, sync_key(6)).await.unwrap();
        assert_eq!(json(&store.get_sync_key(id).await.unwrap()), json(&Some(sync_key(6))));
    }
    let empty = AppStateSyncKey::default();
    store.set_sync_key(&[9], empty.clone()).await.unwrap();
    assert_eq!(json(&store.get_sync_key(&[9]).await.unwrap()), json(&Some(empty)));
}

pub async fn the_latest_sync_key_is_the_one_stored_last<B: Backend>(store: &B) {
    assert_eq!(store.get_latest_sync_key_id().await.unwrap(), None);
    for id in [[3], [1], [2]] {
        store.set_sync_key(&id, sync_key(0)).await.unwrap();
        assert_eq!(store.get_latest_sync_key_id().await.unwrap(), Some(id.to_vec()));
    }
    store.set_sync_key(&[3], sync_key(0)).await.unwrap();
    assert_eq!(store.get_latest_sync_key_id().await.unwrap(), Some(vec![3]));
}

pub async fn a_collections_version_starts_at_nothing_and_is_replaced<B: Backend>(store: &B) {
    assert_eq!(json(&store.get_version("regular").await.unwrap()), json(&HashState::default()));
    let mut state = HashState { version: u64::MAX, hash: [0xff; 128], ..HashState::default() };
    state.index_value_map.insert("index".to_owned(), AWKWARD.to_vec());
    state.mac_mismatch_fatal = true;
    store.set_version("regular", state.clone()).await.unwrap();
    assert_eq!(json(&store.get_version("regular").await.unwrap()), json(&state));
    assert_eq!(json(&store.get_version("critical_block").await.unwrap()), json(&HashState::default()));
    let next = HashState { version: 2, ..HashState::default() };
    store.set_version("regular", next.clone()).await.unwrap();
    assert_eq!(json(&store.get_version("regular").await.unwrap()), json(&next));
}

pub async fn mutation_macs_are_stored_and_found_in_batches_of_any_size<B: Backend>(store: &B) {
    store.put_mutation_macs("regular", 1, &[]).await.unwrap();
    assert_eq!(store.get_mutation_macs("regular", &[]).await.unwrap(), HashMap::new());
    store.put_mutation_macs("regular", 1, &macs(0..250, 1)).await.unwrap();
    store.put_mutation_macs("regular", u64::MAX, &macs(100..350, 2)).await.unwrap();
    store.put_mutation_macs("regular_low", 1, &macs(0..1, 3)).await.unwrap();
    let all: Vec<[u8; 32]> = (0..500).map(index_mac).collect();
    let found = store.get_mutation_macs("regular", &all).await.unwrap();
    assert_eq!(found.len(), 350);
    assert_eq!(found[&index_mac(99)], [1; 32]);
    assert_eq!(found[&index_mac(100)], [2; 32]);
    assert_eq!(store.get_mutation_mac("regular", &index_mac(349)).await.unwrap().unwrap(), [2; 32]);
    assert_eq!(store.get_mutation_mac("regular", &index_mac(350)).await.unwrap(), None);
    assert_eq!(store.get_mutation_mac("regular_low", &index_mac(0)).await.unwrap().unwrap(), [3; 32]);
    let odd = AppStateMutationMAC { index_mac: vec![0], value_mac: vec![] };
    store.put_mutation_macs("regular", 1, &[odd]).await.unwrap();
    assert_eq!(store.get_mutation_mac("regular", &[0]).await.unwrap(), Some(vec![]));
}

pub async fn mutation_macs_are_deleted_by_index_or_by_collection<B: Backend>(store: &B) {
    store.put_mutation_macs("regular", 1, &macs(0..300, 1)).await.unwrap();
    store.put_mutation_macs("regular_low", 1, &macs(0..300, 1)).await.unwrap();
    store.delete_mutation_macs("regular", &[]).await.unwrap();
    let gone: Vec<Vec<u8>> = (50..260).map(|n| index_mac(n).to_vec()).chain([vec![9, 9]]).collect();
    store.delete_mutation_macs("regular", &gone).await.unwrap();
    let all: Vec<[u8; 32]> = (0..300).map(index_mac).collect();
    assert_eq!(store.get_mutation_macs("regular", &all).await.unwrap().len(), 90);
    assert_eq!(store.get_mutation_mac("regular", &index_mac(50)).await.unwrap(), None);
    assert!(store.get_mutation_mac("regular", &index_mac(49)).await.unwrap().is_some());
    store.clear_mutation_macs("regular").await.unwrap();
    store.clear_mutation_macs("regular").await.unwrap();
    assert_eq!(store.get_mutation_macs("regular", &all).await.unwrap(), HashMap::new());
    assert_eq!(store.get_mutation_macs("regular_low", &all).await.unwrap().len(), 300);
}

/// Ours alone: the reference takes the order of storing for the age.
pub async fn an_older_sync_key_shared_again_is_not_the_latest<B: Backend>(store: &B) {
    store.set_sync_key(&[1], sync_key(1_000)).await.unwrap();
    store.set_sync_key(&[2], sync_key(2_000)).await.unwrap();
    store.set_sync_key(&[1], sync_key(1_000)).await.unwrap();
    assert_eq!(store.get_latest_sync_key_id().await.unwrap(), Some(vec![2]));
}
