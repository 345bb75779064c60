-- Takes the reminders away, with their documents and queue entries.
DROP VIEW active_reminders;
DROP TABLE reminders;
SET LOCAL ROLE motomind_system;
DELETE FROM record_queue WHERE collection = 'reminders';
DELETE FROM record_documents WHERE collection = 'reminders';
