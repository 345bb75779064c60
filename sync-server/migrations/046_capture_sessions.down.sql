-- Takes the capture sessions away.
DROP TRIGGER log_update ON capture_sessions;
DROP TRIGGER log_insert ON capture_sessions;
SET LOCAL ROLE motomind_system;
DROP FUNCTION log_capture_sessions();
SET LOCAL ROLE motomind_owner;
DROP FUNCTION session_said(capture_sessions);
DROP TABLE capture_sessions;
DROP FUNCTION place_session();
DROP FUNCTION session_photos_fit(jsonb);
