-- Purpose: what happens when events are inserted, whoever inserts them: registry, corrections,
--          odometer rule, change log.
-- Why:     one statement trigger works set by set, so that 100,000 rows cost 100,000 index probes
--          and not 100,000 function calls. A statement trigger on the parent misses a direct
--          insert into a partition, so each partition carries it too (only one of them fires).
-- Time:    under a second, plus registry and log entries for events already there (100,000: 4 s).

-- An event that another SQL client wrote as columns, as protocol's `Event`.
CREATE FUNCTION event_body(id uuid, vehicle_id uuid, type text, occurred_at timestamptz, date date, timezone text,
                           miles integer, total_minor bigint, currency text, vendor text, notes text, payload jsonb,
                           fix jsonb, fix_absent text, session_id uuid, corrects uuid, reason text) RETURNS text
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN concat('{"id":"', id, '","vehicle_id":"', vehicle_id, '","type":', to_json(type),
        ',"occurred_at":', epoch_ms(occurred_at), ',"date":', to_json(date), ',"timezone":', to_json(timezone),
        ',"miles":' || miles,
        ',"total_minor":' || total_minor,
        ',"currency":' || to_json(currency),
        ',"vendor":' || to_json(vendor),
        ',"notes":' || to_json(notes),
        ',"payload":', payload,
        ',"fix":' || fix::text,
        ',"fix_absent":' || to_json(fix_absent),
        ',"session_id":"' || session_id || '"',
        ',"corrects":"' || corrects || '"',
        ',"reason":' || to_json(reason), '}');

-- protocol's `EventRecord` around a body.
CREATE FUNCTION event_record(body text, received_at timestamptz, op_id uuid, device_id uuid, user_id uuid,
                             corrects uuid, clock_ahead boolean) RETURNS text
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN concat('{"event":', body, ',"received_at":', epoch_ms(received_at),
        ',"op_id":"' || op_id || '"',
        ',"device_id":"' || device_id || '"',
        ',"user_id":"' || user_id || '"',
        ',"corrects":"' || corrects || '"',
        CASE WHEN clock_ahead THEN ',"flags":["clock_ahead"]' END, '}');

SET LOCAL ROLE motomind_system;

-- Refuses a reading that contradicts a neighbour: protocol::odometer, second guard. Of a pair the
-- one that arrived later is to blame, so a later override excuses the pair.
CREATE FUNCTION refuse_odometer(event_id uuid, miles integer, neighbour uuid, neighbour_miles integer) RETURNS void
    LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'reading % of event % contradicts reading % of event %', miles, event_id, neighbour_miles, neighbour
        USING ERRCODE = 'check_violation', CONSTRAINT = 'vehicle_events_odometer', TABLE = 'vehicle_events',
              COLUMN = 'miles', DETAIL = neighbour::text, HINT = 'amend the reading or correct its neighbour';
END
$$;

-- Checks the reading of one event that now counts, or, where it counts no more, that its
-- neighbours fit together without it.
CREATE FUNCTION check_reading(r event_registry) RETURNS void
    LANGUAGE plpgsql AS $$
DECLARE
    before record;
    after  record;
BEGIN
    SELECT * INTO before FROM odometer_neighbours(r.tenant_id, r.vehicle_id, r.at_ms, r.arrival) n WHERE n.is_before;
    SELECT * INTO after FROM odometer_neighbours(r.tenant_id, r.vehicle_id, r.at_ms, r.arrival) n WHERE NOT n.is_before;
    IF NOT r.effective AND after.miles < before.miles AND NOT after.starts_segment THEN
        PERFORM refuse_odometer(after.event_id, after.miles, before.event_id, before.miles);
    ELSIF r.effective AND r.miles < before.miles AND NOT r.starts_segment
          AND NOT (before.overrides AND before.arrival > r.arrival) THEN
        PERFORM refuse_odometer(r.event_id, r.miles, before.event_id, before.miles);
    ELSIF r.effective AND r.miles > after.miles AND NOT after.starts_segment
          AND NOT (after.overrides AND after.arrival > r.arrival) THEN
        PERFORM refuse_odometer(r.event_id, r.miles, after.event_id, after.miles);
    END IF;
END
$$;

-- 1. Registers the events of a statement: roots set by set, corrections after what they correct.
-- Plans are fixed to index probes: a plan cached on an empty table must not scan a full one.
CREATE FUNCTION register_events() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, public, pg_temp
    SET enable_seqscan = off SET enable_bitmapscan = off
    SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off
AS $$
DECLARE
    place   bigint;
    waiting bigint;
    settled bigint;
    orphan  uuid;
BEGIN
    -- Events of one vehicle come one transaction after the other.
    PERFORM FROM vehicles v
       JOIN (SELECT DISTINCT f.tenant_id, f.vehicle_id FROM fresh f) f ON v.tenant_id = f.tenant_id AND v.id = f.vehicle_id
      ORDER BY v.tenant_id, v.id FOR NO KEY UPDATE OF v;
    place := nextval('arrivals');
    INSERT INTO event_registry (tenant_id, event_id, vehicle_id, date, user_id, root_id, arrival, at_ms,
                                miles, starts_segment, effective)
    SELECT f.tenant_id, f.id, f.vehicle_id, f.date, f.user_id, f.id, nextval('arrivals'),
           epoch_ms(CASE WHEN f.clock_ahead THEN f.received_at ELSE f.occurred_at END),
           f.miles, COALESCE(f.payload -> 'odometer_replaced' = 'true', false), true
      FROM fresh f WHERE f.corrects IS NULL;

    SELECT count(*) INTO waiting FROM fresh f WHERE f.corrects IS NOT NULL;
    WHILE waiting > 0 LOOP  -- one round per link of a chain that is in this one statement
        INSERT INTO event_registry (tenant_id, event_id, vehicle_id, date, user_id, corrects, root_id, arrival, at_ms,
                                    miles, starts_segment, overrides, is_retraction, effective)
        SELECT f.tenant_id, f.id, f.vehicle_id, f.date, f.user_id, f.corrects, p.root_id, nextval('arrivals'),
               epoch_ms(CASE WHEN f.clock_ahead THEN f.received_at ELSE f.occurred_at END),
               f.miles, COALESCE(f.payload -> 'odometer_replaced' = 'true', false),
               COALESCE(f.payload -> 'correction' = 'true', false), f.type = 'retraction', false
          FROM fresh f
          JOIN event_registry p ON p.tenant_id = f.tenant_id AND p.event_id = f.corrects AND p.vehicle_id = f.vehicle_id
         WHERE NOT EXISTS (SELECT FROM event_registry me
                            WHERE me.tenant_id = f.tenant_id AND me.event_id = f.id AND me.arrival >= place);
        GET DIAGNOSTICS settled = ROW_COUNT;
        waiting := waiting - settled;
        IF settled = 0 THEN
            SELECT f.corrects INTO orphan FROM fresh f
             WHERE f.corrects IS NOT NULL AND NOT EXISTS (SELECT FROM event_registry me
                   WHERE me.tenant_id = f.tenant_id AND me.event_id = f.id AND me.arrival >= place) LIMIT 1;
            RAISE EXCEPTION 'the corrected event % is not known of this vehicle', orphan
                USING ERRCODE = 'foreign_key_violation', CONSTRAINT = 'vehicle_events_corrects', TABLE = 'vehicle_events',
                      COLUMN = 'corrects', DETAIL = orphan::text;
        END IF;
    END LOOP;
    RETURN NULL;
END
$$;

-- 2. Settles which event of each corrected family counts (protocol::effective), then checks every
-- reading that began or ceased to count.
CREATE FUNCTION settle_events() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, public, pg_temp
    SET enable_seqscan = off SET enable_bitmapscan = off
    SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off
AS $$
DECLARE
    turned event_registry;
    place  bigint;
    bad    record;
BEGIN
    IF EXISTS (SELECT FROM fresh f WHERE f.corrects IS NOT NULL) THEN
        SELECT min(r.arrival) INTO place
          FROM fresh f JOIN event_registry r ON r.tenant_id = f.tenant_id AND r.event_id = f.id;
        UPDATE event_registry t SET retracted = true
          FROM fresh f
         WHERE f.type = 'retraction' AND t.tenant_id = f.tenant_id AND t.event_id = f.corrects AND NOT t.retracted;
        FOR turned IN
            WITH touched AS (
                SELECT DISTINCT r.tenant_id, r.root_id
                  FROM fresh f JOIN event_registry r ON r.tenant_id = f.tenant_id AND r.event_id = f.id
                 WHERE f.corrects IS NOT NULL
            ), families AS (
                SELECT t.*, CASE WHEN root.retracted THEN NULL ELSE COALESCE(
                           (SELECT m.event_id FROM event_registry m
                             WHERE m.tenant_id = t.tenant_id AND m.root_id = t.root_id AND m.corrects IS NOT NULL
                               AND NOT m.is_retraction AND NOT m.retracted
                             ORDER BY m.arrival DESC LIMIT 1), t.root_id) END AS counts
                  FROM touched t JOIN event_registry root ON root.tenant_id = t.tenant_id AND root.event_id = t.root_id
            ), members AS (
                SELECT t.tenant_id, t.root_id AS event_id, t.counts FROM families t
                UNION ALL
                SELECT m.tenant_id, m.event_id, t.counts
                  FROM families t JOIN event_registry m ON m.tenant_id = t.tenant_id AND m.root_id = t.root_id
                   AND m.corrects IS NOT NULL
            )
            UPDATE event_registry r SET effective = NOT r.effective
              FROM members m
             WHERE r.tenant_id = m.tenant_id AND r.event_id = m.event_id
               AND r.effective IS DISTINCT FROM (r.event_id IS NOT DISTINCT FROM m.counts)
            RETURNING r.*
        LOOP
            -- Taking a reading away leaves the rest in order, unless it began a segment or was an
            -- override itself. And this very statement may override the rule for this family.
            CONTINUE WHEN turned.miles IS NULL
                OR NOT (turned.effective OR turned.starts_segment OR turned.overrides)
                OR EXISTS (SELECT FROM event_registry mover
                            WHERE mover.tenant_id = turned.tenant_id AND mover.root_id = turned.root_id
                              AND mover.arrival >= place AND mover.corrects IS NOT NULL AND mover.overrides);
            PERFORM check_reading(turned);
        END LOOP;
    END IF;

    -- Root readings of this statement must fit between their neighbours.
    SELECT r.event_id, r.miles, n.event_id AS neighbour, n.miles AS neighbour_miles INTO bad
      FROM fresh f
      JOIN event_registry r ON r.tenant_id = f.tenant_id AND r.event_id = f.id AND r.effective
      CROSS JOIN LATERAL odometer_neighbours(r.tenant_id, r.vehicle_id, r.at_ms, r.arrival) n
     WHERE f.corrects IS NULL AND f.miles IS NOT NULL
       AND CASE WHEN n.is_before THEN r.miles < n.miles AND NOT r.starts_segment
                ELSE r.miles > n.miles AND NOT n.starts_segment END
       AND NOT (n.overrides AND n.arrival > r.arrival)
     LIMIT 1;
    IF FOUND THEN
        PERFORM refuse_odometer(bad.event_id, bad.miles, bad.neighbour, bad.neighbour_miles);
    END IF;
    RETURN NULL;
END
$$;

-- 3. Appends one entry per event. An event that came with its body keeps its exact text.
CREATE FUNCTION log_events() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, public, pg_temp
    SET enable_seqscan = off SET enable_bitmapscan = off
    SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off
AS $$
DECLARE
    mine constant xid8 := pg_current_xact_id();
BEGIN
    WITH appended AS (
        INSERT INTO change_pending (tenant_id, txid, arrival, kind, entity_id, data)
        SELECT f.tenant_id, mine, r.arrival, 'event', f.id,
               event_record(COALESCE(f.body,
                                     event_body(f.id, f.vehicle_id, f.type, f.occurred_at, f.date, f.timezone, f.miles,
                                                f.total_minor, f.currency, f.vendor, f.notes, f.payload, f.fix,
                                                f.fix_absent, f.session_id, f.corrects, f.reason)),
                            f.received_at, f.op_id, f.device_id, f.user_id, f.corrects, f.clock_ahead)
          FROM fresh f JOIN event_registry r ON r.tenant_id = f.tenant_id AND r.event_id = f.id
        RETURNING tenant_id, arrival
    )
    INSERT INTO change_marks (tenant_id, txid, first)
    SELECT tenant_id, mine, min(arrival) FROM appended GROUP BY tenant_id ON CONFLICT DO NOTHING;
    RETURN NULL;
END
$$;
REVOKE ALL ON FUNCTION refuse_odometer(uuid, integer, uuid, integer), check_reading(event_registry),
    register_events(), settle_events(), log_events() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION register_events(), settle_events(), log_events() TO motomind_owner;

-- When an event gets its number, the registry learns it.
CREATE OR REPLACE FUNCTION number_changes()
    RETURNS TABLE (tenant_id uuid, kind text, entity_id uuid, seq bigint)
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, public, pg_temp
    SET enable_seqscan = off SET enable_bitmapscan = off
    SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off SET work_mem = '64MB'
AS $$
#variable_conflict use_column
DECLARE
    mine    constant xid8   := pg_current_xact_id();
    new_tag constant bigint := hashtextextended(gen_random_uuid()::text, 0);
    mark    record;
    added   bigint;
    top     bigint;
BEGIN
    FOR mark IN SELECT m.tenant_id, m.first FROM change_marks m WHERE m.txid = mine ORDER BY m.tenant_id LOOP
        SELECT count(*) INTO added FROM change_pending p
         WHERE p.tenant_id = mark.tenant_id AND p.txid = mine AND p.arrival >= mark.first;
        UPDATE tenant_counters c SET head = c.head + added
         WHERE c.tenant_id = mark.tenant_id RETURNING c.head INTO STRICT top;
        RETURN QUERY
            WITH taken AS (
                DELETE FROM change_pending p
                 WHERE p.tenant_id = mark.tenant_id AND p.txid = mine AND p.arrival >= mark.first
                RETURNING p.arrival, p.kind, p.entity_id, p.data
            ), numbered AS (
                SELECT t.*, top - added + row_number() OVER (ORDER BY t.arrival) AS seq FROM taken t
            ), logged AS (
                INSERT INTO change_log (tenant_id, seq, tag, kind, entity_id, entry)
                SELECT mark.tenant_id, n.seq, new_tag, n.kind, n.entity_id,
                       concat('{"seq":', n.seq, ',"kind":"', n.kind, '","data":', n.data, '}')
                  FROM numbered n
            ), known AS (
                UPDATE event_registry r SET seq = n.seq
                  FROM numbered n
                 WHERE n.kind = 'event' AND r.tenant_id = mark.tenant_id AND r.event_id = n.entity_id
            )
            SELECT mark.tenant_id, n.kind, n.entity_id, n.seq FROM numbered n ORDER BY n.seq;
        DELETE FROM change_marks m WHERE m.tenant_id = mark.tenant_id AND m.txid = mine;
        PERFORM pg_notify('motomind_changes', mark.tenant_id || ' ' || top);
    END LOOP;
END
$$;

SET LOCAL ROLE motomind_owner;
-- A partition carries the triggers too: a direct insert fires only its own.
CREATE OR REPLACE FUNCTION furnish_event_partition(part regclass) RETURNS void
    LANGUAGE plpgsql AS $$
BEGIN
    PERFORM raise_tenant_wall(part);
    PERFORM admit_system(part);
    EXECUTE format('GRANT SELECT, INSERT ON %s TO motomind_server', part);
    EXECUTE format('GRANT SELECT, INSERT (tenant_id, id, vehicle_id, type, occurred_at, date, timezone, miles, total_minor,
                    currency, vendor, notes, payload, fix, fix_absent, session_id, corrects, reason, user_id)
                    ON %s TO motomind_client', part);
    EXECUTE format('GRANT SELECT, INSERT, DELETE ON %s TO motomind_system', part);
    EXECUTE format('CREATE TRIGGER immutable_whole BEFORE TRUNCATE ON %s EXECUTE FUNCTION refuse_event_change()', part);
    PERFORM log_event_inserts(part);
END
$$;
CREATE FUNCTION log_event_inserts(target regclass) RETURNS void
    LANGUAGE plpgsql AS $$
BEGIN
    -- Triggers of one table fire in the order of their names.
    EXECUTE format('CREATE TRIGGER on_insert_1_register AFTER INSERT ON %s REFERENCING NEW TABLE AS fresh EXECUTE FUNCTION register_events()', target);
    EXECUTE format('CREATE TRIGGER on_insert_2_settle AFTER INSERT ON %s REFERENCING NEW TABLE AS fresh EXECUTE FUNCTION settle_events()', target);
    EXECUTE format('CREATE TRIGGER on_insert_3_log AFTER INSERT ON %s REFERENCING NEW TABLE AS fresh EXECUTE FUNCTION log_events()', target);
END
$$;
REVOKE ALL ON FUNCTION log_event_inserts(regclass) FROM PUBLIC;

-- Events that were there before their log: they pass through the same triggers, by being written
-- again into a fresh default partition.
ALTER TABLE vehicle_events DETACH PARTITION vehicle_events_default;
ALTER TABLE vehicle_events_default RENAME TO vehicle_events_before;
ALTER INDEX vehicle_events_default_pkey RENAME TO vehicle_events_before_pkey;
ALTER TABLE vehicle_events_before DISABLE ROW LEVEL SECURITY;
CREATE TABLE vehicle_events_default PARTITION OF vehicle_events DEFAULT;
SELECT furnish_event_partition('vehicle_events_default');
SELECT admit_system('vehicle_events');
GRANT SELECT, INSERT, DELETE ON vehicle_events TO motomind_system;
SELECT log_event_inserts('vehicle_events');
GRANT SELECT ON vehicle_events_before TO motomind_system;
SET LOCAL ROLE motomind_system;
INSERT INTO vehicle_events (tenant_id, id, vehicle_id, type, occurred_at, date, timezone, miles, total_minor, currency,
    vendor, notes, payload, fix, fix_absent, session_id, corrects, reason, body, received_at, op_id, device_id, user_id)
SELECT tenant_id, id, vehicle_id, type, occurred_at, date, timezone, miles, total_minor, currency,
    vendor, notes, payload, fix, fix_absent, session_id, corrects, reason, body, received_at, op_id, device_id, user_id
  FROM vehicle_events_before ORDER BY received_at, occurred_at;
SELECT count(*) FROM number_changes();
SET LOCAL ROLE motomind_owner;
DROP TABLE vehicle_events_before;
