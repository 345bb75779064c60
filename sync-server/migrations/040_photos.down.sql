-- Takes the list of photos away; their bytes stay in the photo store.
DROP TABLE photo_previews;
DROP TABLE photos;
DROP FUNCTION count_photo();
DROP TABLE photo_usage;
ALTER TABLE tenants DROP COLUMN photo_bytes_max;
