//! What the device of a keystore promises.

use std::sync::Arc;

use whatsapp_rust::wacore::store::device::{DEVICE_PROPS, Device};
use whatsapp_rust::wacore::store::traits::Backend;
use whatsapp_rust::wacore::store::{CachedNoiseCert, CachedServerCertChain};

use super::{AWKWARD, json};

/// A device with something in every field that is stored.
pub fn full() -> Device {
    let cert = CachedNoiseCert { key: [0xff; 32], not_before: i64::MIN, not_after: i64::MAX };
    Device {
        pn: Some("15550000001:3@s.whatsapp.net".parse().unwrap()),
        lid: Some("100000000000001:3@lid".parse().unwrap()),
        registration_id: u32::MAX,
        account: Some(Arc::default()),
        push_name: "Zoë \u{0} \"quoted\" 🦀".to_owned(),
        app_version_last_fetched_ms: 1_790_000_000_123,
        edge_routing_info: Some(AWKWARD.to_vec()),
        props_hash: Some(String::new()),
        next_pre_key_id: u32::MAX,
        first_unupload_pre_key_id: 17,
        server_has_prekeys: true,
        nct_salt: Some(vec![]),
        server_cert_chain: Some(CachedServerCertChain { intermediate: cert.clone(), leaf: cert }),
        login_counter: i32::MAX,
        lid_migrated: true,
        read_receipts_disabled: true,
        ..Device::new()
    }
}

pub async fn creating_a_device_makes_keys_once<B: Backend>(store: &B) {
    assert!(!store.exists().await.unwrap());
    assert!(store.load().await.unwrap().is_none());
    store.create().await.unwrap();
    assert!(store.exists().await.unwrap());
    let created = store.load().await.unwrap().unwrap();
    assert!(created.pn.is_none());
    store.create().await.unwrap();
    assert_eq!(json(&store.load().await.unwrap().unwrap()), json(&created));
}

pub async fn a_device_comes_back_as_it_was_saved<B: Backend>(store: &B) {
    let mut device = full();
    store.save(&device).await.unwrap();
    assert!(store.exists().await.unwrap());
    assert_eq!(json(&store.load().await.unwrap().unwrap()), json(&device));
    device.pn = None;
    device.account = None;
    device.nct_salt = None;
    store.save(&device).await.unwrap();
    assert_eq!(json(&store.load().await.unwrap().unwrap()), json(&device));
}

pub async fn a_new_device_introduces_itself_as_the_library_does<B: Backend>(store: &B) {
    store.create().await.unwrap();
    let device = store.load().await.unwrap().unwrap();
    assert_eq!(*device.device_props, *DEVICE_PROPS);
    assert_eq!(format!("{:?}", device.client_profile), format!("{:?}", Device::new().client_profile));
    assert!(!device.nct_salt_sync_seen);
}

pub async fn snapshots_and_reports_are_answered<B: Backend>(store: &B) {
    store.snapshot_db("name", Some(AWKWARD)).await.unwrap();
    store.resource_report().await;
}
