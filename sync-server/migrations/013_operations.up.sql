-- Purpose: every operation that the server has judged: id, hash, outcome.
-- Why:     idempotency for good: a repeat is answered from here, a reused id or a forked journal is
--          noticed here. A unique key on the partitioned events could not do it.
-- Time:    under a second, no rows touched.
CREATE TABLE operations (
    tenant_id     uuid        NOT NULL,  -- checked at the counter row; no key check per operation
    op_id         uuid        NOT NULL,
    hash          bytea       CHECK (octet_length(hash) = 32),  -- SHA-256 of the sealed text; NULL for one closed before it arrived
    outcome       text        NOT NULL CHECK (outcome IN ('accepted', 'rejected', 'closed')),
    seq           bigint,                  -- of the change it made; NULL unless accepted
    device_id     uuid,                    -- NULL for one closed before it arrived, as the next three
    incarnation   uuid,
    device_seq    bigint,
    user_id       uuid,
    superseded_by uuid,                    -- the amendment or discard that closed this id for ever
    received_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, op_id),
    CHECK (outcome = 'closed' OR (hash IS NOT NULL AND device_id IS NOT NULL AND incarnation IS NOT NULL AND device_seq IS NOT NULL)),
    CHECK ((outcome = 'accepted') = (seq IS NOT NULL)),
    CHECK (outcome <> 'closed' OR superseded_by IS NOT NULL)
);
COMMENT ON TABLE operations IS 'Id, hash and outcome of every operation ever judged.';
-- A device's known sequences. Not unique: what is left over from before a fork passes by its id.
CREATE INDEX operations_by_device_seq ON operations (tenant_id, device_id, incarnation, device_seq);
SELECT raise_tenant_wall('operations');
GRANT SELECT, INSERT, UPDATE ON operations TO motomind_server;

-- What was accepted stays accepted, with the hash and sequence it had; ids never change.
CREATE FUNCTION keep_operation() RETURNS trigger
    LANGUAGE plpgsql AS $$
BEGIN
    IF (NEW.tenant_id, NEW.op_id) IS DISTINCT FROM (OLD.tenant_id, OLD.op_id)
       OR (OLD.outcome = 'accepted' AND (NEW.outcome, NEW.hash, NEW.seq) IS DISTINCT FROM (OLD.outcome, OLD.hash, OLD.seq))
       OR (OLD.superseded_by IS NOT NULL AND NEW.superseded_by IS NULL) THEN
        RAISE EXCEPTION 'operation % is settled', OLD.op_id
            USING ERRCODE = 'restrict_violation', TABLE = 'operations', CONSTRAINT = 'operations_settled';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER keep BEFORE UPDATE ON operations FOR EACH ROW EXECUTE FUNCTION keep_operation();
CREATE TRIGGER refuse_delete BEFORE DELETE OR TRUNCATE ON operations EXECUTE FUNCTION refuse_delete();
