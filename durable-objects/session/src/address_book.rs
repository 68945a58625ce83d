//! What is heard of people: the address book on the phone, which WhatsApp hands on as app state, and the names that
//! come with messages.

use std::rc::Rc;
use std::time::Duration;

use gateway_sql::SqlError;
use whatsapp_rust::Jid;
use whatsapp_rust::sync_task::MajorSyncTask;
use whatsapp_rust::types::events::ContactUpdate;
use whatsapp_rust::types::message::MessageInfo;
use whatsapp_rust::wacore::appstate::patch_decode::WAPatchName;

use crate::backfill::{Cut, Pull};
use crate::clock;
use crate::connection::Connection;
use crate::inbound::Inbound;
use crate::keystore::Keystore;
use crate::library::contacts::{Person, Source, writer};
use crate::room::Room;

/// Where WhatsApp keeps the address book.
const ADDRESS_BOOK: WAPatchName = WAPatchName::CriticalUnblockLow;
/// How long it may take, with the questions for keys that may come before it.
const ADDRESS_BOOK_TIMEOUT: Duration = Duration::from_mins(1);
/// How many people are written at a time.
const BATCH: usize = 200;

impl Room {
    /// An entry of the address book. The library tells a whole book entry by entry, all in one turn of the event loop;
    /// it is written in batches at the end of that turn, in the same storage transaction as how far it was read.
    pub fn contact_told(self: &Rc<Self>, connection: &Rc<Connection>, update: &ContactUpdate) {
        let action = &update.action;
        let other = [&action.lid_jid, &action.pn_jid].map(|jid| jid.as_deref()?.parse::<Jid>().ok());
        let mut person = Person::at(other.iter().flatten().chain([&update.jid]));
        person.name = action.full_name.clone().or_else(|| action.first_name.clone());
        let mut told = self.backfill.told.borrow_mut();
        told.push(person);
        if told.len() == 1 {
            let (room, connection) = (Rc::clone(self), Rc::clone(connection));
            wasm_bindgen_futures::spawn_local(async move {
                if let Err(error) = room.write_told(&connection) {
                    worker::console_error!("contacts could not be written: {error}");
                }
            });
        }
    }

    /// Writes what was told of the address book and not yet written; the progress with it, if a backfill asked.
    fn write_told(&self, connection: &Rc<Connection>) -> Result<(), SqlError> {
        let told = self.backfill.told.take();
        // A connection that is over has nothing to tell any more.
        if told.is_empty() || self.epoch() != connection.epoch {
            return Ok(());
        }
        let (library, now) = (self.library(), clock::now());
        let pull = self.backfill.reading.borrow();
        for people in told.chunks(BATCH) {
            library.meet(people, Source::Dm, pull.as_deref(), now)?;
        }
        self.backfill.has_heard.set(true);
        if let Some(pull) = pull.as_deref() {
            library.count_contacts(pull)?;
        }
        Ok(())
    }

    /// Somebody wrote: what they call themselves is remembered. Not worth a lost message when it can't be.
    pub fn writer_seen(&self, inbound: &Inbound, info: &MessageInfo) {
        let verified = info.verified_name.as_ref().and_then(|verified| verified.name.as_deref());
        let Some((person, source)) = writer(inbound, verified) else { return };
        if let Err(error) = self.library().meet(&[person], source, None, clock::now()) {
            worker::console_error!("a contact could not be written: {error}");
        }
    }
}

/// Reads the address book from its beginning, and who there are chats with.
pub async fn pull(pull: &Pull<'_>) -> Result<(), Cut> {
    let Pull { room, connection, id, own } = pull;
    let keystore = Keystore::open(room.keystore_sql()).map_err(Cut::storage)?;
    keystore.forget_app_state(ADDRESS_BOOK.as_str()).map_err(Cut::storage)?;
    room.backfill.reading.replace(Some((*id).to_owned()));
    room.backfill.has_heard.set(false);
    let task = MajorSyncTask::AppStateSync { name: ADDRESS_BOOK, full_sync: true };
    let reading = connection.client.process_sync_task(task);
    let read = pull.ask("the address book", ADDRESS_BOOK_TIMEOUT, reading).await;
    let written = room.write_told(connection).map_err(Cut::storage);
    room.backfill.reading.replace(None);
    read?;
    written?;
    // The library tells of no failure here; but only what was read has a version again.
    if !keystore.has_app_state(ADDRESS_BOOK.as_str()).map_err(Cut::storage)? {
        return Err(Cut::For("WhatsApp did not hand over the address book".to_owned()));
    }
    let (library, now) = (room.library(), clock::now());
    if room.backfill.has_heard.get() {
        library.forget_names(id).map_err(Cut::storage)?;
    }
    let (by_chat, by_group) = library.people_of_chats(own).map_err(Cut::storage)?;
    for people in by_chat.chunks(BATCH) {
        library.meet(people, Source::Dm, Some(id), now).map_err(Cut::storage)?;
    }
    for people in by_group.chunks(BATCH) {
        library.meet(people, Source::Group, None, now).map_err(Cut::storage)?;
    }
    library.count_contacts(id).map_err(Cut::storage)
}
