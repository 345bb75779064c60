-- Takes the log of maintenance away.
SET LOCAL ROLE motomind_system;
DROP FUNCTION default_partition_years();
SET LOCAL ROLE motomind_owner;
DROP VIEW partition_coverage;
DROP VIEW job_freshness;
DROP TABLE maintenance_runs;
