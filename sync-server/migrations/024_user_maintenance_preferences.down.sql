-- Takes the preferences away, with their documents and queue entries.
DROP VIEW active_user_maintenance_preferences;
DROP TABLE user_maintenance_preferences;
SET LOCAL ROLE motomind_system;
DELETE FROM record_queue WHERE collection = 'user_maintenance_preferences';
DELETE FROM record_documents WHERE collection = 'user_maintenance_preferences';
