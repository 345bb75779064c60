-- Readers look for the last place themselves.
DROP VIEW vehicle_last_places;
