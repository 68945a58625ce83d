//! The simulated WhatsApp's control API: phones, devices, faults.

use rand::RngExt as _;
use reqwest::{Client, Method};
use serde_json::{Value, json};

use super::gateway::{send, try_send};
use super::organization::with_json;
use super::{Answer, Patience, eventually};

/// See the module.
#[derive(Clone)]
pub struct Simulator {
    url: String,
    client: Client,
}

impl Simulator {
    pub fn at(url: &str, client: Client) -> Self {
        Self { url: url.to_owned(), client }
    }

    pub async fn call(&self, method: Method, path: &str, body: Option<&Value>) -> Answer {
        let request = self.client.request(method, format!("{}{path}", self.url));
        send(match body {
            Some(body) => with_json(request, body),
            None => request,
        })
        .await
    }

    pub async fn get(&self, path: &str) -> Value {
        self.call(Method::GET, path, None).await.expect(200)
    }

    /// A person nobody else knows, with a phone.
    pub async fn phone(&self) -> Phone {
        self.phone_with(format!("49{}", rand::rng().random_range(1_000_000_000_u64..10_000_000_000))).await
    }

    /// A person with this number.
    pub async fn phone_with(&self, number: String) -> Phone {
        let push_name = format!("Person {number}");
        let body = json!({ "phoneNumber": number, "pushName": push_name });
        let shown = self.call(Method::POST, "/phones", Some(&body)).await.expect(201);
        let text = |name: &str| shown[name].as_str().unwrap().to_owned();
        Phone { simulator: self.clone(), jid: text("jid"), lid: text("lid"), number, push_name }
    }

    /// What came under a message's id from its one sender, and what became of it.
    pub async fn stanzas(&self, id: &str) -> Value {
        let sent = self.get(&format!("/sent/{id}")).await;
        assert_eq!(sent["stanzas"].as_array().unwrap().len(), 1, "{sent}");
        sent["stanzas"][0].clone()
    }

    /// Every linked companion.
    pub async fn devices(&self) -> Vec<Value> {
        self.get("/devices").await["devices"].as_array().unwrap().clone()
    }

    /// `GET /connections`
    pub async fn connections(&self) -> Value {
        self.get("/connections").await
    }

    /// WhatsApp asks whoever shows this QR code to change the secret in it.
    pub async fn refresh_registration(&self, code: &str) {
        let body = json!({ "qr": code });
        self.call(Method::POST, "/registrations/refresh", Some(&body)).await.expect(204);
    }

    /// Arms a fault and returns its id.
    pub async fn fault(&self, fault: &Value) -> String {
        let armed = self.call(Method::POST, "/faults", Some(fault)).await.expect(201);
        armed["id"].as_str().unwrap().to_owned()
    }

    /// Takes a fault back; one that is used up is gone already.
    pub async fn clear(&self, fault: &str) {
        let answer = self.call(Method::DELETE, &format!("/faults/{fault}"), None).await;
        assert!([204, 404].contains(&answer.status), "{}: {}", answer.call, answer.text());
    }
}

/// A person with a phone.
#[derive(Clone)]
pub struct Phone {
    pub simulator: Simulator,
    pub number: String,
    pub push_name: String,
    pub jid: String,
    pub lid: String,
}

impl Phone {
    async fn call(&self, method: Method, path: &str, body: Option<&Value>) -> Answer {
        self.simulator.call(method, &format!("/phones/{}{path}", self.number), body).await
    }

    /// Scans a QR code.
    pub async fn scan(&self, code: &str) -> Answer {
        self.call(Method::POST, "/scan", Some(&json!({ "qr": code }))).await
    }

    /// Types a pairing code.
    pub async fn enter(&self, code: &str) -> Answer {
        self.call(Method::POST, "/enter-code", Some(&json!({ "code": code }))).await
    }

    /// The pairing code that is out for this number, as far as WhatsApp knows it: not the code itself.
    pub async fn pairing_code(&self) -> Value {
        self.call(Method::GET, "/codes", None).await.expect(200)["codes"][0].clone()
    }

    /// Its time is over, and nobody is told.
    pub async fn expire_pairing_code(&self) {
        self.call(Method::POST, "/codes/expire", None).await.expect(204);
    }

    /// WhatsApp asks the companion for another one.
    pub async fn refresh_pairing_code(&self) {
        self.call(Method::POST, "/codes/refresh", Some(&json!({}))).await.expect(204);
    }

    /// From now on WhatsApp asks for the owner's passkey before it links a companion.
    pub async fn require_passkey(&self) {
        self.call(Method::PUT, "/passkey", Some(&json!({ "required": true }))).await.expect(200);
    }

    /// Where WhatsApp stands with the passkey.
    pub async fn passkey_link(&self) -> Value {
        self.call(Method::GET, "/passkey", None).await.expect(200)["link"].clone()
    }

    /// What the owner's browser makes of a challenge on a page of this origin.
    pub async fn assert_passkey(&self, options: &Value, origin: &str) -> Value {
        let body = json!({ "options": options, "origin": origin });
        self.call(Method::POST, "/passkey/assert", Some(&body)).await.expect(200)
    }

    /// The owner's word on the code that the phone shows.
    pub async fn confirm_passkey(&self, body: &Value) -> Answer {
        self.call(Method::POST, "/passkey/confirm", Some(body)).await
    }

    /// The owner's time is over.
    pub async fn expire_passkey(&self) {
        self.call(Method::POST, "/passkey/expire", None).await.expect(204);
    }

    /// Types a text; the message's id.
    pub async fn text(&self, to: &str, text: &str) -> String {
        self.writes(&json!({ "to": to, "text": text })).await
    }

    /// Writes a message of any kind, as the simulator's README has them; its id.
    pub async fn writes(&self, message: &Value) -> String {
        let sent = self.call(Method::POST, "/messages", Some(message)).await.expect(201);
        sent["messageId"].as_str().unwrap().to_owned()
    }

    /// The same when WhatsApp may be down: no id when it did not take the text.
    pub async fn try_text(&self, to: &str, text: &str) -> Option<String> {
        let url = format!("{}/phones/{}/messages", self.simulator.url, self.number);
        let request = self.simulator.client.request(Method::POST, url);
        let sent = try_send(with_json(request, &json!({ "to": to, "text": text }))).await.ok()?;
        let sent = (sent.status == 201).then(|| sent.json())?;
        sent["messageId"].as_str().map(str::to_owned)
    }

    /// Reads messages of a chat.
    pub async fn read(&self, chat: &str, ids: &[&str]) {
        let body = json!({ "chat": chat, "messageIds": ids });
        self.call(Method::POST, "/read", Some(&body)).await.expect(204);
    }

    /// What the phone received so far.
    pub async fn messages(&self) -> Vec<Value> {
        self.call(Method::GET, "/messages", None).await.expect(200)["messages"].as_array().unwrap().clone()
    }

    /// Waits until a message arrives.
    pub async fn received(&self, id: &str) -> Value {
        eventually(&format!("message {id} at {}", self.number), Patience::seconds(20), async || {
            let messages = self.messages().await;
            let found = messages.iter().find(|message| message["messageId"] == id).cloned();
            found.ok_or_else(|| format!("{} other messages", messages.len()))
        })
        .await
    }

    /// Waits until a text of these words arrives.
    pub async fn received_text(&self, text: &str) {
        eventually(text, Patience::seconds(20), async || {
            let messages = self.messages().await;
            let is_there = messages.iter().any(|message| message["text"] == text);
            if is_there { Ok(()) } else { Err(format!("{} other messages", messages.len())) }
        })
        .await;
    }

    /// What WhatsApp dropped because its id had been used, as the phone would have shown it.
    pub async fn dropped(&self) -> Vec<Value> {
        self.call(Method::GET, "/dropped", None).await.expect(200)["messages"].as_array().unwrap().clone()
    }

    /// Who typed to it lately, in which chat.
    pub async fn typing(&self, chat: &str) -> Vec<Value> {
        let typing = self.call(Method::GET, "/typing", None).await.expect(200);
        let typing = typing["typing"].as_array().unwrap().iter();
        typing.filter(|one| one["chat"] == chat).cloned().collect()
    }

    /// Plays voice notes of a chat.
    pub async fn play(&self, chat: &str, ids: &[&str]) {
        let body = json!({ "chat": chat, "messageIds": ids });
        self.call(Method::POST, "/played", Some(&body)).await.expect(204);
    }

    /// A group this person makes, with these others in it; its JID.
    pub async fn group(&self, others: &[&Self]) -> String {
        let others: Vec<&str> = others.iter().map(|other| other.number.as_str()).collect();
        let body = json!({ "subject": "Friends", "creator": self.number, "participants": others });
        let made = self.simulator.call(Method::POST, "/groups", Some(&body)).await.expect(201);
        made["jid"].as_str().unwrap().to_owned()
    }

    /// The receipts the phone received so far.
    pub async fn receipts(&self) -> Vec<Value> {
        self.call(Method::GET, "/receipts", None).await.expect(200)["receipts"].as_array().unwrap().clone()
    }

    /// The linked companions.
    pub async fn devices(&self) -> Vec<Value> {
        let devices = self.simulator.devices().await.into_iter();
        devices.filter(|device| device["phone"] == self.number.as_str()).collect()
    }

    /// The one linked companion.
    pub async fn device(&self) -> Value {
        let devices = self.devices().await;
        assert_eq!(devices.len(), 1, "{}: {devices:?}", self.number);
        devices[0].clone()
    }

    /// Throws a companion out.
    pub async fn unlink(&self, device: &Value) {
        let path = format!("/devices/{}", device["device"]);
        self.call(Method::DELETE, &path, None).await.expect(204);
    }

    /// Arms a fault for this phone's companions and returns its id.
    pub async fn fault(&self, mut fault: Value) -> String {
        fault["target"] = json!(self.number);
        self.simulator.fault(&fault).await
    }
}
