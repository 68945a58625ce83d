//! What the Signal part of a keystore promises.

use std::sync::Arc;

use bytes::Bytes;
use whatsapp_rust::wacore::store::traits::Backend;

use super::{AWKWARD, large};

const ANN: &str = "15550000001@s.whatsapp.net";
const BOB: &str = "15550000002:7@s.whatsapp.net";

pub async fn an_identity_is_stored_replaced_and_deleted<B: Backend>(store: &B) {
    assert_eq!(store.load_identity(ANN).await.unwrap(), None);
    store.put_identity(ANN, [0; 32]).await.unwrap();
    store.put_identity(BOB, [255; 32]).await.unwrap();
    assert_eq!(store.load_identity(ANN).await.unwrap(), Some([0; 32]));
    store.put_identity(ANN, [7; 32]).await.unwrap();
    assert_eq!(store.load_identity(ANN).await.unwrap(), Some([7; 32]));
    store.delete_identity(ANN).await.unwrap();
    store.delete_identity(ANN).await.unwrap();
    assert_eq!(store.load_identity(ANN).await.unwrap(), None);
    assert_eq!(store.load_identity(BOB).await.unwrap(), Some([255; 32]));
}

pub async fn identities_are_stored_in_batches_of_any_size<B: Backend>(store: &B) {
    store.put_identities_batch(&[]).await.unwrap();
    store.put_identity("150@lid", [1; 32]).await.unwrap();
    let many: Vec<(Arc<str>, [u8; 32])> =
        (0..255_u8).map(|n| (Arc::from(format!("{n}@lid")), [n; 32])).collect();
    store.put_identities_batch(&many).await.unwrap();
    for (address, key) in &many {
        assert_eq!(store.load_identity(address).await.unwrap(), Some(*key));
    }
}

pub async fn a_session_is_stored_replaced_and_deleted<B: Backend>(store: &B) {
    assert_eq!(store.get_session(ANN).await.unwrap(), None);
    assert!(!store.has_session(ANN).await.unwrap());
    store.put_session(ANN, AWKWARD).await.unwrap();
    store.put_session(BOB, b"").await.unwrap();
    assert_eq!(store.get_session(ANN).await.unwrap(), Some(Bytes::from_static(AWKWARD)));
    assert_eq!(store.get_session(BOB).await.unwrap(), Some(Bytes::new()));
    assert!(store.has_session(BOB).await.unwrap());
    let large = large(1);
    store.put_session(ANN, &large).await.unwrap();
    assert_eq!(store.get_session(ANN).await.unwrap().unwrap(), large);
    store.delete_session(ANN).await.unwrap();
    store.delete_session(ANN).await.unwrap();
    assert!(!store.has_session(ANN).await.unwrap());
    assert_eq!(store.get_session(ANN).await.unwrap(), None);
}

pub async fn sessions_are_stored_in_batches_of_any_size<B: Backend>(store: &B) {
    store.put_sessions_batch(&[]).await.unwrap();
    let mut many: Vec<(Arc<str>, Bytes)> =
        (0..403).map(|n| (Arc::from(format!("{n}:1@lid")), Bytes::from(format!("session {n}")))).collect();
    many.push((Arc::from("5:1@lid"), Bytes::from_static(b"the later of two")));
    store.put_session("7:1@lid", b"older").await.unwrap();
    store.put_sessions_batch(&many).await.unwrap();
    assert_eq!(store.get_session("5:1@lid").await.unwrap().unwrap(), "the later of two");
    for (address, session) in many.iter().filter(|(address, _)| &**address != "5:1@lid") {
        assert_eq!(store.get_session(address).await.unwrap().as_ref(), Some(session));
    }
}

pub async fn signal_state_is_found_for_a_user_on_any_device<B: Backend>(store: &B) {
    assert!(!store.has_signal_state_for_user("1555").await.unwrap());
    store.put_session("15550@s.whatsapp.net", b"a longer number").await.unwrap();
    store.put_session("155@s.whatsapp.net", b"a shorter number").await.unwrap();
    store.put_session("1555", b"not an address").await.unwrap();
    store.put_session("1555_9@s.whatsapp.net", b"another agent").await.unwrap();
    store.put_session("1555A", b"right behind the range").await.unwrap();
    store.put_session("1555;", b"right behind the other").await.unwrap();
    assert!(!store.has_signal_state_for_user("1555").await.unwrap());
    assert!(!store.has_signal_state_for_user("1%").await.unwrap());
    store.put_session("1555:12@s.whatsapp.net", b"a companion").await.unwrap();
    assert!(store.has_signal_state_for_user("1555").await.unwrap());
    store.delete_session("1555:12@s.whatsapp.net").await.unwrap();
    store.put_session("1555@lid", b"the phone").await.unwrap();
    assert!(store.has_signal_state_for_user("1555").await.unwrap());
    store.delete_session("1555@lid").await.unwrap();
    assert!(!store.has_signal_state_for_user("1555").await.unwrap());
    store.put_identity("1555:99@lid", [1; 32]).await.unwrap();
    assert!(store.has_signal_state_for_user("1555").await.unwrap());
    store.delete_identity("1555:99@lid").await.unwrap();
    store.put_identity("1555@s.whatsapp.net", [1; 32]).await.unwrap();
    assert!(store.has_signal_state_for_user("1555").await.unwrap());
    assert!(!store.has_signal_state_for_user("15").await.unwrap());
    // Longer than the 50 bytes a LIKE pattern may have in a Durable Object.
    let long = "9".repeat(60);
    store.put_session(&format!("{long}@lid"), b"x").await.unwrap();
    assert!(store.has_signal_state_for_user(&long).await.unwrap());
}

pub async fn a_prekey_is_stored_replaced_and_removed<B: Backend>(store: &B) {
    assert_eq!(store.get_max_prekey_id().await.unwrap(), 0);
    for id in [0, 1, u32::MAX] {
        assert_eq!(store.load_prekey(id).await.unwrap(), None);
        store.store_prekey(id, AWKWARD, false).await.unwrap();
        assert_eq!(store.load_prekey(id).await.unwrap(), Some(Bytes::from_static(AWKWARD)));
        store.store_prekey(id, b"again", true).await.unwrap();
        assert_eq!(store.load_prekey(id).await.unwrap().unwrap(), "again");
        assert_eq!(store.get_max_prekey_id().await.unwrap(), id);
    }
    store.remove_prekey(u32::MAX).await.unwrap();
    store.remove_prekey(u32::MAX).await.unwrap();
    assert_eq!(store.load_prekey(u32::MAX).await.unwrap(), None);
    assert_eq!(store.get_max_prekey_id().await.unwrap(), 1);
}

pub async fn prekeys_are_stored_and_loaded_in_batches_of_any_size<B: Backend>(store: &B) {
    store.store_prekeys_batch(&[], true).await.unwrap();
    assert_eq!(store.load_prekeys_batch(&[]).await.unwrap(), []);
    store.store_prekey(40, b"older", true).await.unwrap();
    let many: Vec<(u32, Bytes)> = (1..=812).map(|id| (id, Bytes::from(format!("prekey {id}")))).collect();
    store.store_prekeys_batch(&many, false).await.unwrap();
    // With ids that are not there.
    let ids: Vec<u32> = (0..=900).chain([u32::MAX]).collect();
    let mut found = store.load_prekeys_batch(&ids).await.unwrap();
    found.sort_unstable_by_key(|(id, _)| *id);
    assert_eq!(found, many);
    assert_eq!(store.get_max_prekey_id().await.unwrap(), 812);
}

pub async fn marking_a_prekey_as_uploaded_never_brings_it_back<B: Backend>(store: &B) {
    store.mark_prekeys_uploaded(&[]).await.unwrap();
    let many: Vec<(u32, Bytes)> = (1..=250).map(|id| (id, Bytes::from_static(b"prekey"))).collect();
    store.store_prekeys_batch(&many, false).await.unwrap();
    store.remove_prekey(7).await.unwrap();
    let ids: Vec<u32> = (0..=300).chain([u32::MAX]).collect();
    store.mark_prekeys_uploaded(&ids).await.unwrap();
    assert_eq!(store.load_prekey(7).await.unwrap(), None);
    assert_eq!(store.load_prekey(u32::MAX).await.unwrap(), None);
    assert_eq!(store.load_prekey(8).await.unwrap().unwrap(), "prekey");
    assert_eq!(store.load_prekeys_batch(&ids).await.unwrap().len(), 249);
}

pub async fn signed_prekeys_are_stored_listed_and_removed<B: Backend>(store: &B) {
    assert_eq!(store.load_all_signed_prekeys().await.unwrap(), []);
    assert_eq!(store.load_signed_prekey(1).await.unwrap(), None);
    store.store_signed_prekey(0, AWKWARD).await.unwrap();
    store.store_signed_prekey(u32::MAX, b"last").await.unwrap();
    store.store_signed_prekey(3, b"three").await.unwrap();
    store.store_signed_prekey(3, b"three again").await.unwrap();
    assert_eq!(store.load_signed_prekey(0).await.unwrap().unwrap(), AWKWARD);
    assert_eq!(store.load_signed_prekey(3).await.unwrap().unwrap(), b"three again");
    store.remove_signed_prekey(0).await.unwrap();
    store.remove_signed_prekey(0).await.unwrap();
    let mut all = store.load_all_signed_prekeys().await.unwrap();
    all.sort_unstable();
    assert_eq!(all, [(3, b"three again".to_vec()), (u32::MAX, b"last".to_vec())]);
}

pub async fn a_sender_key_is_stored_replaced_and_deleted<B: Backend>(store: &B) {
    let address = "120363000000000001@g.us::15550000001@s.whatsapp.net:0";
    assert_eq!(store.get_sender_key(address).await.unwrap(), None);
    store.put_sender_key(address, AWKWARD).await.unwrap();
    assert_eq!(store.get_sender_key(address).await.unwrap().unwrap(), AWKWARD);
    let large = large(2);
    store.put_sender_key(address, &large).await.unwrap();
    assert_eq!(store.get_sender_key(address).await.unwrap().unwrap(), large);
    store.delete_sender_key(address).await.unwrap();
    store.delete_sender_key(address).await.unwrap();
    assert_eq!(store.get_sender_key(address).await.unwrap(), None);
}

pub async fn sender_keys_are_stored_in_batches_of_any_size<B: Backend>(store: &B) {
    store.put_sender_keys_batch(&[]).await.unwrap();
    store.put_sender_key("key 9", b"older").await.unwrap();
    let many: Vec<(Arc<str>, Bytes)> =
        (0..101).map(|n| (Arc::from(format!("key {n}")), Bytes::from(format!("record {n}")))).collect();
    store.put_sender_keys_batch(&many).await.unwrap();
    for (address, record) in &many {
        assert_eq!(store.get_sender_key(address).await.unwrap().unwrap(), *record);
    }
}
