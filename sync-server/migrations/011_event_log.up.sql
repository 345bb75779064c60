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
    act     uuid;
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
                                    miles, starts_segment, overrides, is_retraction, is_restoration, effective)
        SELECT f.tenant_id, f.id, f.vehicle_id, f.date, f.user_id, f.corrects, p.root_id, nextval('arrivals'),
               epoch_ms(CASE WHEN f.clock_ahead THEN f.received_at ELSE f.occurred_at END),
               f.miles, COALESCE(f.payload -> 'odometer_replaced' = 'true', false),
               COALESCE(f.payload -> 'correction' = 'true', false), f.type = 'retraction', f.type = 'restoration', false
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

    -- Retractions and restorations are not acted on (protocol::effective::may_act).
    SELECT t.event_id INTO act
      FROM fresh f
      CROSS JOIN LATERAL (SELECT n.event_id, n.is_retraction, n.is_restoration FROM event_registry n
                           WHERE n.tenant_id = f.tenant_id AND n.event_id = f.corrects LIMIT 1) t
     WHERE f.corrects IS NOT NULL AND (t.is_retraction OR t.is_restoration) LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'event % is a retraction or restoration; name the event that it is about', act
            USING ERRCODE = 'check_violation', CONSTRAINT = 'vehicle_events_not_correctable', TABLE = 'vehicle_events',
                  COLUMN = 'corrects', DETAIL = act::text;
    END IF;
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
        -- Of the retractions and restorations that name an event the newest decides; those of this
        -- statement are newer than any before. What is restored must be retracted just then.
        SELECT act.event_id, act.corrects INTO bad
          FROM (SELECT r.event_id, r.corrects, r.is_restoration,
                       COALESCE(lag(r.is_retraction) OVER (PARTITION BY r.tenant_id, r.corrects ORDER BY r.arrival),
                                t.retracted) AS retracted
                  FROM fresh f
                  CROSS JOIN LATERAL (SELECT * FROM event_registry m
                                       WHERE m.tenant_id = f.tenant_id AND m.event_id = f.id LIMIT 1) r
                  CROSS JOIN LATERAL (SELECT n.retracted FROM event_registry n
                                       WHERE n.tenant_id = r.tenant_id AND n.event_id = r.corrects LIMIT 1) t
                 WHERE f.type IN ('retraction', 'restoration')) act
         WHERE act.is_restoration AND NOT act.retracted LIMIT 1;
        IF FOUND THEN
            RAISE EXCEPTION 'event % brings back event %, which is not retracted', bad.event_id, bad.corrects
                USING ERRCODE = 'check_violation', CONSTRAINT = 'vehicle_events_not_retracted', TABLE = 'vehicle_events',
                      COLUMN = 'corrects', DETAIL = bad.corrects::text;
        END IF;
        UPDATE event_registry t SET retracted = act.is_retraction
          FROM (SELECT DISTINCT ON (r.tenant_id, r.corrects) r.tenant_id, r.corrects, r.is_retraction
                  FROM fresh f
                  CROSS JOIN LATERAL (SELECT * FROM event_registry m
                                       WHERE m.tenant_id = f.tenant_id AND m.event_id = f.id LIMIT 1) r
                 WHERE f.type IN ('retraction', 'restoration')
                 ORDER BY r.tenant_id, r.corrects, r.arrival DESC) act
         WHERE t.tenant_id = act.tenant_id AND t.event_id = act.corrects AND t.retracted <> act.is_retraction;
        FOR turned IN
            WITH touched AS (
                SELECT DISTINCT r.tenant_id, r.root_id
                  FROM fresh f JOIN event_registry r ON r.tenant_id = f.tenant_id AND r.event_id = f.id
                 WHERE f.corrects IS NOT NULL
            ), families AS (
                SELECT t.*, CASE WHEN root.retracted THEN NULL ELSE COALESCE(
                           (SELECT m.event_id FROM event_registry m
                             WHERE m.tenant_id = t.tenant_id AND m.root_id = t.root_id AND m.corrects IS NOT NULL
                               AND NOT m.is_retraction AND NOT m.is_restoration AND NOT m.retracted
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

-- 4. When an event gets its number, the registry learns it.
CREATE FUNCTION number_events() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, public, pg_temp
    SET enable_seqscan = off SET enable_bitmapscan = off
    SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off
AS $$
BEGIN
    UPDATE event_registry r SET seq = n.seq
      FROM numbered n
     WHERE n.kind = 'event' AND r.tenant_id = n.tenant_id AND r.event_id = n.entity_id;
    RETURN NULL;
END
$$;
REVOKE ALL ON FUNCTION refuse_odometer(uuid, integer, uuid, integer), check_reading(event_registry),
    register_events(), settle_events(), log_events(), number_events() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION register_events(), settle_events(), log_events(), number_events() TO motomind_owner;

SET LOCAL ROLE motomind_owner;
-- Triggers of one table fire in the order of their names.
CREATE TRIGGER on_insert_1_register AFTER INSERT ON vehicle_events
    REFERENCING NEW TABLE AS fresh EXECUTE FUNCTION register_events();
CREATE TRIGGER on_insert_2_settle AFTER INSERT ON vehicle_events
    REFERENCING NEW TABLE AS fresh EXECUTE FUNCTION settle_events();
CREATE TRIGGER on_insert_3_log AFTER INSERT ON vehicle_events
    REFERENCING NEW TABLE AS fresh EXECUTE FUNCTION log_events();
CREATE TRIGGER number_events AFTER INSERT ON change_log
    REFERENCING NEW TABLE AS numbered EXECUTE FUNCTION number_events();

-- Events that were there before their log: they pass through the same triggers, by being written
-- again into a fresh default partition.
ALTER TABLE vehicle_events DETACH PARTITION vehicle_events_default;
ALTER TABLE vehicle_events_default RENAME TO vehicle_events_before;
ALTER INDEX vehicle_events_default_pkey RENAME TO vehicle_events_before_pkey;
CREATE TABLE vehicle_events_default PARTITION OF vehicle_events DEFAULT;
SELECT furnish_event_partition('vehicle_events_default');
SET LOCAL ROLE motomind_system;
INSERT INTO vehicle_events (tenant_id, id, vehicle_id, type, occurred_at, date, timezone, miles, total_minor, currency,
    vendor, notes, payload, fix, fix_absent, session_id, corrects, reason, body, received_at, op_id, device_id, user_id)
SELECT tenant_id, id, vehicle_id, type, occurred_at, date, timezone, miles, total_minor, currency,
    vendor, notes, payload, fix, fix_absent, session_id, corrects, reason, body, received_at, op_id, device_id, user_id
  FROM vehicle_events_before ORDER BY received_at, occurred_at;
SELECT count(*) FROM number_changes();
SET LOCAL ROLE motomind_owner;
DROP TABLE vehicle_events_before;
