-- Purpose: when each maintenance job ran last, and how far the partitions reach.
-- Why:     "is the job running at all" must be a query away.
-- Time:    under a second, no rows touched.

-- Belongs to the operator, to no tenant.
CREATE TABLE maintenance_runs (
    job         text        NOT NULL,          -- partitions, …
    started_at  timestamptz NOT NULL DEFAULT now(),
    duration_ms bigint      NOT NULL,
    outcome     text        NOT NULL,          -- what it did, for people
    PRIMARY KEY (job, started_at)
);
COMMENT ON TABLE maintenance_runs IS 'Runs of maintenance jobs.';
ALTER TABLE maintenance_runs ENABLE ROW LEVEL SECURITY;
ALTER TABLE maintenance_runs FORCE ROW LEVEL SECURITY;
CREATE POLICY everyone_reads ON maintenance_runs FOR SELECT USING (true);
CREATE POLICY owner_writes ON maintenance_runs TO motomind_owner USING (true) WITH CHECK (true);
GRANT SELECT ON maintenance_runs TO motomind_server;

CREATE VIEW job_freshness WITH (security_invoker = true) AS
    SELECT DISTINCT ON (job) job, started_at AS last_run, duration_ms, outcome
      FROM maintenance_runs ORDER BY job, started_at DESC;

-- Years with a partition of their own. The default partition's rows are counted by maintenance,
-- which may see them; here only whether it has any pages.
CREATE VIEW partition_coverage WITH (security_invoker = true) AS
    SELECT min(year) AS first_year, max(year) AS last_year, count(year) AS years,
           max(year) - extract(year FROM now())::integer AS years_ahead,
           pg_relation_size('public.vehicle_events_default') > 0 AS default_in_use
      FROM (SELECT (regexp_match(inhrelid::regclass::text, '_(\d+)$'))[1]::integer AS year
              FROM pg_inherits WHERE inhparent = 'public.vehicle_events'::regclass) AS parts
     WHERE year IS NOT NULL;
GRANT SELECT ON job_freshness, partition_coverage TO motomind_server;

-- How many events of which year rest in the default partition, over all tenants.
SET LOCAL ROLE motomind_system;
CREATE FUNCTION default_partition_years() RETURNS TABLE (year integer, rows bigint)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
    SELECT extract(year FROM date)::integer, count(*) FROM vehicle_events_default GROUP BY 1 ORDER BY 1
$$;
REVOKE ALL ON FUNCTION default_partition_years() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION default_partition_years() TO motomind_owner;
