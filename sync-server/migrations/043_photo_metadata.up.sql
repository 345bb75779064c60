-- Purpose: what each photo says about itself, and how it was captured.
-- Why:     a photo is its bytes; what was read from them and told at the shutter is a fact of its
--          own, told once: the first that came counts. It may be here long before the bytes are.
-- Time:    under a second, no rows touched.
CREATE TABLE photo_metadata (
    tenant_id           uuid        NOT NULL DEFAULT current_tenant_id() REFERENCES tenants (id),
    sha256              text        NOT NULL CHECK (sha256 ~ '^[0-9a-f]{64}$'),  -- of the original's bytes
    bytes               bigint      NOT NULL CHECK (bytes BETWEEN 1 AND 67108864),
    mime                text        NOT NULL CHECK (mime IN ('image/jpeg', 'image/png', 'image/webp', 'image/heic', 'image/heif')),
    width               bigint      CHECK (width BETWEEN 0 AND 4294967295),   -- as stored, before orientation, pixels
    height              bigint      CHECK (height BETWEEN 0 AND 4294967295),
    orientation         smallint    CHECK (orientation BETWEEN 1 AND 8),      -- EXIF's
    taken_at            timestamp   CHECK (taken_at >= '0001-01-01' AND taken_at < '10000-01-01'),  -- the camera's clock
    taken_offset_min    integer     CHECK (taken_offset_min BETWEEN -720 AND 840),  -- ahead of UTC; NULL: the photo does not say
    position            jsonb,                                                -- protocol's Fix, from EXIF
    make                text        CHECK (char_length(make) <= 500),
    model               text        CHECK (char_length(model) <= 500),
    software            text        CHECK (char_length(software) <= 500),
    step_id             text        CHECK (step_id ~ '^[a-z0-9_]{1,50}$'),
    capture_method      text        CHECK (char_length(capture_method) <= 64),  -- camera, upload
    quality_score       smallint    CHECK (quality_score BETWEEN 0 AND 100),
    quality_issues      jsonb,                                                -- texts
    flash               text        CHECK (char_length(flash) <= 64),
    facing              text        CHECK (char_length(facing) <= 64),
    retake_count        integer     CHECK (retake_count BETWEEN 0 AND 1000000),
    capture_duration_ms bigint      CHECK (capture_duration_ms >= 0),
    facts               jsonb,      -- protocol's PhotoFacts, as a device told them; NULL where another SQL client wrote the columns
    user_id             uuid        DEFAULT current_user_id(),
    device_id           uuid,
    told_at             timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, sha256),
    CONSTRAINT photo_metadata_position_shape CHECK (facts IS NOT NULL OR (fix_fits(position) AND json_readable(position))),
    CONSTRAINT photo_metadata_issues_shape CHECK (facts IS NOT NULL OR quality_issues IS NULL OR (
        jsonb_typeof(quality_issues) = 'array' AND octet_length(quality_issues::text) <= 65536
        AND NOT jsonb_path_exists(quality_issues, '$[*] ? (@.type() != "string")')))
);
COMMENT ON TABLE photo_metadata IS 'What each photo says about itself and how it was captured; append-only.';
SELECT raise_tenant_wall('photo_metadata');
SELECT admit_system('photo_metadata');
GRANT SELECT, INSERT ON photo_metadata TO motomind_server;
GRANT SELECT, INSERT (tenant_id, sha256, bytes, mime, width, height, orientation, taken_at, taken_offset_min, position,
                      make, model, software, step_id, capture_method, quality_score, quality_issues, flash, facing,
                      retake_count, capture_duration_ms, user_id) ON photo_metadata TO motomind_client;
GRANT SELECT ON photo_metadata TO motomind_system;

-- What people have stated stays as it was stated.
CREATE FUNCTION refuse_restating() RETURNS trigger
    LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only: say it anew instead of this %', TG_TABLE_NAME, TG_OP
        USING ERRCODE = 'restrict_violation', TABLE = TG_TABLE_NAME, CONSTRAINT = TG_TABLE_NAME || '_immutable';
END
$$;
CREATE TRIGGER immutable BEFORE UPDATE OR DELETE ON photo_metadata FOR EACH ROW EXECUTE FUNCTION refuse_restating();
CREATE TRIGGER immutable_whole BEFORE TRUNCATE ON photo_metadata EXECUTE FUNCTION refuse_restating();

-- protocol's `PhotoFacts`, from what a device told or from the columns.
CREATE FUNCTION photo_facts(m photo_metadata) RETURNS jsonb
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN COALESCE(m.facts, jsonb_strip_nulls(jsonb_build_object(
        'sha256', m.sha256, 'size', m.bytes, 'mime', m.mime, 'width', m.width, 'height', m.height,
        'orientation', m.orientation,
        'taken_at', to_char(m.taken_at, 'YYYY-MM-DD"T"HH24:MI:SS.MS')
            || CASE WHEN m.taken_offset_min IS NULL THEN ''
                    ELSE CASE WHEN m.taken_offset_min < 0 THEN '-' ELSE '+' END
                         || to_char(abs(m.taken_offset_min) / 60, 'FM00') || ':'
                         || to_char(abs(m.taken_offset_min) % 60, 'FM00') END,
        'position', m.position, 'make', m.make, 'model', m.model, 'software', m.software,
        'capture', jsonb_build_object(
            'step_id', m.step_id, 'capture_method', m.capture_method, 'quality_score', m.quality_score,
            'quality_issues', m.quality_issues, 'flash', m.flash, 'facing', m.facing,
            'retake_count', m.retake_count, 'capture_duration_ms', m.capture_duration_ms))));
COMMENT ON FUNCTION photo_facts(photo_metadata) IS 'What a photo says about itself, as devices read it.';
