//! The read receipt of an inbound message, where the owner wants that (`autoRead`).

use std::rc::Rc;
use std::time::Duration;

use futures::future::{Either, select};
use whatsapp_rust::types::message::MessageInfo;
use worker::Delay;

use crate::chats::Chats;
use crate::connection::Connection;
use crate::room::Room;

/// How long a message is held back from its readers for its read receipt.
const TIMEOUT: Duration = Duration::from_secs(2);

/// Sends the receipt, and then shows the message, which is at that place in the log; `false` where the owner wants none.
pub fn send(room: &Rc<Room>, connection: &Rc<Connection>, info: &MessageInfo, seq: u64) -> bool {
    let wanted = room.record().is_ok_and(|record| record.settings.auto_read);
    if !wanted || info.source.is_from_me {
        return false;
    }
    room.journal.hide(seq);
    let room = Rc::clone(room);
    let connection = Rc::clone(connection);
    let (chat, sender, id) = (info.source.chat.clone(), info.source.sender.clone(), info.id.clone());
    let sender = info.source.is_group.then_some(sender);
    wasm_bindgen_futures::spawn_local(async move {
        let ids = [id.as_str()];
        let marked = connection.client.mark_as_read(&chat, sender.as_ref(), &ids);
        match select(std::pin::pin!(marked), Delay::from(TIMEOUT)).await {
            Either::Left((Ok(()), _)) => {
                let messages = room.journal.messages();
                if let Err(error) = Chats::new(messages.sql()).was_receipted(&id) {
                    worker::console_error!("a chat could not be written: {error}");
                }
            }
            Either::Left((Err(error), _)) => {
                worker::console_warn!("a read receipt could not be sent: {error}");
            }
            Either::Right(_) => worker::console_warn!("a read receipt took too long"),
        }
        room.journal.show(seq);
        room.changed();
    });
    true
}
