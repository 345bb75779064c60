-- Takes away what was said of photos on events.
DROP INDEX vehicle_events_with_photos;
DROP TRIGGER log ON event_photos;
SET LOCAL ROLE motomind_system;
DROP FUNCTION log_event_photos();
DROP FUNCTION append_statements(text, uuid[], bigint[], uuid[], text[]);
SET LOCAL ROLE motomind_owner;
DROP FUNCTION attachment_said(event_photos, jsonb);
DROP FUNCTION stated(uuid, text, uuid, timestamptz, uuid, uuid, uuid);
DROP TABLE event_photos;
DROP FUNCTION place_statement();
REVOKE USAGE ON SEQUENCE arrivals FROM motomind_server, motomind_client;
