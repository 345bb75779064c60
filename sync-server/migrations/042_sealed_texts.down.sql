-- Takes the sealed texts away, and with them the server's proof of what devices sealed.
CREATE OR REPLACE FUNCTION keep_operation() RETURNS trigger
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
COMMENT ON TABLE operations IS 'Id, hash and outcome of every operation ever judged.';
ALTER TABLE operations DROP COLUMN bytes, DROP COLUMN body_at, DROP COLUMN text;
