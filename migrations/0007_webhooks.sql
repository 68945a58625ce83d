-- Webhooks: what their owners decided. What becomes of the deliveries is known to the webhook's own object.
CREATE TABLE webhook (
  id TEXT PRIMARY KEY,
  organization_id TEXT NOT NULL,
  url TEXT NOT NULL,
  -- Null for all sessions.
  session_id TEXT,
  -- A JSON array of types, or ["*"].
  events TEXT NOT NULL,
  active INTEGER NOT NULL,
  -- Sealed with WEBHOOK_SECRETS_KEY: 1.<key>.<nonce and ciphertext>. After a rotation the one before signs too, until
  -- previous_secret_expires_at.
  secret TEXT NOT NULL,
  previous_secret TEXT,
  previous_secret_expires_at INTEGER,
  custom_headers TEXT NOT NULL,
  retry_policy TEXT NOT NULL,
  -- 'gone' or 'failing', when the gateway switched it off.
  disabled_reason TEXT,
  disabled_at INTEGER,
  -- Where in the organization's ledger it begins, kept while its object has not been told.
  start_position INTEGER,
  -- Being deleted: what is left is to tell the objects.
  deleted_at INTEGER,
  -- Grows with every change; heard_rev is the one that ledger and object have heard of. The cron tells them what was
  -- cut off.
  rev INTEGER NOT NULL DEFAULT 1,
  heard_rev INTEGER NOT NULL DEFAULT 0,
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL
) STRICT;

CREATE INDEX webhook_by_organization ON webhook (organization_id, id);
-- Few at any time: what the cron looks for.
CREATE INDEX webhook_unheard ON webhook (updated_at) WHERE heard_rev < rev;

-- An organization has at most 50; one more is left out, whoever adds it at the same time.
CREATE TRIGGER webhooks_are_few BEFORE INSERT ON webhook
WHEN (SELECT COUNT(*) FROM webhook WHERE organization_id = NEW.organization_id AND deleted_at IS NULL) >= 50
BEGIN SELECT RAISE(IGNORE); END;
