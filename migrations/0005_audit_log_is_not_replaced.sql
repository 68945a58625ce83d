-- INSERT OR REPLACE removes the row it replaces without asking the triggers on DELETE. An entry that is there already,
-- by its id or its place, is not written again, whichever way it is tried.
CREATE TRIGGER audit_log_is_never_replaced BEFORE INSERT ON audit_log
WHEN EXISTS (SELECT 1 FROM audit_log WHERE id = NEW.id OR rowid = NEW.rowid)
BEGIN SELECT RAISE(IGNORE); END;
