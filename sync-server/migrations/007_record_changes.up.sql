-- Purpose: the documents of records, and a queue of rows that were written beside them.
-- Why:     a record is an Automerge document, its row a projection of it. The web backend updates
--          rows with plain SQL: a statement's trigger queues every row that it wrote, with the row's
--          own tenant, and the server takes it into the document, under the row's lock, before that
--          record is next served or merged.
-- Time:    under a second, plus one queued row per record already there (100,000: 1 s).

CREATE TABLE record_documents (
    tenant_id  uuid        NOT NULL REFERENCES tenants (id),
    collection text        NOT NULL CHECK (collection ~ '^[a-z_]{1,63}$'),  -- the table of its row
    record_id  uuid        NOT NULL,
    document   bytea       NOT NULL,            -- Automerge, with its history
    heads      bytea       NOT NULL CHECK (octet_length(heads) % 32 = 0),  -- its newest changes, SHA-256 after SHA-256
    earlier    bytea,                           -- as it was before it last began again without its history
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, collection, record_id)
);
COMMENT ON TABLE record_documents IS 'The document of each record; written by the sync server alone.';
SELECT raise_tenant_wall('record_documents');
SELECT admit_system('record_documents');
GRANT SELECT, INSERT, UPDATE ON record_documents TO motomind_server;
GRANT SELECT, DELETE ON record_documents TO motomind_system;  -- when a migration takes their table away

CREATE TABLE record_queue (
    tenant_id  uuid        NOT NULL REFERENCES tenants (id),
    collection text        NOT NULL,
    record_id  uuid        NOT NULL,
    queued_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, collection, record_id)
);
COMMENT ON TABLE record_queue IS 'Record rows written beside their documents and not taken into them yet.';
SELECT raise_tenant_wall('record_queue');
SELECT admit_system('record_queue');
GRANT SELECT ON record_queue TO motomind_server;
GRANT SELECT, INSERT, DELETE ON record_queue TO motomind_system;

SET LOCAL ROLE motomind_system;

-- Queues what a statement wrote and wakes the servers. What the sync server writes from a document
-- is not queued: it says so by app.projecting, which counts for nobody but the serving role.
CREATE FUNCTION queue_records() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    IF current_setting('app.projecting', true) = 'on' AND pg_has_role(session_user, 'motomind_server', 'MEMBER') THEN
        RETURN NULL;
    END IF;
    INSERT INTO record_queue (tenant_id, collection, record_id)
    SELECT f.tenant_id, TG_TABLE_NAME, f.id FROM fresh f ON CONFLICT DO NOTHING;
    PERFORM pg_notify('motomind_records', f.tenant_id::text) FROM (SELECT DISTINCT tenant_id FROM fresh) f;
    RETURN NULL;
END
$$;

-- Takes records of the transaction's tenant off the queue. Whoever calls it holds their rows'
-- locks, so that what is written after it is queued again.
CREATE FUNCTION unqueue_records(collections text[], ids uuid[]) RETURNS void
    LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
    DELETE FROM record_queue q USING unnest(collections, ids) AS done (collection, id)
     WHERE q.tenant_id = current_tenant_id() AND q.collection = done.collection AND q.record_id = done.id
$$;

-- Appends changes of the current tenant, in this order; numbered with the rest.
CREATE FUNCTION append_record_changes(ids uuid[], datas text[]) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    place constant bigint := nextval('arrivals');
BEGIN
    INSERT INTO change_pending
    SELECT current_tenant_id(), pg_current_xact_id(), nextval('arrivals'), 'record', c.id, c.data
      FROM (SELECT * FROM unnest(ids, datas) WITH ORDINALITY AS given (id, data, nth) ORDER BY nth) c;
    INSERT INTO change_marks VALUES (current_tenant_id(), pg_current_xact_id(), place) ON CONFLICT DO NOTHING;
END
$$;
REVOKE ALL ON FUNCTION queue_records(), unqueue_records(text[], uuid[]), append_record_changes(uuid[], text[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION queue_records() TO motomind_owner;
GRANT EXECUTE ON FUNCTION unqueue_records(text[], uuid[]), append_record_changes(uuid[], text[]) TO motomind_server;

SET LOCAL ROLE motomind_owner;

-- Makes a table one of records: what is written into it from now on is queued.
CREATE FUNCTION track_records(target regclass) RETURNS void
    LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('CREATE TRIGGER queue_insert AFTER INSERT ON %s REFERENCING NEW TABLE AS fresh
                    EXECUTE FUNCTION queue_records()', target);
    EXECUTE format('CREATE TRIGGER queue_update AFTER UPDATE ON %s REFERENCING NEW TABLE AS fresh
                    EXECUTE FUNCTION queue_records()', target);
END
$$;
COMMENT ON FUNCTION track_records(regclass) IS 'Queues every row that is written into a table of records beside its document.';
REVOKE ALL ON FUNCTION track_records(regclass) FROM PUBLIC;

SELECT track_records('garages');
SELECT track_records('vehicles');

-- Rows that were there before: their documents begin now.
SET LOCAL ROLE motomind_system;
INSERT INTO record_queue (tenant_id, collection, record_id) SELECT tenant_id, 'garages', id FROM garages;
INSERT INTO record_queue (tenant_id, collection, record_id) SELECT tenant_id, 'vehicles', id FROM vehicles;
