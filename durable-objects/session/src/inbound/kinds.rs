//! What kind of message it is, and what belongs to the kind.

use gateway_domain::event::{ContactData, LocationData, MediaMeta, MessagePayload, PollData};
use whatsapp_rust::proto_helpers::MessageExt;
use whatsapp_rust::waproto::whatsapp::Message;
use whatsapp_rust::waproto::whatsapp::message::{ContactMessage, PollCreationMessage};

use super::{limits, words};

/// Below it a time must be in seconds: in milliseconds it would be the spring of 1973.
const SECONDS: u64 = 100_000_000_000;

/// Fills in kind, text and what belongs to the kind; `false` for what is no message of anybody's.
pub fn fill(payload: &mut MessagePayload, content: &Message) -> bool {
    let Some(kind) = kind(content) else { return false };
    kind.clone_into(&mut payload.r#type);
    payload.body = words::of(content).map(|text| limits::clip(text, limits::TEXT));
    match kind {
        "location" => payload.location = location(content),
        "contact" => payload.contact = Some(contact(content)),
        "poll" => payload.poll = poll(content).map(poll_data),
        "image" | "video" | "audio" | "document" | "sticker" => {
            payload.has_media = true;
            payload.media = media(content);
        }
        _ => {}
    }
    true
}

fn kind(content: &Message) -> Option<&'static str> {
    let kinds = [
        ("text", content.text_content().is_some()),
        ("image", content.image_message.is_set()),
        ("video", content.video_message.is_set() || content.ptv_message.is_set()),
        ("audio", content.audio_message.is_set()),
        ("document", content.document_message.is_set()),
        ("sticker", content.sticker_message.is_set()),
        ("location", content.location_message.is_set() || content.live_location_message.is_set()),
        ("contact", content.contact_message.is_set() || content.contacts_array_message.is_set()),
        ("poll", poll(content).is_some()),
        // What businesses dress up as lists and buttons, and what is chosen there, is told as the text it shows.
        ("text", words::dressed_up(content).is_some()),
        ("event", content.event_message.is_set()),
        ("group_invite", content.group_invite_message.is_set()),
        ("product", content.product_message.is_set()),
        ("order", content.order_message.is_set()),
    ];
    kinds.into_iter().find_map(|(kind, is_it)| is_it.then_some(kind))
}

fn media(content: &Message) -> MediaMeta {
    let image = content.image_message.as_option().map(|it| (&it.mimetype, it.file_length, None));
    let video = content.video_message.as_option().map(|it| (&it.mimetype, it.file_length, None));
    let video_note = content.ptv_message.as_option().map(|it| (&it.mimetype, it.file_length, None));
    let audio = content.audio_message.as_option().map(|it| (&it.mimetype, it.file_length, None));
    let sticker = content.sticker_message.as_option().map(|it| (&it.mimetype, it.file_length, None));
    let document = content.document_message.as_option().map(|it| {
        let name = it.file_name.as_ref().or(it.title.as_ref());
        (&it.mimetype, it.file_length, name)
    });
    let found = [image, video, video_note, audio, document, sticker].into_iter().flatten().next();
    found.map_or_else(MediaMeta::default, |(mimetype, size, filename)| MediaMeta {
        filename: limits::name(filename),
        mimetype: limits::name(mimetype.as_ref()),
        size: size.and_then(limits::whole),
    })
}

/// The place; nothing for coordinates that are no numbers.
fn location(content: &Message) -> Option<LocationData> {
    let fixed = content.location_message.as_option();
    let live = content.live_location_message.as_option();
    let latitude = fixed.map_or_else(|| live?.degrees_latitude, |it| it.degrees_latitude)?;
    let longitude = fixed.map_or_else(|| live?.degrees_longitude, |it| it.degrees_longitude)?;
    (latitude.is_finite() && longitude.is_finite()).then(|| LocationData {
        latitude,
        longitude,
        name: fixed.and_then(|it| limits::name(it.name.as_ref())),
        address: fixed.and_then(|it| limits::name(it.address.as_ref())),
    })
}

/// One person, or several, their vCards one after the other.
fn contact(content: &Message) -> ContactData {
    let one = content.contact_message.as_option();
    let several = content.contacts_array_message.as_option();
    let name = one.map_or_else(|| several?.display_name.as_ref(), |it| it.display_name.as_ref());
    let cards: Vec<&str> = (one.into_iter())
        .chain(several.into_iter().flat_map(|it| &it.contacts))
        .filter_map(|contact: &ContactMessage| contact.vcard.as_deref())
        .collect();
    let vcard = limits::clip(&cards.join("\n"), limits::TEXT);
    ContactData { display_name: limits::name(name), vcard: Some(vcard).filter(|vcard| !vcard.is_empty()) }
}

/// The poll in a message.
pub fn poll(content: &Message) -> Option<&PollCreationMessage> {
    let versions = [
        &content.poll_creation_message,
        &content.poll_creation_message_v2,
        &content.poll_creation_message_v3,
        &content.poll_creation_message_v5,
        &content.poll_creation_message_v6,
    ];
    versions.into_iter().find_map(|poll| poll.as_option())
}

fn poll_data(poll: &PollCreationMessage) -> PollData {
    let option = |text: Option<&String>| limits::name(text).unwrap_or_default();
    let ends = poll.end_time.and_then(|ends| u64::try_from(ends).ok()).filter(|ends| *ends > 0);
    PollData {
        name: option(poll.name.as_ref()),
        options: poll
            .options
            .iter()
            .take(limits::OPTIONS)
            .map(|it| option(it.option_name.as_ref()))
            .collect(),
        selectable_count: poll.selectable_options_count.unwrap_or_default(),
        end_time: ends.map(|ends| if ends < SECONDS { ends * 1_000 } else { ends }).and_then(limits::whole),
        hide_votes: poll.hide_participant_name,
    }
}
