-- Purpose: the ground that every later migration stands on: roles, the tracker table, the tenant
--          setting, and the one function that puts a table behind its tenant wall.
-- Why:     a table that somebody forgot to protect is how tenants see each other. Protection is
--          one call here, and the catalogue check refuses a table without it.
-- Time:    under a second, no rows touched.

-- Roles belong to the cluster, not to the database: another database may have made them already.
DO $roles$
DECLARE
    role record;
BEGIN
    FOR role IN
        SELECT * FROM (VALUES
            ('motomind_owner',  'NOLOGIN'),  -- owns the tables; forced RLS binds it like anyone
            ('motomind_system', 'NOLOGIN'),  -- runs triggers and maintenance; the only role with policies beyond one tenant
            ('motomind_server', 'LOGIN'),    -- what the sync server connects as
            ('motomind_client', 'NOLOGIN')   -- membership for every other tenant-scoped SQL client
        ) AS wanted (name, login)
    LOOP
        BEGIN
            IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = role.name) THEN
                EXECUTE format('CREATE ROLE %I %s NOSUPERUSER NOCREATEDB NOCREATEROLE NOBYPASSRLS NOREPLICATION',
                               role.name, role.login);
            END IF;
        EXCEPTION WHEN duplicate_object OR unique_violation THEN
            NULL;  -- a migration of another database made it in this very moment
        END;
    END LOOP;
END
$roles$;

-- Whoever may create objects beside ours could put them in the way of the definer functions.
REVOKE CREATE ON SCHEMA public FROM PUBLIC;
GRANT USAGE, CREATE ON SCHEMA public TO motomind_owner, motomind_system;
GRANT USAGE ON SCHEMA public TO motomind_server, motomind_client;

SET LOCAL ROLE motomind_owner;

-- Which migrations this database has had.
CREATE TABLE schema_migrations (
    version     integer     PRIMARY KEY,                 -- number at the front of the file's name
    name        text        NOT NULL,                    -- rest of the file's name
    checksum    text        NOT NULL,                    -- SHA-256 of the .up.sql, hexadecimal
    applied_at  timestamptz NOT NULL DEFAULT now(),
    applied_by  text        NOT NULL DEFAULT session_user,
    duration_ms bigint      NOT NULL DEFAULT 0           -- how long it took, ms
);
COMMENT ON TABLE schema_migrations IS 'Migrations that this database has had; written by the migration runner alone.';
ALTER TABLE schema_migrations ENABLE ROW LEVEL SECURITY;
ALTER TABLE schema_migrations FORCE ROW LEVEL SECURITY;
CREATE POLICY everyone_reads ON schema_migrations FOR SELECT USING (true);
CREATE POLICY owner_writes ON schema_migrations TO motomind_owner USING (true) WITH CHECK (true);
GRANT SELECT ON schema_migrations TO motomind_server, motomind_client;

-- The tenant of this transaction. After a commit the setting is '' and not NULL: both mean none.
CREATE FUNCTION current_tenant_id() RETURNS uuid
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN NULLIF(current_setting('app.current_tenant_id', true), '')::uuid;
COMMENT ON FUNCTION current_tenant_id() IS 'The tenant set by SET LOCAL app.current_tenant_id; NULL when none is set.';

-- The person of this transaction, where the client says so; fills the audit columns.
CREATE FUNCTION current_user_id() RETURNS uuid
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN NULLIF(current_setting('app.current_user_id', true), '')::uuid;
COMMENT ON FUNCTION current_user_id() IS 'The person set by SET LOCAL app.current_user_id; NULL when none is set.';

-- Instants travel as whole milliseconds since 1970.
CREATE FUNCTION epoch_ms(instant timestamptz) RETURNS bigint
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN floor(extract(epoch FROM instant) * 1000)::bigint;

CREATE FUNCTION from_epoch_ms(ms bigint) RETURNS timestamptz
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN 'epoch'::timestamptz + ms * interval '1 millisecond';

-- Puts a table (or partition) behind its tenant's wall: enabled AND forced, one policy for all.
-- Policies of a partitioned table do not protect a partition that is read directly.
CREATE FUNCTION raise_tenant_wall(target regclass, tenant_column text DEFAULT 'tenant_id') RETURNS void
    LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', target);
    EXECUTE format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', target);
    EXECUTE format(
        'CREATE POLICY tenant_wall ON %s
           USING (%2$I = NULLIF(current_setting(''app.current_tenant_id'', true), '''')::uuid)
           WITH CHECK (%2$I = NULLIF(current_setting(''app.current_tenant_id'', true), '''')::uuid)',
        target, tenant_column);
    EXECUTE format('REVOKE ALL ON %s FROM PUBLIC', target);
END
$$;
COMMENT ON FUNCTION raise_tenant_wall(regclass, text) IS 'Enables and forces RLS on a table or partition and adds its tenant policy.';
REVOKE ALL ON FUNCTION raise_tenant_wall(regclass, text) FROM PUBLIC;

-- Triggers and maintenance run as motomind_system: what they do must work for a client that has
-- set no tenant and for rows of several tenants in one transaction.
CREATE FUNCTION admit_system(target regclass) RETURNS void
    LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('CREATE POLICY system_works ON %s TO motomind_system USING (true) WITH CHECK (true)', target);
END
$$;
REVOKE ALL ON FUNCTION admit_system(regclass) FROM PUBLIC;
