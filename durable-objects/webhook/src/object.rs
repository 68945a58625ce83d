//! The webhook's Durable Object.
//!
//! Owns: the place in the ledger and the deliveries, in its SQLite. Name: the webhook's ULID. Interface: `POST` with a
//! [`Request`](gateway_object::calls::webhook::Request); 200 with the call's answer, or the status and body of an
//! `ApiError`. Invariant: an event is sent until the receiver has it or it is dead, each session's in order.
//! After a restart: what was on its way is sent again, with the same id; the ledger is read on from where it was.

#![allow(missing_docs, reason = "what the durable_object macro makes has none")]

use std::rc::Rc;

use gateway_domain::error::ApiError;
use gateway_domain::event::Envelope;
use gateway_domain::ids;
use gateway_domain::webhook::{ReplayResult, TEST_EVENT, WebhookDelivery};
use gateway_object::calls::webhook::{Call, Replay, Request as WebhookRequest};
use gateway_object::clock;
use gateway_object::peer::{refuse, reply};
use gateway_sql::SqlError;
use serde_json::json;
use worker::{
    DurableObject, Env, Request, Response, Result, State, WebSocket, WebSocketIncomingMessage, durable_object,
};

use crate::postman::{AGAIN_MS, Postman, failed, timer};
use crate::pulling;
use crate::queue::{MAX_PENDING, MAX_TESTS};

/// How long until an object whose database can't be used is woken again: a newer gateway may be deployed by then.
const REOPEN_MS: i64 = 300_000;

/// See the module.
#[durable_object]
pub struct Webhook {
    postman: core::result::Result<Rc<Postman>, worker::Storage>,
}

impl DurableObject for Webhook {
    fn new(state: State, env: Env) -> Self {
        let storage = state.storage();
        let postman = Postman::open(state, env).map(Rc::new).map_err(|error| {
            worker::console_error!("the webhook's database can't be used: {error}");
            storage
        });
        Self { postman }
    }

    async fn fetch(&self, mut request: Request) -> Result<Response> {
        let Ok(postman) = &self.postman else { return refuse(&ApiError::internal()) };
        let body = request.bytes().await?;
        let Ok(asked) = serde_json::from_slice::<WebhookRequest>(&body) else {
            return refuse(&ApiError::internal());
        };
        let answered = match postman.recognise(&asked) {
            Ok(()) => answer(postman, asked.call).await,
            Err(error) => Err(error),
        };
        match answered {
            Ok(response) => Ok(response),
            Err(error) => refuse(&error),
        }
    }

    async fn alarm(&self) -> Result<Response> {
        // Re-arm first, do the work detached, return at once (docs/decisions/heartbeat.md).
        let postman = match &self.postman {
            Ok(postman) => postman,
            Err(storage) => {
                storage.set_alarm(REOPEN_MS).await?;
                return Response::empty();
            }
        };
        if postman.is_gone() {
            // Set before the delete; there is nothing to read timers from.
            return Response::empty();
        }
        let now = clock::now();
        match postman.take_due(now) {
            Ok((due, next)) => {
                if let Some(next) = next {
                    postman.bell.set(next).await?;
                }
                let postman = Rc::clone(postman);
                wasm_bindgen_futures::spawn_local(async move { postman.work(due).await });
            }
            Err(error) => {
                worker::console_error!("the timers can't be read: {error}");
                postman.bell.set(now + AGAIN_MS).await?;
            }
        }
        Response::empty()
    }

    async fn websocket_message(&self, _: WebSocket, _: WebSocketIncomingMessage) -> Result<()> {
        Ok(())
    }

    async fn websocket_close(&self, _: WebSocket, _: usize, _: String, _: bool) -> Result<()> {
        Ok(())
    }

    async fn websocket_error(&self, _: WebSocket, _: worker::Error) -> Result<()> {
        Ok(())
    }
}

async fn answer(postman: &Rc<Postman>, call: Call) -> core::result::Result<Response, ApiError> {
    match call {
        Call::Wake { position } => {
            postman.news.set(postman.news.get().max(position));
            // The ledger says it again unless this is written down.
            let noted = postman.queue.timers().set(timer::PULL, clock::now() + AGAIN_MS);
            noted.map_err(|error| failed("news can't be noted", &error))?;
            pulling::start(postman);
            reply(&())
        }
        Call::Configure { start } => {
            configure(postman, start).await?;
            reply(&())
        }
        Call::Test => reply(&test(postman).await?),
        Call::Deliveries { status, limit, before } => {
            let record = postman.record().ok_or_else(ApiError::not_found)?;
            let page = postman.queue.list(&record.webhook, status, limit, before);
            reply(&page.map_err(|error| failed("the deliveries can't be read", &error))?)
        }
        Call::Replay(replay) => reply(&deliver_again(postman, replay)?),
        Call::Erase => {
            postman.erase().await?;
            reply(&())
        }
    }
}

async fn configure(postman: &Rc<Postman>, start: Option<u64>) -> core::result::Result<(), ApiError> {
    let begun = postman.remember(|record| record.cursor = record.cursor.or(start));
    begun.map_err(|error| failed("record", &error))?;
    postman.configure().await.map_err(|error| {
        worker::console_warn!("the webhook can't be read: {error}");
        ApiError::unavailable("The directory can't be reached right now.")
    })?;
    if postman.is_active() {
        pulling::start(postman);
    }
    postman.turn();
    Ok(())
}

/// Sends an event that says nothing, once: whoever tries a webhook out wants to see what happens.
async fn test(postman: &Rc<Postman>) -> core::result::Result<WebhookDelivery, ApiError> {
    postman.refresh().await;
    let record = postman.record().ok_or_else(ApiError::not_found)?;
    let unread = || ApiError::unavailable("The directory can't be reached right now.");
    let config = record.config.ok_or_else(unread)?;
    if postman.settings.vault.is_none() {
        return Err(ApiError::unavailable(
            "The gateway has no key for webhooks' secrets (WEBHOOK_SECRETS_KEY).",
        ));
    }
    let now = clock::now();
    let event = Envelope {
        schema: "v1".to_owned(),
        id: clock::event_id(),
        event: TEST_EVENT.to_owned(),
        session: config.session.unwrap_or_default(),
        organization: record.organization,
        timestamp: now,
        seq: 0,
        epoch: 0,
        payload: json!({"webhookId": record.webhook}),
    };
    let broken = |error: SqlError| failed("a test can't be queued", &error);
    if postman.queue.tests().map_err(broken)? >= MAX_TESTS {
        return Err(ApiError::conflict("Too many tests of this webhook are waiting."));
    }
    postman.queue.accept_test(&event, now, &ids::mint(now, clock::random())).map_err(broken)?;
    let delivery = postman.queue.of_event(&record.webhook, &event.id).map_err(broken)?;
    postman.turn();
    delivery.ok_or_else(ApiError::internal)
}

fn deliver_again(postman: &Rc<Postman>, replay: Replay) -> core::result::Result<ReplayResult, ApiError> {
    let now = clock::now();
    let broken = |error: SqlError| failed("a replay can't be queued", &error);
    let room = MAX_PENDING.saturating_sub(postman.queue.pending().map_err(broken)?);
    if room == 0 {
        return Err(ApiError::conflict("Too many deliveries of this webhook are waiting."));
    }
    let queued = match replay {
        Replay::Dead => postman.queue.replay_dead(room, now),
        Replay::Deliveries(ids) => postman.queue.replay(&ids, room, now),
        Replay::Events(events) => {
            postman.queue.replay_events(&events, room, now, || ids::mint(now, clock::random()))
        }
    };
    let queued = queued.map_err(broken)?;
    if let Ok(None) = postman.queue.timers().timer(timer::TIDY) {
        postman.set_timer(timer::TIDY, now + AGAIN_MS);
    }
    postman.turn();
    Ok(ReplayResult { queued })
}
