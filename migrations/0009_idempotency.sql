-- `Idempotency-Key`: what was asked for with a key, who is at it, and what was answered (docs/decisions/idempotency.md).
CREATE TABLE idempotency (
  organization_id TEXT NOT NULL,
  key TEXT NOT NULL,
  -- base64url(SHA-256) of method, path, query and body.
  request TEXT NOT NULL,
  -- The id of what the operation makes: the same whoever ends it.
  resource_id TEXT NOT NULL,
  -- The attempt that took the key last (the first one's is resource_id), and until when nobody else may; null when that
  -- attempt is over.
  holder TEXT NOT NULL,
  leased_until INTEGER,
  -- The answer, once it was done: without what is shown once; null where it can't be repeated.
  status INTEGER,
  content_type TEXT,
  body TEXT,
  expires_at INTEGER NOT NULL,
  PRIMARY KEY (organization_id, key)
) STRICT;

CREATE INDEX idempotency_by_expiry ON idempotency (expires_at);
