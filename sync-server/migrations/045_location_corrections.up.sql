-- Purpose: where people say that events happened, beside what was measured.
-- Why:     a corrected place is a fact of its own: who said so, how, why, and how far from the fix.
--          The fix stays. Two that were made offline are both kept; the later one counts.
-- Time:    under a second, no rows touched.

-- protocol::position::distance_m: great circle, mean radius of the earth, metres to 0.01 m.
CREATE FUNCTION distance_m(lat1 double precision, lng1 double precision, lat2 double precision, lng2 double precision)
    RETURNS double precision
    LANGUAGE sql IMMUTABLE PARALLEL SAFE STRICT
    RETURN round((2 * 6371008.8 * asin(sqrt(least(greatest(
            sin(radians(lat2 - lat1) / 2) ^ 2
            + cos(radians(lat1)) * cos(radians(lat2)) * sin(radians(lng2 - lng1) / 2) ^ 2, 0), 1))))::numeric, 2)
        ::double precision;
COMMENT ON FUNCTION distance_m(double precision, double precision, double precision, double precision) IS
    'Great-circle distance in metres, as protocol computes it.';

-- Whether a correction says the distance that it has; none without a measured position.
CREATE FUNCTION distance_fits(said double precision, measured jsonb, latitude double precision,
                              longitude double precision) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE WHEN measured IS NULL THEN said IS NULL
                WHEN NOT fix_fits(measured) THEN true  -- refused by its own check
                ELSE COALESCE(abs(said - distance_m((measured -> 'latitude')::double precision,
                                                    (measured -> 'longitude')::double precision,
                                                    latitude, longitude)) <= 0.02, false) END;

CREATE TABLE location_corrections (
    tenant_id   uuid        NOT NULL DEFAULT current_tenant_id(),
    id          uuid        NOT NULL DEFAULT gen_random_uuid(),  -- the operation's, where a device said it
    event_id    uuid        NOT NULL,             -- as the server resolved it
    vehicle_id  uuid        NOT NULL,             -- filled in: the event's
    root_id     uuid        NOT NULL,             -- filled in: first event of the family
    measured    jsonb,                            -- protocol's Fix that the person saw; NULL: nothing was measured
    latitude    double precision NOT NULL CHECK (latitude BETWEEN -90 AND 90),     -- degrees
    longitude   double precision NOT NULL CHECK (longitude BETWEEN -180 AND 180),
    address     text        CHECK (char_length(address) <= 500),
    method      text        NOT NULL CHECK (char_length(method) <= 64),  -- map_pin, nearby_search, manual_entry
    reason      text        CHECK (char_length(reason) <= 1000),
    distance_m  double precision,                 -- from measured; filled in where it is left out
    extraction  jsonb,                            -- how the address was found: method, confidence, address
    withdrawn   boolean     NOT NULL DEFAULT false,  -- the measured place counts again
    arrival     bigint      NOT NULL,             -- filled in: order of arrival; the same order as in the log
    body        text,                             -- protocol's LocationCorrection exactly as sealed; NULL where another SQL client wrote the columns
    received_at timestamptz NOT NULL DEFAULT now(),
    op_id       uuid,
    device_id   uuid,
    user_id     uuid        DEFAULT current_user_id(),
    PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id, event_id) REFERENCES event_registry (tenant_id, event_id),
    CONSTRAINT location_corrections_measured_shape CHECK (body IS NOT NULL OR (fix_fits(measured) AND json_readable(measured))),
    CONSTRAINT location_corrections_distance CHECK (body IS NOT NULL OR distance_fits(distance_m, measured, latitude, longitude)),
    CONSTRAINT location_corrections_method CHECK (body IS NOT NULL OR method IN ('map_pin', 'nearby_search', 'manual_entry')),
    CONSTRAINT location_corrections_extraction_shape CHECK (body IS NOT NULL OR extraction IS NULL OR (
        json_readable(extraction) AND COALESCE(jsonb_typeof(extraction -> 'method'), '') = 'string'
        AND COALESCE(jsonb_typeof(extraction -> 'confidence'), 'null') IN ('null', 'string')
        AND COALESCE(jsonb_typeof(extraction -> 'address'), 'null') IN ('null', 'string')))
);
COMMENT ON TABLE location_corrections IS 'Where people say that events happened; append-only.';
CREATE INDEX location_corrections_by_family ON location_corrections (tenant_id, root_id, arrival DESC);
SELECT raise_tenant_wall('location_corrections');
SELECT admit_system('location_corrections');
GRANT SELECT, INSERT ON location_corrections TO motomind_server;
GRANT SELECT, INSERT (tenant_id, id, event_id, measured, latitude, longitude, address, method, reason, distance_m,
                      extraction, withdrawn, user_id) ON location_corrections TO motomind_client;
GRANT SELECT ON location_corrections TO motomind_system;
CREATE TRIGGER immutable BEFORE UPDATE OR DELETE ON location_corrections FOR EACH ROW EXECUTE FUNCTION refuse_restating();
CREATE TRIGGER immutable_whole BEFORE TRUNCATE ON location_corrections EXECUTE FUNCTION refuse_restating();
CREATE TRIGGER place BEFORE INSERT ON location_corrections FOR EACH ROW EXECUTE FUNCTION place_statement();

-- A client that does not say the distance gets it; one that says it has it checked.
CREATE FUNCTION measure_correction() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    IF NEW.distance_m IS NULL AND NEW.measured IS NOT NULL AND fix_fits(NEW.measured) THEN
        NEW.distance_m := distance_m((NEW.measured -> 'latitude')::double precision,
                                     (NEW.measured -> 'longitude')::double precision, NEW.latitude, NEW.longitude);
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER measure BEFORE INSERT ON location_corrections FOR EACH ROW EXECUTE FUNCTION measure_correction();

-- A correction that another SQL client wrote as columns, as protocol's `LocationCorrection`.
CREATE FUNCTION correction_said(c location_corrections) RETURNS text
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN concat('{"vehicle_id":"', c.vehicle_id, '","event_id":"', c.event_id, '"',
        ',"measured":' || c.measured::text,
        ',"latitude":', c.latitude, ',"longitude":', c.longitude,
        ',"address":' || to_json(c.address),
        ',"method":', to_json(c.method),
        ',"reason":' || to_json(c.reason),
        ',"distance_m":' || c.distance_m,
        ',"extraction":' || c.extraction::text,
        CASE WHEN c.withdrawn THEN ',"withdrawn":true' END, '}');

SET LOCAL ROLE motomind_system;
CREATE FUNCTION log_location_corrections() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    PERFORM append_statements('location_correction', array_agg(f.tenant_id), array_agg(f.arrival), array_agg(f.id),
                array_agg(stated(f.id, COALESCE(f.body, correction_said(f)), f.event_id, f.received_at, f.op_id,
                                 f.device_id, f.user_id)))
       FROM fresh AS f;
    RETURN NULL;
END
$$;
REVOKE ALL ON FUNCTION log_location_corrections() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION log_location_corrections() TO motomind_owner;

SET LOCAL ROLE motomind_owner;
CREATE TRIGGER log AFTER INSERT ON location_corrections
    REFERENCING NEW TABLE AS fresh EXECUTE FUNCTION log_location_corrections();
