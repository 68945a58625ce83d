//! Looks whether WhatsApp can be reached, for sessions that wait long because it could not be.
//!
//! After an outage the backoff has grown to minutes, and a session should be back within one. Each isolate asks
//! WhatsApp's address now and then, one small request for all its sessions; those who saw it fail come back, spread,
//! when it answers. A session whose own attempts fail while WhatsApp answers gains nothing: its backoff stands.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use futures::future::{Either, select};
use gateway_domain::lifecycle::Happening;
use worker::{AbortController, Delay, Fetch, Method, Request, RequestInit, RequestRedirect};

use crate::alarm::TICK_MS;
use crate::clock;
use crate::room::Room;

/// How long an answer is good for the other sessions of the isolate, in milliseconds.
const FRESH_MS: u64 = 10_000;
/// How long WhatsApp may take.
const PATIENCE: Duration = Duration::from_secs(5);

thread_local! {
    /// When it was asked last, and whether it answered.
    static LAST: Cell<Option<(u64, bool)>> = const { Cell::new(None) };
}

/// Looks, if the session has long to wait.
pub fn look(room: &Rc<Room>) {
    let now = clock::now();
    let (is_cut_off, retry_at) = match room.record.borrow().as_ref() {
        Some(record) => {
            let why = record.lifecycle.reason.as_ref();
            let is_cut_off =
                record.lifecycle.status.is_live() && why.is_some_and(|why| why.code == "network");
            (is_cut_off, record.lifecycle.retry_at())
        }
        None => return,
    };
    if !is_cut_off {
        room.saw_unreachable(false);
        return;
    }
    // An attempt that comes soon needs no help. What was seen before it stays seen: it may fail a moment too early.
    if retry_at.is_none_or(|at| at <= now + TICK_MS) {
        return;
    }
    let room = Rc::clone(room);
    // Told whose attempt this is: a look may outlast it.
    let epoch = room.epoch();
    wasm_bindgen_futures::spawn_local(async move {
        let answers = match LAST.get() {
            Some((at, answers)) if clock::now().saturating_sub(at) < FRESH_MS => answers,
            _ => {
                let answers = ask(&room.whatsapp_address()).await;
                LAST.set(Some((clock::now(), answers)));
                answers
            }
        };
        if room.epoch() != epoch {
            return;
        }
        if !answers {
            room.saw_unreachable(true);
        } else if room.saw_unreachable(false) {
            room.happen(Happening::Reachable);
        }
    });
}

/// Whether anything answers there, whatever it says.
async fn ask(address: &str) -> bool {
    let aborter = AbortController::default();
    let mut init = RequestInit::new();
    init.with_method(Method::Get).with_redirect(RequestRedirect::Manual);
    let Ok(request) = Request::new_with_init(address, &init) else { return false };
    let signal = aborter.signal();
    let asked = Fetch::Request(request);
    let asked = std::pin::pin!(asked.send_with_signal(&signal));
    match select(asked, Delay::from(PATIENCE)).await {
        // A proxy's own word for an origin that is down is no answer of WhatsApp's.
        Either::Left((Ok(response), _)) => {
            !(502..=504).contains(&response.status_code()) && !(520..=530).contains(&response.status_code())
        }
        Either::Left((Err(_), _)) => false,
        Either::Right(_) => {
            aborter.abort();
            false
        }
    }
}

impl Room {
    /// Notes whether WhatsApp is out of reach; whether it was before. Kept in the record: without a socket the runtime
    /// evicts the object between two ticks.
    fn saw_unreachable(&self, is_unreachable: bool) -> bool {
        let mut held = self.record.borrow_mut();
        let Some(record) = held.as_mut() else { return false };
        let before = std::mem::replace(&mut record.unreachable, is_unreachable);
        if before != is_unreachable
            && let Err(error) = self.journal.save(record)
        {
            worker::console_error!("the record could not be written: {error}");
        }
        before
    }
}
