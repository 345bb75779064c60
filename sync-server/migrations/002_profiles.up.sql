-- Purpose: the people of a tenant.
-- Why:     tokens name a person; names and preferences live here. One row per (tenant, person),
--          so that one person may belong to several tenants.
-- Time:    under a second, no rows touched.
CREATE TABLE profiles (
    tenant_id   uuid        NOT NULL DEFAULT current_tenant_id() REFERENCES tenants (id),
    id          uuid        NOT NULL,                    -- the `sub` of the person's token
    email       text        CHECK (char_length(email) <= 320),
    full_name   text        CHECK (char_length(full_name) BETWEEN 1 AND 200),
    role        text        NOT NULL DEFAULT 'viewer'    -- what `token` writes into app_metadata
                CHECK (role IN ('viewer', 'technician', 'manager', 'service')),
    preferences jsonb       NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(preferences) = 'object' AND octet_length(preferences::text) <= 1048576),
    created_at  timestamptz NOT NULL DEFAULT now(),
    created_by  uuid        DEFAULT current_user_id(),
    updated_at  timestamptz NOT NULL DEFAULT now(),
    updated_by  uuid        DEFAULT current_user_id(),
    deleted_at  timestamptz,
    deleted_by  uuid,
    PRIMARY KEY (tenant_id, id)
);
COMMENT ON TABLE profiles IS 'People of a tenant.';
CREATE UNIQUE INDEX profiles_email_live ON profiles (tenant_id, lower(email)) WHERE deleted_at IS NULL;
SELECT raise_tenant_wall('profiles');
GRANT SELECT ON profiles TO motomind_server, motomind_client;
