-- Purpose: the events: immutable facts about vehicles.
-- Why:     append-only, partitioned by the local calendar day, one partition a year. The default
--          partition takes every other date, so that no date is an error.
-- Time:    under a second, no rows touched.
CREATE TABLE vehicle_events (
    tenant_id   uuid        NOT NULL DEFAULT current_tenant_id(),
    id          uuid        NOT NULL DEFAULT gen_random_uuid(),
    vehicle_id  uuid        NOT NULL,
    type        text        NOT NULL CHECK (char_length(type) BETWEEN 1 AND 64 AND type !~ '[[:cntrl:]]'),
    occurred_at timestamptz NOT NULL  -- when it happened
                CHECK (occurred_at >= '1900-01-01Z' AND occurred_at < '10000-01-01Z'),
    date        date        NOT NULL  -- the calendar day where it happened; given once, never derived again
                CHECK (date BETWEEN '1899-12-31' AND '9999-12-31'),
    timezone    text        NOT NULL DEFAULT 'UTC' CHECK (timezone ~ '^[A-Za-z0-9/_+-]{1,64}$'),  -- IANA name
    miles       integer     CHECK (miles BETWEEN 0 AND 9999999),
    total_minor bigint      CHECK (total_minor BETWEEN 0 AND 1000000000000),  -- minor units of currency
    currency    text        CHECK (currency ~ '^[A-Z]{3}$'),                  -- ISO 4217; absent means USD
    vendor      text        CHECK (char_length(vendor) <= 500),
    notes       text        CHECK (char_length(notes) <= 10000),
    payload     jsonb       NOT NULL DEFAULT '{}',  -- keys of the type; a projection of body where there is one
    fix         jsonb,                              -- protocol's Fix
    fix_absent  text        CHECK (char_length(fix_absent) <= 64),
    session_id  uuid,
    corrects    uuid,                               -- the event it corrects, retracts or restores, as the server resolved it
    reason      text        CHECK (char_length(reason) <= 1000),
    body        text,                               -- the event exactly as captured; NULL where another SQL client wrote the columns
    received_at timestamptz NOT NULL DEFAULT now(), -- server clock
    op_id       uuid,                               -- the operation that brought it; NULL for another SQL client
    device_id   uuid,
    user_id     uuid        DEFAULT current_user_id(),
    clock_ahead boolean     GENERATED ALWAYS AS (occurred_at - received_at > interval '24 hours') STORED,
    PRIMARY KEY (tenant_id, date, id),
    FOREIGN KEY (tenant_id, vehicle_id) REFERENCES vehicles (tenant_id, id),
    CONSTRAINT vehicle_events_payload_shape CHECK (payload_fits(type, payload, miles, total_minor, corrects)),
    CONSTRAINT vehicle_events_readable CHECK (body IS NOT NULL OR json_readable(payload)),
    CONSTRAINT vehicle_events_fix_shape CHECK (body IS NOT NULL OR fix_fits(fix))
) PARTITION BY RANGE (date);
COMMENT ON TABLE vehicle_events IS 'Immutable facts about vehicles.';
CREATE INDEX vehicle_events_timeline ON vehicle_events (tenant_id, vehicle_id, occurred_at DESC, id DESC);
SELECT raise_tenant_wall('vehicle_events');

CREATE TABLE vehicle_events_default PARTITION OF vehicle_events DEFAULT;

-- An event is never altered. The one exemption: maintenance moving rows between partitions, which
-- runs as motomind_system and compares their hashes.
CREATE FUNCTION refuse_event_change() RETURNS trigger
    LANGUAGE plpgsql AS $$
BEGIN
    IF current_user = 'motomind_system' AND TG_OP = 'DELETE' THEN
        RETURN OLD;
    END IF;
    RAISE EXCEPTION 'events are immutable: write a correction or a retraction instead of this %', TG_OP
        USING ERRCODE = 'restrict_violation', TABLE = 'vehicle_events', CONSTRAINT = 'vehicle_events_immutable';
END
$$;
CREATE TRIGGER immutable BEFORE UPDATE OR DELETE ON vehicle_events
    FOR EACH ROW EXECUTE FUNCTION refuse_event_change();
CREATE TRIGGER immutable_whole BEFORE TRUNCATE ON vehicle_events EXECUTE FUNCTION refuse_event_change();

-- What a partition needs and does not get from its parent: its own wall, grants, and the triggers
-- of statements, whichever later migrations have given the parent by then.
CREATE FUNCTION furnish_event_partition(part regclass) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    definition text;
BEGIN
    PERFORM raise_tenant_wall(part);
    PERFORM admit_system(part);
    EXECUTE format('GRANT SELECT, INSERT ON %s TO motomind_server', part);
    EXECUTE format('GRANT SELECT, INSERT (tenant_id, id, vehicle_id, type, occurred_at, date, timezone, miles, total_minor,
                    currency, vendor, notes, payload, fix, fix_absent, session_id, corrects, reason, user_id)
                    ON %s TO motomind_client', part);
    EXECUTE format('GRANT SELECT, INSERT, DELETE ON %s TO motomind_system', part);
    FOR definition IN SELECT pg_get_triggerdef(g.oid) FROM pg_trigger g
                       WHERE g.tgrelid = 'vehicle_events'::regclass AND NOT g.tgisinternal
                         AND g.tgtype & 1 = 0  -- of the statement, not of each row
                       ORDER BY g.tgname LOOP
        EXECUTE replace(definition, ' ON public.vehicle_events ', format(' ON %s ', part));
    END LOOP;
END
$$;

-- Runs a statement for the events' table and each of its partitions, named %s in it.
CREATE FUNCTION on_event_tables(statement text) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    part regclass;
BEGIN
    FOR part IN SELECT 'vehicle_events'::regclass UNION ALL
                SELECT inhrelid::regclass FROM pg_inherits WHERE inhparent = 'vehicle_events'::regclass LOOP
        EXECUTE format(statement, part);
    END LOOP;
END
$$;
REVOKE ALL ON FUNCTION furnish_event_partition(regclass), on_event_tables(text) FROM PUBLIC;

SELECT furnish_event_partition('vehicle_events_default');
SELECT admit_system('vehicle_events');
GRANT SELECT, INSERT ON vehicle_events TO motomind_server;
GRANT SELECT, INSERT (tenant_id, id, vehicle_id, type, occurred_at, date, timezone, miles, total_minor,
                      currency, vendor, notes, payload, fix, fix_absent, session_id, corrects, reason, user_id)
    ON vehicle_events TO motomind_client;
GRANT SELECT, INSERT, DELETE ON vehicle_events TO motomind_system;
