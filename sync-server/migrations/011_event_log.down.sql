-- From here on inserted events reach no device; registry and log keep what they have.
SELECT on_event_tables('DROP TRIGGER on_insert_1_register ON %s');
SELECT on_event_tables('DROP TRIGGER on_insert_2_settle ON %s');
SELECT on_event_tables('DROP TRIGGER on_insert_3_log ON %s');
DROP TRIGGER number_events ON change_log;
-- Registered again when the triggers return.
ALTER TABLE event_registry NO FORCE ROW LEVEL SECURITY;
DELETE FROM event_registry;
ALTER TABLE event_registry FORCE ROW LEVEL SECURITY;
SET LOCAL ROLE motomind_system;
DROP FUNCTION number_events();
DROP FUNCTION log_events();
DROP FUNCTION settle_events();
DROP FUNCTION register_events();
DROP FUNCTION check_reading(event_registry);
DROP FUNCTION refuse_odometer(uuid, integer, uuid, integer);
SET LOCAL ROLE motomind_owner;
DROP FUNCTION event_record(text, timestamptz, uuid, uuid, uuid, uuid, boolean);
DROP FUNCTION event_body(uuid, uuid, text, timestamptz, date, text, integer, bigint, text, text, text, jsonb, jsonb, text, uuid, uuid, text);
