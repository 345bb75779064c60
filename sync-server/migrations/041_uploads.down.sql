-- Takes running uploads away: devices begin them again. Their pieces stay in the photo store until
-- its folder `uploads` is emptied by hand.
REVOKE INSERT ON maintenance_runs FROM motomind_server;
DROP POLICY server_logs_uploads ON maintenance_runs;
SET LOCAL ROLE motomind_system;
DROP FUNCTION uploads_known(uuid[]);
DROP FUNCTION uploads_due(timestamptz, timestamptz, integer);
SET LOCAL ROLE motomind_owner;
DROP TABLE upload_pieces;
DROP TABLE uploads;
DROP FUNCTION count_upload();
