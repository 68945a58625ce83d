//! What the message secrets of a keystore promise.

use std::sync::Arc;

use whatsapp_rust::wacore::store::traits::{Backend, MsgSecretEntry};

pub fn entry(msg_id: &str, secret: u8, expires_at: i64, message_ts: i64) -> MsgSecretEntry {
    let (chat, sender) = (Arc::from("120363000000000001@g.us"), Arc::from("15550000001@s.whatsapp.net"));
    MsgSecretEntry { chat, sender, msg_id: Arc::from(msg_id), secret: [secret; 32], expires_at, message_ts }
}

async fn get<B: Backend>(store: &B, entry: &MsgSecretEntry) -> Option<(Vec<u8>, i64)> {
    let found = store.get_msg_secret_with_ts(&entry.chat, &entry.sender, &entry.msg_id).await.unwrap();
    let secret = store.get_msg_secret(&entry.chat, &entry.sender, &entry.msg_id).await.unwrap();
    assert_eq!(secret, found.as_ref().map(|(secret, _)| secret.clone()));
    found
}

pub async fn a_secret_is_found_by_chat_sender_and_message<B: Backend>(store: &B) {
    let stored = entry("3EB0", 1, 100, 50);
    assert_eq!(get(store, &stored).await, None);
    assert_eq!(store.put_msg_secrets(vec![stored.clone()]).await.unwrap(), 1);
    assert_eq!(get(store, &stored).await, Some((vec![1; 32], 50)));
    assert_eq!(get(store, &entry("3EB1", 0, 0, 0)).await, None);
    assert_eq!(get(store, &MsgSecretEntry { chat: Arc::from("other"), ..stored.clone() }).await, None);
    assert_eq!(get(store, &MsgSecretEntry { sender: Arc::from("other"), ..stored }).await, None);
    store.put_msg_secret("chat", "sender", "", &[0; 32]).await.unwrap();
    assert_eq!(store.get_msg_secret_with_ts("chat", "sender", "").await.unwrap(), Some((vec![0; 32], 0)));
}

pub async fn secrets_are_stored_in_batches_of_any_size<B: Backend>(store: &B) {
    assert_eq!(store.put_msg_secrets(vec![]).await.unwrap(), 0);
    let mut many: Vec<MsgSecretEntry> =
        (0..=250_u8).map(|n| entry(&n.to_string(), n, 0, i64::from(n))).collect();
    many.push(entry("3", 99, 0, 1));
    assert_eq!(store.put_msg_secrets(many.clone()).await.unwrap(), 252);
    for stored in many.iter().filter(|stored| &*stored.msg_id != "3") {
        assert_eq!(get(store, stored).await, Some((stored.secret.to_vec(), stored.message_ts)));
    }
    assert_eq!(get(store, &entry("3", 0, 0, 0)).await, Some((vec![99; 32], 3)));
}

pub async fn a_secret_stored_again_keeps_the_later_times<B: Backend>(store: &B) {
    // First, second, and until when it lives: 0 is never.
    for (n, (first, second, lives)) in
        [(100, 200, 200), (200, 100, 200), (0, 100, 0), (100, 0, 0), (-5, -9, -5)].into_iter().enumerate()
    {
        let id = n.to_string();
        store.put_msg_secrets(vec![entry(&id, 1, first, 10)]).await.unwrap();
        store.put_msg_secrets(vec![entry(&id, 2, second, 0)]).await.unwrap();
        assert_eq!(get(store, &entry(&id, 0, 0, 0)).await, Some((vec![2; 32], 10)));
        if lives != 0 {
            store.delete_expired_msg_secrets(lives - 1).await.unwrap();
            assert!(get(store, &entry(&id, 0, 0, 0)).await.is_some());
            store.delete_expired_msg_secrets(lives).await.unwrap();
            assert!(get(store, &entry(&id, 0, 0, 0)).await.is_none());
        } else {
            store.delete_expired_msg_secrets(1 << 40).await.unwrap();
            assert!(get(store, &entry(&id, 0, 0, 0)).await.is_some());
        }
    }
    store
        .put_msg_secrets(vec![entry("t", 1, 0, 10), entry("t", 1, 0, 30), entry("t", 1, 0, 20)])
        .await
        .unwrap();
    assert_eq!(get(store, &entry("t", 0, 0, 0)).await, Some((vec![1; 32], 30)));
}

pub async fn a_secret_dies_exactly_at_its_time_or_never<B: Backend>(store: &B) {
    store
        .put_msg_secrets(vec![
            entry("never", 1, 0, 0),
            entry("at 100", 2, 100, 0),
            entry("at 101", 3, 101, 0),
        ])
        .await
        .unwrap();
    assert_eq!(store.delete_expired_msg_secrets(99).await.unwrap(), 0);
    assert_eq!(store.delete_expired_msg_secrets(100).await.unwrap(), 1);
    assert_eq!(get(store, &entry("at 100", 0, 0, 0)).await, None);
    assert!(get(store, &entry("at 101", 0, 0, 0)).await.is_some());
    assert_eq!(store.delete_expired_msg_secrets(i64::MAX).await.unwrap(), 1);
    assert_eq!(store.delete_expired_msg_secrets(i64::MAX).await.unwrap(), 0);
    assert!(get(store, &entry("never", 0, 0, 0)).await.is_some());
}
