//! A message as JSON, for the control API.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD as BASE64;
use serde_json::{Value, json};
use waproto::whatsapp::message::protocol_message::Type;
use waproto::whatsapp::message::secret_encrypted_message::SecretEncType;
use waproto::whatsapp::message::{ContactMessage, PollCreationMessage};
use waproto::whatsapp::message_association::AssociationType;
use waproto::whatsapp::{ContextInfo, Message};

use super::fields::{Fields, part};
use super::media;

/// What a message says.
#[derive(Clone, Debug)]
pub struct Shown {
    pub kind: &'static str,
    /// Only a text has one.
    pub text: Option<String>,
    pub content: Value,
}

/// The message inside its envelopes, and what they were.
pub fn unwrapped(message: &Message) -> (&Message, Vec<&'static str>) {
    let (mut inner, mut envelopes) = (message, Vec::new());
    loop {
        let wrapped = [
            ("ephemeral", &inner.ephemeral_message),
            ("viewOnce", &inner.view_once_message),
            ("viewOnce", &inner.view_once_message_v2),
            ("viewOnce", &inner.view_once_message_v2_extension),
            ("documentWithCaption", &inner.document_with_caption_message),
            ("associatedChild", &inner.associated_child_message),
            ("groupMentioned", &inner.group_mentioned_message),
            ("pollCreationV4", &inner.poll_creation_message_v4),
        ];
        let found = wrapped
            .into_iter()
            .find_map(|(name, wrapped)| Some((name, wrapped.as_option()?.message.as_option()?)));
        let Some((name, next)) = found else { return (inner, envelopes) };
        envelopes.push(name);
        inner = next;
    }
}

/// Everything a message says.
pub fn shown(message: &Message) -> Shown {
    let (inner, envelopes) = unwrapped(message);
    let mut fields = Fields::default();
    let kind = body(inner, &mut fields);
    if let Some(context) = context_of(inner) {
        read_context(context, &mut fields);
    }
    fields.put("envelopes", (!envelopes.is_empty()).then_some(envelopes));
    let secrets = [message, inner].map(|message| message.message_context_info.as_option());
    for context in secrets.into_iter().flatten() {
        fields.bytes("messageSecret", context.message_secret.as_ref());
        if let Some(association) = context.message_association.as_option()
            && association.association_type == Some(AssociationType::MEDIA_ALBUM)
        {
            fields.target("album", association.parent_message_key.as_option());
        }
    }
    let text = (kind == "text").then(|| text_of(inner)).flatten();
    Shown { kind, text, content: fields.into_value() }
}

fn text_of(message: &Message) -> Option<String> {
    let extended = message.extended_text_message.as_option().and_then(|extended| extended.text.clone());
    message.conversation.clone().or(extended)
}

fn body(message: &Message, fields: &mut Fields) -> &'static str {
    if let Some(extended) = message.extended_text_message.as_option() {
        fields.put("matchedText", extended.matched_text.as_ref());
        fields.put("title", extended.title.as_ref());
        fields.put("description", extended.description.as_ref());
        fields.bytes("thumbnail", extended.jpeg_thumbnail.as_ref());
        return "text";
    }
    if message.conversation.is_some() {
        return "text";
    }
    media::read(message, fields)
        .or_else(|| thing(message, fields))
        .or_else(|| about(message, fields))
        .unwrap_or_else(|| {
            fields.put("type", part(message));
            fields.put("protobuf", Some(BASE64.encode(waproto::codec::message_to_vec(message))));
            "other"
        })
}

/// Albums, places, people, polls.
fn thing(message: &Message, fields: &mut Fields) -> Option<&'static str> {
    if let Some(album) = message.album_message.as_option() {
        fields.put("expectedImageCount", album.expected_image_count);
        fields.put("expectedVideoCount", album.expected_video_count);
        return Some("album");
    }
    if let Some(place) = message.location_message.as_option() {
        fields.put("latitude", place.degrees_latitude);
        fields.put("longitude", place.degrees_longitude);
        fields.put("name", place.name.as_ref());
        fields.put("address", place.address.as_ref());
        fields.put("url", place.url.as_ref());
        fields.put("comment", place.comment.as_ref());
        fields.put("accuracy", place.accuracy_in_meters);
        fields.put("live", place.is_live);
        fields.bytes("thumbnail", place.jpeg_thumbnail.as_ref());
        return Some("location");
    }
    if let Some(place) = message.live_location_message.as_option() {
        fields.put("latitude", place.degrees_latitude);
        fields.put("longitude", place.degrees_longitude);
        fields.put("caption", place.caption.as_ref());
        fields.put("accuracy", place.accuracy_in_meters);
        fields.put("sequenceNumber", place.sequence_number);
        fields.bytes("thumbnail", place.jpeg_thumbnail.as_ref());
        return Some("liveLocation");
    }
    if let Some(contact) = message.contact_message.as_option() {
        fields.put("displayName", contact.display_name.as_ref());
        fields.put("vcard", contact.vcard.as_ref());
        return Some("contact");
    }
    if let Some(contacts) = message.contacts_array_message.as_option() {
        let card =
            |contact: &ContactMessage| json!({ "displayName": contact.display_name, "vcard": contact.vcard });
        fields.put("displayName", contacts.display_name.as_ref());
        fields.put("contacts", Some(contacts.contacts.iter().map(card).collect::<Vec<_>>()));
        return Some("contacts");
    }
    let (version, poll) = poll(message)?;
    fields.put("version", Some(version));
    fields.put("name", poll.name.as_ref());
    fields.put("options", Some(options(poll)));
    fields.put("selectableCount", poll.selectable_options_count);
    fields.put("endTime", poll.end_time);
    fields.put("hideVotes", poll.hide_participant_name);
    fields
        .put("correctAnswer", poll.correct_answer.as_option().and_then(|answer| answer.option_name.clone()));
    Some("poll")
}

/// A poll, with the number of its version.
pub fn poll(message: &Message) -> Option<(u8, &PollCreationMessage)> {
    let (message, envelopes) = unwrapped(message);
    let versions = [
        (1, &message.poll_creation_message),
        (2, &message.poll_creation_message_v2),
        (3, &message.poll_creation_message_v3),
        (5, &message.poll_creation_message_v5),
        (6, &message.poll_creation_message_v6),
    ];
    let (version, poll) =
        versions.into_iter().find_map(|(version, poll)| Some((version, poll.as_option()?)))?;
    Some((if envelopes.contains(&"pollCreationV4") { 4 } else { version }, poll))
}

/// What can be voted for.
pub fn options(poll: &PollCreationMessage) -> Vec<String> {
    poll.options.iter().map(|option| option.option_name.clone().unwrap_or_default()).collect()
}

/// Messages about other messages.
fn about(message: &Message, fields: &mut Fields) -> Option<&'static str> {
    if let Some(vote) = message.poll_update_message.as_option() {
        fields.target("target", vote.poll_creation_message_key.as_option());
        fields.put("senderTimestampMs", vote.sender_timestamp_ms);
        return Some("pollVote");
    }
    if let Some(reaction) = message.reaction_message.as_option() {
        fields.target("target", reaction.key.as_option());
        fields.put("text", reaction.text.as_ref());
        fields.put("senderTimestampMs", reaction.sender_timestamp_ms);
        return Some("reaction");
    }
    if let Some(sealed) = message.secret_encrypted_message.as_option()
        && sealed.secret_enc_type == Some(SecretEncType::MESSAGE_EDIT)
    {
        // Not read (yet): the original isn't here.
        fields.target("target", sealed.target_message_key.as_option());
        fields.put("encrypted", Some(true));
        return Some("edit");
    }
    // The form an edit has in a history, and old clients send.
    let inside = message.edited_message.as_option().and_then(|edited| edited.message.as_option());
    let protocol = inside.unwrap_or(message).protocol_message.as_option()?;
    match protocol.r#type {
        Some(Type::REVOKE) => {
            fields.target("target", protocol.key.as_option());
            Some("revoke")
        }
        Some(Type::MESSAGE_EDIT) => {
            fields.target("target", protocol.key.as_option());
            fields.put("timestampMs", protocol.timestamp_ms);
            if let Some(edited) = protocol.edited_message.as_option() {
                fields.put("edited", Some(nested(edited)));
            }
            Some("edit")
        }
        _ => None,
    }
}

/// A message inside another one.
fn nested(message: &Message) -> Value {
    let Shown { kind, text, content } = shown(message);
    json!({ "kind": kind, "text": text, "content": content })
}

/// Where a message says what it answers, whom it mentions and whether it was forwarded.
pub fn context_of(message: &Message) -> Option<&ContextInfo> {
    macro_rules! first {
        ($($field:ident),+) => {
            [$(message.$field.as_option().and_then(|part| part.context_info.as_option())),+]
                .into_iter()
                .flatten()
                .next()
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
        album_message,
        location_message,
        live_location_message,
        contact_message,
        contacts_array_message,
        poll_creation_message,
        poll_creation_message_v2,
        poll_creation_message_v3,
        poll_creation_message_v5,
        poll_creation_message_v6
    )
}

fn read_context(context: &ContextInfo, fields: &mut Fields) {
    if let Some(id) = &context.stanza_id {
        let mut quoted = Fields::default();
        quoted.put("id", Some(id));
        quoted.put("participant", context.participant.as_ref());
        quoted.put("remoteJid", context.remote_jid.as_ref());
        quoted.put("message", context.quoted_message.as_option().map(nested));
        fields.put("quoted", Some(quoted.into_value()));
    }
    fields.put("mentions", (!context.mentioned_jid.is_empty()).then_some(&context.mentioned_jid));
    fields.put("forwarded", context.is_forwarded);
    fields.put("forwardingScore", context.forwarding_score);
    fields.put("expiration", context.expiration);
}
