-- What this device wrote. Evidence: captured facts are inserted once and never changed; only the
-- columns that say how far an operation has travelled are updated.

-- Whose journal this is. One row.
CREATE TABLE device (
  one         INTEGER PRIMARY KEY CHECK (one = 1),
  tenant_id   BLOB NOT NULL,
  user_id     BLOB NOT NULL,
  device_id   BLOB NOT NULL,
  opened_at   INTEGER NOT NULL,         -- first opening, UTC ms of this device's clock
  log_generation INTEGER NOT NULL DEFAULT 1  -- counts the server's logs; sequences of two never mix
) STRICT;

-- The lives of this journal. A second one begins when the server finds that a clone has used
-- this one's sequence.
CREATE TABLE incarnations (
  n           INTEGER PRIMARY KEY,
  incarnation BLOB NOT NULL UNIQUE,
  prev_hash   BLOB NOT NULL,            -- the head that its first operation names
  opened_at   INTEGER NOT NULL
) STRICT;

CREATE TABLE operations (
  pos         INTEGER PRIMARY KEY,      -- order of capture on this device
  op_id       BLOB NOT NULL UNIQUE,
  incarnation INTEGER NOT NULL REFERENCES incarnations(n),
  device_seq  INTEGER NOT NULL,
  lane        BLOB NOT NULL,
  supersedes  BLOB,                     -- the operation whose place it takes, if any
  captured_at INTEGER NOT NULL,         -- UTC ms of this device's clock
  hash        BLOB NOT NULL,
  text        TEXT NOT NULL,            -- the sealed operation, byte for byte
  -- how far it has travelled:
  state       TEXT NOT NULL DEFAULT 'queued',
  seq         INTEGER,                  -- the server's sequence once accepted
  settled_at  INTEGER,                  -- server clock at acceptance, UTC ms
  attempts    INTEGER NOT NULL DEFAULT 0,
  retry_at    INTEGER,                  -- not to be sent again before, UTC ms
  awaits      BLOB,                     -- the event whose change will let it be offered again
  reason      TEXT                      -- the Rejection, JSON
) STRICT;

-- Everything a person may still have to look at, in order. Small.
CREATE INDEX operations_unsettled ON operations (pos)
  WHERE state NOT IN ('accepted', 'superseded');
CREATE INDEX operations_accepted ON operations (seq) WHERE seq IS NOT NULL;
CREATE INDEX operations_awaiting ON operations (pos) WHERE awaits IS NOT NULL;
CREATE INDEX operations_superseding ON operations (supersedes) WHERE supersedes IS NOT NULL;

CREATE TRIGGER operations_are_facts
BEFORE UPDATE OF pos, op_id, incarnation, device_seq, lane, supersedes, captured_at, hash, text
ON operations BEGIN SELECT RAISE(ABORT, 'a captured fact never changes'); END;

-- What pruning leaves behind: the last operation taken out, so that the chain still connects.
CREATE TABLE checkpoints (
  pos         INTEGER PRIMARY KEY,
  incarnation INTEGER NOT NULL,
  device_seq  INTEGER NOT NULL,
  hash        BLOB NOT NULL,
  pruned_at   INTEGER NOT NULL          -- server clock, UTC ms
) STRICT;

CREATE TRIGGER only_confirmed_operations_are_pruned
BEFORE DELETE ON operations
WHEN OLD.state NOT IN ('accepted', 'superseded')
  OR NOT EXISTS (SELECT 1 FROM checkpoints WHERE pos >= OLD.pos)
BEGIN SELECT RAISE(ABORT, 'only confirmed operations behind a checkpoint are pruned'); END;
