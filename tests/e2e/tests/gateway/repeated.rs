//! Every operation that changes something, twice under one `Idempotency-Key`: the second time nothing happens, and the first
//! answer is repeated. Walked over in the document, so that a new operation has to say here how its effect is seen.

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{
    Answer, Organization, Patience, Phone, Receiver, Session, eventually, send, tests, with_json,
};

tests![every_operation_that_changes_something_does_it_once_for_a_key];

const SOON: Patience = Patience::seconds(40);
const SESSIONS: &str = "/api/v1/sessions";
const KEYS: &str = "/api/v1/api-keys";
const WEBHOOKS: &str = "/api/v1/webhooks";

/// Who calls for it, and why not here: a person who runs the platform (tests/interop/operations.test.ts).
const ELSEWHERE: [&str; 1] = ["adminStartSessionBackfill"];

/// What answers show once: it is not repeated (docs/decisions/idempotency.md).
fn shown_once(operation: &str) -> Option<&'static str> {
    match operation {
        "createApiKey" | "rotateApiKey" => Some("key"),
        "createWebhook" | "rotateWebhookSecret" => Some("secret"),
        "createRealtimeTicket" => Some("ticket"),
        "sessionPairingCode" => Some("code"),
        _ => None,
    }
}

/// A valid call of an operation.
struct Call {
    status: u16,
    path: String,
    body: Option<Value>,
    effect: Effect,
}

/// How it is seen what a call has done, and what is done between it and its repetition so that this would be seen too.
enum Effect {
    /// A list has one more.
    Listed(&'static str),
    /// Something is changed, or gone; and before the repetition it is changed otherwise.
    Shown { path: String, field: &'static str, otherwise: Option<(Method, String, Option<Value>)> },
    /// The friend has a message.
    Sent,
    /// The friend has a read receipt, and writes again.
    Read,
    /// The session shows its code again, after another connection.
    Restarted(Session),
    /// The session is logged out, and is paired again.
    LoggedOut(Session, Phone),
    /// The phone has a code that can be typed, one only.
    Coded(Phone),
    /// WhatsApp has the owner's signature.
    Signed(Phone),
    /// The new key is good.
    NewKey,
    /// There is a delivery, listed there.
    Delivered(String),
    /// A ticket that nobody sees until it is used.
    Unseen,
}

/// A session that works, with a text and a poll it has received and a text it has sent.
struct Walk {
    organization: Organization,
    session: Session,
    friend: Phone,
    receiver: Receiver,
    text: String,
    poll: String,
    own: String,
}

impl Walk {
    async fn new() -> Self {
        let (session, me) = Session::working().await;
        let friend = me.simulator.phone().await;
        let text = friend.text(&me.jid, "hello").await;
        let poll = json!({ "to": me.jid, "kind": "poll", "name": "Tea?", "options": ["yes", "no"] });
        let poll = friend.writes(&poll).await;
        for id in [&text, &poll] {
            session.event_of("message", id).await;
        }
        let own = session.sent(&friend.number, "mine").await;
        friend.received(&own).await;
        let (organization, receiver) = (session.organization.clone(), Receiver::good().await);
        Self { organization, session, friend, receiver, text, poll, own }
    }

    async fn made(&self, path: &str, body: &Value) -> String {
        let made = self.organization.post_json(path, body).await.expect(201);
        format!("{path}/{}", made["id"].as_str().unwrap())
    }

    async fn a_key(&self) -> String {
        self.made(KEYS, &json!({ "name": "a key", "permissions": ["manage"] })).await
    }

    async fn a_webhook(&self) -> String {
        let body =
            json!({ "url": self.receiver.url("/"), "events": ["message"], "sessionId": self.session.id });
        self.made(WEBHOOKS, &body).await
    }

    async fn a_session(&self, is_started: bool) -> Session {
        let session = self.organization.session(&json!({ "start": is_started })).await;
        if is_started {
            session.code().await;
        }
        session
    }

    /// Something about a message of the chat.
    fn about(&self, id: &str, rest: &str, more: &[(&str, Value)]) -> Call {
        let mut body = json!({ "chat": self.friend.number });
        for (name, value) in more {
            body[*name] = value.clone();
        }
        let path = self.session.path(&format!("/messages/{id}{rest}"));
        Call { status: 200, path, body: Some(body), effect: Effect::Sent }
    }

    async fn of_messages(&self, operation: &str) -> Option<Call> {
        Some(match operation {
            "sendMessage" => {
                let body = json!({ "type": "text", "to": self.friend.number, "text": "once" });
                let path = self.session.path("/messages");
                Call { status: 200, path, body: Some(body), effect: Effect::Sent }
            }
            "editMessage" => self.about(&self.own, "", &[("text", json!("changed"))]),
            "revokeMessage" => {
                let id = self.session.sent(&self.friend.number, "oops").await;
                self.friend.received(&id).await;
                self.about(&id, "", &[])
            }
            "addReaction" => self.about(&self.text, "/reaction", &[("emoji", json!("👍"))]),
            "removeReaction" => self.about(&self.text, "/reaction", &[]),
            "forwardMessage" => self.about(&self.text, "/forward", &[("to", json!(self.friend.number))]),
            "voteMessage" => self.about(&self.poll, "/vote", &[("options", json!(["yes"]))]),
            "readChat" => {
                let path = self.session.path(&format!("/chats/{}/read", self.friend.number));
                Call { status: 200, path, body: None, effect: Effect::Read }
            }
            _ => return None,
        })
    }

    async fn of_sessions(&self, operation: &str) -> Option<Call> {
        let shown =
            |session: &Session, field, otherwise: Option<(Method, &str, Option<Value>)>| Effect::Shown {
                path: session.path(""),
                field,
                otherwise: otherwise.map(|(method, rest, body)| (method, session.path(rest), body)),
            };
        let of = |session: &Session, rest: &str, effect| Call {
            status: 200,
            path: session.path(rest),
            body: None,
            effect,
        };
        Some(match operation {
            "createSession" => Call {
                status: 201,
                path: SESSIONS.to_owned(),
                body: Some(json!({ "label": "once" })),
                effect: Effect::Listed(SESSIONS),
            },
            "updateSession" => {
                let session = self.a_session(false).await;
                let otherwise = (Method::PATCH, "", Some(json!({ "label": "otherwise" })));
                let body = Some(json!({ "label": "once" }));
                Call { body, ..of(&session, "", shown(&session, "label", Some(otherwise))) }
            }
            "deleteSession" => {
                let session = self.a_session(false).await;
                Call { status: 204, ..of(&session, "", shown(&session, "id", None)) }
            }
            "startSession" => {
                let session = self.a_session(false).await;
                of(&session, ":start", shown(&session, "status", Some((Method::POST, ":stop", None))))
            }
            "stopSession" => {
                let session = self.a_session(true).await;
                of(&session, ":stop", shown(&session, "status", Some((Method::POST, ":start", None))))
            }
            "restartSession" => {
                let session = self.a_session(true).await;
                of(&session, ":restart", Effect::Restarted(session.clone()))
            }
            "logoutSession" => {
                let (session, phone) = Session::working_in(&self.organization).await;
                of(&session, ":logout", Effect::LoggedOut(session.clone(), phone))
            }
            "sessionPairingCode" => {
                let (session, phone) = (self.a_session(true).await, self.friend.simulator.phone().await);
                let body = Some(json!({ "phone": phone.number }));
                Call { body, ..of(&session, "/pairing-code", Effect::Coded(phone)) }
            }
            "submitPasskey" => {
                let (session, phone) = (self.a_session(true).await, self.friend.simulator.phone().await);
                phone.require_passkey().await;
                assert_eq!(phone.scan(&session.code().await).await.status, 202);
                session.wait_for_reason("passkey_required", SOON).await;
                let challenge = session.get("/passkey").await.expect(200);
                let assertion = phone.assert_passkey(&challenge["options"], "https://web.whatsapp.com").await;
                let body = Some(json!({ "assertion": assertion }));
                Call { status: 202, body, ..of(&session, "/passkey", Effect::Signed(phone)) }
            }
            _ => return None,
        })
    }

    async fn of_the_rest(&self, operation: &str) -> Option<Call> {
        let of = |status, path: &str, body, effect| Call { status, path: path.to_owned(), body, effect };
        let shown = |path: &str, field, otherwise: Option<Value>| Effect::Shown {
            path: path.to_owned(),
            field,
            otherwise: otherwise.map(|body| (Method::PATCH, path.to_owned(), Some(body))),
        };
        Some(match operation {
            "createApiKey" => {
                let body = json!({ "name": "once", "permissions": ["read"] });
                of(201, KEYS, Some(body), Effect::Listed(KEYS))
            }
            "updateApiKey" => {
                let (key, named) = (self.a_key().await, |name| json!({ "name": name }));
                of(200, &key, Some(named("once")), shown(&key, "name", Some(named("otherwise"))))
            }
            "deleteApiKey" => {
                let key = self.a_key().await;
                of(204, &key, None, shown(&key, "id", None))
            }
            "rotateApiKey" => {
                let path = format!("{}:rotate", self.a_key().await);
                of(200, &path, Some(json!({ "overlapSeconds": 0 })), Effect::NewKey)
            }
            "createWebhook" => {
                let body = json!({ "url": self.receiver.url("/"), "events": ["message"] });
                of(201, WEBHOOKS, Some(body), Effect::Listed(WEBHOOKS))
            }
            "updateWebhook" => {
                let webhook = self.a_webhook().await;
                let otherwise = Some(json!({ "active": true }));
                of(200, &webhook, Some(json!({ "active": false })), shown(&webhook, "active", otherwise))
            }
            "deleteWebhook" => {
                let webhook = self.a_webhook().await;
                of(204, &webhook, None, shown(&webhook, "id", None))
            }
            "rotateWebhookSecret" => {
                let webhook = self.a_webhook().await;
                let path = format!("{webhook}:rotate-secret");
                let effect = shown(&webhook, "previousSecretExpiresAt", None);
                of(200, &path, Some(json!({ "overlapSeconds": 600 })), effect)
            }
            "testWebhook" => {
                let webhook = self.a_webhook().await;
                let list = format!("{webhook}/deliveries");
                of(202, &format!("{webhook}:test"), None, Effect::Delivered(list))
            }
            "replayWebhook" => {
                let webhook = self.a_webhook().await;
                let body = json!({ "session": self.session.id, "fromSeq": 1, "toSeq": 50 });
                let list = format!("{webhook}/deliveries");
                of(202, &format!("{webhook}:replay"), Some(body), Effect::Delivered(list))
            }
            "createRealtimeTicket" => of(200, "/api/v1/realtime/ticket", Some(json!({})), Effect::Unseen),
            _ => return None,
        })
    }

    async fn call_of(&self, operation: &str) -> Call {
        if let Some(call) = self.of_messages(operation).await {
            return call;
        }
        if let Some(call) = self.of_sessions(operation).await {
            return call;
        }
        let call = self.of_the_rest(operation).await;
        call.unwrap_or_else(|| panic!("{operation}: what is a valid call of it, and how is its effect seen?"))
    }

    async fn ask(&self, method: &Method, path: &str, key: &str, body: Option<&Value>) -> Answer {
        let request = self.organization.request(method.clone(), path).header("idempotency-key", key);
        send(match body {
            Some(body) => with_json(request, body),
            None => request,
        })
        .await
    }

    /// What there is to see of what was done, once all of that has come.
    async fn seen(&self, effect: &Effect, answer: Option<&Answer>) -> Value {
        match effect {
            Effect::Listed(path) => {
                let list = self.organization.get(&format!("{path}?limit=200")).await.expect(200);
                list["data"].as_array().unwrap().iter().map(|row| row["id"].clone()).collect()
            }
            Effect::Shown { path, field, .. } => {
                let shown = self.organization.get(path).await;
                json!([shown.status, shown.json()[*field]])
            }
            Effect::Sent | Effect::Read => {
                // What is sent after it arrives after it.
                let barrier = self.session.sent(&self.friend.number, "barrier").await;
                self.friend.received(&barrier).await;
                let mut messages = self.friend.messages().await;
                messages.retain(|message| message["text"] != "barrier");
                let mut receipts = self.friend.receipts().await;
                receipts.retain(|receipt| receipt["type"] == "read");
                json!([messages.len(), receipts.len()])
            }
            Effect::Restarted(session) | Effect::LoggedOut(session, _) => {
                let row = session.row().await;
                json!([row["epoch"], row["status"], row["waJid"]])
            }
            Effect::Coded(phone) => phone.pairing_code().await,
            Effect::Signed(phone) => {
                let link = phone.passkey_link().await;
                json!([link["stage"], link["version"]])
            }
            Effect::NewKey => {
                let Some(answer) = answer else { return Value::Null };
                let key = answer.json()["key"].as_str().unwrap().to_owned();
                let rotated = Organization { key, ..self.organization.clone() };
                json!(rotated.get(KEYS).await.status)
            }
            Effect::Delivered(list) => {
                let list = self.organization.get(&format!("{list}?limit=200")).await.expect(200);
                let list = list["data"].as_array().unwrap();
                // Each was made for an occasion of its own, and one that is delivered again waits again.
                let shown = |one: &Value| {
                    ["id", "createdAt", "status", "attempts", "deliveredAt"]
                        .map(|field| one[field].to_string())
                        .join(" ")
                };
                let mut all: Vec<String> = list.iter().map(shown).collect();
                all.sort();
                json!(all)
            }
            Effect::Unseen => Value::Null,
        }
    }

    /// What happens between a call and its repetition.
    async fn meanwhile(&self, effect: &Effect, epoch_before: u64) {
        match effect {
            Effect::Shown { otherwise: Some((method, path, body)), .. } => {
                self.organization.call(method.clone(), path, body.as_ref()).await.expect(200);
                if path.ends_with(":start") {
                    let id = path.trim_start_matches("/api/v1/sessions/").trim_end_matches(":start");
                    Session::of(&self.organization, id).code().await;
                }
            }
            Effect::Read => {
                let text = self.friend.text(&self.session_jid().await, "once more").await;
                self.session.event_of("message", &text).await;
            }
            Effect::Restarted(session) => {
                session
                    .wait_for("back", SOON, |row| {
                        row["epoch"].as_u64() > Some(epoch_before) && row["status"] == "scan_qr_code"
                    })
                    .await;
            }
            Effect::LoggedOut(session, phone) => {
                session.wait_for_status("logged_out", SOON).await;
                session.post(":start").await.expect(200);
                session.pair(phone).await;
            }
            Effect::Delivered(list) => {
                eventually("it to be delivered", SOON, async || {
                    let list = self.organization.get(&format!("{list}?limit=200")).await.expect(200);
                    let mut list = list["data"].as_array().unwrap().iter();
                    if list.all(|one| one["status"] == "delivered") {
                        Ok(())
                    } else {
                        Err(format!("{list:?}"))
                    }
                })
                .await;
            }
            Effect::Signed(phone) => {
                eventually("the owner's signature", SOON, async || {
                    let link = phone.passkey_link().await;
                    if link["stage"] == "confirmation" { Ok(()) } else { Err(link.to_string()) }
                })
                .await;
            }
            _ => {}
        }
    }

    /// The session's own number.
    async fn session_jid(&self) -> String {
        format!("{}@s.whatsapp.net", self.session.row().await["phoneNumber"].as_str().unwrap())
    }
}

async fn every_operation_that_changes_something_does_it_once_for_a_key() {
    let walk = Walk::new().await;
    let document = walk.organization.get("/api/v1/openapi.json").await.expect(200);
    let (mut walked, mut wrong) = (0, Vec::new());
    for methods in document["paths"].as_object().unwrap().values() {
        for (method, operation) in methods.as_object().unwrap() {
            let method: Method = method.to_uppercase().parse().unwrap();
            let id = operation["operationId"].as_str().unwrap();
            if method == Method::GET || ELSEWHERE.contains(&id) {
                continue;
            }
            wrong.extend(twice(&walk, &method, id).await.into_iter().map(|what| format!("{id}: {what}")));
            walked += 1;
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    println!("    {walked} operations, each called twice under one key");
}

/// Calls an operation, and once more with the same key; what is wrong with the second answer, or with what it did.
async fn twice(walk: &Walk, method: &Method, id: &str) -> Vec<String> {
    let Call { status, path, body, effect } = walk.call_of(id).await;
    let epoch = match &effect {
        Effect::Restarted(session) => session.row().await["epoch"].as_u64().unwrap(),
        _ => 0,
    };
    let before = walk.seen(&effect, None).await;
    let first = walk.ask(method, &path, id, body.as_ref()).await;
    first.expect(status);
    assert_eq!(first.header("idempotency-replayed"), None, "{id}");
    if !matches!(effect, Effect::Unseen) {
        eventually(&format!("what {id} does"), SOON, async || {
            let seen = walk.seen(&effect, Some(&first)).await;
            if seen == before { Err(seen.to_string()) } else { Ok(()) }
        })
        .await;
    }
    walk.meanwhile(&effect, epoch).await;
    let done = walk.seen(&effect, Some(&first)).await;
    let mut wrong = Vec::new();
    for _ in 0..2 {
        let again = walk.ask(method, &path, id, body.as_ref()).await;
        if (again.status, again.header("idempotency-replayed")) != (status, Some("true")) {
            wrong.push(format!("no replay: {} {}", again.status, again.text()));
            continue;
        }
        let mut expected = first.bytes.clone();
        if shown_once(id).is_some() || matches!(effect, Effect::Sent) {
            let mut repeated = first.json();
            match shown_once(id) {
                Some(field) => drop(repeated.as_object_mut().unwrap().remove(field).unwrap()),
                None => repeated["replayed"] = json!(true),
            }
            assert_eq!(again.json(), repeated, "{id}");
            expected.clone_from(&again.bytes);
        }
        assert_eq!(again.bytes, expected, "{id}");
    }
    let other = walk.ask(method, &path, id, Some(&json!({ "other": 1 }))).await;
    let error = other.expect_error(409, "conflict");
    assert_eq!(error["details"]["field"], "Idempotency-Key", "{id}: {error}");
    let after = walk.seen(&effect, Some(&first)).await;
    if after != done {
        wrong.push(format!("it was done again: {done} became {after}"));
    }
    wrong
}
