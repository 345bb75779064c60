-- Takes the images' captions and types away, with their documents and queue entries.
DROP VIEW active_vehicle_images;
DROP TABLE vehicle_images;
SET LOCAL ROLE motomind_system;
DELETE FROM record_queue WHERE collection = 'vehicle_images';
DELETE FROM record_documents WHERE collection = 'vehicle_images';
