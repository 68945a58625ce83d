//! What the protocol part of a keystore promises.

use whatsapp_rust::wacore::store::traits::{
    Backend, DeviceInfo, DeviceListRecord, LidPnMappingEntry, PendingInboundKey, PendingInboundRow,
    TcTokenEntry,
};

use super::{AWKWARD, json, large};
use crate::clock;

const GROUP: &str = "120363000000000001@g.us";
const OTHER: &str = "120363000000000002@g.us";
const ANN: &str = "100000000000001@lid";

async fn devices<B: Backend>(store: &B, group: &str) -> Vec<(String, bool)> {
    let mut devices = store.get_sender_key_devices(group).await.unwrap();
    devices.sort_unstable();
    devices
}

pub async fn sender_key_devices_are_set_per_group<B: Backend>(store: &B) {
    assert_eq!(devices(store, GROUP).await, []);
    store.set_sender_key_status(GROUP, &[]).await.unwrap();
    store.set_sender_key_status(GROUP, &[("a", true), ("b", false)]).await.unwrap();
    store.set_sender_key_status(OTHER, &[("a", false)]).await.unwrap();
    assert_eq!(devices(store, GROUP).await, [("a".to_owned(), true), ("b".to_owned(), false)]);
    store
        .set_sender_key_status(GROUP, &[("a", false), ("c", true), ("c", false), ("b", true)])
        .await
        .unwrap();
    let expected = [("a", false), ("b", true), ("c", false)].map(|(device, has)| (device.to_owned(), has));
    assert_eq!(devices(store, GROUP).await, expected);
    assert_eq!(devices(store, OTHER).await, [("a".to_owned(), false)]);
}

pub async fn sender_key_devices_are_set_and_deleted_in_batches_of_any_size<B: Backend>(store: &B) {
    let names: Vec<String> = (0..1_050).map(|n| format!("{n}:{n}@lid")).collect();
    let entries: Vec<(&str, bool)> =
        names.iter().zip([true, false].into_iter().cycle()).map(|(n, has)| (n.as_str(), has)).collect();
    store.set_sender_key_status(GROUP, &entries).await.unwrap();
    store.set_sender_key_status(OTHER, &entries[..10]).await.unwrap();
    let mut expected: Vec<(String, bool)> = entries.iter().map(|(n, has)| ((*n).to_owned(), *has)).collect();
    expected.sort_unstable();
    assert_eq!(devices(store, GROUP).await, expected);
    store.delete_sender_key_device_rows(&[]).await.unwrap();
    let gone: Vec<&str> = names
        .iter()
        .map(String::as_str)
        .filter(|n| n.starts_with(['1', '2', '3']))
        .chain(["no one"])
        .collect();
    assert!(gone.len() > 200);
    store.delete_sender_key_device_rows(&gone).await.unwrap();
    expected.retain(|(name, _)| !gone.contains(&name.as_str()));
    assert_eq!(devices(store, GROUP).await, expected);
    assert_eq!(devices(store, OTHER).await.len(), 7);
}

pub async fn sender_key_devices_are_cleared_per_group_or_everywhere<B: Backend>(store: &B) {
    store.clear_sender_key_devices(GROUP).await.unwrap();
    for group in [GROUP, OTHER, "third"] {
        store.set_sender_key_status(group, &[("a", true)]).await.unwrap();
    }
    store.clear_sender_key_devices(GROUP).await.unwrap();
    assert_eq!(devices(store, GROUP).await, []);
    assert_eq!(devices(store, OTHER).await.len(), 1);
    store.clear_all_sender_key_devices().await.unwrap();
    assert_eq!(devices(store, OTHER).await, []);
    assert_eq!(devices(store, "third").await, []);
}

pub fn mapping(lid: &str, phone_number: &str, at: i64) -> LidPnMappingEntry {
    LidPnMappingEntry {
        lid: lid.to_owned(),
        phone_number: phone_number.to_owned(),
        created_at: at - 1,
        updated_at: at,
        learning_source: format!("source {at}"),
    }
}

async fn lid_of<B: Backend>(store: &B, phone: &str) -> Option<String> {
    store.get_pn_mapping(phone).await.unwrap().map(|entry| entry.lid)
}

pub async fn a_lid_mapping_is_found_from_both_sides<B: Backend>(store: &B) {
    assert!(store.get_lid_mapping("l1").await.unwrap().is_none());
    assert!(store.get_pn_mapping("p1").await.unwrap().is_none());
    store.put_lid_mapping(&mapping("l1", "p1", 10)).await.unwrap();
    store.put_lid_mapping(&mapping("l2", "p2", 10)).await.unwrap();
    store.put_lid_mapping(&mapping("l1", "p1", 20)).await.unwrap();
    assert_eq!(json(&store.get_lid_mapping("l1").await.unwrap()), json(&Some(mapping("l1", "p1", 20))));
    assert_eq!(json(&store.get_pn_mapping("p1").await.unwrap()), json(&Some(mapping("l1", "p1", 20))));
    assert!(store.get_lid_mapping("p1").await.unwrap().is_none());
    assert!(store.get_pn_mapping("l1").await.unwrap().is_none());
    assert_eq!(store.get_all_lid_mappings().await.unwrap().len(), 2);
}

pub async fn lid_mappings_are_stored_in_batches_of_any_size<B: Backend>(store: &B) {
    store.put_lid_mappings(&[]).await.unwrap();
    assert!(store.get_all_lid_mappings().await.unwrap().is_empty());
    let mut many: Vec<LidPnMappingEntry> =
        (0..250).map(|n| mapping(&format!("l{n:03}"), &format!("p{n}"), n)).collect();
    many.push(mapping("l005", "p5", 900));
    store.put_lid_mapping(&mapping("l100", "p100", 1)).await.unwrap();
    store.put_lid_mappings(&many).await.unwrap();
    many.swap_remove(5);
    many.sort_unstable_by(|a, b| a.lid.cmp(&b.lid));
    let mut all = store.get_all_lid_mappings().await.unwrap();
    all.sort_unstable_by(|a, b| a.lid.cmp(&b.lid));
    assert_eq!(json(&all), json(&many));
    assert_eq!(lid_of(store, "p249").await.unwrap(), "l249");
}

pub async fn a_lid_that_moves_to_another_number_leaves_the_first<B: Backend>(store: &B) {
    store.put_lid_mapping(&mapping("l1", "p1", 10)).await.unwrap();
    store.put_lid_mapping(&mapping("l1", "p2", 10)).await.unwrap();
    assert_eq!(lid_of(store, "p1").await, None);
    assert_eq!(lid_of(store, "p2").await.unwrap(), "l1");
    // Two LIDs of one number, learned in the same second and later: the last one is the number's own.
    store.put_lid_mappings(&[mapping("l9", "p3", 10), mapping("l3", "p3", 10)]).await.unwrap();
    assert_eq!(lid_of(store, "p3").await.unwrap(), "l3");
    store.put_lid_mapping(&mapping("l9", "p3", 10)).await.unwrap();
    assert_eq!(lid_of(store, "p3").await.unwrap(), "l9");
    store.put_lid_mapping(&mapping("l4", "p3", 11)).await.unwrap();
    assert_eq!(lid_of(store, "p3").await.unwrap(), "l4");
}

pub async fn a_base_key_is_the_same_only_byte_for_byte<B: Backend>(store: &B) {
    assert!(!store.has_same_base_key("a", "m", AWKWARD).await.unwrap());
    store.save_base_key("a", "m", AWKWARD).await.unwrap();
    assert!(store.has_same_base_key("a", "m", AWKWARD).await.unwrap());
    assert!(!store.has_same_base_key("a", "m", &AWKWARD[..5]).await.unwrap());
    assert!(!store.has_same_base_key("a", "m", b"").await.unwrap());
    assert!(!store.has_same_base_key("a", "n", AWKWARD).await.unwrap());
    assert!(!store.has_same_base_key("b", "m", AWKWARD).await.unwrap());
    store.save_base_key("a", "m", b"next").await.unwrap();
    assert!(!store.has_same_base_key("a", "m", AWKWARD).await.unwrap());
    assert!(store.has_same_base_key("a", "m", b"next").await.unwrap());
    store.delete_base_key("a", "m").await.unwrap();
    store.delete_base_key("a", "m").await.unwrap();
    assert!(!store.has_same_base_key("a", "m", b"next").await.unwrap());
}

pub fn device_list(user: &str, timestamp: i64) -> DeviceListRecord {
    DeviceListRecord {
        user: user.to_owned(),
        devices: vec![DeviceInfo::new(0, None), DeviceInfo::new(u32::MAX, Some(u32::MAX)).with_hosting(true)],
        timestamp,
        phash: Some("2:\u{0}\"é".to_owned()),
        raw_id: Some(u32::MAX),
    }
}

pub async fn a_device_list_is_stored_replaced_and_deleted<B: Backend>(store: &B) {
    assert!(store.get_devices("ann").await.unwrap().is_none());
    let full = device_list("ann", i64::MAX);
    store.update_device_list(full.clone()).await.unwrap();
    assert_eq!(json(&store.get_devices("ann").await.unwrap()), json(&Some(full)));
    let empty =
        DeviceListRecord { devices: vec![], timestamp: 0, phash: None, raw_id: None, user: "ann".to_owned() };
    store.update_device_list(empty.clone()).await.unwrap();
    assert_eq!(json(&store.get_devices("ann").await.unwrap()), json(&Some(empty)));
    store.delete_devices("ann").await.unwrap();
    store.delete_devices("ann").await.unwrap();
    assert!(store.get_devices("ann").await.unwrap().is_none());
}

pub async fn device_lists_are_stored_in_batches_of_any_size<B: Backend>(store: &B) {
    store.update_device_lists(vec![]).await.unwrap();
    store.update_device_list(device_list("user 7", 1)).await.unwrap();
    let many: Vec<DeviceListRecord> = (0..1_024).map(|n| device_list(&format!("user {n}"), n)).collect();
    store
        .update_device_lists(many.iter().cloned().chain([device_list("user 3", 99)]).collect())
        .await
        .unwrap();
    for record in many.iter().filter(|record| record.timestamp != 3) {
        assert_eq!(json(&store.get_devices(&record.user).await.unwrap()), json(&Some(record)));
    }
    assert_eq!(store.get_devices("user 3").await.unwrap().unwrap().timestamp, 99);
}

pub async fn group_metadata_is_kept_as_given<B: Backend>(store: &B) {
    assert_eq!(store.get_group_metadata(GROUP).await.unwrap(), None);
    store.put_group_metadata(GROUP, AWKWARD).await.unwrap();
    assert_eq!(store.get_group_metadata(GROUP).await.unwrap().unwrap(), AWKWARD);
    let large = large(3);
    store.put_group_metadata(GROUP, &large).await.unwrap();
    assert_eq!(store.get_group_metadata(GROUP).await.unwrap().unwrap(), large);
    store.put_group_metadata(OTHER, b"").await.unwrap();
    store.delete_group_metadata(GROUP).await.unwrap();
    store.delete_group_metadata(GROUP).await.unwrap();
    assert_eq!(store.get_group_metadata(GROUP).await.unwrap(), None);
    assert_eq!(store.get_group_metadata(OTHER).await.unwrap(), Some(vec![]));
}

fn token(token: &[u8], token_timestamp: i64, sender_timestamp: Option<i64>) -> TcTokenEntry {
    TcTokenEntry { token: token.to_vec(), token_timestamp, sender_timestamp }
}

async fn token_is<B: Backend>(store: &B, jid: &str, bytes: &[u8], at: i64, sent: Option<i64>) {
    assert_eq!(json(&store.get_tc_token(jid).await.unwrap()), json(&Some(token(bytes, at, sent))));
}

pub async fn a_tc_token_is_stored_replaced_listed_and_deleted<B: Backend>(store: &B) {
    assert!(store.get_tc_token(ANN).await.unwrap().is_none());
    assert!(store.get_all_tc_token_jids().await.unwrap().is_empty());
    store.put_tc_token(ANN, &token(AWKWARD, 10, Some(5))).await.unwrap();
    token_is(store, ANN, AWKWARD, 10, Some(5)).await;
    store.put_tc_token(ANN, &token(b"", 0, None)).await.unwrap();
    token_is(store, ANN, b"", 0, None).await;
    store.put_tc_token("bob", &token(b"t", 1, None)).await.unwrap();
    let mut jids = store.get_all_tc_token_jids().await.unwrap();
    jids.sort_unstable();
    assert_eq!(jids, [ANN, "bob"]);
    store.delete_tc_token(ANN).await.unwrap();
    store.delete_tc_token(ANN).await.unwrap();
    assert_eq!(store.get_all_tc_token_jids().await.unwrap(), ["bob"]);
}

pub async fn touching_a_tc_token_only_moves_forward_and_keeps_the_token<B: Backend>(store: &B) {
    store.touch_tc_token_sender_timestamp(ANN, 50).await.unwrap();
    token_is(store, ANN, b"", 50, Some(50)).await;
    store.touch_tc_token_sender_timestamp(ANN, 40).await.unwrap();
    token_is(store, ANN, b"", 50, Some(50)).await;
    store.touch_tc_token_sender_timestamp(ANN, 60).await.unwrap();
    token_is(store, ANN, b"", 50, Some(60)).await;
    store.put_tc_token("bob", &token(AWKWARD, 7, None)).await.unwrap();
    store.touch_tc_token_sender_timestamp("bob", 3).await.unwrap();
    token_is(store, "bob", AWKWARD, 7, Some(3)).await;
}

pub async fn a_received_tc_token_yields_to_none_but_an_older_one<B: Backend>(store: &B) {
    store.store_received_tc_token("new", b"t", 5).await.unwrap();
    token_is(store, "new", b"t", 5, None).await;
    // A placeholder gives way even to an older token.
    store.touch_tc_token_sender_timestamp(ANN, 100).await.unwrap();
    store.store_received_tc_token(ANN, b"first", 10).await.unwrap();
    token_is(store, ANN, b"first", 10, Some(100)).await;
    store.store_received_tc_token(ANN, b"stale", 9).await.unwrap();
    token_is(store, ANN, b"first", 10, Some(100)).await;
    store.store_received_tc_token(ANN, b"same second", 10).await.unwrap();
    token_is(store, ANN, b"same second", 10, Some(100)).await;
    store.store_received_tc_token(ANN, b"", 11).await.unwrap();
    token_is(store, ANN, b"", 11, Some(100)).await;
}

pub async fn tc_tokens_expire_only_when_both_halves_are_dead<B: Backend>(store: &B) {
    for (jid, bytes, at, sent) in [
        ("both dead", b"t".as_slice(), 99, Some(49)),
        ("dead, never sent", b"t", 99, None),
        ("no token, sent long ago", b"", 1_000, Some(49)),
        ("nothing at all", b"", 1_000, None),
        ("token lives", b"t", 100, Some(49)),
        ("sent lately", b"t", 99, Some(50)),
        ("no token, sent lately", b"", 0, Some(50)),
        ("token lives, never sent", b"t", 100, None),
    ] {
        store.put_tc_token(jid, &token(bytes, at, sent)).await.unwrap();
    }
    assert_eq!(store.delete_expired_tc_tokens(100, 50).await.unwrap(), 4);
    let mut left = store.get_all_tc_token_jids().await.unwrap();
    left.sort_unstable();
    assert_eq!(left, ["no token, sent lately", "sent lately", "token lives", "token lives, never sent"]);
    assert_eq!(store.delete_expired_tc_tokens(100, 50).await.unwrap(), 0);
    assert_eq!(store.delete_expired_tc_tokens(i64::MAX, i64::MAX).await.unwrap(), 4);
}

pub async fn a_sent_message_is_taken_once<B: Backend>(store: &B) {
    assert_eq!(store.take_sent_message(ANN, "m").await.unwrap(), None);
    store.store_sent_message(ANN, "m", b"first").await.unwrap();
    store.store_sent_message(ANN, "m", AWKWARD).await.unwrap();
    store.store_sent_message(GROUP, "m", &large(4)).await.unwrap();
    assert_eq!(store.take_sent_message(ANN, "n").await.unwrap(), None);
    assert_eq!(store.take_sent_message(ANN, "m").await.unwrap().unwrap(), AWKWARD);
    assert_eq!(store.take_sent_message(ANN, "m").await.unwrap(), None);
    assert_eq!(store.take_sent_message(GROUP, "m").await.unwrap().unwrap(), large(4));
}

pub async fn sent_messages_expire_exactly_at_the_cutoff<B: Backend>(store: &B) {
    clock::set(1_000);
    store.store_sent_message(ANN, "old", b"1").await.unwrap();
    store.store_sent_message(ANN, "sent again", b"2").await.unwrap();
    clock::set(1_001);
    store.store_sent_message(ANN, "new", b"3").await.unwrap();
    store.store_sent_message(ANN, "sent again", b"4").await.unwrap();
    assert_eq!(store.delete_expired_sent_messages(1_000).await.unwrap(), 0);
    assert_eq!(store.delete_expired_sent_messages(1_001).await.unwrap(), 1);
    assert_eq!(store.take_sent_message(ANN, "old").await.unwrap(), None);
    assert_eq!(store.take_sent_message(ANN, "new").await.unwrap().unwrap(), b"3");
    assert_eq!(store.delete_expired_sent_messages(1_002).await.unwrap(), 1);
}

pub async fn a_pending_message_stays_until_it_is_deleted<B: Backend>(store: &B) {
    assert_eq!(store.get_pending_inbound("c", "s", "i").await.unwrap(), None);
    store.store_pending_inbound("c", "s", "i", b"first").await.unwrap();
    store.store_pending_inbound("c", "s", "i", AWKWARD).await.unwrap();
    for (chat, sender, id) in [("x", "s", "i"), ("c", "x", "i"), ("c", "s", "x")] {
        assert_eq!(store.get_pending_inbound(chat, sender, id).await.unwrap(), None);
        store.delete_pending_inbound(chat, sender, id).await.unwrap();
    }
    assert_eq!(store.get_pending_inbound("c", "s", "i").await.unwrap().unwrap(), AWKWARD);
    assert_eq!(store.get_pending_inbound("c", "s", "i").await.unwrap().unwrap(), AWKWARD);
    store.delete_pending_inbound("c", "s", "i").await.unwrap();
    assert_eq!(store.get_pending_inbound("c", "s", "i").await.unwrap(), None);
}

pub async fn pending_messages_are_stored_and_deleted_in_batches_of_any_size<B: Backend>(store: &B) {
    store.store_pending_inbound_batch(&[]).await.unwrap();
    store.delete_pending_inbound_batch(&[]).await.unwrap();
    store.store_pending_inbound("c", "s", "9", b"older").await.unwrap();
    let ids: Vec<String> = (0..400).map(|n| n.to_string()).collect();
    let rows: Vec<PendingInboundRow<'_>> = ids
        .iter()
        .map(|id| PendingInboundRow { chat: "c", sender: "s", id, message: id.as_bytes() })
        .collect();
    store.store_pending_inbound_batch(&rows).await.unwrap();
    let again = PendingInboundRow { chat: "c", sender: "t", id: "1", message: AWKWARD };
    store.store_pending_inbound_batch(&[again, again]).await.unwrap();
    for id in &ids {
        assert_eq!(store.get_pending_inbound("c", "s", id).await.unwrap().unwrap(), id.as_bytes());
    }
    let keys: Vec<PendingInboundKey<'_>> =
        ids.iter().skip(1).map(|id| PendingInboundKey { chat: "c", sender: "s", id }).collect();
    store.delete_pending_inbound_batch(&keys).await.unwrap();
    for id in &ids {
        assert_eq!(store.get_pending_inbound("c", "s", id).await.unwrap().is_some(), id == "0");
    }
    assert_eq!(store.get_pending_inbound("c", "t", "1").await.unwrap().unwrap(), AWKWARD);
}

pub async fn pending_messages_expire_exactly_at_the_cutoff<B: Backend>(store: &B) {
    clock::set(2_000);
    store.store_pending_inbound("c", "s", "old", b"1").await.unwrap();
    clock::set(2_001);
    store.store_pending_inbound("c", "s", "new", b"2").await.unwrap();
    assert_eq!(store.delete_expired_pending_inbound(2_000).await.unwrap(), 0);
    assert_eq!(store.delete_expired_pending_inbound(2_001).await.unwrap(), 1);
    assert_eq!(store.get_pending_inbound("c", "s", "old").await.unwrap(), None);
    assert!(store.get_pending_inbound("c", "s", "new").await.unwrap().is_some());
    assert_eq!(store.delete_expired_pending_inbound(2_002).await.unwrap(), 1);
}

/// Ours alone: the reference lets the last one stored win, whatever its time.
pub async fn a_stale_lid_mapping_does_not_win_by_being_stored_last<B: Backend>(store: &B) {
    store.put_lid_mapping(&mapping("fresh", "p", 100)).await.unwrap();
    store.put_lid_mapping(&mapping("stale", "p", 0)).await.unwrap();
    assert_eq!(lid_of(store, "p").await.unwrap(), "fresh");
    assert_eq!(store.get_all_lid_mappings().await.unwrap().len(), 2);
}

/// Ours alone: the reference forgets the number altogether, even when another LID had moved away.
pub async fn a_lid_that_moves_away_uncovers_the_one_before<B: Backend>(store: &B) {
    store.put_lid_mapping(&mapping("first", "p", 1)).await.unwrap();
    store.put_lid_mapping(&mapping("second", "p", 2)).await.unwrap();
    store.put_lid_mapping(&mapping("second", "q", 3)).await.unwrap();
    assert_eq!(lid_of(store, "p").await.unwrap(), "first");
    store.put_lid_mapping(&mapping("third", "p", 4)).await.unwrap();
    store.put_lid_mapping(&mapping("first", "q", 5)).await.unwrap();
    assert_eq!(lid_of(store, "p").await.unwrap(), "third");
}

/// Ours alone: a time beyond 2^53 is kept at the edge, where JavaScript can still carry it.
pub async fn nonsense_times_stay_readable<B: Backend>(store: &B) {
    const EDGE: i64 = 1 << 53;
    store.put_tc_token(ANN, &token(b"t", i64::MAX, Some(i64::MIN))).await.unwrap();
    token_is(store, ANN, b"t", EDGE, Some(-EDGE)).await;
    store.put_lid_mapping(&mapping("l", "p", i64::MAX)).await.unwrap();
    assert_eq!(store.get_lid_mapping("l").await.unwrap().unwrap().updated_at, EDGE);
    let key = super::app_sync::sync_key(i64::MAX);
    store.set_sync_key(b"k", key).await.unwrap();
    assert_eq!(store.get_sync_key(b"k").await.unwrap().unwrap().timestamp, EDGE);
    store.put_msg_secrets(vec![super::msg_secret::entry("m", 1, i64::MAX, i64::MAX)]).await.unwrap();
    assert_eq!(store.delete_expired_msg_secrets(EDGE - 1).await.unwrap(), 0);
    assert_eq!(store.delete_expired_msg_secrets(i64::MAX).await.unwrap(), 1);
}
