-- Takes the ground away. The roles stay: other databases of the cluster may use them.
DROP FUNCTION admit_system(regclass);
DROP FUNCTION raise_tenant_wall(regclass, text);
DROP FUNCTION from_epoch_ms(bigint);
DROP FUNCTION epoch_ms(timestamptz);
DROP FUNCTION current_user_id();
DROP FUNCTION current_tenant_id();
DROP TABLE schema_migrations;
RESET ROLE;
REVOKE USAGE ON SCHEMA public FROM motomind_server, motomind_client;
REVOKE USAGE, CREATE ON SCHEMA public FROM motomind_owner, motomind_system;
