-- Other SQL clients see deleted records again and lose the functions.
DROP POLICY live_only ON vehicles;
DROP POLICY live_only ON garages;
SET LOCAL ROLE motomind_system;
DROP FUNCTION restore_garage(uuid);
DROP FUNCTION delete_garage(uuid, uuid);
DROP FUNCTION empty_garage(uuid, uuid);
DROP FUNCTION restore_vehicle(uuid);
DROP FUNCTION delete_vehicle(uuid);
