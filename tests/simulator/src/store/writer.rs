//! The one thread that writes, and the file it writes to.

use std::path::Path;
use std::sync::PoisonError;
use std::time::Duration;

use anyhow::{Context as _, Result};
use rusqlite::{Connection, params};

use super::{Change, Kind, Shared};

const FILE: &str = "simulator.sqlite";

/// Opens the file for this process alone.
pub fn connect(directory: &Path) -> Result<Connection> {
    std::fs::create_dir_all(directory).with_context(|| format!("{}", directory.display()))?;
    let connection = Connection::open(directory.join(FILE))?;
    // Long enough for the one before, which is on its way out.
    connection.busy_timeout(Duration::from_secs(1))?;
    // Exclusive: two simulators that both moved the same ratchets on would be worse than one that doesn't start.
    connection
        .execute_batch(
            "PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;
             CREATE TABLE IF NOT EXISTS rows (owner TEXT, kind TEXT, key TEXT, value BLOB NOT NULL,
                                              PRIMARY KEY (owner, kind, key)) WITHOUT ROWID;",
        )
        .with_context(|| format!("{} is in use, or no state", directory.join(FILE).display()))?;
    connection.set_prepared_statement_cache_capacity(16);
    Ok(connection)
}

/// Writes until the store is closed or the disk fails; after a failure nothing leaves the process any more.
pub fn run(shared: &Shared, mut connection: Connection) {
    loop {
        let (changes, last, closed) = {
            let mut queue = shared.queue();
            while !queue.closed && !matches!(queue.slots.front(), Some(Some(_))) {
                queue = shared.filled.wait(queue).unwrap_or_else(PoisonError::into_inner);
            }
            (queue.take_ready(), queue.first - 1, queue.closed)
        };
        if let Err(error) = write(&mut connection, &changes) {
            log::error!("the state can't be written, nothing is sent any more: {error}");
            shared.queue().closed = true;
            break;
        }
        shared.written.send_replace(last);
        if closed {
            break;
        }
    }
    // Wakes whoever still waits for what will never be written.
    shared.written.send_replace(u64::MAX);
}

fn write(connection: &mut Connection, changes: &[Change]) -> rusqlite::Result<()> {
    let transaction = connection.transaction()?;
    for change in changes {
        apply(&transaction, change)?;
    }
    transaction.commit()
}

fn apply(connection: &Connection, change: &Change) -> rusqlite::Result<usize> {
    match change {
        Change::Put { owner, kind, key, value } => connection
            .prepare_cached("INSERT OR REPLACE INTO rows (owner, kind, key, value) VALUES (?, ?, ?, ?)")?
            .execute(params![owner, kind.name(), key, value]),
        Change::Delete { owner, kind, key } => connection
            .prepare_cached("DELETE FROM rows WHERE owner = ? AND kind = ? AND key = ?")?
            .execute(params![owner, kind.name(), key]),
        Change::DeleteKind { owner, kind } => connection
            .prepare_cached("DELETE FROM rows WHERE owner = ? AND kind = ?")?
            .execute(params![owner, kind.name()]),
        Change::DeleteOwner { owner } => {
            connection.prepare_cached("DELETE FROM rows WHERE owner = ?")?.execute(params![owner])
        }
        Change::Reset => {
            connection.prepare_cached("DELETE FROM rows WHERE kind <> ?")?.execute([Kind::World.name()])
        }
    }
}
