//! From the ledger into the queue: a page, then the next, until there is nothing new or enough waits.

use std::rc::Rc;
use std::time::Duration;

use gateway_domain::error::ErrorCode;
use gateway_domain::ids;
use gateway_domain::webhook::filter;
use gateway_object::calls::organization::{Call, Filter, Page, Request};
use gateway_object::clock;
use gateway_object::peer::Peer;
use gateway_sql::SqlError;

use crate::postman::{AGAIN_MS, Postman, timer};
use crate::queue::PAGE;
use crate::record::{Config, Record};

/// How long the ledger may take.
const PATIENCE: Duration = Duration::from_secs(15);
/// How long after the ledger could not be asked, or the queue was full, it is tried again.
const LATER_MS: u64 = 10_000;

/// What became of a page.
enum Pulled {
    /// There may be more.
    More,
    /// Nothing new is left, or it is not wanted.
    All,
    /// Not now.
    Later,
}

/// Reads what is new, beside everything else and one page at a time.
pub fn start(postman: &Rc<Postman>) {
    if postman.is_erased() {
        return;
    }
    // Should this die on the way, the alarm begins it again.
    postman.set_timer(timer::PULL, clock::now() + AGAIN_MS);
    if postman.is_pulling.replace(true) {
        return;
    }
    let postman = Rc::clone(postman);
    wasm_bindgen_futures::spawn_local(async move {
        let news = loop {
            let news = postman.news.get();
            match pull(&postman).await {
                Pulled::More => {}
                Pulled::All if postman.news.get() > news => {}
                Pulled::All => break None,
                Pulled::Later => break Some(clock::now() + LATER_MS),
            }
        };
        postman.is_pulling.set(false);
        if !postman.is_erased() {
            let settled = match news {
                Some(due) => postman.queue.timers().set(timer::PULL, due),
                None => postman.queue.timers().clear(timer::PULL),
            };
            if let Err(error) = settled {
                worker::console_error!("timer: {error}");
            }
        }
        postman.turn();
    });
}

async fn pull(postman: &Rc<Postman>) -> Pulled {
    postman.refresh().await;
    // What waits need not wait for the ledger.
    postman.turn();
    let Some(record) = postman.record() else { return Pulled::All };
    let Some(config) = record.config.clone() else { return Pulled::Later };
    // Whoever says where it begins, or switches it on, begins this anew.
    let Some(cursor) = record.cursor.filter(|_| record.is_active()) else { return Pulled::All };
    match postman.queue.has_room() {
        Ok(true) => {}
        Ok(false) => return Pulled::Later,
        Err(error) => return later(&error),
    }
    let page = match read(postman, &record, &config, Some(cursor)).await {
        // The ledger begins anew after it was lost.
        Err(ErrorCode::ValidationError) => {
            worker::console_warn!("the ledger is not as long as it was: reading it from its beginning");
            let page = read(postman, &record, &config, None).await;
            page.map(|page| Page { gap: true, ..page })
        }
        page => page,
    };
    let Ok(page) = page else { return Pulled::Later };
    match take(postman, cursor, &page) {
        Ok(true) if page.position != cursor && !postman.has_all_news(page.position) => Pulled::More,
        Ok(_) => Pulled::All,
        Err(error) => later(&error),
    }
}

async fn read(
    postman: &Postman,
    record: &Record,
    config: &Config,
    after: Option<u64>,
) -> Result<Page, ErrorCode> {
    let request = Request {
        organization: record.organization.clone(),
        call: Call::Read {
            after,
            limit: PAGE,
            wait: 0,
            filter: Filter { types: filter(&config.events), session: config.session.clone() },
            listens: false,
        },
    };
    let asked = Peer::organization(&record.organization).ask(&postman.env, &request, PATIENCE).await;
    asked.map_err(|error| error.error.code)
}

/// One synchronous SQL run: the deliveries, and that the ledger was read so far.
fn take(postman: &Postman, cursor: u64, page: &Page) -> Result<bool, SqlError> {
    let now = clock::now();
    let events: Vec<_> = page.entries.iter().map(|entry| entry.event.clone()).collect();
    // It may have been erased while the ledger was read.
    if postman.record().is_none_or(|record| record.cursor != Some(cursor)) {
        return Ok(false);
    }
    if page.gap {
        worker::console_warn!("a webhook has a gap: the ledger keeps no longer what it was not sent");
        let before = page.entries.first().map_or(page.position, |first| first.position.saturating_sub(1));
        postman.queue.note_gap(cursor, before, now, &ids::mint(now, clock::random()))?;
    }
    postman.queue.accept(&events, now, || ids::mint(now, clock::random()))?;
    postman.remember(|record| record.cursor = Some(page.position))?;
    Ok(true)
}

fn later(error: &SqlError) -> Pulled {
    worker::console_error!("the queue: {error}");
    Pulled::Later
}
