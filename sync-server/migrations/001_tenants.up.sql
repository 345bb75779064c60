-- Purpose: the customers of the product.
-- Why:     everything else carries a tenant's id; this is the one table whose own id is it.
-- Time:    under a second, no rows touched.
CREATE TABLE tenants (
    id          uuid        PRIMARY KEY DEFAULT gen_random_uuid(),
    name        text        NOT NULL CHECK (char_length(name) BETWEEN 1 AND 200),
    is_active   boolean     NOT NULL DEFAULT true,       -- false: tokens are refused
    created_at  timestamptz NOT NULL DEFAULT now(),
    updated_at  timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE tenants IS 'Customers of the product; the wall that nothing crosses.';
SELECT raise_tenant_wall('tenants', 'id');
GRANT SELECT ON tenants TO motomind_server, motomind_client;
