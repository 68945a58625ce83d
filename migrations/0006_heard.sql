-- The newest wish of the owner (desired_at) that the session's object has heard, written by the object with its
-- projection. While desired_at is younger, the cron tells the object again: that it has been heard of since (observed_at)
-- does not say that it has heard.
ALTER TABLE session ADD COLUMN heard_at INTEGER NOT NULL DEFAULT 0;
UPDATE session SET heard_at = observed_at;
