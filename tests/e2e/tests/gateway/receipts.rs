//! Receipts and typing, in chats of two and in groups: what is told of a message's way, what the session lets others know of
//! its reading, and that it types before it writes.

use serde_json::{Value, json};

use crate::harness::files::{base64, opus, png};
use crate::harness::{Patience, Phone, Session, eventually, tests};

tests![
    in_a_group_each_member_s_steps_are_told_and_the_status_only_rises,
    what_is_read_by_itself_is_read_before_anybody_is_told,
    a_chat_is_read_once,
    a_stopped_session_reads_nothing,
    typing_comes_before_a_text_and_before_nothing_else,
];

const SOON: Patience = Patience::seconds(30);

/// A session with two others, and a group of the three.
struct Circle {
    session: Session,
    me: Phone,
    ann: Phone,
    ben: Phone,
    group: String,
}

impl Circle {
    async fn new() -> Self {
        let (session, me) = Session::working().await;
        let (ann, ben) = (me.simulator.phone().await, me.simulator.phone().await);
        let group = ann.group(&[&me, &ben]).await;
        Self { session, me, ann, ben, group }
    }

    /// Ann writes, to the session itself or to the group, and that is told.
    async fn ann_writes(&self, chat: &str, text: &str) -> String {
        let id = self.ann.text(chat, text).await;
        self.session.event_of("message", &id).await;
        id
    }

    /// What has been asked for before this has been done: it goes the same way.
    async fn barrier(&self) {
        for chat in [&self.ann.number, &self.group] {
            let id = self.session.sent(chat, "barrier").await;
            self.ann.received(&id).await;
        }
    }
}

/// How often somebody was told that a message of theirs was read, and in which chat.
async fn read(author: &Phone, id: &str) -> Vec<Value> {
    let receipts = author.receipts().await.into_iter();
    let of_it = receipts
        .filter(|one| one["type"] == "read" && one["messageIds"].as_array().unwrap().contains(&json!(id)));
    of_it.map(|receipt| receipt["chat"].clone()).collect()
}

async fn in_a_group_each_member_s_steps_are_told_and_the_status_only_rises() {
    const LEVELS: [&str; 3] = ["delivered", "read", "played"];
    let Circle { session, me, ann, ben, group } = Circle::new().await;
    let note = json!({ "type": "audio", "to": group, "media": { "data": base64(&opus(1_000)) } });
    let sent = session.organization.post_json(&session.path("/messages"), &note).await.expect(200);
    let id = sent["waMessageId"].as_str().unwrap();
    let told = async |status: &str| {
        let is_it = |event: &Value| {
            event["payload"]["messageIds"] == json!([id]) && event["payload"]["status"] == status
        };
        session.event(0, "message.status", is_it).await
    };
    let shown = async || session.get(&format!("/messages/{id}?chat={group}")).await.expect(200);
    told("delivered").await;
    // Everybody reads it, one plays it; then once more what is behind it already.
    ann.read(&group, &[id]).await;
    let first = told("read").await;
    ben.read(&group, &[id]).await;
    ben.play(&group, &[id]).await;
    let last = told("played").await;
    assert_eq!(shown().await["status"], "played");
    ann.play(&group, &[id]).await;
    ann.read(&group, &[id]).await;
    ben.read(&group, &[id]).await;
    for phone in [&ann, &ben] {
        let barrier = phone.text(&group, "barrier").await;
        session.event_of("message", &barrier).await;
        assert_eq!((&shown().await["status"], &shown().await["ackLevel"]), (&json!("played"), &json!(4)));
    }
    // Of each of them each step, once and in order.
    let all = session.events("message.status").await;
    for phone in [&ann, &ben] {
        let of = all.iter().filter(|event| event["payload"]["senderJid"] == phone.jid.as_str());
        let statuses: Vec<&Value> = of.map(|event| &event["payload"]["status"]).collect();
        assert_eq!(statuses, LEVELS, "{}: {all:?}", phone.jid);
    }
    assert_eq!(all.len(), 2 * LEVELS.len(), "{all:?}");
    assert_eq!(first["payload"]["senderJid"], ann.jid.as_str(), "{first}");
    assert_eq!(last["payload"]["senderJid"], ben.jid.as_str(), "{last}");
    assert!(
        all.iter().all(|event| event["payload"]["chatJid"] == group.as_str()),
        "{all:?} of {}",
        me.number
    );
}

async fn what_is_read_by_itself_is_read_before_anybody_is_told() {
    let circle = Circle::new().await;
    let Circle { session, me, ann, ben, group } = &circle;
    for (author, chat) in [(ann, &me.number), (ann, group), (ben, group)] {
        let id = author.text(chat, "before").await;
        session.event_of("message", &id).await;
        assert_eq!(read(author, &id).await, Vec::<Value>::new(), "read although nobody asked for it");
    }
    session.organization.patch(&session.path(""), &json!({ "autoRead": true })).await.expect(200);
    let mut overtaken = Vec::new();
    for round in 0..4 {
        for (author, chat, shown) in [(ann, &me.number, &me.jid), (ann, group, group), (ben, group, group)] {
            let words = format!("{round} {chat} {}", author.number);
            // Somebody waits for it already: nobody could hear of it earlier. Then it is looked at once, and at once.
            let is_it = |event: &Value| event["payload"]["body"] == words.as_str();
            let hears = async {
                let event = session.event(0, "message", is_it).await;
                let id = event["payload"]["waMessageId"].as_str().unwrap().to_owned();
                (read(author, &id).await, id)
            };
            let ((at_once, told), id) = futures::join!(hears, author.text(chat, &words));
            assert_eq!(told, id, "{words}");
            if at_once.is_empty() {
                overtaken.push(words.clone());
            }
            eventually(&format!("{words} to be read"), Patience::seconds(10), async || {
                let read = read(author, &id).await;
                if read == [json!(shown)] { Ok(()) } else { Err(format!("{read:?}")) }
            })
            .await;
        }
    }
    // Sent before, on another socket: on a busy machine what was sent later may be read first, now and then. That what is not
    // receipted is in nobody's log is shown by the journal's own tests.
    assert!(overtaken.len() <= 4, "told before they were read: {overtaken:?}");
}

async fn a_chat_is_read_once() {
    let circle = Circle::new().await;
    let Circle { session, me, ann, group, .. } = &circle;
    let reads = async |chat: &str| {
        let chat = session.post(&format!("/chats/{chat}/read")).await.expect(200);
        assert_eq!(chat["unreadCount"], 0, "{chat}");
    };
    let mut all = Vec::new();
    for round in 1..=2 {
        for (chat, names) in [(&me.number, vec![&ann.number, &ann.jid, &ann.lid]), (group, vec![group; 3])] {
            for _ in 0..2 {
                all.push((circle.ann_writes(chat, "read me").await, chat.clone()));
            }
            for name in names {
                reads(name).await;
            }
        }
        circle.barrier().await;
        // Each of them once, also those of the round before.
        for (id, chat) in &all {
            let shown = if chat == group { group } else { &me.jid };
            assert_eq!(read(ann, id).await, [json!(shown)], "round {round}, {chat}");
        }
    }
}

async fn a_stopped_session_reads_nothing() {
    let circle = Circle::new().await;
    let Circle { session, me, ann, group, .. } = &circle;
    let ids = [circle.ann_writes(&me.number, "read me").await, circle.ann_writes(group, "read me").await];
    session.post(":stop").await.expect(200);
    for chat in [&ann.number, group] {
        let error = session.post(&format!("/chats/{chat}/read")).await.expect_error(409, "conflict");
        assert_eq!(error["details"]["status"], "stopped", "{error}");
    }
    session.post(":start").await.expect(200);
    session.wait_for_status("working", Patience::seconds(60)).await;
    circle.barrier().await;
    for id in &ids {
        assert_eq!(read(ann, id).await, Vec::<Value>::new(), "read by a stopped session");
    }
    for (chat, id) in [(&ann.number, &ids[0]), (group, &ids[1])] {
        session.post(&format!("/chats/{chat}/read")).await.expect(200);
        eventually("the read receipt", SOON, async || {
            let read = read(ann, id).await;
            if read.len() == 1 { Ok(()) } else { Err(format!("{read:?}")) }
        })
        .await;
    }
    // There is nothing left to do for it.
    session.post(":stop").await.expect(200);
    for chat in [&ann.number, group] {
        let chat = session.post(&format!("/chats/{chat}/read")).await.expect(200);
        assert_eq!(chat["unreadCount"], 0, "{chat}");
    }
}

async fn typing_comes_before_a_text_and_before_nothing_else() {
    let Circle { session, me, ann, ben, group } = Circle::new().await;
    session.organization.patch(&session.path(""), &json!({ "presenceTyping": true })).await.expect(200);
    let picture = json!({ "type": "image", "caption": "not typed", "media": { "data": base64(&png(4, 4)) } });
    for (to, chat, readers) in [(&ann.number, &me.jid, vec![&ann]), (&group, &group, vec![&ann, &ben])] {
        let mut picture = picture.clone();
        picture["to"] = json!(to);
        let sent = session.organization.post_json(&session.path("/messages"), &picture).await.expect(200);
        ann.received(sent["waMessageId"].as_str().unwrap()).await;
        for reader in &readers {
            assert_eq!(reader.typing(chat).await, Vec::<Value>::new(), "typed before a picture");
        }
        let id = session.sent(to, "typed").await;
        let arrived = me.simulator.stanzas(&id).await["at"][0].as_u64().unwrap();
        for reader in readers {
            let typing = reader.typing(chat).await;
            let states: Vec<&Value> = typing.iter().map(|one| &one["state"]).collect();
            assert_eq!(states, ["composing", "paused"], "{typing:?}");
            assert!(typing.iter().all(|one| one["from"] == me.jid.as_str()), "{typing:?}");
            let [began, ended] = [0, 1].map(|place: usize| typing[place]["at"].as_u64().unwrap());
            assert!(began < ended && ended < arrived, "{began}, {ended}, and it arrived at {arrived}");
        }
    }
}
