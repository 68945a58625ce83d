//! A session as its owner handles it.

use std::collections::BTreeSet;
use std::ops::Range;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use super::{Answer, Organization, Patience, Phone, Sse, eventually};

/// From a scan to `working`.
const PAIRING: Patience = Patience::seconds(40);

/// See the module.
#[derive(Clone)]
pub struct Session {
    pub organization: Organization,
    pub id: String,
}

impl Session {
    pub fn of(organization: &Organization, id: &str) -> Self {
        Self { organization: organization.clone(), id: id.to_owned() }
    }

    /// A session of a new organization, paired with a new phone and working.
    pub async fn working() -> (Self, Phone) {
        Self::working_in(&Organization::new()).await
    }

    /// The same in a given organization.
    pub async fn working_in(organization: &Organization) -> (Self, Phone) {
        let phone = organization.gateway.simulator().phone().await;
        let session = organization.session(&json!({ "start": true })).await;
        session.pair(&phone).await;
        (session, phone)
    }

    /// The path of something of the session.
    pub fn path(&self, rest: &str) -> String {
        format!("/api/v1/sessions/{}{rest}", self.id)
    }

    pub async fn get(&self, rest: &str) -> Answer {
        self.organization.get(&self.path(rest)).await
    }

    pub async fn post(&self, rest: &str) -> Answer {
        self.organization.post(&self.path(rest)).await
    }

    pub async fn delete(&self) -> Answer {
        self.organization.delete(&self.path("")).await
    }

    /// The session as it is.
    pub async fn row(&self) -> Value {
        self.get("").await.expect(200)
    }

    /// Waits until the session is as wanted; the message tells all it was meanwhile.
    pub async fn wait_for(&self, what: &str, patience: Patience, wanted: impl Fn(&Value) -> bool) -> Value {
        let mut trail: Vec<String> = Vec::new();
        eventually(&format!("session {} to be {what}", self.id), patience, async || {
            let answer = self.organization.try_get(&self.path("")).await?;
            if answer.status != 200 {
                return Err(format!("{} {}", answer.status, answer.text()));
            }
            let row = answer.json();
            if wanted(&row) {
                return Ok(row);
            }
            let reason = &row["statusReason"];
            let seen = format!("{} {} epoch {}", row["status"], reason["code"], row["epoch"]);
            if trail.last() != Some(&seen) {
                trail.push(seen);
            }
            Err(trail.join(", then "))
        })
        .await
    }

    pub async fn wait_for_status(&self, status: &str, patience: Patience) -> Value {
        self.wait_for(status, patience, |row| row["status"] == status).await
    }

    /// The code to scan, when there is one.
    pub async fn code(&self) -> String {
        eventually(&format!("a QR code of session {}", self.id), PAIRING, async || {
            let answer = self.get("/qr").await;
            match answer.status {
                200 => Ok(answer.json()["code"].as_str().unwrap().to_owned()),
                _ => Err(format!("{} {}", answer.status, answer.text())),
            }
        })
        .await
    }

    /// Pairs it and waits until it works.
    pub async fn pair(&self, phone: &Phone) -> Value {
        let code = self.code().await;
        phone.scan(&code).await.expect(200);
        self.wait_for_status("working", PAIRING).await
    }

    /// Asks for a code to type on the phone of this number.
    pub async fn ask_pairing_code(&self, number: &str) -> Answer {
        let body = json!({ "phone": number });
        self.organization.post_json(&self.path("/pairing-code"), &body).await
    }

    /// A code to type on this phone.
    pub async fn pairing_code(&self, phone: &Phone) -> String {
        let code = self.ask_pairing_code(&phone.number).await.expect(200);
        code["code"].as_str().unwrap().to_owned()
    }

    /// Waits until the session says this is why.
    pub async fn wait_for_reason(&self, code: &str, patience: Patience) -> Value {
        self.wait_for(code, patience, |row| row["statusReason"]["code"] == code).await
    }

    /// Sends a text.
    pub async fn text(&self, to: &str, text: &str) -> Answer {
        let body = json!({ "type": "text", "to": to, "text": text });
        self.organization.post_json(&self.path("/messages"), &body).await
    }

    /// Sends a text that must get through; the message's id.
    pub async fn sent(&self, to: &str, text: &str) -> String {
        let sent = self.text(to, text).await.expect(200);
        sent["waMessageId"].as_str().unwrap().to_owned()
    }

    /// Puts something into the outbox; what the answer says of it.
    pub async fn later(&self, body: &Value) -> Value {
        let path = self.path("/messages?async=true");
        self.organization.post_json(&path, body).await.expect(202)
    }

    /// What is known of an entry of the outbox.
    pub async fn outbox(&self, entry: &Value) -> Value {
        self.get(&format!("/outbox/{}", entry["outboxId"].as_str().unwrap())).await.expect(200)
    }

    /// Waits until an entry has this status.
    pub async fn entry_is(&self, entry: &Value, status: &str, patience: Patience) -> Value {
        eventually(&format!("{entry} to be {status}"), patience, async || {
            let shown = self.outbox(entry).await;
            if shown["status"] == status { Ok(shown) } else { Err(shown.to_string()) }
        })
        .await
    }

    /// One page of the log.
    pub async fn page(&self, query: &str) -> Answer {
        self.get(&format!("/events?{query}")).await
    }

    /// The whole log, page by page; its `seq` must be gapless.
    pub async fn log(&self) -> Vec<Value> {
        let mut events: Vec<Value> = Vec::new();
        let mut cursor = "0".to_owned();
        loop {
            let page = self.page(&format!("after={cursor}&limit=200")).await.expect(200);
            let data = page["data"].as_array().unwrap();
            if data.is_empty() {
                break;
            }
            events.extend(data.iter().cloned());
            page["nextCursor"].as_str().unwrap().clone_into(&mut cursor);
        }
        for (index, event) in events.iter().enumerate() {
            assert_eq!(event["seq"].as_u64(), Some(index as u64 + 1), "a gap in the log: {event}");
        }
        events
    }

    /// The events of one type.
    pub async fn events(&self, event: &str) -> Vec<Value> {
        self.log().await.into_iter().filter(|logged| logged["event"] == event).collect()
    }

    /// The newest `seq`.
    pub async fn position(&self) -> u64 {
        self.log().await.last().map_or(0, |event| event["seq"].as_u64().unwrap())
    }

    /// Waits for the first event after a position that is as wanted.
    pub async fn event(&self, after: u64, event: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + Duration::from_secs(30);
        let mut cursor = after.to_string();
        let mut others = 0;
        while Instant::now() < deadline {
            let page = self.page(&format!("after={cursor}&types={event}&wait=5")).await.expect(200);
            let data = page["data"].as_array().unwrap();
            if let Some(found) = data.iter().find(|event| wanted(event)) {
                return found.clone();
            }
            others += data.len();
            page["nextCursor"].as_str().unwrap().clone_into(&mut cursor);
        }
        panic!("session {}: no such {event} after {after}; {others} others", self.id);
    }

    /// Waits for the event of a message.
    pub async fn event_of(&self, event: &str, message: &str) -> Value {
        self.event(0, event, |event| event["payload"]["waMessageId"] == message).await
    }

    /// What it said of itself in that time (epoch milliseconds) while it did not work.
    pub async fn said(&self, time: &Range<u64>) -> BTreeSet<String> {
        let timeline = self.get("/timeline?limit=200").await.expect(200);
        let stretches = timeline["data"].as_array().unwrap().iter();
        stretches
            .filter(|stretch| time.contains(&stretch["at"].as_u64().unwrap()))
            .filter(|stretch| stretch["status"] != "working")
            .map(|stretch| match (&stretch["status"], &stretch["code"]) {
                (Value::String(status), Value::String(code)) => format!("{status} ({code})"),
                (status, _) => status.as_str().unwrap().to_owned(),
            })
            .collect()
    }

    /// Opens the log as a stream.
    pub async fn stream(&self, query: &str, last_event_id: Option<&str>) -> Sse {
        Sse::open(&self.organization, &self.path(&format!("/events?{query}")), last_event_id).await
    }
}
