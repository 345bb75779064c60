-- The tenant as this device knows it. A cache: dropped and rebuilt whenever in doubt.
-- `$schema.` is replaced by the name under which the file is attached.

CREATE TABLE $schema.mirror (
  one              INTEGER PRIMARY KEY CHECK (one = 1),
  cursor           TEXT,                   -- where to pull from; NULL: from the beginning
  seq              INTEGER NOT NULL DEFAULT 0,   -- of the last change applied
  head             INTEGER NOT NULL DEFAULT 0,   -- of the server when last heard of
  generation       INTEGER NOT NULL DEFAULT 1,   -- counts rebuilds from a new epoch
  rebuilding       INTEGER NOT NULL DEFAULT 0,   -- rows of older generations are still shown
  pulled_at        INTEGER,                -- device clock at the last page, UTC ms
  server_offset_ms INTEGER                 -- server clock minus device clock then
) STRICT;
INSERT INTO $schema.mirror (one) VALUES (1);

CREATE TABLE $schema.vehicles (
  id         BLOB PRIMARY KEY,
  name       TEXT NOT NULL,                -- as shown
  override_miles INTEGER,
  deleted_at INTEGER,
  generation INTEGER NOT NULL,
  data       TEXT NOT NULL                 -- protocol::Vehicle as received
) STRICT, WITHOUT ROWID;

CREATE TABLE $schema.garages (
  id         BLOB PRIMARY KEY,
  name       TEXT NOT NULL,
  deleted_at INTEGER,
  generation INTEGER NOT NULL,
  data       TEXT NOT NULL                 -- protocol::Garage as received
) STRICT, WITHOUT ROWID;

CREATE TABLE $schema.events (
  n           INTEGER PRIMARY KEY,
  event_id    BLOB NOT NULL UNIQUE,
  vehicle_id  BLOB NOT NULL,
  type        TEXT NOT NULL,               -- canonical name
  occurred_at INTEGER NOT NULL,            -- UTC ms
  at          INTEGER NOT NULL,            -- what orders the odometer's timeline, UTC ms
  date        TEXT NOT NULL,               -- local calendar day
  miles       INTEGER,
  starts_segment INTEGER NOT NULL DEFAULT 0,
  seq         INTEGER,                     -- the server's; NULL until accepted
  state       TEXT NOT NULL,               -- of the operation; 'accepted' for everyone else's
  own         INTEGER NOT NULL,            -- 1: overlaid from the journal, 0: from the server's log
  corrects    BLOB,                        -- the event it corrects, retracts or restores
  root        BLOB,                        -- first event of that chain; NULL: its own
  hidden      INTEGER NOT NULL DEFAULT 0,  -- superseded, retracted, or itself a retraction or restoration
  generation  INTEGER NOT NULL,
  data        TEXT NOT NULL                -- protocol::EventRecord as received
) STRICT;

CREATE INDEX $schema.events_of_vehicle ON events (vehicle_id, occurred_at DESC, event_id DESC)
  WHERE hidden = 0;
CREATE INDEX $schema.events_newest ON events (occurred_at DESC, event_id DESC) WHERE hidden = 0;
CREATE INDEX $schema.readings ON events (vehicle_id, at, seq)
  WHERE miles IS NOT NULL AND hidden = 0;
CREATE INDEX $schema.event_families ON events (root) WHERE root IS NOT NULL;
CREATE INDEX $schema.events_overlaid ON events (event_id) WHERE own = 1;
