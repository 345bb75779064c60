-- Purpose: the full text of every operation that was refused.
-- Why:     evidence must survive a lost phone. A refused operation is judged again when it is
--          offered again; what it said the first time stays.
-- Time:    under a second, no rows touched.
CREATE TABLE rejected_operations (
    tenant_id   uuid        NOT NULL REFERENCES tenants (id),
    op_id       uuid        NOT NULL,
    hash        bytea       NOT NULL CHECK (octet_length(hash) = 32),  -- SHA-256 of text
    text        bytea       NOT NULL,          -- the sealed text, byte for byte (text cannot hold a NUL)
    code        text        NOT NULL,          -- a protocol code, or op_id_reused
    rejection   jsonb       NOT NULL,          -- the latest verdict as it was answered
    device_id   uuid,
    user_id     uuid,                          -- of the token
    received_at timestamptz NOT NULL DEFAULT now(),  -- first time
    last_at     timestamptz NOT NULL DEFAULT now(),  -- latest time it was offered and refused
    attempts    integer     NOT NULL DEFAULT 1,
    PRIMARY KEY (tenant_id, op_id, hash)
);
COMMENT ON TABLE rejected_operations IS 'Quarantine: refused operations, whole.';
CREATE INDEX rejected_operations_recent ON rejected_operations (tenant_id, last_at DESC);
SELECT raise_tenant_wall('rejected_operations');
GRANT SELECT, INSERT, UPDATE ON rejected_operations TO motomind_server;

CREATE FUNCTION keep_quarantine() RETURNS trigger
    LANGUAGE plpgsql AS $$
BEGIN
    IF (NEW.tenant_id, NEW.op_id, NEW.hash, NEW.text) IS DISTINCT FROM (OLD.tenant_id, OLD.op_id, OLD.hash, OLD.text) THEN
        RAISE EXCEPTION 'a quarantined operation is never altered'
            USING ERRCODE = 'restrict_violation', TABLE = 'rejected_operations', CONSTRAINT = 'rejected_operations_kept';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER keep BEFORE UPDATE ON rejected_operations FOR EACH ROW EXECUTE FUNCTION keep_quarantine();
CREATE TRIGGER refuse_delete BEFORE DELETE OR TRUNCATE ON rejected_operations EXECUTE FUNCTION refuse_delete();
