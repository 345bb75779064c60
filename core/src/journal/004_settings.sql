-- What holds across openings, and sums that are asked for at every step.

-- By name, as JSON. What is a fact of the moment, such as a metered network, is not kept.
CREATE TABLE settings (
  name   TEXT PRIMARY KEY,              -- transfer_policy, metered_left, photo_room, custody_asked_at
  value  TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- Own originals that the server has and this device still holds: sum of their bytes, kept by the
-- triggers below, whatever changes it.
CREATE TABLE photo_totals (
  one            INTEGER PRIMARY KEY CHECK (one = 1),
  stored_bytes   INTEGER NOT NULL
) STRICT;

INSERT INTO photo_totals (one, stored_bytes)
SELECT 1, coalesce(sum(u.bytes), 0) FROM uploads u JOIN photos p ON p.sha256 = u.sha256
WHERE u.state = 'stored' AND u.variant = 'original' AND p.freed_at IS NULL;

CREATE TRIGGER total_of_stored AFTER UPDATE OF state ON uploads
WHEN NEW.variant = 'original' AND (OLD.state = 'stored') <> (NEW.state = 'stored')
BEGIN
  UPDATE photo_totals SET stored_bytes = stored_bytes + iif(NEW.state = 'stored', NEW.bytes, -NEW.bytes)
  WHERE EXISTS (SELECT 1 FROM photos WHERE sha256 = NEW.sha256 AND freed_at IS NULL);
END;

CREATE TRIGGER total_of_added AFTER INSERT ON uploads
WHEN NEW.variant = 'original' AND NEW.state = 'stored'
BEGIN
  UPDATE photo_totals SET stored_bytes = stored_bytes + NEW.bytes
  WHERE EXISTS (SELECT 1 FROM photos WHERE sha256 = NEW.sha256 AND freed_at IS NULL);
END;

CREATE TRIGGER total_of_removed BEFORE DELETE ON uploads
WHEN OLD.variant = 'original' AND OLD.state = 'stored'
BEGIN
  UPDATE photo_totals SET stored_bytes = stored_bytes - OLD.bytes
  WHERE EXISTS (SELECT 1 FROM photos WHERE sha256 = OLD.sha256 AND freed_at IS NULL);
END;

CREATE TRIGGER total_of_freed AFTER UPDATE OF freed_at ON photos
WHEN (OLD.freed_at IS NULL) <> (NEW.freed_at IS NULL)
BEGIN
  UPDATE photo_totals SET stored_bytes = stored_bytes + iif(NEW.freed_at IS NULL, 1, -1) *
    (SELECT coalesce(sum(bytes), 0) FROM uploads
     WHERE sha256 = NEW.sha256 AND variant = 'original' AND state = 'stored');
END;
