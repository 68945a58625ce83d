//! The phone's address book: names for people, written into the app state for the companions to read.

use std::collections::BTreeMap;

use anyhow::Result;
use waproto::buffa::MessageField;
use waproto::whatsapp::SyncActionValue;
use waproto::whatsapp::sync_action_value::ContactAction;
use waproto::whatsapp::syncd_mutation::SyncdOperation;

use crate::appstate::{AppState, Write};
use crate::clock;
use crate::store::{Kind, Rows, Shelf};

/// Where WhatsApp keeps contacts.
pub const COLLECTION: &str = "critical_unblock_low";
/// The version of this kind of entry.
const VERSION: i32 = 2;

/// A name in the address book.
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
pub struct Contact {
    pub name: String,
    /// The other name of whoever it is, when they are on WhatsApp.
    pub lid: Option<String>,
}

/// All names, by phone-number JID.
pub type AddressBook = BTreeMap<String, Contact>;

/// As it was kept.
pub fn restore(rows: &mut Rows, number: &str) -> Result<AddressBook> {
    Ok(rows.take_json(Kind::Contact, number)?.into_iter().collect())
}

/// Puts another address book in the place of the old one; the new version of the collection when they differ.
pub fn replace(state: &mut AppState, new: AddressBook, shelf: &Shelf) -> Option<usize> {
    let now = i64::try_from(clock::unix_millis()).ok();
    let set = new.iter().filter(|(jid, contact)| state.contacts.get(*jid) != Some(contact)).map(
        |(jid, contact)| {
            shelf.put_json(Kind::Contact, jid.as_str(), contact);
            write(SyncdOperation::SET, jid, MessageField::some(contact.action()), now)
        },
    );
    let gone = state.contacts.keys().filter(|jid| !new.contains_key(*jid)).map(|jid| {
        shelf.delete(Kind::Contact, jid.as_str());
        write(SyncdOperation::REMOVE, jid, MessageField::none(), now)
    });
    let writes: Vec<Write> = set.chain(gone).collect();
    state.contacts = new;
    (!writes.is_empty()).then(|| state.write(COLLECTION, &writes))
}

fn write(
    operation: SyncdOperation,
    jid: &str,
    action: MessageField<ContactAction>,
    timestamp: Option<i64>,
) -> Write {
    let value = SyncActionValue { timestamp, contact_action: action, ..Default::default() };
    let index = serde_json::json!(["contact", jid]).to_string().into_bytes();
    Write { operation, index, value, version: VERSION }
}

impl Contact {
    fn action(&self) -> ContactAction {
        ContactAction {
            full_name: Some(self.name.clone()),
            first_name: self.name.split_whitespace().next().map(ToOwned::to_owned),
            lid_jid: self.lid.clone(),
            save_on_primary_addressbook: Some(true),
            ..Default::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::sync::Arc;

    use wacore_appstate::hash::HashState;
    use wacore_appstate::keys::expand_app_state_keys;
    use wacore_appstate::processor::process_patch;
    use waproto::buffa::Message as _;
    use waproto::whatsapp::SyncdPatch;

    use super::*;
    use crate::rng;

    fn book(names: &[(&str, &str)]) -> AddressBook {
        let contact = |name: &str| Contact { name: name.to_owned(), lid: None };
        names.iter().map(|(jid, name)| ((*jid).to_owned(), contact(name))).collect()
    }

    /// What a client computes that takes one patch after the other; it only warns of a hash that is off.
    #[test]
    fn every_patch_carries_the_macs_a_reader_of_all_before_it_computes() {
        let mut state = AppState::new(&mut rng::derive(1, "test", ""), "Alice", Shelf::default());
        let books: [&[(&str, &str)]; 4] =
            [&[("1@s", "One"), ("2@s", "Two")], &[("1@s", "Uno"), ("3@s", "Three")], &[], &[("1@s", "One")]];
        for (number, names) in books.into_iter().enumerate() {
            assert_eq!(replace(&mut state, book(names), &Shelf::default()), Some(number + 1));
            assert_eq!(replace(&mut state, book(names), &Shelf::default()), None, "nothing has changed");
        }
        let keys = Arc::new(expand_app_state_keys(state.key()));
        let mut hash = HashState::default();
        let mut values: HashMap<Vec<u8>, Vec<u8>> = HashMap::new();
        for patch in state.patches(COLLECTION) {
            let patch = SyncdPatch::decode_from_slice(patch).unwrap();
            let previous = |index: &[u8]| Ok(values.get(index).cloned());
            let read =
                process_patch(&patch, &mut hash, |_| Ok(keys.clone()), previous, true, COLLECTION).unwrap();
            assert!(!hash.mac_mismatch_fatal, "version {}", hash.version);
            for index in read.removed_index_macs {
                values.remove(index.as_slice());
            }
            for mac in read.added_macs {
                values.insert(mac.index_mac.clone(), mac.value_mac.clone());
            }
        }
        assert_eq!((hash.version, values.len()), (4, 1));
    }
}
