//! The same random calls to the library's own backend and to ours, and the same answers from both.
//!
//! Left out is where we differ on purpose (the promises marked as ours in contract/): a number is given to one
//! LID only, times of app state keys rise, and no time is beyond 2^53.

use std::fmt::Debug;
use std::sync::Arc;

use gateway_session::keystore::Keystore;
use whatsapp_rust::bytes::Bytes;
use whatsapp_rust::wacore::appstate::hash::HashState;
use whatsapp_rust::wacore::appstate::processor::AppStateMutationMAC;
use whatsapp_rust::wacore::store::InMemoryBackend;
use whatsapp_rust::wacore::store::traits::{
    AppStateSyncKey, Backend, DeviceInfo, DeviceListRecord, LidPnMappingEntry, MsgSecretEntry,
    PendingInboundKey, PendingInboundRow, TcTokenEntry,
};

use crate::clock;
use crate::contract::json;
use crate::like_workerd::LikeWorkerd;

/// splitmix64: small, and the same everywhere.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) >> 33).unwrap() % end
    }

    fn flag(&mut self) -> bool {
        self.below(2) == 0
    }

    fn time(&mut self) -> i64 {
        i64::try_from(self.below(40)).unwrap()
    }

    fn id(&mut self) -> u32 {
        [0, 1, 2, 3, 5, 8, 1 << 24, u32::MAX][self.below(8)]
    }

    fn byte(&mut self) -> u8 {
        u8::try_from(self.below(256)).unwrap()
    }

    fn bytes(&mut self) -> Vec<u8> {
        (0..self.below(12)).map(|_| self.byte()).collect()
    }

    fn address(&mut self) -> &'static str {
        ["1@lid", "1:2@lid", "11@lid", "2@s.whatsapp.net", "2:3@s.whatsapp.net", "'%_", "é\u{0}", ""]
            [self.below(8)]
    }

    /// Mostly short, now and then one that takes several statements; with repeated items.
    fn batch<T>(&mut self, mut item: impl FnMut(&mut Self) -> T) -> Vec<T> {
        let length = if self.below(8) == 0 { 90 + self.below(40) } else { self.below(5) };
        (0..length).map(|_| item(self)).collect()
    }

    fn mac(&mut self) -> AppStateMutationMAC {
        AppStateMutationMAC { index_mac: vec![self.byte() % 16; 32], value_mac: self.bytes() }
    }

    fn device_list(&mut self) -> DeviceListRecord {
        let user = self.address().to_owned();
        let device = |r: &mut Self| DeviceInfo::new(r.id(), r.flag().then(|| r.id())).with_hosting(r.flag());
        let devices = self.batch(device);
        let (phash, raw_id) = (self.flag().then(|| "2:hash".to_owned()), self.flag().then(|| self.id()));
        DeviceListRecord { user, devices, timestamp: self.time(), phash, raw_id }
    }

    fn lid_mapping(&mut self) -> LidPnMappingEntry {
        let number = self.below(8);
        let (lid, phone_number) = (format!("l{number}"), format!("p{number}"));
        LidPnMappingEntry {
            lid,
            phone_number,
            created_at: self.time(),
            updated_at: self.time(),
            learning_source: String::new(),
        }
    }

    fn secret(&mut self) -> MsgSecretEntry {
        let (chat, sender, msg_id) = (self.address().into(), self.address().into(), self.address().into());
        let (secret, expires_at, message_ts) = ([self.byte(); 32], self.time(), self.time());
        MsgSecretEntry { chat, sender, msg_id, secret, expires_at, message_ts }
    }
}

/// One random call, and what there is to compare in its answer.
#[allow(clippy::too_many_lines, reason = "one arm for each method of the traits")]
async fn call<B: Backend>(store: &B, step: i64, r: &mut Random) -> String {
    fn show<T: Debug, E: Debug>(answer: Result<T, E>) -> String {
        format!("{:?}", answer.unwrap())
    }
    fn write<T: serde::Serialize, E: Debug>(answer: Result<T, E>) -> String {
        json(&answer.unwrap()).to_string()
    }
    fn sorted<T: Ord + Debug, E: Debug>(answer: Result<Vec<T>, E>) -> String {
        let mut all = answer.unwrap();
        all.sort_unstable();
        format!("{all:?}")
    }
    clock::set(step / 50);
    match r.below(66) {
        0 => show(store.put_identity(r.address(), [r.byte(); 32]).await),
        1 => show(store.put_identities_batch(&r.batch(|r| (Arc::from(r.address()), [r.byte(); 32]))).await),
        2 => show(store.load_identity(r.address()).await),
        3 => show(store.delete_identity(r.address()).await),
        4 => show(store.put_session(r.address(), &r.bytes()).await),
        5 => show(
            store.put_sessions_batch(&r.batch(|r| (Arc::from(r.address()), Bytes::from(r.bytes())))).await,
        ),
        6 => show(store.get_session(r.address()).await),
        7 => show(store.has_session(r.address()).await),
        8 => show(store.delete_session(r.address()).await),
        9 => show(store.has_signal_state_for_user(["1", "11", "2", "3", "'%_", ""][r.below(6)]).await),
        10 => show(store.store_prekey(r.id(), &r.bytes(), r.flag()).await),
        11 => show(store.store_prekeys_batch(&r.batch(|r| (r.id(), Bytes::from(r.bytes()))), r.flag()).await),
        12 => show(store.load_prekey(r.id()).await),
        13 => {
            // No repeated ids: the reference would answer them twice.
            let ids: Vec<u32> = [0, 1, 2, 3, 5, 8, u32::MAX].into_iter().filter(|_| r.flag()).collect();
            sorted(store.load_prekeys_batch(&ids).await)
        }
        14 => show(store.mark_prekeys_uploaded(&r.batch(Random::id)).await),
        15 => show(store.remove_prekey(r.id()).await),
        16 => show(store.get_max_prekey_id().await),
        17 => show(store.store_signed_prekey(r.id(), &r.bytes()).await),
        18 => show(store.load_signed_prekey(r.id()).await),
        19 => sorted(store.load_all_signed_prekeys().await),
        20 => show(store.remove_signed_prekey(r.id()).await),
        21 => show(store.put_sender_key(r.address(), &r.bytes()).await),
        22 => show(
            store.put_sender_keys_batch(&r.batch(|r| (Arc::from(r.address()), Bytes::from(r.bytes())))).await,
        ),
        23 => show(store.get_sender_key(r.address()).await),
        24 => show(store.delete_sender_key(r.address()).await),
        25 => {
            let key = AppStateSyncKey { key_data: r.bytes(), fingerprint: r.bytes(), timestamp: step };
            show(store.set_sync_key(&[r.byte() % 4], key).await)
        }
        26 => write(store.get_sync_key(&[r.byte() % 4]).await),
        27 => show(store.get_latest_sync_key_id().await),
        28 => {
            let state = HashState {
                version: u64::MAX - u64::from(r.byte()),
                hash: [r.byte(); 128],
                ..HashState::default()
            };
            show(store.set_version(r.address(), state).await)
        }
        29 => write(store.get_version(r.address()).await),
        30 => show(store.put_mutation_macs(r.address(), 1, &r.batch(Random::mac)).await),
        31 => show(store.get_mutation_mac(r.address(), &[r.byte() % 16; 32]).await),
        32 => {
            let found = store.get_mutation_macs(r.address(), &r.batch(|r| [r.byte() % 16; 32])).await;
            sorted(found.map(|found| found.into_iter().collect()))
        }
        33 => show(store.delete_mutation_macs(r.address(), &r.batch(|r| vec![r.byte() % 16; 32])).await),
        34 => show(store.clear_mutation_macs(r.address()).await),
        35 => show(store.set_sender_key_status(r.address(), &r.batch(|r| (r.address(), r.flag()))).await),
        36 => sorted(store.get_sender_key_devices(r.address()).await),
        37 => show(store.delete_sender_key_device_rows(&r.batch(Random::address)).await),
        38 => show(store.clear_sender_key_devices(r.address()).await),
        39 if r.below(8) == 0 => show(store.clear_all_sender_key_devices().await),
        40 => show(store.put_lid_mapping(&r.lid_mapping()).await),
        41 => show(store.put_lid_mappings(&r.batch(Random::lid_mapping)).await),
        42 => write(store.get_lid_mapping(&format!("l{}", r.below(9))).await),
        43 => write(store.get_pn_mapping(&format!("p{}", r.below(9))).await),
        44 => sorted(
            store
                .get_all_lid_mappings()
                .await
                .map(|all| all.iter().map(|one| json(one).to_string()).collect()),
        ),
        45 => show(store.save_base_key(r.address(), r.address(), &[r.byte() % 2]).await),
        46 => show(store.has_same_base_key(r.address(), r.address(), &[r.byte() % 2]).await),
        47 => show(store.delete_base_key(r.address(), r.address()).await),
        48 => show(store.update_device_list(r.device_list()).await),
        49 => show(store.update_device_lists(r.batch(Random::device_list)).await),
        50 => write(store.get_devices(r.address()).await),
        51 => show(store.delete_devices(r.address()).await),
        52 => show(store.put_group_metadata(r.address(), &r.bytes()).await),
        53 => show(store.get_group_metadata(r.address()).await),
        54 => {
            let (token, token_timestamp, sender_timestamp) =
                (r.bytes(), r.time(), r.flag().then(|| r.time()));
            show(
                store
                    .put_tc_token(r.address(), &TcTokenEntry { token, token_timestamp, sender_timestamp })
                    .await,
            )
        }
        55 => show(store.touch_tc_token_sender_timestamp(r.address(), r.time()).await),
        56 => show(store.store_received_tc_token(r.address(), &r.bytes(), r.time()).await),
        57 => write(store.get_tc_token(r.address()).await),
        58 => sorted(store.get_all_tc_token_jids().await),
        59 if r.below(4) == 0 => show(store.delete_expired_tc_tokens(r.time(), r.time()).await),
        60 => show(store.store_sent_message(r.address(), r.address(), &r.bytes()).await),
        61 => show(store.take_sent_message(r.address(), r.address()).await),
        62 => show(store.delete_expired_sent_messages(step / 50 - r.time()).await),
        63 => show(store.put_msg_secrets(r.batch(Random::secret)).await),
        64 => show(store.get_msg_secret_with_ts(r.address(), r.address(), r.address()).await),
        65 => show(store.delete_expired_msg_secrets(r.time() / 4).await),
        _ => pending(store, step, r).await,
    }
}

async fn pending<B: Backend>(store: &B, step: i64, r: &mut Random) -> String {
    let message = r.bytes();
    let row = |r: &mut Random, id| PendingInboundRow {
        chat: r.address(),
        sender: r.address(),
        id,
        message: &message,
    };
    let key = |r: &mut Random, id| PendingInboundKey { chat: r.address(), sender: r.address(), id };
    match r.below(6) {
        0 => format!("{:?}", store.store_pending_inbound_batch(&r.batch(|r| row(r, "i"))).await.unwrap()),
        1 => format!("{:?}", store.delete_pending_inbound_batch(&r.batch(|r| key(r, "i"))).await.unwrap()),
        2 => format!(
            "{:?}",
            store.store_pending_inbound(r.address(), r.address(), "i", &message).await.unwrap()
        ),
        3 => format!("{:?}", store.get_pending_inbound(r.address(), r.address(), "i").await.unwrap()),
        4 => format!("{:?}", store.delete_pending_inbound(r.address(), r.address(), "i").await.unwrap()),
        _ => format!("{:?}", store.delete_expired_pending_inbound(step / 50 - r.time()).await.unwrap()),
    }
}

#[tokio::test]
async fn random_calls_get_the_answers_of_the_reference() {
    for seed in 0..6 {
        clock::install();
        let reference = InMemoryBackend::new();
        // Two are enough for the comparison with workerd.
        let sql = match seed {
            0 | 1 => LikeWorkerd::recorded(&format!("random_calls.seed_{seed}")),
            _ => LikeWorkerd::new(),
        };
        let ours = Keystore::open(sql).unwrap();
        for step in 0..4_000_i64 {
            let seed_of_call = (seed << 32) + step.unsigned_abs();
            let expected = call(&reference, step, &mut Random(seed_of_call)).await;
            let answer = call(&ours, step, &mut Random(seed_of_call)).await;
            assert_eq!(answer, expected, "seed {seed}, step {step}");
        }
    }
}
