-- Purpose: capture sessions that are over: which became an event, which were left, where and why.
-- Why:     a flow that people leave at the same step needs mending. A session is told once it is
--          over; told again (its device did not hear the reply), what was told is replaced.
-- Time:    under a second, no rows touched.

-- Photos of a session as protocol's `SessionPhoto`s.
CREATE FUNCTION session_photos_fit(photos jsonb) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE WHEN jsonb_typeof(photos) <> 'array' OR octet_length(photos::text) > 131072 THEN false
                ELSE NOT EXISTS (
                    SELECT FROM jsonb_array_elements(photos) AS one
                     WHERE jsonb_typeof(one) <> 'object'
                        OR NOT COALESCE(one ->> 'photo' ~ '^[0-9a-f]{64}$', false)
                        OR COALESCE(jsonb_typeof(one -> 'step_id'), 'null') NOT IN ('null', 'string')
                        OR COALESCE(jsonb_typeof(one -> 'added_at'), 'null') <> 'number'
                        OR NOT number_fits(one -> 'added_at', -9e18, 9e18, true)
                        OR NOT json_readable(one)) END;

CREATE TABLE capture_sessions (
    tenant_id        uuid        NOT NULL DEFAULT current_tenant_id(),
    id               uuid        NOT NULL DEFAULT gen_random_uuid(),
    vehicle_id       uuid        NOT NULL,
    flow             text        NOT NULL CHECK (char_length(flow) BETWEEN 1 AND 64),  -- fuel, service, tire …
    path             text        NOT NULL CHECK (char_length(path) <= 64),             -- quick, guided
    started_at       timestamptz NOT NULL,
    last_activity_at timestamptz NOT NULL,
    ended_at         timestamptz NOT NULL,
    status           text        NOT NULL CHECK (status IN ('completed', 'abandoned')),
    current_step     text        CHECK (char_length(current_step) <= 50),
    step             text        CHECK (char_length(step) <= 50),    -- at which it was left; NULL before the first
    reason           text        CHECK (char_length(reason) <= 64),  -- back_button, closed_tab, timeout, navigation
    duration_ms      bigint      NOT NULL CHECK (duration_ms >= 0),  -- from beginning to end; filled in where it is left out
    photos           jsonb       NOT NULL DEFAULT '[]',              -- in the order in which they were taken
    event_id         uuid,                                           -- what it became; may come later than the session
    resumes          uuid,                                           -- the abandoned session whose photos it took along
    arrival          bigint      NOT NULL,                           -- filled in: order in the log
    body             text,                                           -- protocol's Session exactly as sealed; NULL where another SQL client wrote the columns
    received_at      timestamptz NOT NULL DEFAULT now(),
    op_id            uuid,
    device_id        uuid,
    user_id          uuid        DEFAULT current_user_id(),
    PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id, vehicle_id) REFERENCES vehicles (tenant_id, id),
    CONSTRAINT capture_sessions_outcome CHECK (CASE status WHEN 'completed' THEN event_id IS NOT NULL ELSE reason IS NOT NULL END),
    CONSTRAINT capture_sessions_photos_shape CHECK (body IS NOT NULL OR session_photos_fit(photos)),
    CONSTRAINT capture_sessions_words CHECK (body IS NOT NULL OR (
        path IN ('quick', 'guided')
        AND COALESCE(reason IN ('back_button', 'closed_tab', 'timeout', 'navigation'), true)
        AND COALESCE(current_step ~ '^[a-z0-9_]+$', true) AND COALESCE(step ~ '^[a-z0-9_]+$', true)))
);
COMMENT ON TABLE capture_sessions IS 'Capture sessions that are over.';
CREATE INDEX capture_sessions_by_end ON capture_sessions (tenant_id, ended_at);
SELECT raise_tenant_wall('capture_sessions');
SELECT admit_system('capture_sessions');
GRANT SELECT, INSERT, UPDATE ON capture_sessions TO motomind_server;
GRANT SELECT, INSERT (tenant_id, id, vehicle_id, flow, path, started_at, last_activity_at, ended_at, status,
                      current_step, step, reason, duration_ms, photos, event_id, resumes, user_id)
    ON capture_sessions TO motomind_client;
GRANT SELECT ON capture_sessions TO motomind_system;
CREATE TRIGGER refuse_delete BEFORE DELETE OR TRUNCATE ON capture_sessions EXECUTE FUNCTION refuse_delete();

-- With the rights of whoever writes.
CREATE FUNCTION place_session() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    IF TG_OP = 'UPDATE' THEN
        IF (NEW.tenant_id, NEW.id) IS DISTINCT FROM (OLD.tenant_id, OLD.id) THEN
            RAISE EXCEPTION 'a session keeps its id and its tenant'
                USING ERRCODE = 'restrict_violation', TABLE = TG_TABLE_NAME;
        END IF;
        IF NEW.op_id IS NOT DISTINCT FROM OLD.op_id THEN  -- not told by a device: the columns are what counts
            NEW.op_id := NULL;
            NEW.body := NULL;
        END IF;
    END IF;
    NEW.duration_ms := COALESCE(NEW.duration_ms, greatest(epoch_ms(NEW.ended_at) - epoch_ms(NEW.started_at), 0));
    NEW.arrival := nextval('arrivals');
    RETURN NEW;
END
$$;
CREATE TRIGGER place BEFORE INSERT OR UPDATE ON capture_sessions FOR EACH ROW EXECUTE FUNCTION place_session();

-- A session that another SQL client wrote as columns, as protocol's `Session`.
CREATE FUNCTION session_said(s capture_sessions) RETURNS text
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN concat('{"id":"', s.id, '","vehicle_id":"', s.vehicle_id, '","flow":', to_json(s.flow), ',"path":', to_json(s.path),
        ',"started_at":', epoch_ms(s.started_at), ',"last_activity_at":', epoch_ms(s.last_activity_at),
        ',"current_step":' || to_json(s.current_step),
        ',"photos":', s.photos,
        ',"resumes":"' || s.resumes || '"',
        ',"standing":{"status":"', s.status,
        CASE s.status WHEN 'completed' THEN concat('","event_id":"', s.event_id, '","completed_at":')
                      ELSE concat('"', ',"abandoned_at_step":' || to_json(s.step), ',"reason":', to_json(s.reason),
                                  ',"abandoned_at":') END,
        epoch_ms(s.ended_at), '}}');

SET LOCAL ROLE motomind_system;
CREATE FUNCTION log_capture_sessions() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    PERFORM append_statements('session', array_agg(f.tenant_id), array_agg(f.arrival), array_agg(COALESCE(f.op_id, f.id)),
                array_agg(stated(COALESCE(f.op_id, f.id), COALESCE(f.body, session_said(f)), NULL, f.received_at,
                                 f.op_id, f.device_id, f.user_id)))
       FROM fresh AS f;
    RETURN NULL;
END
$$;
REVOKE ALL ON FUNCTION log_capture_sessions() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION log_capture_sessions() TO motomind_owner;

SET LOCAL ROLE motomind_owner;
CREATE TRIGGER log_insert AFTER INSERT ON capture_sessions
    REFERENCING NEW TABLE AS fresh EXECUTE FUNCTION log_capture_sessions();
CREATE TRIGGER log_update AFTER UPDATE ON capture_sessions
    REFERENCING NEW TABLE AS fresh EXECUTE FUNCTION log_capture_sessions();
