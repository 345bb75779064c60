-- Takes away where people say that events happened.
DROP TRIGGER log ON location_corrections;
SET LOCAL ROLE motomind_system;
DROP FUNCTION log_location_corrections();
SET LOCAL ROLE motomind_owner;
DROP FUNCTION correction_said(location_corrections);
DROP TABLE location_corrections;
DROP FUNCTION measure_correction();
DROP FUNCTION distance_fits(double precision, jsonb, double precision, double precision);
DROP FUNCTION distance_m(double precision, double precision, double precision, double precision);
