//! Switching a webhook off: the directory first, then the ledger, which tells the organization while it still counts the
//! webhook as somebody who listens. Each step may be done twice, none is left out: the alarm goes on until all is done.

use std::rc::Rc;
use std::time::Duration;

use gateway_domain::error::ApiError;
use gateway_domain::event::Envelope;
use gateway_domain::webhook::{DISABLED_EVENT, DisabledReason, WebhookDisabledPayload};
use gateway_object::calls::organization::{Call, Position, Request};
use gateway_object::clock;
use gateway_object::peer::Peer;
use gateway_sql::SqlError;

use crate::directory;
use crate::postman::{AGAIN_MS, Postman, timer};
use crate::record::{Disabling, Record};

/// How long the ledger may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Nothing is sent from here on; the rest is done detached. `rev` is the change of the row that was in use.
///
/// # Errors
/// When the database fails.
pub fn begin(postman: &Rc<Postman>, reason: DisabledReason, rev: u64, now: u64) -> Result<(), SqlError> {
    postman.remember(|record| {
        record.disabling = Some(Disabling { reason, at: now, rev, event_id: clock::event_id() });
    })?;
    start(postman);
    Ok(())
}

/// Does what is left to do, beside everything else and once at a time.
pub fn start(postman: &Rc<Postman>) {
    if postman.is_erased() {
        return;
    }
    postman.set_timer(timer::DISABLE, clock::now() + AGAIN_MS);
    if postman.is_disabling.replace(true) {
        return;
    }
    let postman = Rc::clone(postman);
    wasm_bindgen_futures::spawn_local(async move {
        match disable(&postman).await {
            Ok(()) => {
                let cleared = postman
                    .remember(|record| record.disabling = None)
                    .and_then(|_| postman.queue.timers().clear(timer::DISABLE));
                if let Err(error) = cleared {
                    worker::console_error!("timer: {error}");
                }
            }
            Err(error) => worker::console_warn!("a webhook could not be switched off yet: {error}"),
        }
        postman.is_disabling.set(false);
        postman.turn();
    });
}

async fn disable(postman: &Rc<Postman>) -> Result<(), String> {
    let Some(record) = postman.record() else { return Ok(()) };
    let Some(disabling) = record.disabling.clone() else { return Ok(()) };
    directory::disable(&postman.env, &record.organization, &record.webhook, &disabling).await?;
    // What the row says now is what holds: the owner may have been faster.
    postman.configure().await?;
    let Some(record) = postman.record() else { return Ok(()) };
    let Some(config) = record.config.as_ref().filter(|_| record.disabling.as_ref() == Some(&disabling))
    else {
        return Ok(());
    };
    if !disabling.is_written_in(config) {
        return Err("the directory has not taken it".to_owned());
    }
    let ask = async |call| {
        let request = Request { organization: record.organization.clone(), call };
        let ledger = Peer::organization(&record.organization);
        let asked = ledger.ask::<Position>(&postman.env, &request, PATIENCE).await;
        asked.map_err(|error: ApiError| error.error.message)
    };
    ask(Call::Tell { event: event(&record, &disabling) }).await?;
    ask(Call::RefreshWebhooks).await?;
    directory::heard(&postman.env, &record.organization, &record.webhook, config.rev).await
}

fn event(record: &Record, disabling: &Disabling) -> Envelope {
    let payload = WebhookDisabledPayload { webhook_id: record.webhook.clone(), reason: disabling.reason };
    Envelope {
        schema: "v1".to_owned(),
        id: disabling.event_id.clone(),
        event: DISABLED_EVENT.to_owned(),
        // The gateway says it of itself: it has no place in a session's log.
        session: String::new(),
        organization: record.organization.clone(),
        timestamp: disabling.at,
        seq: 0,
        epoch: 0,
        payload: serde_json::to_value(payload).unwrap_or_default(),
    }
}
