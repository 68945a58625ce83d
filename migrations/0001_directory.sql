-- The directory: which sessions exist and who owns them, and the keys that open the API.
--
-- `session` holds intent (what the owner asked for: label, settings, desired) and a projection of what was
-- observed (status … observed_seq). Only the session's object writes the projection, with a growing
-- observed_seq; a write with an older one changes nothing.
CREATE TABLE session (
  id TEXT PRIMARY KEY,
  organization_id TEXT NOT NULL,
  label TEXT,
  auto_read INTEGER NOT NULL DEFAULT 0,
  presence_typing INTEGER NOT NULL DEFAULT 0,
  rate_per_min INTEGER NOT NULL DEFAULT 0,
  rate_per_hour INTEGER NOT NULL DEFAULT 0,
  region TEXT,
  created_by_user_id TEXT,
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL,
  -- 'connected' or 'stopped': what the owner asked for.
  desired TEXT NOT NULL DEFAULT 'stopped',
  -- The projection.
  status TEXT NOT NULL DEFAULT 'stopped',
  status_reason TEXT,
  epoch INTEGER NOT NULL DEFAULT 0,
  phone_number TEXT,
  wa_jid TEXT,
  wa_lid TEXT,
  last_connected_at INTEGER,
  observed_seq INTEGER NOT NULL DEFAULT 0
);

CREATE INDEX session_by_organization ON session (organization_id, id);

-- The column layout of better-auth's api-key plugin, so that keys a better-auth frontend mints over the same
-- database work as they are. `key` is base64url(SHA-256(key)), unpadded; the key itself is never stored.
CREATE TABLE apikey (
  id TEXT PRIMARY KEY,
  config_id TEXT NOT NULL DEFAULT 'default',
  name TEXT,
  start TEXT,
  reference_id TEXT NOT NULL,
  prefix TEXT,
  key TEXT NOT NULL,
  refill_interval INTEGER,
  refill_amount INTEGER,
  last_refill_at INTEGER,
  enabled INTEGER DEFAULT 1,
  rate_limit_enabled INTEGER DEFAULT 0,
  rate_limit_time_window INTEGER,
  rate_limit_max INTEGER,
  request_count INTEGER DEFAULT 0,
  remaining INTEGER,
  last_request INTEGER,
  expires_at INTEGER,
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL,
  permissions TEXT,
  metadata TEXT
);

CREATE UNIQUE INDEX apikey_by_key ON apikey (key);
CREATE INDEX apikey_by_reference ON apikey (reference_id);
