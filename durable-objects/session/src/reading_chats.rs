//! A chat is read: WhatsApp is told of what came in it, and its authors with it.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use futures::future::{Either, select};
use gateway_domain::chat::Chat;
use gateway_domain::error::ApiError;
use whatsapp_rust::Jid;
use worker::Delay;

use crate::chats::Chats;
use crate::room::{Room, failed};
use crate::sending::cannot_send;

/// How long a round of receipts may take to leave.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Of a longer backlog the rest is left unread.
const MOST_ROUNDS: u32 = 10;

/// Reads a chat: read receipts for what nobody has read. Again does nothing.
///
/// # Errors
/// 404 for a chat without messages, 409 when the session can't send in its state, 503 when the receipts did not leave.
pub async fn read(room: &Rc<Room>, chat: &str) -> Result<Chat, ApiError> {
    let wrong = |error| failed("the chats can't be read", &error);
    let session = room.record()?.session;
    let jid = room.journal.names().settled(chat);
    let messages = room.journal.messages();
    let chats = Chats::new(messages.sql());
    chats.show(&session, &jid).map_err(wrong)?.ok_or_else(ApiError::not_found)?;
    for _ in 0..MOST_ROUNDS {
        let (unread, last) = chats.unread(&jid).map_err(wrong)?;
        if unread.is_empty() {
            break;
        }
        let connection = room.connection().ok_or_else(|| cannot_send(room.status()))?;
        let to: Jid = jid.parse().map_err(|_| ApiError::not_found())?;
        let mut by_sender: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for one in &unread {
            by_sender.entry(&one.sender).or_default().push(&one.id);
        }
        let receipts = async {
            for (sender, ids) in &by_sender {
                let sender: Option<Jid> = sender.parse().ok().filter(|_| jid.ends_with("@g.us"));
                connection.client.mark_as_read(&to, sender.as_ref(), ids).await?;
            }
            Ok::<(), whatsapp_rust::anyhow::Error>(())
        };
        match select(std::pin::pin!(receipts), Delay::from(TIMEOUT)).await {
            Either::Left((Ok(()), _)) => {}
            Either::Left((Err(error), _)) => {
                worker::console_warn!("read receipts could not be sent: {error}");
                return Err(ApiError::unavailable("The read receipts could not be sent; try again."));
            }
            Either::Right(_) => {
                return Err(ApiError::unavailable("The read receipts took too long; try again."));
            }
        }
        chats.read_through(&jid, last).map_err(wrong)?;
    }
    chats.show(&session, &jid).map_err(wrong)?.ok_or_else(ApiError::not_found)
}
