-- Takes the specifications away, with their documents and queue entries.
DROP VIEW active_vehicle_spec_enhancements;
DROP TABLE vehicle_spec_enhancements;
SET LOCAL ROLE motomind_system;
DELETE FROM record_queue WHERE collection = 'vehicle_spec_enhancements';
DELETE FROM record_documents WHERE collection = 'vehicle_spec_enhancements';
