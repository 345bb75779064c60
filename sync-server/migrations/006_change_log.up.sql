-- Purpose: the tenant's log of changes and how its entries get their numbers.
-- Why:     devices page over `seq`, so sequence order must be commit order, without gaps. Whoever
--          writes (a push, the web backend, a migration of data) appends entries without a number
--          to change_pending; one deferred step at commit takes the tenant's counter row, last of
--          all locks, and numbers everything at once. Numbering row by row is quadratic.
-- Time:    under a second, no rows touched.

-- One row per tenant: the head of its log. fillfactor leaves room to update in place.
CREATE TABLE tenant_counters (
    tenant_id     uuid   PRIMARY KEY REFERENCES tenants (id),
    head          bigint NOT NULL DEFAULT 0 CHECK (head >= 0),     -- newest sequence
    compacted_to  bigint NOT NULL DEFAULT 0 CHECK (compacted_to <= head),  -- entries up to here are gone from change_log
    epoch         uuid   NOT NULL DEFAULT gen_random_uuid(),       -- changes when the log's past was replaced
    cursor_secret bytea  NOT NULL DEFAULT uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())  -- authenticates cursors
) WITH (fillfactor = 50);
COMMENT ON TABLE tenant_counters IS 'Head, epoch and cursor secret of each tenant''s change log.';
SELECT raise_tenant_wall('tenant_counters');
SELECT admit_system('tenant_counters');
GRANT SELECT, UPDATE (epoch) ON tenant_counters TO motomind_server;
GRANT SELECT, INSERT, UPDATE ON tenant_counters TO motomind_system;

-- The log. `entry` is the whole change as it goes to devices: {"seq":…,"kind":…,"data":…}.
CREATE TABLE change_log (
    tenant_id uuid   NOT NULL,  -- checked once per numbering, at the counter row, and not once per entry
    seq       bigint NOT NULL CHECK (seq > 0),
    tag       bigint NOT NULL,  -- random, one per numbering step: a restored log is noticed by it
    kind      text   NOT NULL,  -- event, vehicle, garage, closed
    entity_id uuid   NOT NULL,  -- the event, vehicle, garage or closed operation
    entry     text   NOT NULL,  -- encoded once, sent as it is
    PRIMARY KEY (tenant_id, seq)
);
COMMENT ON TABLE change_log IS 'Each tenant''s changes in commit order, encoded as devices receive them.';
SELECT raise_tenant_wall('change_log');
SELECT admit_system('change_log');
GRANT SELECT ON change_log TO motomind_server;
GRANT SELECT, INSERT ON change_log TO motomind_system;

-- One order of arrival for events and changes alike. Under a vehicle's lock it agrees with `seq`.
CREATE SEQUENCE arrivals AS bigint;
GRANT USAGE ON SEQUENCE arrivals TO motomind_system;

-- Entries waiting for their number. Rows live inside one transaction only, hence UNLOGGED.
CREATE UNLOGGED TABLE change_pending (
    tenant_id uuid   NOT NULL,
    txid      xid8   NOT NULL,
    arrival   bigint NOT NULL,
    kind      text   NOT NULL,
    entity_id uuid   NOT NULL,
    data      text   NOT NULL,  -- what becomes "data" of the entry
    PRIMARY KEY (tenant_id, txid, arrival)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 20000);
COMMENT ON TABLE change_pending IS 'Changes of running transactions that have no number yet; always empty at rest.';
SELECT raise_tenant_wall('change_pending');
SELECT admit_system('change_pending');
GRANT SELECT, INSERT, DELETE ON change_pending TO motomind_system;

-- One row per tenant and transaction with pending entries: it carries the deferred trigger, so
-- that a transaction of 100,000 rows queues one trigger call and not 100,000.
CREATE UNLOGGED TABLE change_marks (
    tenant_id uuid   NOT NULL,
    txid      xid8   NOT NULL,
    first     bigint NOT NULL,  -- arrival from which on entries are unnumbered
    PRIMARY KEY (tenant_id, txid)
);
COMMENT ON TABLE change_marks IS 'Transactions that have pending changes; carries the deferred numbering trigger.';
CREATE INDEX change_marks_by_txid ON change_marks (txid);
SELECT raise_tenant_wall('change_marks');
SELECT admit_system('change_marks');
GRANT SELECT, INSERT, DELETE ON change_marks TO motomind_system;

SET LOCAL ROLE motomind_system;

-- Numbers everything that this transaction has pending, for all its tenants, counters in tenant
-- order, and tells what got which number. The server calls it before its commit to learn the
-- sequences; everyone else has it called by the deferred trigger. Calling it twice is harmless.
-- Whoever else must learn the numbers has a trigger on change_log.
-- Plans are fixed to index probes: a plan cached on an empty table must not scan a full one.
CREATE FUNCTION number_changes()
    RETURNS TABLE (tenant_id uuid, kind text, entity_id uuid, seq bigint)
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, public, pg_temp
    SET enable_seqscan = off SET enable_bitmapscan = off
    SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off SET work_mem = '64MB'
AS $$
#variable_conflict use_column
DECLARE
    mine    constant xid8   := pg_current_xact_id();
    new_tag constant bigint := hashtextextended(gen_random_uuid()::text, 0);
    mark    record;
    added   bigint;
    top     bigint;
BEGIN
    FOR mark IN SELECT m.tenant_id, m.first FROM change_marks m WHERE m.txid = mine ORDER BY m.tenant_id LOOP
        SELECT count(*) INTO added FROM change_pending p
         WHERE p.tenant_id = mark.tenant_id AND p.txid = mine AND p.arrival >= mark.first;
        UPDATE tenant_counters c SET head = c.head + added
         WHERE c.tenant_id = mark.tenant_id RETURNING c.head INTO STRICT top;
        RETURN QUERY
            WITH taken AS (
                DELETE FROM change_pending p
                 WHERE p.tenant_id = mark.tenant_id AND p.txid = mine AND p.arrival >= mark.first
                RETURNING p.arrival, p.kind, p.entity_id, p.data
            ), numbered AS (
                SELECT t.*, top - added + row_number() OVER (ORDER BY t.arrival) AS seq FROM taken t
            ), logged AS (
                INSERT INTO change_log (tenant_id, seq, tag, kind, entity_id, entry)
                SELECT mark.tenant_id, n.seq, new_tag, n.kind, n.entity_id,
                       concat('{"seq":', n.seq, ',"kind":"', n.kind, '","data":', n.data, '}')
                  FROM numbered n
            )
            SELECT mark.tenant_id, n.kind, n.entity_id, n.seq FROM numbered n ORDER BY n.seq;
        DELETE FROM change_marks m WHERE m.tenant_id = mark.tenant_id AND m.txid = mine;
        PERFORM pg_notify('motomind_changes', mark.tenant_id || ' ' || top);
    END LOOP;
END
$$;
COMMENT ON FUNCTION number_changes() IS 'Numbers this transaction''s pending changes now and returns their sequences; otherwise done at commit.';
REVOKE ALL ON FUNCTION number_changes() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION number_changes() TO motomind_server;

CREATE FUNCTION number_changes_at_commit() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    PERFORM FROM number_changes();
    RETURN NULL;
END
$$;
REVOKE ALL ON FUNCTION number_changes_at_commit() FROM PUBLIC;

-- Appends one change of the current tenant that no table's trigger makes: `closed`, and kinds of
-- later versions. The tenant is the transaction's own; there is no argument to get wrong.
CREATE FUNCTION append_change(kind text, entity_id uuid, data text) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    place constant bigint := nextval('arrivals');
BEGIN
    INSERT INTO change_pending VALUES (current_tenant_id(), pg_current_xact_id(), place, kind, entity_id, data);
    INSERT INTO change_marks VALUES (current_tenant_id(), pg_current_xact_id(), place) ON CONFLICT DO NOTHING;
END
$$;
REVOKE ALL ON FUNCTION append_change(text, uuid, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION append_change(text, uuid, text) TO motomind_server;

CREATE FUNCTION open_tenant_log() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    INSERT INTO tenant_counters (tenant_id) VALUES (NEW.id);
    RETURN NULL;
END
$$;
REVOKE ALL ON FUNCTION open_tenant_log() FROM PUBLIC;

GRANT EXECUTE ON FUNCTION number_changes_at_commit(), open_tenant_log() TO motomind_owner;
SET LOCAL ROLE motomind_owner;

CREATE CONSTRAINT TRIGGER number_at_commit AFTER INSERT ON change_marks
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION number_changes_at_commit();
CREATE TRIGGER open_log AFTER INSERT ON tenants FOR EACH ROW EXECUTE FUNCTION open_tenant_log();

-- Tenants that were there before their log was.
SELECT admit_system('tenants');
GRANT SELECT ON tenants TO motomind_system;
SET LOCAL ROLE motomind_system;
INSERT INTO tenant_counters (tenant_id) SELECT id FROM tenants;
