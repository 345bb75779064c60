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
  server_offset_ms INTEGER,                -- server clock minus device clock then
  layout           TEXT                    -- fingerprint of the records' declaration
) STRICT;
INSERT INTO $schema.mirror (one) VALUES (1);

-- Documents of the records, as the server's log has made them. Their rows, in a table for each
-- collection, are laid out from the declaration in `protocol`.
CREATE TABLE $schema.record_docs (
  n          INTEGER PRIMARY KEY,
  collection TEXT NOT NULL,
  id         BLOB NOT NULL,
  generation INTEGER NOT NULL,
  doc        BLOB NOT NULL,
  UNIQUE (collection, id)
) STRICT;

-- What documents were before they began again without their history, the oldest first. Kept while
-- this device has operations that are not settled, which may name heads of them.
CREATE TABLE $schema.record_earlier (
  n          INTEGER PRIMARY KEY,
  collection TEXT NOT NULL,
  id         BLOB NOT NULL,
  generation INTEGER NOT NULL,
  doc        BLOB NOT NULL
) STRICT;
CREATE INDEX $schema.record_earlier_of ON record_earlier (id);

-- Entries of the log that made no document: of a collection that this version does not know, or
-- damaged. Kept as received, to be read by a newer version or once what they lack has come.
CREATE TABLE $schema.record_aside (
  seq        INTEGER PRIMARY KEY,
  collection TEXT,
  id         BLOB,
  generation INTEGER NOT NULL,
  damage     TEXT,                         -- what is wrong; NULL: nothing, the collection is new
  data       TEXT NOT NULL                 -- protocol::wire::RecordChange as received
) STRICT;
CREATE INDEX $schema.record_aside_of ON record_aside (id);

-- This device's operations on records of which the server's log has told: a document of the same
-- generation holds what they did. `in_document` is 0 where the server only said that it knows one.
CREATE TABLE $schema.record_told (
  op_id       BLOB PRIMARY KEY,
  generation  INTEGER NOT NULL,
  in_document INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- The tables laid out from the declaration.
CREATE TABLE $schema.record_tables (name TEXT PRIMARY KEY) STRICT;

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
  -- of its family, as `statements` derives them:
  photos      INTEGER NOT NULL DEFAULT 0,  -- how many are on it
  latitude    REAL,                        -- where it happened, degrees; NULL: not known
  longitude   REAL,
  accuracy_m  REAL,
  address     TEXT,
  place_from  TEXT,                        -- protocol::place::PlaceFrom
  data        TEXT NOT NULL                -- protocol::EventRecord as received
) STRICT;

CREATE INDEX $schema.events_of_vehicle ON events (vehicle_id, occurred_at DESC, event_id DESC)
  WHERE hidden = 0;
CREATE INDEX $schema.events_newest ON events (occurred_at DESC, event_id DESC) WHERE hidden = 0;
CREATE INDEX $schema.readings ON events (vehicle_id, at, seq)
  WHERE miles IS NOT NULL AND hidden = 0;
CREATE INDEX $schema.event_families ON events (root) WHERE root IS NOT NULL;
CREATE INDEX $schema.events_placed ON events (vehicle_id, occurred_at DESC, event_id DESC)
  WHERE latitude IS NOT NULL AND hidden = 0;
CREATE INDEX $schema.events_overlaid ON events (event_id) WHERE own = 1;

-- What is said beside events: photos on them, corrections of where they happened, and, so that it
-- is known to have come, that a session is over.
CREATE TABLE $schema.statements (
  n           INTEGER PRIMARY KEY,         -- own ones without a sequence count in this order
  id          BLOB NOT NULL UNIQUE,        -- the operation; a foreign client's row
  kind        TEXT NOT NULL,               -- photo, location_correction, session
  event_id    BLOB,                        -- as resolved by the server; of own ones, by the journal
  photo       BLOB,                        -- SHA-256 of the original
  takes_back  INTEGER NOT NULL,            -- removed, withdrawn: perhaps the log tells of nothing
  seq         INTEGER,                     -- the server's; NULL until accepted
  state       TEXT NOT NULL,               -- as in events
  own         INTEGER NOT NULL,            -- as in events
  generation  INTEGER NOT NULL,
  data        TEXT NOT NULL                -- protocol::wire::Stated as received; empty for sessions
) STRICT;

CREATE INDEX $schema.statements_of_event ON statements (event_id) WHERE event_id IS NOT NULL;
CREATE INDEX $schema.statements_of_photo ON statements (photo) WHERE photo IS NOT NULL;
CREATE INDEX $schema.statements_overlaid ON statements (id) WHERE own = 1;

-- Which photos and previews the server has.
CREATE TABLE $schema.stored_photos (
  photo          BLOB PRIMARY KEY,         -- SHA-256 of the original
  bytes          INTEGER,                  -- of the original, once it has come
  mime           TEXT,
  preview        BLOB,                     -- SHA-256 of the preview, once it has come
  preview_bytes  INTEGER,
  preview_mime   TEXT,
  generation     INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
