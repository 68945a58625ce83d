//! workerd is killed between any two steps of everything a session can be asked to send, at one stroke: each reaches the
//! person exactly once. The limits are watched over the same kill (`pacing`).

use futures::StreamExt as _;
use futures::future::{join, join_all};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::harness::files::{FileServer, base64, png};
use crate::harness::{Organization, Patience, Phone, Sandbox, Session, eventually, tests};
use crate::pacing::OverAKill;
use crate::victim::Stand::{self, At, Unacked};
use crate::victim::{Victim, answered};

tests![a_send_killed_between_any_two_steps_reaches_the_person_exactly_once];

const SOON: Patience = Patience::seconds(40);

/// A session whose sends are killed at one step, each to somebody else.
struct Scene {
    session: Session,
    me: Phone,
    /// Where all of them stop, if the object stops them.
    hold: Option<&'static str>,
    victims: Vec<Victim>,
}

impl Scene {
    async fn new(organization: &Organization, hold: Option<&'static str>) -> Self {
        let (session, me) = Session::working_in(organization).await;
        Self { session, me, hold, victims: Vec::new() }
    }

    /// Something to send to somebody new; its `to` is theirs.
    async fn says(&mut self, stand: Stand, is_async: bool, messages: usize, mut body: Value) {
        let friend = self.me.simulator.phone().await;
        body["to"] = json!(friend.number);
        let name = format!("{} {stand:?} {is_async} {messages}", body["type"]);
        self.victim(&name, stand, is_async, messages, body, friend);
    }

    fn victim(
        &mut self,
        name: &str,
        stand: Stand,
        is_async: bool,
        messages: usize,
        body: Value,
        friend: Phone,
    ) {
        self.victims.push(Victim {
            name: format!("{name} {}", friend.number),
            session: self.session.clone(),
            me: self.me.clone(),
            friend,
            others: Vec::new(),
            stand,
            is_async,
            method: Method::POST,
            path: self.session.path(if is_async { "/messages?async=true" } else { "/messages" }),
            body,
            messages,
            event: "message.from_me",
            row: None,
            known: 0,
        });
    }

    async fn text(&mut self, stand: Stand, is_async: bool) {
        self.says(stand, is_async, 1, json!({ "type": "text", "text": format!("{stand:?} {is_async}") }))
            .await;
    }

    async fn document(&mut self, stand: Stand, is_async: bool) {
        let file = json!({ "data": base64(b"hello"), "filename": "a.txt", "mimetype": "text/plain" });
        self.says(stand, is_async, 1, json!({ "type": "document", "caption": "read", "media": file })).await;
    }

    /// Of two pictures: three messages.
    async fn album(&mut self, stand: Stand, is_async: bool) {
        let picture = || json!({ "data": base64(&png(3, 3)) });
        let body = json!({ "type": "album", "caption": "look", "medias": [picture(), picture()] });
        self.says(stand, is_async, 3, body).await;
    }

    /// To a group of three.
    async fn in_group(&mut self, stand: Stand, is_async: bool) {
        let (friend, third) = (self.me.simulator.phone().await, self.me.simulator.phone().await);
        let group = friend.group(&[&self.me, &third]).await;
        let body = json!({ "type": "text", "to": group, "text": "all of you" });
        self.victim(&format!("group {stand:?} {is_async}"), stand, is_async, 1, body, friend);
        self.victims.last_mut().unwrap().others = vec![third];
    }

    /// All that is about a message.
    async fn operations(&mut self, stand: Stand) {
        let (session, me) = (self.session.clone(), self.me.clone());
        let friends: [Phone; 6] =
            join_all((0..6).map(|_| me.simulator.phone())).await.try_into().ok().unwrap();
        let [edited, revoked, reacted, unreacted, forwarded, polled] = &friends;
        let wrote = async |friend: &Phone, what: Value| {
            let mut what = what;
            what["to"] = json!(me.number);
            let id = friend.writes(&what).await;
            session.event_of("message", &id).await;
            id
        };
        let said = async |friend: &Phone| {
            let id = session.sent(&friend.number, "tpyo").await;
            friend.received(&id).await;
            id
        };
        let reacts = async || {
            let id = wrote(unreacted, json!({ "text": "a joke" })).await;
            let body = json!({ "chat": unreacted.number, "emoji": "👎" });
            let path = session.path(&format!("/messages/{id}/reaction"));
            let done = session.organization.post_json(&path, &body).await.expect(200);
            unreacted.received(done["waMessageId"].as_str().unwrap()).await;
            id
        };
        let poll =
            json!({ "kind": "poll", "name": "Lunch?", "options": ["Soup", "Salad"], "selectableCount": 1 });
        let ((edit, revoke, react), (unreact, forward, vote)) = join(
            async {
                futures::join!(said(edited), said(revoked), wrote(reacted, json!({ "text": "a joke" })))
            },
            async {
                futures::join!(reacts(), wrote(forwarded, json!({ "text": "news" })), wrote(polled, poll))
            },
        )
        .await;
        let all = [
            ("edit", edited, Method::PATCH, edit, "", json!({ "text": "typo" }), "message.edited"),
            ("revoke", revoked, Method::DELETE, revoke, "", json!({}), "message.revoked"),
            (
                "react",
                reacted,
                Method::POST,
                react,
                "/reaction",
                json!({ "emoji": "👍" }),
                "message.reaction",
            ),
            ("unreact", unreacted, Method::DELETE, unreact, "/reaction", json!({}), "message.reaction"),
            (
                "forward",
                forwarded,
                Method::POST,
                forward,
                "/forward",
                json!({ "to": forwarded.number }),
                "message.from_me",
            ),
            ("vote", polled, Method::POST, vote, "/vote", json!({ "options": ["Salad"] }), "poll.vote"),
        ];
        for (name, friend, method, id, what, mut body, event) in all {
            body["chat"] = json!(friend.number);
            self.victim(&format!("{name} {stand:?}"), stand, false, 1, body, friend.clone());
            let victim = self.victims.last_mut().unwrap();
            victim.method = method;
            victim.path = self.session.path(&format!("/messages/{id}{what}"));
            victim.event = event;
            let about = format!("/messages/{id}?chat={}", friend.jid);
            victim.row = match name {
                "edit" => Some((about, json!({ "edited": true, "deleted": false, "body": "typo" }))),
                "revoke" => Some((about, json!({ "edited": false, "deleted": true }))),
                _ => None,
            };
        }
    }

    /// From now on its sends stop where they are to be killed; the faults that do it.
    async fn set_up(&mut self) -> Vec<String> {
        self.held().await;
        let mut faults = Vec::new();
        if self.victims.iter().any(|victim| matches!(victim.stand, Unacked(_))) {
            // Or the receipts would say what the acks don't.
            faults.push(self.me.fault(json!({ "kind": "receipt_drop" })).await);
        }
        for victim in &mut self.victims {
            victim.known = victim.friend.messages().await.len();
            if let Unacked(skip) = victim.stand {
                let to = if victim.others.is_empty() {
                    json!(victim.friend.number)
                } else {
                    victim.body["to"].clone()
                };
                faults.push(self.me.fault(json!({ "kind": "ack_drop", "to": to, "skip": skip })).await);
            }
        }
        faults
    }

    /// How many of its sends stand where the object stops them.
    async fn held(&self) -> u64 {
        let path = format!("/simulator/sessions/{}/hold", self.session.id);
        let held = self.session.organization.post_json(&path, &json!({ "point": self.hold })).await;
        held.expect(200)["held"].as_u64().unwrap()
    }

    /// Asks and waits until all stand. First what nobody waits for: the pump sends three at a time, and counts the others.
    async fn stand(&self) -> Vec<JoinHandle<Option<Value>>> {
        let mut asked: Vec<Option<JoinHandle<Option<Value>>>> = self.victims.iter().map(|_| None).collect();
        let mut stand = 0;
        for is_async in [true, false] {
            for (victim, asked) in self.victims.iter().zip(&mut asked) {
                if victim.is_async == is_async {
                    *asked = Some(tokio::spawn(answered(victim.request())));
                    stand += u64::from(matches!(victim.stand, At(_)));
                }
            }
            eventually(&format!("{stand} sends to stand at {:?}", self.hold), SOON, async || {
                let held = self.held().await;
                if held >= stand { Ok(()) } else { Err(held.to_string()) }
            })
            .await;
            for victim in self.victims.iter().filter(|victim| victim.is_async == is_async) {
                victim.stands().await;
            }
        }
        asked.into_iter().flatten().collect()
    }
}

async fn scenes(organization: &Organization, files: &FileServer) -> Vec<Scene> {
    let kinds =
        ["asked", "stored", "uploaded", "fixed", "begun", "left", "unacked", "unacked later", "acknowledged"];
    futures::stream::iter(kinds)
        .map(async |kind| {
            let mut scene =
                Scene::new(organization, Some(kind).filter(|kind| !kind.starts_with("unacked"))).await;
            let at = At(kind);
            match kind {
                "asked" => {
                    scene.text(at, false).await;
                    scene.text(at, true).await;
                }
                // Where the file counts there is one: it is uploaded before its message's bytes are fixed.
                "stored" => {
                    scene.document(at, false).await;
                    scene.document(at, true).await;
                    let url = files.file("/a.png", "image/png", &png(4, 4));
                    let body = json!({ "type": "image", "caption": "fetched", "media": { "url": url } });
                    scene.says(at, false, 1, body).await;
                    scene.operations(at).await;
                }
                // Behind the first of two.
                "uploaded" => {
                    scene.album(at, false).await;
                    scene.album(at, true).await;
                }
                "fixed" => {
                    scene.document(at, false).await;
                    scene.document(at, true).await;
                }
                "begun" => {
                    for is_async in [true, false] {
                        scene.text(at, is_async).await;
                        scene.album(at, is_async).await;
                        scene.in_group(at, is_async).await;
                    }
                    scene.operations(at).await;
                }
                // The acknowledgement is stored beside it: an album stands behind the first of three.
                "left" => {
                    for is_async in [true, false] {
                        scene.text(at, is_async).await;
                        scene.album(at, is_async).await;
                    }
                }
                "unacked" => {
                    scene.album(Unacked(0), true).await;
                    scene.text(Unacked(0), false).await;
                    scene.in_group(Unacked(0), false).await;
                    for acked in 0..3 {
                        scene.album(Unacked(acked), false).await;
                    }
                    scene.operations(Unacked(0)).await;
                }
                "unacked later" => {
                    scene.text(Unacked(0), true).await;
                    scene.album(Unacked(1), true).await;
                    scene.album(Unacked(2), true).await;
                }
                // Nobody waits behind the last step of what is asynchronous.
                _ => {
                    scene.text(at, false).await;
                    scene.album(at, false).await;
                    scene.operations(at).await;
                }
            }
            scene
        })
        .buffer_unordered(4)
        .collect()
        .await
}

async fn a_send_killed_between_any_two_steps_reaches_the_person_exactly_once() {
    let sandbox = Sandbox::start().await;
    let organization = Organization::on(&sandbox);
    let files = FileServer::start().await;
    let paced = OverAKill::begin(&organization).await;
    let mut scenes = scenes(&organization, &files).await;
    let faults = join_all(scenes.iter_mut().map(Scene::set_up)).await.concat();
    let asked = join_all(scenes.iter().map(Scene::stand)).await;
    let victims: Vec<&Victim> = scenes.iter().flat_map(|scene| &scene.victims).collect();
    let before = join_all(victims.iter().map(|victim| victim.before())).await;
    let killed = sandbox.kill_workerd();
    for fault in &faults {
        sandbox.simulator().clear(fault).await;
    }
    let asked = join_all(asked.into_iter().flatten()).await;
    eventually("another workerd", Patience::seconds(30), async || {
        if sandbox.workerd() == killed { Err("the same".to_owned()) } else { Ok(()) }
    })
    .await;
    // As if the 90 s of those who were killed with their keys were over.
    sandbox.directory().execute("UPDATE idempotency SET leased_until = 0", []).unwrap();
    let answers = join_all(victims.iter().map(|victim| victim.ask_until_answered())).await;
    let checks = victims.iter().zip(&before).zip(&answers).zip(asked).map(
        async |(((victim, before), answer), asked)| {
            let asked = asked.unwrap();
            // What nobody waits for is answered as soon as it is stored.
            let is_answered = victim.is_async && ![At("asked"), At("stored")].contains(&victim.stand);
            assert!(asked.is_some() || !is_answered, "{} has no answer", victim.name);
            if let Some(first) = asked {
                assert_eq!(first["waMessageId"], answer["waMessageId"], "{}: {first} {answer}", victim.name);
            }
            victim.received_once(before, answer).await;
            // Once more the same answer, and nothing is sent.
            let again = victim.ask().await;
            assert_eq!(again["waMessageId"], answer["waMessageId"], "{}: {again}", victim.name);
            assert_eq!(again["replayed"], true, "{}: {again}", victim.name);
            victim.received_once(before, answer).await;
            victim.told_once(answer).await;
        },
    );
    join_all(checks).await;
    let unacked = victims.iter().filter(|victim| matches!(victim.stand, Unacked(_))).count();
    println!(
        "    {} sends killed, {unacked} of them after WhatsApp had them: each received once",
        victims.len()
    );
    paced.end().await;
}
