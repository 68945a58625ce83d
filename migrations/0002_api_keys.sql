-- API keys that are rotated and listed.
--
-- After a rotation the secret before it opens the door for a while: `previous_key` is its hash, as `key` is, and
-- holds until `previous_expires_at` (epoch milliseconds). better-auth knows neither column and leaves both alone.
ALTER TABLE apikey ADD COLUMN previous_key TEXT;
ALTER TABLE apikey ADD COLUMN previous_expires_at INTEGER;

CREATE UNIQUE INDEX apikey_by_previous_key ON apikey (previous_key) WHERE previous_key IS NOT NULL;

-- A page of an organization's keys is a range of this one.
CREATE INDEX apikey_by_organization ON apikey (reference_id, id);
DROP INDEX apikey_by_reference;
