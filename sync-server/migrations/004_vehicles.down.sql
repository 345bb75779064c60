-- Drops the vehicles.
DROP TABLE vehicles;
