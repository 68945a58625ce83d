//! The object's own tables. The keystore has its own schema beside them.

use gateway_sql::{Sql, SqlError};

/// One entry a version; every statement can be repeated, because a Durable Object has no SQL transactions and a
/// crash may fall between two of them. The version row is written last.
const MIGRATIONS: &[&[&str]] = &[
    &[
    // Intent and observed state, whole: one row.
    "CREATE TABLE IF NOT EXISTS record (id INTEGER PRIMARY KEY CHECK (id = 1), document TEXT NOT NULL)",
    // One alarm, many timers.
    gateway_object::alarm::TABLE,
    // The log. seq is gapless: the newest row is never deleted, and the next is one more.
    "CREATE TABLE IF NOT EXISTS event (
       seq INTEGER PRIMARY KEY, id TEXT NOT NULL, type TEXT NOT NULL, epoch INTEGER NOT NULL,
       timestamp INTEGER NOT NULL, payload TEXT NOT NULL)",
    // The primary key is what makes a redelivered message no second message. The sender is part of it: two
    // members of a group may choose the same id.
    "CREATE TABLE IF NOT EXISTS message (
       chat TEXT NOT NULL, sender TEXT NOT NULL, id TEXT NOT NULL, from_me INTEGER NOT NULL, type TEXT NOT NULL,
       body TEXT, status TEXT, timestamp INTEGER NOT NULL, PRIMARY KEY (chat, sender, id)) WITHOUT ROWID",
    "CREATE INDEX IF NOT EXISTS message_by_id ON message (id)",
],
    // Every change of status or reason: the timeline. The newest row is what holds now.
    &["CREATE TABLE IF NOT EXISTS stretch (
       seq INTEGER PRIMARY KEY, at INTEGER NOT NULL, status TEXT NOT NULL, code TEXT, message TEXT,
       epoch INTEGER NOT NULL)"],
    // The library: people, groups, and who is in them. A person goes by their LID once it is known, else by the JID of
    // their number; `pull` is the backfill that found the row last.
    &[
        "CREATE TABLE IF NOT EXISTS contact (
       id INTEGER PRIMARY KEY, jid TEXT NOT NULL UNIQUE, phone TEXT, name TEXT, push_name TEXT, business_name TEXT,
       source TEXT NOT NULL, first_seen INTEGER NOT NULL, last_seen INTEGER NOT NULL, pull TEXT)",
        "CREATE INDEX IF NOT EXISTS contact_by_phone ON contact (phone)",
        "CREATE TABLE IF NOT EXISTS chat_group (
       id INTEGER PRIMARY KEY, jid TEXT NOT NULL UNIQUE, subject TEXT, description TEXT, owner TEXT, created INTEGER,
       announce INTEGER NOT NULL, locked INTEGER NOT NULL, participant_count INTEGER NOT NULL,
       members INTEGER NOT NULL, joined INTEGER NOT NULL, first_seen INTEGER NOT NULL, updated INTEGER NOT NULL,
       pull TEXT)",
        "CREATE TABLE IF NOT EXISTS group_member (
       id INTEGER PRIMARY KEY, group_jid TEXT NOT NULL, jid TEXT NOT NULL, phone TEXT, role TEXT NOT NULL, tag TEXT,
       first_seen INTEGER NOT NULL, last_seen INTEGER NOT NULL, UNIQUE (group_jid, jid))",
        // The newest backfill, and how often it was begun.
        "CREATE TABLE IF NOT EXISTS backfill (
       one INTEGER PRIMARY KEY CHECK (one = 1), id TEXT NOT NULL, status TEXT NOT NULL, attempts INTEGER NOT NULL,
       contacts INTEGER NOT NULL, joined_groups INTEGER NOT NULL, group_members INTEGER NOT NULL,
       started INTEGER NOT NULL, finished INTEGER, error TEXT)",
    ],
    &[crate::forwarding::TABLE, crate::forwarding::BEGIN],
    &[
        // What a message is besides its text; `raw` are its bytes as WhatsApp delivered them. `edited` and `revoked` say
        // when. Not WITHOUT ROWID: large rows make such a tree deep.
        "CREATE TABLE IF NOT EXISTS message_detail (
       chat TEXT NOT NULL, sender TEXT NOT NULL, id TEXT NOT NULL, document TEXT, raw BLOB, edited INTEGER,
       revoked INTEGER, PRIMARY KEY (chat, sender, id))",
        // What was told of things that leave no row of their own: WhatsApp may deliver them again.
        "CREATE TABLE IF NOT EXISTS heard (number INTEGER PRIMARY KEY, occasion TEXT NOT NULL UNIQUE)",
    ],
    // The first tables of the outbox, which nothing wrote to.
    &[],
    crate::polls::TABLES,
    crate::outbox::TABLES,
    crate::chats::TABLES,
    // How far each member of a group is with a message of ours.
    &["CREATE TABLE IF NOT EXISTS receipt (
       number INTEGER PRIMARY KEY, occasion TEXT NOT NULL UNIQUE, status INTEGER NOT NULL)"],
    crate::chats::READ_APART,
    crate::outbox::LOTS,
];

/// Creates or migrates the tables.
///
/// # Errors
/// When SQLite refuses, or the tables were made by a newer version of the gateway.
pub fn migrate(sql: &impl Sql) -> Result<(), SqlError> {
    sql.query("CREATE TABLE IF NOT EXISTS object_schema (version INTEGER NOT NULL)", &[])?;
    let rows = sql.query("SELECT version FROM object_schema", &[])?;
    let version = rows.first().map_or(Ok(0), |row| row.integer(0))?;
    let version = usize::try_from(version).unwrap_or(usize::MAX);
    if version > MIGRATIONS.len() {
        return Err(SqlError(format!(
            "the object's tables are of version {version}, newer than this gateway"
        )));
    }
    if version == MIGRATIONS.len() {
        return Ok(());
    }
    for statement in MIGRATIONS.iter().skip(version).copied().flatten() {
        sql.query(statement, &[])?;
    }
    sql.query("DELETE FROM object_schema", &[])?;
    let newest = i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX);
    sql.query("INSERT INTO object_schema (version) VALUES (?1)", &[newest.into()])?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use gateway_sql::native::NativeSql;

    #[test]
    fn migrating_twice_is_migrating_once() {
        let sql = NativeSql::in_memory().unwrap();
        migrate(&sql).unwrap();
        sql.query("INSERT INTO timer VALUES ('tick', 5)", &[]).unwrap();
        migrate(&sql).unwrap();
        assert_eq!(sql.query("SELECT due FROM timer", &[]).unwrap().len(), 1);
        assert_eq!(sql.query("SELECT version FROM object_schema", &[]).unwrap().len(), 1);
    }

    #[test]
    fn tables_of_a_newer_gateway_are_refused_and_left_alone() {
        let sql = NativeSql::in_memory().unwrap();
        migrate(&sql).unwrap();
        sql.query("UPDATE object_schema SET version = 99", &[]).unwrap();
        assert!(migrate(&sql).is_err());
    }
}
