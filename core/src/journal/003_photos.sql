-- Photos, capture sessions and uploads.

-- Operations beside events and records: `photo`, `location_correction`, `session`; NULL for those.
ALTER TABLE operations ADD COLUMN kind TEXT;

CREATE TRIGGER kinds_are_facts BEFORE UPDATE OF kind ON operations
BEGIN SELECT RAISE(ABORT, 'a captured fact never changes'); END;

-- Pictures as bytes: originals and previews that were made here.
CREATE TABLE blobs (
  n           INTEGER PRIMARY KEY,
  sha256      BLOB UNIQUE,              -- NULL while it is being written
  mime        TEXT,                     -- by its first bytes; NULL while it is being written
  bytes       INTEGER NOT NULL,
  added_at    INTEGER NOT NULL          -- UTC ms of this device's clock
) STRICT;

-- Their bytes in pieces of 256 KiB, the last one shorter.
CREATE TABLE blob_chunks (
  blob        INTEGER NOT NULL REFERENCES blobs(n),
  chunk       INTEGER NOT NULL,         -- from 0
  bytes       BLOB NOT NULL,
  PRIMARY KEY (blob, chunk)
) STRICT;

CREATE TRIGGER chunks_are_facts BEFORE UPDATE ON blob_chunks
BEGIN SELECT RAISE(ABORT, 'a stored photo never changes'); END;

-- What was photographed here, by the SHA-256 of the original's bytes. A row stays for as long as
-- anything refers to it; its bytes may be freed once the server is known to have them.
CREATE TABLE photos (
  sha256         BLOB PRIMARY KEY,
  facts          TEXT NOT NULL,         -- protocol::PhotoFacts
  preview        BLOB,                  -- SHA-256 of the preview's bytes
  preview_absent TEXT,                  -- protocol::photo::PreviewAbsence, where there is none
  added_at       INTEGER NOT NULL,
  freed_at       INTEGER                -- when the original's bytes were freed, if they were
) STRICT, WITHOUT ROWID;

-- Capture sessions of this device: those that go on, and those that were left with their photos.
CREATE TABLE sessions (
  id          BLOB PRIMARY KEY,
  session     TEXT NOT NULL,            -- protocol::flow::Session
  touched_at  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- What goes up beside the operations. One row for each original and preview.
CREATE TABLE uploads (
  n           INTEGER PRIMARY KEY,
  photo       BLOB NOT NULL REFERENCES photos(sha256),
  variant     TEXT NOT NULL CHECK (variant IN ('preview', 'original')),
  sha256      BLOB NOT NULL,            -- of what goes up; two photos may have one preview
  bytes       INTEGER NOT NULL,
  state       TEXT NOT NULL DEFAULT 'queued'
              CHECK (state IN ('queued', 'sending', 'planned', 'stored', 'refused')),
  location    TEXT,                     -- the upload's path on the server
  capability  TEXT,                     -- the bearer token for it alone
  expires_at  INTEGER,                  -- of both, UTC ms of the server's clock
  acked       INTEGER NOT NULL DEFAULT 0,  -- bytes that the server has acknowledged
  sent        INTEGER NOT NULL DEFAULT 0,  -- bytes that were sent, again and again
  attempts    INTEGER NOT NULL DEFAULT 0,
  retry_at    INTEGER,                  -- not before, UTC ms
  problem     TEXT,                     -- what the server said last, where it refused
  queued_at   INTEGER NOT NULL,
  stored_at   INTEGER,                  -- when the server was known to have it, UTC ms
  verified_at INTEGER,                  -- when it was asked again before bytes were freed, UTC ms
  UNIQUE (photo, variant)
) STRICT;

CREATE INDEX uploads_of ON uploads (sha256);
CREATE INDEX uploads_unfinished ON uploads (queued_at) WHERE state NOT IN ('stored', 'refused');

CREATE TRIGGER only_photos_on_the_server_are_freed BEFORE DELETE ON blob_chunks
WHEN EXISTS (SELECT 1 FROM blobs b JOIN photos p ON p.sha256 = b.sha256 OR p.preview = b.sha256
             WHERE b.n = OLD.blob)
 AND (NOT EXISTS (SELECT 1 FROM blobs b JOIN uploads u ON u.sha256 = b.sha256
                  WHERE b.n = OLD.blob AND u.verified_at IS NOT NULL)
      OR EXISTS (SELECT 1 FROM blobs b JOIN uploads u ON u.sha256 = b.sha256
                 WHERE b.n = OLD.blob AND u.state <> 'stored'))
BEGIN SELECT RAISE(ABORT, 'a photo is freed once the server has it'); END;
