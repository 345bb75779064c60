-- Takes the registry away.
DROP FUNCTION odometer_neighbours(uuid, uuid, bigint, bigint);
DROP TABLE event_registry;
