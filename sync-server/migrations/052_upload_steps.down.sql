-- Takes the one call away; running uploads keep what they have.
DROP FUNCTION advance_upload(uuid, uuid, bytea, uuid, bigint, bigint, bigint[], bigint[], text[]);
REVOKE UPDATE (bytes, object) ON upload_pieces FROM motomind_server;
