-- Record tables are furnished by hand again, and nobody but their owner edits profiles.
SET LOCAL ROLE motomind_system;
DROP FUNCTION restore_record(regclass, uuid);
DROP FUNCTION delete_record(regclass, uuid);
DELETE FROM record_queue WHERE collection = 'profiles';
SET LOCAL ROLE motomind_owner;
DROP FUNCTION key_record();
DROP FUNCTION natural_record_id(text);
DROP FUNCTION sha1(bytea);
DROP VIEW active_profiles;
REVOKE ALL ON profiles FROM motomind_system;
REVOKE INSERT, UPDATE ON profiles FROM motomind_server, motomind_client;
REVOKE INSERT (tenant_id, id, full_name, preferences, created_by, updated_by, deleted_at, deleted_by),
       UPDATE (full_name, preferences, deleted_at, deleted_by) ON profiles FROM motomind_server, motomind_client;
DROP TRIGGER refuse_delete ON profiles;
DROP POLICY system_works ON profiles;
DROP TRIGGER queue_update ON profiles;
DROP TRIGGER queue_insert ON profiles;
DROP FUNCTION furnish_records(regclass);
