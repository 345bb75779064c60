-- Takes the change log away, with every tenant's history of changes.
DROP POLICY system_works ON tenants;
REVOKE SELECT ON tenants FROM motomind_system;
DROP TRIGGER open_log ON tenants;
DROP TABLE change_marks;
DROP TABLE change_pending;
SET LOCAL ROLE motomind_system;
DROP FUNCTION open_tenant_log();
DROP FUNCTION append_change(text, uuid, text);
DROP FUNCTION number_changes_at_commit();
DROP FUNCTION number_changes();
SET LOCAL ROLE motomind_owner;
DROP SEQUENCE arrivals;
DROP TABLE change_log;
DROP TABLE tenant_counters;
