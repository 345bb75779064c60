-- Takes the threads away, with their documents and queue entries.
DROP VIEW active_conversation_threads;
DROP TABLE conversation_threads;
SET LOCAL ROLE motomind_system;
DELETE FROM record_queue WHERE collection = 'conversation_threads';
DELETE FROM record_documents WHERE collection = 'conversation_threads';
