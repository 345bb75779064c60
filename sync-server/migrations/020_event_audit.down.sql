-- Takes the audit log of events away; the events say the same, and the log is written anew from them
-- when it returns.
SELECT on_event_tables('DROP TRIGGER on_insert_4_audit ON %s');
SET LOCAL ROLE motomind_system;
DROP FUNCTION audit_events();
DROP FUNCTION audit_corrections(uuid[], uuid[]);
SET LOCAL ROLE motomind_owner;
DROP FUNCTION field_changes(jsonb, jsonb);
DROP FUNCTION event_fields(vehicle_events);
DROP TABLE vehicle_event_audit_logs;
DROP FUNCTION refuse_audit_change();
