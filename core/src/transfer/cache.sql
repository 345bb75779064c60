-- Pictures that came from the server. One that was let go for room keeps its row.
CREATE TABLE $schema.photo_cache (
  n          INTEGER PRIMARY KEY,
  photo      BLOB NOT NULL,                -- SHA-256 of the original
  variant    TEXT NOT NULL,                -- preview, original
  sha256     BLOB,                         -- of what comes, as the server names it
  bytes      INTEGER,                      -- of the whole, once known
  have       INTEGER NOT NULL DEFAULT 0,   -- of it, from its beginning
  wanted_at  INTEGER,                      -- when someone asked for it, until it is here, UTC ms
  used       INTEGER NOT NULL,             -- counts up each time that another one is looked at
  let_go     INTEGER NOT NULL DEFAULT 0,
  attempts   INTEGER NOT NULL DEFAULT 0,
  retry_at   INTEGER,                      -- not before, UTC ms
  problem    TEXT,
  UNIQUE (photo, variant)
) STRICT;

CREATE TABLE $schema.photo_cache_pieces (
  entry      INTEGER NOT NULL,
  first_byte INTEGER NOT NULL,
  bytes      BLOB NOT NULL,
  PRIMARY KEY (entry, first_byte)
) STRICT;

-- What all of it takes, bytes: asked for at every step.
CREATE TABLE $schema.photo_cache_total (
  one        INTEGER PRIMARY KEY CHECK (one = 1),
  bytes      INTEGER NOT NULL
) STRICT;

INSERT INTO $schema.photo_cache_total (one, bytes) VALUES (1, 0);

CREATE TRIGGER $schema.cache_changes AFTER UPDATE OF have ON photo_cache WHEN NEW.have <> OLD.have
BEGIN UPDATE photo_cache_total SET bytes = bytes + NEW.have - OLD.have; END;

CREATE TRIGGER $schema.cache_grows AFTER INSERT ON photo_cache WHEN NEW.have <> 0
BEGIN UPDATE photo_cache_total SET bytes = bytes + NEW.have; END;

CREATE TRIGGER $schema.cache_shrinks BEFORE DELETE ON photo_cache WHEN OLD.have <> 0
BEGIN UPDATE photo_cache_total SET bytes = bytes - OLD.have; END;
