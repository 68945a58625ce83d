//! The payloads against the contract's `schemas.json`, where that lies beside the repository.

use serde_json::{Value, json};

use super::*;
use crate::lifecycle::Status;

const SCHEMAS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/contract/schemas.json");

/// What we tell beyond the contract.
const OURS: [(&str, &str); 1] = [("AuthQRPayload", "expiresAt")];

fn message() -> MessagePayload {
    let text = || Some("x".to_owned());
    let mentioned = MentionData { push_name: text(), tag: text() };
    MessagePayload {
        wa_message_id: "A".into(),
        chat_jid: "1@g.us".into(),
        sender_jid: text(),
        sender_lid: text(),
        from_me: true,
        push_name: text(),
        r#type: "poll".into(),
        body: text(),
        has_media: true,
        media: MediaMeta { filename: text(), mimetype: text(), size: Some(1) },
        location: Some(LocationData { latitude: 1.5, longitude: -2.0, name: text(), address: text() }),
        contact: Some(ContactData { display_name: text(), vcard: text() }),
        poll: Some(poll()),
        mentions: [("2@lid".to_owned(), mentioned)].into(),
        quoted_message_id: text(),
        quoted_body: text(),
        quoted_from_me: Some(true),
        quoted_sender_jid: text(),
        quoted_sender_lid: text(),
        target_id: text(),
        reaction: Some(String::new()),
        selected_options: Some(vec!["a".into()]),
        timestamp: 1,
    }
}

fn poll() -> PollData {
    PollData {
        name: "q".into(),
        options: vec!["a".into(), "b".into()],
        selectable_count: 1,
        end_time: Some(2),
        hide_votes: Some(false),
    }
}

fn recap() -> PollRecapPayload {
    let voter = PollRecapVoter {
        voter_id: "1@lid".into(),
        display_name: "x".into(),
        selected_options: vec!["a".into()],
    };
    PollRecapPayload {
        options: vec![PollRecapOption { option: "a".into(), count: 1 }],
        voters: Some(vec![voter]),
        ..PollRecapPayload::default()
    }
}

fn group() -> GroupPayload {
    let (text, people) = (|| Some("x".to_owned()), || Some(vec!["1@lid".to_owned()]));
    GroupPayload {
        group_jid: "1@g.us".into(),
        sender: text(),
        subject: text(),
        description: text(),
        is_announce: Some(true),
        is_locked: Some(false),
        new_invite_link: text(),
        join: people(),
        leave: people(),
        promote: people(),
        demote: people(),
        reason: text(),
        timestamp: Some(1),
    }
}

/// Every payload, as full as it gets and as empty, under its name in the contract.
fn samples() -> Vec<(&'static str, Value)> {
    let text = || Some("x".to_owned());
    let presence = PresenceStatus {
        from: "1@lid".into(),
        chat_jid: text(),
        state: "composing".into(),
        media: Some("audio".into()),
        unavailable: Some(false),
        last_seen: Some(1),
    };
    let status = MessageStatusPayload {
        chat_jid: "1@g.us".into(),
        message_ids: vec!["A".into()],
        sender_jid: text(),
        status: "read".into(),
        timestamp: 1,
    };
    let chat = ChatUpdatePayload {
        chat_jid: "1@g.us".into(),
        change: "picture".into(),
        picture_id: text(),
        removed: Some(false),
    };
    let contact = ContactUpdatePayload {
        jid: "1@lid".into(),
        first_name: text(),
        full_name: text(),
        push_name: text(),
    };
    let call = CallPayload {
        call_id: "C".into(),
        from: "1@lid".into(),
        is_group: true,
        group_jid: text(),
        timestamp: 1,
    };
    let code = AuthCodePayload { jid: text(), lid: text(), business_name: text(), platform: text() };
    let nothing = AuthCodePayload { jid: None, lid: None, business_name: None, platform: None };
    let there = PresenceStatus { state: "available".into(), ..PresenceStatus::default() };
    vec![
        ("SessionStatusPayload", json!(SessionStatusPayload { status: Status::ScanQrCode })),
        ("AuthQRPayload", json!(AuthQrPayload { code: "2@".into(), expires_at: 1 })),
        ("AuthCodePayload", json!(code)),
        ("AuthCodePayload", json!(nothing)),
        ("MessagePayload", json!(message())),
        ("MessagePayload", json!(MessagePayload::default())),
        ("LocationData", json!(LocationData::default())),
        ("ContactData", json!(ContactData::default())),
        ("PollData", json!(PollData::default())),
        ("MentionData", json!(message().mentions["2@lid"])),
        ("MentionData", json!(MentionData::default())),
        ("MediaMeta", json!(MediaMeta::default())),
        ("MessageStatusPayload", json!(status)),
        ("PollRecapPayload", json!(recap())),
        ("PollRecapPayload", json!(PollRecapPayload::default())),
        ("PresenceStatus", json!(presence)),
        ("PresenceStatus", json!(there)),
        ("ChatUpdatePayload", json!(chat)),
        ("ChatUpdatePayload", json!(ChatUpdatePayload::default())),
        ("ContactUpdatePayload", json!(contact)),
        ("ContactUpdatePayload", json!(ContactUpdatePayload::default())),
        ("GroupPayload", json!(group())),
        ("GroupPayload", json!(GroupPayload::default())),
        ("CallPayload", json!(call)),
        ("CallPayload", json!(CallPayload::default())),
        ("NewsletterPayload", json!(NewsletterPayload { jid: "1@newsletter".into(), action: "mute".into() })),
    ]
}

#[test]
fn every_payload_is_as_the_contract_has_it() {
    let Ok(text) = std::fs::read_to_string(SCHEMAS) else {
        println!("schemas.json is not beside the repository: nothing to compare with");
        return;
    };
    let contract: Value = serde_json::from_str(&text).unwrap();
    let schemas = &contract["schemas"];
    let mut faults = Vec::new();
    for (name, sample) in samples() {
        hold(schemas, name, &sample, &mut faults);
    }
    assert!(faults.is_empty(), "{faults:#?}");
    // As full as it gets is everything the contract knows.
    for (name, sample) in [("MessagePayload", json!(message())), ("GroupPayload", json!(group()))] {
        let known = schemas[name].as_object().unwrap().keys();
        let missing: Vec<_> = known.filter(|field| sample.get(field).is_none()).collect();
        assert!(missing.is_empty(), "{name} never has {missing:?}");
    }
}

/// Holds an object against its schema.
fn hold(schemas: &Value, name: &str, value: &Value, faults: &mut Vec<String>) {
    let schema = schemas[name].as_object().unwrap_or_else(|| panic!("the contract has no {name}"));
    let Some(object) = value.as_object() else { return faults.push(format!("{name}: not an object")) };
    for field in object.keys().filter(|field| !schema.contains_key(*field)) {
        if !OURS.contains(&(name, field)) {
            faults.push(format!("{name}.{field}: not in the contract"));
        }
    }
    for (field, spec) in schema {
        let place = format!("{name}.{field}");
        match object.get(field) {
            Some(value) => hold_field(schemas, &place, spec, value, faults),
            None if spec["required"] == true => faults.push(format!("{place}: missing")),
            None => {}
        }
    }
}

fn hold_field(schemas: &Value, place: &str, spec: &Value, value: &Value, faults: &mut Vec<String>) {
    if let Some(name) = spec["ref"].as_str() {
        return hold(schemas, name, value, faults);
    }
    let fits = match spec["type"].as_str() {
        Some("string") => value.is_string(),
        Some("boolean") => value.is_boolean(),
        Some("integer") => value.is_i64(),
        Some("number") => value.is_number(),
        Some("array") => value.is_array(),
        Some("object") => value.is_object(),
        _ => false,
    };
    if !fits {
        faults.push(format!("{place}: {value} is no {}", spec["type"]));
    }
    if let Some(known) = spec["enum"].as_array()
        && !known.contains(value)
    {
        faults.push(format!("{place}: {value} is none of {known:?}"));
    }
    for item in value.as_array().into_iter().flatten() {
        hold_field(schemas, place, &spec["items"], item, faults);
    }
}
