//! What opening, reopening and erasing a keystore promise, and what its statements cost.

use std::path::PathBuf;

use gateway_session::keystore::{self, Keystore, OpenError};
use gateway_sql::native::NativeSql;
use gateway_sql::{Sql, Value};
use whatsapp_rust::bytes::Bytes;
use whatsapp_rust::wacore::appstate::hash::HashState;
use whatsapp_rust::wacore::appstate::processor::AppStateMutationMAC;
use whatsapp_rust::wacore::store::traits::{
    AppSyncStore, Backend, DeviceStore, MsgSecretStore, PendingInboundKey, ProtocolStore, SignalStore,
};

use crate::clock;
use crate::contract::{app_sync, device, json, msg_secret, protocol};
use crate::like_workerd::LikeWorkerd;

/// A database file of one test.
struct File(PathBuf);

impl File {
    fn new(test: &str) -> Self {
        let path = std::env::temp_dir().join(format!("keystore-{}-{test}.sqlite", std::process::id()));
        drop(std::fs::remove_file(&path));
        Self(path)
    }

    fn open(&self) -> LikeWorkerd {
        LikeWorkerd::over(NativeSql::open(&self.0).unwrap())
    }
}

impl Drop for File {
    fn drop(&mut self) {
        drop(std::fs::remove_file(&self.0));
    }
}

fn open(sql: &LikeWorkerd) -> Keystore<LikeWorkerd> {
    crate::clock::install();
    Keystore::open(sql.clone()).unwrap()
}

/// Something in every table.
async fn fill<B: Backend>(store: &B) {
    store.save(&device::full()).await.unwrap();
    store.put_identity("a@lid", [1; 32]).await.unwrap();
    store.put_session("a@lid", b"session").await.unwrap();
    store.store_prekey(1, b"prekey", false).await.unwrap();
    store.store_signed_prekey(1, b"signed").await.unwrap();
    store.put_sender_key("g::a", b"sender key").await.unwrap();
    store.set_sync_key(b"k", app_sync::sync_key(1)).await.unwrap();
    store.set_version("regular", HashState { version: 4, ..HashState::default() }).await.unwrap();
    let mac = AppStateMutationMAC { index_mac: vec![1; 32], value_mac: vec![2; 32] };
    store.put_mutation_macs("regular", 4, &[mac]).await.unwrap();
    store.set_sender_key_status("g", &[("a", true)]).await.unwrap();
    store.put_lid_mapping(&protocol::mapping("l", "p", 1)).await.unwrap();
    store.save_base_key("a", "m", b"base").await.unwrap();
    store.update_device_list(protocol::device_list("u", 1)).await.unwrap();
    store.put_group_metadata("g", b"group").await.unwrap();
    store.store_received_tc_token("a@lid", b"token", 1).await.unwrap();
    store.store_sent_message("c", "m", b"sent").await.unwrap();
    store.store_pending_inbound("c", "s", "i", b"pending").await.unwrap();
    store.put_msg_secrets(vec![msg_secret::entry("m", 1, 0, 0)]).await.unwrap();
}

#[tokio::test]
async fn everything_is_there_after_reopening_the_file() {
    let file = File::new("reopening");
    fill(&open(&file.open())).await;
    let sql = file.open();
    let store = open(&sql);
    assert!(sql.rows().iter().all(|(_, rows)| *rows == 1), "{:?}", sql.rows());
    let expected = device::full();
    let loaded = store.load().await.unwrap().unwrap();
    assert_eq!(
        (loaded.pn, loaded.push_name, loaded.account),
        (expected.pn, expected.push_name, expected.account)
    );
    assert_eq!(store.load_identity("a@lid").await.unwrap(), Some([1; 32]));
    assert_eq!(store.get_session("a@lid").await.unwrap().unwrap(), "session");
    assert_eq!(store.load_prekey(1).await.unwrap().unwrap(), "prekey");
    assert_eq!(store.get_version("regular").await.unwrap().version, 4);
    assert_eq!(store.get_devices("u").await.unwrap().unwrap().timestamp, 1);
    assert_eq!(store.take_sent_message("c", "m").await.unwrap().unwrap(), b"sent");
}

#[tokio::test]
async fn opening_again_changes_nothing() {
    let sql = LikeWorkerd::new();
    fill(&open(&sql)).await;
    let before = (sql.schema("table"), sql.schema("index"), sql.rows(), sql.number("SELECT total_changes()"));
    sql.statements();
    open(&sql);
    assert_eq!(sql.statements(), 2, "an opening that has nothing to do is cheap");
    assert_eq!(
        (sql.schema("table"), sql.schema("index"), sql.rows(), sql.number("SELECT total_changes()")),
        before
    );
}

#[tokio::test]
async fn a_migration_that_breaks_off_anywhere_is_finished_by_the_next_opening() {
    let whole = LikeWorkerd::new();
    open(&whole);
    let statements = whole.statements();
    for reached in 0..statements {
        let sql = LikeWorkerd::new();
        sql.fail_after(reached);
        assert!(matches!(Keystore::open(sql.clone()), Err(OpenError::Sql(_))), "{reached}");
        sql.fail_after(usize::MAX);
        open(&sql);
        assert_eq!(
            (sql.schema("table"), sql.schema("index")),
            (whole.schema("table"), whole.schema("index"))
        );
        assert_eq!(sql.number("SELECT version FROM keystore_schema"), 1);
    }
}

#[tokio::test]
async fn a_migration_that_is_repeated_over_data_keeps_it() {
    let sql = LikeWorkerd::recorded("opening.a_migration_that_is_repeated_over_data_keeps_it");
    fill(&open(&sql)).await;
    sql.query("DELETE FROM keystore_schema", &[]).unwrap();
    let store = open(&sql);
    assert!(sql.rows().iter().all(|(_, rows)| *rows == 1));
    assert!(store.is_paired().unwrap());
}

#[tokio::test]
async fn a_newer_keystore_is_refused_and_left_alone() {
    let sql = LikeWorkerd::new();
    fill(&open(&sql)).await;
    sql.query("UPDATE keystore_schema SET version = 2", &[]).unwrap();
    let before = (sql.schema("table"), sql.rows(), sql.number("SELECT total_changes()"));
    let error = Keystore::open(sql.clone()).unwrap_err();
    assert_eq!(error, OpenError::Newer { found: 2, known: 1 });
    assert_eq!(error.to_string(), "the keystore is of version 2, this release knows up to 1");
    assert_eq!((sql.schema("table"), sql.rows(), sql.number("SELECT total_changes()")), before);
}

#[tokio::test]
async fn erasing_leaves_no_row_anywhere_and_the_keystore_usable() {
    let sql = LikeWorkerd::recorded("opening.erasing_leaves_no_row_anywhere_and_the_keystore_usable");
    let store = open(&sql);
    fill(&store).await;
    let tables = sql.rows();
    assert_eq!(tables.len(), 18);
    assert!(tables.iter().all(|(name, rows)| name.starts_with("key_") && *rows == 1), "{tables:?}");
    store.erase().unwrap();
    assert!(sql.rows().iter().all(|(_, rows)| *rows == 0), "{:?}", sql.rows());
    assert!(!store.is_paired().unwrap());
    assert!(!store.exists().await.unwrap());
    store.erase().unwrap();
    fill(&open(&sql)).await;
    assert!(store.is_paired().unwrap());
}

#[tokio::test]
async fn an_erase_that_breaks_off_still_says_paired_and_can_be_repeated() {
    let sql = LikeWorkerd::new();
    let store = open(&sql);
    fill(&store).await;
    sql.fail_after(17);
    store.erase().unwrap_err();
    sql.fail_after(usize::MAX);
    assert!(store.is_paired().unwrap());
    store.erase().unwrap();
    assert!(!store.is_paired().unwrap());
}

#[tokio::test]
async fn the_tables_refuse_what_is_not_of_their_kind() {
    let sql = LikeWorkerd::recorded("opening.the_tables_refuse_what_is_not_of_their_kind");
    fill(&open(&sql)).await;
    for statement in [
        "INSERT INTO key_device (id, record) VALUES (2, x'00')",
        "INSERT INTO key_session (address, record) VALUES ('b@lid', 'text')",
        "INSERT INTO key_session (address, record) VALUES (NULL, x'00')",
        "INSERT INTO key_session (address, record) VALUES (x'00', x'00')",
        "INSERT INTO key_prekey (id, record, uploaded) VALUES (2, x'00', 0.5)",
        "INSERT INTO key_prekey (id, record, uploaded) VALUES (2, x'00', NULL)",
        "INSERT INTO key_identity (address, key) VALUES ('a@lid', x'00')",
        "UPDATE key_message_secret SET expires_at = 'never'",
        "SELECT unknown FROM key_identity",
    ] {
        sql.query(statement, &[]).unwrap_err();
    }
    // A batch is stored whole or not at all.
    let batch = "INSERT INTO key_identity (address, key) VALUES (?, ?), (?, ?)";
    let bindings = ["b@lid".into(), b"key".as_slice().into(), "c@lid".into(), Value::Null];
    sql.query(batch, &bindings).unwrap_err();
    for (table, _) in sql.rows() {
        let rows = sql.query(&format!("SELECT * FROM {table}"), &[]).unwrap();
        assert_eq!(rows.len(), 1, "{table}");
    }
}

#[tokio::test]
async fn a_keystore_is_paired_once_its_device_has_a_number() {
    let sql = LikeWorkerd::new();
    let store = open(&sql);
    assert!(!store.is_paired().unwrap());
    store.create().await.unwrap();
    assert!(!store.is_paired().unwrap());
    store.save(&device::full()).await.unwrap();
    assert!(store.is_paired().unwrap());
}

#[tokio::test]
async fn a_device_that_cant_be_read_is_an_error_and_not_replaced() {
    let sql = LikeWorkerd::new();
    let store = open(&sql);
    let broken = br#"{"pn":null,"lid":"geheim"}"#;
    sql.query("INSERT INTO key_device (id, record) VALUES (1, ?)", &[broken.as_slice().into()]).unwrap();
    let error = store.load().await.err().unwrap();
    assert!(!format!("{error:?} {error}").contains("geheim"), "an error quotes nothing of what is stored");
    assert!(store.is_paired().is_err());
    assert!(store.exists().await.unwrap());
    store.create().await.unwrap();
    assert_eq!(sql.query("SELECT record FROM key_device", &[]).unwrap()[0].0, [Value::Blob(broken.to_vec())]);
}

/// What a device looks like in a database written before the library's later fields, and after them.
#[tokio::test]
async fn a_device_survives_fields_that_come_and_go() {
    let sql = LikeWorkerd::new();
    let store = open(&sql);
    let mut record = json(&device::full());
    let fields = record.as_object_mut().unwrap();
    fields.remove("lid_migrated").unwrap();
    fields.insert("a_field_of_tomorrow".to_owned(), true.into());
    let record = serde_json::to_vec(&record).unwrap();
    sql.query("INSERT INTO key_device (id, record) VALUES (1, ?)", &[record.into()]).unwrap();
    let device = store.load().await.unwrap().unwrap();
    assert!(!device.lid_migrated);
    assert_eq!(device.next_pre_key_id, u32::MAX);
}

#[tokio::test]
async fn the_uploaded_mark_is_kept_per_prekey() {
    let sql = LikeWorkerd::new();
    let store = open(&sql);
    let keys: Vec<(u32, Bytes)> = (1..=200).map(|id| (id, Bytes::from_static(b"k"))).collect();
    store.store_prekeys_batch(&keys, false).await.unwrap();
    store.store_prekey(201, b"k", true).await.unwrap();
    assert_eq!(sql.number("SELECT count(*) FROM key_prekey WHERE uploaded = 1"), 1);
    store.mark_prekeys_uploaded(&(2..=400).collect::<Vec<u32>>()).await.unwrap();
    assert_eq!(sql.number("SELECT count(*) FROM key_prekey WHERE uploaded = 1"), 200);
    assert_eq!(sql.number("SELECT count(*) FROM key_prekey"), 201);
    store.store_prekeys_batch(&keys[..3], false).await.unwrap();
    assert_eq!(sql.number("SELECT count(*) FROM key_prekey WHERE uploaded = 0"), 3);
}

#[tokio::test]
async fn a_batch_costs_few_statements_and_an_empty_one_none() {
    let sql = LikeWorkerd::new();
    let store = open(&sql);
    sql.statements();
    let keys: Vec<(u32, Bytes)> = (1..=812).map(|id| (id, Bytes::from_static(b"k"))).collect();
    store.store_prekeys_batch(&keys, false).await.unwrap();
    assert_eq!(sql.statements(), 17);
    let ids: Vec<u32> = (1..=812).collect();
    store.load_prekeys_batch(&ids).await.unwrap();
    assert_eq!(sql.statements(), 9);
    store.mark_prekeys_uploaded(&ids).await.unwrap();
    assert_eq!(sql.statements(), 9);
    store.store_prekeys_batch(&[], false).await.unwrap();
    store.load_prekeys_batch(&[]).await.unwrap();
    store.delete_pending_inbound_batch(&[]).await.unwrap();
    store.set_sender_key_status("g", &[]).await.unwrap();
    assert_eq!(sql.statements(), 0);
}

/// What a frame waits for must not read a whole table, nor what is swept every few minutes.
#[tokio::test]
async fn reads_and_frequent_sweeps_go_through_an_index() {
    let sql = LikeWorkerd::new();
    let store = open(&sql);
    fill(&store).await;
    sql.journal();
    store.load_identity("a").await.unwrap();
    store.get_session("a").await.unwrap();
    store.has_session("a").await.unwrap();
    store.has_signal_state_for_user("a").await.unwrap();
    store.load_prekeys_batch(&[1, 2]).await.unwrap();
    store.mark_prekeys_uploaded(&[1, 2]).await.unwrap();
    store.get_sender_key("a").await.unwrap();
    store.get_mutation_macs("regular", &[[1; 32], [2; 32]]).await.unwrap();
    store.delete_mutation_macs("regular", &[vec![1; 32], vec![2; 32]]).await.unwrap();
    store.get_sender_key_devices("g").await.unwrap();
    store.get_lid_mapping("l").await.unwrap();
    store.get_pn_mapping("p").await.unwrap();
    store.has_same_base_key("a", "m", b"base").await.unwrap();
    store.get_devices("u").await.unwrap();
    store.get_group_metadata("g").await.unwrap();
    store.get_tc_token("a").await.unwrap();
    store.take_sent_message("c", "m").await.unwrap();
    let (chat, sender, id) = ("c", "s", "i");
    store.delete_pending_inbound_batch(&[PendingInboundKey { chat, sender, id }; 2]).await.unwrap();
    store.get_msg_secret(chat, sender, id).await.unwrap();
    store.delete_expired_msg_secrets(5).await.unwrap();
    let run = sql.journal();
    assert_eq!(run.len(), 21, "one each, and one to count what was swept");
    for (statement, bindings) in run.iter().filter(|(statement, _)| statement.contains("key_")) {
        let plan = sql.query(&format!("EXPLAIN QUERY PLAN {statement}"), bindings).unwrap();
        let steps: Vec<String> = plan.iter().map(|row| row.text(3).unwrap()).collect();
        assert!(steps.iter().any(|step| step.contains("SEARCH key_")), "{statement}: {steps:?}");
        let slow = |step: &String| step.contains("SCAN key_") || step.contains("TEMP B-TREE");
        assert!(!steps.iter().any(slow), "{statement}: {steps:?}");
    }
}

#[tokio::test]
async fn printing_a_keystore_shows_its_name_only() {
    let sql = LikeWorkerd::new();
    assert_eq!(format!("{:?}", open(&sql)), "Keystore");
}

#[tokio::test]
async fn a_forgotten_collection_is_read_from_its_beginning_and_an_empty_one_was_read() {
    let keystore = open(&LikeWorkerd::over(NativeSql::in_memory().unwrap()));
    let state = HashState { version: 7, ..HashState::default() };
    keystore.set_version("critical_unblock_low", state.clone()).await.unwrap();
    keystore.set_version("regular", state).await.unwrap();
    keystore.forget_app_state("critical_unblock_low").unwrap();
    assert_eq!(keystore.has_app_state("critical_unblock_low"), Ok(false));
    assert_eq!(keystore.get_version("critical_unblock_low").await.unwrap().version, 0);
    assert_eq!(keystore.get_version("regular").await.unwrap().version, 7);
    keystore.set_version("critical_unblock_low", HashState::default()).await.unwrap();
    assert_eq!(keystore.has_app_state("critical_unblock_low"), Ok(true));
}

/// A phone that was off for a night asks in the morning for what it can't read.
#[tokio::test]
async fn what_was_sent_can_be_sent_again_for_two_weeks_and_the_oldest_of_too_many_can_not() {
    const NIGHT: i64 = 12 * 3_600;
    let kept = i64::try_from(keystore::retention().sent_message_ttl_secs).unwrap();
    let sql = LikeWorkerd::new();
    let store = open(&sql);
    clock::set(1_000_000_000);
    store.store_sent_message("c", "sent", b"1").await.unwrap();
    assert_eq!(store.delete_expired_sent_messages(1_000_000_000 + NIGHT - kept).await.unwrap(), 0);
    assert_eq!(store.delete_expired_sent_messages(1_000_000_000 + 13 * 24 * 3_600 - kept).await.unwrap(), 0);
    assert_eq!(store.take_sent_message("c", "sent").await.unwrap().unwrap(), b"1");
    store.store_sent_message("c", "sent", b"1").await.unwrap();
    assert_eq!(store.delete_expired_sent_messages(1_000_000_000 + 15 * 24 * 3_600 - kept).await.unwrap(), 1);
    // Fifty thousand of them, the newest.
    store.store_sent_message("c", "first", b"1").await.unwrap();
    store.store_sent_message("c", "second", b"1").await.unwrap();
    sql.query("UPDATE key_sent_message SET rowid = 50001 WHERE message_id = 'second'", &[]).unwrap();
    assert_eq!(store.delete_expired_sent_messages(0).await.unwrap(), 1);
    assert_eq!(store.take_sent_message("c", "first").await.unwrap(), None);
    assert!(store.take_sent_message("c", "second").await.unwrap().is_some());
}
