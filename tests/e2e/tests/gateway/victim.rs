//! A send that is killed on its way, and how it is shown that it reached the person exactly once.

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use crate::harness::{Patience, Phone, Session, eventually, send, with_json};

const SOON: Patience = Patience::seconds(40);

/// Where a send stands when it is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stand {
    /// Where the object stops it.
    At(&'static str),
    /// WhatsApp has it and the object doesn't know: its acknowledgement was lost. Of an album, behind so many messages that
    /// were acknowledged.
    Unacked(usize),
}

/// One send, with its key.
pub struct Victim {
    pub name: String,
    pub session: Session,
    pub me: Phone,
    pub friend: Phone,
    /// Who else gets it.
    pub others: Vec<Phone>,
    pub stand: Stand,
    pub is_async: bool,
    pub method: Method,
    pub path: String,
    pub body: Value,
    /// How many messages it becomes.
    pub messages: usize,
    /// What tells of each of them.
    pub event: &'static str,
    /// What else must be true of the message it is about.
    pub row: Option<(String, Value)>,
    /// How many messages the friend has already.
    pub known: usize,
}

/// What is seen of a victim before it is killed.
pub struct Before {
    /// What came at the friend's.
    pub messages: Vec<Value>,
    /// How often WhatsApp got the one it has not been heard to have.
    pub received: u64,
}

/// What somebody is answered who may be cut off.
pub async fn answered(request: RequestBuilder) -> Option<Value> {
    let answer = request.send().await.ok()?;
    let is_done = answer.status().is_success();
    serde_json::from_str(&answer.text().await.ok()?).ok().filter(|_| is_done)
}

impl Victim {
    pub fn request(&self) -> RequestBuilder {
        let request = self.session.organization.request(self.method.clone(), &self.path);
        with_json(request.header("idempotency-key", self.name.replace([' ', '"'], "-")), &self.body)
    }

    pub async fn ask(&self) -> Value {
        let again = send(self.request()).await;
        again.expect(if self.is_async { 202 } else { 200 })
    }

    /// What came at the friend's of it.
    async fn came(&self, phone: &Phone) -> Vec<Value> {
        let known = if phone.number == self.friend.number { self.known } else { 0 };
        phone.messages().await.split_off(known)
    }

    pub async fn stands(&self) {
        let Stand::Unacked(acked) = self.stand else { return };
        eventually(&format!("{} to have left", self.name), SOON, async || {
            let came = self.came(&self.friend).await.len();
            if came == acked + 1 { Ok(()) } else { Err(came.to_string()) }
        })
        .await;
    }

    pub async fn before(&self) -> Before {
        let messages = self.came(&self.friend).await;
        let received = match (self.stand, messages.last()) {
            (Stand::Unacked(_), Some(last)) => {
                let id = last["messageId"].as_str().unwrap();
                let stanzas = self.me.simulator.stanzas(id).await;
                assert_eq!(stanzas["delivered"], 1, "{}: {stanzas}", self.name);
                stanzas["received"].as_u64().unwrap()
            }
            _ => 0,
        };
        Before { messages, received }
    }

    /// Asks the same until there is an answer: 409 while the attempt that was killed still has the key.
    pub async fn ask_until_answered(&self) -> Value {
        eventually(&format!("an answer to {}", self.name), Patience::seconds(120), async || {
            let answer = self.request().send().await.map_err(|error| error.to_string())?;
            let (status, text) = (answer.status().as_u16(), answer.text().await.unwrap_or_default());
            match status {
                200 | 202 => Ok(serde_json::from_str(&text).unwrap()),
                409 | 500 | 503 => Err(format!("{status} {text}")),
                _ => panic!("{}: {status} {text}", self.name),
            }
        })
        .await
    }

    /// What everybody received of it, and how often WhatsApp took it.
    pub async fn received_once(&self, before: &Before, answer: &Value) {
        let name = &self.name;
        let id = answer["waMessageId"].as_str().unwrap_or_else(|| panic!("{name}: {answer}"));
        if self.is_async {
            self.session.entry_is(answer, "sent", Patience::seconds(60)).await;
        }
        for phone in self.others.iter().chain([&self.friend]) {
            phone.received(id).await;
            let came = self.came(phone).await;
            assert_eq!(came.len(), self.messages, "{name} at {}: {came:?}", phone.number);
            assert_eq!(came[0]["messageId"], id, "{name}: {came:?}");
        }
        let came = self.came(&self.friend).await;
        assert_eq!(came[..before.messages.len()], before.messages, "{name}: another than before the kill");
        let stood_at = if let Stand::Unacked(place) = self.stand { Some(place) } else { None };
        for (place, message) in came.iter().enumerate() {
            let id = message["messageId"].as_str().unwrap();
            let stanzas = self.me.simulator.stanzas(id).await;
            // Once more than before the kill, and dropped for having been there.
            let again = if stood_at == Some(place) { before.received } else { 0 };
            assert_eq!(
                (&stanzas["received"], &stanzas["delivered"], &stanzas["dropped"]),
                (&json!(again + 1), &json!(1), &json!(again)),
                "{name}, message {place}: {stanzas}"
            );
            if again > 0 {
                self.said_the_same(message, again).await;
            }
        }
    }

    /// What was dropped said what had been said.
    async fn said_the_same(&self, message: &Value, times: u64) {
        let said = |message: &Value| {
            let mut said = ["chat", "kind", "text", "content"].map(|field| message[field].clone());
            // What is about a message needs no secret, and is given one by the library each time it goes.
            if self.event != "message.from_me" {
                said[3].as_object_mut().unwrap().remove("messageSecret");
            }
            said
        };
        for phone in self.others.iter().chain([&self.friend]) {
            let dropped = eventually(&format!("what was dropped of {}", self.name), SOON, async || {
                let mut dropped = phone.dropped().await;
                dropped.retain(|one| one["messageId"] == message["messageId"]);
                if dropped.len() as u64 == times { Ok(dropped) } else { Err(format!("{dropped:?}")) }
            })
            .await;
            let theirs = phone.received(message["messageId"].as_str().unwrap()).await;
            assert!(
                dropped.iter().all(|one| said(one) == said(&theirs)),
                "{}: {dropped:?} {theirs}",
                self.name
            );
        }
    }

    /// The session's own word on it: each message once, no failure, and what it is about is as it should be.
    pub async fn told_once(&self, answer: &Value) {
        let log = self.session.log().await;
        let came = self.came(&self.friend).await;
        for message in &came {
            let id = &message["messageId"];
            let told: Vec<&Value> =
                log.iter().filter(|event| event["payload"]["waMessageId"] == *id).collect();
            let types: Vec<&Value> = told.iter().map(|event| &event["event"]).collect();
            assert_eq!(types, [self.event], "{}: {told:?}", self.name);
            let of_it = |event: &&Value| {
                event["payload"]["messageIds"].as_array().is_some_and(|ids| ids.contains(id))
            };
            let statuses: Vec<&Value> =
                log.iter().filter(of_it).map(|event| &event["payload"]["status"]).collect();
            assert!(!statuses.contains(&&json!("failed")), "{}: {statuses:?}", self.name);
            let sent = statuses.iter().filter(|status| **status == "sent").count();
            // Of what nobody waits for it is told that it was sent, unless it is known to have come further by then.
            let is_first = *id == answer["waMessageId"];
            let is_further = statuses.iter().any(|status| **status == "delivered");
            let least = usize::from(is_first && self.is_async && !is_further);
            let most = usize::from(is_first);
            assert!((least..=most).contains(&sent), "{}: {statuses:?}", self.name);
        }
        let Some((about, wanted)) = &self.row else { return };
        let shown = self.session.get(about).await.expect(200);
        for (field, value) in wanted.as_object().unwrap() {
            assert_eq!(shown[field], *value, "{}: {shown}", self.name);
        }
    }
}
