-- One partition for all again: every year's rows go back to the default, by way of detached tables.
SET LOCAL ROLE motomind_system;
DROP FUNCTION move_default_events(regclass, date, date);
SET LOCAL ROLE motomind_owner;
DROP FUNCTION make_event_partition(integer);
DO $$
DECLARE
    part    regclass;
    columns text := (SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) FROM pg_attribute
                      WHERE attrelid = 'vehicle_events'::regclass AND attnum > 0 AND NOT attisdropped AND attgenerated = '');
BEGIN
    ALTER TABLE vehicle_events_default NO FORCE ROW LEVEL SECURITY;
    ALTER TABLE vehicle_events_default DISABLE TRIGGER USER;  -- they are registered and logged already
    FOR part IN SELECT inhrelid::regclass FROM pg_inherits
                 WHERE inhparent = 'vehicle_events'::regclass AND inhrelid <> 'vehicle_events_default'::regclass LOOP
        EXECUTE format('ALTER TABLE vehicle_events DETACH PARTITION %s', part);
        EXECUTE format('ALTER TABLE %s NO FORCE ROW LEVEL SECURITY', part);
        EXECUTE format('INSERT INTO vehicle_events_default (%1$s) SELECT %1$s FROM %2$s', columns, part);
        EXECUTE format('DROP TABLE %s', part);
    END LOOP;
    ALTER TABLE vehicle_events_default ENABLE TRIGGER USER;
    ALTER TABLE vehicle_events_default FORCE ROW LEVEL SECURITY;
END
$$;
