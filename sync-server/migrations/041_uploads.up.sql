-- Purpose: photos on their way up: how far each upload is and of which pieces it consists.
-- Why:     any instance must be able to go on where another one stopped. A piece rests in the photo
--          store before its row is here, and an offset is told only from here.
-- Time:    under a second, no rows touched.

-- A work table: rows go when an upload is over. What was uploaded stays, in photos.
CREATE TABLE uploads (
    tenant_id  uuid        NOT NULL REFERENCES tenants (id),
    id         uuid        NOT NULL,
    sha256     text        NOT NULL CHECK (sha256 ~ '^[0-9a-f]{64}$'),  -- what the whole must hash to
    preview_of text        CHECK (preview_of ~ '^[0-9a-f]{64}$'),       -- the photo whose preview it is; NULL for an original
    mime       text        NOT NULL CHECK (mime IN ('image/jpeg', 'image/png', 'image/webp', 'image/heic', 'image/heif')),
    bytes      bigint      NOT NULL CHECK (bytes BETWEEN 1 AND 67108864),
    metadata   text        NOT NULL,             -- Upload-Metadata as it was sent
    user_id    uuid        NOT NULL,
    device_id  uuid        NOT NULL,             -- its revocation ends the capability
    capability bytea       NOT NULL CHECK (octet_length(capability) = 32),  -- SHA-256 of the secret
    received   bigint      NOT NULL DEFAULT 0 CHECK (received BETWEEN 0 AND bytes),
    holder     uuid,                             -- the request that may add pieces; the newest wins
    outcome    text        CHECK (outcome IN ('stored', 'hash_mismatch', 'wrong_mime')),  -- NULL: it runs
    created_at timestamptz NOT NULL DEFAULT now(),
    touched_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, id),
    CHECK (outcome IS DISTINCT FROM 'stored' OR received = bytes)
);
COMMENT ON TABLE uploads IS 'Uploads of photos that run, and for a while those that are over.';
CREATE INDEX uploads_by_expiry ON uploads (expires_at);
-- A device that never heard the reply to a creation finds its upload again.
CREATE INDEX uploads_by_photo ON uploads (tenant_id, device_id, sha256) WHERE outcome IS NULL;
SELECT raise_tenant_wall('uploads');
SELECT admit_system('uploads');
GRANT SELECT, INSERT, UPDATE, DELETE ON uploads TO motomind_server;
GRANT SELECT ON uploads TO motomind_system;

CREATE TABLE upload_pieces (
    tenant_id  uuid   NOT NULL,
    upload_id  uuid   NOT NULL,
    first_byte bigint NOT NULL CHECK (first_byte >= 0),  -- its place in the photo
    bytes      bigint NOT NULL CHECK (bytes > 0),
    object     text   NOT NULL,                          -- its name in the photo store
    PRIMARY KEY (tenant_id, upload_id, first_byte),
    FOREIGN KEY (tenant_id, upload_id) REFERENCES uploads (tenant_id, id) ON DELETE CASCADE
);
COMMENT ON TABLE upload_pieces IS 'Pieces of uploads, each an object of the photo store.';
SELECT raise_tenant_wall('upload_pieces');
GRANT SELECT, INSERT ON upload_pieces TO motomind_server;

-- What is promised to running uploads.
CREATE FUNCTION count_upload() RETURNS trigger
    LANGUAGE plpgsql AS $$
DECLARE
    tenant uuid   := COALESCE(NEW.tenant_id, OLD.tenant_id);
    before bigint := CASE WHEN TG_OP <> 'INSERT' AND OLD.outcome IS NULL THEN OLD.bytes ELSE 0 END;
    after  bigint := CASE WHEN TG_OP <> 'DELETE' AND NEW.outcome IS NULL THEN NEW.bytes ELSE 0 END;
BEGIN
    IF after > before THEN
        INSERT INTO photo_usage AS u (tenant_id, running_bytes) VALUES (tenant, after - before)
        ON CONFLICT (tenant_id) DO UPDATE SET running_bytes = u.running_bytes + after - before;
    ELSIF after < before THEN
        UPDATE photo_usage SET running_bytes = running_bytes + after - before WHERE tenant_id = tenant;
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER count AFTER INSERT OR DELETE OR UPDATE OF outcome ON uploads
    FOR EACH ROW EXECUTE FUNCTION count_upload();

-- The sweep looks at every tenant's uploads, but only at which are due; what it does with one, it
-- does inside that tenant's wall.
SET LOCAL ROLE motomind_system;
CREATE FUNCTION uploads_due(now timestamptz, idle_since timestamptz, at_most integer)
    RETURNS TABLE (tenant_id uuid, upload_id uuid, expired boolean)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
    SELECT u.tenant_id, u.id, u.expires_at <= now FROM uploads u
     WHERE u.expires_at <= now
        OR (u.outcome IS NULL AND u.received = u.bytes AND u.touched_at <= idle_since)
     ORDER BY u.expires_at LIMIT at_most
$$;
COMMENT ON FUNCTION uploads_due(timestamptz, timestamptz, integer) IS 'Uploads that are expired, or complete and not published.';
CREATE FUNCTION uploads_known(ids uuid[]) RETURNS SETOF uuid
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
    SELECT u.id FROM uploads u WHERE u.id = ANY (ids)
$$;
COMMENT ON FUNCTION uploads_known(uuid[]) IS 'Which of these uploads have a row, in whatever tenant.';
REVOKE ALL ON FUNCTION uploads_due(timestamptz, timestamptz, integer), uploads_known(uuid[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION uploads_due(timestamptz, timestamptz, integer), uploads_known(uuid[]) TO motomind_server;

-- The server logs the one maintenance job that it runs itself.
SET LOCAL ROLE motomind_owner;
CREATE POLICY server_logs_uploads ON maintenance_runs FOR INSERT TO motomind_server WITH CHECK (job = 'uploads');
GRANT INSERT ON maintenance_runs TO motomind_server;
