-- Purpose: the sealed text of every operation, so that the server can prove a device's chain.
-- Why:     a hash without its text proves nothing. An event's own bytes are kept once, in
--          vehicle_events.body: its operation keeps the text around them, and where they go.
-- Time:    adds columns without rewriting, reads each row once for the checks (1 million: 1 s).
--          Operations from before have no text.
ALTER TABLE operations
    ADD COLUMN text    text,     -- as sealed; without the event where body_at says so
    ADD COLUMN body_at integer,  -- where the event's body goes into text, bytes; NULL: text is whole
    ADD COLUMN bytes   integer CHECK (bytes > 0),  -- of the whole sealed text
    ADD CHECK (body_at IS NULL OR body_at BETWEEN 1 AND octet_length(text));
COMMENT ON TABLE operations IS 'Id, hash, outcome and sealed text of every operation ever judged.';

CREATE OR REPLACE FUNCTION keep_operation() RETURNS trigger
    LANGUAGE plpgsql AS $$
BEGIN
    IF (NEW.tenant_id, NEW.op_id) IS DISTINCT FROM (OLD.tenant_id, OLD.op_id)
       OR (OLD.outcome = 'accepted'
           AND (NEW.outcome, NEW.hash, NEW.seq, NEW.text, NEW.body_at, NEW.device_id, NEW.incarnation, NEW.device_seq)
               IS DISTINCT FROM
               (OLD.outcome, OLD.hash, OLD.seq, OLD.text, OLD.body_at, OLD.device_id, OLD.incarnation, OLD.device_seq))
       OR (OLD.superseded_by IS NOT NULL AND NEW.superseded_by IS NULL) THEN
        RAISE EXCEPTION 'operation % is settled', OLD.op_id
            USING ERRCODE = 'restrict_violation', TABLE = 'operations', CONSTRAINT = 'operations_settled';
    END IF;
    RETURN NEW;
END
$$;
