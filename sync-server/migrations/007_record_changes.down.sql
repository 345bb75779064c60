-- From here on writes to vehicles and garages reach no device.
DROP TRIGGER log_update ON garages;
DROP TRIGGER log_insert ON garages;
DROP TRIGGER log_update ON vehicles;
DROP TRIGGER log_insert ON vehicles;
SET LOCAL ROLE motomind_system;
DROP FUNCTION log_garages();
DROP FUNCTION log_vehicles();
SET LOCAL ROLE motomind_owner;
DROP FUNCTION garage_json(garages);
DROP FUNCTION vehicle_json(vehicles);
