-- Takes the log of maintenance away.
DROP VIEW partition_coverage;
DROP VIEW job_freshness;
DROP TABLE maintenance_runs;
