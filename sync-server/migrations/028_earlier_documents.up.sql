-- Purpose: every document that a record had before it began again without its history.
-- Why:     an edit may arrive at heads of a document that has begun again twice since; one column had
--          room for the newest alone, and a second beginning threw the first one's history away.
-- Time:    under a second, plus the bytes of documents that have begun again already (1 GB: 20 s).
CREATE TABLE earlier_documents (
    tenant_id  uuid        NOT NULL REFERENCES tenants (id),
    collection text        NOT NULL CHECK (collection ~ '^[a-z_]{1,63}$'),  -- the table of its row
    record_id  uuid        NOT NULL,
    nth        integer     NOT NULL CHECK (nth >= 1),  -- 1 is the record's first document
    document   bytea       NOT NULL,            -- Automerge, with its history
    heads      bytea       NOT NULL CHECK (octet_length(heads) % 32 = 0),  -- its newest changes, SHA-256 after SHA-256
    ended_at   timestamptz NOT NULL DEFAULT now(),  -- when the next one began
    PRIMARY KEY (tenant_id, collection, record_id, nth)
);
COMMENT ON TABLE earlier_documents IS 'Documents of records before they began again without their history; append-only.';
SELECT raise_tenant_wall('earlier_documents');
SELECT admit_system('earlier_documents');
GRANT SELECT, INSERT ON earlier_documents TO motomind_server;
GRANT SELECT, INSERT ON earlier_documents TO motomind_system;

CREATE FUNCTION refuse_document_change() RETURNS trigger
    LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'earlier documents are append-only: no %', TG_OP
        USING ERRCODE = 'restrict_violation', TABLE = TG_TABLE_NAME, CONSTRAINT = 'earlier_documents_immutable';
END
$$;
CREATE TRIGGER immutable BEFORE UPDATE OR DELETE ON earlier_documents
    FOR EACH ROW EXECUTE FUNCTION refuse_document_change();
CREATE TRIGGER immutable_whole BEFORE TRUNCATE ON earlier_documents EXECUTE FUNCTION refuse_document_change();

-- What was kept so far; its heads were not, and nothing but an auditor asks for them.
SET LOCAL ROLE motomind_system;
INSERT INTO earlier_documents (tenant_id, collection, record_id, nth, document, heads, ended_at)
SELECT tenant_id, collection, record_id, 1, earlier, '', updated_at FROM record_documents WHERE earlier IS NOT NULL;
SET LOCAL ROLE motomind_owner;
ALTER TABLE record_documents DROP COLUMN earlier;
