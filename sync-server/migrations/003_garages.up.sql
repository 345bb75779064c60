-- Purpose: where vehicles live.
-- Why:     devices mirror them; the web backend edits them.
-- Time:    under a second, no rows touched.
CREATE TABLE garages (
    tenant_id   uuid             NOT NULL DEFAULT current_tenant_id() REFERENCES tenants (id),
    id          uuid             NOT NULL DEFAULT gen_random_uuid(),
    name        text             NOT NULL CHECK (char_length(name) BETWEEN 1 AND 100),
    address     text             CHECK (char_length(address) BETWEEN 1 AND 500),
    lat         double precision CHECK (lat BETWEEN -90 AND 90),    -- degrees; NaN is refused
    lng         double precision CHECK (lng BETWEEN -180 AND 180),  -- degrees; NaN is refused
    timezone    text             CHECK (timezone ~ '^[A-Za-z0-9/_+-]{1,64}$'),  -- IANA name
    is_default  boolean          NOT NULL DEFAULT false,            -- at most one live per tenant
    created_at  timestamptz      NOT NULL DEFAULT now(),
    created_by  uuid             DEFAULT current_user_id(),
    updated_at  timestamptz      NOT NULL DEFAULT now(),
    updated_by  uuid             DEFAULT current_user_id(),
    deleted_at  timestamptz,
    deleted_by  uuid,
    PRIMARY KEY (tenant_id, id)
);
COMMENT ON TABLE garages IS 'Where vehicles live.';
CREATE UNIQUE INDEX garages_one_default ON garages (tenant_id) WHERE is_default AND deleted_at IS NULL;
SELECT raise_tenant_wall('garages');
SELECT admit_system('garages');
GRANT SELECT, INSERT, UPDATE ON garages TO motomind_server, motomind_client;
GRANT SELECT, UPDATE ON garages TO motomind_system;
