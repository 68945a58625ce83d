//! A session that is asked for what can't be done, and what it can be asked for.

use reqwest::Method;
use serde_json::{Value, json};

use super::files::{base64, mp4, opus, pdf, png, webp};
use super::{Answer, Organization, Phone, Session};

pub const KINDS: [&str; 10] =
    ["text", "poll", "location", "contact", "image", "video", "audio", "document", "sticker", "album"];

/// The smallest body of each type that is taken.
pub fn smallest(kind: &str) -> Value {
    let data = |file: &[u8]| json!({ "media": { "data": base64(file) } });
    let mut body = match kind {
        "text" => json!({ "text": "hi" }),
        "poll" => json!({ "name": "Tea?", "options": ["yes", "no"] }),
        "location" => json!({ "latitude": 52.5, "longitude": 13.4 }),
        "contact" => json!({ "contact": { "name": "Jane", "phone": "4915112345678" } }),
        "image" => data(&png(2, 2)),
        "video" => data(&mp4(2, 2, 500, 600)),
        "audio" => data(&opus(500)),
        "document" => data(&pdf(20)),
        "sticker" => data(&webp(512, 512)),
        _ => json!({ "medias": [{ "data": base64(&png(2, 2)) }, { "data": base64(&png(2, 2)) }] }),
    };
    body["type"] = json!(kind);
    body
}

/// A body with one member more, or another, or (for `null`) one less.
pub fn with(body: &Value, path: &str, value: &Value) -> Value {
    let mut changed = body.clone();
    let (parent, name) = path.rsplit_once('/').unwrap();
    match changed.pointer_mut(parent).unwrap() {
        Value::Object(object) if value.is_null() => drop(object.remove(name)),
        Value::Object(object) => drop(object.insert(name.to_owned(), value.clone())),
        Value::Array(list) => list[name.parse::<usize>().unwrap()] = value.clone(),
        other => panic!("{other} has no members"),
    }
    changed
}

/// A session that works, and somebody to whom nothing of all that comes.
pub struct Desk {
    pub session: Session,
    pub me: Phone,
    pub friend: Phone,
}

impl Desk {
    pub async fn new() -> Self {
        Self::on(&Organization::new()).await
    }

    pub async fn on(organization: &Organization) -> Self {
        let (session, me) = Session::working_in(organization).await;
        let friend = me.simulator.phone().await;
        Self { session, me, friend }
    }

    /// Sends it to the friend, unless it says to whom.
    pub async fn send(&self, body: &Value) -> Answer {
        let mut body = body.clone();
        if let Some(fields) = body.as_object_mut() {
            fields.entry("to").or_insert_with(|| json!(self.friend.number));
        }
        self.session.organization.post_json(&self.session.path("/messages"), &body).await
    }

    /// What is sent must be refused, and name this field. What was begun is over.
    pub async fn refused(&self, body: &Value, field: &str) -> Value {
        let answer = self.send(body).await;
        let sent = body.to_string();
        let named = format!("{} after {} bytes: {sent:.300}", answer.text(), sent.len());
        assert_eq!(answer.status, 400, "{named}");
        let error = answer.expect_error(400, "validation_error");
        assert_eq!(error["details"]["field"], field, "{named}");
        if let Some(id) = error["details"]["waMessageId"].as_str() {
            let shown = self.session.get(&format!("/messages/{id}")).await.expect(200);
            assert_eq!(shown["status"], "failed", "{shown}");
        }
        error
    }

    /// It arrives.
    pub async fn taken(&self, body: &Value) -> Value {
        let answer = self.send(body).await;
        assert_eq!(answer.status, 200, "{}: {:.300}", answer.text(), body.to_string());
        self.friend.received(answer.json()["waMessageId"].as_str().unwrap()).await
    }

    /// Does something with a message.
    pub async fn about(&self, operation: &Operation, id: &str, body: &Value) -> Answer {
        let path = self.session.path(&format!("/messages/{id}{}", operation.path));
        self.session.organization.call(operation.method.clone(), &path, Some(body)).await
    }

    /// Only so many messages came through, and the next one does.
    pub async fn works(&self, arrived: usize) {
        assert_eq!(self.session.row().await["status"], "working");
        let id = self.session.sent(&self.friend.number, "still here").await;
        self.friend.received(&id).await;
        let messages = self.friend.messages().await;
        assert_eq!(messages.len(), arrived + 1, "something came through: {messages:?}");
        let mut told = self.session.events("message.from_me").await;
        told.retain(|event| event["payload"]["chatJid"] == self.friend.jid.as_str());
        assert_eq!(told.len(), arrived + 1, "{told:?}");
    }
}

/// Something that can be done with a message.
pub struct Operation {
    pub method: Method,
    pub path: &'static str,
    pub name: &'static str,
}

pub const EDIT: Operation = Operation { method: Method::PATCH, path: "", name: "edit" };
pub const REVOKE: Operation = Operation { method: Method::DELETE, path: "", name: "revoke" };
pub const REACT: Operation = Operation { method: Method::POST, path: "/reaction", name: "react" };
pub const TAKE_BACK: Operation = Operation { method: Method::DELETE, path: "/reaction", name: "take back" };
pub const FORWARD: Operation = Operation { method: Method::POST, path: "/forward", name: "forward" };
pub const VOTE: Operation = Operation { method: Method::POST, path: "/vote", name: "vote" };
pub const OPERATIONS: [Operation; 6] = [EDIT, REVOKE, REACT, TAKE_BACK, FORWARD, VOTE];

impl Operation {
    /// A body that would be taken.
    pub fn body(&self, chat: &str) -> Value {
        let mut body = json!({ "chat": chat });
        match self.name {
            "edit" => body["text"] = json!("new"),
            "react" => body["emoji"] = json!("👍"),
            "forward" => body["to"] = json!(chat),
            "vote" => body["options"] = json!(["yes"]),
            _ => {}
        }
        body
    }
}
