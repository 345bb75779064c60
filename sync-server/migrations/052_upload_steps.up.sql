-- Purpose: one call that moves an upload on, in place of a transaction of several.
-- Why:     a device sends a photo in chunks of 256 KiB; of what each cost, most was spent on asking
--          Postgres one thing after the other.
-- Time:    under a second, no rows touched.

-- The last piece of an upload grows: on a disk it is a file to which the next request adds.
GRANT UPDATE (bytes, object) ON upload_pieces TO motomind_server;

-- Whether it moved. It does not when another request took it over, when it stands elsewhere or is
-- over, when it has expired, or when nobody may move it any more; `secret` is the SHA-256 of the
-- capability, NULL for one who was admitted just now.
--
-- The commit is not waited for to reach the disk: should Postgres lose its last moments, the offset
-- falls back and the device sends that much again. Publishing waits.
CREATE FUNCTION advance_upload(
    tenant uuid, upload uuid, secret bytea, by_holder uuid, at_byte bigint, to_byte bigint,
    firsts bigint[], lengths bigint[], objects text[]
) RETURNS boolean
    LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('app.current_tenant_id', tenant::text, true),
            set_config('synchronous_commit', 'off', true);
    UPDATE uploads u SET received = to_byte, touched_at = now()
     WHERE u.tenant_id = tenant AND u.id = upload AND u.holder = by_holder AND u.received = at_byte
       AND u.outcome IS NULL AND u.expires_at > now()
       AND (secret IS NULL OR u.capability = secret)
       AND EXISTS (SELECT FROM tenants t WHERE t.id = tenant AND t.is_active)
       AND NOT EXISTS (SELECT FROM devices d WHERE d.tenant_id = tenant AND d.id = u.device_id
                          AND d.revoked_at IS NOT NULL);
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    INSERT INTO upload_pieces (tenant_id, upload_id, first_byte, bytes, object)
    SELECT tenant, upload, n.first_byte, n.bytes, n.object
      FROM unnest(firsts, lengths, objects) AS n (first_byte, bytes, object)
    ON CONFLICT (tenant_id, upload_id, first_byte) DO UPDATE
       SET bytes = EXCLUDED.bytes, object = EXCLUDED.object;
    RETURN true;
END
$$;
COMMENT ON FUNCTION advance_upload(uuid, uuid, bytea, uuid, bigint, bigint, bigint[], bigint[], text[])
    IS 'Moves an upload from one offset to the next and names the pieces that it consists of now.';
REVOKE ALL ON FUNCTION advance_upload(uuid, uuid, bytea, uuid, bigint, bigint, bigint[], bigint[], text[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION advance_upload(uuid, uuid, bytea, uuid, bigint, bigint, bigint[], bigint[], text[]) TO motomind_server;
