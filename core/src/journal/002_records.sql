-- Operations on records: what they do (`create`, `edit`, …); NULL for events.
ALTER TABLE operations ADD COLUMN action TEXT;

-- What a record's own operations are, in order. Captures do not touch it.
CREATE INDEX operations_on_records ON operations (lane, pos) WHERE action IS NOT NULL;

CREATE TRIGGER actions_are_facts BEFORE UPDATE OF action ON operations
BEGIN SELECT RAISE(ABORT, 'a captured fact never changes'); END;
