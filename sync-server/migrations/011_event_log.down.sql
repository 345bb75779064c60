-- From here on inserted events reach no device; registry and log keep what they have.
DO $$
DECLARE part regclass;
BEGIN
    FOR part IN SELECT 'vehicle_events'::regclass UNION ALL
                SELECT inhrelid::regclass FROM pg_inherits WHERE inhparent = 'vehicle_events'::regclass LOOP
        EXECUTE format('DROP TRIGGER on_insert_1_register ON %s', part);
        EXECUTE format('DROP TRIGGER on_insert_2_settle ON %s', part);
        EXECUTE format('DROP TRIGGER on_insert_3_log ON %s', part);
        EXECUTE format('DROP POLICY system_works ON %s', part);
        EXECUTE format('REVOKE ALL ON %s FROM motomind_system', part);
    END LOOP;
END
$$;
-- Registered again when the triggers return.
ALTER TABLE event_registry NO FORCE ROW LEVEL SECURITY;
DELETE FROM event_registry;
ALTER TABLE event_registry FORCE ROW LEVEL SECURITY;
DROP FUNCTION log_event_inserts(regclass);
CREATE OR REPLACE FUNCTION furnish_event_partition(part regclass) RETURNS void
    LANGUAGE plpgsql AS $$
BEGIN
    PERFORM raise_tenant_wall(part);
    EXECUTE format('GRANT SELECT, INSERT ON %s TO motomind_server', part);
    EXECUTE format('GRANT SELECT, INSERT (tenant_id, id, vehicle_id, type, occurred_at, date, timezone, miles, total_minor,
                    currency, vendor, notes, payload, fix, fix_absent, session_id, corrects, reason, user_id)
                    ON %s TO motomind_client', part);
    EXECUTE format('CREATE TRIGGER immutable_whole BEFORE TRUNCATE ON %s EXECUTE FUNCTION refuse_event_change()', part);
END
$$;
SET LOCAL ROLE motomind_system;
DROP FUNCTION log_events();
DROP FUNCTION settle_events();
DROP FUNCTION register_events();
DROP FUNCTION check_reading(event_registry);
DROP FUNCTION refuse_odometer(uuid, integer, uuid, integer);
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
            )
            SELECT mark.tenant_id, n.kind, n.entity_id, n.seq FROM numbered n ORDER BY n.seq;
        DELETE FROM change_marks m WHERE m.tenant_id = mark.tenant_id AND m.txid = mine;
        PERFORM pg_notify('motomind_changes', mark.tenant_id || ' ' || top);
    END LOOP;
END
$$;
SET LOCAL ROLE motomind_owner;
DROP FUNCTION event_record(text, timestamptz, uuid, uuid, uuid, uuid, boolean);
DROP FUNCTION event_body(uuid, uuid, text, timestamptz, date, text, integer, bigint, text, text, text, jsonb, jsonb, text, uuid, uuid, text);
