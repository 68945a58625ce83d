//! What is told besides messages, pinned: built of the library's own types.

mod groups;

use serde_json::{Value, json};
use whatsapp_rust::Jid;
use whatsapp_rust::chrono::{DateTime, Utc};
use whatsapp_rust::types::call::{CallAction, IncomingCall};
use whatsapp_rust::types::events::{
    ArchiveUpdate, ChatPresenceUpdate, ClearChatUpdate, Connected, ContactNumberChanged, ContactUpdate,
    ContactUpdated, DeleteChatUpdate, Event, MarkChatAsReadUpdate, MexNotification, MuteUpdate,
    PictureUpdate, PinUpdate, PresenceUpdate, PushNameUpdate, UserAboutUpdate,
};
use whatsapp_rust::types::message::{MessageInfo, MessageSource};
use whatsapp_rust::types::presence::{ChatPresence, ChatPresenceMedia};
use whatsapp_rust::wacore::stanza::groups::GroupNotificationAction as Action;
use whatsapp_rust::waproto::whatsapp::sync_action_value::{
    ArchiveChatAction, ClearChatAction, ContactAction, DeleteChatAction, MarkChatAsReadAction, MuteAction,
    PinAction,
};

use super::{Told, is_delivered_once, tell};
use crate::names::WhoIs;

/// Knows Ann only, who is 777 and 4917.
struct Ann;

impl WhoIs for Ann {
    fn phone_of(&self, lid: &str) -> Option<String> {
        (lid == "777@lid").then(|| "4917@s.whatsapp.net".to_owned())
    }
}

const AT: u64 = 1_700_000_000_000;

fn at() -> DateTime<Utc> {
    DateTime::from_timestamp(1_700_000_000, 0).unwrap()
}

fn jid(jid: &str) -> Jid {
    jid.parse().unwrap()
}

fn told(event: &Event) -> (&'static str, Value) {
    let Told { event, payload, .. } = tell(event, &Ann).unwrap();
    (event, serde_json::from_str(&payload).unwrap())
}

#[test]
fn presence_is_told() {
    let there = PresenceUpdate::builder().from(jid("777@lid")).unavailable(false).build();
    let payload = json!({"from": "4917@s.whatsapp.net", "state": "available", "unavailable": false});
    assert_eq!(told(&Event::Presence(there)), ("presence.update", payload));
    let gone = PresenceUpdate::builder().from(jid("778@lid")).unavailable(true).last_seen(at()).build();
    let payload = json!({"from": "778@lid", "state": "unavailable", "unavailable": true, "lastSeen": AT});
    assert_eq!(told(&Event::Presence(gone)), ("presence.update", payload));
}

#[test]
fn who_writes_or_speaks_is_told() {
    let update = |chat: &str, state, media| {
        let source = MessageSource { chat: jid(chat), sender: jid("777:3@lid"), ..MessageSource::default() };
        Event::ChatPresence(ChatPresenceUpdate::builder().source(source).state(state).media(media).build())
    };
    let payload =
        json!({"from": "4917@s.whatsapp.net", "chatJid": "1@g.us", "state": "composing", "media": "audio"});
    let speaks = update("1@g.us", ChatPresence::Composing, ChatPresenceMedia::Audio);
    assert_eq!(told(&speaks), ("presence.update", payload));
    let payload = json!({"from": "4917@s.whatsapp.net", "chatJid": "4917@s.whatsapp.net", "state": "paused"});
    let stopped = update("777@lid", ChatPresence::Paused, ChatPresenceMedia::Text);
    assert_eq!(told(&stopped), ("presence.update", payload));
}

/// Every way a chat is arranged, on and off; `true` for the state after a pairing.
fn arranged(full: bool, is: bool) -> Vec<Event> {
    let (on, chat) = (Some(is), || jid("777@lid"));
    let archive = ArchiveChatAction { archived: on, ..ArchiveChatAction::default() };
    let read = MarkChatAsReadAction { read: on, ..MarkChatAsReadAction::default() };
    let mute = MuteAction { muted: on, ..MuteAction::default() };
    let (clear, delete) = (ClearChatAction::default(), DeleteChatAction::default());
    let archive = ArchiveUpdate::builder().jid(chat()).timestamp(at()).action(Box::new(archive));
    let pin = PinUpdate::builder().jid(chat()).timestamp(at()).action(Box::new(PinAction { pinned: on }));
    let mute = MuteUpdate::builder().jid(chat()).timestamp(at()).action(Box::new(mute));
    let read = MarkChatAsReadUpdate::builder().jid(chat()).timestamp(at()).action(Box::new(read));
    let clear = ClearChatUpdate::builder()
        .jid(chat())
        .delete_starred(is)
        .delete_media(is)
        .timestamp(at())
        .action(Box::new(clear));
    let delete =
        DeleteChatUpdate::builder().jid(chat()).delete_media(is).timestamp(at()).action(Box::new(delete));
    vec![
        Event::ArchiveUpdate(archive.from_full_sync(full).build()),
        Event::PinUpdate(pin.from_full_sync(full).build()),
        Event::MuteUpdate(mute.from_full_sync(full).build()),
        Event::MarkChatAsReadUpdate(read.from_full_sync(full).build()),
        Event::ClearChatUpdate(clear.from_full_sync(full).build()),
        Event::DeleteChatUpdate(delete.from_full_sync(full).build()),
    ]
}

#[test]
fn what_the_owner_does_with_a_chat_is_told() {
    let changes = |is| arranged(false, is).iter().map(told).collect::<Vec<_>>();
    let expected = |names: [&str; 6]| {
        let payload = |change: &str| json!({"chatJid": "4917@s.whatsapp.net", "change": change});
        names.map(|change| ("chat.update", payload(change))).to_vec()
    };
    assert_eq!(changes(true), expected(["archive", "pin", "mute", "read", "clear", "delete"]));
    assert_eq!(changes(false), expected(["unarchive", "unpin", "unmute", "unread", "clear", "delete"]));
}

#[test]
fn the_state_after_a_pairing_is_no_change() {
    assert!(arranged(true, true).iter().all(|event| tell(event, &Ann).is_none()));
}

#[test]
fn a_picture_is_told_with_its_id() {
    let update = |jid: Jid, removed, id: Option<&str>| {
        let picture = PictureUpdate::builder().jid(jid).timestamp(at()).removed(removed);
        Event::PictureUpdate(picture.maybe_picture_id(id.map(str::to_owned)).build())
    };
    let payload = json!({"chatJid": "1@g.us", "change": "picture", "pictureId": "55", "removed": false});
    assert_eq!(told(&update(jid("1@g.us"), false, Some("55"))), ("chat.update", payload));
    let payload = json!({"chatJid": "4917@s.whatsapp.net", "change": "picture", "removed": true});
    assert_eq!(told(&update(jid("777@lid"), true, None)), ("chat.update", payload));
}

#[test]
fn a_contact_is_told_as_the_address_book_has_it() {
    let update = |full| {
        let action = ContactAction {
            full_name: Some("Ann Lee".into()),
            first_name: Some("Ann".into()),
            pn_jid: Some("4917@s.whatsapp.net".into()),
            ..ContactAction::default()
        };
        let update = ContactUpdate::builder().jid(jid("779@lid")).timestamp(at()).action(Box::new(action));
        Event::ContactUpdate(update.from_full_sync(full).build())
    };
    let payload = json!({"jid": "4917@s.whatsapp.net", "firstName": "Ann", "fullName": "Ann Lee"});
    assert_eq!(told(&update(false)), ("contact.update", payload));
    assert!(tell(&update(true), &Ann).is_none());
}

#[test]
fn what_somebody_changes_about_themselves_is_told() {
    let ann = || jid("777@lid");
    let renamed = PushNameUpdate::builder()
        .jid(ann())
        .message(Box::new(MessageInfo::default()))
        .old_push_name("Anne".into())
        .new_push_name("Ann".into())
        .build();
    let payload = json!({"jid": "4917@s.whatsapp.net", "pushName": "Ann"});
    assert_eq!(told(&Event::PushNameUpdate(renamed)), ("contact.update", payload));
    let moved =
        ContactNumberChanged::builder().old_jid(jid("4910@s.whatsapp.net")).new_jid(ann()).timestamp(at());
    for event in [
        Event::ContactUpdated(ContactUpdated::builder().jid(ann()).timestamp(at()).build()),
        Event::UserAboutUpdate(
            UserAboutUpdate::builder().jid(ann()).status("busy".into()).timestamp(at()).build(),
        ),
        Event::ContactNumberChanged(moved.build()),
    ] {
        assert_eq!(told(&event), ("contact.update", json!({"jid": "4917@s.whatsapp.net"})));
    }
}

fn call(from: &str, action: CallAction) -> Event {
    let call = IncomingCall::builder()
        .from(jid(from))
        .stanza_id("S".into())
        .timestamp(at())
        .offline(false)
        .action(action);
    Event::IncomingCall(call.build())
}

#[test]
fn that_somebody_calls_is_told_once() {
    let offer = |group: Option<&str>| CallAction::Offer {
        call_id: "C".into(),
        call_creator: jid("778:3@lid"),
        caller_pn: Some(jid("4918@s.whatsapp.net")),
        caller_country_code: None,
        device_class: None,
        joinable: false,
        is_video: true,
        audio: vec![],
        group_jid: group.map(jid),
    };
    let ringing = call("778@lid", offer(None));
    let payload = json!({"callId": "C", "from": "4918@s.whatsapp.net", "isGroup": false, "timestamp": AT});
    assert_eq!(told(&ringing), ("call.incoming", payload));
    let payload = json!({"callId": "C", "from": "4918@s.whatsapp.net", "isGroup": true, "groupJid": "1@g.us", "timestamp": AT});
    assert_eq!(told(&call("778@lid", offer(Some("1@g.us")))), ("call.incoming", payload));
    let notice = CallAction::OfferNotice {
        call_id: "C".into(),
        call_creator: jid("777@lid"),
        is_video: false,
        is_group: true,
    };
    let notice = call("1@g.us", notice);
    let payload = json!({"callId": "C", "from": "4917@s.whatsapp.net", "isGroup": true, "groupJid": "1@g.us", "timestamp": AT});
    assert_eq!(told(&notice), ("call.incoming", payload));
    assert_eq!(tell(&notice, &Ann).unwrap().occasion, tell(&ringing, &Ann).unwrap().occasion);
    let over = CallAction::Reject { call_id: "C".into(), call_creator: jid("777@lid"), reason: None };
    assert!(tell(&call("777@lid", over), &Ann).is_none());
}

#[test]
fn joining_leaving_and_muting_a_channel_is_told() {
    let notification = |data: Value| {
        let told = MexNotification::builder().op_name("x".into()).payload(json!({"data": data}));
        Event::MexNotification(told.maybe_stanza_id(Some("S".into())).build())
    };
    let id = json!({"id": "12@newsletter", "mute": "ON"});
    for (field, action) in [
        ("xwa2_notify_newsletter_on_join", "join"),
        ("xwa2_notify_newsletter_on_leave", "leave"),
        ("xwa2_notify_newsletter_on_mute_change", "mute"),
    ] {
        let payload = json!({"jid": "12@newsletter", "action": action});
        assert_eq!(told(&notification(json!({field: id.clone()}))), ("newsletter.update", payload));
    }
    for strange in [json!({}), json!(null), json!({"xwa2_notify_newsletter_on_join": {"id": 7}})] {
        assert!(tell(&notification(strange), &Ann).is_none());
    }
}

#[test]
fn what_may_come_again_has_an_occasion_and_what_passes_has_none() {
    let mut once = arranged(false, true);
    once.push(groups::group(Action::Announce));
    assert!(
        once.iter().all(|event| is_delivered_once(event) && tell(event, &Ann).unwrap().occasion.is_some())
    );
    let occasions: Vec<_> = once.iter().map(|event| tell(event, &Ann).unwrap().occasion).collect();
    let mut different = occasions.clone();
    different.sort_unstable();
    different.dedup();
    assert_eq!(different.len(), occasions.len());
    let there = PresenceUpdate::builder().from(jid("777@lid")).unavailable(false).build();
    let there = Event::Presence(there);
    assert!(!is_delivered_once(&there) && tell(&there, &Ann).unwrap().occasion.is_none());
    assert!(tell(&Event::Connected(Connected::builder().build()), &Ann).is_none());
}
