//! What any keystore promises, in functions over the library's `Backend`: natively they run on the reference
//! and on ours (main.rs), and they can run in a Durable Object as they are. Each wants an empty store.

use serde::Serialize;

pub mod app_sync;
pub mod device;
pub mod msg_secret;
pub mod protocol;
pub mod signal;

/// NUL, no UTF-8, and what SQL and JSON quote.
pub const AWKWARD: &[u8] = b"\x00\xff\xfe\xc3\x28'\"\\;--\x00";

/// Well under the 2 MB a row may have.
pub fn large(seed: u8) -> Vec<u8> {
    (0..1_500_000_u32).map(|n| n.to_le_bytes()[0] ^ seed).collect()
}

/// Most records of the library can't be compared, but all can be written down.
pub fn json<T: Serialize>(record: &T) -> serde_json::Value {
    serde_json::to_value(record).unwrap()
}

/// Hands all promises to a macro: first those the reference keeps as well, then those that are ours alone.
macro_rules! promises {
    ($run:ident) => {
        $run! {
            shared {
                signal {
                    an_identity_is_stored_replaced_and_deleted,
                    identities_are_stored_in_batches_of_any_size,
                    a_session_is_stored_replaced_and_deleted,
                    sessions_are_stored_in_batches_of_any_size,
                    signal_state_is_found_for_a_user_on_any_device,
                    a_prekey_is_stored_replaced_and_removed,
                    prekeys_are_stored_and_loaded_in_batches_of_any_size,
                    marking_a_prekey_as_uploaded_never_brings_it_back,
                    signed_prekeys_are_stored_listed_and_removed,
                    a_sender_key_is_stored_replaced_and_deleted,
                    sender_keys_are_stored_in_batches_of_any_size,
                }
                app_sync {
                    a_sync_key_is_stored_and_replaced,
                    the_latest_sync_key_is_the_one_stored_last,
                    a_collections_version_starts_at_nothing_and_is_replaced,
                    mutation_macs_are_stored_and_found_in_batches_of_any_size,
                    mutation_macs_are_deleted_by_index_or_by_collection,
                }
                protocol {
                    sender_key_devices_are_set_per_group,
                    sender_key_devices_are_set_and_deleted_in_batches_of_any_size,
                    sender_key_devices_are_cleared_per_group_or_everywhere,
                    a_lid_mapping_is_found_from_both_sides,
                    lid_mappings_are_stored_in_batches_of_any_size,
                    a_lid_that_moves_to_another_number_leaves_the_first,
                    a_base_key_is_the_same_only_byte_for_byte,
                    a_device_list_is_stored_replaced_and_deleted,
                    device_lists_are_stored_in_batches_of_any_size,
                    group_metadata_is_kept_as_given,
                    a_tc_token_is_stored_replaced_listed_and_deleted,
                    touching_a_tc_token_only_moves_forward_and_keeps_the_token,
                    a_received_tc_token_yields_to_none_but_an_older_one,
                    tc_tokens_expire_only_when_both_halves_are_dead,
                    a_sent_message_is_taken_once,
                    sent_messages_expire_exactly_at_the_cutoff,
                    a_pending_message_stays_until_it_is_deleted,
                    pending_messages_are_stored_and_deleted_in_batches_of_any_size,
                    pending_messages_expire_exactly_at_the_cutoff,
                }
                msg_secret {
                    a_secret_is_found_by_chat_sender_and_message,
                    secrets_are_stored_in_batches_of_any_size,
                    a_secret_stored_again_keeps_the_later_times,
                    a_secret_dies_exactly_at_its_time_or_never,
                }
                device {
                    creating_a_device_makes_keys_once,
                    a_device_comes_back_as_it_was_saved,
                    a_new_device_introduces_itself_as_the_library_does,
                    snapshots_and_reports_are_answered,
                }
            }
            ours {
                app_sync {
                    an_older_sync_key_shared_again_is_not_the_latest,
                }
                protocol {
                    a_stale_lid_mapping_does_not_win_by_being_stored_last,
                    a_lid_that_moves_away_uncovers_the_one_before,
                    nonsense_times_stay_readable,
                }
            }
        }
    };
}
pub(crate) use promises;
