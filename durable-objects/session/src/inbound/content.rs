//! The message inside its wrappers, and what goes along with every kind of it.

use whatsapp_rust::waproto::whatsapp::message_association::AssociationType;
use whatsapp_rust::waproto::whatsapp::{ContextInfo, Message};

/// How deep a message may be wrapped: disappearing, view-once, with caption, and once more for what is to come.
const MAX_DEPTH: usize = 8;

/// The message inside its wrappers. Not unwrapped is what is no message of a chat (statuses of a group), and the
/// second, larger copy of a picture that was told already.
pub fn unwrap(message: &Message) -> &Message {
    let mut content = message;
    for _ in 0..MAX_DEPTH {
        match inner(content) {
            Some(inner) => content = inner,
            None => break,
        }
    }
    content
}

fn inner(message: &Message) -> Option<&Message> {
    let wrappers = [
        &message.ephemeral_message,
        &message.view_once_message,
        &message.view_once_message_v2,
        &message.view_once_message_v2_extension,
        &message.document_with_caption_message,
        &message.edited_message,
        &message.group_mentioned_message,
        &message.lottie_sticker_message,
        &message.poll_creation_message_v4,
        &message.bot_invoke_message,
        &message.bot_forwarded_message,
        &message.question_message,
        &message.question_reply_message,
        &message.spoiler_message,
    ];
    let own = message.device_sent_message.as_option().and_then(|sent| sent.message.as_option());
    let context = message.message_context_info.as_option();
    let association = context.and_then(|context| context.message_association.as_option());
    let is_of_album = association.is_some_and(|it| it.association_type == Some(AssociationType::MEDIA_ALBUM));
    let of_album = message.associated_child_message.as_option().filter(|_| is_of_album);
    own.or_else(|| of_album.and_then(|wrapper| wrapper.message.as_option()))
        .or_else(|| wrappers.into_iter().find_map(|wrapper| wrapper.as_option()?.message.as_option()))
}

/// What goes along with a message: what it quotes, whom it mentions.
pub fn context(content: &Message) -> Option<&ContextInfo> {
    macro_rules! first {
        ($($kind:ident),+ $(,)?) => {
            None$(.or_else(|| content.$kind.as_option()?.context_info.as_option()))+
        };
    }
    first!(
        extended_text_message,
        image_message,
        video_message,
        ptv_message,
        audio_message,
        document_message,
        sticker_message,
        location_message,
        live_location_message,
        contact_message,
        contacts_array_message,
        poll_creation_message,
        poll_creation_message_v2,
        poll_creation_message_v3,
        poll_creation_message_v5,
        poll_creation_message_v6,
        buttons_message,
        buttons_response_message,
        list_message,
        list_response_message,
        template_message,
        template_button_reply_message,
        interactive_message,
        interactive_response_message,
        event_message,
        group_invite_message,
        product_message,
        order_message,
    )
}

/// What a message's reactions, votes and edits are encrypted with.
pub fn secret(message: &Message) -> Option<&[u8]> {
    let both = [message, unwrap(message)].into_iter();
    both.filter_map(|message| message.message_context_info.as_option())
        .find_map(|info| info.message_secret.as_deref())
}
