-- What the cron needs to notice what has gone wrong, and the version of WhatsApp Web that all sessions claim to be.
--
-- observed_at belongs to the projection: when the session's object last wrote it, every ten minutes at least while it
-- is live. desired_at is when the owner last asked for something the object must hear: while it is younger than
-- observed_at, nobody knows that the object has. desired can also be 'deleted'. swept_at is when the cron last took the
-- session up. All are epoch milliseconds.
ALTER TABLE session ADD COLUMN observed_at INTEGER NOT NULL DEFAULT 0;
ALTER TABLE session ADD COLUMN desired_at INTEGER NOT NULL DEFAULT 0;
ALTER TABLE session ADD COLUMN swept_at INTEGER NOT NULL DEFAULT 0;
ALTER TABLE session ADD COLUMN reason_code TEXT GENERATED ALWAYS AS (json_extract(status_reason, '$.code')) VIRTUAL;
ALTER TABLE session ADD COLUMN retry_at INTEGER GENERATED ALWAYS AS (json_extract(status_reason, '$.retryAt')) VIRTUAL;

-- One row. `fetched` is what WhatsApp's page last said, and fetched_at when; checked_at is when the page was last
-- asked, whether it answered or not. `claimed` is what sessions claim (a pinned version, else the fetched one), and
-- claimed_since when it last changed.
CREATE TABLE whatsapp_version (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  fetched TEXT,
  fetched_at INTEGER,
  checked_at INTEGER NOT NULL,
  claimed TEXT,
  claimed_since INTEGER
) STRICT;
