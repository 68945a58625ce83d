//! The session's log, for its live readers: a position is a `seq`.

use std::rc::Rc;

use event_listener::EventListener;
use gateway_domain::stream::Position;
use gateway_object::callers::shut_out;
use gateway_object::calls::reader::Filter;
use gateway_object::reader::{Batch, Bounds, Log, Sockets};
use gateway_sql::SqlError;
use serde_json::Value;

use crate::alarm::timer;
use crate::room::Room;
use crate::{clock, forward};

/// How often the WebSockets are looked after, in milliseconds.
pub const SOCKETS_MS: u64 = 25_000;

impl Log for Room {
    fn bounds(&self) -> Result<Bounds, SqlError> {
        Ok(Bounds { floor: self.journal.first_seq()?.saturating_sub(1), newest: self.journal.last_seq()? })
    }

    fn read(&self, after: u64, limit: u32, filter: &Filter) -> Result<Batch, SqlError> {
        let Ok(record) = self.record() else { return Ok(Batch { events: vec![], position: after }) };
        let (events, position) = self.journal.events(&record, after, limit, &filter.types)?;
        Ok(Batch { events: events.into_iter().map(|event| (event.seq, event)).collect(), position })
    }

    fn told(&self, position: u64) -> Value {
        position.into()
    }

    fn named(&self, position: &Position) -> Option<u64> {
        match position {
            Position::Number(seq) => Some(*seq),
            Position::Text(text) => text.parse().ok(),
        }
    }

    fn listen(&self) -> EventListener {
        Self::listen(self)
    }

    fn is_gone(&self) -> bool {
        self.record().is_err()
    }
}

impl Room {
    /// The WebSockets that read the log.
    pub fn sockets(&self) -> Sockets<'_> {
        Sockets(self.state())
    }

    /// The log has grown, or something else has changed that somebody waits for.
    pub fn changed(self: &Rc<Self>) {
        self.wake.notify(usize::MAX);
        self.sockets().push(self.as_ref());
        forward::start(self);
    }

    /// WebSockets: signs of life, and whether their callers would still be let in.
    pub(crate) async fn look_after_sockets(self: &Rc<Self>) {
        if self.sockets().is_empty() {
            if let Err(error) = self.journal.timers().clear(timer::SOCKETS) {
                worker::console_error!("timer: {error}");
            }
            return;
        }
        self.sockets().tick(self.as_ref());
        let set = self.journal.timers().set(timer::SOCKETS, clock::now() + SOCKETS_MS);
        if let Err(error) = set {
            worker::console_error!("timer: {error}");
        }
        let (keys, Ok(record)) = (self.sockets().keys(), self.record()) else { return };
        if keys.is_empty() {
            return;
        }
        match shut_out(&self.env, &record.organization, &keys).await {
            Ok(out) => {
                self.sockets().dismiss(|caller| caller.key.as_ref().is_none_or(|key| !out.contains(key)));
            }
            Err(error) => worker::console_warn!("readers could not be checked: {error}"),
        }
    }
}
