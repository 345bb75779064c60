-- From here on writes to vehicles and garages reach no device.
DROP TRIGGER queue_update ON garages;
DROP TRIGGER queue_insert ON garages;
DROP TRIGGER queue_update ON vehicles;
DROP TRIGGER queue_insert ON vehicles;
DROP FUNCTION track_records(regclass);
SET LOCAL ROLE motomind_system;
DROP FUNCTION append_record_changes(uuid[], text[]);
DROP FUNCTION unqueue_records(text[], uuid[]);
DROP FUNCTION queue_records();
SET LOCAL ROLE motomind_owner;
DROP TABLE record_queue;
DROP TABLE record_documents;
