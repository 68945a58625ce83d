-- Tickets for WebSockets of browsers, which can't send a header. Used once, within 30 seconds. `hash` is
-- base64url(SHA-256(ticket)); `scope` says which log, which events, and whose credential it was minted with.
CREATE TABLE realtime_ticket (
  hash TEXT PRIMARY KEY,
  organization_id TEXT NOT NULL,
  scope TEXT NOT NULL,
  expires_at INTEGER NOT NULL
) STRICT;

CREATE INDEX realtime_ticket_by_expiry ON realtime_ticket (expires_at);
