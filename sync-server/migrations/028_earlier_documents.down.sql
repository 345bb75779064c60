-- Keeps of each record the newest of its earlier documents and loses the others: heads of those
-- count as unknown from then on.
ALTER TABLE record_documents ADD COLUMN earlier bytea;
GRANT UPDATE ON record_documents TO motomind_system;
SET LOCAL ROLE motomind_system;
UPDATE record_documents d SET earlier = e.document
  FROM (SELECT DISTINCT ON (tenant_id, collection, record_id) * FROM earlier_documents
         ORDER BY tenant_id, collection, record_id, nth DESC) e
 WHERE (d.tenant_id, d.collection, d.record_id) = (e.tenant_id, e.collection, e.record_id);
SET LOCAL ROLE motomind_owner;
REVOKE UPDATE ON record_documents FROM motomind_system;
DROP TABLE earlier_documents;
DROP FUNCTION refuse_document_change();
