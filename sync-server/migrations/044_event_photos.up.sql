-- Purpose: what was said of photos on events: attached, described, put first, removed.
-- Why:     statements are facts, all kept; of each photo of an event's family the newest counts
--          (protocol::photo::attached), so that a correction of the event keeps its photos and two
--          people who describe one photo offline both stay on record.
-- Time:    under a second, no rows touched.
CREATE TABLE event_photos (
    tenant_id   uuid        NOT NULL DEFAULT current_tenant_id(),
    id          uuid        NOT NULL DEFAULT gen_random_uuid(),  -- the operation's, where a device said it
    event_id    uuid        NOT NULL,             -- as the server resolved it
    vehicle_id  uuid        NOT NULL,             -- filled in: the event's
    root_id     uuid        NOT NULL,             -- filled in: first event of the family
    photo       text        NOT NULL,             -- SHA-256 of the original's bytes
    sequence    integer     NOT NULL CHECK (sequence BETWEEN 1 AND 1000000),  -- place among the event's photos
    step_id     text        CHECK (step_id ~ '^[a-z0-9_]{1,50}$'),
    is_primary  boolean     NOT NULL DEFAULT false,
    caption     text        CHECK (char_length(caption) <= 10000),
    removed     boolean     NOT NULL DEFAULT false,  -- taken off the event; the bytes stay
    reason      text        CHECK (char_length(reason) <= 1000),
    arrival     bigint      NOT NULL,             -- filled in: order of arrival; the same order as in the log
    body        text,                             -- protocol's Attachment exactly as sealed; NULL where another SQL client wrote the columns
    received_at timestamptz NOT NULL DEFAULT now(),
    op_id       uuid,
    device_id   uuid,
    user_id     uuid        DEFAULT current_user_id(),
    PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id, event_id) REFERENCES event_registry (tenant_id, event_id),
    FOREIGN KEY (tenant_id, photo) REFERENCES photo_metadata (tenant_id, sha256)
);
COMMENT ON TABLE event_photos IS 'Statements about photos on events; append-only.';
CREATE INDEX event_photos_by_family ON event_photos (tenant_id, root_id, photo, arrival DESC);
CREATE INDEX event_photos_by_photo ON event_photos (tenant_id, photo);
CREATE INDEX event_photos_by_device ON event_photos (tenant_id, device_id);
SELECT raise_tenant_wall('event_photos');
SELECT admit_system('event_photos');
GRANT SELECT, INSERT ON event_photos TO motomind_server;
GRANT SELECT, INSERT (tenant_id, id, event_id, photo, sequence, step_id, is_primary, caption, removed, reason, user_id)
    ON event_photos TO motomind_client;
GRANT SELECT ON event_photos TO motomind_system;
CREATE TRIGGER immutable BEFORE UPDATE OR DELETE ON event_photos FOR EACH ROW EXECUTE FUNCTION refuse_restating();
CREATE TRIGGER immutable_whole BEFORE TRUNCATE ON event_photos EXECUTE FUNCTION refuse_restating();

-- Whoever states something takes a place in the order of arrivals, with their own rights.
GRANT USAGE ON SEQUENCE arrivals TO motomind_server, motomind_client;

-- Fills in what follows from the event, under the vehicle's lock: statements about one vehicle come
-- one transaction after the other, so that `arrival` and the log agree. Runs with the rights of
-- whoever writes: the wall is checked only after it.
CREATE FUNCTION place_statement() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp
    SET enable_seqscan = off SET enable_bitmapscan = off
AS $$
DECLARE
    event record;
BEGIN
    SELECT r.vehicle_id, r.root_id, r.is_retraction OR r.is_restoration AS is_act INTO event
      FROM event_registry r WHERE r.tenant_id = NEW.tenant_id AND r.event_id = NEW.event_id;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'event % is not known', NEW.event_id
            USING ERRCODE = 'foreign_key_violation', TABLE = TG_TABLE_NAME, COLUMN = 'event_id',
                  CONSTRAINT = TG_TABLE_NAME || '_event';
    END IF;
    IF event.is_act THEN
        RAISE EXCEPTION 'event % is a retraction or restoration; name the event that it is about', NEW.event_id
            USING ERRCODE = 'check_violation', TABLE = TG_TABLE_NAME, COLUMN = 'event_id',
                  CONSTRAINT = TG_TABLE_NAME || '_not_correctable';
    END IF;
    PERFORM FROM vehicles v WHERE v.tenant_id = NEW.tenant_id AND v.id = event.vehicle_id FOR NO KEY UPDATE;
    NEW.vehicle_id := event.vehicle_id;
    NEW.root_id := event.root_id;
    NEW.arrival := nextval('arrivals');
    RETURN NEW;
END
$$;
CREATE TRIGGER place BEFORE INSERT ON event_photos FOR EACH ROW EXECUTE FUNCTION place_statement();

-- protocol's `Stated` around what was said.
CREATE FUNCTION stated(id uuid, said text, event_id uuid, received_at timestamptz, op_id uuid, device_id uuid,
                       user_id uuid) RETURNS text
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN concat('{"id":"', id, '","said":', said,
        ',"event_id":"' || event_id || '"',
        ',"received_at":', epoch_ms(received_at),
        ',"op_id":"' || op_id || '"',
        ',"device_id":"' || device_id || '"',
        ',"user_id":"' || user_id || '"', '}');

-- A statement that another SQL client wrote as columns, as protocol's `Attachment`.
CREATE FUNCTION attachment_said(p event_photos, facts jsonb) RETURNS text
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN concat('{"vehicle_id":"', p.vehicle_id, '","event_id":"', p.event_id, '","photo":"', p.photo,
        '","sequence":', p.sequence,
        ',"step_id":' || to_json(p.step_id),
        ',"is_primary":', to_json(p.is_primary),
        ',"caption":' || to_json(p.caption),
        ',"facts":' || facts::text,
        CASE WHEN p.removed THEN ',"removed":true' END,
        ',"reason":' || to_json(p.reason), '}');

SET LOCAL ROLE motomind_system;

-- Appends changes of whatever tenants; numbered with the rest.
CREATE FUNCTION append_statements(kind text, tenants uuid[], arrivals bigint[], ids uuid[], datas text[]) RETURNS void
    LANGUAGE sql SET search_path = pg_catalog, public, pg_temp AS $$
    WITH appended AS (
        INSERT INTO change_pending (tenant_id, txid, arrival, kind, entity_id, data)
        SELECT s.tenant_id, pg_current_xact_id(), s.arrival, append_statements.kind, s.id, s.data
          FROM unnest(tenants, arrivals, ids, datas) AS s (tenant_id, arrival, id, data)
        RETURNING tenant_id, arrival
    )
    INSERT INTO change_marks (tenant_id, txid, first)
    SELECT tenant_id, pg_current_xact_id(), min(arrival) FROM appended GROUP BY tenant_id ON CONFLICT DO NOTHING
$$;

CREATE FUNCTION log_event_photos() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
    SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off
AS $$
BEGIN
    PERFORM append_statements('photo', array_agg(f.tenant_id), array_agg(f.arrival), array_agg(f.id), array_agg(
                stated(f.id, COALESCE(f.body, attachment_said(f, photo_facts(m))), f.event_id, f.received_at, f.op_id,
                       f.device_id, f.user_id)))
       FROM fresh AS f JOIN photo_metadata m ON m.tenant_id = f.tenant_id AND m.sha256 = f.photo;
    RETURN NULL;
END
$$;
REVOKE ALL ON FUNCTION append_statements(text, uuid[], bigint[], uuid[], text[]), log_event_photos() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION log_event_photos() TO motomind_owner;

SET LOCAL ROLE motomind_owner;
CREATE TRIGGER log AFTER INSERT ON event_photos REFERENCING NEW TABLE AS fresh EXECUTE FUNCTION log_event_photos();

-- Photos that a device's events name, for its custody.
CREATE INDEX vehicle_events_with_photos ON vehicle_events (tenant_id, device_id) WHERE payload ? 'photos';
