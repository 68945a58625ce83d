-- Who did what to which resource, when, from where, and how it ended. Entries are added, never changed, and kept for
-- a year at least.
CREATE TABLE audit_log (
  -- A ULID: the order of the log.
  id TEXT PRIMARY KEY,
  -- Whose log it is; empty for what a super_admin does without acting for an organization.
  organization_id TEXT NOT NULL,
  at INTEGER NOT NULL,
  actor_type TEXT NOT NULL,
  actor_id TEXT NOT NULL,
  actor_is_super_admin INTEGER NOT NULL,
  operation TEXT NOT NULL,
  resource TEXT,
  address TEXT,
  request_id TEXT NOT NULL,
  status INTEGER NOT NULL,
  error_code TEXT
) STRICT;

CREATE INDEX audit_log_by_organization ON audit_log (organization_id, id);

CREATE TRIGGER audit_log_is_never_changed BEFORE UPDATE ON audit_log
BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;

CREATE TRIGGER audit_log_is_kept_for_a_year BEFORE DELETE ON audit_log WHEN OLD.at > (unixepoch() - 31536000) * 1000
BEGIN SELECT RAISE(ABORT, 'the audit log is kept for a year'); END;
