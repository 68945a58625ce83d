//! An inbound message, as the client library hands it over, turned into what we store and tell.

use gateway_domain::event::{MediaMeta, MessagePayload};
use whatsapp_rust::proto_helpers::MessageExt;
use whatsapp_rust::types::message::{MessageInfo, MessageSource};
use whatsapp_rust::waproto::whatsapp::Message;
use whatsapp_rust::{Jid, Server};

use crate::journal::MessageRow;

/// A message to store and the event that tells of it.
#[derive(Debug)]
pub struct Inbound {
    /// What is stored.
    pub row: MessageRow,
    /// `message` or `message.from_me`.
    pub event: &'static str,
    /// What is told.
    pub payload: MessagePayload,
}

/// Normalises a message; `None` for what only concerns the protocol: keys, history, receipts in disguise.
#[must_use]
pub fn normalise(message: &Message, info: &MessageInfo) -> Option<Inbound> {
    let content = message.get_base_message();
    let (kind, media) = classify(content)?;
    let source = &info.source;
    let chat = chat_jid(source);
    let sender = addresses(&source.sender, source.sender_alt.as_ref());
    let sender_jid = sender.phone.clone().or_else(|| sender.lid.clone()).unwrap_or_else(|| chat.clone());
    let timestamp = u64::try_from(info.timestamp.timestamp_millis()).unwrap_or(0);
    let body = content.text_content().or_else(|| content.get_caption()).map(str::to_owned);
    let row = MessageRow {
        chat: chat.clone(),
        sender: sender_jid.clone(),
        id: info.id.clone(),
        from_me: source.is_from_me,
        kind: kind.to_owned(),
        body: body.clone(),
        status: source.is_from_me.then(|| "sent".to_owned()),
        timestamp,
    };
    let payload = MessagePayload {
        wa_message_id: info.id.clone(),
        chat_jid: chat,
        sender_jid: Some(sender_jid),
        sender_lid: sender.lid,
        from_me: source.is_from_me,
        push_name: Some(info.push_name.clone()).filter(|name| !name.is_empty()),
        r#type: kind.to_owned(),
        body,
        has_media: media.is_some(),
        media: media.unwrap_or_default(),
        quoted_message_id: quoted(content),
        timestamp,
    };
    let event = if source.is_from_me { "message.from_me" } else { "message" };
    Some(Inbound { row, event, payload })
}

/// The chat a message or receipt belongs to. WhatsApp addresses the same person by phone number or by hidden id
/// (LID); a chat goes by the phone number where the stanza tells it, so that it is one chat.
#[must_use]
pub fn chat_jid(source: &MessageSource) -> String {
    if source.is_group || !matches!(source.chat.server, Server::Pn | Server::Lid) {
        return source.chat.to_non_ad_string();
    }
    let alternative = if source.is_from_me { &source.recipient_alt } else { &source.sender_alt };
    let chat = addresses(&source.chat, alternative.as_ref());
    chat.phone.or(chat.lid).unwrap_or_else(|| source.chat.to_non_ad_string())
}

struct Addresses {
    phone: Option<String>,
    lid: Option<String>,
}

fn addresses(jid: &Jid, alternative: Option<&Jid>) -> Addresses {
    let of = |server: Server| {
        [Some(jid), alternative]
            .into_iter()
            .flatten()
            .find(|jid| jid.server == server)
            .map(Jid::to_non_ad_string)
    };
    Addresses { phone: of(Server::Pn), lid: of(Server::Lid) }
}

fn quoted(content: &Message) -> Option<String> {
    let text = content.extended_text_message.as_option()?;
    text.context_info.as_option()?.stanza_id.clone()
}

/// The kind of message, and its media where it has any.
fn classify(content: &Message) -> Option<(&'static str, Option<MediaMeta>)> {
    let media = |mimetype: &Option<String>, size: Option<u64>, filename: Option<String>| {
        Some(MediaMeta { filename, mimetype: mimetype.clone(), size })
    };
    if content.text_content().is_some() {
        return Some(("text", None));
    }
    if let Some(image) = content.image_message.as_option() {
        return Some(("image", media(&image.mimetype, image.file_length, None)));
    }
    if let Some(video) = content.video_message.as_option() {
        return Some(("video", media(&video.mimetype, video.file_length, None)));
    }
    if let Some(audio) = content.audio_message.as_option() {
        return Some(("audio", media(&audio.mimetype, audio.file_length, None)));
    }
    if let Some(document) = content.document_message.as_option() {
        return Some((
            "document",
            media(&document.mimetype, document.file_length, document.file_name.clone()),
        ));
    }
    if let Some(sticker) = content.sticker_message.as_option() {
        return Some(("sticker", media(&sticker.mimetype, sticker.file_length, None)));
    }
    if content.location_message.is_set() || content.live_location_message.is_set() {
        return Some(("location", None));
    }
    if content.contact_message.is_set() || content.contacts_array_message.is_set() {
        return Some(("contact", None));
    }
    if content.poll_creation_message.is_set()
        || content.poll_creation_message_v2.is_set()
        || content.poll_creation_message_v3.is_set()
    {
        return Some(("poll", None));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use whatsapp_rust::waproto::buffa::MessageField;
    use whatsapp_rust::waproto::whatsapp::message::{DeviceSentMessage, ImageMessage, ProtocolMessage};

    fn info(chat: &str, sender: &str, from_me: bool) -> MessageInfo {
        let source = MessageSource {
            chat: chat.parse().unwrap(),
            sender: sender.parse().unwrap(),
            is_from_me: from_me,
            ..Default::default()
        };
        MessageInfo { source, id: "3EB0A".into(), push_name: "Bob".into(), ..Default::default() }
    }

    fn text(body: &str) -> Message {
        Message { conversation: Some(body.to_owned()), ..Default::default() }
    }

    #[test]
    fn a_text_becomes_a_message_event() {
        let inbound =
            normalise(&text("hi"), &info("4915@s.whatsapp.net", "4915:3@s.whatsapp.net", false)).unwrap();
        assert_eq!((inbound.event, inbound.row.sender.as_str()), ("message", "4915@s.whatsapp.net"));
        assert_eq!((inbound.payload.body.as_deref(), inbound.payload.has_media), (Some("hi"), false));
    }

    #[test]
    fn a_person_addressed_by_lid_is_the_same_chat() {
        let mut by_lid = info("777@lid", "777:3@lid", false);
        by_lid.source.sender_alt = Some("4915:3@s.whatsapp.net".parse().unwrap());
        let inbound = normalise(&text("hi"), &by_lid).unwrap();
        assert_eq!(inbound.payload.chat_jid, "4915@s.whatsapp.net");
        assert_eq!(inbound.payload.sender_lid.as_deref(), Some("777@lid"));
    }

    #[test]
    fn what_the_phone_sent_is_told_as_from_me() {
        let wrapped = Message {
            device_sent_message: MessageField::some(DeviceSentMessage {
                message: MessageField::some(text("typed on the phone")),
                ..Default::default()
            }),
            ..Default::default()
        };
        let inbound = normalise(&wrapped, &info("4916@s.whatsapp.net", "4915@s.whatsapp.net", true)).unwrap();
        assert_eq!(
            (inbound.event, inbound.payload.body.as_deref()),
            ("message.from_me", Some("typed on the phone"))
        );
        assert_eq!(inbound.row.status.as_deref(), Some("sent"));
    }

    #[test]
    fn media_is_announced_with_its_type_and_caption() {
        let image = ImageMessage {
            mimetype: Some("image/jpeg".into()),
            file_length: Some(1234),
            caption: Some("look".into()),
            ..Default::default()
        };
        let message = Message { image_message: MessageField::some(image), ..Default::default() };
        let inbound =
            normalise(&message, &info("4915@s.whatsapp.net", "4915@s.whatsapp.net", false)).unwrap();
        assert_eq!(
            (inbound.payload.r#type.as_str(), inbound.payload.body.as_deref()),
            ("image", Some("look"))
        );
        assert_eq!(inbound.payload.media.size, Some(1234));
    }

    #[test]
    fn protocol_messages_are_nobodys_messages() {
        let message = Message {
            protocol_message: MessageField::some(ProtocolMessage::default()),
            ..Default::default()
        };
        assert!(normalise(&message, &info("4915@s.whatsapp.net", "4915@s.whatsapp.net", true)).is_none());
        assert!(
            normalise(&Message::default(), &info("4915@s.whatsapp.net", "4915@s.whatsapp.net", false))
                .is_none()
        );
    }
}
