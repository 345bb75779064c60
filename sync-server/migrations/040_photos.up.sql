-- Purpose: the photos that are stored, whole and verified, and how much room each tenant's take.
-- Why:     the bytes rest in the photo store; that they are there, under which hash, is known here.
--          Room is counted in one row per tenant, so that asking for it does not add up all photos.
-- Time:    under a second; adds a column to tenants without rewriting it.
ALTER TABLE tenants ADD COLUMN photo_bytes_max bigint CHECK (photo_bytes_max >= 0);
COMMENT ON COLUMN tenants.photo_bytes_max IS 'Room for photos, bytes; NULL: what the server is set up with.';

-- One object of the photo store, under photos/{tenant}/{sha256}. The row comes after the object.
CREATE TABLE photos (
    tenant_id  uuid        NOT NULL REFERENCES tenants (id),
    sha256     text        NOT NULL CHECK (sha256 ~ '^[0-9a-f]{64}$'),
    mime       text        NOT NULL CHECK (mime IN ('image/jpeg', 'image/png', 'image/webp', 'image/heic', 'image/heif')),
    bytes      bigint      NOT NULL CHECK (bytes BETWEEN 1 AND 67108864),
    user_id    uuid        NOT NULL,             -- who uploaded it
    device_id  uuid        NOT NULL,             -- with which device
    stored_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, sha256)
);
COMMENT ON TABLE photos IS 'Photos in the photo store, by the SHA-256 of their bytes.';
SELECT raise_tenant_wall('photos');
GRANT SELECT, INSERT ON photos TO motomind_server;
GRANT SELECT ON photos TO motomind_client;
CREATE TRIGGER refuse_delete BEFORE DELETE OR TRUNCATE ON photos EXECUTE FUNCTION refuse_delete();

-- The small picture of a photo; itself an object of the store. It may be there before the photo is.
CREATE TABLE photo_previews (
    tenant_id  uuid        NOT NULL,
    photo      text        NOT NULL CHECK (photo ~ '^[0-9a-f]{64}$'),  -- SHA-256 of the original's bytes
    preview    text        NOT NULL,                                   -- SHA-256 of the preview's bytes
    made_at    timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, photo),
    FOREIGN KEY (tenant_id, preview) REFERENCES photos (tenant_id, sha256)
);
COMMENT ON TABLE photo_previews IS 'The first preview that came for a photo.';
SELECT raise_tenant_wall('photo_previews');
GRANT SELECT, INSERT ON photo_previews TO motomind_server;
GRANT SELECT ON photo_previews TO motomind_client;
CREATE TRIGGER refuse_delete BEFORE DELETE OR TRUNCATE ON photo_previews EXECUTE FUNCTION refuse_delete();

-- Locked by whoever asks for room, so that two uploads cannot both take the last of it.
CREATE TABLE photo_usage (
    tenant_id     uuid   PRIMARY KEY REFERENCES tenants (id),
    stored_bytes  bigint NOT NULL DEFAULT 0 CHECK (stored_bytes >= 0),
    running_bytes bigint NOT NULL DEFAULT 0 CHECK (running_bytes >= 0)  -- promised to uploads that run
);
COMMENT ON TABLE photo_usage IS 'Room that a tenant''s photos and running uploads take; kept by triggers.';
SELECT raise_tenant_wall('photo_usage');
GRANT SELECT, INSERT, UPDATE ON photo_usage TO motomind_server;
GRANT SELECT ON photo_usage TO motomind_client;

CREATE FUNCTION count_photo() RETURNS trigger
    LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO photo_usage AS u (tenant_id, stored_bytes) VALUES (NEW.tenant_id, NEW.bytes)
    ON CONFLICT (tenant_id) DO UPDATE SET stored_bytes = u.stored_bytes + NEW.bytes;
    RETURN NULL;
END
$$;
CREATE TRIGGER count AFTER INSERT ON photos FOR EACH ROW EXECUTE FUNCTION count_photo();
