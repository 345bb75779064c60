-- Purpose: what an event must look like, as Postgres checks it by itself.
-- Why:     other SQL clients do not call `protocol::validate`, and one row that no device can read
--          would block every device of the tenant. The rules are protocol's; a test compares them.
-- Time:    under a second, no rows touched.

-- jsonb cannot hold \u0000; the text can. This is the projection that replaces it by U+FFFD.
CREATE FUNCTION json_projection(body text) RETURNS jsonb
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE WHEN position('\u0000' IN body) = 0 THEN body::jsonb
                ELSE regexp_replace(body, '(?<!\\)((?:\\\\)*)\\u0000', '\1\\ufffd', 'g')::jsonb END;
COMMENT ON FUNCTION json_projection(text) IS 'A JSON text as jsonb, with U+FFFD for each \u0000.';

-- Present means: there, not null, and not a blank text.
CREATE FUNCTION has_key(payload jsonb, key text) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE COALESCE(jsonb_typeof(payload -> key), 'null')
        WHEN 'null' THEN false
        WHEN 'string' THEN payload ->> key ~ '\S'
        ELSE true END;

-- The required fields of each type (protocol's registry) and the ranges that matter most.
-- Unknown types pass: they belong to a newer peer.
CREATE FUNCTION payload_fits(type text, payload jsonb, miles integer, total_minor bigint, corrects uuid) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE
        WHEN type = 'odometer' THEN miles IS NOT NULL
        WHEN type IN ('fuel', 'fuel_purchase') THEN
            (has_key(payload, 'gallons') OR total_minor IS NOT NULL)
            AND CASE COALESCE(jsonb_typeof(payload -> 'gallons'), 'absent')
                    WHEN 'absent' THEN true
                    WHEN 'number' THEN (payload -> 'gallons')::numeric > 0 AND (payload -> 'gallons')::numeric <= 1000
                    ELSE false END
        WHEN type IN ('maintenance', 'service', 'repair') THEN has_key(payload, 'kind')
        WHEN type IN ('damage', 'incident', 'accident') THEN
            has_key(payload, 'description')
            OR (has_key(payload, 'photos') AND payload -> 'photos' <> '[]')
        WHEN type = 'inspection' THEN
            (has_key(payload, 'inspection_type') OR has_key(payload, 'result'))
            AND (NOT payload ? 'result' OR payload ->> 'result' IN ('pass', 'fail', 'conditional'))
        WHEN type = 'document' THEN
            COALESCE(payload ->> 'doc_type' IN ('insurance', 'registration', 'invoice', 'towing', 'accident', 'other'), false)
        WHEN type = 'reminder' THEN has_key(payload, 'kind')
        WHEN type = 'dashboard_snapshot' THEN
            (miles IS NOT NULL OR has_key(payload, 'odometer_miles') OR has_key(payload, 'fuel_eighths')
             OR has_key(payload, 'oil_life_percent') OR has_key(payload, 'coolant') OR has_key(payload, 'warning_lights')
             OR has_key(payload, 'trip_a_miles') OR has_key(payload, 'trip_b_miles'))
            AND CASE COALESCE(jsonb_typeof(payload -> 'fuel_eighths'), 'absent')
                    WHEN 'absent' THEN true
                    WHEN 'number' THEN (payload -> 'fuel_eighths')::numeric BETWEEN 0 AND 8
                    ELSE false END
        WHEN type = 'dashboard_warning' THEN has_key(payload, 'warning_lights')
        WHEN type IN ('tire', 'tire_tread', 'tire_pressure') THEN has_key(payload, 'treads') OR has_key(payload, 'pressures')
        WHEN type = 'expense' THEN total_minor IS NOT NULL
        WHEN type = 'modification' THEN has_key(payload, 'part_name')
        WHEN type = 'recall' THEN has_key(payload, 'recall_id') AND has_key(payload, 'affected_component')
        WHEN type IN ('retraction', 'restoration') THEN corrects IS NOT NULL
        ELSE true
    END;
COMMENT ON FUNCTION payload_fits(text, jsonb, integer, bigint, uuid) IS 'Second guard of protocol''s payload rules: required fields and main ranges per type.';

-- A number within bounds, or nothing at all.
CREATE FUNCTION number_fits(value jsonb, low numeric, high numeric, whole boolean) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE COALESCE(jsonb_typeof(value), 'null')
        WHEN 'null' THEN true
        WHEN 'number' THEN value::numeric BETWEEN low AND high AND (NOT whole OR value::text ~ '^-?[0-9]+$')
        ELSE false END;

-- A fix that every device can read: protocol's `Fix`.
CREATE FUNCTION fix_fits(fix jsonb) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN fix IS NULL OR (
        jsonb_typeof(fix) = 'object'
        AND has_key(fix, 'latitude') AND number_fits(fix -> 'latitude', -90, 90, false)
        AND has_key(fix, 'longitude') AND number_fits(fix -> 'longitude', -180, 180, false)
        AND COALESCE(jsonb_typeof(fix -> 'source'), '') = 'string'
        AND number_fits(fix -> 'accuracy_m', 0, 1e8, false)
        AND number_fits(fix -> 'altitude_m', -1e5, 1e6, false)
        AND number_fits(fix -> 'altitude_accuracy_m', 0, 1e8, false)
        AND number_fits(fix -> 'heading_deg', 0, 360, false)
        AND number_fits(fix -> 'speed_mps', 0, 1e5, false)
        AND number_fits(fix -> 'fixed_at', -9e18, 9e18, true)
        AND number_fits(fix -> 'age_ms', -9e18, 9e18, true)
        AND COALESCE(jsonb_typeof(fix -> 'is_mock'), 'null') IN ('null', 'boolean'));

-- JSON that a device's reader accepts: an object of bounded size and depth (protocol's
-- NESTING_MAX), no number beyond a double. jsonb itself accepts 1e400 and a thousand levels.
CREATE FUNCTION json_readable(value jsonb) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN jsonb_typeof(value) = 'object'
        AND octet_length(value::text) <= 65536
        AND NOT value @? '$.**{34}'
        AND NOT value @? '$.** ? (@.type() == "number" && (@ > 1e308 || @ < -1e308))';
