//! A chat of a session's, and what everybody in it receives.

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD as BASE64, BASE64_URL_SAFE_NO_PAD};
use futures::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::{Phone, Session, now_ms};

/// A chat of a session's, with everybody in it.
pub struct Place {
    pub session: Session,
    pub me: Phone,
    pub others: Vec<Phone>,
    pub jid: String,
}

impl Place {
    /// A chat of two.
    pub async fn of_two() -> Self {
        let (session, me) = Session::working().await;
        let friend = me.simulator.phone().await;
        Self { session, me, jid: friend.jid.clone(), others: vec![friend] }
    }

    /// A chat of two and a group of three, of one session.
    pub async fn both() -> [Self; 2] {
        let two = Self::of_two().await;
        let group = two.beside().await;
        [two, group]
    }

    /// A group of the same session, with two others; the first made it.
    pub async fn beside(&self) -> Self {
        let (session, me) = (self.session.clone(), self.me.clone());
        let others = vec![me.simulator.phone().await, me.simulator.phone().await];
        let jid = group(&others[0], &json!({ "participants": [me.number, others[1].number] })).await;
        Self { session, me, others, jid }
    }

    pub fn is_group(&self) -> bool {
        self.jid.ends_with("@g.us")
    }

    /// How somebody is named in a message about theirs.
    pub fn named(&self, author: &Phone) -> String {
        if self.is_group() { author.lid.clone() } else { author.jid.clone() }
    }

    /// The key of a message of somebody in here.
    pub fn key(&self, author: &Phone, id: &str) -> Value {
        let mut key = json!({ "id": id, "fromMe": author.number == self.me.number, "remoteJid": self.jid });
        if self.is_group() {
            key["participant"] = json!(author.lid);
        }
        key
    }

    /// What others write `to` to reach this chat.
    pub fn for_others(&self) -> &str {
        if self.is_group() { &self.jid } else { &self.me.jid }
    }

    pub async fn send(&self, body: &Value) -> Value {
        let mut body = body.clone();
        body["to"] = json!(self.jid);
        let sent = self.session.organization.post_json(&self.session.path("/messages"), &body).await;
        let sent = sent.expect(200);
        assert_eq!((&sent["mode"], &sent["status"]), (&json!("sync"), &json!("sent")), "{sent}");
        sent
    }

    /// Does something with a message in here.
    pub async fn about(&self, method: Method, id: &str, what: &str, mut body: Value) -> Value {
        body["chat"] = json!(self.jid);
        let path = self.session.path(&format!("/messages/{id}{what}"));
        let done = self.session.organization.call(method, &path, Some(&body)).await.expect(200);
        assert_eq!((&done["mode"], &done["status"]), (&json!("sync"), &json!("sent")), "{done}");
        done
    }

    /// What everybody received, which must be the same: `{kind, text, content}`. The own phone has it as its own.
    pub async fn received(&self, id: &str) -> Value {
        let all = self.others.iter().chain([&self.me]).map(async |phone| {
            let message = phone.received(id).await;
            let is_own = phone.number == self.me.number;
            assert_eq!(
                (&message["from"], &message["fromMe"]),
                (&json!(self.me.jid), &json!(is_own)),
                "{message}"
            );
            if self.is_group() || is_own {
                assert_eq!(message["chat"], self.jid.as_str(), "{message}");
            }
            json!({ "kind": message["kind"], "text": message["text"], "content": message["content"] })
        });
        let all = join_all(all).await;
        assert!(all.iter().all(|message| *message == all[0]), "{all:?}");
        all[0].clone()
    }

    /// A message of its own that everybody received, without its secret.
    pub async fn message(&self, id: &str) -> Value {
        let mut message = self.received(id).await;
        let secret = taken(&mut message["content"], "messageSecret");
        let secret = BASE64.decode(secret.as_str().unwrap()).unwrap();
        assert_eq!(secret.len(), 32, "{message}");
        message
    }

    /// What is about a message, without a secret: the library gives some of them one, which nobody needs.
    pub async fn said_about(&self, id: &str) -> Value {
        let mut message = self.received(id).await;
        message["content"].as_object_mut().unwrap().remove("messageSecret");
        message
    }

    /// The same with a file, without what is new with each upload; the file is what it must be.
    pub async fn with_file(&self, id: &str, file: &[u8]) -> Value {
        let mut message = self.message(id).await;
        check_file(&self.me, &mut message["content"], file).await;
        message
    }

    /// What the event of this type tells of it, all of it.
    pub async fn told(&self, event: &str, sent: &Value, rest: Value) {
        let id = sent["waMessageId"].as_str().unwrap();
        let told = self.session.event_of(event, id).await;
        let mut expected = json!({
            "waMessageId": id, "chatJid": self.jid, "senderJid": self.me.jid, "senderLid": self.me.lid,
            "fromMe": true, "hasMedia": false, "media": {}, "timestamp": sent["timestamp"],
        });
        extend(&mut expected, rest);
        assert_eq!(told["payload"], expected, "{event}");
    }

    pub async fn shown(&self, id: &str) -> Value {
        self.session.get(&format!("/messages/{id}?chat={}", self.jid)).await.expect(200)
    }
}

/// A group that somebody makes; its JID.
pub async fn group(creator: &Phone, more: &Value) -> String {
    let mut body = json!({ "subject": "Sends", "creator": creator.number });
    extend(&mut body, more.clone());
    let made = creator.simulator.call(Method::POST, "/groups", Some(&body)).await.expect(201);
    made["jid"].as_str().unwrap().to_owned()
}

pub fn extend(object: &mut Value, more: Value) {
    let Value::Object(more) = more else { panic!("{more}") };
    object.as_object_mut().unwrap().extend(more);
}

pub fn taken(object: &mut Value, name: &str) -> Value {
    let taken = object.as_object_mut().unwrap().remove(name);
    taken.unwrap_or_else(|| panic!("no {name} in {object}"))
}

pub fn id_of(sent: &Value) -> &str {
    sent["waMessageId"].as_str().unwrap()
}

/// A hash of a message as it stands in the media hosts' paths.
pub fn in_path(hash: &Value) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(BASE64.decode(hash.as_str().unwrap()).unwrap())
}

/// What a message says of its file must be true; only what differs between kinds is left of it.
pub async fn check_file(phone: &Phone, content: &mut Value, file: &[u8]) {
    assert_eq!(taken(content, "fileLength"), file.len());
    assert_eq!(taken(content, "fileSha256"), BASE64.encode(Sha256::digest(file)));
    let key = BASE64.decode(taken(content, "mediaKey").as_str().unwrap()).unwrap();
    assert_eq!(key.len(), 32);
    let made = taken(content, "mediaKeyTimestamp").as_u64().unwrap();
    assert!(made.abs_diff(now_ms() / 1_000) < 120, "{made}");
    let path = taken(content, "directPath");
    assert!(taken(content, "url").as_str().unwrap().ends_with(path.as_str().unwrap()), "{path}");
    let hash = in_path(&taken(content, "fileEncSha256"));
    let opened = phone.simulator.call(Method::GET, &format!("/media/{hash}"), None).await;
    assert_eq!(opened.status, 200, "{}", opened.text());
    assert!(opened.bytes == file, "{} bytes of {}", opened.bytes.len(), file.len());
}

/// A picture's preview: a JPEG, small.
pub fn check_thumbnail(content: &mut Value) -> Vec<u8> {
    let thumbnail = BASE64.decode(taken(content, "thumbnail").as_str().unwrap()).unwrap();
    assert!(thumbnail.starts_with(b"\xff\xd8\xff") && thumbnail.ends_with(b"\xff\xd9"));
    assert!(thumbnail.len() <= 5 * 1_024, "{}", thumbnail.len());
    thumbnail
}

/// What lets one play a file before all of it is there: ten bytes for each 64 KiB.
pub fn check_sidecar(content: &mut Value) {
    let sidecar = BASE64.decode(taken(content, "streamingSidecar").as_str().unwrap()).unwrap();
    assert!(!sidecar.is_empty() && sidecar.len().is_multiple_of(10), "{}", sidecar.len());
}

pub fn media_of(mimetype: &str, file: &[u8]) -> Value {
    json!({ "mimetype": mimetype, "size": file.len() })
}
