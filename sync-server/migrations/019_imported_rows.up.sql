-- Purpose: every row of an imported backup, whole, with what became of it.
-- Why:     an import must lose nothing: columns without a place of their own, rows of tables that
--          this version does not have and rows that were refused stay readable here. It is also
--          what makes a second import of the same file change nothing.
-- Time:    under a second, no rows touched.
CREATE TABLE imported_rows (
    tenant_id   uuid        NOT NULL REFERENCES tenants (id),
    source      text        NOT NULL,            -- the list in the backup, such as vehicles or fuel_logs
    row_id      text        NOT NULL,            -- the row's id there
    hash        bytea       NOT NULL CHECK (octet_length(hash) = 32),  -- SHA-256 of row
    row         text        NOT NULL,            -- JSON, as it was in the backup
    outcome     text        NOT NULL CHECK (outcome IN ('mapped', 'kept', 'refused')),
    reasons     text[]      NOT NULL DEFAULT '{}',  -- why it was kept as other, in part or whole, or refused
    imported_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, source, row_id)
);
COMMENT ON TABLE imported_rows IS 'Rows of imported backups, whole, with what became of each.';
SELECT raise_tenant_wall('imported_rows');
GRANT SELECT ON imported_rows TO motomind_server;
